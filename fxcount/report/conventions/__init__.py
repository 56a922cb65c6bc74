"""Other tools' numbers as views on the records of one trace: what each counts, in which unit, and where it errs."""

from __future__ import annotations

from fxcount.report.conventions.convention import Convention, Item, Mistake
from fxcount.report.conventions.count import count
from fxcount.report.conventions.registry import CONVENTIONS, convention
from fxcount.report.conventions.render import render
from fxcount.report.conventions.rows import ConventionRow, Difference, convention_rows

__all__ = [
    "CONVENTIONS", "Convention", "ConventionRow", "Difference", "Item", "Mistake", "convention", "convention_rows", "count",
    "render",
]  # fmt: skip
