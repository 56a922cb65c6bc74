"""Writing by index along one dimension: index_add, scatter, put, segment_reduce and their kin.

Shapes:  the result is x with some elements replaced
Counts:  0 where values are copied. Accumulating s values costs s additions, products or comparisons, one for each value
         that meets an element of x (s = numel(index) for scatter, numel(source) for index_add); ``mean`` divides every
         element of x once more; ``alpha`` is a product for each value.
         segment_reduce of n elements to m: n - m, one more for each of the m with an initial value or a mean, no
         segment being empty.
Raises:  ShapeError: values or indices that do not fit
Source:  ATen/native/TensorAdvancedIndexing.cpp, SegmentReduce.cpp

>>> x, src = TensorFact((4, 6), torch.float32), TensorFact((2, 6), torch.float32)
>>> index = TensorFact((2, 6), torch.int64)
>>> _scatter_reduce_cost(x, x, 0, index, src, "mean").flops
36
"""

from __future__ import annotations

from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Scalar
from fxcount.ops.core.common import broadcast, shape_text, wrap_dim
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import dense_like
from fxcount.ops.core.positions import along, flat
from fxcount.ops.core.registry import Op, Zero, op
from fxcount.ops.core.scalars import Scalars
from fxcount.symbolic import Scope, Size

__all__ = ["OPS"]

# --- along one dimension ---------------------------------------------------------------------------------------------


def _check_dtype(what: str, x: TensorFact, source: Any) -> None:
    if isinstance(source, TensorFact) and source.dtype is not x.dtype:
        raise ShapeError(f"{what}: x is {x.dtype}, the source {source.dtype}", hint="give both one dtype")


def index_fill(scope: Scope, x: TensorFact, dim: int, index: TensorFact, value: Scalar) -> TensorFact:
    wrap_dim(dim, x.ndim)
    if index.ndim > 1:
        raise ShapeError(f"index_fill: index has shape {shape_text(index.shape)}, expected one dimension")
    return dense_like(x)


def _along(what: str) -> Any:
    """index_add, index_copy and index_reduce: slices of a source, one for each index."""

    def put(
        scope: Scope, x: TensorFact, dim: int, index: TensorFact, source: TensorFact, *_: object, **__: object
    ) -> TensorFact:
        d = wrap_dim(dim, x.ndim)
        _check_dtype(what, x, source)
        wanted = (*x.shape[:d], index.numel, *x.shape[d + 1 :]) if x.shape else ()
        fits = index.ndim <= 1 and source.ndim == len(wanted) and all(map(scope.same, source.shape, wanted))
        if not fits:
            raise ShapeError(
                f"{what}: the source {shape_text(source.shape)} does not fit x {shape_text(x.shape)} "
                f"with an index {shape_text(index.shape)} in dimension {d}"
            )
        return x.new(x.shape)

    return put


def _index_add_cost(
    y: TensorFact, x: TensorFact, dim: int, index: TensorFact, source: TensorFact, alpha: Scalar = 1
) -> Work:
    return Scalars(add=1, mul=int(alpha != 1)).work(source.numel, x.dtype)


def _index_reduce_cost(
    y: TensorFact, x: TensorFact, dim: int, index: TensorFact, source: TensorFact, reduce: str, *_: object, **__: object
) -> Work:
    return _reduced(reduce, source.numel, x)


def _reduced(reduce: str, values: Size, x: TensorFact) -> Work:
    """Work of meeting ``values`` values with elements of ``x``."""
    per_value = Scalars(mul=1) if reduce in ("prod", "multiply") else Scalars(add=1)
    mean = Scalars(div=x.numel) if reduce == "mean" else Scalars()
    return (per_value * values + mean).work(1, x.dtype)


# --- scatter ---------------------------------------------------------------------------------------------------------


def _scattered(scope: Scope, what: str, x: TensorFact, dim: int, index: TensorFact, src: Any) -> TensorFact:
    d = wrap_dim(dim, x.ndim)
    _check_dtype(what, x, src)
    if any(type(n) is int and n == 0 for n in index.shape):  # torch writes nothing to a tensor of any rank
        return x.new(x.shape)
    operands = [("x", x), ("src", src)] if isinstance(src, TensorFact) else [("x", x)]
    for name, t in operands:
        if t.ndim != index.ndim and t.ndim and index.ndim:
            raise ShapeError(
                f"{what}: index {shape_text(index.shape)} and {name} {shape_text(t.shape)} have different ranks"
            )
        for k, (i, n) in enumerate(zip(index.shape, t.shape, strict=False)):
            if (k != d or t is src) and not scope.decide("<=", i, n, f"{what} within"):
                raise ShapeError(f"{what}: index has {i} elements in dimension {k}, {name} has {n}")
    return x.new(x.shape)


def scatter(
    scope: Scope, x: TensorFact, dim: int, index: TensorFact, src: Any = None, value: Scalar | None = None, reduce: Any = None
) -> TensorFact:
    return _scattered(scope, "scatter", x, dim, index, src)


def _scatter_cost(
    y: TensorFact,
    x: TensorFact,
    dim: int,
    index: TensorFact,
    src: Any = None,
    value: Scalar | None = None,
    reduce: str | None = None,
) -> Work:
    return _reduced(reduce, index.numel, x) if reduce else Work()


def scatter_add(scope: Scope, x: TensorFact, dim: int, index: TensorFact, src: TensorFact) -> TensorFact:
    return _scattered(scope, "scatter_add", x, dim, index, src)


def _scatter_add_cost(y: TensorFact, x: TensorFact, dim: int, index: TensorFact, src: TensorFact) -> Work:
    return _reduced("sum", index.numel, x)


def scatter_reduce(
    scope: Scope,
    x: TensorFact,
    dim: int,
    index: TensorFact,
    src: TensorFact,
    reduce: str,
    include_self: bool = True,
) -> TensorFact:
    return _scattered(scope, "scatter_reduce", x, dim, index, src)


def _scatter_reduce_cost(
    y: TensorFact, x: TensorFact, dim: int, index: TensorFact, src: TensorFact, reduce: str, include_self: bool = True
) -> Work:
    return _reduced(reduce, index.numel, x)


# --- the rest --------------------------------------------------------------------------------------------------------


def masked_scatter(scope: Scope, x: TensorFact, mask: TensorFact, source: TensorFact) -> TensorFact:
    if mask.dtype is not torch.bool:
        raise ShapeError(f"masked_scatter: the mask is {mask.dtype}, expected booleans")
    _check_dtype("masked_scatter", x, source)
    return x.new(broadcast(scope, "masked_scatter", x.shape, mask.shape))


def put(scope: Scope, x: TensorFact, index: TensorFact, source: TensorFact, accumulate: bool = False) -> TensorFact:
    _check_dtype("put", x, source)
    if not scope.same(index.numel, source.numel, "put"):
        raise ShapeError(f"put: {index.numel} indices, {source.numel} values")
    return dense_like(x)


def _put_cost(y: TensorFact, x: TensorFact, index: TensorFact, source: TensorFact, accumulate: bool = False) -> Work:
    return _reduced("sum", index.numel, x) if accumulate else Work()


def segment_reduce(
    scope: Scope,
    data: TensorFact,
    reduce: str,
    lengths: TensorFact | None = None,
    indices: TensorFact | None = None,
    offsets: TensorFact | None = None,
    dim: int = 0,
    unsafe: bool = False,
    initial: Any = None,
) -> TensorFact:
    given = lengths if lengths is not None else offsets
    if given is None:
        raise ShapeError("segment_reduce: needs lengths or offsets")
    last = given.shape[-1] if lengths is not None else given.shape[-1] - 1
    return data.new((*given.shape[:-1], last, *data.shape[dim + 1 :]))


def _segment_cost(y: TensorFact, data: TensorFact, reduce: str, *_: object, initial: Any = None, **__: object) -> Work:
    per_value = Scalars(mul=1) if reduce == "prod" else Scalars(add=1)
    met = data.numel - (y.numel if initial is None else 0)
    return (per_value * met + Scalars(div=y.numel if reduce == "mean" else 0)).work(1, data.dtype)


_COPY = Zero("copies elements", moves=True)

OPS: tuple[Op, ...] = (
    op("index_fill", shape=index_fill, cost=_COPY, positions=along),
    op("index_copy", shape=_along("index_copy"), cost=_COPY, positions=along),
    op("index_add", shape=_along("index_add"), cost=_index_add_cost, positions=along),
    op("index_reduce", shape=_along("index_reduce"), cost=_index_reduce_cost, positions=along),
    op("scatter", shape=scatter, cost=_scatter_cost, positions=along),
    op("scatter_add", shape=scatter_add, cost=_scatter_add_cost, positions=along),
    op("scatter_reduce", shape=scatter_reduce, cost=_scatter_reduce_cost, positions=along),
    op("masked_scatter", shape=masked_scatter, cost=_COPY),
    op("put", shape=put, cost=_put_cost, positions=flat),
    op("segment_reduce", shape=segment_reduce, cost=_segment_cost),
)
