"""Ops whose result is as long as the data decide: nonzero, masks, unique values, boxes kept, repeats given as a tensor.

Their plain shape rules refuse; the *counted* rules next to them get a :class:`Count`, which hands out a symbol for a number
that only data know (the same symbol for the same tensor: ``x[mask]`` and ``y[mask]`` have equal lengths).

Shapes:  nonzero x (*I) -> (n, ndim), a transposed view; masked_select -> (n,); unique -> (n,) and, where asked for,
         the inverse of x's shape and counts (n,); nms boxes (N, 4) -> (n,), n <= N
Counts:  0: comparisons and copies; the overlaps that nms computes depend on which boxes are still alive
Raises:  DataDependentError from the plain rules
Source:  ATen/native/TensorAdvancedIndexing.cpp (nonzero), Unique.cpp; torchvision/csrc/ops/cpu/nms_kernel.cpp
"""

from __future__ import annotations

from typing import Any

import torch

from fxcount import torch_private
from fxcount.errors import ShapeError
from fxcount.ops.core.common import broadcast, refused, wrap_dim
from fxcount.ops.core.fact import TensorFact
from fxcount.ops.core.registry import Count, Op, Zero, op
from fxcount.ops.core.striding import strided
from fxcount.symbolic import Scope, Size, floordiv, max_, min_, prod

__all__ = ["OPS", "index_columns", "true_elements"]


def true_elements(count: Count, mask: TensorFact, operand: int | None) -> Size:
    """How many elements of the mask are true (not zero)."""
    return count("nonzero", "the number of true elements of a mask", mask.numel, mask.numel, operand)


def index_columns(x: TensorFact, n: Size) -> tuple[TensorFact, ...]:
    """The index tensors a mask stands for: one for each dimension, columns of what ``nonzero`` gives."""
    column = TensorFact((n,), torch.int64, x.device)
    return (column,) * max(x.ndim, 1)


def nonzero(scope: Scope, count: Count, x: TensorFact, *, as_tuple: bool = False) -> Any:
    n = true_elements(count, x, 0)
    if as_tuple:
        return index_columns(x, n)
    return strided(TensorFact((n, x.ndim), torch.int64, x.device), (n, x.ndim), (1, n))


def argwhere(scope: Scope, count: Count, x: TensorFact) -> Any:
    return nonzero(scope, count, x)


def masked_select(scope: Scope, count: Count, x: TensorFact, mask: TensorFact) -> TensorFact:
    shape = broadcast(scope, "masked_select", x.shape, mask.shape)
    times = floordiv(prod(shape), mask.numel)  # each element of the mask stands for as many of the broadcast one
    return x.new((true_elements(count, mask, 1) * times,))


_VF: Any = torch_private.VF
_FEW = 7  # different values, where nothing is known of them: a hint and no bound


def _distinct(count: Count, n: Size) -> Size:
    return count("unique", "the number of different values", n, min_(n, _FEW))


def unique2(
    scope: Scope, count: Count, x: TensorFact, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False
) -> tuple[TensorFact, ...]:
    n = _distinct(count, x.numel)
    inverse = x.shape if return_inverse or return_counts else (0,)
    return x.new((n,)), x.new(inverse, torch.int64), x.new((n if return_counts else 0,), torch.int64)


def unique_dim(
    scope: Scope, count: Count, x: TensorFact, dim: int, sorted: bool = True, return_inverse: bool = False,
    return_counts: bool = False,
) -> tuple[TensorFact, ...]:  # fmt: skip
    d = wrap_dim(dim, x.ndim)
    n = _distinct(count, x.shape[d])
    moved = x.new((n, *x.shape[:d], *x.shape[d + 1 :])).stride()  # made of rows, and moved back
    shape = (*x.shape[:d], n, *x.shape[d + 1 :])
    values = strided(x, shape, (*moved[1 : d + 1], moved[0], *moved[d + 1 :]))
    return values, x.new((x.shape[d],), torch.int64), x.new((n,), torch.int64)


def unique_consecutive(
    scope: Scope, count: Count, x: TensorFact, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> tuple[TensorFact, ...]:
    if dim is not None:
        return unique_dim(scope, count, x, dim)
    n = _distinct(count, x.numel)
    inverse = x.shape if return_inverse else (0,)
    return x.new((n,)), x.new(inverse, torch.int64), x.new((n if return_counts else 0,), torch.int64)


def bincount(scope: Scope, count: Count, x: TensorFact, weights: TensorFact | None = None, minlength: Size = 0) -> TensorFact:
    if weights is not None and not scope.same(weights.numel, x.numel, "bincount: a weight for each element"):
        raise ShapeError(f"bincount: {weights.numel} weights for {x.numel} elements")
    default = max_(minlength, 1) if not isinstance(minlength, int) or minlength else _FEW
    n = count("bins", "one more than the largest value, at least minlength", None, default)
    dtype = torch.int64 if weights is None else torch.float32 if weights.dtype is torch.float32 else torch.float64
    return x.new((n,), dtype)


def nms(scope: Scope, count: Count, dets: TensorFact, scores: TensorFact, iou_threshold: float) -> TensorFact:
    boxes = dets.shape[0]
    return dets.new((count("kept", "the number of boxes that non-maximum suppression keeps", boxes, boxes),), torch.int64)


_BINS = "pass a fixed number of bins or classes instead"
_SEARCHING, _COPYING = Zero("a search", moves=True), Zero("copies elements", moves=True)
_INTEGER, _SORTING = Zero("integer work", moves=True), Zero("the number of comparisons depends on the data", moves=True)

OPS: tuple[Op, ...] = (
    op("nonzero", shape=refused("nonzero"), counted=nonzero, cost=_SEARCHING, differentiable=False),
    op("argwhere", shape=refused("argwhere"), counted=argwhere, cost=_SEARCHING, differentiable=False),
    op("masked_select", shape=refused("masked_select"), counted=masked_select, cost=_COPYING),
    op("_unique2", shape=refused("unique", _BINS), counted=unique2, cost=_SORTING, differentiable=False),
    op("unique_dim", shape=refused("unique", _BINS), counted=unique_dim, cost=_SORTING, differentiable=False),
    op(
        "unique_consecutive", shape=refused("unique_consecutive", _BINS), counted=unique_consecutive, cost=_SORTING,
        differentiable=False, extra=(_VF.unique_consecutive,),
    ),
    op("bincount", shape=refused("bincount", _BINS), counted=bincount, cost=_INTEGER, differentiable=False),
    op(
        "torchvision.nms", shape=refused("nms", "analyze the model up to its raw predictions"), counted=nms,
        cost=_SORTING, differentiable=False,
    ),
)  # fmt: skip
