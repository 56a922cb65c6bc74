"""Losses on distances and similarities.

Letters: n = length of the vectors compared, r = number of pairs.
Counts:  triplet_margin_loss    per triplet: two distances (three and a comparison with swap), + margin, a subtraction,
                                a comparison
         cosine_embedding_loss  per pair: three dot products 6n-3, two additions of eps, product, sqrt, division, the
                                choice by the target, and max(0, cos - margin) = 6n + 5
         margin_ranking_loss    per element: max(0, -y*(x1 - x2) + margin) = 5
         hinge_embedding_loss   per element: x or max(0, margin - x) = 3
Source:  the definitions in the torch.nn documentation

>>> import torch
>>> x = TensorFact((2, 5), torch.float32)
>>> margin_ranking_loss(Scope({}), x, x, x).shape, _margin_ranking_cost(x, x, x, x, reduction="none").flops
((), 50)
"""

from __future__ import annotations

from fxcount.ops.core.arguments import Reduction
from fxcount.ops.core.common import broadcast, float_result, promote
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import broadcast_numel, elementwise
from fxcount.ops.core.reducing import combined, reduced, reducing
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.reduction.distances import distance_work, real_dtype
from fxcount.symbolic import Scope, Size

__all__ = ["OPS"]


def triplet_margin_loss(
    scope: Scope, anchor: TensorFact, positive: TensorFact, negative: TensorFact, margin: float = 1.0, p: float = 2,
    eps: float = 1e-6, swap: bool = False, reduction: Reduction = 1,
) -> TensorFact:  # fmt: skip
    """``max(0, d(a, p) - d(a, n) + margin)`` along the last dimension."""
    shape = broadcast(scope, "triplet_margin_loss", anchor.shape, positive.shape, negative.shape)
    return reduced(anchor.new(shape[:-1], real_dtype(promote(anchor, positive, negative))), reduction)


def _triplets(*operands: TensorFact) -> tuple[Size, Size]:
    """Elements, and triplets: elements without the last dimension."""
    heads = [TensorFact(o.shape[:-1], o.dtype) for o in operands]
    return broadcast_numel(*operands), broadcast_numel(*heads)


def _triplet_cost(
    y: TensorFact, anchor: TensorFact, positive: TensorFact, negative: TensorFact, margin: float = 1.0, p: float = 2,
    eps: float = 1e-6, swap: bool = False, reduction: Reduction = 1,
) -> Work:  # fmt: skip
    n, triplets = _triplets(anchor, positive, negative)
    before = distance_work(n, triplets, p) * (3 if swap else 2) + Scalars(add=4 if swap else 3) * triplets
    return combined(y, triplets, before, reduction)


def _triplet_held(
    y: TensorFact, anchor: TensorFact, positive: TensorFact, negative: TensorFact, margin: float = 1.0, p: float = 2,
    eps: float = 1e-6, swap: bool = False, *_: object,
) -> Size:  # fmt: skip
    """A difference with and without eps, and the distances so far."""
    n, triplets = _triplets(anchor, positive, negative)
    return (2 * n + (3 if swap else 2) * triplets) * y.itemsize - y.nbytes


def cosine_embedding_loss(
    scope: Scope, x1: TensorFact, x2: TensorFact, target: TensorFact, margin: float = 0.0, reduction: Reduction = 1
) -> TensorFact:
    """``1 - cos`` for pairs that belong together, ``max(0, cos - margin)`` for others."""
    shape = broadcast(scope, "cosine_embedding_loss", x1.shape, x2.shape)
    pairs = broadcast(scope, "cosine_embedding_loss", shape[:-1], target.shape)
    return reduced(x1.new(pairs, float_result(promote(x1, x2))), reduction)


def _cosine_embedding_cost(
    y: TensorFact, x1: TensorFact, x2: TensorFact, target: TensorFact, margin: float = 0.0, reduction: Reduction = 1
) -> Work:
    pairs = target.numel
    return combined(y, pairs, Scalars(add=6 * broadcast_numel(x1, x2) + 5 * pairs), reduction)


def _cosine_embedding_held(y: TensorFact, x1: TensorFact, x2: TensorFact, target: TensorFact, *_: object) -> Size:
    """A product and the sums of products."""
    return (broadcast_numel(x1, x2) + 4 * target.numel) * y.itemsize - y.nbytes


def margin_ranking_loss(
    scope: Scope, x1: TensorFact, x2: TensorFact, target: TensorFact, margin: float = 0.0, reduction: Reduction = 1
) -> TensorFact:
    dtype = float_result(promote(x1, x2, target))
    return reduced(elementwise(scope, "margin_ranking_loss", dtype, x1, x2, target), reduction)


def _margin_ranking_cost(
    y: TensorFact, x1: TensorFact, x2: TensorFact, target: TensorFact, margin: float = 0.0, reduction: Reduction = 1
) -> Work:
    n = broadcast_numel(x1, x2, target)
    return combined(y, n, Scalars(add=5) * n, reduction)


def _margin_ranking_held(y: TensorFact, x1: TensorFact, x2: TensorFact, target: TensorFact, *_: object) -> Size:
    return 4 * broadcast_numel(x1, x2, target) * y.itemsize - y.nbytes


def hinge_embedding_loss(
    scope: Scope, x: TensorFact, target: TensorFact, margin: float = 1.0, reduction: Reduction = 1
) -> TensorFact:
    return reduced(elementwise(scope, "hinge_embedding_loss", x.dtype, x, target), reduction)


def _hinge_cost(y: TensorFact, x: TensorFact, target: TensorFact, margin: float = 1.0, reduction: Reduction = 1) -> Work:
    n = broadcast_numel(x, target)
    return combined(y, n, Scalars(add=3) * n, reduction)


def _hinge_held(y: TensorFact, x: TensorFact, target: TensorFact, margin: float = 1.0, reduction: Reduction = 1) -> Size:
    """Zeros, margins, the two selections and, before a reduction, their sum."""
    return (5 if reducing(reduction) else 4) * broadcast_numel(x, target) * y.itemsize


OPS: tuple[Op, ...] = (
    op("triplet_margin_loss", shape=triplet_margin_loss, cost=_triplet_cost, temporaries=_triplet_held),
    op(
        "cosine_embedding_loss",
        shape=cosine_embedding_loss,
        cost=_cosine_embedding_cost,
        temporaries=_cosine_embedding_held,
    ),
    op("margin_ranking_loss", shape=margin_ranking_loss, cost=_margin_ranking_cost, temporaries=_margin_ranking_held),
    op("hinge_embedding_loss", shape=hinge_embedding_loss, cost=_hinge_cost, temporaries=_hinge_held),
)
