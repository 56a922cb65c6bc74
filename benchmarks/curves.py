"""How long curves take: CPU seconds of one thread, each the best of three, against what they have to stay below.

    python -m benchmarks.curves [--write benchmarks/CURVES.md]

A curve of Swin-T's resolutions, from a report nobody has asked anything yet; a thousand points of ResNet-50; a million of
Swin-T's FLOPs in one piece, compared with exact integers at some; and the peak of Swin-T's memory against its own trace.
Last, stride-2 and stride-3 convolutions with resizes, 24 deep, in free H and W: the analysis, and the characters of its text.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import fxcount
from benchmarks.depth import Resized
from fxcount.adapters import torchvision_ops  # noqa: F401  (declares the ops where the library has none)
from fxcount.symbolic import evaluate, evaluate_many

TIMES = 3


def best(measured: Callable[..., Any], prepare: Callable[[], tuple[Any, ...]] = tuple) -> tuple[float, Any]:
    """CPU seconds of the quickest of some runs, and what the last one gave; making its arguments is not timed."""
    found, result = float("inf"), None
    for _ in range(TIMES):
        arguments = prepare()
        start = time.process_time()
        result = measured(*arguments)
        found = min(found, time.process_time() - start)
    return found, result


def rows() -> Iterator[tuple[str, float, str, str]]:
    """What was measured: its name, seconds, the bound, and a remark."""
    from torchvision.models import resnet50, swin_t

    with torch.device("meta"):
        swin, resnet = swin_t(weights=None).eval(), resnet50(weights=None).eval()

    def analysed() -> tuple[Any]:
        return (fxcount.analyze(swin, "B,3,H,W"),)

    analysed()  # warms up
    seconds, curve = best(lambda report: report.curve(H=range(224, 1025, 32), W="H", B=1), analysed)
    answered = sum(n is not None for n in curve.columns["macs"])
    yield "Swin-T, 26 points, from a fresh report", seconds, "0.5 s", f"{answered} points, {len(curve.pieces)} pieces"
    report = fxcount.analyze(resnet, "B,3,H,W")
    seconds, curve = best(lambda: report.curve(H=range(64, 1064), W="H", B=1))
    yield "ResNet-50, 1000 points", seconds, "0.05 s", f"{len(curve.pieces)} piece"
    (report,) = analysed()
    flops = report.costs.total.flops
    high, wide = (a.ravel() for a in np.meshgrid(np.arange(228, 1228), np.arange(228, 1228)))
    points = {"H": high, "W": wide, "B": 3}
    seconds, (counts,) = best(lambda: evaluate_many([flops], points))
    for i in range(0, len(counts), 9973):
        assert counts[i] == evaluate(flops, {"H": int(high[i]), "W": int(wide[i]), "B": 3})
    yield "Swin-T, 10^6 points of flops", seconds, "1 s", f"{counts.dtype}"
    traced, _ = best(analysed)
    seconds, _ = best(lambda report: report.memory.peak, analysed)
    yield "Swin-T, memory.peak", seconds, f"{traced:.3f} s, its trace", ""
    for scale in (2, 3):
        model = Resized(24, scale)
        hints = {"H": 1021, "W": 1019}
        seconds, deep = best(lambda: fxcount.analyze(model, "B,3,H,W", hints=hints))  # noqa: B023
        yield f"24 strided convolutions, resizes by {scale}", seconds, "0.05 s", f"{len(str(deep)):,} characters of text"


def table() -> str:
    """The page."""
    how = f"CPU seconds of one thread, best of {TIMES}, on a shared machine"
    head = ["# Curves", "", f"`python -m benchmarks.curves`, torch {torch.__version__}: {how}.", ""]
    lines = ["| measured | s | has to stay below | |", "|:--|--:|--:|:--|"]
    lines += [f"| {name} | {seconds:.3f} | {bound} | {remark} |" for name, seconds, bound, remark in rows()]
    return "\n".join([*head, *lines]) + "\n"


def main() -> None:
    """Print the page, or write it as well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", metavar="FILE.md", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    page = table()
    print(page)
    if options.write:
        options.write.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
