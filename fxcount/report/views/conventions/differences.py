"""One row for each convention: its number, and by which ops it differs from the exact multiply-accumulates."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from fxcount.dataclass import dataclass
from fxcount.report.views.conventions.convention import Convention, Item
from fxcount.report.views.conventions.count import item_count
from fxcount.report.views.conventions.modules import ModuleSite
from fxcount.report.views.conventions.records import Records
from fxcount.report.views.conventions.registry import CONVENTIONS, convention
from fxcount.symbolic import Expr, Size, combination, from_sympy, sum_, to_text

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
    items = list(c.items(records))
    groups: defaultdict[tuple[str, str], _Group] = defaultdict(_Group)
    for item in items:
        group, times = groups[item.kind, item.rule], item.times
        group.calls += times
        group.counts.append((item_count(report, item), times))
    if c.per_mac:
        exact_of = records.exact(c.per_mac, c.per)
        for (owner, kind), n in _shares(records, items).items():
            if owner >= 0:
                group = groups[items[owner].kind, items[owner].rule]
            else:
                group = groups[records.op(records.ops[kind]).name, NOT_COUNTED]
                group.calls += n
            group.exact.append((report.size(exact_of[kind]), n))
    parts = [
        Difference(kind, rule, group.calls, combination(group.counts), combination(group.exact))
        for (kind, rule), group in groups.items()
    ]
    number, exact = sum_([d.count for d in parts]), sum_([d.exact for d in parts])
    hint = report.trace.scope.hint
    differ = sorted([(-abs(hint(amount)), i) for i, d in enumerate(parts) if (amount := d.amount) != 0])
    return ConventionRow(c, number, exact, tuple([parts[i] for _, i in differ]))


class _Group:
    """Items of one kind under one rule: how many calls, what the tool counts of them, and what is exact, each so many times."""

    __slots__ = ("calls", "counts", "exact")

    def __init__(self) -> None:
        self.calls = 0
        self.counts: list[tuple[Size, int]] = []
        self.exact: list[tuple[Size, int]] = []


def _shares(records: Records, items: Sequence[Item]) -> Counter[tuple[int, int]]:
    """Which item stands for which kind of op call with multiply-accumulates, or -1 for none, and for how many calls."""
    products = records.products
    owner = [-1] * len(records.trace.calls)
    numbered = [(number, item.alike) for number, item in enumerate(items) if item.alike is not None]
    for of_modules, found in groupby(reversed(numbered), lambda entry: isinstance(entry[1].site, ModuleSite)):
        if of_modules:
            by_site = {id(alike.site): number for number, alike in found}
            for site, calls in products.modules:
                if id(site) in by_site:
                    owner[calls.start : calls.stop] = [by_site[id(site)]] * len(calls)
        else:
            for number, alike in found:
                if alike.site.macs != 0:
                    for i in alike.calls:
                        owner[i] = number
    return Counter([(owner[i], kind) for i, kind in products.calls])


def _plain(size: Any) -> int | str:
    return size if isinstance(size, int) else to_text(size if isinstance(size, Expr) else from_sympy(size))
