"""Complex numbers: making them of two real tensors, taking them apart, conjugation.

Shapes:  real operands broadcast; ``view_as_real`` appends a dimension of 2, ``view_as_complex`` takes it away
Counts:  ``polar`` is ``r*cos(a)`` and ``r*sin(a)``: 4 flops per element, 2 of them transcendental; ``angle`` is an
         atan2 of a complex number and a comparison with 0 of a real one; ``conj_physical`` negates one part: 1.
         ``complex`` copies; the others are views.
Raises:  ShapeError: operands of the wrong kind
Source:  definitions. A lazy conjugate is a view with a flag in torch; a fact has no such flag, so ``resolve_conj`` is
         taken for the no-op that it is on a tensor that is not lazily conjugated.

>>> z = TensorFact((2, 3), torch.complex64)
>>> view_as_real(Scope({}), z).fact.shape
(2, 3, 2)
"""

from __future__ import annotations

from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.common import shape_text
from fxcount.ops.core.fact import Alias, TensorFact, Work
from fxcount.ops.core.iterator import dense_like, elementwise
from fxcount.ops.core.registry import Op, ShapeRule, Zero, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.core.striding import strided
from fxcount.symbolic import Scope, Size, floordiv

__all__ = ["OPS"]

_TO_COMPLEX = {torch.float16: torch.complex32, torch.float32: torch.complex64, torch.float64: torch.complex128}


def _of_parts(name: str) -> ShapeRule:
    def make(scope: Scope, x: TensorFact, other: TensorFact) -> TensorFact:
        if x.dtype not in _TO_COMPLEX or x.dtype is not other.dtype:
            raise ShapeError(f"{name}: cannot combine {x.dtype} and {other.dtype}", hint="give both one float dtype")
        return elementwise(scope, name, _TO_COMPLEX[x.dtype], x, other)

    def polar(scope: Scope, abs: TensorFact, angle: TensorFact) -> TensorFact:
        return make(scope, abs, angle)

    def complex_(scope: Scope, real: TensorFact, imag: TensorFact) -> TensorFact:
        return make(scope, real, imag)

    return polar if name == "polar" else complex_


def _viewed(x: TensorFact, dtype: torch.dtype, shape: tuple[Size, ...], strides: tuple[Size, ...]) -> Alias:
    return Alias(strided(TensorFact(x.shape, dtype, x.device), shape, strides))


def _need_complex(name: str, x: TensorFact) -> None:
    if not x.dtype.is_complex:
        raise ShapeError(f"{name}: x is {x.dtype}, expected a complex tensor")


def _part(name: str) -> ShapeRule:
    def part(scope: Scope, x: TensorFact) -> Alias:
        if name == "real" and not x.dtype.is_complex:
            return Alias(x)
        _need_complex(name, x)
        return _viewed(x, x.dtype.to_real(), x.shape, tuple(2 * s for s in x.stride()))

    return part


def view_as_real(scope: Scope, x: TensorFact) -> Alias:
    _need_complex("view_as_real", x)
    return _viewed(x, x.dtype.to_real(), (*x.shape, 2), (*(2 * s for s in x.stride()), 1))


def view_as_complex(scope: Scope, x: TensorFact) -> Alias:
    if x.dtype not in _TO_COMPLEX or not x.shape or not scope.same(x.shape[-1], 2, "view_as_complex"):
        raise ShapeError(
            f"view_as_complex: x is {x.dtype} of shape {shape_text(x.shape)}, expected a float tensor that ends in 2"
        )
    strides = x.stride()
    if strides[-1] != 1:
        raise ShapeError("view_as_complex: the two parts do not lie side by side", hint="call .contiguous() first")
    return _viewed(x, _TO_COMPLEX[x.dtype], x.shape[:-1], tuple(floordiv(s, 2) for s in strides[:-1]))


def _same(scope: Scope, x: TensorFact) -> Alias:
    return Alias(x)


def conj_physical(scope: Scope, x: TensorFact) -> TensorFact | Alias:
    """The conjugate in memory of its own; a real number is its own."""
    return dense_like(x) if x.dtype.is_complex else Alias(x)


def angle(scope: Scope, x: TensorFact) -> TensorFact:
    if x.dtype.is_complex:
        return x.new(x.shape, x.dtype.to_real())
    return dense_like(x, x.dtype if x.dtype.is_floating_point else torch.get_default_dtype())


def _angle_cost(y: TensorFact, x: TensorFact) -> Work:
    per_element = Scalars(fn=1) if x.dtype.is_complex else Scalars(add=1)
    return per_element.work(y.numel, y.dtype)


def _polar_cost(y: TensorFact, abs: TensorFact, angle: TensorFact) -> Work:
    return Scalars(mul=2, fn=2).work(y.numel, abs.dtype)


def _conj_cost(y: TensorFact, x: TensorFact) -> Work:
    return Work(flops=y.numel if x.dtype.is_complex else 0)


_VIEW = Zero("a view")
_CONJ = Zero("a view with the conjugate flag")
_T: Any = torch.Tensor

OPS: tuple[Op, ...] = (
    op("complex", shape=_of_parts("complex"), cost=Zero("copies the two parts", moves=True)),
    op("polar", shape=_of_parts("polar"), cost=_polar_cost),
    op("real", shape=_part("real"), cost=_VIEW, extra=(_T.real.__get__,)),
    op("imag", shape=_part("imag"), cost=_VIEW, extra=(_T.imag.__get__,)),
    op("view_as_real", shape=view_as_real, cost=_VIEW),
    op("view_as_complex", shape=view_as_complex, cost=_VIEW),
    op("conj", "_conj", shape=_same, cost=_CONJ),
    op("resolve_conj", "resolve_neg", shape=_same, cost=Zero("nothing to resolve")),
    op("conj_physical", "_conj_physical", shape=conj_physical, cost=_conj_cost),
    op("angle", shape=angle, cost=_angle_cost),
)
