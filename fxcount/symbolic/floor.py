"""Floor division of sizes, brought to one canonical form.

``floordiv(p, q)`` follows Python: it rounds down, for negative numbers too. The canonical form of ``floor(p/q)`` is
found in this order; every step is an identity of the integers for all values the symbols may take:

1. what ``q`` divides leaves the floor: whole multiples by polynomial division, for an integer ``q`` also so much of
   each coefficient that what stays lies in (-q/2, q/2], and of the constant so much that [0, q) stays;
2. common factors of numerator and denominator cancel: integers, and factors that are provably not 0;
3. the leading coefficient is positive, for ``q >= 1``: ``floor(-p/q) = -floor((p + q - 1)/q) = -1 - floor((p - 1)/q)``;
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

from fxcount.symbolic.bounds import is_nonnegative, lower_bound, upper_bound, varies
from fxcount.symbolic.expr import MEMO, Atom, Expr, Hooks, Monomial, Size, halves_in, make, monomial_order, wrap
from fxcount.symbolic.pairs import floor_atom, of_partners, to_one_form, write_residues
from fxcount.symbolic.poly import cancel, divide, is_positive, leading

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
    merged = _merge(p, q)
    if merged is not None:
        return merged
    out, kept = _split(p.terms, q)
    if p.halves and out and halves_in(kept):  # what leaves the floor must not depend on how the floors in it are written
        out, kept = _split_in_one_form(p.terms, q)
    constant = kept.pop((), 0)
    if not kept:
        return make(out)
    common = gcd(q, *kept.values())
    if common > 1:
        kept = {m: c // common for m, c in kept.items()}
        q, constant = q // common, constant // common
    lead = min(kept, key=monomial_order)
    if kept[lead] < 0:
        negated = {m: -c for m, c in kept.items()}
        if constant != q - 1:
            negated[()] = q - 1 - constant
        return make(out) - _by_int(wrap(negated, p.halves), q)
    if constant:
        kept[()] = constant
    numerator = wrap(kept, p.halves)
    merged = _merge(numerator, q)
    if merged is None:
        merged = _in_one_step(numerator, q)
    if merged is None:
        merged = _new_atom(numerator, q)
    return make(out) + merged


def _new_atom(p: Expr, q: int) -> Size:
    """``floor(p/q)`` as it stands, or by a partner with only one value."""
    atom = floor_atom(p, q)
    if atom.paired and any(type(f) is Atom for m in p.terms for f in m):
        for partner, total in of_partners(atom):
            known = _in_one_step(partner.args[0], q)
            if known is not None:
                return total - known
    return make({(atom,): 1})


def _split(terms: dict[Monomial, int], q: int) -> tuple[dict[Monomial, int], dict[Monomial, int]]:
    """What leaves the floor over ``q``, and what stays."""
    out: dict[Monomial, int] = {}
    kept: dict[Monomial, int] = {}
    for m, c in terms.items():
        whole, rest = divmod(c, q)
        if m and 2 * rest > q:  # symmetric residue: 3*n/4 is n - n/4, and -n/4 is as good as 3*n/4
            whole, rest = whole + 1, rest - q
        if whole:
            out[m] = whole
        if rest:
            kept[m] = rest
    return out, kept


def _split_in_one_form(terms: dict[Monomial, int], q: int) -> tuple[dict[Monomial, int], dict[Monomial, int]]:
    plain = dict(terms)
    to_one_form(plain)
    _, kept = _split(plain, q)
    constant = kept.pop((), 0)
    write_residues(kept, to_one_form(kept), q)
    constant += kept.pop((), 0)
    if constant % q:
        kept[()] = constant % q
    rest = dict(kept)
    to_one_form(rest)
    out = {m: whole for m in plain.keys() | rest.keys() if (whole := (plain.get(m, 0) - rest.get(m, 0)) // q)}
    return out, kept


def _in_one_step(p: Size, q: int) -> int | None:
    """``floor(p/q)`` if the bounds of ``p`` leave only one value, as for ``n % 3 // 4``."""
    if isinstance(p, int) or not any(type(f) is Atom for m in p.terms for f in m):
        return None  # a polynomial has no bounds
    if varies(p, q):
        return None
    low, high = lower_bound(p), upper_bound(p)
    return low // q if low is not None and high is not None and low // q == high // q else None


def _floor_atom(p: Size, q: Size) -> Size:
    """``floor(p/q)`` as it stands."""
    return make({(floor_atom(p, q),): 1})


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


Hooks.floordiv = floordiv
Hooks.floordiv_int = _by_int
