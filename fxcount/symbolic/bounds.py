"""Bounds of sizes by interval arithmetic, when every symbol is at least 1.

Three cheap views of the same size are tried and the best bound is taken: intervals of each term; the polynomial
rewritten in ``symbol - its lower bound``, which sees that ``h*w - h`` is ``h*(w - 1)``; and floors replaced by the
rational numbers they round, which sees that ``H - 7*floor(H/7)`` is not negative. A bound is sound, not always the
tightest.

>>> from fxcount.symbolic.expr import symbol
>>> h, w = symbol("h"), symbol("w")
>>> lower_bound(h * w - h), upper_bound(3 - h), upper_bound(h)
(0, 2, None)
>>> lower_bound(h, {"h": (7, None)})
7
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from fxcount.symbolic.expr import MEMO, Atom, Expr, Monomial, Size, make

__all__ = ["Bounds", "is_nonnegative", "lower_bound", "upper_bound"]

Interval: TypeAlias = tuple[int | None, int | None]
Bounds: TypeAlias = Mapping[str, Interval]

NO_BOUNDS: Bounds = MappingProxyType({})
MOST_TERMS = 512  # of a polynomial rewritten in shifted symbols: beyond that the plain intervals must do


def lower_bound(size: Size, bounds: Bounds = NO_BOUNDS) -> int | None:
    """The largest known integer that the size never falls below, or None.

    >>> from fxcount.symbolic.expr import symbol
    >>> H = symbol("H")
    >>> lower_bound(2 * H + 1), lower_bound(H - 7 * (H // 7)), lower_bound(-H)
    (3, 0, None)
    """
    if isinstance(size, int):
        return int(size)
    return _lower_default(size) if not bounds else _lower(size, bounds)


def upper_bound(size: Size, bounds: Bounds = NO_BOUNDS) -> int | None:
    """The smallest known integer that the size never exceeds, or None.

    >>> from fxcount.symbolic.expr import symbol
    >>> H = symbol("H")
    >>> upper_bound(H % 7, {"H": (1, 4)}), upper_bound(5 - H)
    (4, 4)
    """
    low = lower_bound(-size, bounds)
    return None if low is None else -low


def is_nonnegative(size: Size, bounds: Bounds = NO_BOUNDS) -> bool:
    """Whether the size is provably at least 0.

    >>> from fxcount.symbolic.expr import symbol
    >>> h, w = symbol("h"), symbol("w")
    >>> is_nonnegative(h * w - h), is_nonnegative(h - w)
    (True, False)
    """
    if isinstance(size, int):
        return size >= 0
    return _nonnegative_default(size) if not bounds else _is_at_least_zero(size, bounds)


@lru_cache(MEMO)
def _lower_default(size: Expr) -> int | None:
    return _lower(size, NO_BOUNDS)


@lru_cache(MEMO)
def _nonnegative_default(size: Expr) -> bool:
    return _is_at_least_zero(size, NO_BOUNDS)


def _is_at_least_zero(size: Expr, bounds: Bounds) -> bool:
    low = _lower(size, bounds, enough=0)
    return low is not None and low >= 0


def _lower(size: Size, bounds: Bounds, enough: int | None = None) -> int | None:
    """The best lower bound found; the first one of at least ``enough``, if that is all one wants to know."""
    best: int | None = None
    scale = 1
    intervals: dict[str, Interval] = {}
    for _ in range(8):  # one floor atom less each round
        if isinstance(size, int):
            return _largest(best, -(-size // scale))
        for factor in {f for m in size.terms for f in m}:
            if factor not in intervals:
                intervals[factor] = _interval(factor, bounds)
        for view in (_by_terms, _by_shift):
            low = view(size, intervals)
            if low is not None:
                best = _largest(best, -(-low // scale))
                if enough is not None and best is not None and best >= enough:
                    return best
        relaxed = _without_floor(size, intervals)
        if relaxed is None:
            return best
        size, q = relaxed
        scale *= q
    return best


def _largest(a: int | None, b: int | None) -> int | None:
    return a if b is None else b if a is None else max(a, b)


def _interval(factor: str, bounds: Bounds) -> Interval:
    """What is known of one symbol or atom."""
    if type(factor) is not Atom:
        return bounds.get(factor, (1, None))
    if factor.kind == "floor":
        p, q = factor.args
        return _quotient((lower_bound(p, bounds), upper_bound(p, bounds)), (lower_bound(q, bounds), upper_bound(q, bounds)))
    lows = [lower_bound(a, bounds) for a in factor.args]
    highs = [upper_bound(a, bounds) for a in factor.args]
    if factor.kind == "max":
        return max((x for x in lows if x is not None), default=None), _all(highs, max)
    return _all(lows, min), min((x for x in highs if x is not None), default=None)


def _all(values: list[int | None], pick: Callable[[list[int]], int]) -> int | None:
    known = [v for v in values if v is not None]
    return pick(known) if len(known) == len(values) else None


def _quotient(p: Interval, q: Interval) -> Interval:
    """Bounds of ``floor(p/q)``, for ``q >= 1`` only: a smaller divisor takes the quotient further from 0."""
    if q[0] is None or q[0] < 1:
        return None, None
    low: int | None = None
    if p[0] is not None:
        low = p[0] // q[0] if p[0] < 0 else 0 if q[1] is None else p[0] // q[1]
    high: int | None = None
    if p[1] is not None:
        high = p[1] // q[0] if p[1] >= 0 else -1 if q[1] is None else p[1] // q[1]
    return low, high


def _times(a: Interval, b: Interval) -> Interval:
    """Bounds of a product; open ends only for factors that are not negative."""
    if None not in (a[0], a[1], b[0], b[1]):
        ends = [x * y for x in a for y in b]  # type: ignore[operator]
        return min(ends), max(ends)
    if a[0] is None or b[0] is None or a[0] < 0 or b[0] < 0:
        return None, None
    return a[0] * b[0], None


def _by_terms(size: Expr, intervals: dict[str, Interval]) -> int | None:
    total = 0
    for m, c in size.terms.items():
        span: Interval = (1, 1)
        for factor in m:
            span = _times(span, intervals[factor])
        end = span[0] if c > 0 else span[1]
        if end is None:
            return None
        total += c * end
    return total


def _by_shift(size: Expr, intervals: dict[str, Interval]) -> int | None:
    """The lower bound of the polynomial in ``x' = x - low(x)``, where every factor ``x'`` is at least 0."""
    if sum(1 << len(m) for m in size.terms) > MOST_TERMS:
        return None
    terms: dict[Monomial, int] = {}
    for m, c in size.terms.items():
        expanded: list[tuple[Monomial, int]] = [((), c)]  # the monomial with low + x' in the place of each x
        for f in m:
            low = intervals[f][0]
            if low is None:
                return None
            shifted = [((*key, f), k) for key, k in expanded]
            expanded = shifted + [(key, k * low) for key, k in expanded] if low else shifted
        for key, k in expanded:
            terms[key] = terms.get(key, 0) + k
    total = 0
    for m, c in terms.items():
        if m and c > 0:
            continue
        for f in m if c else ():
            start, end = intervals[f]
            if end is None or start is None:
                return None
            c *= end - start
        total += c
    return total


def _without_floor(size: Expr, intervals: dict[str, Interval]) -> tuple[Size, int] | None:
    """``(e, q)`` with ``size >= e/q``: one floor replaced by the rational number that bounds it, or None."""
    for m in sorted(size.terms):
        for i, atom in enumerate(m):
            if type(atom) is not Atom or atom.kind != "floor" or not isinstance(atom.args[1], int):
                continue
            cofactor, c = m[:i] + m[i + 1 :], size.terms[m]
            if any((intervals[f][0] if intervals[f][0] is not None else -1) < 0 for f in cofactor):  # type: ignore[operator]
                continue
            p, q = atom.args
            if c > 0:
                p = p - (q - 1)  # floor(p/q) >= (p - q + 1)/q, and floor(p/q) <= p/q
            rest = make({n: k for n, k in size.terms.items() if n != m})
            return q * rest + make({cofactor: c}) * p, int(q)
    return None
