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

from fxcount.report.data.report import ReportData
from fxcount.report.views.graphs.edges import FLOW
from fxcount.report.views.graphs.network import Between, laid_out
from fxcount.report.views.graphs.nodes import Attributes
from fxcount.trace.torch_patch.active import no_collection
from fxcount.wording import visible

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
    with no_collection():
        nodes, between = laid_out(report, depth)
        ids = {node: _quoted(node) for node in nodes}
        lines = [
            f"digraph {_quoted(report.trace.model_name)} {{",
            '  graph [rankdir="TB", compound="true", fontname="Helvetica", newrank="true"];',
            '  node [fontname="Helvetica", fontsize="10", style="filled"];',
            '  edge [fontname="Helvetica", fontsize="8", color="#666666"];',
            *_Clusters(nodes, between, ids).lines(),
            *_edges(between, ids),
            *_same_module(nodes, ids),
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


_LOOKED_AT = ("kind", "requires_grad", "shared", "dead", "dead_parameters")  # by ``style``


class _Clusters:
    """Which cluster each node is drawn in: an op in its module call, a parameter beside the first op that uses it."""

    def __init__(self, nodes: dict[str, Attributes], between: Between, ids: dict[str, str]) -> None:
        self.nodes = nodes
        self.between = between
        self.ids = ids
        self.home: dict[str, str] = {}
        for source, targets in between.items():
            if source.startswith("call:"):
                for target, found in targets.items():
                    if any([edge["kind"] == "contains" for edge in found]):
                        self.home[target] = source
            elif source.startswith("op:"):  # contains its results, which nobody else does
                for target in targets:
                    if target.startswith("result:"):
                        self.home[target] = self.home.get(source, "")
        self.first_call: dict[str, str] = {}  # path -> the first call of that module
        for node, attributes in nodes.items():
            if attributes["kind"] == "module_call" and not attributes["collapsed"]:
                self.first_call.setdefault(attributes["path"], node)
        self.inside: dict[str, list[str]] = {}
        for node, attributes in nodes.items():
            if self._drawn(attributes):
                self.inside.setdefault(self._place(node, attributes), []).append(node)
        self._looks: dict[tuple[object, ...], str] = {}  # of nodes that look alike

    @staticmethod
    def _drawn(attributes: Attributes) -> bool:
        kind = attributes["kind"]
        return kind != "module" or (bool(attributes.get("collapsed")) and not attributes["calls"])

    def _place(self, node: str, attributes: Attributes) -> str:
        if attributes["kind"] in ("op", "result", "module_call"):
            return self.home.get(node, "")
        if attributes["kind"] in ("parameter", "buffer") and not attributes["shared"]:
            for target, edges in self.between[node].items():
                if any([edge["kind"] in FLOW for edge in edges]):
                    return self.home.get(target, "")
            return self._nearest(attributes["name"].rpartition(".")[0])
        return self._nearest(attributes["path"]) if attributes["kind"] == "module" else ""

    def _nearest(self, path: str) -> str:
        """The first call of the module, or of the nearest module around it that is called."""
        while path and path not in self.first_call:
            path = path.rpartition(".")[0]
        return self.first_call.get(path, "")

    def lines(self) -> list[str]:
        found: list[str] = []
        self._content("", "  ", found)
        return found

    def _content(self, cluster: str, indent: str, found: list[str]) -> None:
        for node in self.inside.get(cluster, ()):
            attributes = self.nodes[node]
            if attributes["kind"] != "module_call" or attributes["collapsed"]:
                found.append(f"{indent}{self.ids[node]} [label={_quoted(_label(attributes))}, {self._look(attributes)}];")
                continue
            found.append(f"{indent}subgraph {_quoted(f'cluster_{node}')} {{")
            title = f"{attributes['label']}\n{attributes['class_name']}" if attributes["path"] else attributes["class_name"]
            found.append(f'{indent}  graph [label={_quoted(title)}, style="rounded", color="#9aa5b1", fontsize="11"];')
            self._content(node, indent + "  ", found)
            found.append(f"{indent}}}")

    def _look(self, attributes: Attributes) -> str:
        key = tuple([attributes.get(name) for name in _LOOKED_AT])
        found = self._looks.get(key)
        if found is None:
            found = self._looks[key] = _listed(style(attributes))
        return found


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


_LINES: dict[str, Style] = {
    "parameter": {"color": "#4477bb"}, "write": {"color": "#cc6600", "style": "dashed"},
    "function": {"color": "#228833", "style": "dashed"}, "view": {"style": "dotted", "constraint": "false"},
    "alias": {"style": "dashed", "arrowhead": "none"},
}  # fmt: skip


def _edges(between: Between, ids: dict[str, str]) -> Iterator[str]:
    known: dict[tuple[str, str], str] = {}  # of edges that look alike
    for source, targets in between.items():
        start = f"  {ids[source]} -> "
        for target, found in targets.items():
            for attributes in found:
                kind = attributes["kind"]
                if kind in ("contains", "call") or (kind == "alias" and source.startswith("module:")):
                    continue
                label = ""
                if kind == "data":
                    label = _shape(attributes["shape"])
                elif kind == "parameter":
                    label = attributes.get("argument") or ""
                look = known.get((kind, label))
                if look is None:
                    look = known[kind, label] = _line(kind, label)
                yield start + ids[target] + look


def _line(kind: str, label: str) -> str:
    look = _LINES.get(kind, {})
    if label or kind == "data":
        look = {"label": label, **look}
    return f" [{_listed(look)}];" if look else ";"


def _same_module(nodes: dict[str, Attributes], ids: dict[str, str]) -> Iterator[str]:
    """A link from each call of a collapsed module to the next call of the same one."""
    last: dict[str, str] = {}
    for node, attributes in nodes.items():
        if attributes["kind"] == "module_call" and attributes["collapsed"]:
            before = last.get(attributes["path"])
            if before is not None:
                look = {"label": "same module", "style": "dashed", "dir": "none", "color": "#b8860b", "constraint": "false"}
                yield f"  {ids[before]} -> {ids[node]} [{_listed(look)}];"
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
