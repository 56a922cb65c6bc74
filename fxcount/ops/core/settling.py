"""Symbolic numbers in the place of arguments that a rule takes as numbers: dimensions, quarter turns, factors.

What an op's parameter can be is said by its annotation in the shape rule: a ``Size`` may be a formula, an ``int`` is a
number, which pins a symbolic one. A factor (``alpha``, ``beta``, the ``value`` of ``addcmul``) stays a formula, but whether it
is 1 or 0, where it costs nothing, is decided, and so is whether an ``exponent`` is one that torch computes without a power.

>>> from fxcount.ops import REGISTRY
>>> from fxcount.symbolic import symbol
>>> import torch
>>> scope = Scope({"H": 6})
>>> H = symbol("H")
>>> settled(scope, REGISTRY[torch.add], ("x", "y"), {"alpha": H})
(('x', 'y'), {'alpha': H})
>>> settled(scope, REGISTRY[torch.transpose], ("x", H - 6, 1), {})
(('x', 0, 1), {})
>>> [str(a) for a in scope.assumptions]
['H == 6 (pinned)']
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from fxcount.ops.core.binding import Bound
from fxcount.ops.core.registry import Op
from fxcount.ops.core.tree import mapped
from fxcount.symbolic import Expr, Scope, Size

__all__ = ["pinned", "settled"]

_NUMBERS = frozenset({"int", "int | None", "Dims", "Order", "Sequence[int]", "int | Sequence[int]", "Sequence[int] | None"})
_FACTORS = frozenset({"alpha", "beta", "value"})
_PLAIN_EXPONENTS = range(-2, 4)
_POWERS = frozenset({"p", "norm_type", "ord"})


def settled(scope: Scope, op: Op, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with numbers where the shape rule of the op takes nothing but numbers."""
    named = dict(kwargs)
    if isinstance(op.shape, Bound):
        places = op.shape.overloads.names_of(args, named)
        ways = _ways(op)
        found = [ways.get(name) for name in places]
        args = tuple([a if how is None else _number(scope, op, how, a) for how, a in zip(found, args)])
        for (name, a), how in zip(kwargs.items(), found[len(args) :]):
            if how is not None:
                named[name] = _number(scope, op, how, a)
        return args, named
    ways = _ways(op)
    at = _places(op)
    if at:
        args = tuple([_number(scope, op, at[i], a) if i in at else a for i, a in enumerate(args)])
    for name, a in kwargs.items():
        if name in ways:
            named[name] = _number(scope, op, ways[name], a)
    return args, named


def _number(scope: Scope, op: Op, how: str, a: Any) -> Any:
    if type(a) is Expr:
        if how == "pin":
            return scope.pin(a, f"{op.name} takes a number there")
        if how == "exponent":
            return _exponent(scope, op, a)
        reason = f"{op.name}: a factor of 1 is not multiplied by, one of 0 drops its operand"
        return next((n for n in (1, 0) if scope.decide("==", a, n, reason)), a)
    if type(a) in (tuple, list) and Expr in [type(part) for part in a]:
        return type(a)([_number(scope, op, how, part) for part in a])
    return a


def _exponent(scope: Scope, op: Op, a: Expr) -> Size:
    """An exponent: a number if it is one of those that are computed by multiplications, else larger or smaller than these."""
    reason = f"{op.name}: small exponents are computed by multiplications"
    if scope.decide(">", a, _PLAIN_EXPONENTS[-1], reason) or scope.decide("<", a, _PLAIN_EXPONENTS[0], reason):
        return a
    return next((n for n in _PLAIN_EXPONENTS if scope.decide("==", a, n, reason)), a)


@functools.lru_cache(1 << 12)
def _ways(op: Op) -> dict[str, str]:
    """What is done to the parameters of a shape rule, by name."""
    rule = op.shape.rule if isinstance(op.shape, Bound) else op.shape
    return {name: how for name, annotation in _parameters(rule).items() if (how := _way(name, annotation))}


def _parameters(rule: Callable[..., Any], keywords: bool = True) -> dict[str, Any]:
    """Names and annotations of a rule's parameters, in order; without ``keywords`` those that have a position. Of a function
    that wraps no other its code says so, in a tenth of the time that a signature takes."""
    if type(rule) is not FunctionType or vars(rule):
        try:
            parameters = inspect.signature(rule).parameters.values()
        except (TypeError, ValueError):
            return {}
        return {p.name: p.annotation for p in parameters if keywords or p.kind is not p.KEYWORD_ONLY}
    code = rule.__code__
    placed, named = code.co_argcount, code.co_kwonlyargcount
    first, last, rest = (code.co_varnames[i:] for i in (0, placed, placed + named))
    several = bool(code.co_flags & inspect.CO_VARARGS)  # *args stand behind the named in the code, **kwargs behind these
    names = [*first[:placed], *rest[:several], *(last[:named] if keywords else ())]
    names += rest[several : several + bool(code.co_flags & inspect.CO_VARKEYWORDS)]
    return {name: rule.__annotations__.get(name) for name in names}


def _way(name: str, annotation: Any) -> str:
    if annotation == "Scalar" and name in _FACTORS:
        return "factor"
    if annotation == "Operand" and name == "exponent":
        return name
    return "pin" if annotation in _NUMBERS or (annotation == "float" and name in _POWERS) else ""


@functools.lru_cache(1 << 12)
def _places(op: Op) -> dict[int, str]:
    """The same by position among the arguments of a call; a rule's first parameter is the scope."""
    ways = _ways(op)
    if not ways:
        return {}
    names = list(_parameters(op.shape, keywords=False))[1:]
    return {i: ways[name] for i, name in enumerate(names) if name in ways}


def pinned(scope: Scope, op: Op, arguments: Any) -> Any:
    """All arguments that are symbolic numbers themselves as numbers; tensors keep their sizes."""
    return mapped(lambda a: scope.pin(a, f"{op.name} takes a number there") if type(a) is Expr else a, arguments)
