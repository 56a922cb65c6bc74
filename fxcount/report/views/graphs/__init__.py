"""The report as a graph: networkx, JSON that can be read back, DOT, GraphML, GEXF."""

from __future__ import annotations

from fxcount.report.views.graphs.network import flow, to_networkx
from fxcount.report.views.graphs.nodelink import schema, to_graph_json

__all__ = ["flow", "schema", "to_graph_json", "to_networkx"]
