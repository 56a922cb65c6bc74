"""Node-link JSON, which networkx reads, with the whole report beside it, which :func:`fxcount.load` reads back.

The top level is networkx' own (``nodes``, ``edges``, ``graph``, ``directed``, ``multigraph``) and one more key,
``report``: the tape with its tables. ``graph.schema.json`` in this directory describes all of it.
"""

from __future__ import annotations

import json
from typing import Any

from fxcount.report.data.report import ReportData
from fxcount.report.views.graphs.network import GRAPH_SCHEMA_VERSION, to_networkx
from fxcount.report.views.saved.header import header, schema
from fxcount.report.views.saved.written import family
from fxcount.trace.torch_patch.active import no_collection

__all__ = ["body", "schema", "to_graph_json", "to_node_link"]


def to_node_link(report: ReportData, depth: int | None = None) -> dict[str, Any]:
    """What :func:`to_graph_json` writes, as dicts and lists."""
    import networkx as nx

    data: dict[str, Any] = nx.node_link_data(to_networkx(report, depth), edges="edges")
    return {**data, **{key: part for key, part in body(report).items() if key != "graph"}}


def body(report: ReportData) -> dict[str, Any]:
    """What :func:`fxcount.load` reads: the version, the analysis, and the others of its family."""
    return {**header("report"), "graph": {"fxcount_schema": GRAPH_SCHEMA_VERSION}, **family(report)}


def to_graph_json(report: ReportData, depth: int | None = None, indent: int | None = None) -> str:
    """The graph and the whole report as JSON text; the same report always gives the same text.

    ``depth`` collapses modules in the graph, and leaves the report whole. Integers are exact and of any size.
    """
    with no_collection():
        return json.dumps(to_node_link(report, depth), indent=indent, allow_nan=False)
