"""Work by the stack of modules, as profilers show time: speedscope, and folded stacks for flame graphs.

A frame is a module, named by its attribute and its class, and on top of the stack the op; the weight is what the op costs at
the report's sizes, or at the hints.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fxcount.errors import InputError
from fxcount.report.data.rows import COUNTS
from fxcount.symbolic import evaluate
from fxcount.wording import visible

if TYPE_CHECKING:
    from fxcount.report.data.report import ReportData

__all__ = ["to_folded", "to_speedscope"]

_IN_SPEEDSCOPE = ("macs", "flops", "read_bytes", "write_bytes")


def to_folded(report: ReportData, count: str = "macs") -> str:
    """Folded stacks, which flamegraph.pl, inferno and speedscope read: ``model;layer;op 105``, one line for each stack.

    >>> import torch, fxcount
    >>> print(to_folded(fxcount.analyze(torch.nn.Sequential(torch.nn.Linear(3, 5)), "7,3")), end="")
    Sequential;0: Linear;linear 105
    """
    if count not in COUNTS:
        raise InputError(f"ops have no {count!r}", hint=f"use one of {', '.join(COUNTS)}")
    stacks: dict[str, int] = {}
    numbers = _numbers(report, (count,))
    for stack, index in _stacks(report):
        number = numbers[id(report.trace.calls[index].signature)][0]
        if number:
            key = ";".join(frame.replace(";", ",") for frame, _ in stack)
            stacks[key] = stacks.get(key, 0) + number
    return "".join(f"{stack} {number}\n" for stack, number in stacks.items())


def to_speedscope(report: ReportData) -> str:
    """A file for https://www.speedscope.app, with a profile each for macs, flops and bytes read and written."""
    frames: dict[tuple[str, str], int] = {}
    samples: list[list[int]] = []
    order: list[int] = []
    for stack, index in _stacks(report):
        samples.append([frames.setdefault(frame, len(frames)) for frame in stack])
        order.append(index)
    numbers = _numbers(report, _IN_SPEEDSCOPE)
    profiles = []
    for i, count in enumerate(_IN_SPEEDSCOPE):
        weights = [numbers[id(report.trace.calls[index].signature)][i] for index in order]
        profiles.append({
            "type": "sampled", "name": count, "unit": "bytes" if count.endswith("bytes") else "none", "startValue": 0,
            "endValue": sum(weights), "samples": samples, "weights": weights,
        })  # fmt: skip
    return json.dumps({
        "$schema": "https://www.speedscope.app/file-format-schema.json", "name": report.trace.model_name, "exporter": "fxcount",
        "activeProfileIndex": 0, "shared": {"frames": [_frame(*frame) for frame in frames]}, "profiles": profiles,
    })  # fmt: skip


def _frame(name: str, where: str) -> dict[str, Any]:
    file, colon, line = where.rpartition(":")
    return {"name": name, **({"file": file, "line": int(line)} if colon and line.isdecimal() else {})}


def _stacks(report: ReportData) -> list[tuple[list[tuple[str, str]], int]]:
    """For each call the frames from the model to the op, each with its place; and the number of the call."""
    trace = report.trace
    above: dict[int, list[tuple[str, str]]] = {-1: []}
    for m in trace.modules:  # callers come before those they call
        name = f"{m.path.rpartition('.')[2]}: {m.class_name}" if m.path else m.class_name
        above[m.index] = [*above[m.parent], (visible(name), "")]
    return [([*above[c.module], (visible(c.op.name), str(c.source or ""))], c.index) for c in trace.calls]


def _numbers(report: ReportData, counts: tuple[str, ...]) -> dict[int, list[int]]:
    """The counts of each signature at the report's sizes."""
    values = report.sizes
    return {key: [int(evaluate(getattr(c, n), values)) for n in counts] for key, c in report.costs.by_signature.items()}
