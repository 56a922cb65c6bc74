"""The table of conventions as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fxcount.report.views.conventions.differences import ConventionRow, Difference
from fxcount.report.views.units import count_text
from fxcount.symbolic import Expr, evaluate, from_sympy, to_text
from fxcount.wording import visible

if TYPE_CHECKING:
    from fxcount.report.data.report import ReportData

__all__ = ["render"]

_LONGEST_FORMULA = 110


def render(report: ReportData, rows: Sequence[ConventionRow], top: int = 3, details: bool = False) -> str:
    """One line for each convention and, under it, the ``top`` kinds of op by which it differs from the exact macs.

    With symbols, numbers are those at the hints, and a formula that is short enough follows; with ``details`` also what the
    tool includes and leaves out, the source of the rules and its known mistakes.
    """
    lines = [[row.convention.name, _number(report, row.number), row.convention.unit, _off(report, row)] for row in rows]
    head = ["convention", "number", "unit", "off exact MACs by"]
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(4)]
    text = [_title(report), "", _line(head, widths)]
    for row, line in zip(rows, lines, strict=True):
        text.append(_line(line, widths))
        text += [f"    {note}" for note in _notes(report, row, top, details)]
    return visible("\n".join(text), lines=True)


def _title(report: ReportData) -> str:
    values = report.sizes
    sizes = ", ".join(f"{name}={n}" for name, n in values.items())
    macs = f"{report.trace.model_name}: {evaluate(report.costs.total.macs, values):,} exact MACs"
    return macs + (f" at {sizes}" if sizes else "")


def _notes(report: ReportData, row: ConventionRow, top: int, details: bool) -> Iterator[str]:
    c = row.convention
    if not isinstance(row.number, int):
        formula = to_text(row.number if isinstance(row.number, Expr) else from_sympy(row.number))
        if details or len(formula) <= _LONGEST_FORMULA:
            yield f"= {formula}"
    shown = row.differences if details else row.differences[:top]
    yield from (_difference(report, d, not c.per_mac) for d in shown)
    if len(shown) < len(row.differences):
        yield f"and {len(row.differences) - len(shown)} more"
    if details:
        yield from _described("tool", f"{c.tool} ({c.versions})")
        yield from _described("includes", c.includes)
        yield from _described("leaves out", c.excludes)
        yield from _described("source", c.source)
        for m in c.mistakes:
            yield from _described("mistake", f"{m.name}: {m.what}" + ("" if m.copied else " (not reproduced)"))


def _described(what: str, text: str) -> list[str]:
    return textwrap.wrap(text, 118, initial_indent=f"{what + ':':<12}", subsequent_indent=" " * 12)


def _difference(report: ReportData, d: Difference, is_part: bool) -> str:
    amount = _number(report, d.amount) if is_part else _signed(report, d.amount)
    return f"{amount:>10}  {d.kind} x{d.calls}: {d.rule}"


def _off(report: ReportData, row: ConventionRow) -> str:
    if not row.convention.per_mac:
        return "-"
    return _signed(report, row.number - row.exact) if row.number - row.exact != 0 else "0"


def _signed(report: ReportData, size: Any) -> str:
    n = evaluate(size, report.sizes)
    return f"{'-' if n < 0 else '+'}{count_text(abs(n))}"


def _number(report: ReportData, size: Any) -> str:
    return count_text(evaluate(size, report.sizes))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, number, unit, off = cells
    return f"{name:<{widths[0]}}  {number:>{widths[1]}}  {unit:<{widths[2]}}  {off:>{widths[3]}}"
