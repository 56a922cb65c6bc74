"""Sums over pairs of dimensions: tensordot and inner, by the steps of ``einsum.py``.

Shapes:  what is left of the first operand's dimensions, then what is left of the second's; row-major
Counts:  macs of the one matrix product that torch makes of it
Raises:  ShapeError: sizes or dtypes that do not match
Source:  ATen/native/Linear.cpp (tensordot), LinearAlgebra.cpp (inner)

>>> import torch
>>> from fxcount.symbolic import Scope
>>> x, y = TensorFact((2, 3, 5), torch.float32), TensorFact((5, 7), torch.float32)
>>> _tensordot_shape(Scope({}), x, y, [2], [0]).shape
(2, 3, 7)
"""

from __future__ import annotations

from typing import Any

from fxcount.errors import ShapeError
from fxcount.ops.contraction.einsum import Subscripts, as_fact, check_sizes, contract, step_temporaries
from fxcount.ops.contraction.matmul import contraction, require_dtype
from fxcount.ops.core.common import wrap_dim
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import elementwise
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import Scalars
from fxcount.symbolic import Scope, Size
from fxcount.torch_private import VERSION

__all__ = ["OPS"]


def _pairing(x: TensorFact, other: TensorFact, dims_self: Any, dims_other: Any) -> Subscripts:
    if len(dims_self) != len(dims_other):
        raise ShapeError(f"tensordot: dims {dims_self} and {dims_other} must be of one length")
    summed = [f"s{i}" for i in range(len(dims_self))]
    left, right = [f"x{d}" for d in range(x.ndim)], [f"y{d}" for d in range(other.ndim)]
    for label, d, e in zip(summed, dims_self, dims_other, strict=True):
        left[wrap_dim(d, x.ndim)] = right[wrap_dim(e, other.ndim)] = label
    output = [label for label in (*left, *right) if label not in summed]
    return Subscripts((tuple(left), tuple(right)), tuple(output), tuple(summed))


def _tensordot_shape(scope: Scope, x: TensorFact, other: TensorFact, dims_self: Any, dims_other: Any) -> TensorFact:
    """Sums over pairs of dimensions; what is left of ``x`` comes first. Always one matrix product, row-major."""
    require_dtype("tensordot", x, other)
    subscripts = _pairing(x, other, dims_self, dims_other)
    check_sizes(scope, "tensordot", subscripts, (x, other))
    return as_fact(contract(subscripts, (x, other), None, True)[0], x.device)


def _tensordot_cost(y: TensorFact, x: TensorFact, other: TensorFact, dims_self: Any, dims_other: Any) -> Work:
    _, tally = contract(_pairing(x, other, dims_self, dims_other), (x, other), None, True)
    return contraction(y.dtype, tally.macs, tally.also)


def _tensordot_temporaries(y: TensorFact, x: TensorFact, other: TensorFact, dims_self: Any, dims_other: Any) -> Size:
    return step_temporaries(y, contract(_pairing(x, other, dims_self, dims_other), (x, other), None, True)[1])


def _inner_shape(scope: Scope, x: TensorFact, other: TensorFact) -> TensorFact:
    """The sum over the last dimensions; with a scalar, a product."""
    if not x.shape or not other.shape:
        return elementwise(scope, "inner", None, x, other)
    return _tensordot_shape(scope, x, other, [-1], [-1])


def _inner_cost(y: TensorFact, x: TensorFact, other: TensorFact) -> Work:
    if not x.shape or not other.shape:
        return Scalars(mul=1).work(y.numel, y.dtype)
    return _tensordot_cost(y, x, other, [-1], [-1])


def _inner_temporaries(y: TensorFact, x: TensorFact, other: TensorFact) -> Size:
    return _tensordot_temporaries(y, x, other, [-1], [-1]) if x.shape and other.shape else 0


def _by_matrix(x: TensorFact, other: TensorFact, dims_self: Any, dims_other: Any) -> bool:
    """Whether torch multiplies matrices: since 2.8 not for a result of one element, which is a dot product."""
    kept = _pairing(x, other, dims_self, dims_other).output
    sizes = [n for t, label in ((x, "x"), (other, "y")) for d, n in enumerate(t.shape) if f"{label}{d}" in kept]
    return VERSION < (2, 8) or any(n != 1 for n in sizes)


def _inner_by_matrix(x: TensorFact, other: TensorFact) -> bool:
    return bool(x.shape and other.shape) and _by_matrix(x, other, [-1], [-1])


OPS: tuple[Op, ...] = (
    op(
        "tensordot", shape=_tensordot_shape, cost=_tensordot_cost, temporaries=_tensordot_temporaries, kind="product",
        multiplies=_by_matrix,
    ),
    op(
        "inner", shape=_inner_shape, cost=_inner_cost, temporaries=_inner_temporaries, kind="product",
        multiplies=_inner_by_matrix,
    ),
)  # fmt: skip
