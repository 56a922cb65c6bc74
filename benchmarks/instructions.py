"""How many machine instructions does one analysis take? A measure that a busy machine does not disturb, unlike time.

``python benchmarks/instructions.py [--models NAME ...] [--against REVISION | --other FOLDER] [--write]``

A process that builds all the models and analyses each twice is counted as a whole; then one that does the same and after it
some more analyses of one model, warm or with emptied memos. What the second takes more, divided by their number, is the
instructions of one analysis. The model's own Python code, torch's module calls and the end of the report are part of it.
FlopCounterMode on meta tensors is counted in the same way (``--reference``), so that the multiple can be had, too.

``perf stat`` counts at full speed where the system lets it (Linux on real hardware; many virtual machines have no counters).
Else valgrind does, some twenty times slower: two minutes for each model and tree. It counts user code only, so both agree.
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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.revisions import ROOT, unpacked
from benchmarks.tables import table

__all__ = ["main"]

MODES = ("warm", "memos emptied")
REFERENCE = "FlopCounterMode"

_WORK = """
import gc, sys, warnings
warnings.simplefilter("ignore")
from benchmarks import cases, peers
names, with_reference, counted, mode, times = sys.argv[1].split(","), sys.argv[2] == "True", *sys.argv[3:]
models = {name: cases.CASES[name].on_meta() for name in names}
for name, model in models.items():
    for tool in (peers.FXCOUNT, peers.FXCOUNT, *([peers.REFERENCE] * (2 * with_reference))):
        tool.run(model, cases.CASES[name])
tool = {"warm": peers.FXCOUNT, "memos emptied": peers.EMPTIED}.get(mode, peers.REFERENCE)
gc.collect()
for _ in range(int(times)):
    if tool.prepare is not None:
        tool.prepare()
    tool.run(models[counted], cases.CASES[counted])
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Count and print the table."""
    options = _parser().parse_args(argv)
    try:
        count = _counter()
    except LookupError as error:
        print(error, file=sys.stderr)
        return 2
    modes = [*MODES, *([REFERENCE] if options.reference else ())]
    with tempfile.TemporaryDirectory() as folder:
        trees = [ROOT]
        if options.other or options.against:
            trees.insert(0, Path(options.other).resolve() if options.other else unpacked(options.against, Path(folder)))
        found = [_counts(tree, options, modes, count) for tree in trees]
    text = _text(found, options, modes)
    print(text)
    if options.write:
        (ROOT / "benchmarks" / "INSTRUCTIONS.md").write_text(text + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    from benchmarks.cases import CASES

    parser = argparse.ArgumentParser(prog="instructions.py", description="machine instructions of one analysis")
    names = list(CASES)
    parser.add_argument("--models", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--times", type=int, default=3, help="analyses that are counted for each model (default 3)")
    parser.add_argument("--reference", action="store_true", help="also count FlopCounterMode, in this tree")
    against = parser.add_mutually_exclusive_group()
    against.add_argument("--against", metavar="REVISION", help="compare with this commit")
    against.add_argument("--other", metavar="FOLDER", help="compare with the tree in this folder")
    parser.add_argument("--write", action="store_true", help="write the table to benchmarks/INSTRUCTIONS.md")
    return parser


# -- counting -----------------------------------------------------------------------------------------------------------
Counter = Callable[[list[str], Path], int]


def _counter() -> Counter:
    """What counts the instructions of a command here: ``count(command, folder)``.

    Raises ``LookupError``, saying what to install, where nothing can.
    """
    if shutil.which("perf") and _by_perf([sys.executable, "-c", ""], ROOT) > 0:
        return _by_perf
    if shutil.which("valgrind"):
        return _by_valgrind
    raise LookupError(
        "nothing here counts instructions: install valgrind (apt install valgrind, dnf install valgrind), or, on a machine "
        "whose processor counts for you, perf (apt install linux-perf; kernel.perf_event_paranoid must be 2 or less)"
    )


def _by_perf(command: list[str], folder: Path) -> int:
    """Counted by the processor; 0 if it does not."""
    done = _run(["perf", "stat", "-x", ",", "-e", "instructions:u", *command], folder)
    found = re.search(r"^(\d+),[^,]*,instructions", done, re.MULTILINE)
    return int(found[1]) if found else 0


def _by_valgrind(command: list[str], folder: Path) -> int:
    """Counted one by one; valgrind says so at the end."""
    done = _run(["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", *command], folder)
    found = re.search(r"I\s+refs:\s+([\d,]+)", done)
    if found is None:
        raise RuntimeError(f"valgrind did not say how many instructions there were:\n{done[-2000:]}")
    return int(found[1].replace(",", ""))


def _run(command: list[str], folder: Path) -> str:
    """Runs alike each time: one thread, and no hash that changes from process to process. What it writes to stderr."""
    alike = {"PYTHONPATH": str(folder), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env={**os.environ, **alike}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} ... failed in {folder}:\n{done.stderr[-2000:]}")
    return done.stderr


Counts = dict[tuple[str, str], int]  # (model, mode) -> instructions of one analysis


def _counts(tree: Path, options: argparse.Namespace, modes: Sequence[str], count: Counter) -> Counts:
    def counted(model: str, mode: str, times: int) -> int:
        about = [",".join(options.models), str(options.reference), model, mode, str(times)]
        return count([sys.executable, "-c", _WORK, *about], tree)

    print(f"... {tree}: models", file=sys.stderr, flush=True)
    before = counted(options.models[0], "warm", 0)
    found: Counts = {}
    for model in options.models:
        for mode in modes:
            print(f"... {tree}: {model}, {mode}", file=sys.stderr, flush=True)
            found[model, mode] = (counted(model, mode, options.times) - before) // options.times
    return found


# -- text ---------------------------------------------------------------------------------------------------------------
def _text(found: list[Counts], options: argparse.Namespace, modes: Sequence[str]) -> str:
    import torch

    other = options.against or options.other
    rows = []
    for model in options.models:
        for mode in modes:
            counts = [each[model, mode] for each in found]
            row = [model, mode, *[_millions(n) for n in counts]]
            row += [f"{counts[1] / counts[0]:.2f}"] if other else []
            row += [f"{counts[-1] / found[-1][model, REFERENCE]:.3f}"] if options.reference else []
            rows.append(row)
    head = ["model", "", *([other, "this tree", "multiple"] if other else ["this tree"])]
    head += [f"of {REFERENCE}"] if options.reference else []
    about = (
        f"Millions of instructions of one analysis; torch {torch.__version__}, Python {platform.python_version()}, "
        f"{platform.machine()}; the mean of {options.times}."
    )
    title = "# Instructions for one analysis\n\nWritten by `python benchmarks/instructions.py --write`."
    return "\n\n".join([title, about, table(head, rows)])


def _millions(instructions: int) -> str:
    return f"{instructions / 1e6:.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
