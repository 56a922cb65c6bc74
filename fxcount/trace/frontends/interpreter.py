"""Runs an FX graph on stand-ins, node by node, inside the module calls its nodes remember.

Unlike the code fx generates this keeps module paths, call numbers and source lines, and frees a value where the module
that made it would: inputs of a module call live as long as the call, other values until their last use in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.fx import GraphModule, Node

from fxcount.trace.frontends import higher_order
from fxcount.trace.frontends.blocks import Block, Frame, cut, is_guard
from fxcount.trace.frontends.modules import Place, module_at, named_class
from fxcount.trace.frontends.places import Places

__all__ = ["Interpreter", "Observer"]

Observer = Callable[[Node, Any, int], None]
Values = dict[Node, Any]


class Interpreter:
    """Executes the graph of ``owner``; module calls are made on the modules under ``root``.

    ``observe`` is told of each node right after it ran: its result, and what ``count`` (of the ops so far) says then.
    """

    def __init__(
        self, owner: GraphModule, root: torch.nn.Module, places: Places | None = None, outside: tuple[Frame, ...] = (),
        observe: Observer | None = None, count: Callable[[], int] = lambda: 0,
    ) -> None:  # fmt: skip
        self.owner = owner
        self.root = root
        self.places = places or Places()
        self.outside = outside
        self.observe = observe
        self.count = count
        nodes = list(owner.graph.nodes)
        self.placeholders = [n for n in nodes if n.op == "placeholder"]
        self.result = next(n for n in reversed(nodes) if n.op == "output")
        self.block = cut(nodes, outside, self.result.all_input_nodes)
        self._nested: dict[int, Interpreter] = {}

    def __call__(self, inputs: Sequence[Any]) -> Any:
        """The graph's output for one value per placeholder."""
        values = dict(zip(self.placeholders, inputs, strict=True))
        self._run_items(self.block, values, self.outside)
        return _resolved(self.result.args[0], values)

    def _run_items(self, block: Block, values: Values, frames: tuple[Frame, ...]) -> None:
        for item, dead in zip(block.items, block.dies_after, strict=True):
            if isinstance(item, Node):
                values[item] = self._node(item, values, frames)
            else:
                self._module_call(item, values, frames)
            for node in dead:
                values.pop(node, None)

    def _module_call(self, block: Block, values: Values, frames: tuple[Frame, ...]) -> None:
        frame = block.frame
        module = module_at(self.root, frame.path, frame.class_name)
        if not isinstance(module, Place):  # the graph also calls this module as it is
            module = named_class(Place, frame.class_name)()

        def run(*inputs: Any) -> tuple[Any, ...]:
            inner = dict(zip(block.inputs, inputs, strict=True))
            self._run_items(block, inner, (*frames, frame))
            return tuple([inner[n] for n in block.outputs])

        made = module(run, *[values[n] for n in block.inputs])
        values.update(zip(block.outputs, made, strict=True))

    def _node(self, node: Node, values: Values, frames: tuple[Frame, ...]) -> Any:
        result = self._execute(node, values, frames)
        if self.observe is not None:
            self.observe(node, result, self.count())
        return result

    def _execute(self, node: Node, values: Values, frames: tuple[Frame, ...]) -> Any:
        if node.op == "get_attr":
            return _attribute(self.owner, str(node.target))
        args, kwargs = _resolved(node.args, values), _resolved(node.kwargs, values)
        call = self.places.caller(node.meta.get("stack_trace"))
        if node.op == "call_method":
            return call(getattr(args[0], str(node.target)), args[1:], kwargs)
        if node.op == "call_module":
            module = _attribute(self.owner, str(node.target))
            return call(module.forward if is_guard(node) else module, args, kwargs)
        special = higher_order.handler(node.target)
        if special is not None:
            return special(lambda graph, inputs: self._graph(graph, inputs, frames), *args, **kwargs)
        assert callable(node.target)
        return call(node.target, args, kwargs)

    def _graph(self, owner: GraphModule, inputs: Sequence[Any], frames: tuple[Frame, ...]) -> Any:
        """A graph inside the graph, e.g. the body of a ``no_grad`` region."""
        nested = self._nested.get(id(owner))
        if nested is None:
            nested = self._nested[id(owner)] = Interpreter(owner, self.root, self.places, frames, self.observe, self.count)
        return nested(inputs)


def _attribute(owner: torch.nn.Module, target: str) -> Any:
    found: Any = owner
    for part in target.split("."):
        found = getattr(found, part)
    return found


def _resolved(a: Any, values: Mapping[Node, Any]) -> Any:
    """Values in the place of nodes, in plain containers."""
    if isinstance(a, Node):
        return values[a]
    if isinstance(a, tuple):
        parts = [_resolved(x, values) for x in a]
        return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
    if isinstance(a, list):
        return [_resolved(x, values) for x in a]
    if isinstance(a, dict):
        return {k: _resolved(v, values) for k, v in a.items()}
    if isinstance(a, slice):
        return slice(_resolved(a.start, values), _resolved(a.stop, values), _resolved(a.step, values))
    return a
