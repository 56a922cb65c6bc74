"""The arguments of a call as the tape records them, and the key by which calls that look alike are recognised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import Parameter

from fxcount.ops import Op
from fxcount.ops.core.tree import Node
from fxcount.ops.quantise.packed import Packed, PackedCell, is_packed
from fxcount.symbolic import Expr, SymRatio, SymSize
from fxcount.trace.tape import Quotient
from fxcount.trace.tracer.arrays import ArrayStandIn, tensor_in
from fxcount.trace.tracer.standin import StandIn

__all__ = ["Keys"]

_PLAIN = frozenset({torch.dtype, torch.device, torch.memory_format, torch.layout, str, type(None), type(Ellipsis), type})
_INTEGERS = frozenset({int})
_NUMBERS = frozenset({bool, float, complex})
_SEQUENCES = frozenset({tuple, list, torch.Size})
_PYTHON_DTYPES = {float: torch.float64, int: torch.int64, bool: torch.bool}


class Keys:
    """Converts arguments; ``state`` gives the stand-in of a real tensor, or what is asked of it alike
    (:class:`~fxcount.trace.tracer.storages.HeldState`), ``packed`` what an object with weights in it keeps."""

    def __init__(self, state: Callable[[torch.Tensor], Any], packed: Callable[[Any], Packed | PackedCell]) -> None:
        self._state = state
        self._packed = packed

    def convert(self, a: Any, key: list[Any], operands: list[StandIn]) -> Any:
        """The argument as it is recorded. What tells it from others is added to ``key``, its tensors to ``operands``."""
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
        if kind in _SEQUENCES:
            if _INTEGERS.issuperset(map(type, a)):  # a kernel size, a shape
                if kind is tuple:
                    key.append(a)
                    return a
                key.append((list, *a) if kind is list else tuple(a))
                return list(a) if kind is list else tuple(a)
            inner: list[Any] = [key[0], kind is list]  # the op, which may take floats as they are
            convert = self.convert
            converted = [convert(x, inner, operands) for x in a]
            key.append(tuple(inner))
            return converted if kind is list else tuple(converted)
        if kind is Parameter or isinstance(a, torch.Tensor):
            state = self._state(a)
            key.append(state._value.fact)
            operands.append(state)
            return state._value
        if kind is slice:
            inner = [slice]
            parts = [self.convert(x, inner, operands) for x in (a.start, a.stop, a.step)]
            key.append(tuple(inner))
            return slice(*parts)
        return self._rare(a, key, operands)

    def _rare(self, a: Any, key: list[Any], operands: list[StandIn]) -> Any:
        if type(a) is ArrayStandIn:
            return self.convert(tensor_in(a), key, operands)
        if is_packed(a):
            a = self._packed(a)
        if isinstance(a, Expr):
            key.append(a)
            return a
        if isinstance(a, SymRatio):
            if type(key[0]) is Op and (key[0].takes_values or (a.exact and key[0].takes_scales)):
                if a.curved:
                    key.append((SymRatio, a.program))
                    return Quotient.of(1, 0, a.value, False, a.program)
                key.append((SymRatio, a.num, a.den))
                return Quotient.of(a.num, a.den, a.value, a.exact)
            return self.convert(float(a), key, operands)
        if type(a) is Quotient:
            key.append((SymRatio, a.num, a.den) if a.program is None else (SymRatio, a.program))
            return a
        if isinstance(a, (tuple, list)):
            return self.convert(tuple(a) if isinstance(a, tuple) else list(a), key, operands)
        if isinstance(a, Node):
            inner = [type(a), a.kind]
            made = a.of_parts(iter([self.convert(x, inner, operands) for x in a.parts()]))
            key.append(tuple(inner))
            return made
        if isinstance(a, dict):
            inner = [dict, *a]
            converted = {k: self.convert(v, inner, operands) for k, v in a.items()}
            key.append(tuple(inner))
            return converted
        if isinstance(a, type):  # a class: those of tensors (torch.FloatTensor) have an item() and a dtype too
            key.append(a)
            return a
        if hasattr(a, "item") and hasattr(a, "dtype") and not hasattr(a, "__array_interface__"):
            return self.convert(a.item(), key, operands)
        if type(a).__module__ == "numpy":
            plain = a.item() if a.ndim == 0 else torch.as_tensor(a)
            return self.convert(plain, key, operands)
        if isinstance(a, (bool, int, float)):  # enums and subclasses of numbers
            plain_kind = bool if isinstance(a, bool) else int if isinstance(a, int) else float
            return self.convert(plain_kind(a), key, operands)
        key.append(a if a.__hash__ is not None else (id, id(a)))
        return a
