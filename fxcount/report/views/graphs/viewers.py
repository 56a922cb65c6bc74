"""The graph for viewers of models: Model Explorer, Netron, TensorBoard.

All read the graph of :func:`~fxcount.report.views.graphs.network.to_networkx`: nodes are its ops, collapsed modules, inputs,
parameters and outputs, edges those along which data go. Counts are at the report's sizes, or at the hints.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fxcount.report.data.report import ReportData
from fxcount.report.data.rows import COUNTS
from fxcount.report.views.graphs.edges import FLOW
from fxcount.report.views.graphs.mermaid import to_mermaid
from fxcount.report.views.graphs.network import to_networkx
from fxcount.report.views.graphs.nodes import Attributes
from fxcount.symbolic import evaluate, parse
from fxcount.wording import visible

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["to_explorer", "to_explorer_data", "to_graphdef", "to_mermaid", "to_netron"]

_SHOWN = ("input", "parameter", "buffer", "constant", "op", "result", "module_call", "output")
_FACTS = (
    "class_name", "where", "dtypes", "dtype", *COUNTS, "elements", "requires_grad", "shared", "dead", "reason", "parameters",
)  # fmt: skip


class _Flow:
    """The nodes that are drawn, and the edges between them."""

    def __init__(self, report: ReportData, depth: int | None) -> None:
        self.report = report
        self.graph: nx.MultiDiGraph[str] = to_networkx(report, depth)
        self.nodes: dict[str, Attributes] = {
            node: a for node, a in self.graph.nodes(data=True)
            if a["kind"] in _SHOWN and (a["kind"] != "module_call" or a["collapsed"])
        }  # fmt: skip

    def into(self, node: str) -> Iterator[tuple[str, Attributes]]:
        for source, _, attributes in self.graph.in_edges(node, data=True):
            if attributes["kind"] in FLOW and source in self.nodes:
                yield source, attributes

    def number(self, attributes: Attributes, count: str) -> int:
        """A count at the report's sizes."""
        size = attributes.get(count, 0)
        return size if isinstance(size, int) else int(evaluate(parse(size), self.report.sizes))

    def home(self, node: str) -> str:
        """The path of the module in which a node is drawn."""
        a = self.nodes[node]
        if a["kind"] in ("parameter", "buffer"):
            return str(a["name"]).rpartition(".")[0]
        path = str(a.get("path", ""))
        return path.rpartition(".")[0] if a["kind"] == "module_call" else path

    def shapes(self, node: str) -> list[list[Any]]:
        a = self.nodes[node]
        found: list[list[Any]] = a["shapes"] if "shapes" in a else [a["shape"]] if "shape" in a else []
        return found


def to_explorer(report: ReportData, depth: int | None = None) -> str:
    """JSON of Model Explorer: a collection of one graph, modules as namespaces; counts, shapes and lines as attributes.

    With ``depth``, module calls that many levels below the model are one node each.
    """
    flow = _Flow(report, depth)
    nodes = []
    for node, a in flow.nodes.items():
        nodes.append({
            "id": node, "label": visible(str(a["label"])), "namespace": flow.home(node).replace(".", "/"),
            "attrs": [{"key": k, "value": visible(str(a[k]))} for k in _FACTS if a.get(k) not in (None, "", [])],
            "incomingEdges": [
                {"sourceNodeId": source, "sourceNodeOutputId": str(e.get("result", 0)), "targetNodeInputId": str(i)}
                for i, (source, e) in enumerate(flow.into(node))
            ],
            "outputsMetadata": [
                {"id": str(i), "attrs": [{"key": "shape", "value": ", ".join(map(str, shape))}]}
                for i, shape in enumerate(flow.shapes(node))
            ],
        })  # fmt: skip
    name = report.trace.model_name
    return json.dumps({"label": name, "graphs": [{"id": name, "nodes": nodes}]})


def to_explorer_data(report: ReportData, count: str = "macs", depth: int | None = None) -> str:
    """Node data for Model Explorer, to be loaded over the graph: ``count`` of each node as a number, and as a colour."""
    flow = _Flow(report, depth)
    results = {node: {"value": flow.number(a, count)} for node, a in flow.nodes.items() if count in a}
    gradient = [{"stop": 0, "bgColor": "#00224e"}, {"stop": 0.5, "bgColor": "#7c7b78"}, {"stop": 1, "bgColor": "#fee838"}]
    return json.dumps({report.trace.model_name: {"results": results, "gradient": gradient, "name": count}})


def to_netron(report: ReportData, depth: int | None = None) -> str:
    """JSON that Netron opens: its own message of a graph, with parameters as initializers."""
    flow = _Flow(report, depth)
    values: list[dict[str, Any]] = []
    made: dict[tuple[str, int], int] = {}

    def value(node: str, result: int = 0) -> int:
        key = (node, result)
        if key not in made:
            a, shapes = flow.nodes[node], flow.shapes(node)
            kind = {
                "dataType": str(a.get("dtype") or (a.get("dtypes") or ["?"])[0]),
                "shape": {"dimensions": shapes[min(result, len(shapes) - 1)] if shapes else []},
            }
            held = a["kind"] in ("parameter", "buffer", "constant")
            name = str(a.get("name") or f"{node}.{result}")
            values.append({"name": visible(name), "type": kind, **({"initializer": {"type": kind}} if held else {})})
            made[key] = len(values) - 1
        return made[key]

    nodes, inputs, outputs = [], [], []
    for node, a in flow.nodes.items():
        sources = [(str(e.get("argument") or i), value(s, int(e.get("result", 0)))) for i, (s, e) in enumerate(flow.into(node))]
        if a["kind"] == "input":
            inputs.append({"name": visible(str(a["name"])), "value": [value(node)]})
        elif a["kind"] == "output":
            outputs.append({"name": visible(str(a["name"])), "value": [v for _, v in sources]})
        elif a["kind"] in ("op", "module_call", "result"):
            kind = visible(str(a.get("op") or a.get("class_name", "")))
            nodes.append({
                "name": visible(str(a.get("path") or node)), "type": {"name": kind},
                "inputs": [{"name": visible(name), "value": [v]} for name, v in sources],
                "outputs": [{"name": str(i), "value": [value(node, i)]} for i in range(max(1, len(flow.shapes(node))))],
                "attributes": [{"name": c, "value": str(a[c])} for c in (*COUNTS, "where") if a.get(c)],
            })  # fmt: skip
    graph = {"name": report.trace.model_name, "values": values, "inputs": inputs, "outputs": outputs, "nodes": nodes}
    return json.dumps({"signature": "netron:fxcount", "format": "fxcount", "producer": "fxcount", "graphs": [graph]})


def to_graphdef(report: ReportData, depth: int | None = None) -> str:
    """TensorFlow's ``GraphDef`` as text, which TensorBoard's graph page opens: modules as scopes, counts as attributes."""
    flow = _Flow(report, depth)
    names: dict[str, str] = {}
    taken: set[str] = set()
    for node, a in flow.nodes.items():
        label = str(a["label"]).rpartition(".")[2] if a["kind"] in ("parameter", "buffer", "module_call") else str(a["label"])
        scope = [part for part in flow.home(node).split(".") if part]
        plain = "/".join(re.sub(r"[^A-Za-z0-9_.\\-]", "_", part) or "_" for part in [*scope, label])
        plain = plain if re.match(r"[A-Za-z0-9.]", plain) else f"n{plain}"
        name, i = plain, 1
        while name in taken:
            name, i = f"{plain}_{i}", i + 1
        taken.add(name)
        names[node] = name
    lines = []
    for node, a in flow.nodes.items():
        op = str(a.get("op") or a.get("class_name") or a["kind"])
        lines.append(f"node {{\n  name: {_quoted(names[node])}\n  op: {_quoted(visible(op))}")
        lines += [f"  input: {_quoted(names[source])}" for source in dict.fromkeys(s for s, _ in flow.into(node))]
        shapes = "".join(f" shape {{{''.join(f' dim {{ size: {_dim(d)} }}' for d in s)} }}" for s in flow.shapes(node))
        lines.append(f'  attr {{ key: "_output_shapes" value {{ list {{{shapes} }} }} }}')
        for fact in _FACTS:
            if a.get(fact) not in (None, "", []):
                lines.append(f"  attr {{ key: {_quoted(fact)} value {{ s: {_quoted(visible(str(a[fact])))} }} }}")
        lines.append("}")
    return "\n".join([*lines, "versions {\n  producer: 22\n}", ""])


def _dim(size: Any) -> int:
    return size if isinstance(size, int) else -1


def _quoted(text: str) -> str:
    """A string of protobuf's text format, in ASCII."""
    return json.dumps(text) if text.isascii() else '"' + "".join(_byte(b) for b in text.encode("utf-8", "replace")) + '"'


def _byte(b: int) -> str:
    return chr(b) if 32 <= b < 127 and b not in (34, 92) else f"\\{b:03o}"
