"""``fxcount.report.graphs``, where it was before views had a folder of their own: existing imports keep working."""

from __future__ import annotations

from fxcount.report.load import load_report
from fxcount.report.views.graphs import flow, schema, to_graph_json, to_networkx

__all__ = ["flow", "load_report", "schema", "to_graph_json", "to_networkx"]
