"""Running sums, products and extremes; differences and integrals along a dimension.

Letters: n = size of the dimension, r = number of rows along it = numel / n.
Shapes:  cumulative ops keep the shape; diff shortens the dimension by the order; trapezoid removes it
Counts:  cumsum, cumprod, cummax, cummin: n-1 steps per row = numel - r
         logcumsumexp: n-1 steps of log(exp(a) + exp(b)) taken as max + log1p(exp(-|a - b|)): 7 each, 2 transcendental
         diff: one subtraction per element, order after order
         trapezoid, step dx: (sum(y) - (y_0 + y_n) / 2) * dx: n+3 per row; between points x: the steps of x, then
         n-1 additions, n-1 multiplications, n-2 additions, 1 division
         cumulative_trapezoid, step dx: n-1 additions and multiplications by dx/2, n-2 additions; between points also
         n-1 divisions
Raises:  ShapeError: dim out of range
Source:  the definitions

>>> x = TensorFact((2, 5), torch.float32)
>>> diff(Scope({}), x, n=2).shape, _diff_cost(x, x, n=2).flops
((2, 3), 14)
"""

from __future__ import annotations

from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Results, Scalar
from fxcount.ops.core.common import promote, shape_text, wrap_dim
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import dense_like, elementwise
from fxcount.ops.core.registry import CostRule, Op, ShapeRule, op
from fxcount.ops.core.scalars import Scalars, fact_of, is_arithmetic
from fxcount.ops.reduction.reduction import named
from fxcount.ops.reduction.softmax import rows
from fxcount.symbolic import Scope, Size, max_

__all__ = ["OPS", "cumulative", "diff"]


def cumulative(scope: Scope, x: TensorFact, dim: int, dtype: torch.dtype | None = None) -> TensorFact:
    """cumsum, cumprod: integers become int64."""
    wrap_dim(dim, x.ndim)
    return x.new(x.shape, dtype or (x.dtype if is_arithmetic(x.dtype) else torch.int64))


def _running(scalars: Scalars) -> CostRule:
    def cost(y: Results, x: TensorFact, dim: int, *_: object, **__: object) -> Work:
        return scalars.work(x.numel - rows(x, dim), fact_of(y).dtype)

    return cost


def logcumsumexp(scope: Scope, x: TensorFact, dim: int) -> TensorFact:
    if not is_arithmetic(x.dtype):
        raise ShapeError(f"logcumsumexp: not defined for {x.dtype}", hint="convert the input to a floating dtype")
    return cumulative(scope, x, dim)


def _cumulative_extreme(name: str) -> ShapeRule:
    def extreme(scope: Scope, x: TensorFact, dim: int) -> tuple[TensorFact, ...]:
        wrap_dim(dim, x.ndim)
        return named(name, x.new(x.shape), x.new(x.shape, torch.int64))

    return extreme


def _length(x: Any, dim: int) -> Size:
    return 0 if x is None else x.shape[wrap_dim(dim, x.ndim)]


def _resized(x: TensorFact, dim: int, size: Size) -> tuple[Size, ...]:
    at = wrap_dim(dim, x.ndim)
    return (*x.shape[:at], size, *x.shape[at + 1 :])


def diff(
    scope: Scope, x: TensorFact, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None
) -> TensorFact:
    """The n-th difference of x, put between ``prepend`` and ``append``."""
    if not x.shape:
        raise ShapeError("diff: expected a tensor of 1 dimension or more")
    for edge in (prepend, append):
        _check_edge(scope, x, edge, wrap_dim(dim, x.ndim))
    if n == 0:
        return dense_like(x)
    size = _length(prepend, dim) + _length(x, dim) + _length(append, dim)
    left = max_(size - n, 0)
    shape = _resized(x, dim, left)
    if prepend is not None or append is not None:
        return x.new(shape, promote(*(t for t in (x, prepend, append) if t is not None)))
    return dense_like(TensorFact(shape, x.dtype, x.device, x.strides))


def _check_edge(scope: Scope, x: TensorFact, edge: Any, dim: int) -> None:
    if not isinstance(edge, TensorFact):
        return
    sides = zip(edge.shape, x.shape)
    if edge.ndim != x.ndim or not all(d == dim or scope.same(a, b, "diff") for d, (a, b) in enumerate(sides)):
        raise ShapeError(f"diff: {shape_text(edge.shape)} cannot be put before or after {shape_text(x.shape)}")


def _diff_cost(
    y: Results, x: TensorFact, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None
) -> Work:
    size = _length(prepend, dim) + _length(x, dim) + _length(append, dim)
    steps = sum((max_(size - order, 0) for order in range(1, n + 1)), start=0 * size)
    return Scalars(add=1).work(steps * rows(x, dim), fact_of(y).dtype)


def _diff_held(
    y: TensorFact, x: TensorFact, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None
) -> Size:
    """The joined input; of higher orders the first two differences at once, the second being the result or not."""
    size = _length(prepend, dim) + _length(x, dim) + _length(append, dim)
    joined = size if prepend is not None or append is not None else 0
    differences = 2 * size - 3 - y.shape[wrap_dim(dim, y.ndim)] if n > 1 else 0
    return rows(x, dim) * y.itemsize * (joined + differences)


def _points_dtype(y: TensorFact, x: Any) -> torch.dtype:
    dtype = y.dtype if x is None else promote(y, x)
    return dtype if is_arithmetic(dtype) else torch.get_default_dtype()


def trapezoid(scope: Scope, y: TensorFact, x: Any = None, *, dx: Scalar = 1, dim: int = -1) -> TensorFact:
    """The integral along ``dim`` by the trapezoidal rule."""
    return y.new(_without(scope, y, x, dim, None), _points_dtype(y, x))


def cumulative_trapezoid(scope: Scope, y: TensorFact, x: Any = None, *, dx: Scalar = 1, dim: int = -1) -> TensorFact:
    """The running integral, one element shorter than ``y``."""
    return y.new(_without(scope, y, x, dim, max_(_length(y, dim) - 1, 0)), _points_dtype(y, x))


def _without(scope: Scope, y: TensorFact, x: Any, dim: int, size: Size | None) -> tuple[Size, ...]:
    at = wrap_dim(dim, y.ndim)
    if isinstance(x, TensorFact):
        last = x.shape[-1] if x.ndim == 1 else x.shape[at]
        if not scope.same(last, y.shape[at], "trapezoid has a point for each value"):
            raise ShapeError(f"trapezoid: {last} points for {y.shape[at]} values")
        if x.ndim > 1:
            elementwise(scope, "trapezoid", None, x, y)
    return (*y.shape[:at], *(() if size is None else (size,)), *y.shape[at + 1 :])


def _point_steps(x: Any, dim: int) -> Size:
    if not isinstance(x, TensorFact):
        return 0
    return x.numel - 1 if x.ndim == 1 else x.numel - rows(x, dim)


def _trapezoid_cost(out: Any, y: TensorFact, x: Any = None, *, dx: Scalar = 1, dim: int = -1) -> Work:
    r = rows(y, dim)
    if x is None:
        return Scalars(add=y.numel + 3 * r).work(1, out.dtype)
    return Scalars(add=_point_steps(x, dim) + 3 * y.numel - 3 * r).work(1, out.dtype)


def _cumulative_trapezoid_cost(out: Any, y: TensorFact, x: Any = None, *, dx: Scalar = 1, dim: int = -1) -> Work:
    left = y.numel - rows(y, dim)
    per_step = 3 if x is None else 4
    return Scalars(add=_point_steps(x, dim) + per_step * left - rows(y, dim)).work(1, out.dtype)


def _trapezoid_held(out: TensorFact, y: TensorFact, x: Any = None, *, dx: Scalar = 1, dim: int = -1) -> Size:
    """Sum, halved ends, their difference; between points the steps, the sums of neighbours and the areas."""
    if x is None:
        return 4 * out.nbytes
    return (_point_steps(x, dim) + 2 * (y.numel - rows(y, dim))) * out.itemsize + out.nbytes


def _cumulative_held(out: TensorFact, y: TensorFact, x: Any = None, *, dx: Scalar = 1, dim: int = -1) -> Size:
    return _point_steps(x, dim) * out.itemsize + (2 if x is None else 3) * out.nbytes


_LOG_STEP = Scalars(add=5, fn=2)

OPS: tuple[Op, ...] = (
    op("cumsum", shape=cumulative, cost=_running(Scalars(add=1))),
    op("cumprod", shape=cumulative, cost=_running(Scalars(mul=1))),
    op("logcumsumexp", shape=logcumsumexp, cost=_running(_LOG_STEP)),
    op("cummax", shape=_cumulative_extreme("cummax"), cost=_running(Scalars(add=1))),
    op("cummin", shape=_cumulative_extreme("cummin"), cost=_running(Scalars(add=1))),
    op("diff", shape=diff, cost=_diff_cost, temporaries=_diff_held),
    op("trapezoid", "trapz", shape=trapezoid, cost=_trapezoid_cost, temporaries=_trapezoid_held),
    op(
        "cumulative_trapezoid",
        shape=cumulative_trapezoid,
        cost=_cumulative_trapezoid_cost,
        temporaries=_cumulative_held,
    ),
)
