"""Node-link JSON, which networkx reads, with the whole report beside it, which :func:`fxcount.load` reads back.

The top level is networkx' own (``nodes``, ``edges``, ``graph``, ``directed``, ``multigraph``) and two more keys,
``report``: the tape with its tables, and ``where``: what the names in formulas stand for, if any are
long. ``graph.schema.json`` in this directory describes all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fxcount.report.data.report import ReportData
from fxcount.report.views.graphs.edges import Edge, edges
from fxcount.report.views.graphs.encode import family
from fxcount.report.views.graphs.network import graph_attributes, to_networkx
from fxcount.report.views.graphs.nodes import Attributes, nodes, plainly
from fxcount.report.views.saved.header import header, schema
from fxcount.report.views.saved.sizes import Write, shared
from fxcount.report.views.saved.text import Table, as_text, fields, plain, to_text, written_once
from fxcount.trace.torch_patch.active import no_collection

__all__ = ["schema", "to_graph_json", "to_node_link"]


def to_node_link(report: ReportData, depth: int | None = None) -> dict[str, Any]:
    """What :func:`to_graph_json` writes, as dicts and lists."""
    found: dict[str, Any] = plain(_written(report, depth))
    return found


def _written(report: ReportData, depth: int | None) -> dict[str, Any]:
    """The same, with long tables as text."""

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
    sizes = plainly(report, write)
    listed = list(nodes(report, sizes))
    names = {node: as_text(node) for node, _, _ in listed}
    leaving: dict[str, list[Edge]] = {node: [] for node in names}
    for edge in edges(report.trace, sizes):
        leaving[edge[0]].append(edge)
    more = written_once()
    return {
        "directed": True, "multigraph": True, "graph": graph_attributes(report, sizes),
        "nodes": Table([f'{{{fields(own)}{more(shared)}, "id": {names[node]}}}' for node, own, shared in listed]),
        "edges": Table(_edges(leaving, names)),
    }  # fmt: skip


def _edges(leaving: dict[str, list[Edge]], names: dict[str, str]) -> Iterator[str]:
    start = written_once("{", ", ")
    for source, found in leaving.items():
        middle = f'"source": {names[source]}, "target": '
        for target, key, attributes in _numbered(found):
            yield f'{start(attributes)}{middle}{names[target]}, "key": {key}}}'


def _numbered(found: list[Edge]) -> Iterable[tuple[str, int, Attributes]]:
    """Edges from one node, those between the same two together and numbered."""
    targets = dict.fromkeys([target for _, target, _ in found])
    if len(targets) == len(found):
        return [(target, 0, attributes) for _, target, attributes in found]
    together: dict[str, list[Attributes]] = {target: [] for target in targets}
    for _, target, attributes in found:
        together[target].append(attributes)
    return [(target, key, attributes) for target, among in together.items() for key, attributes in enumerate(among)]


def to_graph_json(report: ReportData, depth: int | None = None, indent: int | None = None) -> str:
    """The graph and the whole report as JSON text; the same report always gives the same text.

    ``depth`` collapses modules in the graph, and leaves the report whole. Integers are exact and of any size.
    """
    with no_collection():
        return to_text(_written(report, depth), indent)
