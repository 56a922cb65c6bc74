"""Tensors of symbolic shape whose elements follow from their place: ``torch.arange(S)``, ``torch.ones(B, S)``.

A :class:`Ramp` has the element ``base + sum(step[d] * index[d])`` everywhere: positions, masks of one number (all steps 0),
grids and distances of positions. Views, sums and elementwise ops of ramps are ramps, whatever the sizes are. Each rule is
called as its op is, with the shape of the result in front and ramps for tensors; what it cannot say raises
:class:`~fxcount.trace.known.tables.Unsupported`.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable
from typing import Any

import torch

from fxcount.dataclass import dataclass
from fxcount.symbolic import SymRatio, SymSize, is_nonnegative, to_size
from fxcount.trace.known.tables import Rules, Unsupported

__all__ = ["RULES", "Ramp", "fill", "made_of", "of_numbers", "recognised"]

Shape = tuple[Any, ...]  # ints and symbolic sizes


@dataclass(frozen=True, slots=True)
class Ramp:
    """``shape`` and ``steps``, one for each dimension, and ``base``: the first element."""

    shape: Shape
    base: Any
    steps: tuple[Any, ...]

    @property
    def is_fill(self) -> bool:
        """Whether all elements are one number."""
        return not any(type(s) is not int or s for s in self.steps)

    def bounds(self) -> tuple[Any, Any]:
        """The smallest and the largest element."""
        low = high = self.base
        for n, step in zip(self.shape, self.steps):
            if type(step) is not int:
                raise Unsupported
            if step > 0:
                high = high + (n - 1) * step
            elif step < 0:
                low = low + (n - 1) * step
        return low, high


def fill(shape: Shape, number: Any) -> Ramp:
    """The same number everywhere."""
    return Ramp(shape, number, (0,) * len(shape))


def recognised(data: torch.Tensor) -> Ramp:
    """The ramp that real data are; :class:`Unsupported` if they are none, or empty.

    >>> recognised(torch.tensor([[3, 5, 7], [2, 4, 6]]))
    Ramp(shape=(2, 3), base=3, steps=(-1, 2))
    """
    if data.layout is not torch.strided or not data.numel():
        raise Unsupported
    first = data[(0,) * data.dim()]
    if data.numel() == 1:
        return fill(tuple(data.shape), first.item())
    if data.dtype is torch.bool or data.is_floating_point() or data.is_complex():
        if not bool((data == first).all()):
            raise Unsupported
        return fill(tuple(data.shape), first.item())
    steps = [0 if n == 1 else int(data.select(d, 1)[(0,) * (data.dim() - 1)] - first) for d, n in enumerate(data.shape)]
    wanted = first
    for d, n in enumerate(data.shape):
        wanted = wanted + (torch.arange(n) * steps[d]).to(data.dtype).reshape(-1, *[1] * (data.dim() - d - 1))
    if not torch.equal(wanted, data):
        raise Unsupported
    return Ramp(tuple(data.shape), int(first), tuple(steps))


def _spread(x: Any, ndim: int) -> tuple[Any, tuple[Any, ...]]:
    """Base and steps of an operand that is broadcast to ``ndim`` dimensions."""
    if not isinstance(x, Ramp):
        return x, (0,) * ndim
    steps = tuple(0 if type(n) is int and n == 1 else s for n, s in zip(x.shape, x.steps))
    return x.base, (0,) * (ndim - len(steps)) + steps


def _integer(*numbers: Any) -> None:
    """Floats are kept only where nothing is computed of them."""
    if any(isinstance(n, (float, bool, SymRatio)) for n in numbers):
        raise Unsupported


def _linear(sign: int, swapped: bool = False) -> Callable[..., Ramp]:
    def apply(shape: Shape, a: Any, b: Any, *, alpha: Any = 1) -> Ramp:
        if swapped:
            a, b = b, a
        (p, steps), (q, more) = _spread(a, len(shape)), _spread(b, len(shape))
        _integer(p, q, alpha)
        k = sign * alpha
        return Ramp(shape, p + k * q, tuple(s + k * t for s, t in zip(steps, more)))

    return apply


def _product(shape: Shape, a: Any, b: Any) -> Ramp:
    (p, steps), (q, more) = _spread(a, len(shape)), _spread(b, len(shape))
    _integer(p, q)
    if any(type(s) is not int or s for s in more):
        p, steps, q, more = q, more, p, steps
    if any(type(s) is not int or s for s in more):
        raise Unsupported
    return Ramp(shape, p * q, tuple(s * q for s in steps))


def _compared(relation: Callable[[Any, Any], bool]) -> Callable[..., Ramp]:
    """Where the two differ by the same number everywhere: how it compares is assumed, as of any size that a model compares.
    Where all differences are proved to lie on one side (``torch.arange(S) >= 0``), nothing is."""

    def apply(shape: Shape, a: Any, b: Any) -> Ramp:
        apart = _linear(-1)(shape, a, b)
        if apart.is_fill:
            return fill(shape, relation(apart.base, 0))
        low, high = map(to_size, apart.bounds())
        never = {-1: is_nonnegative(low), 0: is_nonnegative(low - 1) or is_nonnegative(-high - 1), 1: is_nonnegative(-high)}
        answers = {relation(side, 0) for side, excluded in never.items() if not excluded}
        if len(answers) != 1:
            raise Unsupported
        return fill(shape, answers.pop())

    return apply


def _negated(shape: Shape, x: Ramp) -> Ramp:
    return _product(shape, x, -1)


def _same(shape: Shape, x: Ramp, *_: Any, **__: Any) -> Ramp:
    if len(shape) != len(x.shape):
        raise Unsupported
    return Ramp(shape, x.base, x.steps)


def _cast(dtype: torch.dtype | None) -> Callable[..., Ramp]:
    def apply(shape: Shape, x: Ramp, *more: Any, dtype: Any = dtype, **_: Any) -> Ramp:
        wanted = next((d for d in (*more, dtype) if isinstance(d, torch.dtype)), None)
        if wanted is None:
            return x
        if x.is_fill and not isinstance(x.base, (SymSize, SymRatio)):
            return fill(shape, torch.scalar_tensor(x.base, dtype=torch.float64).to(wanted).item())
        _integer(x.base)
        if wanted not in (torch.int64, torch.int32, torch.float32, torch.float64):
            raise Unsupported
        return x

    return apply


# -- made from nothing ----------------------------------------------------------------------------------------------------
def _arange(shape: Shape, *bounds: Any, start: Any = None, end: Any = None, step: Any = 1, **_: Any) -> Ramp:
    given = [b for b in (start, *bounds, end) if b is not None]
    first = given[0] if len(given) > 1 else 0
    by = given[2] if len(given) > 2 else step
    if isinstance(first, Ramp) or isinstance(by, Ramp):
        raise Unsupported
    _integer(first, by)
    return Ramp(shape, first, (by,))


def made_of(shape: Shape, number: Any) -> Ramp:
    """``torch.full(shape, number)``."""
    if isinstance(number, Ramp) and number.is_fill:
        number = number.base
    if isinstance(number, Ramp) or number is None:
        raise Unsupported
    return fill(shape, number)


# -- views ----------------------------------------------------------------------------------------------------------------
def _reshaped(shape: Shape, x: Ramp, *_: Any, **__: Any) -> Ramp:
    """Dimensions of one element come and go; a fill takes any shape."""
    if x.is_fill:
        return fill(shape, x.base)
    kept = [(n, s) for n, s in zip(x.shape, x.steps) if not (type(n) is int and n == 1)]
    steps: list[Any] = []
    for n in shape:
        if type(n) is int and n == 1:
            steps.append(0)
        elif kept and _is_same(kept[0][0], n):
            steps.append(kept.pop(0)[1])
        else:
            raise Unsupported
    if kept:
        raise Unsupported
    return Ramp(shape, x.base, tuple(steps))


def _is_same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is int and type(b) is int and a == b) or (
        isinstance(a, SymSize) and isinstance(b, SymSize) and a.expr == b.expr
    )  # fmt: skip


def _expanded(shape: Shape, x: Ramp, *_: Any, **__: Any) -> Ramp:
    base, steps = _spread(x, len(shape))
    return Ramp(shape, base, steps)


def _repeated(shape: Shape, x: Ramp, *repeats: Any) -> Ramp:
    """What is the same along a dimension can be repeated along it."""
    if x.is_fill:
        return fill(shape, x.base)
    times = repeats[0] if len(repeats) == 1 and isinstance(repeats[0], (tuple, list)) else repeats
    steps = (0,) * (len(shape) - len(x.steps)) + x.steps
    if any(not _is_zero(s) and not (type(r) is int and r == 1) for s, r in zip(steps[-len(times) :], times)):
        raise Unsupported
    return Ramp(shape, x.base, tuple(0 if type(r) is not int or r != 1 else s for s, r in zip(steps, times)))


def _is_zero(step: Any) -> bool:
    return type(step) is int and step == 0


def _permuted(shape: Shape, x: Ramp, dims: Any) -> Ramp:
    return Ramp(shape, x.base, tuple(x.steps[d] for d in dims))


def _transposed(shape: Shape, x: Ramp, dim0: int = 0, dim1: int = 1) -> Ramp:
    steps = list(x.steps)
    if len(steps) > 1:
        steps[dim0], steps[dim1] = steps[dim1], steps[dim0]
    return Ramp(shape, x.base, tuple(steps))


def _unsqueezed(shape: Shape, x: Ramp, dim: int) -> Ramp:
    at = dim if dim >= 0 else len(shape) + dim
    return Ramp(shape, x.base, (*x.steps[:at], 0, *x.steps[at:]))


def _selected(shape: Shape, x: Ramp, dim: int, index: Any) -> Ramp:
    d = dim % len(x.shape)
    if isinstance(index, Ramp):
        raise Unsupported
    return Ramp(shape, x.base + _place(index, x.shape[d]) * x.steps[d], x.steps[:d] + x.steps[d + 1 :])


def _place(index: Any, size: Any) -> Any:
    return index + size if index < 0 else index


def _narrowed(shape: Shape, x: Ramp, dim: int, start: Any, length: Any) -> Ramp:
    return Ramp(shape, x.base + _place(start, x.shape[dim]) * x.steps[dim], x.steps)


def _got(shape: Shape, x: Ramp, key: Any) -> Ramp:
    keys = tuple(key) if isinstance(key, (tuple, list)) else (key,)
    if x.is_fill and not any(isinstance(k, (list, tuple)) for k in keys):
        return fill(shape, x.base)
    used = sum(k is not None and k is not Ellipsis for k in keys)
    base, steps, d = x.base, list[Any](), 0
    for k in keys:
        if k is None:
            steps.append(0)
        elif k is Ellipsis:
            steps.extend(x.steps[d : d + len(x.steps) - used])
            d += len(x.steps) - used
        elif isinstance(k, slice):
            by = 1 if k.step is None else k.step
            base = base + _start(k.start, x.shape[d]) * x.steps[d]
            steps.append(x.steps[d] * by)
            d += 1
        elif isinstance(k, (int, SymSize)) and not isinstance(k, bool):
            base = base + _place(k, x.shape[d]) * x.steps[d]
            d += 1
        else:
            raise Unsupported
    return Ramp(shape, base, (*steps, *x.steps[d:]))


def _start(start: Any, size: Any) -> Any:
    if start is None:
        return 0
    if isinstance(start, Ramp):
        raise Unsupported
    if start < 0:
        start = start + size
        return start if start >= 0 else 0
    return start


def _flipped(shape: Shape, x: Ramp, dims: Any) -> Ramp:
    base, steps = x.base, list(x.steps)
    for d in dims if isinstance(dims, (tuple, list)) else (dims,):
        base = base + (x.shape[d] - 1) * steps[d]
        steps[d] = -steps[d]
    return Ramp(shape, base, tuple(steps))


def _sliced(shape: Shape, x: Ramp, dim: int = 0, start: Any = None, end: Any = None, step: Any = 1) -> Ramp:
    d = dim % len(x.shape)
    base = x.base + _start(start, x.shape[d]) * x.steps[d]
    return Ramp(shape, base, (*x.steps[:d], x.steps[d] * step, *x.steps[d + 1 :]))


def _continued(shape: Shape, parts: Any, dim: int) -> Ramp:
    """Ramps of which each goes on where the one before ended."""
    if not all(isinstance(p, Ramp) for p in parts):
        raise Unsupported
    d = dim % len(shape)
    steps, base = parts[-1].steps, parts[0].base
    reached = base
    for p in parts:
        alike = [s == t or n == 1 for s, t, n in zip(p.steps, steps, p.shape)]
        if not all(alike) or not _is_same(p.base, reached):
            raise Unsupported
        reached = reached + p.shape[d] * steps[d]
    return Ramp(shape, base, steps)


def _joined(shape: Shape, parts: Any, dim: int = 0) -> Ramp:
    if isinstance(parts, (tuple, list)) and parts and isinstance(parts[0], Ramp) and len(parts[0].shape) == len(shape):
        try:
            return _continued(shape, parts, dim)
        except Unsupported:
            pass
    numbers = [p.base if isinstance(p, Ramp) and p.is_fill else None for p in parts]
    if any(n is None or isinstance(n, (SymSize, SymRatio)) or n != numbers[0] for n in numbers):
        raise Unsupported
    return fill(shape, numbers[0])


# -- reductions -----------------------------------------------------------------------------------------------------------
def _dims(x: Ramp, dim: Any) -> list[int]:
    given = range(len(x.shape)) if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
    return sorted(d % len(x.shape) for d in given)


def _product_of(sizes: Iterable[Any]) -> Any:
    return functools.reduce(operator.mul, sizes, 1)


def _kept(shape: Shape, x: Ramp, reduced: list[int]) -> tuple[Any, ...]:
    """Steps of the dimensions that stay; those kept with one element have none."""
    if len(shape) == len(x.shape):
        return tuple(0 if d in reduced else s for d, s in enumerate(x.steps))
    return tuple(s for d, s in enumerate(x.steps) if d not in reduced)


def _summed(shape: Shape, x: Ramp, dim: Any = None, keepdim: bool = False, **_: Any) -> Ramp:
    reduced = _dims(x, dim)
    base = int(x.base) if isinstance(x.base, bool) else x.base
    _integer(base)
    count = _product_of(x.shape[d] for d in reduced)
    total = base * count
    for d in reduced:
        n = x.shape[d]
        others = _product_of(x.shape[e] for e in reduced if e != d)
        total = total + x.steps[d] * others * (n * (n - 1) // 2)
    return Ramp(shape, total, tuple(s * count for s in _kept(shape, x, reduced)))


def _extreme(sign: int) -> Callable[..., Any]:
    def apply(shape: Shape, x: Ramp, dim: Any = None, keepdim: bool = False) -> Ramp:
        reduced = _dims(x, dim)
        inner = Ramp(tuple(x.shape[d] for d in reduced), x.base, tuple(x.steps[d] for d in reduced))
        _nonempty(inner)
        return Ramp(shape, inner.bounds()[sign > 0], _kept(shape, x, reduced))

    return apply


def _nonempty(x: Ramp) -> None:
    if any(n < 1 for n in x.shape):
        raise Unsupported


def _quantified(shape: Shape, x: Ramp, dim: Any = None, keepdim: bool = False) -> Ramp:
    """``any`` and ``all`` of one number."""
    if not x.is_fill or isinstance(x.base, (SymSize, SymRatio)):
        raise Unsupported
    _nonempty(Ramp(tuple(x.shape[d] for d in _dims(x, dim)), 0, ()))
    return fill(shape, bool(x.base))


def _accumulated(shape: Shape, x: Ramp, dim: int, *, dtype: Any = None) -> Ramp:
    base = int(x.base) if isinstance(x.base, bool) else x.base
    _integer(base)
    if not x.is_fill:
        raise Unsupported
    d = dim % len(shape)
    return Ramp(shape, base, tuple(base if e == d else 0 for e in range(len(shape))))


def _differences(shape: Shape, x: Ramp, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Ramp:
    _integer(x.base)
    d = dim % len(x.shape)
    if n != 1 or append is not None:
        raise Unsupported
    step = x.steps[d]
    if prepend is not None:  # it must go on as x does
        first, steps = _spread(prepend, len(x.shape))
        alike = all(s == t for e, (s, t) in enumerate(zip(steps, x.steps)) if e != d)
        if not (alike and type(prepend.shape[d]) is int and prepend.shape[d] == 1) or x.base - first != step:
            raise Unsupported
    return fill(shape, step)


def of_numbers(func: Callable[..., Any], shape: Shape, operands: Iterable[Any], named: dict[str, Any]) -> Ramp:
    """An elementwise function of tensors that are one number everywhere: that of the numbers, tensors without dimensions."""
    found = func(*operands, **named)
    if not isinstance(found, torch.Tensor) or found.dim():
        raise Unsupported
    return fill(shape, found.item())


_T = torch.Tensor
RULES = Rules({
    torch.add: _linear(1), torch.sub: _linear(-1), torch.rsub: _linear(-1, swapped=True),
    torch.mul: _product, torch.neg: _negated,
    torch.eq: _compared(operator.eq), torch.ne: _compared(operator.ne), torch.lt: _compared(operator.lt),
    torch.le: _compared(operator.le), torch.gt: _compared(operator.gt), torch.ge: _compared(operator.ge),
    torch.arange: _arange, torch.clone: _same, torch.detach: _same, _T.contiguous: _same, _T.cpu: _same, _T.cuda: _same,
    _T.to: _cast(None), _T.type: _cast(None), _T.long: _cast(torch.int64), _T.int: _cast(torch.int32),
    _T.float: _cast(torch.float32), _T.bool: _cast(torch.bool), _T.half: _cast(torch.float16),
    torch.reshape: _reshaped, _T.view: _reshaped, torch.flatten: _reshaped, torch.squeeze: _reshaped,
    _T.expand: _expanded, _T.expand_as: _expanded, torch.broadcast_to: _expanded,
    _T.repeat: _repeated, torch.tile: _repeated,
    torch.permute: _permuted, torch.transpose: _transposed, torch.t: _transposed, torch.unsqueeze: _unsqueezed,
    torch.select: _selected, torch.narrow: _narrowed, _T.__getitem__: _got, torch.flip: _flipped,
    torch.cat: _joined, torch.stack: _joined,
    torch.ops.aten.slice: _sliced, torch.ops.aten._to_copy: _cast(None), torch.ops.aten.alias: _same,
    torch.ops.aten._unsafe_view: _reshaped,
    torch.sum: _summed, torch.max: _extreme(1), torch.amax: _extreme(1), torch.min: _extreme(-1), torch.amin: _extreme(-1),
    torch.any: _quantified, torch.all: _quantified, torch.cumsum: _accumulated, torch.diff: _differences,
})  # fmt: skip
"""What results of ramps are; several results are alike, but for their shapes."""
