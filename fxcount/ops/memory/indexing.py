"""Reading by index: brackets, select, slice, narrow, index, and the ops whose result is as long as the data decides.

Shapes:  as NumPy's, with torch's particulars: an int selects *before* tensors are looked at, so that it never stands
         between two of them; tensors broadcast to one shape, which takes the place of the first indexed dimension if
         they are adjacent and the front if not. Slices clip like Python's; where algebra cannot tell, the sample values
         do, and the clip is recorded. A 0-d integer tensor selects, like an int. A boolean list counts its ``True``.
Views:   ints, slices, ``None`` and ``...`` alone give a view; a tensor, list or bool among them a copy, laid out as
         TensorIterator does
Counts:  0. A copy reads the elements it picks and the indices, not the whole operand.
Raises:  ShapeError: out of range, too many indices;
         DataDependentError: a boolean mask, whose number of ``True`` is data
Source:  torch/csrc/autograd/python_variable_indexing.cpp, ATen/native/TensorAdvancedIndexing.cpp

>>> x = TensorFact((4, 6, 8), torch.float32)
>>> getitem(Scope({}), x, (slice(1, None), 0)).fact
TensorFact(shape=(3, 8), dtype=torch.float32, device=device(type='cpu'), strides=(48, 1))
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import torch

from fxcount.errors import DataDependentError, RangeError, ShapeError
from fxcount.ops.core.arguments import Index, Scalar
from fxcount.ops.core.common import FIXED_NUMBER, SIZE_IS_DATA, broadcast, facts_in, shape_text, wrap_dim
from fxcount.ops.core.fact import Alias, TensorFact, Work
from fxcount.ops.core.iterator import dense_like, iterator_strides
from fxcount.ops.core.positions import MASKS, consumed, keyed, listed
from fxcount.ops.core.registry import Op, Zero, op
from fxcount.ops.core.striding import strided
from fxcount.symbolic import Expr, Scope, Size, ceildiv, is_nonnegative, max_, min_, sum_
from fxcount.symbolic.expr import MEMO

__all__ = ["OPS", "basic", "gathered_shape", "selected", "sliced"]

_ENDLESS = 1 << 62  # ATen spells a missing end as the largest int64
_NESTED = (TensorFact, list, tuple, range, slice)


Bound: TypeAlias = Size | TensorFact | None
"""Of a slice; a tensor is refused."""

# --- one dimension ---------------------------------------------------------------------------------------------------


def _clipped(scope: Scope | None, i: Bound, n: Size, default: Size) -> Size:
    """A slice bound within [0, n]; without a scope as a formula, a bound of unknown sign being taken for positive."""
    if i is None or (isinstance(i, int) and i >= _ENDLESS):
        return n if i is not None else default
    if isinstance(i, TensorFact):
        raise DataDependentError("slice: a bound is a tensor", hint="use narrow() with a fixed length")
    if scope is None:
        return min_(i, n) if not is_nonnegative(-i - 1) else max_(i + n, 0)
    if not scope.decide(">=", i, 0, "whether a bound of a slice counts from the end"):
        i = i + n
        if isinstance(i, Expr) and is_nonnegative(-i):
            return 0
        return i if scope.decide(">=", i, 0, "a slice ends within the tensor, or at its end") else 0
    if scope.unbacked.concern(n) or scope.unbacked.concern(i):
        return min_(i, n)  # how many the data leave is not decided by a sample value
    if isinstance(i, Expr) and is_nonnegative(i - n):
        return n  # also where both are equal at the sample sizes
    return i if scope.decide("<=", i, n, "a slice ends within the tensor, or at its end") else n


def _length(scope: Scope | None, n: Size, start: Bound, stop: Bound, step: Size | None) -> tuple[Size, Size]:
    """Number of elements and step of a slice of ``n``."""
    step = 1 if step is None else step
    if isinstance(step, int) and step < 1:
        raise ShapeError(f"slice: step {step} is not positive", hint="use flip()")
    begin, end = _clipped(scope, start, n, 0), _clipped(scope, stop, n, n)
    if scope is None:
        return max_(ceildiv(end - begin, step), 0), step
    return (ceildiv(end - begin, step) if scope.decide(">=", end, begin, "whether a slice ends after it begins") else 0), step


@lru_cache(MEMO)
def _as_formula(n: Size, start: Bound, stop: Bound, step: Size | None) -> Size:
    """Number of elements of a slice, whatever the sizes: windows of a map have the same few rows and columns."""
    return _length(None, n, start, stop, step)[0]


def _without(values: Sequence[Size], d: int) -> tuple[Size, ...]:
    return (*values[:d], *values[d + 1 :])


def _with(values: Sequence[Size], d: int, value: Size) -> tuple[Size, ...]:
    return (*values[:d], value, *values[d + 1 :])


def selected(scope: Scope | None, x: TensorFact, d: int, index: Size | TensorFact) -> TensorFact:
    """``x`` without dimension ``d``; a symbolic or negative index must lie within, which is recorded."""
    n = x.shape[d]
    if scope is not None and not isinstance(index, TensorFact):
        inside = scope.decide("<", index, n, "index within") and scope.decide(">=", index + n, 0, "index within")
        if not inside:
            raise RangeError(f"index {index} is out of range for dimension {d} of size {n}")
    return strided(x, _without(x.shape, d), _without(x.stride(), d))


def sliced(scope: Scope | None, x: TensorFact, d: int, start: Bound, stop: Bound, step: Size | None = None) -> TensorFact:
    """``x`` with every ``step``-th element of dimension ``d`` from ``start`` to ``stop``; without a scope its shape alone."""
    if start is None and stop is None and step is None:
        return x
    if scope is None:
        return x.new(_with(x.shape, d, _as_formula(x.shape[d], start, stop, step)))  # nobody asks for more than its shape
    length, step = _length(scope, x.shape[d], start, stop, step)
    stride = x.stride()
    return strided(x, _with(x.shape, d, length), _with(stride, d, stride[d] * step))


# --- brackets --------------------------------------------------------------------------------------------------------


def _as_tensor(index: Index, x: TensorFact) -> TensorFact | None:
    """A list, tuple or range of ints as the tensor torch makes of it, a tensor as itself, else ``None``."""
    if isinstance(index, TensorFact):
        return index
    if not isinstance(index, (list, tuple, range)):
        return None
    shape: list[Size] = []
    level: Any = index
    while isinstance(level, (list, tuple, range)):
        shape.append(len(level))
        level = level[0] if level else 0
    if isinstance(level, bool):
        flat = list(index)
        if len(shape) > 1:
            raise DataDependentError(f"index by a nested list of booleans: {SIZE_IS_DATA}", hint=FIXED_NUMBER)
        shape = [sum(flat)]
    elif facts_in(list(index)):
        shape += level.shape
    return TensorFact(tuple(shape), torch.int64, x.device)


def _check_listed(scope: Scope, x: TensorFact, d: int, index: Any) -> None:
    """Numbers in a list must lie within; booleans are none."""
    n, stack = x.shape[d], [index]
    found: list[Size] = []
    while stack:
        for e in stack.pop():
            if isinstance(e, (list, tuple, range)):
                stack.append(e)
            elif isinstance(e, (int, Expr)) and not isinstance(e, bool):
                found.append(e)
    numbers = [e for e in found if isinstance(e, int)]
    ends = [e for e in found if not isinstance(e, int)] + ([min(numbers), max(numbers)] if numbers else [])
    for e in ends:
        if not (scope.decide("<", e, n, "index within") and scope.decide(">=", e + n, 0, "index within")):
            raise RangeError(f"index {e} is out of range for dimension {d} of size {n}")


def _entries(key: Index) -> tuple[Index, ...]:
    """The entries of a key; torch still takes a list that holds more than numbers for a tuple."""
    if isinstance(key, list) and any(e is None or e is Ellipsis or isinstance(e, _NESTED) for e in key):
        return tuple(key)
    return key if isinstance(key, tuple) else (key,)


def _check_mask(scope: Scope, covered: tuple[Size, ...], mask: tuple[Size, ...]) -> None:
    if not all(map(scope.same, covered, mask)):
        raise ShapeError(f"index: a mask of shape {shape_text(mask)} does not match {shape_text(covered)}")


def basic(scope: Scope | None, x: TensorFact, key: Index) -> tuple[TensorFact, list[TensorFact | None]]:
    """``x`` after ints, slices, ``None`` and ``...``; for each dimension left the tensor that indexes it, or ``None``."""
    entries = _entries(key)
    used = sum(map(consumed, entries))
    if used > x.ndim:
        raise ShapeError(
            f"index: {used} indices for x of shape {shape_text(x.shape)}", hint="a tensor has one index per dimension"
        )
    tensors: list[TensorFact | None] = []
    for entry in entries:
        d = len(tensors)
        if entry is Ellipsis:
            tensors += [None] * (x.ndim - d - used)
            used = 0
            continue
        used -= consumed(entry)
        tensor = _as_tensor(entry, x)
        if entry is None or isinstance(entry, bool):
            x = strided(x, (*x.shape[:d], 1, *x.shape[d:]), (*x.stride()[:d], 0, *x.stride()[d:]))
            tensors.append(None if entry is None else TensorFact((int(entry),), torch.int64, x.device))
        elif isinstance(entry, slice):
            x = sliced(scope, x, d, entry.start, entry.stop, entry.step)
            tensors.append(None)
        elif tensor is not None and (tensor.shape or tensor.dtype in MASKS):
            if tensor.dtype.is_floating_point or tensor.dtype.is_complex:
                raise ShapeError(f"index: a tensor of {tensor.dtype}", hint="index with integers or booleans")
            if not tensor.shape:  # a 0-d mask adds a dimension
                x = strided(x, (*x.shape[:d], 1, *x.shape[d:]), (*x.stride()[:d], 0, *x.stride()[d:]))
            covered = tensor.ndim if tensor.dtype in MASKS else 1
            if scope is not None and not isinstance(entry, TensorFact):
                _check_listed(scope, x, d, entry)
            if scope is not None and tensor.dtype in MASKS:
                _check_mask(scope, x.shape[d : d + covered], tensor.shape)
            tensors += [tensor, *[None] * (covered - 1)]
        elif isinstance(entry, (int, Expr, TensorFact)):
            x = selected(scope, x, d, entry)
        else:
            raise ShapeError(f"index: {type(entry).__name__} is no index", hint="use ints, slices, None, ... or tensors")
    return x, tensors


def gathered_shape(
    x: TensorFact, dims: Sequence[int], picked: Sequence[Size]
) -> tuple[tuple[Size, ...], list[int], list[int]]:
    """Shape once ``picked`` stands for the dimensions ``dims``, and the dimensions of ``x`` before and after these."""
    rest = [d for d in range(x.ndim) if d not in dims]
    adjacent = dims[-1] - dims[0] == len(dims) - 1
    before = [d for d in rest if d < dims[0]] if adjacent else []
    after = rest[len(before) :]
    return (*(x.shape[d] for d in before), *picked, *(x.shape[d] for d in after)), before, after


def _gathered(scope: Scope, x: TensorFact, tensors: Sequence[TensorFact | None]) -> TensorFact:
    """What tensors pick. Laid out by TensorIterator, for which ``x`` does not move along the dimensions indexed."""
    listed = [(d, t) for d, t in enumerate(tensors) if t is not None]
    if any(t.dtype in MASKS for _, t in listed):
        raise DataDependentError(f"index by a mask: {SIZE_IS_DATA}", hint=FIXED_NUMBER)
    picked = broadcast(scope, "index", *(t.shape for _, t in listed))
    shape, before, after = gathered_shape(x, [d for d, _ in listed], picked)
    stride = x.stride()
    moves = (*(stride[d] for d in before), *[0] * len(picked), *(stride[d] for d in after))
    operands = [TensorFact(shape, x.dtype, x.device, moves)]
    for _, t in listed:
        own = [0 if n == 1 else s for n, s in zip(t.shape, t.stride(), strict=True)]
        spread = (*[0] * (len(before) + len(picked) - t.ndim), *own, *[0] * len(after))
        operands.append(TensorFact(shape, t.dtype, x.device, spread))
    return TensorFact(shape, x.dtype, x.device, iterator_strides(shape, operands))


def getitem(scope: Scope, x: TensorFact, key: Index) -> TensorFact | Alias:
    view, tensors = basic(scope, x, key)
    if any(t is not None for t in tensors):
        return _gathered(scope, view, tensors)
    return Alias(view)


def index(scope: Scope, x: TensorFact, indices: Sequence[Index]) -> TensorFact:
    result = getitem(scope, x, tuple(slice(None) if i is None else i for i in indices))
    # a 0-d tensor selects, but this op never gives a view
    return result if isinstance(result, TensorFact) else dense_like(result.fact)


def _picked_cost(y: TensorFact, x: TensorFact, key: Index, *_: object, **__: object) -> Work:
    if not any(isinstance(e, (bool, list, range)) or (isinstance(e, TensorFact) and e.shape) for e in _entries(key)):
        return Work(read_bytes=0, write_bytes=0)  # a view
    return Work(read_bytes=sum_(i.nbytes for i in facts_in([key])) + y.nbytes)


# --- the ops by name -------------------------------------------------------------------------------------------------


def select(scope: Scope, x: TensorFact, dim: int, index: Size | TensorFact) -> Alias:
    if not x.shape:
        raise ShapeError("select: x has no dimensions")
    return Alias(selected(scope, x, wrap_dim(dim, x.ndim), index))


def slice_(scope: Scope, x: TensorFact, dim: int = 0, start: Bound = None, end: Bound = None, step: Size = 1) -> Alias:
    return Alias(sliced(scope, x, wrap_dim(dim, x.ndim), start, end, step))


def narrow(scope: Scope, x: TensorFact, dim: int, start: Size | TensorFact, length: Size) -> Alias:
    d = wrap_dim(dim, x.ndim)
    n = x.shape[d]
    first: Size = 0 if isinstance(start, TensorFact) else start
    if scope.decide("<", first, 0, "narrow start"):
        first = first + n
    if not (scope.decide(">=", first, 0, "narrow start") and scope.decide("<=", first, n, "narrow start")):
        raise RangeError(f"narrow: start {start} is out of range for dimension {d} of size {n}")
    within = "narrow must end within the tensor"
    if not scope.decide(">=", length, 0, within) or not scope.decide("<=", first + length, n, within):
        raise ShapeError(f"narrow: {length} elements from {start} exceed the size {n} of dimension {d}")
    return Alias(strided(x, _with(x.shape, d, length), x.stride()))


def masked_index(scope: Scope, x: TensorFact, mask: TensorFact, indices: Sequence[Index], fill: Scalar) -> TensorFact:
    """``x[indices]`` with ``fill`` where the mask, which has the shape of an index, is off."""
    picked = index(scope, x, indices)
    assert isinstance(picked, TensorFact)
    broadcast(scope, "_unsafe_masked_index", picked.shape, mask.shape)
    return picked


def _masked_index_cost(y: TensorFact, x: TensorFact, mask: TensorFact, indices: Sequence[Index], fill: Scalar) -> Work:
    return Work(read_bytes=y.nbytes + sum_(t.nbytes for t in facts_in([mask, indices])))


def nonzero_static(scope: Scope, x: TensorFact, size: Size, fill_value: int = -1) -> TensorFact:
    return x.new((size, x.ndim), torch.int64)


_VIEW, _COPY = Zero("a view"), Zero("copies elements", moves=True)
_T: Any = torch.Tensor

OPS: tuple[Op, ...] = (
    op("getitem", shape=getitem, cost=_picked_cost, extra=(_T.__getitem__,), follows="moved", schema="aten::index",
       positions=keyed),
    op("index", "_unsafe_index", shape=index, cost=_picked_cost, follows="moved", positions=listed),
    op("select", shape=select, cost=_VIEW, follows="moved"),
    op("slice", shape=slice_, cost=_VIEW, follows="moved"),
    op("narrow", shape=narrow, cost=_VIEW, follows="moved"),
    op("_unsafe_masked_index", shape=masked_index, cost=_masked_index_cost),
    op("nonzero_static", shape=nonzero_static, cost=Zero("integer work", moves=True), differentiable=False),
)
