"""Node-link JSON, which networkx reads, with the whole report beside it, which :func:`fxcount.load` reads back.

The top level is networkx' own (``nodes``, ``edges``, ``graph``, ``directed``, ``multigraph``) and two more keys,
``report``: the tape with its tables, and ``where``: what the names in formulas stand for, if any are
long. ``graph.schema.json`` in this directory describes all of it.
"""

from __future__ import annotations

import json
from typing import Any

from fxcount.report.data.report import ReportData
from fxcount.report.views.graphs.encode import family
from fxcount.report.views.graphs.network import graph_attributes, laid_out, to_networkx
from fxcount.report.views.graphs.nodes import plainly
from fxcount.report.views.saved.header import header, schema
from fxcount.report.views.saved.sizes import Write, shared
from fxcount.trace.torch_patch.active import no_collection

__all__ = ["schema", "to_graph_json", "to_node_link"]


def to_node_link(report: ReportData, depth: int | None = None) -> dict[str, Any]:
    """What :func:`to_graph_json` writes, as dicts and lists."""


    def made(write: Write) -> dict[str, Any]:
        data = _node_link(report, write) if depth is None else _by_networkx(report, depth, write)
        return {**data, **family(report, write)}

    found = shared(header("report"), made)
    if "where" in found:  # networkx keeps no other key than these
        found["graph"]["where"] = found["where"]
    return found


def _by_networkx(report: ReportData, depth: int, write: Write) -> dict[str, Any]:
    import networkx as nx

    found: dict[str, Any] = nx.node_link_data(to_networkx(report, depth, write), edges="edges")
    return found


def _node_link(report: ReportData, write: Write) -> dict[str, Any]:
    """The same of the whole graph: edges by their source, those between the same two nodes together and numbered."""
    listed, between = laid_out(report, write=write)
    return {
        "directed": True, "multigraph": True, "graph": graph_attributes(report, plainly(report, write)),
        "nodes": [{**attributes, "id": node} for node, attributes in listed.items()],
        "edges": [
            {**attributes, "source": source, "target": target, "key": key}
            for source, targets in between.items() for target, found in targets.items() for key, attributes in enumerate(found)
        ],
    }  # fmt: skip


def to_graph_json(report: ReportData, depth: int | None = None, indent: int | None = None) -> str:
    """The graph and the whole report as JSON text; the same report always gives the same text.

    ``depth`` collapses modules in the graph, and leaves the report whole. Integers are exact and of any size.
    """
    with no_collection():
        return json.dumps(to_node_link(report, depth), indent=indent, allow_nan=False, check_circular=False)
