"""``torch.fx.GraphModule``: from ``symbolic_trace``, ``make_fx``, ``ExportedProgram.module()`` or dynamo.

Input sizes come from the placeholders' metadata, whoever wrote it, or from the user; then the trace is the shape pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch.fx import GraphModule, Node

from fxcount import torch_private
from fxcount.errors import InputError
from fxcount.ops import REGISTRY, Registry, TensorFact
from fxcount.torch_private import pytree
from fxcount.trace.frontends.blocks import is_guard, module_stack
from fxcount.trace.frontends.interpreter import Observer
from fxcount.trace.frontends.modules import Root, hold, model_class, module_at, named_class
from fxcount.trace.frontends.program import Program
from fxcount.trace.frontends.sizes import TorchSizes
from fxcount.trace.inputs.specs import InputSpec, Plain, parse_inputs
from fxcount.trace.tape import Trace

__all__ = ["graph_program", "inputs_known", "trace_graph"]


def trace_graph(
    graph: GraphModule, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None, *,
    hints: Mapping[str, int] | None = None, registry: Registry = REGISTRY, progress: Callable[[int], None] | None = None,
    observe: Observer | None = None,
) -> Trace:  # fmt: skip
    """Trace a graph module. Inputs may be left out if its placeholders say their shapes.

    Raises :class:`~fxcount.errors.InputError` if they do not, or for a wrong number of inputs.
    """
    program = graph_program(graph, args, kwargs or {})
    return program.trace("graph", hints=hints, registry=registry, progress=progress, observe=observe)


def graph_program(
    graph: GraphModule, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None,
    states: Mapping[str, tuple[str, torch.Tensor]] = MappingProxyType({}), known: Mapping[str, Any] = MappingProxyType({}),
) -> Program:  # fmt: skip
    """The graph with its inputs bound.

    In graphs of dynamo some placeholders are no inputs of the model. ``states``: name and tensor of those that stand for
    parameters and buffers; ``known``: the values of those that stand for numbers.
    """
    root = named_class(Root, model_class(graph) or type(graph).__name__)()
    _adopt_modules(graph, root)
    for name, tensor in states.values():
        hold(root, name, tensor)
    free = [n for n in graph.graph.nodes if n.op == "placeholder" and n.name not in {*states, *known}]
    sizes = TorchSizes.of(_example(n) for n in free)
    values = _given(graph, free, args, dict(kwargs or {})) if args or kwargs else _own(free, sizes)
    inputs = {n.name: v for n, v in zip(free, values, strict=True) if isinstance(v, InputSpec)}
    bound = {n.name: v for n, v in zip(free, values, strict=True) if not isinstance(v, InputSpec)}
    bound |= {placeholder: tensor for placeholder, (_, tensor) in states.items()} | dict(known)
    return Program(graph, root, inputs, bound, sizes.hints, finish=_finisher(graph))


def _adopt_modules(graph: GraphModule, root: Root) -> None:
    """Modules the graph calls as they are; for the others, places with their paths, parameters and buffers."""
    calls = [n for m in graph.modules() if isinstance(m, GraphModule) for n in m.graph.nodes if n.op == "call_module"]
    called = {str(n.target) for n in calls if not is_guard(n)}
    for node in graph.graph.nodes:
        for frame in module_stack(node) or ():
            if frame.path not in called:
                module_at(root, frame.path, frame.class_name)
    for path, module in graph.named_modules(remove_duplicate=False):
        if path in called and not isinstance(module, GraphModule):
            parent, _, name = path.rpartition(".")
            module_at(root, parent)._modules[name] = module
        elif not any(path.startswith(f"{c}.") for c in called):
            prefix = f"{path}." if path else ""
            for slot in (module._parameters, module._buffers):
                for name, tensor in slot.items():
                    if tensor is not None:
                        hold(root, prefix + name, tensor, name not in module._non_persistent_buffers_set)


def _example(node: Node) -> Any:
    """The example of a placeholder's value that export, ``make_fx`` or dynamo left on it."""
    return node.meta.get("val", node.meta.get("example_value"))


def _own(free: Sequence[Node], sizes: TorchSizes) -> list[Any]:
    return [_own_value(node, sizes) for node in free]


def inputs_known(graph: GraphModule) -> bool:
    """Whether every placeholder says what it stands for, so that the graph can be traced without inputs."""
    free = [n for n in graph.graph.nodes if n.op == "placeholder"]
    try:
        _own(free, TorchSizes.of(_example(n) for n in free))
    except InputError:
        return False
    return True


def _own_value(node: Node, sizes: TorchSizes) -> Any:
    fact = node.meta.get("fact")
    if isinstance(fact, TensorFact):
        return InputSpec(fact.shape, fact.dtype, fact.device, False, fact.strides)
    example = _example(node)
    if isinstance(example, torch.Tensor):
        return sizes.spec(example)
    if isinstance(example, torch.SymInt):
        return sizes.size(example)
    known = node.meta.get("tensor_meta")
    if known is not None and hasattr(known, "shape"):
        return InputSpec(tuple(int(s) for s in known.shape), known.dtype)
    if example is not None or "val" in node.meta:
        return example
    if node.args:
        return node.args[0]  # the default of a parameter of forward
    raise InputError(
        f"the graph does not say the shape of its input {node.target}",
        hint='give the inputs, e.g. analyze(graph_module, "B,3,H,W")',
    )


def _given(graph: GraphModule, free: Sequence[Node], args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    """What the user gave for each placeholder, in order."""
    args, kwargs = tuple(parse_inputs(a) for a in args), parse_inputs(kwargs)
    info = torch_private.graph_tree(graph.graph)
    if info is not None:
        return _counted(pytree.tree_leaves((args, kwargs)), free)
    values = list(args)
    for node in free[len(values) :]:
        name = str(node.target).lstrip("*")
        if name in kwargs:
            values.append(kwargs.pop(name))
        elif node.args:
            values.append(node.args[0])
    if kwargs:
        raise InputError(f"the graph has no input {', '.join(kwargs)}", hint=f"its inputs are {_names(free)}")
    return _counted(values, free)


def _counted(values: list[Any], free: Sequence[Node]) -> list[Any]:
    if len(values) != len(free):
        raise InputError(
            f"the graph takes {len(free)} inputs ({_names(free)}), {len(values)} were given",
            hint="give all of them in order, or none if its placeholders have metadata",
        )
    return [v.value if isinstance(v, Plain) else v for v in values]


def _names(free: Sequence[Node]) -> str:
    return ", ".join(str(n.target) for n in free) or "none"


def _finisher(graph: GraphModule) -> Callable[[Any], Any]:
    info = torch_private.graph_tree(graph.graph)
    spec = info.out_spec if info is not None else None

    def finish(output: Any) -> Any:
        if spec is None:
            return output
        leaves = list(output) if isinstance(output, (tuple, list)) else [output]
        return pytree.tree_unflatten(leaves, spec)

    return finish
