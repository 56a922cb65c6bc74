"""A training step on one screen: what is counted, where memory is largest, and what holds it there."""

from __future__ import annotations

from fxcount.report.data.training import Place, TrainingData
from fxcount.wording import visible

__all__ = ["render"]

_WIDTH = 40
_KEEPING = 5


def render(report: TrainingData) -> str:
    """The text of :meth:`fxcount.TrainingReport.table`: at the report's sizes, or at the sample sizes, which it names."""
    at = report if not report.symbols else report.at(guess=True, **report.trace.scope.hints)
    lines = [f"one training step of {visible(report.trace.model_name)} at {_sizes(report)}", ""]
    lines += [
        f"  {name:<16}{value:>20,}" for name, value in (
            ("forward FLOPs", at.forward_flops), ("backward FLOPs", at.backward_flops), ("forward peak", at.forward_peak),
            ("peak", at.peak), ("optimizer's step", at.step_peak.later), ("total peak", at.total_peak),
        )
    ]  # fmt: skip
    lines += ["", f"the total peak is at {_place(at.total_peak_place)}; bytes held there", ""]
    held = at.held()
    lines += [f"  {name:<16}{held[name]:>20,}  {_bar(held[name], at.total_peak)}" for name in _ORDER if held[name]]
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


_ORDER = ("parameters", "buffers", "gradients", "states", "inputs", "saved", "temporaries")


def _sizes(report: TrainingData) -> str:
    sizes = report.sizes if report.values is not None else report.trace.scope.hints
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
