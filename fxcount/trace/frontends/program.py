"""From a graph with bound inputs to a trace: what the front ends for exported programs and graph modules share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

import torch
from torch.fx import GraphModule

from fxcount import torch_private
from fxcount.dataclass import dataclass
from fxcount.ops import REGISTRY, Op, Registry
from fxcount.symbolic import Bounds, Expr, free_symbols
from fxcount.trace.frontends.interpreter import Interpreter, Observer
from fxcount.trace.frontends.modules import Root
from fxcount.trace.inputs.specs import InputSpec
from fxcount.trace.run import trace_model
from fxcount.trace.tape import Trace
from fxcount.trace.torch_guards import Guard, adopt
from fxcount.trace.tracer.standin import StandIn

__all__ = ["Program", "registry_for"]

Finish = Callable[[Any], Any]


@dataclass(slots=True)
class Program:
    """A graph ready to be traced.

    ``inputs``: specification of each tensor input by placeholder name; ``bound``: what the other placeholders stand for
    (parameters, buffers, constants, sizes as :data:`~fxcount.symbolic.Size`); ``finish`` turns the graph's output into the
    model's; ``pinned``: sizes for which the graph was specialised; ``guards``: what else it assumes of sizes.
    """

    graph: GraphModule
    root: Root
    inputs: dict[str, InputSpec]
    bound: dict[str, Any]
    hints: dict[str, int]
    bounds: Bounds = field(default_factory=dict)
    finish: Finish = lambda output: output
    pinned: Sequence[Expr] = ()
    guards: Sequence[Guard] = ()

    def trace(
        self, frontend: str, *, hints: Mapping[str, int] | None = None, registry: Registry = REGISTRY,
        progress: Callable[[int], None] | None = None, observe: Observer | None = None,
    ) -> Trace:  # fmt: skip
        """Interpret the graph under the tracer, at the hints of its own example unless others are given."""
        interpreter = Interpreter(self.graph, self.root, observe=observe)
        order = [n.name for n in interpreter.placeholders]

        def run(inputs: Mapping[str, Any]) -> Any:
            owner = next((x._owner for x in inputs.values() if isinstance(x, StandIn)), None)
            if owner is not None:
                self._declare(owner.scope)
                interpreter.count = owner.calls.__len__
            values = {**self.bound, **inputs}
            if owner is not None:
                values = {k: owner.as_int(v) if isinstance(v, Expr) else v for k, v in values.items()}
            ordered = [values[name] for name in order]
            del values
            return self.finish(interpreter(ordered))

        self.root.run = run
        grad_mode = torch.is_grad_enabled()  # a graph may switch it, and end before it switches back
        try:
            chosen = {**self._own_hints(), **(hints or {})}
            trace = trace_model(
                self.root, (), self.inputs, hints=chosen, registry=registry_for(self.graph, registry), progress=progress
            )
        finally:
            self.root.run = None
            torch.set_grad_enabled(grad_mode)
        trace.frontend = frontend
        return trace

    def _own_hints(self) -> dict[str, int]:
        names = {s for spec in self.inputs.values() for size in spec.shape for s in free_symbols(size)}
        return {name: hint for name, hint in self.hints.items() if name in names}

    def _declare(self, scope: Any) -> None:
        """Tell the scope what the graph says of its sizes: ranges, and numbers where it was specialised."""
        where, scope.where = scope.where, None  # no line of the model says so
        for value in self.bound.values():
            for name in free_symbols(value) if isinstance(value, Expr) else ():
                if name not in scope.hints:  # of an integer input, no size of a tensor
                    scope.declare(name, self.hints.get(name, 2))
        for name, (lower, upper) in self.bounds.items():
            if name in scope.hints:
                scope.declare(name, scope.hints[name], lower or 1, upper)
        for size in self.pinned:
            scope.pin(size, "torch.export specialised it")
        adopt(self.guards, scope, "a decision of the model that torch.export recorded")
        scope.where = where


def registry_for(graph: GraphModule, base: Registry) -> Registry:
    """``base`` with the ATen overloads this graph calls, so that also those without tensor operands are recorded."""
    found: dict[Any, Op] = {}
    for module in graph.modules():
        if isinstance(module, GraphModule):
            for node in module.graph.nodes:
                if isinstance(node.target, torch_private.OpOverload) and node.target not in found:
                    entry = base.get(node.target)
                    if entry is not None:
                        found[node.target] = entry
    return base.reached_by(found) if found else base

