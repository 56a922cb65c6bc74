"""One row for each convention: its number, and by which ops it differs from the exact multiply-accumulates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from fxcount.dataclass import dataclass
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
    alike: dict[tuple[str, str, int, int], list[Any]] = {}  # what the tool counts and what is exact, how many times
    scaled = {macs: floordiv(macs * c.per_mac, batch) for macs in set(records.macs.values())} if c.per_mac else {}
    open_calls = {i: scaled[macs] for i, macs in records.macs.items()} if c.per_mac else {}
    for item in c.items(records):
        calls = item.calls
        if not open_calls:
            exact: Size = 0
        elif len(calls) == 1:
            exact = open_calls.pop(calls.start, 0)
        else:
            exact = sum_([open_calls.pop(i) for i in calls if i in open_calls])
        _add(alike, item.kind, item.rule, item.count if item.numeric is None else item_count(report, item), exact)
    for i, exact in open_calls.items():
        _add(alike, trace.calls[i].op.name, NOT_COUNTED, 0, exact)
    groups: dict[tuple[str, str], list[tuple[Size, Size, int]]] = {}
    for (kind, rule, _, _), (count, exact, n) in alike.items():
        groups.setdefault((kind, rule), []).append((report.size(count), report.size(exact), n))
    parts = [
        Difference(
            kind, rule, sum([n for _, _, n in found]), combination([(count, n) for count, _, n in found]),
            combination([(exact, n) for _, exact, n in found]),
        )
        for (kind, rule), found in groups.items()
    ]  # fmt: skip
    hint = trace.scope.hint
    parts.sort(key=lambda d: -abs(hint(d.amount)))
    number, exact = sum_([d.count for d in parts]), sum_([d.exact for d in parts])
    return ConventionRow(c, number, exact, tuple(d for d in parts if d.amount != 0))


def _add(alike: dict[tuple[str, str, int, int], list[Any]], kind: str, rule: str, count: Size, exact: Size) -> None:
    """One more of a kind. Calls alike share their sizes, so these are told apart by identity: there are tens of thousands."""
    key = kind, rule, id(count), id(exact)
    found = alike.get(key)
    if found is None:
        alike[key] = [count, exact, 1]
    else:
        found[2] += 1


def _plain(size: Any) -> int | str:
    return size if isinstance(size, int) else to_text(size if isinstance(size, Expr) else from_sympy(size))
