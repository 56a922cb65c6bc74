"""The graph for Graphviz: module calls as nested clusters, parameters in the colour of their state, a legend.

Nodes keep their ids from networkx, so a drawing and a query speak of the same things. Edges that the clusters show already
(containment, calls of a module) are not drawn.

>>> import torch, fxcount
>>> print(fxcount.analyze(torch.nn.ReLU(), "B,5").to_dot())  # doctest: +ELLIPSIS
digraph "ReLU" {
  ...
  "input:input" -> "op:0" [label="B, 5"];
  "op:0" -> "output:0" [label="B, 5"];
  ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from fxcount.report.data.report import ReportData
from fxcount.report.views.graphs.edges import FLOW
from fxcount.report.views.graphs.network import to_networkx
from fxcount.report.views.graphs.nodes import Attributes
from fxcount.wording import visible

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["LEGEND", "style", "to_dot"]

Style = dict[str, str]
_BASE: dict[str, Style] = {
    "op": {"shape": "box", "fillcolor": "#ffffff"},
    "result": {"shape": "box", "fillcolor": "#ffffff", "style": "filled,dotted"},
    "module_call": {"shape": "box3d", "fillcolor": "#e8eef7"},
    "module": {"shape": "box3d", "fillcolor": "#f2f2f2", "style": "filled,dashed"},
    "input": {"shape": "invhouse", "fillcolor": "#d5f0d0"},
    "output": {"shape": "house", "fillcolor": "#d5f0d0"},
    "parameter": {"shape": "ellipse", "fillcolor": "#cfe2ff"},
    "buffer": {"shape": "ellipse", "fillcolor": "#eeeeee"},
    "constant": {"shape": "ellipse", "fillcolor": "#eeeeee", "style": "filled,dotted"},
    "alias": {"shape": "note", "fillcolor": "#ffe9a8"},
}
_FROZEN: Style = {"fillcolor": "#dfe3e8", "fontcolor": "#555555"}
_SHARED: Style = {"fillcolor": "#ffd24d", "peripheries": "2"}
_DEAD: Style = {"fillcolor": "#ffd6d6", "color": "#c00000", "fontcolor": "#c00000", "style": "filled,dashed", "penwidth": "2"}

LEGEND: dict[str, Attributes] = {
    "parameter": {"kind": "parameter", "requires_grad": True},
    "frozen parameter": {"kind": "parameter", "requires_grad": False},
    "shared parameter": {"kind": "parameter", "requires_grad": True, "shared": True},
    "dead parameter": {"kind": "parameter", "requires_grad": True, "dead": True},
    "further name": {"kind": "alias"},
    "buffer": {"kind": "buffer"},
    "op": {"kind": "op"},
    "module (collapsed)": {"kind": "module_call"},
}
"""What the legend explains: a label, and the attributes of a node drawn that way."""


def to_dot(report: ReportData, depth: int | None = None) -> str:
    """DOT text. With ``depth``, module calls that many levels below the model are one node each."""
    graph = to_networkx(report, depth)
    lines = [
        f"digraph {_quoted(report.trace.model_name)} {{",
        '  graph [rankdir="TB", compound="true", fontname="Helvetica", newrank="true"];',
        '  node [fontname="Helvetica", fontsize="10", style="filled"];',
        '  edge [fontname="Helvetica", fontsize="8", color="#666666"];',
        *_Clusters(graph).lines(),
        *_edges(graph),
        *_legend(),
        "}",
    ]
    return "\n".join(lines) + "\n"


def style(attributes: Attributes) -> Style:
    """How a node is drawn: by its kind, and a parameter by its state; dead goes before shared, shared before frozen.

    >>> style({"kind": "parameter", "dead": True, "shared": True})["peripheries"]
    '2'
    """
    found = dict(_BASE[attributes["kind"]])
    if attributes["kind"] == "parameter" and not attributes.get("requires_grad", True):
        found |= _FROZEN
    if attributes.get("shared"):
        found |= _SHARED
    if attributes.get("dead") or (attributes["kind"] == "module" and attributes.get("dead_parameters")):
        found |= _DEAD
    return found


class _Clusters:
    """Which cluster each node is drawn in: an op in its module call, a parameter beside the first op that uses it."""

    def __init__(self, graph: nx.MultiDiGraph[str]) -> None:
        self.graph = graph
        self.home: dict[str, str] = {}
        for source, target, kind in graph.edges(data="kind"):
            if kind == "contains" and source.startswith(("call:", "op:")):
                self.home[target] = source if source.startswith("call:") else self.home.get(source, "")
        self.first_call: dict[str, str] = {}  # path -> the first call of that module
        for node, attributes in graph.nodes(data=True):
            if attributes["kind"] == "module_call" and not attributes["collapsed"]:
                self.first_call.setdefault(attributes["path"], node)
        self.inside: dict[str, list[str]] = {}
        for node, attributes in graph.nodes(data=True):
            if self._drawn(attributes):
                self.inside.setdefault(self._place(node, attributes), []).append(node)

    @staticmethod
    def _drawn(attributes: Attributes) -> bool:
        kind = attributes["kind"]
        return kind != "module" or (bool(attributes.get("collapsed")) and not attributes["calls"])

    def _place(self, node: str, attributes: Attributes) -> str:
        if attributes["kind"] in ("op", "result", "module_call"):
            return self.home.get(node, "")
        if attributes["kind"] in ("parameter", "buffer") and not attributes["shared"]:
            for target, edges in self.graph.adj[node].items():
                if any(edge["kind"] in FLOW for edge in edges.values()):
                    return self.home.get(target, "")
            return self._nearest(attributes["name"].rpartition(".")[0])
        return self._nearest(attributes["path"]) if attributes["kind"] == "module" else ""

    def _nearest(self, path: str) -> str:
        """The first call of the module, or of the nearest module around it that is called."""
        while path and path not in self.first_call:
            path = path.rpartition(".")[0]
        return self.first_call.get(path, "")

    def lines(self) -> Iterator[str]:
        yield from self._content("", "  ")

    def _content(self, cluster: str, indent: str) -> Iterator[str]:
        for node in self.inside.get(cluster, ()):
            attributes = self.graph.nodes[node]
            if attributes["kind"] != "module_call" or attributes["collapsed"]:
                yield f"{indent}{_quoted(node)} [{_listed({'label': _label(attributes), **style(attributes)})}];"
                continue
            yield f"{indent}subgraph {_quoted(f'cluster_{node}')} {{"
            title = f"{attributes['label']}\n{attributes['class_name']}" if attributes["path"] else attributes["class_name"]
            yield f'{indent}  graph [label={_quoted(title)}, style="rounded", color="#9aa5b1", fontsize="11"];'
            yield from self._content(node, indent + "  ")
            yield f"{indent}}}"


def _label(attributes: Attributes) -> str:
    kind = attributes["kind"]
    if kind in ("parameter", "buffer"):
        lines = [attributes["label"], _shape(attributes["shape"])]
        if attributes.get("dead"):
            lines.append(f"dead: {attributes['reason']}")
        return "\n".join(filter(None, lines))
    if kind == "module_call":
        lines = [attributes["label"], attributes["class_name"], f"{attributes['ops']} op{'s' * (attributes['ops'] != 1)}"]
        if attributes.get("parameters"):
            lines.append(f"{attributes['parameters']:,} parameters")
        return "\n".join(lines)
    if kind == "module":
        return f"{attributes['label']}\nnever called, {attributes['dead_parameters']:,} dead parameters"
    return str(attributes["label"])


def _edges(graph: nx.MultiDiGraph[str]) -> Iterator[str]:
    looks = {
        "parameter": {"color": "#4477bb"}, "write": {"color": "#cc6600", "style": "dashed"},
        "function": {"color": "#228833", "style": "dashed"}, "view": {"style": "dotted", "constraint": "false"},
        "alias": {"style": "dashed", "arrowhead": "none"},
    }  # fmt: skip
    for source, target, attributes in graph.edges(data=True):
        kind = attributes["kind"]
        if kind in ("contains", "call") or (kind == "alias" and source.startswith("module:")):
            continue
        look = dict(looks.get(kind, {}))
        if kind == "data":
            look = {"label": _shape(attributes["shape"]), **look}
        elif kind == "parameter" and attributes.get("argument"):
            look = {"label": attributes["argument"], **look}
        yield f"  {_quoted(source)} -> {_quoted(target)}" + (f" [{_listed(look)}];" if look else ";")
    yield from _same_module(graph)


def _same_module(graph: nx.MultiDiGraph[str]) -> Iterator[str]:
    """A link from each call of a collapsed module to the next call of the same one."""
    last: dict[str, str] = {}
    for node, attributes in graph.nodes(data=True):
        if attributes["kind"] == "module_call" and attributes["collapsed"]:
            before = last.get(attributes["path"])
            if before is not None:
                look = {"label": "same module", "style": "dashed", "dir": "none", "color": "#b8860b", "constraint": "false"}
                yield f"  {_quoted(before)} -> {_quoted(node)} [{_listed(look)}];"
            last[attributes["path"]] = node


def _legend() -> Iterator[str]:
    yield '  subgraph "cluster_legend" {'
    yield '    graph [label="legend", style="rounded", color="#cccccc", fontsize="11"];'
    for name, attributes in LEGEND.items():
        yield f"    {_quoted(f'legend:{name}')} [{_listed({'label': name, **style(attributes)})}];"
    yield "  }"


def _shape(shape: Iterable[int | str]) -> str:
    return ", ".join(map(str, shape))


def _listed(attributes: Style) -> str:
    return ", ".join(f"{name}={_quoted(value)}" for name, value in attributes.items())


def _quoted(text: str) -> str:
    r"""A DOT string: quotes and backslashes escaped, line ends as ``\n``.

    >>> print(_quoted('a"b\\c'))
    "a\"b\\c"
    """
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + visible(text, lines=True).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
