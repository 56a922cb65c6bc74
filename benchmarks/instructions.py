"""How many machine instructions does one analysis take? A measure that a busy machine does not disturb, unlike time.

``python benchmarks/instructions.py [--models NAME ...] [--against REVISION | --other FOLDER] [--write]``

Warm: the same model again, after two analyses of it. Memos emptied: the same with every size forgotten that fxcount ever
computed. The model's own Python code, torch's module calls and the end of the report are part of an analysis. FlopCounterMode
on meta tensors is counted in the same way (``--reference``), so that the multiple can be had, too.

``--steps`` counts, in train mode, a training step beside the forward alone, and where it goes: the same forward above torch's
engine, the step without an optimizer (the backward is what it takes more), the step with AdamW, and all its totals as formulas.

Valgrind counts one by one, and only while it is told to: what a process takes to start and to build the models is not counted,
and one process for each tree does (two to four minutes). Where the system lets it (Linux on real hardware; many virtual
machines have no counters), ``perf stat`` counts whole processes at full speed: what one takes more that does the same, and
then some more analyses. Both count user code only, so they agree.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.revisions import ROOT, unpacked
from benchmarks.tables import table

__all__ = ["main"]

MODES = ("warm", "memos emptied")
REFERENCE = "FlopCounterMode"
FORWARD = "forward alone"
STEPS = (FORWARD, "above the engine", "step", "step with AdamW", "and its formulas")

_WORK = """
import gc, glob, os, re, subprocess, sys, warnings
warnings.simplefilter("ignore")
import torch
from benchmarks import cases, peers
names, counted, modes, times, dumps = *[a.split(",") for a in sys.argv[1:4]], int(sys.argv[4]), sys.argv[5]
tools = {"warm": peers.FXCOUNT, "memos emptied": peers.EMPTIED, "FlopCounterMode": peers.REFERENCE}
torch.set_num_threads(1)
models = {name: cases.CASES[name].on_meta() for name in names}
if "step" in modes:
    import fxcount
    from fxcount.ops import REGISTRY
    from fxcount.training.forward import trace_forward

    def step(model, case, **options):
        return fxcount.training_step(model.train(), case.spec, kwargs=case.options, **options)

    runs = {
        "forward alone": lambda model, case: fxcount.analyze(model.train(), case.spec, kwargs=case.options),
        "above the engine": lambda model, case: trace_forward(
            model.train(), (case.spec,), case.options, hints=None, registry=REGISTRY),
        "step": step,
        "step with AdamW": lambda model, case: step(model, case, optimizer="adamw"),
        "and its formulas": lambda model, case: step(model, case, optimizer="adamw").formulas(),
    }
    tools |= {name: peers.Tool(name, run) for name, run in runs.items()}
for name, model in models.items():
    for mode in dict.fromkeys(("warm", *modes)):
        for _ in range(2 if mode != "memos emptied" else 0):
            tools[mode].run(model, cases.CASES[name])

def work(name, tool, times):
    for _ in range(times):
        if tool.prepare is not None:
            tool.prepare()
        tool.run(models[name], cases.CASES[name])

def valgrind(*command):
    done = subprocess.run(["callgrind_control", *command, str(os.getpid())], check=True, capture_output=True, text=True)

def instructions(name, tool, times):
    gc.collect()
    valgrind("-i", "on")
    valgrind("-z")
    work(name, tool, times)
    valgrind("-d")
    (dump,) = glob.glob(dumps + ".*")
    found = int(re.search(r"^summary: (\\d+)", open(dump).read(), re.MULTILINE)[1])
    os.unlink(dump)
    valgrind("-i", "off")
    return found

for name in filter(None, counted):
    for mode in modes:
        if not dumps:
            gc.collect()
            work(name, tools[mode], times)
            continue
        instructions(name, tools["warm"], 0)  # the first time anything is counted costs more
        own = instructions(name, tools[mode], 0)
        work(name, tools["warm"], 1)  # after what is not counted, memos are full again
        print(name, mode, (instructions(name, tools[mode], times) - own) // times, sep="\\t", flush=True)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Count and print the table."""
    options = _parser().parse_args(argv)
    try:
        count = _counter()
    except LookupError as error:
        print(error, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        trees = [ROOT]
        if options.other or options.against:
            trees.insert(0, Path(options.other).resolve() if options.other else unpacked(options.against, Path(folder)))
        with ThreadPoolExecutor() as pool:  # counts do not depend on what else runs
            found = list(pool.map(lambda tree: count(tree, options, _modes(tree, options)), trees))
    text = _text(found, options)
    print(text)
    if options.write:
        (ROOT / "benchmarks" / ("STEP_INSTRUCTIONS.md" if options.steps else "INSTRUCTIONS.md")).write_text(text + "\n")
    return 0


def _modes(tree: Path, options: argparse.Namespace) -> tuple[str, ...]:
    """What is counted in a tree; torch's counter is the same in all."""
    if options.steps:
        return STEPS
    return (*MODES, REFERENCE) if options.reference and tree == ROOT else MODES


def _parser() -> argparse.ArgumentParser:
    from benchmarks.cases import CASES

    parser = argparse.ArgumentParser(prog="instructions.py", description="machine instructions of one analysis")
    names = list(CASES)
    parser.add_argument("--models", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--times", type=int, default=3, help="analyses that are counted for each model (default 3)")
    parser.add_argument("--reference", action="store_true", help="also count FlopCounterMode, in this tree")
    parser.add_argument("--steps", action="store_true", help="count training steps, as multiples of the forward alone")
    against = parser.add_mutually_exclusive_group()
    against.add_argument("--against", metavar="REVISION", help="compare with this commit")
    against.add_argument("--other", metavar="FOLDER", help="compare with the tree in this folder")
    parser.add_argument("--write", action="store_true", help="write benchmarks/INSTRUCTIONS.md, or STEP_INSTRUCTIONS.md")
    return parser


# -- counting -----------------------------------------------------------------------------------------------------------
Counts = dict[tuple[str, str], int]  # (model, mode) -> instructions of one analysis
Counter = Callable[[Path, argparse.Namespace, Sequence[str]], Counts]


def _counter() -> Counter:
    """What counts the instructions of analyses here: ``count(tree, options, modes)``.

    Raises ``LookupError``, saying what to install, where nothing can.
    """
    if shutil.which("perf") and _by_perf([sys.executable, "-c", ""], ROOT) > 0:
        return _whole_processes
    if shutil.which("valgrind") and shutil.which("callgrind_control"):
        return _told_when
    raise LookupError(
        "nothing here counts instructions: install valgrind (apt install valgrind, dnf install valgrind), or, on a machine "
        "whose processor counts for you, perf (apt install linux-perf; kernel.perf_event_paranoid must be 2 or less)"
    )


def _told_when(tree: Path, options: argparse.Namespace, modes: Sequence[str]) -> Counts:
    """By valgrind, which counts from when it is told to on."""
    names = ",".join(options.models)
    print(f"... {tree}: {names}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        dumps = str(Path(folder) / "counted")
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={dumps}"]
        work = [sys.executable, "-c", _WORK, names, names, ",".join(modes), str(options.times), dumps]
        lines = [line.split("\t") for line in _run([*command, *work], tree).stdout.splitlines()]
    return {(name, mode): int(count) for name, mode, count in lines}


def _whole_processes(tree: Path, options: argparse.Namespace, modes: Sequence[str]) -> Counts:
    """By the processor: what a process takes more that does the same, and then some more analyses."""

    def counted(model: str, mode: str) -> int:
        names = ",".join(options.models)
        return _by_perf([sys.executable, "-c", _WORK, names, model, mode, str(options.times), ""], tree)

    before = {mode: counted("", mode) for mode in modes}
    found: Counts = {}
    for model in options.models:
        for mode in modes:
            print(f"... {tree}: {model}, {mode}", file=sys.stderr, flush=True)
            found[model, mode] = (counted(model, mode) - before[mode]) // options.times
    return found


def _by_perf(command: list[str], folder: Path) -> int:
    """Instructions of a command, counted by the processor; 0 if it does not."""
    done = _run(["perf", "stat", "-x", ",", "-e", "instructions:u", *command], folder)
    found = re.search(r"^(\d+),[^,]*,instructions", done.stderr, re.MULTILINE)
    return int(found[1]) if found else 0


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs alike each time: one thread, and no hash that changes from process to process."""
    alike = {"PYTHONPATH": str(folder), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env={**os.environ, **alike}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} ... failed in {folder}:\n{done.stderr[-2000:]}")
    return done


# -- text ---------------------------------------------------------------------------------------------------------------
def _text(found: list[Counts], options: argparse.Namespace) -> str:
    import torch

    other = options.against or options.other
    base = FORWARD if options.steps else REFERENCE if options.reference else ""  # of which all are multiples
    rows = []
    for model in options.models:
        for mode in _modes(ROOT, options):
            counts = [each.get((model, mode), 0) for each in found]
            row = [model, mode, *[_millions(n) if n else "" for n in counts]]
            row += [f"{counts[1] / counts[0]:.2f}" if counts[0] else ""] if other else []
            row += [f"{counts[-1] / found[-1][model, base]:.3f}"] if base else []
            rows.append(row)
    head = ["model", "", *([other, "this tree", "multiple"] if other else ["this tree"])]
    head += [f"of {base}"] if base else []
    about = (
        f"Millions of instructions of one analysis; torch {torch.__version__}, Python {platform.python_version()}, "
        f"{platform.machine()}; the mean of {options.times}."
    )
    what, option = ("a training step", " --steps") if options.steps else ("one analysis", "")
    title = f"# Instructions for {what}\n\nWritten by `python benchmarks/instructions.py{option} --write`."
    return "\n\n".join([title, about, table(head, rows)])


def _millions(instructions: int) -> str:
    return f"{instructions / 1e6:.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
