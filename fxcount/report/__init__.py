"""The report and its views.

``data/`` holds totals, rows and ``at()``, and knows no view; ``views/`` turn data into text, tables and graphs; ``formats``
lists the views by name; ``report`` puts them together.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fxcount.report.formats import FORMATS

if TYPE_CHECKING:
    from fxcount.report.data.report import MemoryView
    from fxcount.report.report import Report

__all__ = ["FORMATS", "MemoryView", "Report"]


def __getattr__(name: str) -> Any:
    """The classes on first use: a help text needs the table of formats alone."""
    home = {"MemoryView": "fxcount.report.data.report", "Report": "fxcount.report.report"}.get(name)
    if home is None:
        raise AttributeError(f"module 'fxcount.report' has no attribute {name!r}")
    found = getattr(importlib.import_module(home), name)
    globals()[name] = found
    return found
