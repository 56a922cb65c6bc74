"""Bitwise operations on integers and booleans, and the operators that stand for them.

Shapes:  operands broadcast; the dtype is promoted
Counts:  0: integer and boolean work is no floating-point work (memory is read and written)
Raises:  ShapeError: floating operands

>>> _bitwise("bitwise_and")(Scope({}), TensorFact((2, 3), torch.bool), TensorFact((3,), torch.bool)).shape
(2, 3)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Operand
from fxcount.ops.core.common import promote
from fxcount.ops.core.fact import TensorFact
from fxcount.ops.core.iterator import dense_like, elementwise
from fxcount.ops.core.registry import Op, ShapeRule, Zero, op
from fxcount.ops.core.scalars import is_arithmetic
from fxcount.symbolic import Scope

__all__ = ["OPS"]

_INTEGER = Zero("integer work", moves=True)


def _refuse_floats(name: str, dtype: torch.dtype) -> None:
    if is_arithmetic(dtype):
        raise ShapeError(f"{name}: not defined for {dtype}", hint="bitwise operations need integers or booleans")


def _bitwise(name: str) -> ShapeRule:
    def bitwise(scope: Scope, x: Any, other: Operand) -> TensorFact:
        dtype = promote(x, other)
        _refuse_floats(name, dtype)
        return elementwise(scope, name, dtype, x, other)

    return bitwise


def bitwise_not(scope: Scope, x: TensorFact) -> TensorFact:
    _refuse_floats("bitwise_not", x.dtype)
    return dense_like(x)


_T = torch.Tensor
_BINARY: dict[str, tuple[Callable[..., Any], ...]] = {
    "bitwise_and": (_T.__and__, _T.__rand__),
    "bitwise_or": (_T.__or__, _T.__ror__),
    "bitwise_xor": (_T.__xor__, _T.__rxor__),
    "bitwise_left_shift": (_T.__lshift__, _T.__rlshift__),
    "bitwise_right_shift": (_T.__rshift__, _T.__rrshift__),
}
_ATEN_DUNDERS = {
    "bitwise_and": "__and__",
    "bitwise_or": "__or__",
    "bitwise_xor": "__xor__",
    "bitwise_left_shift": "__lshift__",
    "bitwise_right_shift": "__rshift__",
}


def _in_place(name: str) -> Op:
    dunder = "__i" + _ATEN_DUNDERS[name][2:]
    return op(
        f"{name}_", dunder, shape=_bitwise(name), cost=_INTEGER, differentiable=False, inplace=True, follows="mapped"
    )


OPS: tuple[Op, ...] = (
    *(
        op(
            name, _ATEN_DUNDERS[name], shape=_bitwise(name), cost=_INTEGER, extra=extra, differentiable=False,
            follows="mapped",
        )
        for name, extra in _BINARY.items()
    ),
    *(_in_place(name) for name in _BINARY),
    op("bitwise_not", shape=bitwise_not, cost=_INTEGER, extra=(_T.__invert__,), differentiable=False, follows="mapped"),
)
