"""numpy's functions of one symbolic number: exact arithmetic, rounding and extrema as formulas; the rest pins.

``np.ceil(h / 2)`` and ``np.maximum(h, 7)`` stay formulas. numpy computes what has no formula (``np.log2``), and everything
with arrays, from the sample values, which are then assumed. A result is a symbolic number or numpy's own, never an array of
symbolic numbers.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import torch

__all__ = ["NumpyProtocol"]


class NumpyProtocol:
    """For a symbolic number whose ``int()`` and ``float()`` pin."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        scalars = not any(isinstance(x, np.ndarray) and x.ndim for x in inputs)
        if method == "__call__" and scalars and not kwargs:
            formula = _FORMULAS.get(ufunc.__name__)
            if formula is not None:
                return formula(*map(_plain, inputs))
        if method == "reduce" and ufunc.__name__ in _KEPT and not any(v is not None for k, v in kwargs.items() if k != "axis"):
            return self
        return getattr(ufunc, method)(*map(pinned, inputs), **{name: pinned(value) for name, value in kwargs.items()})

    def __array_function__(self, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        formula = _FUNCTIONS.get(func.__name__)
        if formula is not None and not kwargs and not any(isinstance(x, (np.ndarray, list, tuple)) for x in args):
            return formula(*map(_plain, args))
        return func(*map(pinned, args), **{name: pinned(value) for name, value in kwargs.items()})


def pinned(x: Any) -> Any:
    """The same with numbers in the place of symbolic ones, which are pinned.

    >>> pinned([3, (4.5, "x")])
    [3, (4.5, 'x')]
    """
    if isinstance(x, NumpyProtocol):
        number: Any = x
        return int(number) if isinstance(number, int) else float(number)
    if isinstance(x, (list, tuple)):
        return type(x)([pinned(part) for part in x])
    return x


def _plain(x: Any) -> Any:
    """A number of numpy's as one of Python's."""
    if isinstance(x, (np.generic, np.ndarray)):
        return x.item()
    return x


def _as_float(x: Any) -> Any:
    return x.__sym_float__() if isinstance(x, NumpyProtocol) else float(x)  # type: ignore[attr-defined]


def _rounded(how: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: _as_float(how(x))


def _nearest(x: Any, decimals: Any = 0) -> Any:
    if isinstance(x, int):
        return round(x, decimals)
    return _as_float(round(x)) if decimals == 0 else np.round(float(x), decimals)


def _power(x: Any, y: Any) -> Any:
    whole = isinstance(y, (int, float)) and not isinstance(y, NumpyProtocol) and y >= 0
    return x**y if whole else np.power(pinned(x), pinned(y))


def _root(x: Any) -> Any:
    found = _as_float(x).__sym_sqrt__()
    return found if isinstance(found, NumpyProtocol) else np.sqrt(pinned(x))


def _function(name: str) -> Callable[[Any], Any]:
    """A function of one number that has no formula; where Python's raises an error, numpy's own answers."""

    def function(x: Any) -> Any:
        number = _as_float(x)
        if isinstance(number, NumpyProtocol) and (number.value > 0 or name == "exp"):  # type: ignore[attr-defined]
            return number.of_function(f"np.{name}")  # type: ignore[attr-defined]
        return getattr(np, name)(pinned(x))

    return function


def pinned_is_not_zero(y: Any) -> bool:
    """Whether one may divide by it: numpy has no ZeroDivisionError.

    >>> pinned_is_not_zero(0)
    False
    """
    return isinstance(y, Real) and bool(y != 0)


def _unless_zero(op: Callable[[Any, Any], Any], ufunc: Any) -> Callable[[Any, Any], Any]:
    return lambda x, y: op(x, y) if pinned_is_not_zero(y) else ufunc(pinned(x), pinned(y))


def _extremum(symbolic: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def extremum(x: Any, y: Any) -> Any:
        if not (isinstance(x, Real) and isinstance(y, Real)):
            return NotImplemented
        if isinstance(x, NumpyProtocol):
            return symbolic(x, y)
        return symbolic(y, x)

    return extremum


def _clipped(x: Any, low: Any = None, high: Any = None) -> Any:
    if low is not None:
        x = _largest(x, low)
    return _smallest(x, high) if high is not None else x


_largest, _smallest = _extremum(torch.sym_max), _extremum(torch.sym_min)

_FORMULAS: dict[str, Callable[..., Any]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "negative": operator.neg,
    "positive": operator.pos, "absolute": abs, "fabs": lambda x: _as_float(abs(x)), "square": lambda x: x * x,
    "divide": _unless_zero(operator.truediv, np.divide), "floor_divide": _unless_zero(operator.floordiv, np.floor_divide),
    "remainder": _unless_zero(operator.mod, np.remainder), "divmod": _unless_zero(divmod, np.divmod),
    "power": _power, "sqrt": _root, **{name: _function(name) for name in ("log", "log2", "log10", "log1p", "exp")},
    "less": operator.lt, "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge,
    "equal": operator.eq, "not_equal": operator.ne,
    "maximum": _largest, "minimum": _smallest, "fmax": _largest, "fmin": _smallest,
    "ceil": _rounded(math.ceil), "floor": _rounded(math.floor), "trunc": _rounded(math.trunc), "rint": _rounded(round),
    "left_shift": operator.lshift, "right_shift": operator.rshift, "bitwise_and": operator.and_,
    "bitwise_or": operator.or_, "bitwise_xor": operator.xor, "invert": operator.invert,
    "logical_not": operator.not_, "conjugate": lambda x: x,
}  # fmt: skip
"""Universal functions with a formula, by name."""

_KEPT = frozenset({"add", "multiply", "maximum", "minimum"})
"""Reductions that leave a single number as it is."""

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "prod": lambda x: x, "sum": lambda x: x, "max": lambda x: x, "min": lambda x: x, "amax": lambda x: x,
    "amin": lambda x: x, "mean": _as_float, "real": lambda x: x, "round": _nearest, "around": _nearest, "clip": _clipped,
}  # fmt: skip
"""Functions of one number with a formula, by name."""
