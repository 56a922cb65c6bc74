"""One row for each convention: its number, and by which ops it differs from the exact multiply-accumulates."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fxcount.report.views.conventions.convention import Convention
from fxcount.report.views.conventions.count import item_count
from fxcount.report.views.conventions.modules import batch_size
from fxcount.report.views.conventions.records import Records
from fxcount.report.views.conventions.registry import CONVENTIONS, convention
from fxcount.symbolic import Expr, Size, combination, floordiv, from_sympy, sum_, to_text

if TYPE_CHECKING:
    from fxcount.report.data.report import ReportData

__all__ = ["ConventionRow", "Difference", "convention_rows"]

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
    records = Records(report.trace, report.costs)
    return [_row(report, convention(name), records) for name in (CONVENTIONS if names is None else names)]


def _row(report: ReportData, c: Convention, records: Records) -> ConventionRow:
    """The number of one convention taken apart."""
    trace = report.trace
    batch = batch_size(trace) if c.per == "sample" else 1
    groups: dict[tuple[str, str], Counter[tuple[Size, Size]]] = {}  # what the tool counts and what is exact, how many times
    scaled = {macs: floordiv(macs * c.per_mac, batch) for macs in set(records.macs.values())} if c.per_mac else {}
    open_calls = {i: scaled[macs] for i, macs in records.macs.items()} if c.per_mac else {}
    for item in c.items(records):
        exact = sum_([open_calls.pop(i) for i in item.calls if i in open_calls]) if open_calls else 0
        groups.setdefault((item.kind, item.rule), Counter())[item_count(report, item), report.size(exact)] += 1
    for i, exact in open_calls.items():
        groups.setdefault((trace.calls[i].op.name, NOT_COUNTED), Counter())[0, report.size(exact)] += 1
    parts = [
        Difference(kind, rule, found.total(), *[combination([(pair[k], n) for pair, n in found.items()]) for k in (0, 1)])
        for (kind, rule), found in groups.items()
    ]
    hint = trace.scope.hint
    parts.sort(key=lambda d: -abs(hint(d.amount)))
    number, exact = sum_([d.count for d in parts]), sum_([d.exact for d in parts])
    return ConventionRow(c, number, exact, tuple(d for d in parts if d.amount != 0))


def _plain(size: Any) -> int | str:
    return size if isinstance(size, int) else to_text(size if isinstance(size, Expr) else from_sympy(size))
