"""Replacing a region: ``x[key] = value``, index_put, and select_scatter, slice_scatter and diagonal_scatter.

Shapes:  the result is x with some elements replaced; an assignment writes x itself
Counts:  0 where values are copied; accumulating is an addition for each value. An assignment writes the elements it assigns.
Raises:  ShapeError: values that do not fit the region
Source:  ATen/native/TensorAdvancedIndexing.cpp

>>> x, row = TensorFact((4, 6), torch.float32), TensorFact((6,), torch.float32)
>>> _assign_cost(x, x, 0, row).write_bytes
24
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Index, Operand
from fxcount.ops.core.common import broadcast, facts_in, same_shape, shape_text, wrap_dim
from fxcount.ops.core.fact import Alias, TensorFact, Work
from fxcount.ops.core.iterator import dense_like
from fxcount.ops.core.positions import MASKS, keyed, listed
from fxcount.ops.core.registry import Op, Zero, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.memory.indexing import basic, gathered_shape, selected, sliced
from fxcount.ops.memory.views import diagonal
from fxcount.symbolic import Scope, Size, prod, sum_

__all__ = ["OPS"]


def _region(scope: Scope | None, x: TensorFact, key: Index) -> tuple[Size, ...] | None:
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


def _key(indices: Sequence[Index]) -> tuple[Index, ...]:
    return tuple(slice(None) if i is None else i for i in indices)


def _check_fits(scope: Scope, what: str, region: tuple[Size, ...], value: Operand) -> None:
    if not isinstance(value, TensorFact) or any(map(scope.unbacked.concern, (*region, *value.shape))):
        return  # what data decide is taken to fit
    extra = max(value.ndim - len(region), 0)  # leading sizes of 1 are allowed
    wanted = (1,) * extra + region
    if not all(map(scope.same, broadcast(scope, what, wanted, value.shape), wanted)):
        raise ShapeError(f"{what}: values {shape_text(value.shape)} do not fit {shape_text(region)}")


def setitem(scope: Scope, x: TensorFact, key: Index, value: Operand) -> Alias:
    region = _region(scope, x, key)
    if region is not None:
        _check_fits(scope, "assignment", region, value)
    return Alias(x)


def _assign_cost(y: TensorFact, x: TensorFact, key: Index, value: Operand) -> Work:
    region = _region(None, x, key)
    written = x.nbytes if region is None else prod(region) * x.itemsize
    return Work(read_bytes=sum_(t.nbytes for t in facts_in([key, value])), write_bytes=written)


def index_put(
    scope: Scope, x: TensorFact, indices: Sequence[Index], values: TensorFact, accumulate: bool = False, *_: object
) -> TensorFact:
    region = _region(scope, x, _key(indices))
    if region is not None:
        _check_fits(scope, "index_put", region, values)
    return dense_like(x)


def masked_put(
    scope: Scope, x: TensorFact, mask: TensorFact, indices: Sequence[Index], values: TensorFact
) -> TensorFact:
    """``x.index_put(indices, values, accumulate=True)`` where the mask is on."""
    broadcast(scope, "_unsafe_masked_index_put_accumulate", mask.shape, values.shape)
    return index_put(scope, x, indices, values, True)


def _masked_put_cost(y: TensorFact, x: TensorFact, mask: object, indices: Sequence[Index], values: TensorFact) -> Work:
    return _index_put_cost(y, x, indices, values, True)


def _index_put_cost(
    y: TensorFact, x: TensorFact, indices: Sequence[Index], values: TensorFact, accumulate: bool = False, *_: object
) -> Work:
    region = _region(None, x, _key(indices)) if accumulate else ()
    added = values.numel if region is None else prod(region) if accumulate else 0
    return Scalars(add=added).work(1, x.dtype)


def _embedded(scope: Scope, what: str, x: TensorFact, part: TensorFact, src: TensorFact) -> TensorFact:
    """``x`` with a part replaced."""
    if not same_shape(scope, src.shape, part.shape):
        raise ShapeError(f"{what}: src has shape {shape_text(src.shape)}, expected {shape_text(part.shape)}")
    return dense_like(x)


def select_scatter(scope: Scope, x: TensorFact, src: TensorFact, dim: int, index: Any) -> TensorFact:
    return _embedded(scope, "select_scatter", x, selected(scope, x, wrap_dim(dim, x.ndim), index), src)


def slice_scatter(
    scope: Scope, x: TensorFact, src: TensorFact, dim: int = 0, start: Size | None = None, end: Size | None = None,
    step: Size = 1,
) -> TensorFact:
    return _embedded(scope, "slice_scatter", x, sliced(scope, x, wrap_dim(dim, x.ndim), start, end, step), src)


def diagonal_scatter(
    scope: Scope, x: TensorFact, src: TensorFact, offset: Any = 0, dim1: int = 0, dim2: int = 1
) -> TensorFact:
    return _embedded(scope, "diagonal_scatter", x, diagonal(scope, x, offset, dim1, dim2).fact, src)


_COPY = Zero("copies elements", moves=True)
_T: Any = torch.Tensor

OPS: tuple[Op, ...] = (
    replace(op("setitem", shape=setitem, cost=_assign_cost, extra=(_T.__setitem__,), positions=keyed), inplace=True),
    op("_unsafe_masked_index_put_accumulate", shape=masked_put, cost=_masked_put_cost),
    op("index_put", "_unsafe_index_put", "_index_put_impl", shape=index_put, cost=_index_put_cost, positions=listed),
    op("select_scatter", shape=select_scatter, cost=_COPY),
    op("slice_scatter", shape=slice_scatter, cost=_COPY),
    op("diagonal_scatter", shape=diagonal_scatter, cost=_COPY),
)
