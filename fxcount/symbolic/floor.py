"""Floor division of sizes, brought to one canonical form.

``floordiv(p, q)`` follows Python: it rounds down, for negative numbers too. The canonical form of ``floor(p/q)`` is found in
this order; every step is an identity of the integers for all values the symbols may take:

1. what ``q`` divides leaves the floor: whole multiples by polynomial division, for an integer ``q`` also so much of each
   coefficient that what stays lies in (-q/2, q/2], and of the constant so much that [0, q) stays;
2. common factors of numerator and denominator cancel: integers, and factors that are provably not 0;
3. the leading coefficient is positive: ``floor(-p/q) = -floor((p + q - 1)/q) = -1 - floor((p - 1)/q)`` for ``q >= 1``;
4. a floor inside merges: ``floor((floor(a/m) + e)/n) = floor((a + m*e)/(m*n))`` for any integer ``e`` and ``n >= 1``.

>>> from fxcount.symbolic.expr import symbol
>>> h, H = symbol("h"), symbol("H")
>>> floordiv(32 * h + 5, 32)
h
>>> floordiv(floordiv(H - 1, 2) + 1 - 1, 2) + 1  # floor((H + 3)/4)
ceil(H/4)
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd

from fxcount.symbolic.atom import Atom, Hooks, Monomial, monomial_order
from fxcount.symbolic.bounds import is_nonnegative
from fxcount.symbolic.expr import MEMO, Expr, Size, make
from fxcount.symbolic.poly import cancel, divide, is_positive, leading, nonconstant, size_key, without

__all__ = ["ceildiv", "floordiv", "mod"]


def floordiv(a: Size, b: Size, *, nonzero: bool = False) -> Size:
    """``a // b``, rounding down. A factor that may be 0 cancels only if the caller vouches that ``b`` is ``nonzero``.

    >>> from fxcount.symbolic.expr import symbol
    >>> B, S, C = symbol("B"), symbol("S"), symbol("C")
    >>> floordiv(B * S * C, B * S)
    C
    >>> floordiv(-7, 2), floordiv(3 * B, 2)
    (-4, B + floor(B/2))
    """
    if isinstance(b, int):
        if isinstance(a, int):
            return int(a) // b
        return _by_int(a, int(b))
    return _by_expr(a, b, nonzero)


def mod(a: Size, b: Size, *, nonzero: bool = False) -> Size:
    """``a % b`` with Python's sign: ``a - b*floor(a/b)``.

    >>> from fxcount.symbolic.expr import symbol
    >>> H = symbol("H")
    >>> H + mod(7 - mod(H, 7), 7)
    7*ceil(H/7)
    """
    return a - b * floordiv(a, b, nonzero=nonzero)


def ceildiv(a: Size, b: Size, *, nonzero: bool = False) -> Size:
    """``a / b`` rounded up: ``-((-a) // b)``.

    >>> from fxcount.symbolic.expr import symbol
    >>> ceildiv(symbol("n"), 2), ceildiv(7, 2)
    (ceil(n/2), 4)
    """
    return -floordiv(-a, b, nonzero=nonzero)


@lru_cache(MEMO)
def _by_int(p: Expr, q: int) -> Size:
    if q < 0:
        return _by_int(-p, -q)
    if q == 0:
        raise ZeroDivisionError(f"floor division of the size {p} by zero")
    if q == 1:
        return p
    out: dict[Monomial, int] = {}
    kept: dict[Monomial, int] = {}
    for m, c in p.terms.items():
        whole, rest = divmod(c, q)
        if m and 2 * rest > q:  # symmetric residue: 3*n/4 is n - n/4, and -n/4 is as good as 3*n/4
            whole, rest = whole + 1, rest - q
        if whole:
            out[m] = whole
        if rest:
            kept[m] = rest
    constant = kept.pop((), 0)
    if not kept:
        return make(out)
    common = gcd(q, *kept.values())
    if common > 1:
        kept = {m: c // common for m, c in kept.items()}
        q, constant = q // common, constant // common
        if q == 1:  # cannot happen: every coefficient kept is a proper residue
            return make(out) + make(kept) + constant
    lead = min(kept, key=monomial_order)
    if kept[lead] < 0:
        negated = {m: -c for m, c in kept.items()}
        negated[()] = q - 1 - constant
        return make(out) - _by_int(nonconstant(negated), q)
    if constant:
        kept[()] = constant
    numerator = nonconstant(kept)
    merged = _merge(numerator, q)
    if merged is None:
        halves = [m for m, c in kept.items() if 2 * c == q and m]
        merged = _floor_atom(numerator, q, halves[0] if len(halves) == 1 else None)
    return make(out) + merged


def _floor_atom(p: Size, q: Size, half: Monomial | None = None) -> Size:
    """``floor(p/q)`` as it stands."""
    return make({(_atom(p, q, half),): 1})


def _atom(p: Size, q: Size, half: Monomial | None) -> Atom:
    return Atom(f"floor(({size_key(p)})/({size_key(q)}))", "floor", (p, q), half)


def _merge(p: Size, q: Size) -> Size | None:
    """``floor(p/q)`` for ``q >= 1`` with a floor of coefficient 1 or -1 in ``p`` merged into it, or None."""
    if isinstance(p, int):
        return None
    inner = [m for m, c in p.terms.items() if len(m) == 1 and c in (1, -1) and type(m[0]) is Atom and m[0].kind == "floor"]
    for m in sorted(inner):
        atom, sign = m[0], p.terms[m]
        assert isinstance(atom, Atom)
        a, d = atom.args
        if sign < 0:
            if not is_positive(d):
                continue
            a = d - 1 - a  # -floor(a/d) == floor((d - 1 - a)/d)
        rest = make({n: c for n, c in p.terms.items() if n != m})
        return floordiv(a + d * rest, d * q)
    return None


@lru_cache(MEMO)
def _by_expr(p: Size, q: Expr, nonzero: bool, flipped: bool = False) -> Size:
    if q.terms[min(q.terms, key=monomial_order)] < 0:
        return floordiv(-p, -q, nonzero=nonzero)
    positive = is_positive(q) or (nonzero and is_nonnegative(q))
    out, rest = divide(p, q) if nonzero or positive else (0, p)
    if type(rest) is int and rest == 0 and (nonzero or positive):
        return out
    p, reduced = cancel(rest, q, nonzero, positive)
    if reduced != q:
        return out + floordiv(p, reduced, nonzero=nonzero)
    if not positive:
        return out + _floor_atom(p, q)
    if leading(p) < 0 and not flipped:
        return out - 1 - _by_expr(-1 - p, q, nonzero, True)  # floor(-x/q) == -1 - floor((x - 1)/q) for q >= 1
    return out + _settle(p, q)


def _settle(p: Size, q: Expr) -> Size:
    """``floor(p/q)`` for ``q >= 1`` from which nothing more can be divided out."""
    if _inside(p, q):
        return 0
    merged = _merge(p, q)
    return _floor_atom(p, q) if merged is None else merged


def _inside(p: Size, q: Size) -> bool:
    """Whether ``0 <= p < q`` is provable."""
    return is_nonnegative(p) and is_nonnegative(q - 1 - p)


def _settle_halves(terms: dict[Monomial, int]) -> None:
    """Bring the floors of a sum, such as ``floor(n/2)``, to one form, in place: ``n - floor(n/2)`` is ``ceil(n/2)``.

    The mirror image of ``F = floor(n/2)`` is ``G = floor((n + 1)/2)``, and ``F + G == n``. So ``a*F + b*G + c*n`` is
    ``(a - b)*F + (c + b)*n`` and ``(b - a)*G + (c + a)*n``: the one with less of ``n`` stays, of two equal ones the first.
    Only floors that stand alone are looked at, not products with them.
    """
    for m in sorted(m for m in terms if len(m) == 1 and type(m[0]) is Atom and m[0].half is not None):
        if m not in terms:
            continue
        atom = m[0]
        assert isinstance(atom, Atom) and atom.half is not None
        mirror = _mirror(atom)
        first, second = ((atom,), (mirror,)) if atom < mirror else ((mirror,), (atom,))
        a, b, c = terms.pop(first, 0), terms.pop(second, 0), terms.pop(atom.half, 0)
        if abs(c + b) <= abs(c + a):
            new = {first: a - b, atom.half: c + b}
        else:
            new = {second: b - a, atom.half: c + a}
        terms.update((n, k) for n, k in new.items() if k)


def _mirror(atom: Atom) -> Atom:
    """The floor that the atom lacks to its monomial ``half``."""
    if atom.mirror is None:
        p, q = atom.args
        assert atom.half is not None and isinstance(q, int)
        atom.mirror = _atom(q * make({atom.half: 1}) + (q - 1) - p, q, atom.half)
    return atom.mirror


Hooks.floordiv = floordiv
Hooks.floordiv_int = _by_int
Hooks.settle_halves = _settle_halves
