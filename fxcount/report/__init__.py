"""The report and its views."""

from __future__ import annotations

from fxcount.report.data.report import MemoryView, Report

__all__ = ["MemoryView", "Report"]
