"""Distances and similarities of vectors: pair by pair, of two sets, within one set.

Letters: n = length of the vectors compared; P and R vectors in two sets
Shapes:  cosine_similarity, pairwise_distance: operands broadcast, the dimension of the vectors goes
         cdist x (*B, P, n), x2 (*B, R, n) -> (*B, P, R); pdist x (P, n) -> (P*(P-1)/2)
Counts:  cosine_similarity  per pair: dot product 2n-1, two norms 4n, two comparisons with eps, product, division = 6n + 3
         pairwise_distance  per pair: n subtractions, n additions of eps, a p-norm (p=2: 2n) = 4n
         cdist, pdist       per pair: 3n for p = 2 (difference, square, sum, root), 3n - 1 for p = 0, 1 and infinity, else
                            4n, of which n + 1 powers
Raises:  ShapeError: ranks or widths do not match, integers
Source:  the definitions in the torch documentation

>>> x = TensorFact((2, 5), torch.float32)
>>> _cosine_cost(cosine_similarity(Scope({}), x, x), x, x).flops
66
>>> cdist(Scope({}), x, x).shape, pdist(Scope({}), x).shape
((2, 2), (1,))
"""

from __future__ import annotations

from math import inf

import torch

from fxcount.errors import ShapeError
from fxcount.ops.contraction.matmul import require
from fxcount.ops.core.common import broadcast, float_result, promote, shape_text, wrap_dim
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import broadcast_numel
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.normalise.vectornorm import norm_scalars
from fxcount.symbolic import Scope, Size, floordiv
from fxcount.torch_private import VERSION

__all__ = ["OPS", "cosine_similarity", "distance_work", "pairwise_distance", "real_dtype"]


# --- pair by pair ----------------------------------------------------------------------------------------------------


def cosine_similarity(
    scope: Scope, x1: TensorFact, x2: TensorFact, dim: int = 1, eps: float = 1e-8
) -> TensorFact:
    """The cosine of the angle between vectors along ``dim``."""
    shape = broadcast(scope, "cosine_similarity", x1.shape, x2.shape)
    at = wrap_dim(dim, len(shape))
    return x1.new((*shape[:at], *shape[at + 1 :]), float_result(promote(x1, x2)))


def _cosine_cost(y: TensorFact, x1: TensorFact, x2: TensorFact, dim: int = 1, eps: float = 1e-8) -> Work:
    return Scalars(add=6 * broadcast_numel(x1, x2) + 3 * y.numel).work(1, y.dtype)


def _cosine_held(y: TensorFact, x1: TensorFact, x2: TensorFact, dim: int = 1, eps: float = 1e-8) -> Size:
    """Two normalised operands and their product, two norms; since 2.11 eps as a tensor."""
    eps_held = 1 if VERSION >= (2, 11) else 0
    return (3 * broadcast_numel(x1, x2) + 2 * y.numel + eps_held) * y.itemsize


def real_dtype(dtype: torch.dtype) -> torch.dtype:
    """That of a distance between vectors of ``dtype``."""
    return dtype.to_real() if dtype.is_complex else float_result(dtype)


def pairwise_distance(
    scope: Scope, x1: TensorFact, x2: TensorFact, p: float = 2, eps: float = 1e-6, keepdim: bool = False
) -> TensorFact:
    """The p-norm of the difference along the last dimension."""
    shape = broadcast(scope, "pairwise_distance", x1.shape, x2.shape)
    return x1.new((*shape[:-1], 1) if keepdim else shape[:-1], real_dtype(promote(x1, x2)))


def distance_work(n: Size, pairs: Size, p: float) -> Scalars:
    """Operations of the p-norms of differences of ``n`` elements in so many pairs, eps added to each."""
    norms = norm_scalars(n, pairs, p)
    return Scalars(add=2 * n + norms.flops - norms.transcendentals, fn=norms.transcendentals)


def _pairwise_cost(
    y: TensorFact, x1: TensorFact, x2: TensorFact, p: float = 2, eps: float = 1e-6, keepdim: bool = False
) -> Work:
    return distance_work(broadcast_numel(x1, x2), y.numel, p).work(1, y.dtype)


def _pairwise_held(y: TensorFact, x1: TensorFact, x2: TensorFact, *_: object, **__: object) -> Size:
    return 2 * broadcast_numel(x1, x2) * y.itemsize


# --- all pairs -------------------------------------------------------------------------------------------------------


def cdist(scope: Scope, x: TensorFact, x2: TensorFact, p: float = 2.0, compute_mode: int | None = None) -> TensorFact:
    """x (*B, P, n), x2 (*B, R, n) -> (*B, P, R)."""
    if min(x.ndim, x2.ndim) < 2 or not (x.dtype.is_floating_point and x2.dtype.is_floating_point):
        raise ShapeError(f"cdist: needs floating matrices, not {shape_text(x.shape)} and {shape_text(x2.shape)}")
    require(scope, x.shape[-1], x2.shape[-1], "cdist: widths must match", x.shape, x2.shape)
    batch = broadcast(scope, "cdist", x.shape[:-2], x2.shape[:-2])
    return x.new((*batch, x.shape[-2], x2.shape[-2]), promote(x, x2))


def pdist(scope: Scope, x: TensorFact, p: float = 2.0) -> TensorFact:
    """x (P, n) -> the distances of its P*(P-1)/2 pairs of rows."""
    if x.ndim != 2:
        raise ShapeError(f"pdist: needs a matrix, not shape {shape_text(x.shape)}")
    rows = x.shape[0]
    return x.new((floordiv(rows * (rows - 1), 2),))


def _all_pairs_work(y: TensorFact, n: Size, p: float) -> Work:
    if p == 2:
        return Scalars(add=2 * n - 1, mul=n, root=1).work(y.numel, y.dtype)
    powers = 0 if p in (0, 1, inf) else n + 1
    return Scalars(add=3 * n - 1, fn=powers).work(y.numel, y.dtype)


def _cdist_cost(y: TensorFact, x: TensorFact, x2: TensorFact, p: float = 2.0, compute_mode: int | None = None) -> Work:
    return _all_pairs_work(y, x.shape[-1], p)


def _pdist_cost(y: TensorFact, x: TensorFact, p: float = 2.0) -> Work:
    return _all_pairs_work(y, x.shape[1], p)


OPS: tuple[Op, ...] = (
    op("cosine_similarity", shape=cosine_similarity, cost=_cosine_cost, temporaries=_cosine_held),
    op("pairwise_distance", shape=pairwise_distance, cost=_pairwise_cost, temporaries=_pairwise_held),
    op("cdist", "_cdist_forward", "_euclidean_dist", shape=cdist, cost=_cdist_cost),
    op("pdist", "_pdist_forward", shape=pdist, cost=_pdist_cost),
)
