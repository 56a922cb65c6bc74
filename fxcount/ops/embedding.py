"""Rows of a table: embedding, bags of embeddings, one-hot vectors.

Shapes:  weight (V, E), indices (*I) -> (*I, E); a bag reduces runs of L indices to rows of (bags, E); one_hot appends
         ``num_classes``
Counts:  an embedding copies. A bag of n rows is n - 1 additions (or comparisons) per column, no bag being empty:
         flops = (L - bags)*E, with ``mode=mean`` bags*E divisions and with weights L*E multiplications more.
         ``embedding_renorm_`` takes every index for a different row that is too long: the 2-norm of E elements is
         2E flops, then a comparison, an addition, a division and E products: 3E + 3 each. For another p, E powers and
         a root in place of squares and square root.
         Reads: the indices and one row for each index, not the table.
Raises:  ShapeError: a table that is not (V, E), indices that are not integers; DataDependentError: one_hot without
         ``num_classes``, which is the largest value
Source:  ATen/native/Embedding.cpp, EmbeddingBag.cpp

>>> embedding(Scope({}), TensorFact((100, 16), torch.float32), TensorFact((2, 7), torch.int64)).shape
(2, 7, 16)
"""

from __future__ import annotations

from typing import Any

import torch

from fxcount.errors import DataDependentError, ShapeError
from fxcount.ops.common import shape_text
from fxcount.ops.fact import Alias, TensorFact, Work
from fxcount.ops.registry import Op, op
from fxcount.ops.scalars import Scalars
from fxcount.symbolic import Scope, Size

__all__ = ["OPS"]

_SUM, _MEAN, _MAX = range(3)


def _check_table(what: str, weight: TensorFact, indices: TensorFact) -> None:
    if weight.ndim != 2:
        raise ShapeError(f"{what}: weight has shape {shape_text(weight.shape)}, expected (V, E)")
    if indices.dtype not in (torch.int64, torch.int32):
        raise ShapeError(f"{what}: indices are {indices.dtype}", hint="use int64 or int32 indices: .long()")


def embedding(
    scope: Scope,
    weight: TensorFact,
    indices: TensorFact,
    padding_idx: Any = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> TensorFact:
    _check_table("embedding", weight, indices)
    return weight.new((*indices.shape, weight.shape[1]))


def _embedding_cost(y: TensorFact, weight: TensorFact, indices: TensorFact, *args: Any, **kwargs: Any) -> Work:
    return Work(read_bytes=indices.nbytes + y.nbytes)


def embedding_renorm(
    scope: Scope, weight: TensorFact, indices: TensorFact, max_norm: float, norm_type: float = 2.0
) -> Alias:
    _check_table("embedding_renorm_", weight, indices)
    return Alias(weight)


def _renorm_cost(
    y: TensorFact, weight: TensorFact, indices: TensorFact, max_norm: float, norm_type: float = 2.0
) -> Work:
    width, euclid = weight.shape[1], norm_type == 2
    norm = Scalars(mul=width, add=width - 1, root=1) if euclid else Scalars(fn=width + 1, add=width - 1)
    rows = indices.numel * width * weight.itemsize
    done = (norm + Scalars(add=2, div=1, mul=width)).work(indices.numel, weight.dtype)
    return Work(0, done.flops, done.transcendentals, indices.nbytes + rows, rows)


def embedding_bag(
    scope: Scope,
    weight: TensorFact,
    indices: TensorFact,
    offsets: TensorFact,
    scale_grad_by_freq: bool = False,
    mode: int = _SUM,
    sparse: bool = False,
    per_sample_weights: TensorFact | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[TensorFact, TensorFact, TensorFact, TensorFact]:
    _check_table("embedding_bag", weight, indices)
    if indices.ndim != 1 or offsets.ndim != 1:
        raise ShapeError(
            f"embedding_bag: indices {shape_text(indices.shape)} and offsets {shape_text(offsets.shape)} must be 1-d"
        )
    if per_sample_weights is not None and mode != _SUM:
        raise ShapeError("embedding_bag: per_sample_weights need mode='sum'")
    listed = offsets.shape[0]
    bags = listed - 1 if include_last_offset else listed
    y = weight.new((bags, weight.shape[1]))
    # torch's fast path of sums keeps no map from rows to bags
    bag_of_row: Size = 0 if mode == _SUM and padding_idx in (None, -1) else indices.shape[0]
    counted = listed if mode == _SUM else bags
    best = (bags, weight.shape[1]) if mode == _MAX else (counted,)
    return y, indices.new((bag_of_row,)), indices.new((counted,)), indices.new(best)


def _bag_cost(
    y: tuple[TensorFact, ...],
    weight: TensorFact,
    indices: TensorFact,
    offsets: TensorFact,
    scale_grad_by_freq: bool = False,
    mode: int = _SUM,
    sparse: bool = False,
    per_sample_weights: TensorFact | None = None,
    *args: Any,
    **kwargs: Any,
) -> Work:
    bags, width = y[0].shape
    picked = indices.numel * width
    scalars = Scalars(
        add=picked - bags * width,
        div=bags * width if mode == _MEAN else 0,
        mul=picked if per_sample_weights is not None else 0,
    )
    read = indices.nbytes + offsets.nbytes + picked * weight.itemsize
    if per_sample_weights is not None:
        read = read + per_sample_weights.nbytes
    return Work(flops=scalars.work(1, weight.dtype).flops, read_bytes=read)


def one_hot(scope: Scope, x: TensorFact, num_classes: Any = -1) -> TensorFact:
    if x.dtype is not torch.int64:
        raise ShapeError(f"one_hot: x is {x.dtype}", hint="use int64 class numbers: .long()")
    if isinstance(num_classes, int) and num_classes <= 0:
        raise DataDependentError(
            "one_hot: without num_classes the number of classes is the largest value of x",
            hint="give num_classes",
        )
    return x.new((*x.shape, num_classes))


def _one_hot_cost(y: TensorFact, x: TensorFact, num_classes: Any = -1) -> Work:
    return Work()


_BAGS = ("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")

OPS: tuple[Op, ...] = (
    op("embedding", shape=embedding, cost=_embedding_cost),
    op("embedding_renorm", shape=embedding_renorm, cost=_renorm_cost),
    op(*_BAGS, shape=embedding_bag, cost=_bag_cost),
    op("one_hot", shape=one_hot, cost=_one_hot_cost, differentiable=False),
)
