"""Joining and splitting: cat, stack, split, chunk, unbind, repeat. Data movement, no arithmetic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from itertools import pairwise
from typing import Any

import torch

from fxcount.errors import DataDependentError, ShapeError
from fxcount.ops.core.arguments import Tensors
from fxcount.ops.core.binding import Overloads
from fxcount.ops.core.common import promote, shape_text, wrap_dim
from fxcount.ops.core.fact import Alias, TensorFact
from fxcount.ops.core.registry import Count, Op, Zero, op
from fxcount.ops.core.striding import channels_last_strides, is_channels_last, strided
from fxcount.ops.memory.indexing import sliced
from fxcount.ops.memory.views import VIEW
from fxcount.symbolic import Scope, Size, ceildiv, combination, max_, prod, sum_

__all__ = ["OPS"]

COPY = Zero("copy", moves=True)


def cat(scope: Scope, tensors: Tensors, dim: int = 0) -> TensorFact:
    facts = list(tensors)
    if not facts:
        raise ShapeError("cat: expects at least one tensor")
    kinds = Counter(facts)
    dtype = promote(*kinds)
    full = {t: n for t, n in kinds.items() if t.shape != (0,)} or kinds  # torch lets empty 1-d tensors pass
    first = next(iter(full))
    d = wrap_dim(dim, first.ndim)
    shape = list(first.shape)
    for t in full:
        if t.ndim != first.ndim:
            raise ShapeError(f"cat: shapes {', '.join(_shapes(facts, full))} differ in rank")
        for i, (a, b) in enumerate(zip(shape, t.shape, strict=True)):
            if i != d and a is not b and not scope.same(a, b, "cat"):
                raise ShapeError(
                    f"cat along {d}: shapes {' and '.join(_shapes(facts, full))} differ in dimension {i}: {a} against {b}",
                    hint="all sizes but that of the joined dimension must agree",
                )
    shape[d] = combination([(t.shape[d], n) for t, n in full.items()])
    result = TensorFact(tuple(shape), dtype, first.device)
    if first.ndim in (4, 5) and all(map(is_channels_last, full)):
        return TensorFact(result.shape, dtype, first.device, channels_last_strides(result.shape))
    return result


def _shapes(facts: list[TensorFact], of: Container[TensorFact]) -> list[str]:
    return [shape_text(t.shape) for t in facts if t in of]


def stack(scope: Scope, tensors: Tensors, dim: int = 0) -> TensorFact:
    facts = list(tensors)
    if not facts:
        raise ShapeError("stack: expects at least one tensor")
    first = facts[0]
    for t in facts[1:]:
        if t.ndim != first.ndim or not all(scope.same(a, b, "stack") for a, b in zip(first.shape, t.shape, strict=True)):
            raise ShapeError(f"stack: shapes {' and '.join(shape_text(t.shape) for t in facts)} must be equal")
    d = wrap_dim(dim, first.ndim + 1)
    shape = (*first.shape[:d], len(facts), *first.shape[d:])
    if d == first.ndim or first.ndim not in (4, 5) or not all(map(is_channels_last, facts)):
        return TensorFact(shape, promote(*facts), first.device)
    joined = channels_last_strides((*first.shape[:d], len(facts) * first.shape[d], *first.shape[d + 1 :]))
    # torch's stack is its cat, of which it splits the joined dimension; along a new last one it is another cat
    return TensorFact(shape, promote(*facts), first.device, (*joined[:d], joined[d] * first.shape[d], *joined[d:]))


def pad_sequence(
    scope: Scope, sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> TensorFact:
    """Sequences (L_i, *rest) in one tensor as long as the longest, (N, L, *rest) or (L, N, *rest)."""
    facts = list(sequences)
    if not facts:
        raise ShapeError("pad_sequence: expects at least one tensor")
    first, longest = facts[0], max_(*[t.shape[0] for t in facts])
    if not all(t.ndim == first.ndim and all(map(scope.same, t.shape[1:], first.shape[1:])) for t in facts[1:]):
        raise ShapeError(f"pad_sequence: {' and '.join(shape_text(t.shape) for t in facts)} may differ in length only")
    ends = (len(facts), longest) if batch_first else (longest, len(facts))
    return TensorFact((*ends, *first.shape[1:]), promote(*facts), first.device)


def _at_least(facts: list[TensorFact], ndim: int) -> list[TensorFact]:
    lifted = []
    for t in facts:
        shape = t.shape
        if len(shape) >= ndim:
            lifted.append(t)
            continue
        if ndim == 3:
            shape = {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}[len(shape)]
        else:
            shape = (*(1,) * (ndim - len(shape)), *shape)
        lifted.append(TensorFact(shape, t.dtype, t.device))
    return lifted


def hstack(scope: Scope, tensors: Tensors) -> TensorFact:
    lifted = _at_least(list(tensors), 1)
    return cat(scope, lifted, 0 if lifted[0].ndim == 1 else 1)


def vstack(scope: Scope, tensors: Tensors) -> TensorFact:
    return cat(scope, _at_least(list(tensors), 2), 0)


def dstack(scope: Scope, tensors: Tensors) -> TensorFact:
    return cat(scope, _at_least(list(tensors), 3), 2)


def column_stack(scope: Scope, tensors: Tensors) -> TensorFact:
    lifted = [t if t.ndim > 1 else TensorFact((t.numel, 1), t.dtype, t.device) for t in tensors]
    return cat(scope, lifted, 1)


def _pieces(x: TensorFact, sizes: list[Size], d: int) -> tuple[Alias, ...]:
    strides = x.stride()
    made: dict[Size, Alias] = {}
    for size in sizes:
        if size not in made:
            made[size] = Alias(strided(x, (*x.shape[:d], size, *x.shape[d + 1 :]), strides))
    return tuple(made[size] for size in sizes)


def split(scope: Scope, x: TensorFact, split_size: Size | Sequence[Size], dim: int = 0) -> tuple[Alias, ...]:
    if isinstance(split_size, (list, tuple)):
        return split_with_sizes(scope, x, split_size, dim)
    assert not isinstance(split_size, Sequence)
    d = wrap_dim(dim, x.ndim)
    count = scope.pin(ceildiv(x.shape[d], split_size), "split: the number of pieces")
    count = max(1, count)
    last = x.shape[d] - split_size * (count - 1)
    return _pieces(x, [split_size] * (count - 1) + [last], d)


def split_with_sizes(scope: Scope, x: TensorFact, split_sizes: Sequence[Size], dim: int = 0) -> tuple[Alias, ...]:
    d = wrap_dim(dim, x.ndim)
    if all(s.most is None for s in scope.unbacked.found_in(split_sizes)):
        scope.unbacked.balance(split_sizes, x.shape[d], "the pieces of a split make up the whole")
    if not scope.same(sum_(split_sizes), x.shape[d], "split"):
        raise ShapeError(
            f"split: sizes {shape_text(split_sizes)} add up to {sum_(split_sizes)}, dimension {d} of "
            f"{shape_text(x.shape)} has {x.shape[d]}"
        )
    for size in split_sizes:
        if not scope.decide(">=", size, 0, "split: a piece has at least no element"):
            raise ShapeError(f"split: sizes {shape_text(split_sizes)}: a piece of {size} elements")
    return _pieces(x, list(split_sizes), d)


def chunk(scope: Scope, x: TensorFact, chunks: int, dim: int = 0) -> tuple[Alias, ...]:
    d = wrap_dim(dim, x.ndim)
    size = x.shape[d]
    if chunks <= 0:
        raise ShapeError(f"chunk: chunks={chunks} must be positive")
    piece = ceildiv(size, chunks)
    if piece == 0:
        return _pieces(x, [0] * chunks, d)
    return split(scope, x, piece, d)


def tensor_split(
    scope: Scope, x: TensorFact, *, sections: Size | None = None, indices: Sequence[Size] | None = None,
    tensor: TensorFact | torch.Tensor | None = None, dim: int = 0,
) -> tuple[Alias, ...]:  # fmt: skip
    """Into so many ``sections``, or before each of the ``indices``; ``tensor`` has either."""
    if isinstance(tensor, TensorFact):
        raise DataDependentError("tensor_split: the places to split at are data", hint="give them as a list of ints")
    if tensor is not None:  # known data
        sections, indices = (None, tensor.tolist()) if tensor.ndim else (int(tensor), None)
    d = wrap_dim(dim, x.ndim)
    size = x.shape[d]
    if sections is not None:
        n = scope.pin(sections, "tensor_split")
        return _pieces(x, [ceildiv(size - i, n) for i in range(n)], d)  # the first ones have one more
    bounds: list[Size | None] = [None, *(indices or ()), None]
    return tuple([Alias(sliced(scope, x, d, a, b)) for a, b in pairwise(bounds)])


def hsplit(scope: Scope, x: TensorFact, **places: Any) -> tuple[Alias, ...]:
    return tensor_split(scope, x, dim=0 if x.ndim == 1 else 1, **places)


def vsplit(scope: Scope, x: TensorFact, **places: Any) -> tuple[Alias, ...]:
    return tensor_split(scope, x, dim=0, **places)


def dsplit(scope: Scope, x: TensorFact, **places: Any) -> tuple[Alias, ...]:
    return tensor_split(scope, x, dim=2, **places)


def unbind(scope: Scope, x: TensorFact, dim: int = 0) -> tuple[Alias, ...]:
    d = wrap_dim(dim, x.ndim)
    if not x.ndim:
        raise ShapeError("unbind: a 0-d tensor has no dimension to unbind")
    count = scope.pin(x.shape[d], "unbind: the number of results")
    strides = x.stride()
    part = Alias(strided(x, (*x.shape[:d], *x.shape[d + 1 :]), (*strides[:d], *strides[d + 1 :])))
    return (part,) * count


def repeat(scope: Scope, x: TensorFact, repeats: Any) -> TensorFact:
    repeats = tuple(repeats)
    if len(repeats) < x.ndim:
        raise ShapeError(f"repeat: {len(repeats)} repeats for the {x.ndim} dimensions of {shape_text(x.shape)}")
    if not all([scope.decide(">=", r, 0, "repeat: how often") for r in repeats]):
        raise ShapeError(f"repeat: {shape_text(repeats)} has a negative number in it")
    shape = ((1,) * (len(repeats) - x.ndim)) + x.shape
    return x.new(tuple(s * r for s, r in zip(shape, repeats, strict=True)))


def tile(scope: Scope, x: TensorFact, dims: Any) -> TensorFact:
    dims = tuple(dims) if isinstance(dims, (list, tuple)) else (dims,)
    return repeat(scope, x, (1,) * (x.ndim - len(dims)) + dims)


def repeat_interleave(
    scope: Scope, x: TensorFact, repeats: Any = None, dim: int | None = None, *, output_size: Size | None = None
) -> TensorFact:
    if isinstance(x, torch.Tensor):
        x = TensorFact(tuple(x.shape), x.dtype, x.device)
    d = 0 if dim is None else wrap_dim(dim, x.ndim)
    shape: tuple[Size, ...] = (x.numel,) if dim is None else x.shape
    _check_repeats(scope, repeats, shape[d])
    if output_size is not None:
        total = output_size
    elif isinstance(repeats, torch.Tensor):  # known data
        total = int(repeats.sum()) if repeats.numel() > 1 else shape[d] * int(repeats)
    elif isinstance(repeats, TensorFact) or repeats is None:
        raise DataDependentError(
            "repeat_interleave: the repeats are a tensor, so the size of the result depends on data",
            hint="give repeats as an int, or output_size=",
        )
    else:
        total = shape[d] * repeats
    return x.new((*shape[:d], total, *shape[d + 1 :]))


def _check_repeats(scope: Scope, repeats: Any, length: Size) -> None:
    if not isinstance(repeats, (TensorFact, torch.Tensor)):
        return
    many = repeats.numel if isinstance(repeats, TensorFact) else repeats.numel()
    if not (type(many) is int and many == 1) and not scope.same(many, length, "repeat_interleave: a number for each element"):
        raise ShapeError(f"repeat_interleave: {many} repeats for {length} elements")


def repeat_interleave_counted(
    scope: Scope, count: Count, x: TensorFact, repeats: Any = None, dim: int | None = None, *, output_size: Size | None = None
) -> TensorFact:
    """As long as the repeats add up to; twice as long is the default, there being no better one."""
    if repeats is None:  # the one-argument form: x itself holds the repeats, the result indices
        return x.new((count("repeated", "the sum of the repeats", None, 2 * x.numel),))
    d = 0 if dim is None else wrap_dim(dim, x.ndim)
    shape: tuple[Size, ...] = (x.numel,) if dim is None else x.shape
    _check_repeats(scope, repeats, shape[d])
    return x.new((*shape[:d], count("repeated", "the sum of the repeats", None, 2 * shape[d]), *shape[d + 1 :]))


def chunk_cat(scope: Scope, tensors: Tensors, dim: int, num_chunks: int) -> TensorFact:
    """Every tensor, padded along ``dim`` and cut into chunks, its chunks flat beside those of the others."""
    first: TensorFact = tensors[0]
    d = wrap_dim(dim, first.ndim)
    for t in tensors:
        if t.ndim <= d or not all(map(scope.same, t.shape[:d], first.shape[:d])):
            raise ShapeError(f"_chunk_cat: {shape_text(t.shape)} and {shape_text(first.shape)} differ before dimension {d}")
    widths = [ceildiv(t.shape[d], num_chunks) * prod(t.shape[d + 1 :]) for t in tensors]
    return first.new((*first.shape[:d], num_chunks, sum_(widths)))


_PLACES = Overloads(renamed=(("tensor_indices_or_sections", "tensor"),))

OPS: tuple[Op, ...] = (
    op("cat", "concat", "concatenate", shape=cat, cost=COPY),
    op("stack", "_stack", shape=stack, cost=COPY),
    op("hstack", shape=hstack, cost=COPY),
    op("vstack", "row_stack", shape=vstack, cost=COPY),
    op("dstack", shape=dstack, cost=COPY),
    op("column_stack", shape=column_stack, cost=COPY),
    op("split", "unsafe_split", shape=split, cost=VIEW, follows="moved"),
    op("split_with_sizes", "unsafe_split_with_sizes", shape=split_with_sizes, cost=VIEW, follows="moved"),
    op("chunk", "unsafe_chunk", shape=chunk, cost=VIEW, follows="moved"),
    op("tensor_split", shape=tensor_split, cost=VIEW, reads_data=True, overloads=_PLACES),
    op("hsplit", shape=hsplit, cost=VIEW, follows="moved", overloads=_PLACES),
    op("vsplit", shape=vsplit, cost=VIEW, follows="moved", overloads=_PLACES),
    op("dsplit", shape=dsplit, cost=VIEW, follows="moved", overloads=_PLACES),
    op("unbind", shape=unbind, cost=VIEW, follows="moved"),
    op("repeat", shape=repeat, cost=COPY, sizes_at=1, follows="moved"),
    op("tile", shape=tile, cost=COPY, sizes_at=1, follows="moved"),
    op("pad_sequence", shape=pad_sequence, cost=COPY),
    op("repeat_interleave", shape=repeat_interleave, counted=repeat_interleave_counted, cost=COPY, reads_data=True),
    op("_chunk_cat", shape=chunk_cat, cost=COPY),
)

