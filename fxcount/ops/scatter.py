"""Writing by index: assignment, index_put, index_add, scatter, put, segment_reduce and their kin.

Shapes:  the result is x with some elements replaced; an assignment writes x itself
Counts:  0 where values are copied. Accumulating s values costs s additions, products or comparisons, one for each value
         that meets an element of x (s = numel(index) for scatter, numel(source) for index_add); ``mean`` divides every
         element of x once more; ``alpha`` is a product for each value.
         segment_reduce of n elements to m: n - m, one more for each of the m with an initial value or a mean, no
         segment being empty.
         An assignment writes the elements it assigns.
Raises:  ShapeError: values or indices that do not fit
Source:  ATen/native/TensorAdvancedIndexing.cpp, SegmentReduce.cpp

>>> x, src = TensorFact((4, 6), torch.float32), TensorFact((2, 6), torch.float32)
>>> index = TensorFact((2, 6), torch.int64)
>>> _scatter_reduce_cost(x, x, 0, index, src, "mean").flops
36
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.common import broadcast, facts_in, shape_text, wrap_dim
from fxcount.ops.fact import Alias, TensorFact, Work
from fxcount.ops.indexing import MASKS, basic, gathered_shape, selected, sliced
from fxcount.ops.iterator import dense_like
from fxcount.ops.registry import Op, Zero, op
from fxcount.ops.scalars import Scalars
from fxcount.ops.views import diagonal
from fxcount.symbolic import Scope, Size, prod, sum_

__all__ = ["OPS"]

# --- assignment ------------------------------------------------------------------------------------------------------


def _region(scope: Scope | None, x: TensorFact, key: Any) -> tuple[Size, ...] | None:
    """Shape of what an assignment writes, ``None`` if a mask decides; without a scope sizes are taken to fit."""
    view, tensors = basic(scope, x, key)
    listed = [(d, t) for d, t in enumerate(tensors) if t is not None]
    if any(t.dtype in MASKS for _, t in listed):
        return None
    if not listed:
        return view.shape
    shapes = [t.shape for _, t in listed]
    picked = broadcast(scope, "index", *shapes) if scope else _largest(shapes)
    return gathered_shape(view, [d for d, _ in listed], picked)[0]


def _largest(shapes: Sequence[tuple[Size, ...]]) -> tuple[Size, ...]:
    """The broadcast shape of shapes that are known to broadcast."""
    ndim = max(map(len, shapes))
    aligned = [(1,) * (ndim - len(s)) + s for s in shapes]
    return tuple(next((n for n in column if n != 1), 1) for column in zip(*aligned, strict=True))


def _key(indices: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(slice(None) if i is None else i for i in indices)


def _check_fits(scope: Scope, what: str, region: tuple[Size, ...], value: Any) -> None:
    if not isinstance(value, TensorFact) or any(map(scope.unbacked.concern, (*region, *value.shape))):
        return  # what data decide is taken to fit
    extra = max(value.ndim - len(region), 0)  # leading sizes of 1 are allowed
    wanted = (1,) * extra + region
    if not all(map(scope.same, broadcast(scope, what, wanted, value.shape), wanted)):
        raise ShapeError(f"{what}: values {shape_text(value.shape)} do not fit {shape_text(region)}")


def setitem(scope: Scope, x: TensorFact, key: Any, value: Any) -> Alias:
    region = _region(scope, x, key)
    if region is not None:
        _check_fits(scope, "assignment", region, value)
    return Alias(x)


def _assign_cost(y: TensorFact, x: TensorFact, key: Any, value: Any) -> Work:
    region = _region(None, x, key)
    written = x.nbytes if region is None else prod(region) * x.itemsize
    return Work(read_bytes=sum_(t.nbytes for t in facts_in([key, value])), write_bytes=written)


def index_put(
    scope: Scope, x: TensorFact, indices: Sequence[Any], values: TensorFact, accumulate: bool = False, *_: Any
) -> TensorFact:
    region = _region(scope, x, _key(indices))
    if region is not None:
        _check_fits(scope, "index_put", region, values)
    return dense_like(x)


def masked_put(
    scope: Scope, x: TensorFact, mask: TensorFact, indices: Sequence[Any], values: TensorFact
) -> TensorFact:
    """``x.index_put(indices, values, accumulate=True)`` where the mask is on."""
    broadcast(scope, "_unsafe_masked_index_put_accumulate", mask.shape, values.shape)
    return index_put(scope, x, indices, values, True)


def _masked_put_cost(y: TensorFact, x: TensorFact, mask: Any, indices: Sequence[Any], values: TensorFact) -> Work:
    return _index_put_cost(y, x, indices, values, True)


def _index_put_cost(
    y: TensorFact, x: TensorFact, indices: Sequence[Any], values: TensorFact, accumulate: bool = False, *_: Any
) -> Work:
    region = _region(None, x, _key(indices)) if accumulate else ()
    added = values.numel if region is None else prod(region) if accumulate else 0
    return Scalars(add=added).work(1, x.dtype)


# --- along one dimension ---------------------------------------------------------------------------------------------


def _check_dtype(what: str, x: TensorFact, source: Any) -> None:
    if isinstance(source, TensorFact) and source.dtype is not x.dtype:
        raise ShapeError(f"{what}: x is {x.dtype}, the source {source.dtype}", hint="give both one dtype")


def index_fill(scope: Scope, x: TensorFact, dim: int, index: TensorFact, value: Any) -> TensorFact:
    wrap_dim(dim, x.ndim)
    if index.ndim > 1:
        raise ShapeError(f"index_fill: index has shape {shape_text(index.shape)}, expected one dimension")
    return dense_like(x)


def _along(what: str) -> Any:
    """index_add, index_copy and index_reduce: slices of a source, one for each index."""

    def put(
        scope: Scope, x: TensorFact, dim: int, index: TensorFact, source: TensorFact, *_: Any, **__: Any
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
    y: TensorFact, x: TensorFact, dim: int, index: TensorFact, source: TensorFact, alpha: Any = 1
) -> Work:
    return Scalars(add=1, mul=int(alpha != 1)).work(source.numel, x.dtype)


def _index_reduce_cost(
    y: TensorFact, x: TensorFact, dim: int, index: TensorFact, source: TensorFact, reduce: str, *_: Any, **__: Any
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
    scope: Scope, x: TensorFact, dim: int, index: TensorFact, src: Any = None, value: Any = None, reduce: Any = None
) -> TensorFact:
    return _scattered(scope, "scatter", x, dim, index, src)


def _scatter_cost(
    y: TensorFact,
    x: TensorFact,
    dim: int,
    index: TensorFact,
    src: Any = None,
    value: Any = None,
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


def _embedded(scope: Scope, what: str, x: TensorFact, part: TensorFact, src: TensorFact) -> TensorFact:
    """``x`` with a part replaced."""
    if src.ndim != part.ndim or not all(map(scope.same, src.shape, part.shape)):
        raise ShapeError(f"{what}: src has shape {shape_text(src.shape)}, expected {shape_text(part.shape)}")
    return dense_like(x)


def select_scatter(scope: Scope, x: TensorFact, src: TensorFact, dim: int, index: Any) -> TensorFact:
    return _embedded(scope, "select_scatter", x, selected(scope, x, wrap_dim(dim, x.ndim), index), src)


def slice_scatter(
    scope: Scope, x: TensorFact, src: TensorFact, dim: int = 0, start: Any = None, end: Any = None, step: Any = 1
) -> TensorFact:
    return _embedded(scope, "slice_scatter", x, sliced(scope, x, wrap_dim(dim, x.ndim), start, end, step), src)


def diagonal_scatter(
    scope: Scope, x: TensorFact, src: TensorFact, offset: Any = 0, dim1: int = 0, dim2: int = 1
) -> TensorFact:
    return _embedded(scope, "diagonal_scatter", x, diagonal(scope, x, offset, dim1, dim2).fact, src)


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


def _segment_cost(y: TensorFact, data: TensorFact, reduce: str, *_: Any, initial: Any = None, **__: Any) -> Work:
    per_value = Scalars(mul=1) if reduce == "prod" else Scalars(add=1)
    met = data.numel - (y.numel if initial is None else 0)
    return (per_value * met + Scalars(div=y.numel if reduce == "mean" else 0)).work(1, data.dtype)


_COPY = Zero("copies elements", moves=True)
_T: Any = torch.Tensor

OPS: tuple[Op, ...] = (
    replace(op("setitem", shape=setitem, cost=_assign_cost, extra=(_T.__setitem__,)), inplace=True),
    op("_unsafe_masked_index_put_accumulate", shape=masked_put, cost=_masked_put_cost),
    op("index_put", "_unsafe_index_put", "_index_put_impl", shape=index_put, cost=_index_put_cost),
    op("index_fill", shape=index_fill, cost=_COPY),
    op("index_copy", shape=_along("index_copy"), cost=_COPY),
    op("index_add", shape=_along("index_add"), cost=_index_add_cost),
    op("index_reduce", shape=_along("index_reduce"), cost=_index_reduce_cost),
    op("scatter", shape=scatter, cost=_scatter_cost),
    op("scatter_add", shape=scatter_add, cost=_scatter_add_cost),
    op("scatter_reduce", shape=scatter_reduce, cost=_scatter_reduce_cost),
    op("masked_scatter", shape=masked_scatter, cost=_COPY),
    op("put", shape=put, cost=_put_cost),
    op("select_scatter", shape=select_scatter, cost=_COPY),
    op("slice_scatter", shape=slice_scatter, cost=_COPY),
    op("diagonal_scatter", shape=diagonal_scatter, cost=_COPY),
    op("segment_reduce", shape=segment_reduce, cost=_segment_cost),
)
