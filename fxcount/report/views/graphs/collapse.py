"""A graph with every module call below some depth drawn together into one node.

A module call at that depth keeps its node, which then stands for all ops and module calls inside it, for the modules
below its own, and for parameters, buffers and constants that only its module uses; the first call of the module has them.
Shared and dead parameters keep nodes of their own; those of a module that is never called go into the node of that module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from fxcount.errors import InputError
from fxcount.passes.uses import called_paths, upwards
from fxcount.report.data.report import ReportData
from fxcount.report.data.rows import module_parameters
from fxcount.report.views.graphs.edges import FLOW, Edge, flow_edges
from fxcount.report.views.graphs.nodes import declared_id, keeps_apart, module_classes, plainly
from fxcount.trace.tape import Declared

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Collapsed", "collapse"]


def collapse(graph: nx.MultiDiGraph[str], report: ReportData, depth: int) -> nx.MultiDiGraph[str]:
    """The graph of a report with module calls ``depth`` levels below the model as single nodes; the model itself has depth 0.

    Flow edges between two collapsed calls are those between the ops inside them; equal ones are drawn once.

    >>> import torch, fxcount
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU())
    >>> graph = fxcount.analyze(net, "B,3").to_networkx(depth=1)
    >>> [node for node, kind in graph.nodes(data="kind") if kind not in ("module", "module_call")]
    ['input:input', 'output:0']
    """
    found = Collapsed(report, depth, flow_edges(report.trace, plainly(report)))
    made = graph.__class__(**graph.graph)
    for node, attributes in graph.nodes(data=True):
        if node not in found.into:
            made.add_node(node, **attributes)
    for node, counts in found.counts.items():
        made.nodes[node].update(collapsed=True, **counts)
    seen: set[tuple[str, str, str]] = set()
    for source, target, attributes in graph.edges(data=True):
        source, target = found.into.get(source, source), found.into.get(target, target)
        key = (source, target, repr(attributes))
        if source != target and key not in seen:
            seen.add(key)
            made.add_edge(source, target, **attributes)
    return made


class Collapsed:
    """Which nodes stand for others. ``into``: of each node that goes the node that stands for it; ``calls``: numbers of the
    module calls that stand for what is inside them; ``idle``: paths of modules never called that do."""

    def __init__(self, report: ReportData, depth: int, flow: Iterable[Edge]) -> None:
        """``flow``: the edges along which tensors flow."""
        if isinstance(depth, bool) or not isinstance(depth, int) or depth < 0:
            raise InputError(f"depth must be an integer of at least 0, got {depth!r}", hint="0 is the whole model as one node")
        self.trace = report.trace
        self.rows = {r.name: r for r in report.params.rows()}
        self.depth = depth
        self.into: dict[str, str] = {}
        self.calls: list[int] = []
        self.idle: dict[str, None] = {}
        self._calls_and_ops()
        self._modules()
        self._states(flow)

    def _calls_and_ops(self) -> None:
        """Everything inside a call at the depth goes into it. Parents come before their children."""
        around: list[str] = []  # the node that stands for each module call, if it is another, and for what is inside it
        for m in self.trace.modules:
            above = around[m.parent] if m.parent >= 0 else ""
            if above:
                self.into[f"call:{m.index}"] = above
            elif m.depth >= self.depth:
                above = f"call:{m.index}"
                self.calls.append(m.index)
            around.append(above)
        for call in self.trace.calls:
            above = around[call.module] if call.module >= 0 else ""
            if above:
                self.into[f"op:{call.index}"] = above
                if keeps_apart(call):
                    self.into.update({f"result:{call.index}.{i}": above for i in range(len(call.outputs))})

    def _modules(self) -> None:
        called = called_paths(self.trace)
        alive = {"", *(around for path in called for around in upwards(path))}
        below = {self.trace.modules[i].path for i in self.calls}
        home: dict[str, str] = {}  # path -> that of the module whose node stands for it
        for path in module_classes(self.trace):
            parent = path.rpartition(".")[0]
            above = home.get(parent, parent)
            hidden = bool(path) and (parent in below or above in below)
            idle = path not in alive and self._held.get(path, 0) > 0
            if path and (above in self.idle or (hidden and not idle)):
                home[path] = above
                self.into[f"module:{path}"] = f"module:{above}"
            elif idle and (hidden or path.count(".") + 1 >= max(self.depth, 1)):
                self.idle[path] = None

    @cached_property
    def _held(self) -> dict[str, int]:
        return module_parameters(self.trace)

    def _states(self, flow: Iterable[Edge]) -> None:
        """What only one module uses, however often it is called, goes into its first call."""
        calls = {f"call:{i}": self.trace.modules[i].path for i in self.calls}
        heads: dict[str, str] = {}
        for node, path in calls.items():
            heads.setdefault(path, node)
        users: dict[str, set[str]] = {}
        for source, target, attributes in flow:
            if source.startswith(_STATES) and attributes["kind"] in FLOW:
                users.setdefault(source, set()).add(self.into.get(target, target))
        states = [(declared_id(d), d.names[0].rpartition(".")[0]) for d in self.trace.declared if not self._is_shared(d)]
        constants = [(f"constant:{s.value.name}", None) for s in self.trace.states if s.value.origin == "constant"]
        for node, owner in (*states, *constants):
            above = None if owner is None else self.into.get(f"module:{owner}", f"module:{owner}").removeprefix("module:")
            if above in self.idle:
                self.into[node] = f"module:{above}"
            elif not self._is_dead(node):
                using = users.get(node, set())
                if not using and above in heads:
                    self.into[node] = heads[above]
                elif using and using <= calls.keys() and len({calls[user] for user in using}) == 1:
                    self.into[node] = heads[calls[using.pop()]]

    def _is_shared(self, d: Declared) -> bool:
        return self.rows[d.names[0]].shared if d.kind == "parameter" else len(d.names) > 1

    def _is_dead(self, node: str) -> bool:
        kind, _, name = node.partition(":")
        return kind == "parameter" and self.rows[name].dead

    @cached_property
    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """What the nodes stand for, beside work: elements of the parameters in them, and how many of those are dead."""
        found = {f"call:{i}": {"parameters": 0, "dead_parameters": 0} for i in self.calls}
        found.update({f"module:{path}": {"dead_parameters": 0} for path in self.idle})
        for d in self.trace.declared:
            counts = found.get(self.into.get(declared_id(d), "")) if d.kind == "parameter" else None
            if counts is not None:
                if "parameters" in counts:
                    counts["parameters"] += d.numel
                counts["dead_parameters"] += d.numel if self._is_dead(declared_id(d)) else 0
        return found


_STATES = ("parameter:", "buffer:", "constant:")
