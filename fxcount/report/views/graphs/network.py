"""The report as a :class:`networkx.MultiDiGraph`.

>>> import torch, fxcount
>>> graph = fxcount.analyze(torch.nn.Linear(3, 5), "B,3").to_networkx()
>>> list(graph.successors("parameter:weight")), graph.nodes["op:0"]["macs"]
(['op:0'], '15*B')
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fxcount.report.data.report import ReportData
from fxcount.report.views.graphs.edges import FLOW, Edge, edges
from fxcount.report.views.graphs.nodes import Attributes, Node, Plain, copier, nodes, plainly
from fxcount.report.views.saved.sizes import Write, size_text
from fxcount.trace.torch_patch.active import no_collection

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["GRAPH_SCHEMA_VERSION", "Between", "flow", "graph_attributes", "laid_out", "linked", "to_networkx"]

Between = dict[str, dict[str, list[Attributes]]]
"""Edges by their source, those between the same two nodes together."""

GRAPH_SCHEMA_VERSION = 3


def to_networkx(report: ReportData, depth: int | None = None, write: Write = size_text) -> nx.MultiDiGraph[str]:
    """Inputs, ops, parameters, buffers, constants, modules, module calls, further names and outputs as nodes.

    ``node["kind"]`` and ``edge["kind"]`` say what each is; docs/graph.md lists the attributes. Sizes, counts and bytes are
    ints of any size, or the texts of formulas while symbols remain. With ``depth``, every module call that many levels
    below the model is one node; shared and dead parameters stay visible.
    """
    import networkx as nx

    from fxcount.report.views.graphs.collapse import collapse

    plain = plainly(report, write)
    with no_collection():  # a graph is many small dicts, and none of them garbage
        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(**graph_attributes(report, plain))
        _fill(graph, nodes(report, plain), edges(report.trace, plain))
        return graph if depth is None else collapse(graph, report, depth)


def _fill(graph: nx.MultiDiGraph[str], listed: Iterable[Node], links: Iterable[Edge]) -> None:
    """One by one, each edge with its number: of a list networkx looks at each several times, and it looks up what has none."""
    copied = copier()
    for node, own, shared in listed:
        graph.add_node(node, **own, **copied(shared))
    numbers: Counter[tuple[str, str]] = Counter()
    for source, target, attributes in links:
        number = numbers[source, target]
        numbers[source, target] = number + 1
        graph.add_edge(source, target, number, **copied(attributes))


def laid_out(report: ReportData, depth: int | None = None, write: Write = size_text) -> tuple[dict[str, Attributes], Between]:
    """Nodes and edges of the same graph in the same order, as dicts that are read only: of the whole graph without networkx,
    which would take longer over it than all the rest, and without costs, which nobody draws. Edges that look alike are one
    dict."""
    if depth is not None:
        graph = to_networkx(report, depth, write)
        links = {source: {target: list(found.values()) for target, found in graph.adj[source].items()} for source in graph}
        return dict(graph.nodes(data=True)), links
    plain = plainly(report, write)
    listed = {node: {**own, **shared} for node, own, shared in nodes(report, plain, counted=False)}
    return listed, linked(report, plain, listed)


def linked(report: ReportData, plain: Plain, listed: Iterable[str]) -> Between:
    """The edges of the whole graph, which has these nodes."""
    between: Between = {node: {} for node in listed}
    for source, target, attributes in edges(report.trace, plain):
        targets = between[source]
        if target in targets:
            targets[target].append(attributes)
        else:
            targets[target] = [attributes]
    return between


def flow(graph: nx.MultiDiGraph[str], *, gradient: bool = False) -> nx.MultiDiGraph[str]:
    """The same nodes with the flow edges that carry more than a shape, or only those along which a gradient comes back.

    >>> import networkx as nx, torch, fxcount
    >>> graph = fxcount.analyze(torch.nn.Linear(3, 5), "B,3").to_networkx()
    >>> sorted(nx.ancestors(flow(graph), "output:0"))
    ['input:input', 'op:0', 'parameter:bias', 'parameter:weight']
    """
    kept = graph.__class__(**graph.graph)
    kept.add_nodes_from(graph.nodes(data=True))
    kept.add_edges_from(
        (source, target, key, edge)
        for source, target, key, edge in graph.edges(keys=True, data=True)
        if edge["kind"] in FLOW and (edge["gradient"] if gradient else not edge.get("shape_only"))
    )
    return kept


def graph_attributes(report: ReportData, plain: Plain) -> Attributes:
    """What is said of the graph as a whole."""
    total, p = report.costs.total, report.params
    found: Attributes = {
        "fxcount_schema": GRAPH_SCHEMA_VERSION, "model": report.trace.model_name, "frontend": report.frontend,
        "symbols": dict(report.symbols), "at": dict(report.values or {}),
        "macs": plain(total.macs), "flops": plain(total.flops), "transcendentals": plain(total.transcendentals),
        "read_bytes": plain(total.read_bytes), "write_bytes": plain(total.write_bytes),
        "parameters": p.total, "parameter_bytes": p.bytes, "dead_parameters": p.dead,
        "assumptions": [str(a) for a in report.assumptions],
    }  # fmt: skip
    return found


