"""TorchScript: modules whose Python code is gone, read from the graphs of their methods.

Each script module, alone or inside a model, is mirrored by a plain module with the same parameters, buffers and children
whose forward interprets its graph. Calls between modules stay module calls, and nodes know their source lines.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import torch

from fxcount import torch_private
from fxcount.errors import UnsupportedError
from fxcount.trace.frontends.modules import identity, named_class
from fxcount.trace.frontends.places import Places
from fxcount.trace.frontends.script_ops import builtin, call_op

__all__ = ["readable", "run_function"]


@contextlib.contextmanager
def readable(model: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """The model with every script module replaced by its mirror; children are put back on leaving."""
    places = Places()
    if isinstance(model, torch.jit.ScriptModule):
        yield mirror(model, places)
        return
    replaced: list[tuple[dict[str, Any], str, torch.nn.Module]] = []
    known: dict[Any, torch.nn.Module] = {}
    tensors: dict[Any, Any] = {}  # across children: what they share stays shared
    plain = [m for m in model.modules() if not isinstance(m, torch.jit.ScriptModule)]
    try:
        for parent in plain:
            for name, child in list(parent._modules.items()):
                if isinstance(child, torch.jit.ScriptModule):
                    replaced.append((parent._modules, name, child))
                    parent._modules[name] = _mirror(torch_private.script_module(child), places, known, tensors)
        yield model
    finally:
        for children, name, child in replaced:
            children[name] = child


class Mirror(torch.nn.Module):
    """A plain module in the place of a script module."""

    def __init__(self, compiled: Any, places: Places) -> None:
        super().__init__()
        self._compiled = compiled
        self._places = places
        self._written: dict[str, Any] = {}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the graph of the compiled ``forward``."""
        return self.run("forward", args, kwargs)

    def run(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the graph of a compiled method."""
        found = torch_private.script_method(self._compiled, method)
        bound = _bound(found.schema, (self, *args), kwargs)
        return run_graph(found.graph, bound, self._places)

    def attribute(self, name: str) -> Any:
        """A child, parameter, buffer or compiled attribute."""
        for held in (self._written, self._modules, self._parameters, self._buffers):
            if name in held:
                return held[name]
        return self._compiled.getattr(name)

    def set_attribute(self, name: str, value: Any) -> None:
        """Keep what the graph writes for this analysis; the script module itself stays as it is."""
        self._written[name] = value


def mirror(script: Any, places: Places) -> torch.nn.Module:
    """The mirror of a script module and all its children; a child under two names stays one module."""
    mirrored = _mirror(torch_private.script_module(script), places, {}, {})
    _tell_inputs(mirrored)
    return mirrored


def _tell_inputs(mirrored: Any) -> None:
    """Have ``forward`` say the names of its inputs, as a function of Python does."""
    try:
        found = torch_private.script_method(mirrored._compiled, "forward").schema.arguments[1:]
        inputs = [
            inspect.Parameter(
                a.name, inspect.Parameter.KEYWORD_ONLY if a.kwarg_only else inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=a.default_value if a.has_default_value() else inspect.Parameter.empty,
            )
            for a in found
        ]  # fmt: skip
        signature = inspect.Signature(inputs)
    except (RuntimeError, ValueError):  # it has no forward, or names that Python has not
        return

    def forward(*args: Any, **kwargs: Any) -> Any:
        return mirrored.run("forward", args, kwargs)

    forward.__signature__ = signature  # type: ignore[attr-defined]
    mirrored.__dict__["forward"] = forward


def _mirror(
    compiled: Any, places: Places, known: dict[Any, torch.nn.Module], tensors: dict[Any, Any]
) -> torch.nn.Module:  # fmt: skip
    found = known.get(compiled)
    if found is not None:
        return found
    kind = named_class(Mirror, torch_private.script_class(compiled))
    mirrored: Mirror = kind(compiled, places)
    known[compiled] = mirrored
    mirrored.training = bool(compiled.hasattr("training") and compiled.getattr("training"))
    for attribute, tensor in _items(torch_private.ParameterDict, compiled):
        parameter = tensor if isinstance(tensor, torch.nn.Parameter) else torch.nn.Parameter(tensor, tensor.requires_grad)
        mirrored._parameters[attribute] = tensors.setdefault(identity(tensor), parameter)
    for attribute, tensor in _items(torch_private.BufferDict, compiled):
        mirrored._buffers[attribute] = tensors.setdefault(identity(tensor), tensor)
    for attribute, child in _items(torch_private.ModuleDict, compiled):
        mirrored._modules[attribute] = _mirror(child, places, known, tensors)
    return mirrored


def _items(kind: Any, compiled: Any) -> list[tuple[str, Any]]:
    return list(kind(compiled).items())


def _bound(schema: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """Arguments in the order of the compiled signature, defaults filled in."""
    values = list(args)
    for argument in schema.arguments[len(values) :]:
        if argument.name in kwargs:
            values.append(kwargs[argument.name])
        elif argument.has_default_value():
            values.append(argument.default_value)
        else:
            raise TypeError(f"{schema.name}() missing the argument {argument.name!r}")
    return values


def run_function(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], places: Places) -> Any:
    """Interpret a function that ``torch.jit.script`` or ``torch.jit.trace`` has compiled."""
    return run_graph(function.graph, _bound(function.schema, args, kwargs), places)


def run_graph(graph: Any, args: list[Any], places: Places) -> Any:
    """Interpret a TorchScript graph on these values."""
    values = dict(zip([v.debugName() for v in graph.inputs()], args, strict=True))
    _run_block(graph, values, places)
    outputs = [values[v.debugName()] for v in graph.outputs()]
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def _run_block(block: Any, values: dict[str, Any], places: Places) -> None:
    nodes = list(block.nodes())
    last = _last_uses(nodes, [v.debugName() for v in block.outputs()])
    for node, dead in zip(nodes, last, strict=True):
        _run_node(node, values, places)
        for name in dead:
            values.pop(name, None)


def _last_uses(nodes: list[Any], kept: list[str]) -> list[list[str]]:
    """For each node the values made in this block that nothing after it uses."""
    last: dict[str, int] = {}
    made: set[str] = set()
    for i, node in enumerate(nodes):
        for name in _uses(node):
            last[name] = i
        for v in node.outputs():
            made.add(v.debugName())
            last[v.debugName()] = i
    found: list[list[str]] = [[] for _ in nodes]
    for name, i in last.items():
        if name in made and name not in kept:
            found[i].append(name)
    return found


def _uses(node: Any) -> Iterator[str]:
    for v in node.inputs():
        yield v.debugName()
    for block in node.blocks():
        for inner in block.nodes():
            yield from _uses(inner)
        for v in block.outputs():
            yield v.debugName()


def _run_node(node: Any, values: dict[str, Any], places: Places) -> None:
    kind = node.kind()
    outputs = [v.debugName() for v in node.outputs()]
    control = _CONTROL.get(kind)
    if control is not None:
        results = control(node, values, places)
    else:
        args = [values[v.debugName()] for v in node.inputs()]
        call = places.caller(node.sourceRange() or None)
        plain = builtin(kind, args)
        if plain is not None:
            results = [call(plain, args, {})]
        elif kind.startswith("prim::"):
            raise UnsupportedError(
                f"the TorchScript node {kind} has no meaning to the tracer", where=_line(node),
                hint="analyse the Python module the script was made of",
            )  # fmt: skip
        else:
            results = [call_op(node.schema(), args, call)]
            if len(outputs) > 1:
                results = list(results[0])
    values.update(zip(outputs, results))


def _line(node: Any) -> str:
    return " ".join(str(node.sourceRange()).split()[:4])


# -- nodes with blocks, attributes or callees ------------------------------------------------------------------------
def _constant(node: Any, values: dict[str, Any], places: Places) -> list[Any]:
    output = next(iter(node.outputs()))
    return [output if output.type().kind() == "FunctionType" else output.toIValue()]


def _get_attr(node: Any, values: dict[str, Any], places: Places) -> list[Any]:
    owner = values[next(iter(node.inputs())).debugName()]
    name = node.s("name")
    return [owner.attribute(name) if isinstance(owner, Mirror) else getattr(owner, name)]


def _set_attr(node: Any, values: dict[str, Any], places: Places) -> list[Any]:
    owner, value = [values[v.debugName()] for v in node.inputs()]
    owner.set_attribute(node.s("name"), value)
    return []


def _call_method(node: Any, values: dict[str, Any], places: Places) -> list[Any]:
    owner, *args = [values[v.debugName()] for v in node.inputs()]
    name = node.s("name")
    if not isinstance(owner, Mirror):
        raise UnsupportedError(f"TorchScript calls {name} of an object that is not a module", where=_line(node))
    return [owner(*args) if name == "forward" else owner.run(name, tuple(args), {})]


def _call_function(node: Any, values: dict[str, Any], places: Places) -> list[Any]:
    function, *args = list(node.inputs())
    name = str(function.type()).strip()
    body = torch_private.script_functions.find_function(name)
    if body is None:
        raise UnsupportedError(
            f"the TorchScript function {name} cannot be found", where=_line(node),
            hint="analyse the Python module the script was made of",
        )  # fmt: skip
    return [run_graph(body.graph, [values[v.debugName()] for v in args], places)]


def _if(node: Any, values: dict[str, Any], places: Places) -> list[Any]:
    condition = values[next(iter(node.inputs())).debugName()]
    first, second = node.blocks()
    call = places.caller(node.sourceRange() or None)
    block = first if call(bool, (condition,), {}) else second
    _run_block(block, values, places)
    return [values[v.debugName()] for v in block.outputs()]


def _loop(node: Any, values: dict[str, Any], places: Places) -> list[Any]:
    limit, condition, *carried = [values[v.debugName()] for v in node.inputs()]
    (block,) = node.blocks()
    names = [v.debugName() for v in block.inputs()]
    call = places.caller(node.sourceRange() or None)
    i = 0
    while bool(condition) and call(_below, (i, limit), {}):
        values.update(zip(names, [i, *carried]))
        _run_block(block, values, places)
        condition, *carried = [values[v.debugName()] for v in block.outputs()]
        i += 1
    return carried


def _below(i: int, limit: Any) -> bool:
    return bool(i < limit)


_CONTROL: dict[str, Any] = {
    "prim::Constant": _constant,
    "prim::GetAttr": _get_attr,
    "prim::SetAttr": _set_attr,
    "prim::CallMethod": _call_method,
    "prim::CallFunction": _call_function,
    "prim::If": _if,
    "prim::Loop": _loop,
    "prim::ListUnpack": lambda node, values, places: list(values[next(iter(node.inputs())).debugName()]),
    "prim::TupleUnpack": lambda node, values, places: list(values[next(iter(node.inputs())).debugName()]),
}
