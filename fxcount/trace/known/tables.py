"""Small tensors whose elements are sizes, element by element: ``torch.tensor([[h, w]])`` and what models compute from it.

A table is an array of Python objects: numbers, symbolic sizes, quotients of sizes. Views of a table are numpy's views, so that
writing in place is seen through all of them. Each rule is called as its op is, with tables for tensors. What a rule cannot say
exactly it leaves to real data, by raising :class:`Unsupported`.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch

from fxcount.ops import REGISTRY
from fxcount.symbolic import SymRatio, SymSize
from fxcount.symbolic.floats import EXACT, ONCE, nearest

__all__ = [
    "MAX_ELEMENTS", "RULES", "Rules", "Table", "Unsupported", "as_table", "cell", "larger", "smaller", "to_dtype", "to_table",
]  # fmt: skip

MAX_ELEMENTS = 1024
Table: TypeAlias = np.ndarray[Any, Any]


class Unsupported(Exception):
    """Not to be said in symbols."""


def as_table(data: Any) -> Table:
    """Nested lists of sizes as an array of objects.

    >>> as_table([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    shape: list[int] = []
    level = data
    while isinstance(level, (list, tuple)):
        shape.append(len(level))
        level = level[0] if level else 0
    made = np.empty(tuple(shape), dtype=object)
    for place in np.ndindex(*shape):
        inner = data
        for i in place:
            inner = inner[i]
        made[place] = inner
    return made


def cell(x: Any) -> Table:
    """A number as a table without dimensions."""
    if isinstance(x, np.ndarray):
        return x
    made = np.empty((), dtype=object)
    made[()] = x
    return made


# -- numbers ------------------------------------------------------------------------------------------------------------
def _is_symbolic(x: Any) -> bool:
    return isinstance(x, (SymSize, SymRatio))


def _level(x: Any) -> int:
    """How much a number in a table may differ from what torch's float has in its place."""
    if type(x) is SymRatio:
        return x.level
    return nearest(x)[1] if type(x) is float and math.isfinite(x) else EXACT


def larger(a: Any, b: Any) -> Any:
    """The larger of two numbers, as a formula where they are sizes."""
    if isinstance(a, SymRatio) or isinstance(b, SymRatio) or not (_is_symbolic(a) or _is_symbolic(b)):
        return a if a >= b else b
    return torch.sym_max(a, b)  # type: ignore[no-untyped-call]


def smaller(a: Any, b: Any) -> Any:
    if isinstance(a, SymRatio) or isinstance(b, SymRatio) or not (_is_symbolic(a) or _is_symbolic(b)):
        return a if a <= b else b
    return torch.sym_min(a, b)  # type: ignore[no-untyped-call]


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Arithmetic whose exact result torch's floats give too: one that does not stay a short binary fraction is taken once."""

    def apply(*numbers: Any) -> Any:
        if not all([_level(x) == EXACT for x in numbers]):
            raise Unsupported
        made = function(*numbers)
        if _level(made) > ONCE:
            raise Unsupported
        return made

    return apply


def _truncated(a: Any, b: Any) -> Any:
    if a >= 0 and b > 0:
        return a // b
    raise Unsupported


def _clamped(x: Any, low: Any = None, high: Any = None) -> Any:
    x = x if low is None else larger(x, low)
    return x if high is None else smaller(x, high)


def _power(a: Any, b: Any) -> Any:
    if type(b) is not int or b < 0:
        raise Unsupported
    return a**b


def _nothing_inexact(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decision or a rounding of a quotient: right only where the quotient is what torch has."""

    def apply(*numbers: Any) -> Any:
        if any([_level(x) > ONCE for x in numbers]):
            raise Unsupported
        return function(*numbers)

    return apply


def to_dtype(dtype: torch.dtype) -> Callable[[Any], Any]:
    """How a number is converted to the dtype."""
    if dtype is torch.bool:
        return lambda x: bool(x != 0)
    if dtype.is_floating_point:
        return lambda x: x if _is_symbolic(x) else float(x)
    if dtype not in (torch.int64, torch.int32):
        raise Unsupported
    return _nothing_inexact(math.trunc)


def _inverted(a: Any) -> Any:
    if isinstance(a, bool):
        return not a
    raise Unsupported


def _both(a: Any, b: Any) -> Any:
    if isinstance(a, bool) and isinstance(b, bool):
        return a and b
    raise Unsupported


def _either(a: Any, b: Any) -> Any:
    if isinstance(a, bool) and isinstance(b, bool):
        return a or b
    raise Unsupported


def to_table(table: Any, dtype: torch.dtype) -> Table:
    """The elements as the dtype has them."""
    return _elementwise(to_dtype(dtype))(table)


# -- rules --------------------------------------------------------------------------------------------------------------
def _elementwise(function: Callable[..., Any]) -> Callable[..., Table]:
    def apply(*operands: Any) -> Table:
        cells = np.broadcast_arrays(*map(cell, operands))
        made = np.empty(cells[0].shape, dtype=object)
        for place in np.ndindex(*made.shape):
            made[place] = function(*(c[place] for c in cells))
        return made

    return apply


def _scaled(function: Callable[..., Any]) -> Callable[..., Table]:
    """``add(x, y, alpha=k)``."""

    def apply(a: Any, b: Any, *, alpha: Any = 1) -> Table:
        by = b if type(alpha) is int and alpha == 1 else _elementwise(_checked(operator.mul))(b, alpha)
        return _elementwise(_checked(function))(a, by)

    return apply


def _divided(a: Any, b: Any, *, rounding_mode: str | None = None) -> Table:
    function = {None: _checked(operator.truediv), "floor": _checked(operator.floordiv), "trunc": _truncated}[rounding_mode]
    return _elementwise(function)(a, b)


def _clamp(x: Table, min: Any = None, max: Any = None) -> Table:
    return _elementwise(_clamped)(x, *(None if b is None else b for b in (min, max)))


def _cast(x: Table, *dtypes: Any, dtype: Any = None, **_: Any) -> Table:
    wanted = next((d for d in (*dtypes, dtype) if isinstance(d, torch.dtype)), None)
    return x if wanted is None else _elementwise(to_dtype(wanted))(x)


def _casting(dtype: torch.dtype) -> Callable[..., Table]:
    return lambda x, **_: _cast(x, dtype)


def _lines(x: Table, dim: Any) -> Table:
    """The lines along ``dim`` last; all elements as one line without it."""
    if isinstance(dim, (tuple, list)):
        if len(dim) != 1:
            raise Unsupported
        (dim,) = dim
    return x.reshape(-1) if dim is None else np.moveaxis(x, dim, -1)


def _along(function: Callable[[Any], Any]) -> Callable[..., Table]:
    def reduce(x: Table, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Table:
        lines = _lines(x, dim)
        made = np.empty(lines.shape[:-1], dtype=object)
        for place in np.ndindex(*made.shape):
            made[place] = function(list(lines[place]))
        if dim is None or not keepdim:
            return made
        return np.expand_dims(made, dim[0] if isinstance(dim, (tuple, list)) else dim)

    return reduce


def _extremum(choose: Callable[[Any, Any], Any], first: Callable[[list[Any]], int]) -> Callable[..., Any]:
    """``max`` and ``min``: of all elements, of two tensors, along a dimension with the indices."""
    values, indices = _along(functools.partial(functools.reduce, choose)), _along(first)

    def apply(x: Table, *more: Any, **named: Any) -> Any:
        if more and isinstance(more[0], np.ndarray):
            return _elementwise(choose)(x, more[0])
        return [values(x, *more, **named), indices(x, *more, **named)] if more or named else values(x)

    return apply


def _first_largest(line: list[Any]) -> int:
    return functools.reduce(lambda best, i: i if line[i] > line[best] else best, range(len(line)), 0)


def _first_smallest(line: list[Any]) -> int:
    return functools.reduce(lambda best, i: i if line[i] < line[best] else best, range(len(line)), 0)


def _running(function: Callable[[Any, Any], Any]) -> Callable[..., Table]:
    def apply(x: Table, dim: int, *, dtype: Any = None) -> Table:
        lines = np.moveaxis(x, dim, -1)
        made = np.empty(lines.shape, dtype=object)
        for place in np.ndindex(*lines.shape[:-1]):
            total: Any = 0
            for i, value in enumerate(lines[place]):
                here = (*place, i)
                made[here] = total = value if i == 0 else function(total, value)
        return np.moveaxis(made, -1, dim)

    return apply


def _sorted(x: Table, dim: int = -1, descending: bool = False, stable: bool = False) -> list[Table]:
    lines = np.moveaxis(x, dim, -1)
    order, values = np.empty(lines.shape, dtype=object), np.empty(lines.shape, dtype=object)
    for place in np.ndindex(*lines.shape[:-1]):
        found = sorted(enumerate(lines[place]), key=_by_value, reverse=descending)
        for i, (origin, value) in enumerate(found):
            here = (*place, i)
            order[here], values[here] = origin, value
    return [np.moveaxis(values, -1, dim), np.moveaxis(order, -1, dim)]


def _order(a: tuple[int, Any], b: tuple[int, Any]) -> int:
    return -1 if a[1] < b[1] else int(a[1] > b[1])


_by_value = functools.cmp_to_key(_order)


def _get(x: Table, key: Any) -> Table:
    keys = tuple(key) if isinstance(key, (tuple, list)) else (key,)
    keys = tuple(_index(k) for k in keys)
    found = x[keys if Ellipsis in [k for k in keys if not isinstance(k, np.ndarray)] else (*keys, ...)]
    return cell(found)


def _index(key: Any) -> Any:
    if isinstance(key, np.ndarray):
        if any(map(_is_symbolic, key.flat)):
            raise Unsupported
        return key.astype(bool if key.size and isinstance(key.flat[0], bool) else int)
    if _is_symbolic(key) or (isinstance(key, slice) and any(map(_is_symbolic, (key.start, key.stop, key.step)))):
        raise Unsupported  # of a table, which has a known number of elements
    return key


def _set(x: Table, key: Any, value: Any) -> Table:
    _get(x, key)[...] = value if isinstance(value, np.ndarray) else cell(value)
    return x


def _chosen(condition: Any, x: Any = None, y: Any = None) -> Table:
    if x is None or y is None:
        raise Unsupported
    return _elementwise(lambda c, a, b: a if c else b)(condition, x, y)


def _reshaped(x: Table, shape: Any) -> Table:
    if any(map(_is_symbolic, shape)):
        raise Unsupported
    made = _copied(x, shape)
    if made.size and not np.may_share_memory(made, x):
        raise Unsupported  # a copy would lose what is written to it
    return made


def _copied(x: Table, shape: Any) -> Table:
    """A view where there is one."""
    copied: Table = x.reshape(tuple(shape))
    return copied


def _filled(shape: tuple[int, ...], number: Any) -> Table:
    made = np.empty(shape, dtype=object)
    for place in np.ndindex(*shape):
        made[place] = number
    return made


def _same(x: Table, *_: Any, **__: Any) -> Table:
    return x


def _copy(x: Table, *_: Any, **__: Any) -> Table:
    copied: Table = x.copy()
    return copied


def _unsqueezed(x: Table, dim: int) -> Table:
    return np.expand_dims(x, dim if dim >= 0 else x.ndim + 1 + dim)


_ADD, _MUL = _checked(operator.add), _checked(operator.mul)
_T = torch.Tensor
_RULES: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.add: _scaled(operator.add),
    torch.sub: _scaled(operator.sub),
    torch.rsub: lambda a, b, **k: _scaled(operator.sub)(b, a, **k),
    torch.mul: _elementwise(_MUL),
    torch.div: _divided,
    torch.true_divide: _divided,
    _T.__floordiv__: _elementwise(_checked(operator.floordiv)),
    torch.floor_divide: _elementwise(_checked(operator.floordiv)),
    torch.remainder: _elementwise(_checked(operator.mod)),
    torch.pow: _elementwise(_checked(_power)),
    torch.square: _elementwise(_checked(lambda a: a * a)),
    torch.neg: _elementwise(operator.neg),
    torch.abs: _elementwise(abs),
    torch.ceil: _elementwise(_nothing_inexact(math.ceil)),
    torch.floor: _elementwise(_nothing_inexact(math.floor)),
    torch.trunc: _elementwise(_nothing_inexact(math.trunc)),
    torch.clamp: _clamp,
    torch.clamp_min: lambda x, min: _clamp(x, min),
    torch.clamp_max: lambda x, max: _clamp(x, None, max),
    torch.maximum: _elementwise(larger),
    torch.minimum: _elementwise(smaller),
    torch.eq: _elementwise(_nothing_inexact(operator.eq)),
    torch.ne: _elementwise(_nothing_inexact(operator.ne)),
    torch.lt: _elementwise(_nothing_inexact(operator.lt)),
    torch.le: _elementwise(_nothing_inexact(operator.le)),
    torch.gt: _elementwise(_nothing_inexact(operator.gt)),
    torch.ge: _elementwise(_nothing_inexact(operator.ge)),
    torch.logical_not: _elementwise(lambda a: not a),
    torch.logical_and: _elementwise(lambda a, b: bool(a) and bool(b)),
    torch.logical_or: _elementwise(lambda a, b: bool(a) or bool(b)),
    _T.__invert__: _elementwise(_inverted),
    torch.bitwise_not: _elementwise(_inverted),
    _T.__and__: _elementwise(_both),
    torch.bitwise_and: _elementwise(_both),
    _T.__or__: _elementwise(_either),
    torch.bitwise_or: _elementwise(_either),
    torch.where: _chosen,
    _T.masked_fill: lambda x, mask, value: _chosen(mask, value, x),
    _T.to: _cast,
    _T.type: _cast,
    _T.long: _casting(torch.int64),
    _T.int: _casting(torch.int32),
    _T.float: _casting(torch.float32),
    _T.double: _casting(torch.float64),
    _T.bool: _casting(torch.bool),
    torch.clone: _copy,
    _T.contiguous: _same,
    torch.detach: _same,
    _T.cpu: _same,
    _T.cuda: _same,
    _T.__getitem__: _get,
    _T.__setitem__: _set,
    torch.select: lambda x, dim, index: cell(np.moveaxis(x, dim, 0)[(_index(index), ...)]),
    torch.ops.aten.slice: lambda x, dim=0, start=None, end=None, step=1: _get(
        x, (*[slice(None)] * (dim % x.ndim), slice(start, end, step))
    ),
    torch.ops.aten._to_copy: _cast,
    torch.ops.aten.alias: _same,
    torch.ops.aten._unsafe_view: _reshaped,
    torch.narrow: lambda x, dim, start, length: np.moveaxis(np.moveaxis(x, dim, 0)[start : start + length], 0, dim),
    torch.unbind: lambda x, dim=0: [cell(part) for part in (np.moveaxis(x, dim, 0)[(i, ...)] for i in range(x.shape[dim]))],
    torch.reshape: _copied,
    _T.view: _reshaped,
    torch.flatten: lambda x: _copied(x, (-1,)),
    torch.unsqueeze: _unsqueezed,
    torch.squeeze: lambda x, dim=None: np.squeeze(x, dim),
    torch.transpose: lambda x, dim0, dim1: np.swapaxes(x, dim0, dim1),
    torch.permute: lambda x, dims: np.transpose(x, tuple(dims)),
    torch.flip: lambda x, dims: np.flip(x, tuple(dims) if isinstance(dims, (tuple, list)) else dims).copy(),
    torch.cat: lambda parts, dim=0: np.concatenate(parts, axis=dim),
    torch.stack: lambda parts, dim=0: np.stack(parts, axis=dim),
    torch.prod: _along(functools.partial(functools.reduce, _MUL)),
    torch.sum: _along(functools.partial(functools.reduce, _ADD)),
    torch.any: _along(any),
    torch.all: _along(all),
    torch.max: _extremum(larger, _first_largest),
    torch.min: _extremum(smaller, _first_smallest),
    torch.amax: _along(functools.partial(functools.reduce, larger)),
    torch.amin: _along(functools.partial(functools.reduce, smaller)),
    torch.argmax: _along(_first_largest),
    torch.argmin: _along(_first_smallest),
    torch.cumsum: _running(_ADD),
    torch.cumprod: _running(_MUL),
    torch.sort: _sorted,
    _T.new_zeros: lambda x, size, **_: _filled(tuple(size), 0),
    torch.zeros_like: lambda x, **_: _filled(x.shape, 0),
    torch.ones_like: lambda x, **_: _filled(x.shape, 1),
    torch.full_like: lambda x, value, **_: _filled(x.shape, value),
    torch.zeros: lambda size, **_: _filled(tuple(size), 0),
    torch.ones: lambda size, **_: _filled(tuple(size), 1),
    torch.full: lambda size, fill_value, **_: _filled(tuple(size), fill_value),
    _T.fill_: lambda x, value: _elementwise(lambda _, v: v)(x, value),
    _T.zero_: lambda x: _filled(x.shape, 0),
    _T.copy_: lambda x, source, *_: np.broadcast_to(cell(source), x.shape),
}


def plain_name(func: Callable[..., Any]) -> str:
    """``add`` for ``torch.add``, its overloads, ``add_`` and ``__add__``; ``rsub`` for ``__rsub__``.

    >>> plain_name(torch.Tensor.add_), plain_name(torch.ops.aten.add.Tensor), plain_name(torch.Tensor.__rsub__)
    ('add', 'add', 'rsub')
    """
    return getattr(func, "__name__", "").partition(".")[0].strip("_")


class Rules:
    """Rules by torch's functions: of an op of torch, and its variant in place, by what it is called with.

    One op may have several functions (``zeros`` and ``ones``). Somebody's own function is another one, whatever its name.

    >>> rules = Rules({torch.add: "sum"})
    >>> rules.of(torch.Tensor.add_), rules.of(lambda a, b: a)
    ('sum', None)
    """

    def __init__(self, rules: Mapping[Callable[..., Any], Any]) -> None:
        self._rules = {
            (variant, plain_name(function)): rule
            for function, rule in rules.items()
            for variant in REGISTRY.variants(REGISTRY[function])
        }

    def of(self, func: Callable[..., Any]) -> Any:
        """The rule for a function, ``None`` if there is none."""
        return self._rules.get((REGISTRY.get(func), plain_name(func)))  # type: ignore[arg-type]


RULES = Rules(_RULES)
"""For each function that is followed, in tables, what its results are; ``add_`` goes by the rule of ``add``."""
