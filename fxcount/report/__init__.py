"""The report and its views.

``data/`` holds totals, rows and ``at()``, and knows no view; ``views/`` turn data into text, tables and graphs; ``formats``
lists the views by name; ``report`` puts them together.
"""

from __future__ import annotations

from fxcount.report.data.report import MemoryView
from fxcount.report.formats import FORMATS
from fxcount.report.report import Report

__all__ = ["FORMATS", "MemoryView", "Report"]
