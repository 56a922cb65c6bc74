"""Views: results that share the storage of their operand. No arithmetic, no memory moved.

Strides are followed as eager torch computes them (``at::detail::computeStride``), because they decide whether a later
``reshape`` or ``contiguous`` copies. A ``reshape`` that cannot be a view is a copy and counts as moved memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Dims, Dtype, Sizes
from fxcount.ops.core.common import broadcast, shape_text, wrap_dim, wrap_dims
from fxcount.ops.core.fact import Alias, TensorFact
from fxcount.ops.core.registry import Op, Zero, op
from fxcount.ops.core.striding import dense_copy, reshaped, strided, view_strides
from fxcount.symbolic import Scope, Size, floordiv, prod

__all__ = ["OPS", "VIEW"]

Shape = tuple[Size, ...]

VIEW = Zero("view: metadata only")
COPY_OR_VIEW = Zero("view, or a copy where the layout forbids one", moves=True)


def resolve_shape(scope: Scope, x: TensorFact, shape: tuple[Size, ...], what: str) -> tuple[Size, ...]:
    """Replace a ``-1`` by what is left over, and hold the number of elements to that of ``x``."""
    unknown = [i for i, s in enumerate(shape) if type(s) is int and s == -1]
    if len(unknown) > 1:
        raise ShapeError(f"{what}: only one size can be -1, not {shape_text(shape)}")
    sizes = list(shape)
    if unknown:
        known = prod([s for i, s in enumerate(shape) if i != unknown[0]])
        if not scope.decide(">=", known, 1, f"{what}: the sizes beside -1 must not be 0"):
            raise ShapeError(f"{what}: cannot infer -1 in {shape_text(shape)} beside a size of 0")
        sizes[unknown[0]] = floordiv(x.numel, known, nonzero=True)
    scope.unbacked.settle(x.numel, prod(sizes), what)
    if not scope.same(prod(sizes), x.numel, f"{what}: the sizes must multiply to the number of elements"):
        raise ShapeError(
            f"{what}: {shape_text(x.shape)} has {x.numel} elements, {shape_text(shape)} wants {prod(sizes)}",
            hint="the sizes must multiply to the same number of elements",
        )
    return tuple(sizes)


def view(scope: Scope, x: TensorFact, shape: Any = None, *, dtype: Dtype = None, size: Sizes | None = None) -> Alias:
    shape = next(s for s in (dtype, size, shape) if s is not None)
    if isinstance(shape, torch.dtype):
        return _view_dtype(scope, x, shape)
    resolved = resolve_shape(scope, x, tuple(shape), "view")
    if x.strides is None:
        return Alias(TensorFact(resolved, x.dtype, x.device))
    strides = view_strides(scope, x.shape, x.strides, resolved) or _pinned_strides(scope, x.shape, x.strides, resolved)
    if strides is None:
        raise ShapeError(
            f"view: {shape_text(x.shape)} with strides {shape_text(x.strides)} cannot be seen as {shape_text(resolved)} "
            "without a copy",
            hint="use reshape, or contiguous() before view",
        )
    return Alias(strided(x, resolved, strides))


def _pinned_strides(scope: Scope, old: Shape, strides: Shape, new: Shape) -> Shape | None:
    """The strides of a view that is none at all sizes. The model asks for one, so it is one at the sizes at hand: they are
    assumed one after the other until they make it one, those first that only the operand or only the view has."""
    number: dict[Size, int] = {}
    for size in sorted(dict.fromkeys((*old, *new)), key=lambda size: size in old and size in new):
        if not isinstance(size, int):
            number[size] = scope.pin(size, "a view takes no copy")
            plain = [tuple([number.get(n, n) for n in sizes]) for sizes in (old, strides, new)]
            found = view_strides(scope, old, strides, new) or view_strides(scope, *plain)
            if found is not None:
                return found
    return None


def _view_dtype(scope: Scope, x: TensorFact, dtype: torch.dtype) -> Alias:
    old, new = x.dtype.itemsize, dtype.itemsize
    if old == new:
        return Alias(TensorFact(x.shape, dtype, x.device, x.strides))
    if old > new:
        last = x.shape[-1] * (old // new)
    else:
        if not scope.divisible(x.shape[-1], new // old, f"view as {dtype}"):
            raise ShapeError(f"view: the last size {x.shape[-1]} is no multiple of {new // old} for {dtype}")
        last = floordiv(x.shape[-1], new // old)
    return Alias(TensorFact((*x.shape[:-1], last), dtype, x.device))


def reshape(scope: Scope, x: TensorFact, shape: Any) -> TensorFact | Alias:
    resolved = resolve_shape(scope, x, tuple(shape), "reshape")
    return reshaped(scope, x, resolved)


def flatten(scope: Scope, x: TensorFact, start_dim: int = 0, end_dim: int = -1) -> TensorFact | Alias:
    if not x.shape:
        return Alias(TensorFact((1,), x.dtype, x.device))
    start, end = wrap_dim(start_dim, x.ndim, "start_dim"), wrap_dim(end_dim, x.ndim, "end_dim")
    if start > end:
        raise ShapeError(f"flatten: start_dim={start_dim} lies after end_dim={end_dim}")
    return reshape(scope, x, (*x.shape[:start], prod(x.shape[start : end + 1]), *x.shape[end + 1 :]))


def unflatten(scope: Scope, x: TensorFact, dim: int, sizes: Sizes) -> Alias:
    d = wrap_dim(dim, x.ndim)
    parts = tuple(sizes) if isinstance(sizes, (list, tuple)) else (sizes,)
    part = resolve_shape(scope, TensorFact((x.shape[d],), x.dtype, x.device), parts, "unflatten")
    return view(scope, x, (*x.shape[:d], *part, *x.shape[d + 1 :]))


def view_as(scope: Scope, x: TensorFact, other: TensorFact) -> Alias:
    return view(scope, x, other.shape)


def reshape_as(scope: Scope, x: TensorFact, other: TensorFact) -> TensorFact | Alias:
    return reshape(scope, x, other.shape)


def ravel(scope: Scope, x: TensorFact) -> TensorFact | Alias:
    """``x.contiguous().view(-1)``"""
    dense = dense_copy(scope, x, x.new(x.shape))
    flat = x.new((x.numel,))
    return replace(dense, fact=flat) if isinstance(dense, Alias) else flat


def permute(scope: Scope, x: TensorFact, dims: Sequence[int]) -> Alias:
    order = [wrap_dim(d, x.ndim) for d in dims]
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(f"permute: dims={tuple(dims)} is no permutation of the {x.ndim} dimensions")
    strides = x.stride()
    return Alias(strided(x, tuple(x.shape[d] for d in order), tuple(strides[d] for d in order)))


def transpose(scope: Scope, x: TensorFact, dim0: int, dim1: int) -> Alias:
    order = list(range(x.ndim))
    if not order:
        return Alias(x)
    a, b = wrap_dim(dim0, x.ndim, "dim0"), wrap_dim(dim1, x.ndim, "dim1")
    order[a], order[b] = order[b], order[a]
    return permute(scope, x, order)


def transposed(scope: Scope, x: TensorFact) -> Alias:
    if x.ndim > 2:
        raise ShapeError(f"t: wants at most 2 dimensions, got {shape_text(x.shape)}", hint="use transpose(-2, -1)")
    return permute(scope, x, tuple(range(x.ndim))[::-1])


def reversed_dims(scope: Scope, x: TensorFact) -> Alias:
    return permute(scope, x, tuple(range(x.ndim))[::-1])


def matrix_transpose(scope: Scope, x: TensorFact) -> Alias:
    return transpose(scope, x, -2, -1)


def movedim(scope: Scope, x: TensorFact, source: int | Sequence[int], destination: int | Sequence[int]) -> Alias:
    sources = [wrap_dim(d, x.ndim) for d in ((source,) if isinstance(source, int) else source)]
    targets = [wrap_dim(d, x.ndim) for d in ((destination,) if isinstance(destination, int) else destination)]
    rest = iter([d for d in range(x.ndim) if d not in sources])
    placed = dict(zip(targets, sources, strict=True))
    return permute(scope, x, [placed[d] if d in placed else next(rest) for d in range(x.ndim)])


def squeeze(scope: Scope, x: TensorFact, dim: Dims = None) -> Alias:
    chosen = () if isinstance(dim, (list, tuple)) and not dim else wrap_dims(dim, x.ndim)  # () is none of them, None all
    dims = chosen if x.ndim else ()
    gone = {d for d in dims if scope.decide("==", x.shape[d], 1, "squeeze")}
    kept = [d for d in range(x.ndim) if d not in gone]
    strides = x.stride()
    return Alias(strided(x, tuple(x.shape[d] for d in kept), tuple(strides[d] for d in kept)))


def unsqueeze(scope: Scope, x: TensorFact, dim: int) -> Alias:
    d = wrap_dim(dim, x.ndim + 1)
    shape = (*x.shape[:d], 1, *x.shape[d:])
    if x.strides is None:
        return Alias(TensorFact(shape, x.dtype, x.device))
    inner = x.shape[d] * x.strides[d] if d < x.ndim else 1
    return Alias(strided(x, shape, (*x.strides[:d], inner, *x.strides[d:])))


def expand(scope: Scope, x: TensorFact, size: Sequence[Size], implicit: bool = False) -> Alias:
    size = tuple(size)
    lead = len(size) - x.ndim
    if lead < 0:
        raise ShapeError(f"expand: {shape_text(x.shape)} has more dimensions than {shape_text(size)}")
    shape: list[Size] = []
    strides: list[Size] = []
    old = x.stride()
    for d, wanted in enumerate(size):
        have: Size = x.shape[d - lead] if d >= lead else 1
        keep = type(wanted) is int and wanted == -1
        if keep and d < lead:
            raise ShapeError(f"expand: -1 cannot stand for the new dimension {d} in {shape_text(size)}")
        if keep or have == wanted:
            shape.append(have)
            strides.append(old[d - lead] if d >= lead else 0)
        elif type(have) is int and have == 1:
            shape.append(wanted)
            strides.append(0)
        elif scope.same(have, wanted, "expand"):
            shape.append(wanted)
            strides.append(old[d - lead])
        elif scope.decide("==", have, 1, "expand"):
            shape.append(wanted)
            strides.append(0)
        else:
            raise ShapeError(
                f"expand: {shape_text(x.shape)} cannot become {shape_text(size)}: {have} against {wanted}",
                hint="only sizes of 1 expand",
            )
    return Alias(strided(x, tuple(shape), tuple(strides)))


def expand_as(scope: Scope, x: TensorFact, other: TensorFact) -> Alias:
    return expand(scope, x, other.shape)


def broadcast_tensors(scope: Scope, *tensors: Any) -> tuple[Alias, ...]:
    facts = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    shape = broadcast(scope, "broadcast_tensors", *(t.shape for t in facts))
    return tuple(Alias(expand(scope, t, shape).fact, of=i) for i, t in enumerate(facts))


def as_strided(
    scope: Scope, x: TensorFact, size: Sequence[Size], stride: Sequence[Size], storage_offset: object = None
) -> Alias:
    return Alias(strided(x, tuple(size), tuple(stride)))


def unfold(scope: Scope, x: TensorFact, dimension: int, size: Size, step: Size) -> Alias:
    d = wrap_dim(dimension, x.ndim)
    if not x.shape:
        return Alias(strided(x, (size,), (1,)))
    if not scope.decide(">=", x.shape[d], size, "unfold"):
        raise ShapeError(f"unfold: a window of {size} is larger than dimension {d} of {shape_text(x.shape)}")
    count = floordiv(x.shape[d] - size, step) + 1
    strides = x.stride()
    return Alias(
        strided(
            x, (*x.shape[:d], count, *x.shape[d + 1 :], size),
            (*strides[:d], strides[d] * step, *strides[d + 1 :], strides[d]),
        )
    )  # fmt: skip


def diagonal(scope: Scope, x: TensorFact, offset: Size = 0, dim1: int = 0, dim2: int = 1) -> Alias:
    from fxcount.symbolic import max_, min_

    a, b = wrap_dim(dim1, x.ndim, "dim1"), wrap_dim(dim2, x.ndim, "dim2")
    rows, columns = x.shape[a], x.shape[b]
    above = scope.decide(">=", offset, 0, "whether the diagonal lies above the main one")
    rows, columns = (rows, columns - offset) if above else (rows + offset, columns)
    length = rows if scope.equal(rows, columns) else max_(0, min_(rows, columns))
    strides = x.stride()
    kept = [d for d in range(x.ndim) if d not in (a, b)]
    shape = (*(x.shape[d] for d in kept), length)
    return Alias(strided(x, shape, (*(strides[d] for d in kept), strides[a] + strides[b])))


def same_view(scope: Scope, x: TensorFact, *args: Any, **kwargs: Any) -> Alias:
    return Alias(x)


def atleast(ndim: int) -> Any:
    def rule(scope: Scope, *tensors: Any) -> Any:
        facts = tensors[0] if isinstance(tensors[0], (list, tuple)) else tensors
        padded = []
        for i, x in enumerate(facts):
            shape = x.shape
            if len(shape) < ndim:
                before = {0: ndim - 1 if ndim < 3 else 1, 1: 1, 2: 0}[len(shape)] if ndim > 1 else 0
                before = min(before, ndim - len(shape))
                after = ndim - len(shape) - before
                shape = (*(1,) * before, *shape, *(1,) * after)
            padded.append(Alias(x if len(shape) == x.ndim else x.new(shape), of=i))
        return padded[0] if len(padded) == 1 and not isinstance(tensors[0], (list, tuple)) else tuple(padded)

    return rule


OPS: tuple[Op, ...] = (
    op("view", shape=view, cost=VIEW, sizes_at=1, follows="moved"),
    op("_unsafe_view", shape=view, cost=VIEW, follows="moved"),
    op("view_as", shape=view_as, cost=VIEW, shape_only=(1,), follows="moved"),
    op("_reshape_alias", shape=as_strided, cost=VIEW, follows="moved"),
    op("reshape", shape=reshape, cost=COPY_OR_VIEW, sizes_at=1, follows="moved"),
    op("reshape_as", shape=reshape_as, cost=COPY_OR_VIEW, shape_only=(1,), follows="moved"),
    op("flatten", shape=flatten, cost=COPY_OR_VIEW, follows="moved"),
    op("ravel", shape=ravel, cost=COPY_OR_VIEW, follows="moved"),
    op("unflatten", shape=unflatten, cost=VIEW, follows="moved"),
    op("permute", shape=permute, cost=VIEW, sizes_at=1, follows="moved"),
    op("transpose", "swapaxes", "swapdims", shape=transpose, cost=VIEW, follows="moved", reshapes_in_place=True),
    op("t", shape=transposed, cost=VIEW, follows="moved", reshapes_in_place=True),
    op("numpy_T", shape=reversed_dims, cost=VIEW, follows="moved"),
    op("matrix_H", "adjoint", "mT", "mH", shape=matrix_transpose, cost=VIEW, follows="moved"),
    op("movedim", "moveaxis", shape=movedim, cost=VIEW, follows="moved"),
    op("squeeze", shape=squeeze, cost=VIEW, follows="moved", reshapes_in_place=True),
    op("unsqueeze", shape=unsqueeze, cost=VIEW, follows="moved", reshapes_in_place=True),
    op("expand", "broadcast_to", shape=expand, cost=VIEW, sizes_at=1, follows="moved"),
    op("expand_as", shape=expand_as, cost=VIEW, shape_only=(1,), follows="moved"),
    op("broadcast_tensors", shape=broadcast_tensors, cost=VIEW, one_to_one=True),
    op("as_strided", shape=as_strided, cost=VIEW, follows="moved", reshapes_in_place=True),
    op("unfold", shape=unfold, cost=VIEW, follows="moved"),
    op("diagonal", shape=diagonal, cost=VIEW, follows="moved"),
    op("linalg.diagonal", shape=partial(diagonal, dim1=-2, dim2=-1), cost=VIEW, follows="moved"),
    op("alias", "lift", "lift_fresh", "positive", shape=same_view, cost=VIEW, follows="moved"),
    op("detach", shape=same_view, cost=VIEW, differentiable=False, follows="moved", reshapes_in_place=True),
    op("atleast_1d", shape=atleast(1), cost=VIEW, one_to_one=True),
    op("atleast_2d", shape=atleast(2), cost=VIEW, one_to_one=True),
    op("atleast_3d", shape=atleast(3), cost=VIEW, one_to_one=True),
)
