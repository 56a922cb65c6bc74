"""A graph with every module call below some depth drawn together into one node.

A module call at that depth keeps its node, which then stands for all ops and module calls inside it, for the modules
below its own, and for parameters, buffers and constants that only its module uses; the first call of the module has them.
Shared and dead parameters keep nodes of their own; those of a module that is never called go into the node of that module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fxcount.errors import InputError
from fxcount.passes.uses import upwards
from fxcount.report.views.graphs.edges import FLOW

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["collapse"]

_STATE = ("parameter", "buffer", "constant")


def collapse(graph: nx.MultiDiGraph[str], depth: int) -> nx.MultiDiGraph[str]:
    """The graph with module calls ``depth`` levels below the model as single nodes; the model itself has depth 0.

    Flow edges between two collapsed calls are those between the ops inside them; equal ones are drawn once.

    >>> import torch, fxcount
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU())
    >>> graph = fxcount.analyze(net, "B,3").to_networkx(depth=1)
    >>> [node for node, kind in graph.nodes(data="kind") if kind not in ("module", "module_call")]
    ['input:input', 'output:0']
    """
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 0:
        raise InputError(f"depth must be an integer of at least 0, got {depth!r}", hint="0 is the whole model as one node")
    return _Collapsed(graph, depth).graph()


class _Collapsed:
    def __init__(self, graph: nx.MultiDiGraph[str], depth: int) -> None:
        self.full = graph
        self.depth = depth
        self.into: dict[str, str] = {}  # node -> the node that stands for it, where that is another one
        self.calls: set[str] = set()  # module calls that stand for what is inside them
        self.idle: set[str] = set()  # modules never called that stand for what is inside them
        self._calls_and_ops()
        self._modules()
        self._states()

    def graph(self) -> nx.MultiDiGraph[str]:
        """The nodes that stay, and the edges between what they stand for."""
        made = self.full.__class__(**self.full.graph)
        for node, attributes in self.full.nodes(data=True):
            if node not in self.into:
                made.add_node(node, **attributes)
        for node in self.calls | self.idle:
            made.nodes[node]["collapsed"] = True
        self._count_states(made)
        seen: set[tuple[str, str, str]] = set()
        for source, target, attributes in self.full.edges(data=True):
            source, target = self.into.get(source, source), self.into.get(target, target)
            key = (source, target, repr(attributes))
            if source != target and key not in seen:
                seen.add(key)
                made.add_edge(source, target, **attributes)
        return made

    def _calls_and_ops(self) -> None:
        """Everything inside a call at the depth goes into it. Parents come before their children."""
        for source, target, kind in self.full.edges(data="kind"):
            if kind == "contains" and source.startswith(("call:", "op:")):
                if source in self.into:
                    self.into[target] = self.into[source]
                elif source.startswith("call:") and self.full.nodes[source]["depth"] >= self.depth:
                    self.into[target] = source
        self.calls = {
            node for node, a in self.full.nodes(data=True)
            if a["kind"] == "module_call" and a["depth"] >= self.depth and node not in self.into
        }  # fmt: skip

    def _modules(self) -> None:
        called = {a["path"] for _, a in self.full.nodes(data=True) if a["kind"] == "module" and a["calls"]}
        alive = {"", *(around for path in called for around in upwards(path))}
        below = {self.full.nodes[node]["path"] for node in self.calls}
        for node, attributes in self.full.nodes(data=True):
            if attributes["kind"] != "module":
                continue
            path = attributes["path"]
            parent = path.rpartition(".")[0]
            above = self.into.get(f"module:{parent}", f"module:{parent}") if path else ""
            hidden = bool(path) and (parent in below or self.full.nodes[above]["path"] in below)
            idle = path not in alive and attributes["parameters"] > 0
            if above in self.idle or (hidden and not idle):
                self.into[node] = above
            elif idle and (hidden or attributes["depth"] >= max(self.depth, 1)):
                self.idle.add(node)

    def _states(self) -> None:
        heads: dict[str, str] = {}
        for node in sorted(self.calls, key=lambda node: int(node.partition(":")[2])):
            heads.setdefault(self.full.nodes[node]["path"], node)
        for node, attributes in self.full.nodes(data=True):
            if attributes["kind"] not in _STATE or attributes.get("shared"):
                continue
            owners = [s for s, _, kind in self.full.in_edges(node, data="kind") if kind == "contains"]
            above = self.into.get(owners[0], owners[0]) if owners else ""
            if above in self.idle:
                self.into[node] = above
            elif not attributes.get("dead"):
                users = {self.into.get(t, t) for _, t, kind in self.full.out_edges(node, data="kind") if kind in FLOW}
                if not users and owners and self.full.nodes[above]["path"] in heads:
                    users = {heads[self.full.nodes[above]["path"]]}
                paths = {self.full.nodes[user].get("path") for user in users}
                if len(paths) == 1 and users <= self.calls:  # one module, however often it is called
                    self.into[node] = heads[paths.pop()]

    def _count_states(self, made: nx.MultiDiGraph[str]) -> None:
        """What the nodes stand for, beside work: elements of the parameters in them, and how many of those are dead."""
        counts: dict[str, dict[str, Any]] = {node: {"parameters": 0, "dead_parameters": 0} for node in self.calls}
        counts.update({node: {"dead_parameters": 0} for node in self.idle})
        for node, into in self.into.items():
            attributes = self.full.nodes[node]
            if attributes["kind"] == "parameter" and into in counts:
                if into in self.calls:
                    counts[into]["parameters"] += attributes["elements"]
                counts[into]["dead_parameters"] += attributes["elements"] if attributes["dead"] else 0
        for node, found in counts.items():
            made.nodes[node].update(found)
