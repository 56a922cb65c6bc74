"""A tool's number for a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from fxcount.report.views.conventions.convention import Item
from fxcount.report.views.conventions.records import Records
from fxcount.report.views.conventions.registry import convention
from fxcount.symbolic import Size, combination

if TYPE_CHECKING:
    from fxcount.report.data.report import ReportData

__all__ = ["count", "item_count"]


def count(report: ReportData, name: str) -> Size:
    """The sum over the items of convention ``name``, at the report's values where it has some."""
    found = convention(name)
    return combination([(item_count(report, item), item.times) for item in found.items(Records(report.trace, report.costs))])


def item_count(report: ReportData, item: Item) -> Size:
    """What one item counts of each call, in all steps of a loop; as the tool rounds it, once all sizes are numbers."""
    if item.numeric is not None and not report.symbols:
        found: Size = item.numeric(lambda size: cast(int, report.size(size)))
    else:
        found = report.size(item.count)
    turns = 1 if item.alike is None else item.alike.turns
    return found if turns == 1 else found * report.size(turns)
