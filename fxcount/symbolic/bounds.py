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
from math import gcd
from types import MappingProxyType
from typing import TypeAlias

from fxcount.symbolic.expr import DEEP, MEMO, Atom, Expr, Hooks, Monomial, Size, atoms_of, make, terms_of, wrap
from fxcount.symbolic.values import free_symbols
from fxcount.symbolic.witness import Trial, trials

__all__ = ["Bounds", "interval", "is_nonnegative", "lower_bound", "upper_bound", "varies"]

Interval: TypeAlias = tuple[int | None, int | None]
Bounds: TypeAlias = Mapping[str, Interval]

_ONE: Interval = (1, 1)
NO_BOUNDS: Bounds = MappingProxyType({})
STATES = 1 << 10  # of bounds that are remembered
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
    return _lower_default(size) if not bounds else _lower(size, _within(tuple(bounds.items())))


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
    if not bounds:
        return _nonnegative_default(size)
    within = _within(tuple(bounds.items()))
    return _is_at_least_zero(_without_factor(size, within), within)


def interval(factor: str) -> Interval:
    """The bounds of a symbol or an atom, ``None`` where none is known.

    >>> from fxcount.symbolic.expr import symbol
    >>> (((factor,), _),) = (symbol("H") // 7).terms.items()
    >>> interval("H"), interval(factor)
    ((1, None), (0, None))
    """
    return _within(())[factor]


@lru_cache(MEMO)
def _lower_default(size: Expr) -> int | None:
    return _lower(size, _within(()))


@lru_cache(MEMO)
def _nonnegative_default(size: Expr) -> bool:
    within = _within(())
    plain = _without_factor(size, within)
    return _is_at_least_zero(size, within) if plain is size else _nonnegative_default(plain)


class _Within(dict[str, Interval]):
    """Intervals of symbols and atoms where the symbols lie within ``bounds``: each is worked out when it is first asked for.
    ``corner`` has each symbol at its least."""

    __slots__ = ("bounds", "corner")

    def __init__(self, bounds: Bounds) -> None:
        super().__init__()
        self.bounds = bounds
        self.corner = Trial(_Least(bounds)) if bounds else trials()[0]

    def __missing__(self, factor: str) -> Interval:
        if len(self) >= MEMO:
            self.clear()
        if type(factor) is not Atom:
            found = self.bounds.get(factor, (1, None))
        else:
            if factor.depth > DEEP:
                for atom in atoms_of(*factor.args, known=self):
                    self[atom] = self._of(atom)
            found = self._of(factor)
        self[factor] = found
        return found

    def _of(self, atom: Atom) -> Interval:
        spans = list(map(self._span, atom.args))
        if atom.kind == "floor":
            return _quotient(*spans)
        lows, highs = [low for low, _ in spans], [high for _, high in spans]
        middle = _middle(atom)
        if atom.kind == "max":
            return max((x for x in (*lows, middle) if x is not None), default=None), _all(highs, max)
        return _all(lows, min), min((x for x in (*highs, None if middle is None else -middle) if x is not None), default=None)

    def _span(self, size: Size) -> Interval:
        if isinstance(size, int):
            return size, size
        low: int | None = 0
        high: int | None = 0
        for m, c in size.terms.items():
            if not m:
                start, end = _ONE
            elif len(m) == 1 and type(m[0]) is not Atom:  # of a sum of symbols this is all there is to know
                start, end = self[m[0]]
            else:
                low, high = _lower(size, self), _lower(-size, self)
                return 0 if low is None and _by_matching(size) else low, None if high is None else -high
            if c < 0:
                start, end = end, start
            low = None if low is None or start is None else low + c * start
            high = None if high is None or end is None else high + c * end
        return low, high


class _Least(dict[str, int]):
    """The least number within the bounds of each symbol."""

    __slots__ = ("_bounds",)

    def __init__(self, bounds: Bounds) -> None:
        super().__init__()
        self._bounds = bounds

    def __missing__(self, name: str) -> int:
        low, high = self._bounds.get(name, (1, None))
        return low if low is not None else min(1, high or 1)


@lru_cache(STATES)
def _within(bounds: tuple[tuple[str, Interval], ...]) -> _Within:
    return _Within(dict(bounds))


def _without_factor(size: Expr, within: _Within) -> Expr:
    """A size of the same sign without the number and the symbols that all its terms have as a factor: less is lost where it is
    rounded, and sizes that differ by a factor are one question.

    >>> from fxcount.symbolic.expr import symbol
    >>> B, h = symbol("B"), symbol("h")
    >>> _without_factor(96 * B * h - 192 * B, _within(())), _without_factor(4 * h - 7, _within(()))
    (h - 2, h - 2)
    """
    terms = size.terms
    content = gcd(*[c for m, c in terms.items() if m])
    shared = set(next(iter(terms))).intersection(*terms) if len(terms) > 1 else ()
    symbols = [f for f in shared if type(f) is not Atom and (within[f][0] or 0) >= 1]
    if not symbols:
        if content == 1:
            return size
        return wrap({m: k for m, c in terms.items() if (k := c // content)}, size.halves)  # 4*h - 7 >= 0 is h - 2 >= 0
    rest: dict[Monomial, int] = {}
    for m, c in terms.items():
        left = list(m)
        for f in symbols:
            left.remove(f)
        rest[tuple(left)] = c // content
    made = make(rest)
    assert isinstance(made, Expr)  # two terms that differ
    return made


MOST_CHOICES = 4  # of the largest and smallest that are taken apart one inside another


def _is_at_least_zero(size: Expr, within: _Within, choices: int = MOST_CHOICES) -> bool:
    low = _by_terms(size, within)
    if low is not None and low >= 0:
        return True
    if _refuted(size, 0, within):
        return False
    if _by_matching(size):
        return True
    low = _lower(size, within, enough=0)
    return (low is not None and low >= 0) or (choices > 0 and _whichever_it_is(size, within, choices))


def _by_matching(size: Expr) -> bool:
    """Whether products are seen to be at least as large as those that are taken away, factor by factor."""
    return any([len(m) > 1 for m in size.terms]) and Hooks.covers(size)


def _whichever_it_is(size: Expr, within: _Within, choices: int) -> bool:
    """Whether the size is at least 0 as one of its Max and Min is any of its arguments, which it always is; one argument
    is enough where the size grows with a Max, or falls with a Min: ``Max(H, 3) - H`` is not below ``H - H``."""
    atom = next((f for m in size.terms for f in m if type(f) is Atom and f.kind != "floor"), None)
    if atom is None:
        return False
    having = {m: c for m, c in size.terms.items() if atom in m}
    rest = make({m: c for m, c in size.terms.items() if atom not in m})
    others = [(tuple(f for f in m if f is not atom), m.count(atom), c) for m, c in having.items()]
    sign = 1 if atom.kind == "max" else -1
    plain = all([k == 1 and c * sign > 0 and is_nonnegative(make({m: 1}), within.bounds) for m, k, c in others])

    def holds(chosen: Size) -> bool:
        made = rest
        for m, k, c in others:
            part = make({m: c})
            for _ in range(k):
                part = part * chosen
            made = made + part
        return made >= 0 if isinstance(made, int) else _is_at_least_zero(made, within, choices - 1)

    return (any if plain else all)(map(holds, atom.args))


def _lower(size: Size, within: _Within, enough: int | None = None) -> int | None:
    """The best lower bound found; the first one of at least ``enough``, if that is all one wants to know, which plain numbers
    do not refute."""
    best: int | None = None
    scale = 1
    for turn in range(8):  # one floor atom less each round
        if isinstance(size, int):
            return _largest(best, -(-size // scale))
        products = max(map(len, size.terms)) > 1
        for view in (_by_terms, _by_shift)[: 1 + products]:  # shifted, a sum without products is bounded by its terms again
            low = view(size, within)
            if low is not None:
                best = _largest(best, -(-low // scale))
                if enough is not None and best is not None and best >= enough:
                    return best
        if not turn and enough is None and best is not None and within.corner.at(size) == best:
            return best  # plain numbers say that there is no better one
        relaxed = _without_floor(size, within)
        if relaxed is None:
            return best
        size, q = relaxed
        scale *= q
    return best


def _largest(a: int | None, b: int | None) -> int | None:
    return a if b is None else b if a is None else max(a, b)


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


def _by_terms(size: Expr, within: _Within) -> int | None:
    total = 0
    for m, c in size.terms.items():
        if len(m) == 1:
            span = within[m[0]]
        else:
            span = (1, 1)
            for factor in m:
                span = _times(span, within[factor])
        end = span[0] if c > 0 else span[1]
        if end is None:
            return None
        total += c * end
    return total


def _by_shift(size: Expr, within: _Within) -> int | None:
    """The lower bound of the polynomial in ``x' = x - low(x)``, where every factor ``x'`` is at least 0."""
    if sum(1 << len(m) for m in size.terms) > MOST_TERMS:
        return None
    terms: dict[Monomial, int] = {}
    for m, c in size.terms.items():
        expanded: list[tuple[Monomial, int]] = [((), c)]  # the monomial with low + x' in the place of each x
        for f in m:
            low = within[f][0]
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
            start, end = within[f]
            if end is None or start is None:
                return None
            c *= end - start
        total += c
    return total


MOST_SETTLED = 12  # terms of a sum that is brought to one form when one of its floors is relaxed; in long ones that costs most


def _refuted(size: Expr, enough: int, within: _Within) -> bool:
    """Whether plain numbers say that the size is not always ``enough``: much cheaper than to try all proofs in vain."""
    value = within.corner.at(size)
    if value is not None and value < enough:
        return True
    if within.bounds:
        return False
    for trial in trials()[1:] if len(free_symbols(size)) > 1 else trials()[1:5]:
        value = trial.at(size)
        if value is not None and value < enough:
            return True
    return False


def varies(size: Size, step: int) -> bool:
    """Whether plain numbers say that ``floor(size/step)`` has more than one value.

    >>> from fxcount.symbolic.expr import symbol
    >>> varies(symbol("H"), 7), varies(symbol("H") % 3, 4)
    (True, False)
    """
    first, second = [trial.at(size) for trial in trials()[:2]]
    return first is not None and second is not None and first // step != second // step


def _without_floor(size: Expr, within: _Within) -> tuple[Size, int] | None:
    """``(e, q)`` with ``size >= e/q``: one floor replaced by the rational number that bounds it, or None."""
    terms = size.terms
    for m in sorted([m for m in terms if Atom in map(type, m)]):
        for i, atom in enumerate(m):
            if type(atom) is not Atom or atom.kind != "floor" or not isinstance(atom.args[1], int):
                continue
            cofactor, c = m[:i] + m[i + 1 :], terms[m]
            if any([low is None or low < 0 for low, _ in [within[f] for f in cofactor]]):
                continue
            p, q = atom.args
            if c > 0:
                p = p - (q - 1)  # floor(p/q) >= (p - q + 1)/q, and floor(p/q) <= p/q
            return _with_quotient(size, m, cofactor, p, int(q)), int(q)
    return None


def _with_quotient(size: Expr, m: Monomial, cofactor: Monomial, p: Size, q: int) -> Size:
    """``size`` times ``q`` with ``cofactor * p`` in the place of the monomial ``m``."""
    terms = {n: k * q for n, k in size.terms.items()}
    c = size.terms[m]
    del terms[m]
    for n, k in terms_of(p).items():
        key = tuple(sorted(n + cofactor)) if n and cofactor else n + cofactor
        value = terms.get(key, 0) + c * k
        if value:
            terms[key] = value
        else:
            terms.pop(key, None)
    if len(size.terms) <= MOST_SETTLED:
        return make(terms, size.halves or (type(p) is Expr and p.halves))
    return terms.get((), 0) if terms.keys() <= {()} else wrap(terms, False)  # its floors are not brought to one form
