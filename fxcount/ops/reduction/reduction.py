"""Reductions.

Letters: n = elements reduced into one, r = results; n*r = numel(x).
Shapes:  the reduced dimensions go (or stay as 1); integer sums are int64; results are row-major
Counts:  sum, prod: n-1 per result = numel - r; mean: and a division = numel
         max, min, argmax, ...: n-1 comparisons = numel - r; aminmax twice that; any, all, count_nonzero of floats: a
         comparison with 0 per element
         var: mean n, differences n, squares n, n-1 additions, a division = 4*numel; std: + r square roots
         nansum: a test per element and n-1 additions = 2*numel - r; nanmean: + r divisions
         median, mode: counted 0, the number of comparisons depends on the data
         trace: diagonal length - 1; quantile: a rank per q and a linear interpolation (3) per result
Raises:  ShapeError: integers where a mean is undefined, reduction of an empty dimension, dim out of range
Source:  the definitions

>>> x = TensorFact((2, 3, 5), torch.int32)
>>> y = sum_(Scope({}), x, dim=(0, 2))
>>> y.shape, y.dtype
((3,), torch.int64)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Dims, Results
from fxcount.ops.core.binding import Overloads
from fxcount.ops.core.common import broadcast, wrap_dim
from fxcount.ops.core.fact import Alias, TensorFact, Work, contiguous_strides
from fxcount.ops.core.iterator import elementwise
from fxcount.ops.core.registry import CostRule, Op, ShapeRule, Zero, op
from fxcount.ops.core.scalars import QUANTISED, Scalars, fact_of, is_arithmetic, total
from fxcount.ops.normalise import vectornorm
from fxcount.ops.reduction.softmax import reduced_shape
from fxcount.symbolic import Scope, Size, max_, min_
from fxcount.torch_private import VERSION

__all__ = ["OPS", "accumulated", "mean", "named", "sum_", "var"]


def named(kind: str, *facts: TensorFact) -> tuple[TensorFact, ...]:
    """Several results as torch's named tuple ``torch.return_types.<kind>``."""
    make: Any = getattr(torch.return_types, kind)
    result: tuple[TensorFact, ...] = make(facts)
    return result


def accumulated(x: TensorFact, y: TensorFact) -> Size:
    """Steps that bring the elements of x down to those of y: n-1 for each; none if x is empty."""
    return 0 if isinstance(x.numel, int) and x.numel == 0 else x.numel - y.numel


def _summed_dtype(x: TensorFact, dtype: torch.dtype | None) -> torch.dtype:
    return dtype or (x.dtype if is_arithmetic(x.dtype) else torch.int64)


def sum_(
    scope: Scope, x: TensorFact, dim: Dims = None, keepdim: bool = False, dtype: torch.dtype | None = None
) -> TensorFact:
    """Also ``nansum``."""
    return x.new(reduced_shape(x, dim, keepdim), _summed_dtype(x, dtype))


def sum_to_size(scope: Scope, x: TensorFact, size: Sequence[Size]) -> TensorFact | Alias:
    """The opposite of ``expand``: sums over the dimensions that ``size`` lacks or has as 1."""
    wanted = tuple(size)
    broadcast(scope, "sum_to_size", x.shape, wanted)
    if wanted and len(wanted) == x.ndim and all(map(scope.equal, wanted, x.shape)):
        return Alias(x)
    return x.new(wanted, _summed_dtype(x, None))


def prod_(
    scope: Scope, x: TensorFact, dim: Dims = None, keepdim: bool = False, dtype: torch.dtype | None = None
) -> TensorFact:
    return x.new(reduced_shape(x, dim, keepdim), _summed_dtype(x, dtype))


def mean(
    scope: Scope, x: TensorFact, dim: Dims = None, keepdim: bool = False, dtype: torch.dtype | None = None
) -> TensorFact:
    """Also ``nanmean``."""
    out = dtype or x.dtype
    if not is_arithmetic(out) and out not in QUANTISED:
        raise ShapeError(f"mean: not defined for {out}", hint="x.float().mean(), or dtype=torch.float32")
    return x.new(reduced_shape(x, dim, keepdim), out)


def _steps_cost(per_step: Scalars, per_element: Scalars = Scalars(), per_result: Scalars = Scalars()) -> CostRule:  # noqa: B008
    """n-1 steps for each result, other work for each element and each result; in the dtype of the result if that is
    where the arithmetic happens, else of the operand."""

    def cost(y: Results, x: TensorFact, *_: object, **__: object) -> Work:
        result = fact_of(y)
        dtype = result.dtype if is_arithmetic(result.dtype) else x.dtype
        parts = [(accumulated(x, result), per_step), (x.numel, per_element), (result.numel, per_result)]
        return total(parts, dtype)

    return cost


def _sum_cost(y: TensorFact, x: TensorFact, *_: object, **__: object) -> Work:
    return Scalars(add=1).work(accumulated(x, y), y.dtype)


def _prod_cost(y: TensorFact, x: TensorFact, *_: object, **__: object) -> Work:
    return Scalars(mul=1).work(accumulated(x, y), y.dtype)


def _check_reducible(scope: Scope, name: str, x: TensorFact, dim: Dims) -> None:
    gone = range(x.ndim) if dim is None or dim == () else dim if isinstance(dim, (list, tuple)) else (dim,)
    sizes = [x.shape[wrap_dim(d, x.ndim)] for d in gone if x.shape]
    if any(scope.decide("==", n, 0, f"{name} of nothing") for n in sizes):
        raise ShapeError(f"{name}: the reduced dimension is empty and the operation has no identity")
    if x.dtype.is_complex:
        raise ShapeError(f"{name}: complex numbers have no order")


def _extreme(name: str) -> ShapeRule:
    """amax, amin."""

    def extreme(scope: Scope, x: TensorFact, dim: Dims = (), keepdim: bool = False) -> TensorFact:
        _check_reducible(scope, name, x, dim)
        return x.new(reduced_shape(x, dim, keepdim))

    return extreme


def _selected(name: str) -> ShapeRule:
    """max, min, median, nanmedian, mode: one value, or the values and their indices along ``dim``; the larger of two."""

    def selected(
        scope: Scope, x: TensorFact, *, dim: int | None = None, keepdim: bool = False, other: TensorFact | None = None
    ) -> Any:
        if other is not None:
            return elementwise(scope, name, None, x, other)
        if dim is None and name != "mode":
            if name in ("max", "min"):
                _check_reducible(scope, name, x, None)
            return x.new(())
        dim = -1 if dim is None else dim
        _check_reducible(scope, name, x, dim)
        shape = reduced_shape(x, dim, keepdim)
        return named(name, x.new(shape), x.new(shape, torch.int64))

    return selected


def _selected_cost(y: Results, x: TensorFact, *, other: TensorFact | None = None, **_: object) -> Work:
    result = fact_of(y)
    return Scalars(add=1).work(accumulated(x, result) if other is None else result.numel, result.dtype)


def argextreme(scope: Scope, x: TensorFact, dim: Dims = None, keepdim: bool = False) -> TensorFact:
    """argmax, argmin: int64 indices."""
    _check_reducible(scope, "argmax", x, dim)
    return x.new(reduced_shape(x, dim, keepdim), torch.int64)


def aminmax(scope: Scope, x: TensorFact, *, dim: Dims = None, keepdim: bool = False) -> tuple[TensorFact, ...]:
    _check_reducible(scope, "aminmax", x, dim)
    y = x.new(reduced_shape(x, dim, keepdim))
    return named("aminmax", y, y)


def any_(scope: Scope, x: TensorFact, dim: Dims = None, keepdim: bool = False) -> TensorFact:
    """any, all: boolean, but uint8 of uint8."""
    return x.new(reduced_shape(x, dim, keepdim), torch.uint8 if x.dtype is torch.uint8 else torch.bool)


def hash_tensor(scope: Scope, x: TensorFact, dim: Dims = (), *, keepdim: bool = False, mode: int = 0) -> TensorFact:
    """The bits of the elements, xor-ed."""
    return x.new(reduced_shape(x, dim, keepdim), torch.uint64)


def count_nonzero(scope: Scope, x: TensorFact, dim: Dims = None) -> TensorFact:
    return x.new(reduced_shape(x, dim, False), torch.int64)


def _nonzero_cost(y: TensorFact, x: TensorFact, *_: object, **__: object) -> Work:
    return Scalars(add=1).work(x.numel, x.dtype)


def var(
    scope: Scope, x: TensorFact, *, dim: Dims = None, keepdim: bool = False, **_: object
) -> TensorFact:
    """``var(x, dim, unbiased, keepdim)``, ``var(x, dim, correction=, keepdim=)`` and ``var(x, unbiased)``."""
    if not is_arithmetic(x.dtype):
        raise ShapeError(f"var: not defined for {x.dtype}", hint="convert the input to a floating dtype")
    return x.new(reduced_shape(x, dim, keepdim), x.dtype.to_real() if x.dtype.is_complex else x.dtype)


def var_mean(scope: Scope, x: TensorFact, **named: Any) -> tuple[TensorFact, TensorFact]:
    deviation = var(scope, x, **named)
    return deviation, deviation.new(deviation.shape, x.dtype)


def _var_cost(y: Results, x: TensorFact, *_: object, **__: object) -> Work:
    """Of a complex tensor: the variances of the real and of the imaginary part."""
    return Scalars(add=4).work(x.numel, x.dtype)


def _std_cost(y: Results, x: TensorFact, *_: object, **__: object) -> Work:
    spread = _var_cost(y, x)
    return Work(flops=spread.flops + fact_of(y).numel)


def trace(scope: Scope, x: TensorFact) -> TensorFact:
    if x.ndim != 2:
        raise ShapeError(f"trace: expected a matrix, got {x.ndim} dimensions")
    return x.new((), _summed_dtype(x, None))


def _trace_cost(y: TensorFact, x: TensorFact) -> Work:
    return Scalars(add=min_(*x.shape) - 1).work(1, y.dtype)


def quantile(
    scope: Scope, x: TensorFact, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> TensorFact:
    """A 1-d tensor of q adds a leading dimension."""
    if x.dtype not in (torch.float32, torch.float64):
        raise ShapeError(f"quantile: input must be float or double, got {x.dtype}")
    if isinstance(q, TensorFact) and q.dtype is not x.dtype:
        raise ShapeError(f"quantile: q must be {x.dtype} as the input, got {q.dtype}")
    shape = reduced_shape(x, dim, keepdim)
    if not (isinstance(q, TensorFact) and q.shape):
        return x.new(shape)
    *outer, inner = contiguous_strides((*shape, *q.shape))  # computed with the quantiles last, then moved in front
    return TensorFact((*q.shape, *shape), x.dtype, x.device, (inner, *outer) if shape else None)


def _quantile_cost(y: TensorFact, x: TensorFact, q: Any, *_: object, **__: object) -> Work:
    ranks = q.numel if isinstance(q, TensorFact) else 1
    return total([(ranks, Scalars(mul=1)), (y.numel, Scalars(add=2, mul=1))], y.dtype)


def _quantile_sorted(
    y: TensorFact, x: TensorFact, q: Any, *_: object, interpolation: str = "linear", **__: object
) -> Size:  # fmt: skip
    """The sorted values and their indices, while no result exists yet; or the sorted values with the ranks, their
    fractions, the upper neighbours and both positions. A number q becomes a tensor. Since 2.14 the ranks are double and
    all that follows from them is there before the values are sorted."""
    between = interpolation in ("linear", "midpoint")
    if VERSION < (2, 14):
        sorting = x.numel * (x.itemsize + 8) - y.nbytes
        gathering = x.nbytes + (3 * x.itemsize + 16) * y.numel
    else:
        ranks = (24 + x.itemsize if between else 16) * y.numel  # ranks, positions of 8 bytes each; fractions
        sorting = x.numel * (x.itemsize + 8) + ranks - y.nbytes
        gathering = x.nbytes + ranks + (y.nbytes if between else 0)
    return max_(sorting, gathering) + (0 if isinstance(q, TensorFact) else x.itemsize)


def _nanmean_held(y: TensorFact, x: TensorFact, *_: object, **__: object) -> Size:
    """The mask and the counts, while no result exists yet; or the counts and the sums."""
    return max_(x.numel + 8 * y.numel - y.nbytes, (8 + y.itemsize) * y.numel)


_COMPARE = _steps_cost(Scalars(add=1))
_SORTED = Zero("selection: the number of comparisons depends on the data", moves=True)

OPS: tuple[Op, ...] = (
    op("sum", shape=sum_, cost=_sum_cost),
    op("sum_to_size", shape=sum_to_size, cost=_sum_cost, sizes_at=1),
    op("nansum", shape=sum_, cost=_steps_cost(Scalars(add=1), Scalars(add=1))),
    op("prod", shape=prod_, cost=_prod_cost),
    op("mean", shape=mean, cost=_steps_cost(Scalars(add=1), per_result=Scalars(add=1))),
    op(
        "nanmean", shape=mean, cost=_steps_cost(Scalars(add=1), Scalars(add=1), Scalars(add=1)),
        temporaries=_nanmean_held,
    ),
    *(op(name, shape=_extreme(name), cost=_COMPARE, follows="extremum") for name in ("amax", "amin")),
    *(
        op(name, shape=_selected(name), cost=_selected_cost, follows="extremum", overloads=Overloads())
        for name in ("max", "min")
    ),
    *(op(name, shape=_selected(name), cost=_SORTED, overloads=Overloads()) for name in ("median", "nanmedian", "mode")),
    *(op(name, shape=argextreme, cost=_COMPARE, differentiable=False) for name in ("argmax", "argmin")),
    op("aminmax", shape=aminmax, cost=_steps_cost(Scalars(add=2))),
    *(op(name, shape=any_, cost=_nonzero_cost, differentiable=False, follows="extremum") for name in ("any", "all")),
    op("hash_tensor", shape=hash_tensor, cost=Zero("integer work", moves=True), differentiable=False),
    op("count_nonzero", shape=count_nonzero, cost=_nonzero_cost, differentiable=False),
    op("var", shape=var, cost=_var_cost, overloads=Overloads()),
    op("std", shape=var, cost=_std_cost, overloads=Overloads()),
    op("var_mean", shape=var_mean, cost=_var_cost, overloads=Overloads()),
    op("std_mean", shape=var_mean, cost=_std_cost, overloads=Overloads()),
    op("trace", shape=trace, cost=_trace_cost),
    op("quantile", "nanquantile", shape=quantile, cost=_quantile_cost, temporaries=_quantile_sorted),
    *vectornorm.OPS,
)
