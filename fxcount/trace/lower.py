"""From the tape to a ``torch.fx.GraphModule`` that runs.

Placeholders are the model's tensor inputs in order, parameters and buffers become ``get_attr`` nodes where they are first
used, and symbolic sizes become ``sym_size`` nodes of the inputs and integer arithmetic on them. The module computes what
the model computes, also at sizes other than the hint: the strongest test of a trace there is.

``node.meta`` carries ``fact`` (shape, dtype, device, strides; a tuple of facts for several results), ``call`` (the tape's
record), ``module`` (path and call number) and ``source`` (file and line).
"""

from __future__ import annotations

import operator
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.fx

from fxcount import torch_private
from fxcount.errors import UnsupportedError
from fxcount.ops.core.tree import Node
from fxcount.ops.quantise.packed import Packed, PackedCell
from fxcount.symbolic import Expr, Size, free_symbols, to_rows
from fxcount.symbolic.floats import OPERATORS, UNARY, Program
from fxcount.trace.arithmetic import ARITHMETIC, operands_of
from fxcount.trace.graph_module import GraphModule
from fxcount.trace.tape import Call, Quotient, Trace, Value
from fxcount.trace.torch_patch.active import no_collection
from fxcount.trace.tracer.outputs import Opaque

__all__ = ["lower"]

def lower(trace: Trace) -> torch.fx.GraphModule:
    """An executable graph module over the tensor inputs of the traced call, in order.

    Raises :class:`~fxcount.errors.UnsupportedError` for a trace that was read from a file, which has neither data nor code, and
    for one that ended before the forward did.
    """
    if trace.ended:
        raise UnsupportedError(f"{trace.model_name} was not traced to its end: there is nothing to run", hint=trace.ended)
    if not trace.executable:
        raise UnsupportedError(
            f"{trace.model_name} was read from a file, which holds neither tensors nor code: there is nothing to run",
            hint="analyse the model itself to get its graph module",
        )
    if any([s.times != 1 for s in trace.signatures]):
        raise UnsupportedError(
            f"{trace.model_name} has a loop over a symbolic number of steps, which is recorded once",
            hint="give the number of steps in the inputs: analyze() then records each of them",
        )
    lowering = _Lowering(trace)
    with no_collection():  # many small nodes, and none of them garbage
        graph = lowering.build()
        root: dict[str, Any] = {_attribute(s.value.name): s.tensor for s in trace.states}
        return GraphModule({**root, **lowering.objects}, graph, class_name=trace.model_name)


def _given(node: torch.fx.Node, args: Any, kwargs: Any) -> torch.fx.Node:
    """The node with its arguments: what makes nodes would look through these for sizes of torch's own, of which there are
    none, and take longer for it than for all the rest."""
    node.args = args
    if kwargs:
        node.kwargs = kwargs
    return node


def _attribute(name: str) -> str:
    return name


_KEYS = (str, int, bool, type(None))  # what a key of a dict may be in the code of a graph


class _Lowering:
    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.graph = torch.fx.Graph()
        self.nodes: dict[int, Any] = {}  # index of a value -> node
        self.places: dict[str, tuple[Value, int, int, int]] = {}  # symbol -> an input size that is scale*symbol + offset
        self.symbols: dict[str, Any] = {}
        self.sizes: dict[Expr, Any] = {}
        self.objects: dict[str, Any] = {}  # what ops get that is no tensor and has no name in code: packed weights

    def build(self) -> torch.fx.Graph:
        for value in self.trace.inputs:
            node = self.graph.placeholder(value.name.replace(".", "_").replace("[", "_").replace("]", "") or "x")
            node.meta["fact"] = value.fact
            self.nodes[value.index] = node
        self._find_symbols(self.trace.inputs)
        for call in self.trace.calls:
            self._call(call)
        self.graph.output(self._output(self.trace.outputs))
        return self.graph

    # -- sizes ------------------------------------------------------------------------------------------------------
    def _find_symbols(self, values: Iterable[Value]) -> None:
        """For every symbol that is not known yet a size that is ``scale*symbol + offset``."""
        for value in values:
            for dim, size in enumerate(value.fact.shape):
                names = sorted(free_symbols(size))
                linear = _linear(size, names[0]) if len(names) == 1 else None
                if linear is not None:
                    self.places.setdefault(names[0], (value, dim, *linear))

    def _symbol(self, name: str) -> Any:
        found = self.symbols.get(name)
        if found is None:
            place = self.places.get(name)
            if place is None:
                raise UnsupportedError(
                    f"the symbol {name} cannot be computed from the sizes of the inputs alone",
                    hint="give the inputs with a size that is the symbol itself or a multiple of it",
                )
            value, dim, scale, offset = place
            found = self.graph.call_function(torch.ops.aten.sym_size.int, (self.nodes[value.index], dim))
            if offset:
                found = self.graph.call_function(operator.sub, (found, offset))
            if scale != 1:
                found = self.graph.call_function(operator.floordiv, (found, scale))
            self.symbols[name] = found
        return found

    def _size(self, size: Size) -> Any:
        if isinstance(size, int):
            return size
        found = self.sizes.get(size)
        if found is not None:
            return found
        results: list[Any] = []
        rows: list[list[Any]] = to_rows(size)
        for op, a, b in rows:
            if op == "int":
                results.append(int(a))
            elif op == "sym":
                results.append(self._symbol(a))
            else:
                results.append(self._arithmetic(ARITHMETIC[op], operands_of(op, a, b, results)))
        self.sizes[size] = results[-1]
        return results[-1]

    def _arithmetic(self, function: Callable[..., Any], operands: tuple[Any, ...]) -> Any:
        if all(isinstance(x, (int, float)) for x in operands):
            return function(*operands)
        return self.graph.call_function(function, operands)

    # -- calls ------------------------------------------------------------------------------------------------------
    def _argument(self, a: Any) -> Any:
        if type(a) is Value:
            return self._value(a)
        if isinstance(a, Expr):
            return self._size(a)
        if type(a) is Quotient:
            return self._quotient(a)
        if isinstance(a, tuple):
            return tuple(self._argument(x) for x in a)
        if isinstance(a, list):
            return [self._argument(x) for x in a]
        if isinstance(a, (Packed, PackedCell)):
            name = next((n for n, held in self.objects.items() if held is a.held), f"packed_{len(self.objects)}")
            self.objects[name] = a.held
            return self.graph.get_attr(name)
        if isinstance(a, Node):
            return tuple(self._argument(x) for x in a.parts())
        if isinstance(a, dict):
            return {k: self._argument(v) for k, v in a.items()}
        if isinstance(a, slice):
            return slice(self._argument(a.start), self._argument(a.stop), self._argument(a.step))
        return a

    def _quotient(self, a: Quotient) -> Any:
        if a.program is None:
            return self._arithmetic(operator.truediv, (self._size(a.num), self._size(a.den)))
        return self._computed(a.program)

    def _computed(self, program: Program) -> Any:
        """What Python computes a float by."""
        if not isinstance(program, tuple):
            return self._size(program) if isinstance(program, Expr) else program
        name, *operands = program
        if name in UNARY:
            return self._arithmetic(UNARY[name], (self._computed(operands[0]),))
        return self._arithmetic(OPERATORS[name], tuple([self._computed(x) for x in operands]))

    def _value(self, value: Value) -> Any:
        node = self.nodes.get(value.index)
        if node is None:  # a parameter, buffer or constant that is used for the first time
            node = self.graph.get_attr(_attribute(value.name))
            node.meta["fact"] = value.fact
            self.nodes[value.index] = node
        return node

    def _call(self, call: Call) -> None:
        args = tuple(self._argument(a) for a in call.args)
        kwargs = {k: self._argument(v) for k, v in call.kwargs.items()}
        func = call.func
        if isinstance(func, types.MethodDescriptorType):
            node = _given(self.graph.call_method(func.__name__), args, kwargs)
        elif isinstance(func, types.MethodWrapperType):  # a property of a tensor
            node = self.graph.call_function(getattr, (args[0], getattr(func.__self__, "__name__")))  # noqa: B009
        elif isinstance(func, types.WrapperDescriptorType):
            node = _given(self.graph.call_function(getattr(operator, func.__name__.strip("_"), func)), args, kwargs)
        else:
            node = _given(self.graph.call_function(_named(func)), args, kwargs)
        place = self.trace.modules[call.module] if call.module >= 0 else None
        node.meta["call"] = call
        node.meta["module"] = (place.path, place.number) if place is not None else ("", 1)
        node.meta["source"] = str(call.source or "")
        node.meta["fact"] = call.outputs[0].fact if len(call.outputs) == 1 else tuple(v.fact for v in call.outputs)
        if type(call.result) is Value:
            self.nodes[call.result.index] = node
        elif isinstance(call.result, Expr):  # the value of an integer tensor
            names = free_symbols(call.result)
            self.symbols.update(dict.fromkeys(names, node) if len(names) == 1 else {})
        else:
            self._unpack(node, call.result)
        if self.trace.scope.unbacked.by_name:
            self._find_symbols(call.outputs)
        if func is torch.Tensor.__setitem__:
            self.nodes[call.outputs[0].index] = args[0]  # operator.setitem returns nothing

    def _unpack(self, node: Any, result: Any) -> None:
        if type(result) is Value:
            node.meta.setdefault("fact", result.fact)
            self.nodes[result.index] = node
        elif isinstance(result, tuple):
            for i, part in enumerate(result):
                if type(part) is Value or isinstance(part, tuple):
                    self._unpack(self.graph.call_function(operator.getitem, (node, i)), part)

    def _output(self, tree: Any) -> Any:
        if isinstance(tree, Opaque):
            return tuple(self._output(v) for v in tree.values)
        if isinstance(tree, dict):
            return {k if isinstance(k, _KEYS) else str(k): self._output(v) for k, v in tree.items()}
        if isinstance(tree, (tuple, list)):
            return tuple(self._output(t) for t in tree)
        found = self._argument(tree)
        plain = isinstance(found, (torch.fx.Node, int, float, bool, str, type(None), torch.dtype, torch.device))
        return found if plain else None


def _named(func: Callable[..., Any]) -> Callable[..., Any]:
    """``func``, or a wrapper if the name fx would write for it leads to something else (``torch._VF.stft``)."""
    if not isinstance(func, types.BuiltinFunctionType) and not _method_of_module(func):
        return func
    name = func.__name__
    if getattr(sys.modules.get(func.__module__ or "torch"), name, None) == func:
        return func

    def builtin(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    builtin.__name__ = builtin.__qualname__ = f"builtin_{name}"
    return builtin


def _method_of_module(func: Callable[..., Any]) -> bool:
    """Whether fx takes a tensor's method that is written in Python for a function of its module, as torch 2.6 does."""
    if not isinstance(func, types.FunctionType) or func.__module__ != torch_private.tensor_functions.__name__:
        return False
    return not torch_private.graph_name(func).startswith("torch.Tensor.")


def _linear(size: Size, name: str) -> tuple[int, int] | None:
    from fxcount.symbolic import evaluate, symbol

    offset = evaluate(size, {name: 0})
    scale = evaluate(size, {name: 1}) - offset
    return (scale, offset) if scale != 0 and symbol(name) * scale + offset == size else None
