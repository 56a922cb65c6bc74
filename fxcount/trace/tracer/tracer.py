"""The tracer: a ``TorchFunctionMode`` under which a model's forward runs once on stand-in tensors.

Every torch call becomes one :class:`~fxcount.trace.tape.Call`. Calls that look alike (same op, same operand facts,
same arguments) share a :class:`~fxcount.trace.tape.Signature`, so a shape rule runs once for each kind of call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from fxcount.errors import DataDependentError, FxcountError, ShapeError, UnsupportedError
from fxcount.ops import Op, Registry, TensorFact
from fxcount.symbolic import Expr, Scope, SymRatio, SymSize
from fxcount.trace.inputs.inventory import Inventory
from fxcount.trace.known import constants, fills, tables
from fxcount.trace.tape import Call, Quotient, Signature, Value
from fxcount.trace.tracer.arguments import collapsed, facts_of_arguments, normalised, values_of_result
from fxcount.trace.tracer.counted import ITEM, Numbers, numbers_in
from fxcount.trace.tracer.results import Results
from fxcount.trace.tracer.sources import find_source
from fxcount.trace.tracer.standin import StandIn

__all__ = ["Tracer"]

_PLAIN = frozenset({torch.dtype, torch.device, torch.memory_format, torch.layout, str, type(None), type(Ellipsis), type})
_NUMBERS = frozenset({bool, float, complex})
_PYTHON_DTYPES = {float: torch.float64, int: torch.int64, bool: torch.bool}
_is_autocast_enabled = torch._C._is_any_autocast_enabled
_is_grad_enabled = torch.is_grad_enabled

_OF_NUMBERS = frozenset({"add", "sub", "mul", "div", "floor_divide", "remainder", "pow"})
_TAKES_VALUES = frozenset(
    "add sub rsub mul div pow linspace full full_like new_full fill_ add_ sub_ mul_ div_ clamp clamp_ clamp_min clamp_max "
    "where masked_fill masked_fill_ lerp addcmul eq ne lt le gt ge maximum minimum scaled_dot_product_attention".split()
)
"""Ops whose floating arguments are numbers to compute with: no size comes of them, so quotients of sizes stay symbolic."""


class Tracer(Results, TorchFunctionMode):
    """Records what a model does. Use through :func:`fxcount.trace.trace_model`."""

    def __init__(
        self, scope: Scope, registry: Registry, held: Inventory, progress: Callable[[int], None] | None = None
    ) -> None:
        TorchFunctionMode.__init__(self)
        Results.__init__(self, scope, held)
        self.registry = registry
        self.signatures: list[Signature] = []
        self._resolved: dict[Any, Op] = dict(registry._by_callable)
        self._memo: dict[tuple[Any, ...], Signature] = {}
        self._running: set[Any] = set()  # Python functions of torch whose bodies are being traced
        self.cast_weights: dict[tuple[int, torch.dtype], StandIn] = {}  # autocast's cache of converted weights
        self.numbers = Numbers(self)
        self.fills = False  # whether there are tensors of symbolic shape that are full of one number
        self.tables = False  # whether there are tensors whose elements are symbolic sizes
        self.slow_ops: list[str] = []  # ops that went through FakeTensorMode
        self.progress = progress

    # -- the hot path -------------------------------------------------------------------------------------------------
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = self._resolved.get(func)
        if found is not None:
            return self.record(found, func, args, kwargs)
        return self._uncommon(func, args, kwargs or {})

    def record(  # noqa: PLR0912
        self, entry: Op, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None
    ) -> Any:
        """Record one call of ``entry`` and return its stand-in result."""
        out = None
        if kwargs:
            args, kwargs, out = normalised(args, kwargs)
        at = entry.sizes_at
        if at is not None and len(args) > at:
            args = collapsed(args, at)
        if _is_autocast_enabled():
            from fxcount.trace.tracer.autocast import cast_operands

            args, kwargs = cast_operands(self, entry, args, kwargs or {})

        operands: list[StandIn] = []
        key: list[Any] = [entry]
        convert = self._convert
        recorded = tuple([convert(a, key, operands) for a in args])
        recorded_kwargs: dict[str, Any] = {}
        if kwargs:
            for name, a in kwargs.items():
                key.append(name)
                recorded_kwargs[name] = convert(a, key, operands)
        if not operands and recorded and entry.name in _OF_NUMBERS:  # torch.div(size, 2) gives a tensor
            from fxcount.trace.known.literals import make_literal

            return self.record(entry, func, (make_literal(self, args[0], None, None), *args[1:]), kwargs)
        hashed = tuple(key)
        signature = self._memo.get(hashed)
        if signature is None:
            try:
                signature = self._memo[hashed] = self._infer(entry, recorded, recorded_kwargs)
            except DataDependentError:
                signature = self._infer_from_data(entry, func, args, kwargs, recorded, recorded_kwargs, operands)

        index = len(self.calls)
        grad = _is_grad_enabled()
        values = tuple([o._value for o in operands])
        source = find_source(sys._getframe(2))
        call = Call(index, func, signature, recorded, recorded_kwargs, values, self._module, source, grad)
        self._marks.append(len(self._log))
        requires_grad = False
        if grad and entry.differentiable:
            for value in values:
                if value.requires_grad:
                    requires_grad = True
                    break
        known = None
        if entry.inplace or out is not None:
            target = operands[0] if out is None else out if type(out) is StandIn else self.state(out)
            result = self._write(call, target, signature.result, operands, requires_grad, out is not None)
        else:
            for operand in operands:
                if not operand._storage.constant:
                    break
            else:
                known = constants.compute(entry, func, args, kwargs, signature.result)
                self.tables |= known is None and bool(operands)  # perhaps a symbolic size among known numbers
            outputs: list[Value] = []
            result = self._wrap(signature.result, call, operands, outputs, requires_grad, known)
            call.outputs = tuple(outputs)
            if known is not None and self.given_data:
                self.pass_on(result, operands)
            if self.tables:
                tables.follow(entry, args, kwargs, result)
            name = fills.plain_name(func)
            if name in fills.MAKERS or (self.fills and name in fills.FOLLOWED):
                self.fills |= fills.follow(name, func, args, kwargs, result)
            if type(result) is tuple:
                result = constants.named_result(entry, result)
            if entry.writes:
                self._mark_written(call, args, kwargs)
        if out is not None:
            call.kwargs = {**recorded_kwargs, "out": target._value}
        call.result = values_of_result(result)
        self.calls.append(call)
        if self.progress is not None:
            self.progress(index)
        return result

    def _convert(self, a: Any, key: list[Any], operands: list[StandIn]) -> Any:
        kind = type(a)
        if kind is StandIn:
            value = a._value
            key.append(value.fact)
            operands.append(a)
            return value
        if kind is int or kind in _PLAIN:
            if kind is type and a in _PYTHON_DTYPES:
                a = _PYTHON_DTYPES[a]
            key.append(a)
            return a
        if kind in _NUMBERS:
            key.append((kind, a))
            return a
        if kind is SymSize:
            expr = a.expr
            key.append(expr)
            return expr
        if kind is tuple or kind is torch.Size or kind is list:
            inner: list[Any] = [list if kind is list else tuple]
            converted = [self._convert(x, inner, operands) for x in a]
            key.append(tuple(inner))
            return converted if kind is list else tuple(converted)
        if kind is torch.nn.Parameter or isinstance(a, torch.Tensor):
            state = self.state(a)
            key.append(state._value.fact)
            operands.append(state)
            return state._value
        if kind is slice:
            inner = [slice]
            parts = [self._convert(x, inner, operands) for x in (a.start, a.stop, a.step)]
            key.append(tuple(inner))
            return slice(*parts)
        return self._convert_rare(a, key, operands)

    def _convert_rare(self, a: Any, key: list[Any], operands: list[StandIn]) -> Any:
        if isinstance(a, Expr):
            key.append(a)
            return a
        if isinstance(a, SymRatio):
            if a.exact and type(key[0]) is Op and key[0].name in _TAKES_VALUES:
                key.append((SymRatio, a.num, a.den))
                return Quotient.of(a.num, a.den, a.value)
            return self._convert(float(a), key, operands)
        if isinstance(a, (tuple, list)):
            return self._convert(tuple(a) if isinstance(a, tuple) else list(a), key, operands)
        if isinstance(a, dict):
            inner: list[Any] = [dict, *a]
            converted = {k: self._convert(v, inner, operands) for k, v in a.items()}
            key.append(tuple(inner))
            return converted
        if hasattr(a, "item") and hasattr(a, "dtype") and not hasattr(a, "__array_interface__"):
            return self._convert(a.item(), key, operands)
        if type(a).__module__ == "numpy":
            plain = a.item() if a.ndim == 0 else torch.as_tensor(a)
            return self._convert(plain, key, operands)
        if isinstance(a, (bool, int, float)):  # enums and subclasses of numbers
            plain_kind = bool if isinstance(a, bool) else int if isinstance(a, int) else float
            return self._convert(plain_kind(a), key, operands)
        key.append(a if a.__hash__ is not None else id(a))
        return a

    def _infer(self, entry: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Signature:
        fact_args = tuple([facts_of_arguments(a) for a in args])
        fact_kwargs = {k: facts_of_arguments(v) for k, v in kwargs.items()}
        try:
            result = entry.shape(self.scope, *fact_args, **fact_kwargs)
        except FxcountError as error:
            if not error.where:
                error.where = self.where()
            if not error.hint:
                error.hint = "compare these shapes with what the line expects, and the input sizes given to analyze()"
            raise
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # the call did not bind
                raise UnsupportedError(f"{entry.name}: {error}", where=self.where()) from error
            if numbers_in((fact_args[1:], fact_kwargs)):  # arithmetic on a size that is a tensor
                raise DataDependentError(f"{entry.name}: a size is a tensor", where=self.where()) from error
            raise
        if entry.inplace and isinstance(result, TensorFact):
            self._check_in_place(entry, fact_args[0], result)
        signature = Signature(entry, fact_args, fact_kwargs, result)
        self.signatures.append(signature)
        return signature

    def before_iteration(self, x: StandIn) -> None:
        self.numbers.settle(x)

    def read_item(self, x: StandIn) -> Any:
        found = self.record(ITEM, torch.Tensor.item, (x,), None)
        floating = x._value.fact.dtype.is_floating_point and isinstance(found, SymSize)
        return SymRatio(found.expr, 1, float(found.hint), True, self.scope) if floating else found

    def _infer_from_data(
        self, entry: Op, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None,
        recorded: tuple[Any, ...], recorded_kwargs: dict[str, Any], operands: list[StandIn],
    ) -> Signature:  # fmt: skip
        """The signature of a call whose sizes depend on data, where the data that matter are known constants.

        Where they are not, the numbers that matter become symbols. Never memoised.
        """
        if all([o._storage.constant for o in operands]):
            known = constants.compute(entry, func, args, kwargs, None)
            if known is not None:
                facts = tuple([facts_of_arguments(a) for a in recorded])
                signature = Signature(entry, facts, {}, constants.facts_of(known))
                self.signatures.append(signature)
                self.note_data(operands)
                return signature
        data = {o._value: o._known for o in operands if o._storage.constant and o._known is not None}
        try:
            signature = self._infer(entry, constants.with_data(recorded, data, entry.reads_data), recorded_kwargs)
        except DataDependentError as error:
            return self.numbers.infer(entry, recorded, recorded_kwargs, operands, error)
        self.note_data([o for o in operands if o._value in data])
        return signature

    def _check_in_place(self, entry: Op, target: TensorFact, result: TensorFact) -> None:
        same = result.ndim == target.ndim and all(
            [self.scope.same(a, b, entry.name) for a, b in zip(result.shape, target.shape)]
        )
        if not same and entry.name not in constants.RESHAPES_IN_PLACE:
            raise ShapeError(
                f"{entry.name}: the result of shape {tuple(result.shape)} does not fit into the tensor of shape "
                f"{tuple(target.shape)} it is to be written to",
                where=self.where(),
                hint="use the op that makes a new tensor",
            )

    def run(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Record ``func(*args, **kwargs)`` as if the model had called it."""
        return self.record(self.registry[func], func, args, kwargs)

    def forget(self) -> None:
        """Let go of what only the run needed. Stand-ins of parameters and the tracer refer to each other, and the garbage
        collector would find them later, with a walk over all that the trace has made."""
        for held in (self._by_id, self.cast_weights, self._shared_storages, self._layouts, self._memo, self._resolved):
            held.clear()

    # -- the uncommon path ------------------------------------------------------------------------------------------
    def _uncommon(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        from fxcount.trace.tracer.special import handle

        return handle(self, func, args, kwargs)
