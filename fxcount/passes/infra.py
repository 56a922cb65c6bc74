"""fxcount as passes of ``torch.fx``: annotate any graph module, before and after a transformation of your own.

``ShapePass`` writes ``node.meta["fact"]`` (symbolic shape, dtype, device, strides; ``node.meta["val"]`` is left alone) and
``CostPass`` writes ``node.meta["fxcount"]``, a :class:`~fxcount.passes.CallCost`: the work of the node in macs, flops and
bytes, of everything inside it if it calls a module. Both run the graph on stand-ins, never on data.

>>> import torch
>>> from fxcount.passes.infra import CostPass, total_cost
>>> graph = torch.fx.symbolic_trace(torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU()))
>>> _ = CostPass("B,3")(graph)
>>> [(n.name, n.meta["fxcount"].flops) for n in graph.graph.nodes if n.op == "call_module"]
[('_0', 35*B), ('_1', 5*B)]
>>> total_cost(graph).macs
15*B
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.fx.passes.infra.pass_base import PassBase, PassResult

from fxcount.errors import InputError, UnsupportedError
from fxcount.ops.core.tree import mapped
from fxcount.passes.cost import CallCost, cost
from fxcount.trace.frontends.graph import graph_program, inputs_known
from fxcount.trace.tape import Trace
from fxcount.trace.tracer.standin import StandIn

__all__ = ["CostPass", "ShapePass", "total_cost"]


class _Annotation(PassBase):
    """A pass that changes nothing but ``node.meta``; inputs are left out where placeholders know their shapes."""

    def __init__(self, *inputs: Any, hints: Mapping[str, int] | None = None, **named_inputs: Any) -> None:
        super().__init__()
        self.inputs = inputs
        self.named_inputs = named_inputs
        self.hints = hints
        self.trace: Trace | None = None

    def requires(self, graph_module: GraphModule) -> None:
        """The shapes of the graph's inputs are known.

        Raises :class:`~fxcount.errors.InputError` if they are not.
        """
        if not self.inputs and not self.named_inputs and not inputs_known(graph_module):
            raise InputError(
                "the graph's placeholders do not say their shapes", hint=f'give them, e.g. {type(self).__name__}("B,3,H,W")'
            )

    def _run(self, graph_module: GraphModule) -> tuple[Trace, dict[Node, tuple[int, int]], dict[Node, Any]]:
        """The trace, which of its calls each node made, and the facts of each node's result."""
        calls: dict[Node, tuple[int, int]] = {}
        facts: dict[Node, Any] = {}
        done = 0

        def observe(node: Node, result: Any, count: int) -> None:
            nonlocal done
            if node.graph is not graph_module.graph:
                return  # inside a graph that a node runs: that node's
            calls[node], facts[node] = (done, count), _facts(result)
            done = count

        program = graph_program(graph_module, self.inputs, self.named_inputs)
        self.trace = program.trace("graph", hints=self.hints, observe=observe)
        for value in self.trace.inputs:
            for node in graph_module.graph.nodes:
                if node.op == "placeholder" and node.name == value.name:
                    facts[node] = value.fact
        return self.trace, calls, facts


class ShapePass(_Annotation):
    """Writes ``node.meta["fact"]``: a :class:`~fxcount.ops.TensorFact`, or what the node returns with facts for tensors."""

    def call(self, graph_module: GraphModule) -> PassResult:
        """Annotate; the graph itself is not modified."""
        _, _, facts = self._run(graph_module)
        for node, fact in facts.items():
            node.meta["fact"] = fact
        return PassResult(graph_module, False)

    def ensures(self, graph_module: GraphModule) -> None:
        """Every node that makes something has its fact."""
        _check(graph_module, "fact")


class CostPass(_Annotation):
    """Writes ``node.meta["fxcount"]`` on every node, and ``node.meta["fact"]`` as :class:`ShapePass` does."""

    def call(self, graph_module: GraphModule) -> PassResult:
        """Annotate; the graph itself is not modified."""
        trace, calls, facts = self._run(graph_module)
        costs = cost(trace)
        for node in graph_module.graph.nodes:
            start, stop = calls.get(node, (0, 0))
            node.meta["fxcount"] = costs.sum(trace.calls[start:stop])
        for node, fact in facts.items():
            node.meta["fact"] = fact
        return PassResult(graph_module, False)

    def ensures(self, graph_module: GraphModule) -> None:
        """Every node has its cost."""
        _check(graph_module, "fxcount")


def total_cost(graph_module: GraphModule) -> CallCost:
    """The sum over the nodes of a graph that :class:`CostPass` annotated."""
    return CallCost.total([n.meta["fxcount"] for n in graph_module.graph.nodes])


def _check(graph_module: GraphModule, key: str) -> None:
    for node in graph_module.graph.nodes:
        if node.op in ("call_function", "call_method", "call_module") and key not in node.meta:
            raise UnsupportedError(f"the pass left node {node.name} without {key!r}")


def _facts(result: Any) -> Any:
    return mapped(_fact, result)


def _fact(result: Any) -> Any:
    if isinstance(result, StandIn):
        return result.fact
    if isinstance(result, torch.Tensor):
        from fxcount.trace.known.constants import fact_of

        return fact_of(result)
    return getattr(result, "expr", result)  # a symbolic size as its formula
