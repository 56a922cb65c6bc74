"""One row for each convention: its number, and by which ops it differs from the exact multiply-accumulates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fxcount.report.views.conventions.convention import Convention
from fxcount.report.views.conventions.count import item_count
from fxcount.report.views.conventions.modules import batch_size
from fxcount.report.views.conventions.registry import CONVENTIONS, convention
from fxcount.symbolic import Expr, Size, floordiv, from_sympy, sum_, to_text

if TYPE_CHECKING:
    from fxcount.report.data.report import ReportData

__all__ = ["ConventionRow", "Difference", "convention_row", "convention_rows"]

NOT_COUNTED = "not counted"


@dataclass(frozen=True, slots=True)
class Difference:
    """Calls of one kind under one rule: what the tool counts and what their exact multiply-accumulates are in its unit."""

    kind: str
    rule: str
    calls: int
    count: Any
    exact: Any

    @property
    def amount(self) -> Any:
        """What the tool counts too much; negative: too little."""
        return self.count - self.exact

    def to_dict(self) -> dict[str, Any]:
        """Plain data; formulas as text."""
        sizes = {"count": self.count, "exact": self.exact, "difference": self.amount}
        return {"kind": self.kind, "rule": self.rule, "calls": self.calls, **{k: _plain(v) for k, v in sizes.items()}}


@dataclass(frozen=True, slots=True)
class ConventionRow:
    """A tool's number, and ``differences`` from ``exact`` (macs in the tool's unit; 0 for bytes), largest first.

    The differences add up to ``number - exact``; kinds of call that are counted exactly are left out. For a quantity that
    is no work (bytes, elements) they are its parts.
    """

    convention: Convention
    number: Any
    exact: Any
    differences: tuple[Difference, ...]

    def with_sizes(self, to: Callable[[Size], Any]) -> ConventionRow:
        """The row with each count turned into something else, as sympy's formulas."""
        parts = [dataclasses.replace(d, count=to(d.count), exact=to(d.exact)) for d in self.differences]
        return ConventionRow(self.convention, to(self.number), to(self.exact), tuple(parts))

    def to_dict(self) -> dict[str, Any]:
        """Plain data; formulas as text."""
        c = self.convention
        return {
            "convention": c.name, "tool": c.tool, "unit": c.quantity, "per_mac": c.per_mac, "per": c.per,
            "number": _plain(self.number), "exact": _plain(self.exact), "includes": c.includes, "excludes": c.excludes,
            "versions": c.versions, "source": c.source,
            "mistakes": [{"name": m.name, "what": m.what, "copied": m.copied} for m in c.mistakes],
            "differences": [d.to_dict() for d in self.differences],
        }  # fmt: skip


def convention_rows(report: ReportData, names: Iterable[str] | None = None) -> list[ConventionRow]:
    """Rows of the conventions called ``names``; of all without."""
    return [convention_row(report, convention(name)) for name in (CONVENTIONS if names is None else names)]


def convention_row(report: ReportData, c: Convention) -> ConventionRow:
    """The number of one convention taken apart."""
    trace, costs = report.trace, report.costs
    batch = batch_size(trace) if c.per == "sample" else 1
    groups: dict[tuple[str, str], list[tuple[Size, Size]]] = {}
    open_calls = {
        call.index: floordiv(costs.of(call).macs * c.per_mac, batch) for call in trace.calls if costs.of(call).macs != 0
    }
    for item in c.items(trace, costs):
        inside = [i for i in item.calls if i in open_calls] if c.per_mac else []
        exact = sum_([open_calls.pop(i) for i in inside])
        groups.setdefault((item.kind, item.rule), []).append((item_count(report, item), report.size(exact)))
    if c.per_mac:
        for i, exact in open_calls.items():
            groups.setdefault((trace.calls[i].op.name, NOT_COUNTED), []).append((0, report.size(exact)))
    parts = [
        Difference(kind, rule, len(found), sum_([n for n, _ in found]), sum_([n for _, n in found]))
        for (kind, rule), found in groups.items()
    ]
    hint = trace.scope.hint
    parts.sort(key=lambda d: -abs(hint(d.amount)))
    number, exact = sum_([d.count for d in parts]), sum_([d.exact for d in parts])
    return ConventionRow(c, number, exact, tuple(d for d in parts if d.amount != 0))


def _plain(size: Any) -> int | str:
    return size if isinstance(size, int) else to_text(size if isinstance(size, Expr) else from_sympy(size))
