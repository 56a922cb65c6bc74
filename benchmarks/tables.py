"""Markdown tables of measured times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.timing import Timing

__all__ = ["cell", "milliseconds", "ratio", "rows_of", "table", "verdict"]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table: the first column left, the others right.

    >>> print(table(["model", "ms"], [["resnet50", "15"]]))
    | model    | ms |
    |:---------|---:|
    | resnet50 | 15 |
    """
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = ["| " + " | ".join(_aligned(line, widths)) + " |" for line in lines]
    rule = [":" + "-" * (widths[0] + 1), *("-" * (w + 1) + ":" for w in widths[1:])]
    return "\n".join([text[0], "|" + "|".join(rule) + "|", *text[1:]])


def rows_of(page: str) -> list[list[str]]:
    """The cells of each line of the tables of a page, heads and rules among them.

    >>> rows_of(table(["model", "ms"], [["resnet50", "15"]]))[-1]
    ['resnet50', '15']
    """
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]


def _aligned(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:]))]


def milliseconds(seconds: float | None) -> str:
    """Three figures, in ms."""
    if seconds is None:
        return "-"
    ms = 1000 * seconds
    return f"{ms:.2f}" if ms < 10 else f"{ms:.1f}" if ms < 100 else f"{ms:.0f}"


def ratio(mine: float | None, other: float | None) -> str:
    """``mine`` as a multiple of ``other``."""
    return "-" if mine is None or not other else f"{mine / other:.2f}x"


def cell(timing: Timing, reference: float | None) -> str:
    """The median in ms with its ratio to the reference, or how the tool failed."""
    if timing.median is None:
        return f"failed: {timing.error}"
    place = " on cpu" if timing.device != "meta" else ""
    return f"{milliseconds(timing.median)}{place} ({ratio(timing.median, reference)})"


def verdict(mine: float | None, limit: float | None) -> str:
    """Whether a measured number keeps within its limit."""
    if mine is None or limit is None:
        return "not measured"
    return "yes" if mine <= limit else "NO"
