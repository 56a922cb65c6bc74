"""TRAINING.md: what the records of benchmarks/training.py say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["summary"]

Record = dict[str, Any]
_TITLES = {
    "table": "The table of steps", "timm": "One model of each family of timm, in train mode",
    "transformers": "Types of transformers, in train mode", "optimizers": "Steps of optimizers",
    "ways": "Ways to train", "functions": "Functions of torch, each at two sizes", "cost": "The time of an analysis",
}  # fmt: skip


def summary(records: list[Record]) -> str:
    """The page, from the records of one run."""
    lines = [
        "# Training steps", "",
        "`python -m benchmarks.training` runs real steps on the CPU and compares: bytes alive at the end of a top-level op at "
        "most (`peak`, torch's profiler: plain eager), the same to a tracker of dispatched ops (`tracker_peak`), what "
        "is saved, and FLOPs as torch's FlopCounterMode counts them (`count(\"torch\")`). Sizes are not the hints.",
        *_earlier(records),
        f"torch {', '.join(sorted({r['torch'] for r in records if 'torch' in r}))}.", "",
    ]  # fmt: skip
    for family, title in _TITLES.items():
        own = [r for r in records if r["family"] == family]
        if own:
            lines += [f"## {title}", "", *(_cost(own) if family == "cost" else _compared(own)), ""]
    return "\n".join(lines)


def _earlier(records: list[Record]) -> Iterator[str]:
    """Rows of a run before the last changes are told apart."""
    earlier = sum(bool(r.get("earlier")) for r in records)
    if earlier:
        yield (
            f"{earlier} of the {len(records)} rows were made at an earlier state of the code, and are marked *: what they miss "
            "may be mended since. A row that is made again takes their place."
        )


def _name(r: Record) -> str:
    return f"{r['name']}*" if r.get("earlier") else str(r["name"])


def _compared(records: list[Record]) -> Iterator[str]:
    from benchmarks.steps.compare import names

    ran = [r for r in records if r.get("checks")]
    left = len(names(records[0]["family"])) - len(records)
    yield f"{len(records)} rows, {len(ran)} compared" + (f"; {left} more of this family were not run." if left > 0 else ".")
    yield ""
    yield "| quantity | compared | equal | within 0.1% | largest difference |"
    yield "|:--|--:|--:|--:|:--|"
    for key in dict.fromkeys(key for r in ran for key in r["checks"]):
        pairs = [(_name(r), *r["checks"][key]) for r in ran if key in r["checks"]]
        equal = sum(ours == theirs for _, ours, theirs in pairs)
        near = sum(abs(ours - theirs) <= 0.001 * theirs for _, ours, theirs in pairs)
        name, ours, theirs = max(pairs, key=lambda p: abs(p[1] - p[2]) / max(p[2], 1))
        worst = f"{name}: {ours - theirs:+} ({(ours - theirs) / max(theirs, 1):+.2%})" if ours != theirs else ""
        yield f"| {key} | {len(pairs)} | {equal} | {near} | {worst} |"
    yield from _apart(records)


def _apart(records: Iterable[Record]) -> Iterator[str]:
    """What differs or did not run, row by row."""
    rows = []
    for r in records:
        off = [f"{k} {a - b:+} of {b}" for k, (a, b) in r.get("checks", {}).items() if a != b]
        failed = r.get("error") or r.get("stopped")
        if off or failed:
            rows.append(f"| {_name(r)} | {'; '.join(off)} | {_short(str(failed or ''))} |")
    if rows:
        yield ""
        yield "| not equal, or not run | difference | error |"
        yield "|:--|:--|:--|"
        yield from rows


def _short(error: str) -> str:
    """The beginning of a message, without the folders of this machine."""
    return re.sub(r"(?<![\w.])/\S*/(?=\S+)", "", error).replace("|", "/")[:160]


def _cost(records: list[Record]) -> Iterator[str]:
    yield (
        "Milliseconds of processor time, the fastest of six; the forward is `fxcount.analyze`. Beside them the numbers of one "
        "size: forward and backward on meta under torch's FlopCounterMode and MemTracker, the faster of two; none where the "
        "model asks for data."
    )
    yield ""
    yield "| model | forward | step | step / forward | at the first analysis | FlopCounterMode | MemTracker |"
    yield "|:--|--:|--:|--:|--:|--:|--:|"
    for r in records:
        if "ratio" in r:
            peers = [f"{r[key]:.1f}" if key in r else "" for key in ("flop_counter_ms", "mem_tracker_ms")]
            times = [f"{r['forward_ms']:.1f}", f"{r['step_ms']:.1f}", r["ratio"], r["first_ratio"], *peers]
            yield f"| {_name(r)} | {' | '.join(map(str, times))} |"
        else:
            yield f"| {_name(r)} | | | {r.get('error') or r.get('stopped')} | | | |"
