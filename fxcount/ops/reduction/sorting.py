"""Sorting, searching and histograms.

Shapes:  sort keeps the shape (values and int64 indices); topk and kthvalue take k or 1 of the dimension; searching has
         the shape of what is sought; histc has one element per bin
Counts:  sorting 0: the number of comparisons depends on the data; binary search 0: its log2(n) comparisons are no
         polynomial of the sizes
         histc: two range tests, subtraction, multiplication, division per element: 5; without a range also the
         minimum and the maximum, 2*(numel - 1)
Raises:  ShapeError: dim or k out of range; DataDependentError: as many results as there are different values

>>> values, indices = topk(Scope({}), TensorFact((2, 5), torch.float32), 3)
>>> values.shape, indices.dtype
((2, 3), torch.int64)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Scalar, Tensors
from fxcount.ops.core.common import same_shape, shape_text, wrap_dim
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import dense_like
from fxcount.ops.core.registry import Op, Zero, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.reduction.reduction import named
from fxcount.ops.reduction.softmax import reduced_shape
from fxcount.symbolic import Scope, Size

__all__ = ["OPS", "sort", "topk"]


def sort(
    scope: Scope, x: TensorFact, dim: int = -1, descending: bool = False, stable: Any = False
) -> tuple[TensorFact, ...]:
    """Values and indices along ``dim``."""
    wrap_dim(dim, x.ndim)
    return named("sort", dense_like(x), dense_like(x, torch.int64))


def argsort(scope: Scope, x: TensorFact, dim: int = -1, descending: bool = False, stable: Any = False) -> TensorFact:
    return sort(scope, x, dim)[1]


def msort(scope: Scope, x: TensorFact) -> TensorFact:
    return sort(scope, x, 0)[0]


def topk(
    scope: Scope, x: TensorFact, k: Size, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[TensorFact, ...]:
    """The k largest along ``dim``, and where they were."""
    at = wrap_dim(dim, x.ndim)
    if x.shape and not scope.decide("<=", k, x.shape[at], "topk takes k of a dimension"):
        raise ShapeError(f"topk: k={k} of a dimension of {x.shape[at]}", hint="k must not exceed the dimension")
    shape = (*x.shape[:at], k, *x.shape[at + 1 :]) if x.shape else ()
    return named("topk", x.new(shape), x.new(shape, torch.int64))


def kthvalue(scope: Scope, x: TensorFact, k: Size, dim: int = -1, keepdim: bool = False) -> tuple[TensorFact, ...]:
    """The k-th smallest along ``dim``, and where it was."""
    at = wrap_dim(dim, x.ndim)
    if x.shape and not scope.decide("<=", k, x.shape[at], "kthvalue picks from a dimension"):
        raise ShapeError(f"kthvalue: k={k} of a dimension of {x.shape[at]}", hint="k must not exceed the dimension")
    shape = reduced_shape(x, dim, keepdim)
    return named("kthvalue", x.new(shape), x.new(shape, torch.int64))


def _indices(out_int32: bool) -> torch.dtype:
    return torch.int32 if out_int32 else torch.int64


def searchsorted(
    scope: Scope, sorted_sequence: TensorFact, values: Any, *, out_int32: bool = False, **named: Any
) -> TensorFact:
    """Where ``values`` would go in the sorted rows."""
    sorter = named.get("sorter")
    if sorter is not None and not same_shape(scope, sorter.shape, sorted_sequence.shape):
        raise ShapeError(f"searchsorted: a sorter {shape_text(sorter.shape)} for {shape_text(sorted_sequence.shape)}")
    shape = values.shape if isinstance(values, TensorFact) else ()
    if sorted_sequence.ndim > 1 and (
        len(shape) != sorted_sequence.ndim
        or not all(
            scope.same(a, b, "searchsorted searches row by row")
            for a, b in zip(shape[:-1], sorted_sequence.shape[:-1], strict=True)
        )
    ):
        raise ShapeError("searchsorted: the values and the sorted sequence must agree in all dimensions but the last")
    return sorted_sequence.new(shape, _indices(out_int32))


def bucketize(scope: Scope, x: Any, boundaries: TensorFact, *, out_int32: bool = False, **_: object) -> TensorFact:
    """The bin of each element."""
    if boundaries.ndim != 1:
        raise ShapeError(f"bucketize: boundaries must be 1-dimensional, got {boundaries.ndim} dimensions")
    return boundaries.new(x.shape if isinstance(x, TensorFact) else (), _indices(out_int32))


def histc(scope: Scope, x: TensorFact, bins: Size = 100, min: Scalar = 0, max: Scalar = 0) -> TensorFact:
    """Elements per bin, in the dtype of x."""
    return x.new((bins,))


def _histc_cost(y: TensorFact, x: TensorFact, bins: Size = 100, min: Scalar = 0, max: Scalar = 0) -> Work:
    ranging = 2 * (x.numel - 1) if min == max else 0
    return Scalars(add=5 * x.numel + ranging).work(1, x.dtype)


def histogram(
    scope: Scope, x: TensorFact, bins: Size | TensorFact = 100, *, weight: TensorFact | None = None, **_: object
) -> tuple[TensorFact, TensorFact]:
    """Elements per bin, and the edges: one more than bins, which may be given as a tensor."""
    if weight is not None and not same_shape(scope, weight.shape, x.shape):
        raise ShapeError(f"histogram: weights {shape_text(weight.shape)} for {shape_text(x.shape)}")
    edges = bins.shape[0] if isinstance(bins, TensorFact) else bins + 1
    return x.new((edges - 1,)), x.new((edges,))


def _histogram_cost(
    y: Tensors, x: TensorFact, bins: Size | TensorFact = 100, *, range: Sequence[float] | None = None, **_: object) -> Work:
    """Equal bins as histc; given edges are searched, which counts 0."""
    if isinstance(bins, TensorFact):
        return Work()
    return _histc_cost(y[0], x, bins, *((0, 0) if range is None else range))


_SORTING = Zero("sorting: the number of comparisons depends on the data", moves=True)
_SEARCH = Zero("binary search: its log2(n) comparisons are no polynomial of the sizes", moves=True)


def _argsort_values(y: TensorFact, x: TensorFact, *_: object, **__: object) -> Size:
    return x.nbytes


def _msort_indices(y: TensorFact, x: TensorFact) -> Size:
    return 8 * x.numel


OPS: tuple[Op, ...] = (
    op("sort", shape=sort, cost=_SORTING),
    op("argsort", shape=argsort, cost=_SORTING, differentiable=False, temporaries=_argsort_values),
    op("msort", shape=msort, cost=_SORTING, temporaries=_msort_indices),
    op("topk", shape=topk, cost=_SORTING),
    op("kthvalue", shape=kthvalue, cost=_SORTING),
    op("searchsorted", shape=searchsorted, cost=_SEARCH, differentiable=False),
    op("bucketize", shape=bucketize, cost=_SEARCH, differentiable=False),
    op("histc", shape=histc, cost=_histc_cost, differentiable=False),
    op("histogram", shape=histogram, cost=_histogram_cost, differentiable=False),
)
