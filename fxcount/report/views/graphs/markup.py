"""The graph as GraphML and GEXF, whose attributes are flat and whose integers end at 2**63.

A list is written as JSON text. An attribute with an integer that does not fit is written twice: as a double under its own
name, and exactly, as text, under that name with ``_exact`` behind it. An attribute that is a formula somewhere is text
everywhere, as programs that read these formats want columns of one type.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from fxcount.report.data.report import ReportData
from fxcount.report.views.graphs.network import to_networkx
from fxcount.report.views.graphs.nodes import Attributes
from fxcount.trace.torch_patch.active import no_collection
from fxcount.wording import visible

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["flattened", "to_gexf", "to_graphml"]

_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_graphml(report: ReportData, depth: int | None = None) -> str:
    """GraphML text; ``networkx.parse_graphml`` reads it.

    >>> import networkx as nx, torch, fxcount
    >>> report = fxcount.analyze(torch.nn.Linear(3, 5), "B,3").at(B=2**70)
    >>> node = nx.parse_graphml(report.to_graphml(), force_multigraph=True).nodes["op:0"]
    >>> node["op"], node["macs_exact"] == str(15 * 2**70), node["macs"] == float(15 * 2**70)
    ('linear', True, True)
    """
    import networkx as nx

    with no_collection():
        return "\n".join(nx.generate_graphml(flattened(to_networkx(report, depth)))) + "\n"


def to_gexf(report: ReportData, depth: int | None = None) -> str:
    """GEXF text; ``networkx.read_gexf`` reads it."""
    import networkx as nx

    buffer = io.BytesIO()
    with no_collection():
        nx.write_gexf(flattened(to_networkx(report, depth)), buffer)
    return buffer.getvalue().decode("utf-8")


def flattened(graph: nx.MultiDiGraph[str]) -> nx.MultiDiGraph[str]:
    """The same graph with texts, booleans, doubles and integers below 2**63 as its only attributes, and one type for all
    nodes, or edges, that have the attribute."""
    flat = graph.__class__(**_columns([graph.graph])[0])
    ids = _ids(graph.nodes)
    flat.add_nodes_from(zip(ids.values(), _columns([a for _, a in graph.nodes(data=True)]), strict=True))
    flat.add_edges_from(
        (ids[source], ids[target], key, attributes)
        for (source, target, key), attributes in zip(
            graph.edges(keys=True), _columns([a for _, _, a in graph.edges(data=True)]), strict=True
        )
    )
    return flat


def _ids(nodes: Iterable[str]) -> dict[str, str]:
    """An id for each node that XML can hold, each its own."""
    ids: dict[str, str] = {}
    taken: set[str] = set()
    for node in nodes:
        found = _in_xml(node)
        while found in taken:
            found += "_"
        taken.add(found)
        ids[node] = found
    return ids


def _columns(rows: Sequence[Attributes]) -> list[Attributes]:
    """Rows whose attributes are flat and of one type each: text if one of them is text, double if one is too large."""
    texts: set[str] = set()
    doubles: set[str] = set()
    for row in rows:
        for name, value in row.items():
            if isinstance(value, str):
                texts.add(name)
            elif isinstance(value, int) and not -(2**63) <= value < 2**63:
                doubles.add(name)
    return [_flat(row, texts, doubles) for row in rows]


def _flat(attributes: Attributes, texts: set[str], doubles: set[str]) -> Attributes:
    found: Attributes = {}
    for name, value in attributes.items():
        if isinstance(value, (list, dict)):
            found[name] = json.dumps(value)
        elif name in texts:
            found[name] = _in_xml(str(value))
        elif name in doubles:
            found[name] = _double(value)
            found[f"{name}_exact"] = str(value)
        else:
            found[name] = value
    return found


def _in_xml(text: str) -> str:
    """The text, with characters that XML does not have written as in Python's literals."""
    return _NOT_XML.sub(lambda found: visible(found[0]), text)


def _double(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
