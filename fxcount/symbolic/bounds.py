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
from itertools import cycle, permutations
from types import MappingProxyType
from typing import TypeAlias

from fxcount.symbolic.expr import DEEP, MEMO, Atom, Expr, Monomial, Size, atoms_of, make, terms_of, wrap
from fxcount.symbolic.values import free_symbols
from fxcount.symbolic.witness import witness_at

__all__ = ["Bounds", "is_nonnegative", "lower_bound", "upper_bound", "varies"]

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


MOST_CHOICES = 4  # of the largest and smallest that are taken apart one inside another


def _is_at_least_zero(size: Expr, bounds: Bounds, choices: int = MOST_CHOICES) -> bool:
    low = _lower(size, bounds, enough=0)
    return (low is not None and low >= 0) or (choices > 0 and _whichever_it_is(size, bounds, choices))


def _whichever_it_is(size: Expr, bounds: Bounds, choices: int) -> bool:
    """Whether the size is at least 0 as one of its Max and Min is any of its arguments, which it always is; one argument
    is enough where the size grows with a Max, or falls with a Min: ``Max(H, 3) - H`` is not below ``H - H``."""
    atom = next((f for m in size.terms for f in m if type(f) is Atom and f.kind != "floor"), None)
    if atom is None or (not bounds and _refuted(size, 0)):
        return False
    having = {m: c for m, c in size.terms.items() if atom in m}
    rest = make({m: c for m, c in size.terms.items() if atom not in m})
    others = [(tuple(f for f in m if f is not atom), m.count(atom), c) for m, c in having.items()]
    sign = 1 if atom.kind == "max" else -1
    plain = all([k == 1 and c * sign > 0 and is_nonnegative(make({m: 1}), bounds) for m, k, c in others])

    def holds(chosen: Size) -> bool:
        made = rest
        for m, k, c in others:
            part = make({m: c})
            for _ in range(k):
                part = part * chosen
            made = made + part
        return made >= 0 if isinstance(made, int) else _is_at_least_zero(made, bounds, choices - 1)

    return (any if plain else all)(map(holds, atom.args))


def _lower(size: Size, bounds: Bounds, enough: int | None = None, intervals: dict[str, Interval] | None = None) -> int | None:
    """The best lower bound found; the first one of at least ``enough``, if that is all one wants to know. ``intervals`` are
    those of the factors met so far, within these bounds."""
    best: int | None = None
    scale = 1
    if intervals is None:
        intervals = {}
    for turn in range(8):  # one floor atom less each round
        if isinstance(size, int):
            return _largest(best, -(-size // scale))
        for factor in {f for m in size.terms for f in m}:
            if factor not in intervals:
                intervals[factor] = _interval(factor, bounds, intervals)
        for view in (_by_terms, _by_shift):
            low = view(size, intervals)
            if low is not None:
                best = _largest(best, -(-low // scale))
                if enough is not None and best is not None and best >= enough:
                    return best
        if not turn and enough is not None and not bounds and _refuted(size, enough):
            return best
        relaxed = _without_floor(size, intervals)
        if relaxed is None:
            return best
        size, q = relaxed
        scale *= q
    return best


def _largest(a: int | None, b: int | None) -> int | None:
    return a if b is None else b if a is None else max(a, b)


def _interval(factor: str, bounds: Bounds, intervals: dict[str, Interval]) -> Interval:
    """What is known of one symbol or atom."""
    if type(factor) is not Atom:
        return bounds.get(factor, (1, None))
    if factor.depth > DEEP:
        for atom in atoms_of(*factor.args, known=intervals):
            intervals[atom] = _interval_of_atom(atom, bounds, intervals)
    return _interval_of_atom(factor, bounds, intervals)


def _interval_of_atom(atom: Atom, bounds: Bounds, intervals: dict[str, Interval]) -> Interval:
    return _interval_of(atom, lambda a: _span(a, bounds, intervals)) if bounds else _interval_default(atom)


def _span(size: Size, bounds: Bounds, intervals: dict[str, Interval]) -> Interval:
    high = _lower(-size, bounds, None, intervals)
    return _lower(size, bounds, None, intervals), None if high is None else -high


@lru_cache(MEMO)
def _interval_default(atom: Atom) -> Interval:
    return _interval_of(atom, lambda a: (lower_bound(a), upper_bound(a)))


def _interval_of(atom: Atom, span: Callable[[Size], Interval]) -> Interval:
    if atom.kind == "floor":
        p, q = atom.args
        return _quotient(span(p), span(q))
    spans = list(map(span, atom.args))
    lows, highs = [low for low, _ in spans], [high for _, high in spans]
    middle = _middle(atom)
    if atom.kind == "max":
        return max((x for x in (*lows, middle) if x is not None), default=None), _all(highs, max)
    return _all(lows, min), min((x for x in (*highs, None if middle is None else -middle) if x is not None), default=None)


def _middle(atom: Atom) -> int | None:
    """Half of the sum of two arguments, if that is a number, rounded towards the larger one of the two; of a Min with the other
    sign. An absolute value ``Max(a, -a)`` is at least 0, whatever ``a`` is."""
    if len(atom.args) != 2 or int in map(type, atom.args):
        return None
    total = atom.args[0] + atom.args[1]
    if type(total) is not int:
        return None
    return -(-total // 2) if atom.kind == "max" else -(total // 2)


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


MOST_SETTLED = 12  # terms of a sum that is brought to one form when one of its floors is relaxed; in long ones that costs most
POINTS = (1, 5040)  # at which all symbols are tried alike


MIXED = tuple(permutations((1, 131, 10080)))  # symbols in turn: the smallest, one with no divisor, and one with many


def _refuted(size: Expr, enough: int) -> bool:
    """Whether plain numbers say that the size is not always ``enough``: much cheaper than to try all proofs in vain."""
    if any([value is not None and value < enough for value in [_at(size, point) for point in POINTS]]):
        return True
    names = sorted(free_symbols(size))
    for numbers in MIXED if len(names) > 1 else MIXED[::2]:
        value = witness_at(tuple(zip(names, cycle(numbers)))).at(size)
        if value is not None and value < enough:
            return True
    return False


def varies(size: Size, step: int) -> bool:
    """Whether plain numbers say that ``floor(size/step)`` has more than one value.

    >>> from fxcount.symbolic.expr import symbol
    >>> varies(symbol("H"), 7), varies(symbol("H") % 3, 4)
    (True, False)
    """
    first, second = [_at(size, point) for point in POINTS]
    return first is not None and second is not None and first // step != second // step


def _at(size: Size, point: int) -> int | None:
    """The value where each symbol is this number, if there is one."""
    if isinstance(size, int):
        return size
    total = 0
    for m, c in size.terms.items():
        for factor in m:
            value = _atom_at(factor, point) if type(factor) is Atom else point
            if value is None:
                return None
            c *= value
        total += c
    return total


@lru_cache(MEMO)
def _atom_at(atom: Atom, point: int) -> int | None:
    if atom.depth > DEEP:
        for inner in atoms_of(*atom.args):
            if inner.depth <= DEEP or inner.depth < atom.depth:
                _atom_at(inner, point)
    values = [_at(a, point) for a in atom.args]
    if None in values:
        return None
    if atom.kind == "floor":
        return values[0] // values[1] if values[1] else None  # type: ignore[operator]
    return (max if atom.kind == "max" else min)(values)  # type: ignore[type-var]


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
            if len(size.terms) > MOST_SETTLED:
                return _sum_as_it_stands(size, m, cofactor, p, int(q)), int(q)
            rest = make({n: k for n, k in size.terms.items() if n != m})
            return q * rest + make({cofactor: c}) * p, int(q)
    return None


def _sum_as_it_stands(size: Expr, m: Monomial, cofactor: Monomial, p: Size, q: int) -> Size:
    """``size`` times ``q`` with ``cofactor * p`` in the place of the monomial ``m``; its floors are not brought to one form."""
    terms = {n: k * q for n, k in size.terms.items() if n != m}
    c = size.terms[m]
    for n, k in terms_of(p).items():
        key = tuple(sorted(n + cofactor)) if n and cofactor else n + cofactor
        value = terms.get(key, 0) + c * k
        if value:
            terms[key] = value
        else:
            terms.pop(key, None)
    if terms.keys() <= {()}:
        return terms.get((), 0)
    return wrap(terms, False)
