"""What a user waits for besides the analysis: views of a report, its evaluation, the command line; before and now.

``python benchmarks/feel.py [--against REVISION] [--rounds N] [--repeat N] [--only views|evaluation|commands ...] [--write]``

Each tree is measured in processes of its own, which alternate; nothing has to be installed but torch and the model libraries
(torchvision, timm, transformers, diffusers). Without options it takes some ten minutes of a quiet machine. The yardstick of a
view is the analysis (the trace with its totals, peak and parameters) of the same model in the same process; of a command, the
import of the library it names. Each view is made of a fresh report, so that nothing is left of an earlier one. ``--write`` puts
the tables into FEEL.md; those of other jobs than ``--only`` stay as they are. All times are CPU time, which a busy machine
disturbs least.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "benchmarks" / "FEEL.md"

__all__ = ["COMMANDS", "JOBS", "MODELS", "VIEWS", "main"]

# -- what is measured -----------------------------------------------------------------------------------------------------
MODELS: dict[str, tuple[str, str, dict[str, int]]] = {
    "llama_126": ("llama", "i64[B,S]", {"B": 2, "S": 128}),
    "swin_t": ("torchvision:swin_t", "B,3,H,W", {"B": 2, "H": 224, "W": 224}),
    "resnet50": ("torchvision:resnet50", "B,3,H,W", {"B": 2, "H": 224, "W": 224}),
}
"""The model, its input, and sizes."""

VIEWS: dict[str, Callable[[Any, dict[str, int]], object]] = {
    "at().table()": lambda report, sizes: report.at(**sizes).table(),
    "str(report)": lambda report, sizes: str(report),
    "table(depth=None)": lambda report, sizes: report.table(None),
    "at().conventions()": lambda report, sizes: report.at(**sizes).conventions(),
    "conventions()": lambda report, sizes: report.conventions(),
    "graph_module": lambda report, sizes: report.graph_module,
    "to_networkx()": lambda report, sizes: report.to_networkx(),
    "to_dict()": lambda report, sizes: report.to_dict(),
    "to_json()": lambda report, sizes: report.to_json(),
    "to_graph_json()": lambda report, sizes: report.to_graph_json(),
    "to_dot()": lambda report, sizes: report.to_dot(),
    "to_svg(depth=2)": lambda report, sizes: report.to_svg(depth=2),
    "to_html()": lambda report, sizes: report.to_html(),
    'to_csv("ops")': lambda report, sizes: report.to_csv("ops"),
    "to_markdown()": lambda report, sizes: report.to_markdown(),
    "to_mermaid()": lambda report, sizes: report.to_mermaid(),
    "at().by_module()": lambda report, sizes: report.at(**sizes).by_module(),
    "at().ops": lambda report, sizes: report.at(**sizes).ops,
    "by_module()": lambda report, sizes: report.by_module(),
    "ops": lambda report, sizes: report.ops,
    "macs, flops": lambda report, sizes: (report.macs, report.flops),
    "memory.peak": lambda report, sizes: report.memory.peak,
}

COMMANDS: dict[str, tuple[str, str, float, float]] = {
    "--version": ("--version", "", 0.0, 0.15),
    "--help": ("--help", "", 0.0, 0.15),
    "cont (misspelt)": ("cont", "", 0.0, 0.15),
    "demo --dept 1 (misspelt)": ("demo --dept 1", "", 0.0, 0.15),
    "resnet5O (misspelt)": ("resnet5O", "", 0.0, 0.15),
    "demo": ("demo", "torch", 1.2, 0.2),
    "torchvision:resnet50": ("torchvision:resnet50", "torchvision", 1.2, 0.2),
    "timm:resnet50": ("timm:resnet50", "timm", 1.2, 0.2),
    "hf:bert": ("hf:bert", "transformers.models.bert.modeling_bert", 1.2, 0.2),
    "diffusers:UNet2DModel": ("diffusers:UNet2DModel", "diffusers.models.unets.unet_2d", 1.2, 0.2),
}
"""Words, the import that is the yardstick, and how many times that and how many seconds more it may take."""


def _model(name: str) -> Any:
    import torch

    from benchmarks.torchvision_ops import torchvision  # first: transformers imports it too

    if name != "llama":
        with torch.device("meta"):
            return torchvision.models.get_model(name.partition(":")[2], weights=None).eval()
    import transformers

    sizes = {
        "hidden_size": 16384, "num_hidden_layers": 126, "num_attention_heads": 128, "num_key_value_heads": 8,
        "intermediate_size": 53248, "vocab_size": 128256, "use_cache": False,
    }  # fmt: skip
    with torch.device("meta"):
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes)).eval()


def _analyse(model: Any, spec: str) -> Any:
    import fxcount

    report = fxcount.analyze(model, spec)
    _ = report.costs.total, report.peaks, report.params
    return report


def _seconds(work: Callable[[], object]) -> float:
    """Of CPU time: what else runs on the machine is not counted."""
    gc.collect()
    start = time.process_time()
    result = work()
    elapsed = time.process_time() - start
    del result
    return elapsed


def _views(repeat: int) -> dict[str, Any]:
    """Seconds of the analysis of each model, and of each view of a fresh report: the first time, and the median of more."""
    return {name: _views_of(*case, repeat) for name, case in MODELS.items()}


def _views_of(word: str, spec: str, sizes: dict[str, int], repeat: int) -> dict[str, Any]:
    model = _model(word)
    _analyse(model, spec)
    times: dict[str, Any] = {"analysis": []}
    analyses: list[float] = []

    def report() -> Any:
        """A report of which nothing was asked; what it took is noted: one analysis for each run of a view, throughout."""
        found: list[Any] = []
        analyses.append(_seconds(lambda: found.append(_analyse(model, spec))))
        return found[0]

    for view, make in VIEWS.items():
        try:
            first = _seconds(partial(make, report(), sizes))
        except Exception:  # a view that came later
            continue
        runs = [_seconds(partial(make, report(), sizes)) for _ in range(repeat)]
        times[view] = [first, statistics.median(runs)]
    times["analysis"] = [0.0, statistics.median(analyses)]
    return times


def _evaluation(repeat: int) -> dict[str, Any]:
    """Seconds of one point, of a total once it is there, and of a million points by fxcount and by numpy."""
    return {name: _evaluation_of(*case, repeat) for name, case in MODELS.items()}


def _evaluation_of(word: str, spec: str, sizes: dict[str, int], repeat: int) -> dict[str, float]:
    import numpy as np
    import sympy

    from fxcount import symbolic

    model = _model(word)
    report = _analyse(model, spec)
    flops = report.costs.total.flops
    at = report.at(**sizes)
    once: dict[str, Callable[[], object]] = {
        "at()": lambda: report.at(**sizes),
        "at().macs": lambda: report.at(**sizes).macs,
        "at().memory.peak": lambda: report.at(**sizes).memory.peak,
        "macs of at()": lambda: at.macs,
        "flops of at()": lambda: at.flops,
        "params.total": lambda: at.params.total,
        "at(B=1).flops, a formula": lambda: report.at(B=1).flops,
        "flops, a formula": lambda: report.flops,
        "evaluate(flops)": lambda: symbolic.evaluate(flops, sizes),
    }
    times = {what: _each(work) for what, work in once.items() if _works(work)}
    chance = np.random.default_rng(0)
    points = {n: chance.integers(1, 65, 10**6) if n == "B" else chance.integers(32, 4000, 10**6) for n in sizes}
    by_numpy = sympy.lambdify([sympy.Symbol(n, integer=True, positive=True) for n in points], report.flops, "numpy")
    if hasattr(symbolic, "evaluate_many"):
        times["10^6 points"] = min([_seconds(lambda: symbolic.evaluate_many([flops], points)) for _ in range(repeat)])
    times["10^6 points, numpy"] = min([_seconds(lambda: by_numpy(*points.values())) for _ in range(repeat)])
    return times


def _works(work: Callable[[], object]) -> bool:
    """Whether this tree can do it at all."""
    try:
        work()
    except Exception:
        return False
    return True


def _each(work: Callable[[], object]) -> float:
    """Seconds of one of many, the fastest of five rounds."""
    work()
    rounds = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(200):
            work()
        rounds.append((time.process_time() - start) / 200)
    return min(rounds)


def _commands(repeat: int) -> dict[str, Any]:
    """Seconds of each command and of the import that is its yardstick, in turns, the fastest of each; modules imported."""
    found: dict[str, Any] = {}
    for name, (words, library, _, _) in COMMANDS.items():
        command = ["-c", f"import runpy, sys; sys.argv[1:] = {words.split()!r}{_LOADED}"]
        yardstick = ["-c", f"{_SIGNATURES}import {library}" if library not in ("", "torch") else f"import {library or 'sys'}"]
        mine, other = [], []
        for _ in range(repeat + 1):  # the first fills the caches of the disk
            mine.append(_process(["-m", "fxcount", *words.split()], (0, 2)))
            other.append(_process(yardstick, (0,)))
        modules = subprocess.run([sys.executable, "-W", "ignore", *command], capture_output=True, text=True, check=False)
        found[name] = [min(mine[1:]), min(other[1:]), int(modules.stderr.splitlines()[-1])]
    return found


# Before torchvision, which does not load where its wheel was built for another device than torch's.
_SIGNATURES = """
try: from fxcount.adapters import torchvision_ops
except ImportError: pass
"""
# ``-m fxcount``, whatever file the command line of that tree is in, and then the number of modules.
_LOADED = """
try: runpy.run_module("fxcount", run_name="__main__")
except SystemExit: pass
print(len(sys.modules), file=sys.stderr)"""


def _process(arguments: list[str], codes: tuple[int, ...]) -> float:
    """User and system time of a process, which has to end with one of these codes: what fails at once is no yardstick."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-W", "ignore", *arguments], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in codes:
        return math.nan
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


JOBS: dict[str, Callable[[int], dict[str, Any]]] = {"views": _views, "evaluation": _evaluation, "commands": _commands}


# -- both trees, in turns -------------------------------------------------------------------------------------------------
def main(argv: Sequence[str] | None = None) -> int:
    """Measure both trees, print the tables, and write them where asked."""
    options = _parser().parse_args(argv)
    if options.child:
        print(json.dumps(JOBS[options.child](options.repeat)))
        return 0
    from benchmarks.revisions import unpacked  # a child may be of a tree without it

    load = os.getloadavg()[0]
    found: dict[str, list[list[Any]]] = {job: [[], []] for job in options.only}
    with tempfile.TemporaryDirectory() as folder:
        trees = [ROOT] if options.against == "none" else [unpacked(options.against, Path(folder)), ROOT]
        for _ in range(options.rounds):
            for job in options.only:
                for tree in trees:
                    found[job][tree == ROOT].append(_child(job, tree, options.repeat))
    text = _text(found, options, load)
    print(text)
    if options.write:
        PAGE.write_text(text + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="feel.py", description="what a user waits for besides the analysis")
    parser.add_argument("--against", default="dd04de2", metavar="REVISION", help="the older tree (%(default)s), or none")
    parser.add_argument("--rounds", type=int, default=2, help="processes for each tree (default 2)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each in a process (default 3)")
    parser.add_argument("--only", nargs="+", choices=list(JOBS), default=list(JOBS), help="some of the tables")
    parser.add_argument("--write", action="store_true", help="write the tables to benchmarks/FEEL.md")
    parser.add_argument("--child", choices=list(JOBS), help=argparse.SUPPRESS)
    return parser


def _child(job: str, tree: Path, repeat: int) -> dict[str, Any]:
    print(f"... {job}, {'this tree' if tree == ROOT else 'the older one'}", file=sys.stderr, flush=True)
    command = [sys.executable, "-W", "ignore", __file__, "--child", job, "--repeat", str(repeat)]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else the older tree would be compiled each time
    done = subprocess.run(command, capture_output=True, text=True, cwd=tree, env=environment, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# -- text ---------------------------------------------------------------------------------------------------------------
def _text(found: dict[str, list[list[Any]]], options: argparse.Namespace, load: float) -> str:
    """The sections of the jobs that were done, and those of the page as it is of the others."""
    about = (
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, torch {version('torch')}, "
        f"{os.cpu_count()} cores, load {load:.1f} at the start and {os.getloadavg()[0]:.1f} at the end; before: "
        f"{options.against}; processes for each tree, in turns: {options.rounds}. All times are CPU time."
    )
    tables = {"views": _views_table, "evaluation": _evaluation_table, "commands": _commands_table}
    page = PAGE.read_text() if PAGE.exists() else ""
    sections = {part.partition("\n")[0]: part for part in page.split("\n## ")[1:]}
    for job, (before, now) in found.items():
        title, _, rest = tables[job](before, now).removeprefix("## ").partition("\n\n")
        sections[title] = f"{title}\n\n{about}\n\n{rest}"
    parts = ["# What a user waits for\n\nWritten by `python benchmarks/feel.py --write`.", *sections.values()]
    return "\n\n## ".join([part.rstrip("\n") for part in parts])


def _views_table(before: list[Any], now: list[Any]) -> str:
    from benchmarks.tables import milliseconds, table, verdict

    rows = []
    for model in MODELS:
        for view in ("analysis", *VIEWS):
            mine = [r[model][view][1] / r[model]["analysis"][1] for r in now]
            old = [r[model][view][1] / r[model]["analysis"][1] for r in before if view in r[model]]
            old_ms = min((r[model][view][1] for r in before if view in r[model]), default=None)
            ms = min(r[model][view][1] for r in now)
            first = statistics.median(r[model][view][0] for r in now)
            rows.append([
                model if view == "analysis" else "", view,
                milliseconds(old_ms), milliseconds(ms),
                f"{statistics.median(old):.2f}x" if old else "-", f"{statistics.median(mine):.2f}x",
                verdict(statistics.median(mine), 1.0), "" if view == "analysis" else milliseconds(first),
            ])  # fmt: skip
    head = ["model", "what", "before ms", "now ms", "before", "now", "<= 1x", "first ms"]
    about = (
        "## Views\n\nms: of the fastest process. *before*, *now*: multiples of the analysis in the same process, median of the "
        "processes. *first ms*: the first time in a process, with what is imported for it."
    )
    return f"{about}\n\n{table(head, rows)}"


def _evaluation_table(before: list[Any], now: list[Any]) -> str:
    from benchmarks.tables import table

    rows = []
    for model in MODELS:
        for what in now[0][model]:
            old = f"{1e6 * min(r[model][what] for r in before):,.1f}" if before and what in before[0][model] else "-"
            rows.append([model, what, old, f"{1e6 * min(r[model][what] for r in now):,.1f}"])
    about = (
        "## Evaluation\n\nMicroseconds, the fastest process. *10^6 points*: exact integers of flops at random sizes; "
        "numpy's is the function that `sympy.lambdify` makes of the same formula."
    )
    return f"{about}\n\n{table(['model', 'what', 'before us', 'now us'], rows)}"


def _commands_table(before: list[Any], now: list[Any]) -> str:
    from benchmarks.tables import table, verdict

    rows = []
    for name, (_, library, times, more) in COMMANDS.items():
        mine, other = (min(r[name][i] for r in now) for i in (0, 1))
        limit = times * other + more
        asked = f"{times} of it + {more} s" if library else f"{more} s"
        rows.append([
            f"`fxcount {name}`", _shown(min(r[name][0] for r in before)) if before and name in before[0] else "-", _shown(mine),
            f"`import {library or 'sys'}` {_shown(other)}", asked,
            "not measured" if math.isnan(limit + mine) else verdict(mine, limit), str(now[0][name][2]),
        ])  # fmt: skip
    head = ["command", "before s", "now s", "yardstick s", "at most", "", "modules imported"]
    return f"## The command line\n\nSeconds, the fastest of all runs.\n\n{table(head, rows)}"


def _shown(seconds: float) -> str:
    return "failed" if math.isnan(seconds) else f"{seconds:.2f}"


if __name__ == "__main__":
    sys.path.insert(0, os.environ.get("PYTHONPATH", "").split(os.pathsep)[0] or str(ROOT))
    raise SystemExit(main())
