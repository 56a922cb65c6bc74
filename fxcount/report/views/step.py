"""A training step on one screen: what is counted, where memory is largest, and what holds it there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fxcount.report.data.training import Place, TrainingData
from fxcount.report.views.saved.sizes import Write, size_text
from fxcount.wording import visible

__all__ = ["render", "to_dict"]

_WIDTH = 40
_KEEPING = 5


def render(report: TrainingData) -> str:
    """The text of :meth:`fxcount.TrainingReport.table`: at the report's sizes, or at the sample sizes, which it names, beside
    those that are fixed."""
    sizes = report.sizes
    at = report if not report.symbols else report.at(guess=True, **sizes)
    lines = [f"one training step of {visible(report.trace.model_name)} at {_shown_sizes(sizes)}", ""]
    lines += [
        f"  {name:<16}{value:>20,}" for name, value in (
            ("forward FLOPs", at.forward_flops), ("backward FLOPs", at.backward_flops), ("forward peak", at.forward_peak),
            ("peak", at.peak), ("optimizer's step", at.step_peak.later), ("total peak", at.total_peak),
        )
    ]  # fmt: skip
    if at.offloaded_bytes:
        lines.append(f"  {'kept on the CPU':<16}{at.offloaded_bytes:>20,}")
    lines += ["", f"the total peak is at {_place(at.total_peak_place)}; bytes held there", ""]
    held = at.held()
    lines += [f"  {name:<16}{held[name]:>20,}  {_bar(held[name], at.total_peak)}" for name in _ORDER if held.get(name)]
    rows = sorted(at.by_module(), key=lambda row: -row.saved_bytes)[:_KEEPING]
    kept = [row for row in rows if row.saved_bytes]
    if kept:
        lines += ["", f"the modules that save most for the backward, of {at.saved_bytes:,} bytes", ""]
        width = max(len(visible(row.path) or row.class_name) for row in kept)
        lines += [
            f"  {visible(row.path) or row.class_name:<{width}}  {row.saved_bytes:>20,}  {_bar(row.saved_bytes, at.saved_bytes)}"
            for row in kept
        ]
    if report.uncounted:
        lines += ["", f"FLOPs are lower bounds: {len(report.uncounted)} calls have no cost rule"]
    return "\n".join([*lines, *[f"note: {visible(note)}" for note in report.notes]])


def to_dict(report: TrainingData, write: Write = size_text) -> dict[str, Any]:
    """Totals, phases and modules as plain data: integers, or the texts of formulas while symbols remain; places and what is
    held are those at the report's sizes, or at the sample sizes. ``write`` gives the text of a formula."""
    steps = report.step_peak_place
    return {
        "model": report.trace.model_name, "symbols": dict(report.symbols), "at": report.values, "fixed": dict(report.fixed),
        "totals": {name: write(report.size(size)) for name, size in report.formulas().items()},
        "places": {
            "forward_peak": str(report.forward_peak_place), "peak": str(report.peak_place),
            "step_peak": None if steps is None else str(steps), "total_peak": str(report.total_peak_place),
        },
        "held": report.held(),
        "phases": [{"name": p.name, "round": p.round, "calls": len(p.calls)} for p in report.phases],
        "modules": [
            {
                "path": row.path, "class": row.class_name, "forward_flops": _shown(row.forward_flops),
                "backward_flops": _shown(row.backward_flops), "saved_bytes": _shown(row.saved_bytes),
            }
            for row in report.by_module()
        ],
        "assumptions": [
            {"text": str(a), "kind": a.kind, "reason": a.reason, "where": a.where, "line": a.line} for a in report.assumptions
        ],
        "notes": report.notes,
    }  # fmt: skip


def _shown(number: Any) -> int | str:
    return number if isinstance(number, int) else str(number)


_ORDER = ("parameters", "buffers", "gradients", "states", "inputs", "saved", "temporaries")


def _shown_sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={size}" for name, size in sizes.items()) or "the sizes given"


def _place(place: Place) -> str:
    return visible(str(place))


def _bar(part: int, whole: int) -> str:
    """
    >>> _bar(1, 4), _bar(0, 4)
    ('########## 25%', '0%')
    """
    share = part / whole if whole else 0.0
    return f"{'#' * round(_WIDTH * share)} {share:.0%}".strip()
