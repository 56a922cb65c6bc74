"""Looking up: rows of a table (embedding, bags of embeddings), gather, index_select, take; one-hot vectors.

Shapes:  weight (V, E), indices (*I) -> (*I, E); a bag reduces runs of L indices to rows of (bags, E); one_hot appends
         ``num_classes``; gather and take have the shape of the index
Counts:  a look-up copies. A bag of n rows is n - 1 additions (or comparisons) per column, no bag being empty:
         flops = (L - bags)*E, with ``mode=mean`` bags*E divisions and with weights L*E multiplications more.
         ``embedding_renorm_`` takes every index for a different row that is too long: the 2-norm of E elements is
         2E flops, then a comparison, an addition, a division and E products: 3E + 3 each. For another p, E powers and
         a root in place of squares and square root.
         Reads: the indices and the elements they pick, not the table.
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
from fxcount.ops.core.binding import Overloads
from fxcount.ops.core.common import broadcast, shape_text, wrap_dim
from fxcount.ops.core.fact import Alias, TensorFact, Work
from fxcount.ops.core.positions import Known, Positions, along, flat, rows
from fxcount.ops.core.positions import one_hot as of_one_hot
from fxcount.ops.core.registry import Count, Op, op
from fxcount.ops.core.scalars import Scalars
from fxcount.symbolic import Scope, Size
from fxcount.torch_private import VERSION

__all__ = ["OPS"]

_SUM, _MEAN, _MAX = range(3)


def _check_table(what: str, weight: TensorFact, indices: TensorFact) -> None:
    if weight.ndim != 2:
        raise ShapeError(f"{what}: weight has shape {shape_text(weight.shape)}, expected (V, E)")
    if indices.dtype not in (torch.int64, torch.int32):
        raise ShapeError(f"{what}: indices are {indices.dtype}", hint="use int64 or int32 indices: .long()")


def embedding(
    scope: Scope, weight: TensorFact, index: TensorFact, padding_idx: Any = -1, scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> TensorFact:  # fmt: skip
    _check_table("embedding", weight, index)
    return weight.new((*index.shape, weight.shape[1]))


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
    # torch's fast path of sums, which is not for doubles, keeps no map from rows to bags
    fast = mode == _SUM and padding_idx in (None, -1) and weight.dtype is not torch.float64
    best = (bags, weight.shape[1]) if mode == _MAX else (bags,)
    return y, indices.new((0 if fast else indices.shape[0],)), indices.new((bags,)), indices.new(best)


def _bag_cost(
    y: tuple[TensorFact, ...],
    weight: TensorFact,
    indices: TensorFact,
    offsets: TensorFact,
    scale_grad_by_freq: bool = False,
    mode: int = _SUM,
    sparse: bool = False,
    per_sample_weights: TensorFact | None = None,
    **_: object,
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


def _spare_entries(
    y: tuple[TensorFact, ...], weight: TensorFact, *, indices: TensorFact, include_last_offset: bool = False, **_: object
) -> Size:
    """The storages of the map from rows to bags and of the bag sizes are one entry longer than the tensors."""
    return 0 if y[1].numel == 0 else indices.itemsize * (1 + include_last_offset)


def one_hot(scope: Scope, x: TensorFact, num_classes: Any = -1) -> TensorFact:
    if x.dtype is not torch.int64:
        raise ShapeError(f"one_hot: x is {x.dtype}", hint="use int64 class numbers: .long()")
    if isinstance(num_classes, int) and num_classes <= 0:
        raise DataDependentError(
            "one_hot: without num_classes the number of classes is the largest value of x",
            hint="give num_classes",
        )
    return x.new((*x.shape, num_classes))


def one_hot_counted(scope: Scope, count: Count, x: TensorFact, num_classes: Any = -1) -> TensorFact:
    return x.new((*x.shape, count("classes", "one more than the largest class number", None, 7)))


def _one_hot_cost(y: TensorFact, x: TensorFact, num_classes: Any = -1) -> Work:
    return Work()


def _resized(x: TensorFact, d: int, n: Size) -> tuple[Size, ...]:
    return (*x.shape[:d], n, *x.shape[d + 1 :])


def _pick(y: TensorFact, x: TensorFact, *, index: TensorFact, **_: object) -> Work:
    """A look-up reads the index and what it picks."""
    return Work(read_bytes=index.nbytes + y.nbytes)


def gather(scope: Scope, x: TensorFact, dim: int, index: TensorFact, sparse_grad: bool = False) -> TensorFact:
    d = wrap_dim(dim, x.ndim)
    if any(type(n) is int and n == 0 for n in index.shape):  # torch picks nothing from a tensor of any rank
        return x.new(index.shape)
    if index.ndim != x.ndim and x.ndim and index.ndim:
        raise ShapeError(f"gather: index {shape_text(index.shape)} and x {shape_text(x.shape)} have different ranks")
    for k, (i, n) in enumerate(zip(index.shape, x.shape, strict=False)):
        if k != d and not scope.decide("<=", i, n, "gather within"):
            raise ShapeError(f"gather: index has {i} elements in dimension {k}, x has {n}")
    return x.new(index.shape)


def index_select(scope: Scope, x: TensorFact, dim: int, index: TensorFact) -> TensorFact:
    if index.ndim > 1:
        raise ShapeError(f"index_select: index has shape {shape_text(index.shape)}, expected one dimension")
    return x.new(_resized(x, wrap_dim(dim, x.ndim), index.numel)) if x.shape else x


def take(scope: Scope, x: TensorFact, index: TensorFact) -> TensorFact:
    return x.new(index.shape)


def take_along_dim(scope: Scope, x: TensorFact, index: TensorFact, dim: int | None = None) -> TensorFact:
    if dim is None:
        return x.new((index.numel,))
    if x.ndim != index.ndim:
        raise ShapeError(f"take_along_dim: x {shape_text(x.shape)} and indices {shape_text(index.shape)} have different ranks")
    d = wrap_dim(dim, x.ndim)
    shape = broadcast(scope, "take_along_dim", _resized(x, d, 1), _resized(index, d, 1))
    return x.new((*shape[:d], index.shape[d], *shape[d + 1 :]))


def _wrapped_indices(y: TensorFact, x: TensorFact, index: TensorFact, dim: int | None = None) -> Size:
    """torch makes the broadcast indices non-negative in a tensor of its own; before 2.10 it took them as they are."""
    return 0 if dim is None or VERSION < (2, 10) else y.numel * index.itemsize


_LOOK_UP = Overloads(renamed=(("indices", "index"),))


def _bag_rows(weight: Known, indices: Known, *_: object, **__: object) -> Positions:
    return rows(weight, indices)


_BAGS = ("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")

OPS: tuple[Op, ...] = (
    op("embedding", shape=embedding, cost=_pick, activations=True, looks_up=(0, 1), positions=rows, overloads=_LOOK_UP),
    op("embedding_renorm", shape=embedding_renorm, cost=_renorm_cost),
    op(*_BAGS, shape=embedding_bag, cost=_bag_cost, temporaries=_spare_entries, positions=_bag_rows, overloads=Overloads()),
    op("gather", shape=gather, cost=_pick, positions=along, overloads=_LOOK_UP),
    op("index_select", shape=index_select, cost=_pick, positions=along, overloads=_LOOK_UP),
    op("take", shape=take, cost=_pick, positions=flat, overloads=_LOOK_UP),
    op("take_along_dim", shape=take_along_dim, cost=_pick, temporaries=_wrapped_indices, overloads=_LOOK_UP),
    op("one_hot", shape=one_hot, counted=one_hot_counted, cost=_one_hot_cost, positions=of_one_hot, differentiable=False),
)
