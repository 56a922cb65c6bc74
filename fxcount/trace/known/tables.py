"""Small tensors whose elements are sizes: ``torch.tensor([[h, w]])``, and what models compute from it, element by element.

Detectors pass the shapes of their feature maps around in tensors and read them back with ``.tolist()``. The elements stay
exact symbolic sizes through indexing, arithmetic, products and cumulative sums, in arrays of Python objects beside the
stand-ins.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from fxcount.ops import REGISTRY, Op
from fxcount.symbolic import SymRatio, SymSize
from fxcount.trace.tracer.standin import StandIn

__all__ = ["MAX_ELEMENTS", "as_table", "follow"]

MAX_ELEMENTS = 1024
Array = np.ndarray[Any, Any]


def as_table(data: Any) -> Array:
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
        cell = data
        for i in place:
            cell = cell[i]
        made[place] = cell
    return made


def follow(entry: Op, args: tuple[Any, ...], kwargs: dict[str, Any] | None, result: Any) -> None:
    """Give the result of a call on tables its own table, if the call is one of those that are followed."""
    rule = _FOLLOWED.get(entry)
    if rule is None or not any(map(_is_symbolic, args)):
        return
    try:
        made = rule(*(_cells(a) for a in args), **{k: v for k, v in (kwargs or {}).items() if k != "device"})
    except (_Unknown, TypeError, ValueError, IndexError, ZeroDivisionError):
        return
    results = result if isinstance(result, (tuple, list)) else (result,)
    tables = made if isinstance(made, list) else [made]
    for stand_in, table in zip(results, tables):
        if type(stand_in) is StandIn and table.shape == tuple(stand_in._value.fact.shape) and table.size <= MAX_ELEMENTS:
            stand_in.note(table=table)


class _Unknown(Exception):
    """An operand has neither a table nor known data."""


def _is_symbolic(a: Any) -> bool:
    if type(a) is StandIn:
        return a.table is not None
    return isinstance(a, (SymSize, SymRatio)) or (isinstance(a, (tuple, list)) and any(map(_is_symbolic, a)))


def _cells(a: Any) -> Any:
    if type(a) is StandIn:
        if a.table is not None:
            return a.table
        if a._known is None or not a._storage.constant or a._known.numel() > MAX_ELEMENTS:
            raise _Unknown
        return a._known.cpu().numpy().astype(object)
    if isinstance(a, torch.Tensor):
        raise _Unknown
    if isinstance(a, (tuple, list)) and any(isinstance(x, torch.Tensor) for x in a):
        return [_cells(x) for x in a]
    return a


def _cell(x: Any) -> Array:
    if isinstance(x, np.ndarray):
        return x
    made = np.empty((), dtype=object)
    made[()] = x
    return made


def _elementwise(function: Callable[..., Any]) -> Callable[..., Array]:
    def apply(*operands: Any) -> Array:
        cells = np.broadcast_arrays(*map(_cell, operands))
        made = np.empty(cells[0].shape, dtype=object)
        for place in np.ndindex(*made.shape):
            made[place] = function(*(c[place] for c in cells))
        return made

    return apply


def _cast(x: Array, *dtypes: Any, dtype: Any = None, copy: bool = False, **_: Any) -> Array:
    wanted = next((d for d in (*dtypes, dtype) if isinstance(d, torch.dtype)), torch.float32)
    return x if wanted.is_floating_point else _elementwise(math.floor)(x)  # sizes: nothing is below 0


def _along(function: Callable[[Any, Any], Any], start: Any) -> Callable[..., Array]:
    def reduce(x: Array, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Array:
        if isinstance(dim, (tuple, list)):
            (dim,) = dim
        lines = x.reshape(1, -1) if dim is None else np.moveaxis(x, dim, -1)
        made = np.empty(lines.shape[:-1], dtype=object)
        for place in np.ndindex(*made.shape):
            total = start
            for cell in lines[place]:
                total = function(total, cell)
            made[place] = total
        if dim is None:
            return made.reshape(())
        return np.expand_dims(made, dim) if keepdim else made

    return reduce


def _cumsum(x: Array, dim: int, dtype: Any = None) -> Array:
    lines = np.moveaxis(x, dim, -1)
    made = np.empty(lines.shape, dtype=object)
    for place in np.ndindex(*lines.shape[:-1]):
        total: Any = 0
        for i, cell in enumerate(lines[place]):
            total = total + cell
            here = (*place, i)
            made[here] = total
    return np.moveaxis(made, -1, dim)


def _zeros(x: Array, size: Any, **_: Any) -> Array:
    return as_table(np.zeros(tuple(size), dtype=int).tolist())


def _same(x: Array, *_: Any, **__: Any) -> Array:
    return x


_RULES: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.add: _elementwise(operator.add),
    torch.sub: _elementwise(operator.sub),
    torch.rsub: _elementwise(lambda a, b: b - a),
    torch.mul: _elementwise(operator.mul),
    torch.div: lambda a, b, rounding_mode=None: _elementwise(operator.floordiv if rounding_mode else operator.truediv)(a, b),
    torch.floor_divide: _elementwise(operator.floordiv),
    torch.remainder: _elementwise(operator.mod),
    torch.neg: _elementwise(operator.neg),
    torch.ceil: _elementwise(math.ceil),
    torch.floor: _elementwise(math.floor),
    torch.Tensor.to: _cast,
    torch.Tensor.long: lambda x: _cast(x, torch.int64),
    torch.Tensor.int: lambda x: _cast(x, torch.int32),
    torch.Tensor.float: _same,
    torch.clone: _same,
    torch.Tensor.contiguous: _same,
    torch.detach: _same,
    torch.Tensor.__getitem__: lambda x, key: _cell(x[tuple(key) if isinstance(key, list) else key]),
    torch.select: lambda x, dim, index: _cell(np.moveaxis(x, dim, 0)[index]),
    torch.unbind: lambda x, dim=0: [_cell(part) for part in np.moveaxis(x, dim, 0)],
    torch.reshape: lambda x, shape: x.reshape(tuple(shape)),
    torch.Tensor.view: lambda x, shape: x.reshape(tuple(shape)),
    torch.flatten: lambda x: x.reshape(-1),
    torch.unsqueeze: lambda x, dim: np.expand_dims(x, dim if dim >= 0 else x.ndim + 1 + dim),
    torch.transpose: lambda x, a, b: np.swapaxes(x, a, b),
    torch.flip: lambda x, dims: np.flip(x, tuple(dims) if isinstance(dims, (tuple, list)) else dims),
    torch.cat: lambda parts, dim=0: np.concatenate(parts, axis=dim),
    torch.stack: lambda parts, dim=0: np.stack(parts, axis=dim),
    torch.prod: _along(operator.mul, 1),
    torch.sum: _along(operator.add, 0),
    torch.cumsum: _cumsum,
    torch.Tensor.new_zeros: _zeros,
}
_FOLLOWED: dict[Op, Callable[..., Any]] = {REGISTRY[function]: rule for function, rule in _RULES.items()}
