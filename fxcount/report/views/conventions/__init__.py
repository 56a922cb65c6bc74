"""Other tools' numbers as views on the records of one trace: what each counts, in which unit, and where it errs."""

from __future__ import annotations

from fxcount.report.views.conventions.convention import Convention, Item, Mistake
from fxcount.report.views.conventions.count import count
from fxcount.report.views.conventions.differences import ConventionRow, Difference, convention_rows
from fxcount.report.views.conventions.registry import CONVENTIONS, convention
from fxcount.report.views.conventions.render import render

__all__ = [
    "CONVENTIONS", "Convention", "ConventionRow", "Difference", "Item", "Mistake", "convention", "convention_rows", "count",
    "render",
]  # fmt: skip
