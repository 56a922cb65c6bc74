"""How long an analysis takes: fxcount and its peers, side by side in one process.

``python benchmarks/speed.py [--quick] [--models NAME ...] [--repeat N] [--limit S] [--beside DIR] [--json FILE] [--write]``.
See README.md for what is timed. ``--write`` puts the tables into SPEED.md, which is never edited by hand.

thop and ultralytics-thop share a package name, so one of them has to lie in a directory of its own, where torchview may be too:
``pip install --no-deps --target DIR ultralytics-thop torchview graphviz``, then ``--beside DIR``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.cases import CASES, LONG
from benchmarks.fresh import import_seconds, measure, median_of
from benchmarks.peers import BARE, BESIDE, EMPTIED, FXCOUNT, PEERS, REFERENCE
from benchmarks.tables import cell, milliseconds, ratio, table, verdict
from benchmarks.timing import Timing, interleaved

__all__ = ["main"]

TARGETS = {
    "resnet50": 0.15, "vit_b_16": 0.12, "convnext_tiny": 0.15, "swin_t": 0.22, "regnet_y_400mf": 0.15, "llama_4_layers": 0.25,
    "densenet264d": 0.28,
}  # fmt: skip
"""Of FlopCounterMode's time, warm; and for all models: with memos emptied, first in a process, of the fastest peer's time, of
the bare forward's."""
EMPTIED_TARGET, FIRST_TARGET, PEER_TARGET, BARE_TARGET = 0.25, 0.3, 0.3, 5.0
VARIANTS = {"resnet50": ("B,3,32*h,32*w",), "swin_t": ("B,3,224*h,224*w", "B,3,224,224")}
LAYERS = (8, 32, 126)


@dataclass
class Results:
    """All that was measured, in seconds and bytes."""

    models: dict[str, dict[str, Timing]] = field(default_factory=dict)
    variants: dict[str, dict[str, Timing]] = field(default_factory=dict)
    first: dict[str, dict[str, float | None]] = field(default_factory=dict)
    layers: dict[int, dict[str, Any]] = field(default_factory=dict)
    memory: dict[str, dict[str, Any]] = field(default_factory=dict)
    imports: dict[str, float | None] = field(default_factory=dict)
    long: dict[str, dict[str, Timing]] = field(default_factory=dict)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables, and write them where asked."""
    options = _parser().parse_args(argv)
    if options.beside:
        os.environ[BESIDE] = str(Path(options.beside).resolve())
    results = _measure(options)
    text = _text(results, options)
    print(text)
    if options.json:
        Path(options.json).write_text(json.dumps(asdict(results), indent=1))
    if options.write:
        (Path(__file__).parent / "SPEED.md").write_text(text + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="speed.py", description="fxcount and its peers: seconds for one analysis")
    names = list(CASES)
    parser.add_argument("--models", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--repeat", type=int, default=11, help="interleaved runs of each tool (default 11)")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds a slow tool may take (default 300)")
    parser.add_argument("--fresh", type=int, default=3, help="new processes for each first analysis (default 3)")
    parser.add_argument("--beside", metavar="DIR", help="where peers lie that are not installed")
    parser.add_argument("--quick", action="store_true", help="3 runs, fxcount and FlopCounterMode only, one process")
    parser.add_argument("--json", metavar="FILE", help="also write every single time as JSON")
    parser.add_argument("--write", action="store_true", help="write the tables to benchmarks/SPEED.md")
    return parser


def _measure(options: argparse.Namespace) -> Results:
    results = Results()
    tools = [FXCOUNT, EMPTIED, BARE, *([REFERENCE] if options.quick else PEERS)]
    repeat = 3 if options.quick else options.repeat
    for name in options.models:
        _progress(name)
        results.models[name] = interleaved(CASES[name], tools, repeat, options.limit)
        for spec in VARIANTS.get(name, ()):
            case = replace(CASES[name], spec=spec)
            timings = interleaved(case, [FXCOUNT, EMPTIED, REFERENCE], repeat, options.limit)
            results.variants[f"{name} {spec}"] = timings
    if not options.quick:
        for name, case in LONG.items():
            _progress(name)
            results.long[name] = interleaved(case, [FXCOUNT, EMPTIED, BARE, REFERENCE], min(5, repeat), options.limit)
        _measure_fresh(results, options)
    return results


def _measure_fresh(results: Results, options: argparse.Namespace) -> None:
    for name in options.models:
        _progress(f"{name}, first analysis of a process")
        results.first[name] = {
            tool.name: median_of(options.fresh, "seconds", "first", tool.name, name) for tool in (FXCOUNT, REFERENCE)
        }
    for count in LAYERS:
        _progress(f"405B shape, {count} layers")
        results.layers[count] = measure("layers", str(count), "5")
    _progress("405B shape, memory")
    results.memory = {how: measure("memory", how) for how in ("resident", "python")}
    _progress("imports")
    results.imports = import_seconds(2 * options.fresh + 1)


def _progress(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


# -- text ---------------------------------------------------------------------------------------------------
def _text(results: Results, options: argparse.Namespace) -> str:
    parts = [
        "# Seconds for one analysis",
        "Written by `python benchmarks/speed.py --write`; [README.md](README.md) says what is timed.",
        _machine(options),
        "## All tools",
        "Median ms, and in brackets the multiple of FlopCounterMode. *failed*: the tool cannot analyse the model; the "
        "error's class is given.",
        _models(results),
        "## The targets",
        "*warm*: the same model again, medians, as a multiple of FlopCounterMode's time on meta. *best runs*: the same, but "
        "the fastest run of each, which a busy machine disturbs less. *of fastest peer*: warm, as a multiple of whichever peer "
        "was the fastest. *of bare*: warm, as a multiple of the model's own Python code with its module calls, all ops at no "
        "cost. *memos emptied*: fxcount has to work out every size again. *first*: the first analysis of a new process, both "
        "tools. Beside a multiple stands the most that it is to be.",
        _targets(results),
    ]
    if results.long:
        parts.append("## Models of many calls\n\n" + _long(results))
    if results.variants:
        parts.append("## The same with other symbols\n\n" + _variants(results))
    if results.layers:
        parts.append("## The Llama of 405B parameters, symbolic in B and S\n\n" + _llama(results))
    if results.imports:
        parts.append("## Importing, in a process that has torch\n\n" + _imports(results))
    return "\n\n".join(parts)


def _machine(options: argparse.Namespace) -> str:
    return (
        f"torch {torch.__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads; "
        f"{3 if options.quick else options.repeat} interleaved runs after one to warm up."
    )


def _models(results: Results) -> str:
    tools = list(dict.fromkeys(tool for timings in results.models.values() for tool in timings))
    rows = [
        [tool, *(cell(timings[tool], timings[REFERENCE.name].median) for timings in results.models.values())]
        for tool in tools
    ]
    return table(["ms", *(f"{name} {CASES[name].spec}" for name in results.models)], rows)


def _targets(results: Results) -> str:
    rows = []
    for name, timings in results.models.items():
        mine, emptied, bare, other = (timings[t.name].median for t in (FXCOUNT, EMPTIED, BARE, REFERENCE))
        first = results.first.get(name, {})
        cold, cold_other = first.get(FXCOUNT.name), first.get(REFERENCE.name)
        best = ratio(timings[FXCOUNT.name].best, timings[REFERENCE.name].best)
        rows.append([
            name, milliseconds(mine), milliseconds(other), _against(mine, other, TARGETS[name]), best,
            _against(mine, _fastest_peer(timings), PEER_TARGET), milliseconds(bare), _against(mine, bare, BARE_TARGET),
            _against(emptied, other, EMPTIED_TARGET), milliseconds(cold), milliseconds(cold_other),
            _against(cold, cold_other, FIRST_TARGET),
        ])  # fmt: skip
    head = ["model", "fxcount ms", "FlopCounterMode ms", "warm", "best runs", "of fastest peer", "bare ms", "of bare",
            "memos emptied", "first ms", "first, FlopCounterMode ms", "first"]  # fmt: skip
    return table(head, rows)


def _long(results: Results) -> str:
    rows = []
    for name, timings in results.long.items():
        mine, emptied, bare, other = (timings[t.name].median for t in (FXCOUNT, EMPTIED, BARE, REFERENCE))
        target = TARGETS.get(name)
        rows.append([
            name, milliseconds(mine), milliseconds(other), _against(mine, other, target), milliseconds(bare),
            _against(mine, bare, BARE_TARGET), _against(emptied, other, EMPTIED_TARGET),
        ])  # fmt: skip
    return table(["model", "fxcount ms", "FlopCounterMode ms", "warm", "bare ms", "of bare", "memos emptied"], rows)


def _against(mine: float | None, other: float | None, target: float | None) -> str:
    """The multiple, the most that it is to be, and whether it is."""
    multiple = ratio(mine, other)
    if target is None or not mine or not other:
        return multiple
    return f"{mine / other:.3f}x <= {target:g}: {verdict(mine, target * other)}"


def _fastest_peer(timings: dict[str, Timing]) -> float | None:
    """The median of the fastest tool other than fxcount."""
    mine = (FXCOUNT.name, EMPTIED.name, BARE.name)
    return min((t.median for t in timings.values() if t.median is not None and t.tool not in mine), default=None)


def _variants(results: Results) -> str:
    rows = []
    for name, timings in results.variants.items():
        mine, emptied, other = (timings[tool.name].median for tool in (FXCOUNT, EMPTIED, REFERENCE))
        rows.append([name, milliseconds(mine), milliseconds(other), ratio(mine, other), ratio(emptied, other)])
    return table(["model and input", "fxcount ms", "FlopCounterMode ms", "warm", "memos emptied"], rows)


def _llama(results: Results) -> str:
    rows = [[str(count), *_layer_cells(count, found)] for count, found in results.layers.items()]
    lines = [table(["layers", "first ms", "memos emptied ms", "warm ms", "warm ms per layer", "error"], rows)]
    largest = results.layers[max(results.layers)]
    for what, key in (("first analysis", "first"), ("warm", "median")):
        if key in largest:
            found = largest[key]
            lines.append(f"At most 0.12 s for {max(LAYERS)} layers: {found:.3f} s, {verdict(found, 0.12)} ({what}).")
    kept = results.memory.get("python", {})
    if "held" in kept:
        held, first = kept["held"], kept["first"]
        lines.append(
            f"At most 10 MB kept by the report of {max(LAYERS)}: {held / 1e6:.1f} MB, {verdict(held, 10e6)} (a second one; "
            f"with the first of a process all that is imported for it and remembered: {first / 1e6:.1f} MB)."
        )
    limit = 300e6
    lines += [
        f"At most 300 MB over the built model, {what}: "
        + (f"{found['peak'] / 1e6:.0f} MB, {verdict(found['peak'], limit)}." if "peak" in found else found["error"])
        for what, found in zip(("peak of resident memory", "peak of Python's allocations"), results.memory.values())
    ]
    return "\n\n".join(lines)


def _layer_cells(count: int, found: dict[str, Any]) -> list[str]:
    if "error" in found:
        return ["-", "-", "-", "-", found["error"]]
    times = [milliseconds(found[key]) for key in ("first", "emptied", "median")]
    return [*times, milliseconds(found["median"] / count), ""]


def _imports(results: Results) -> str:
    rows = [[f"`{text}`", milliseconds(found), verdict(found, 0.060)] for text, found in results.imports.items()]
    return table(["statement", "ms", "<= 60 ms"], rows)


if __name__ == "__main__":
    raise SystemExit(main())
