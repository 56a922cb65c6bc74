"""Polynomial division, common factors, and other things one does with the terms of a size."""

from __future__ import annotations

from math import gcd

from fxcount.symbolic.bounds import is_nonnegative
from fxcount.symbolic.expr import Atom, Expr, Monomial, Size, make, monomial_order, terms_of

__all__ = ["cancel", "common_factors", "divide", "is_positive", "leading", "nonconstant", "size_key", "without"]


def size_key(size: Size) -> str:
    """A text that tells sizes apart, the same in every process.

    >>> from fxcount.symbolic.expr import symbol
    >>> B, H = symbol("B"), symbol("H")
    >>> size_key(2 * B * H + 1)
    '2*B*H+1*'
    """
    if isinstance(size, int):
        return str(size)
    return "+".join(f"{size.terms[m]}*{'*'.join(m)}" for m in sorted(size.terms, key=monomial_order))


def nonconstant(terms: dict[Monomial, int]) -> Expr:
    """The terms as an `Expr`; they are known to hold one that is not constant.

    >>> nonconstant({("H",): 2, (): 0})
    2*H
    """
    if not terms.get((), 1):
        del terms[()]
    size = make(terms)
    assert isinstance(size, Expr)
    return size


def leading(size: Size) -> int:
    return int(size) if isinstance(size, int) else size.terms[min(size.terms, key=monomial_order)]


def is_positive(size: Size) -> bool:
    """Whether the size is at least 1 for all symbols of at least 1.

    >>> from fxcount.symbolic.expr import symbol
    >>> B, H = symbol("B"), symbol("H")
    >>> leading(3 - 2 * H), leading(-5)
    (-2, -5)
    """
    return is_nonnegative(size - 1)


def divide(p: Size, q: Expr) -> tuple[Size, Size]:
    """Polynomial division: ``p == k*q + rest`` with integer coefficients in ``k``.

    >>> from fxcount.symbolic.expr import symbol
    >>> B, H = symbol("B"), symbol("H")
    >>> divide(B * H + B + 1, B)
    (H + 1, 1)
    """
    lead = min(q.terms, key=monomial_order)
    c = q.terms[lead]
    out: dict[Monomial, int] = {}
    rest = dict(terms_of(p))
    stuck: dict[Monomial, int] = {}  # terms the leading term of q does not divide
    while rest:
        m = min(rest, key=monomial_order)
        factor = without(m, lead)
        times = 0 if factor is None else _nearest(rest[m], c)
        if factor is not None and times:
            out[factor] = times
            for n, d in q.terms.items():
                key = tuple(sorted(factor + n))
                value = rest.get(key, 0) - times * d
                if value:
                    rest[key] = value
                else:
                    rest.pop(key, None)
        if m in rest:
            stuck[m] = rest.pop(m)
    return make(out), make(stuck)


def _nearest(a: int, c: int) -> int:
    """How often ``c > 0`` leaves ``a``, so that what stays lies in (-c/2, c/2]."""
    whole, rest = divmod(a, c)
    return whole + 1 if 2 * rest > c else whole


def without(m: Monomial, factors: Monomial) -> Monomial | None:
    """The monomial divided by these factors, or None.

    >>> without(("B", "H", "H"), ("H",)), without(("B",), ("H",))
    (('B', 'H'), None)
    """
    left = list(m)
    for factor in factors:
        if factor not in left:
            return None
        left.remove(factor)
    return tuple(left)


def cancel(p: Size, q: Expr, nonzero: bool, positive: bool) -> tuple[Size, Size]:
    """Numerator and denominator without common factors.

    For ``n >= 1`` an integer ``g`` need not divide the constant: ``floor((g*m + c)/(g*n)) == floor((m +
    floor(c/g))/n)``.

    >>> from fxcount.symbolic.expr import symbol
    >>> B, H = symbol("B"), symbol("H")
    >>> cancel(2 * B * H + 2 * B, 4 * B, False, True)
    (H + 1, 2)
    """
    terms = terms_of(p)
    content = gcd(*q.terms.values())
    common = gcd(content, *(c for m, c in terms.items() if m or not positive))
    if common > 1:
        p = make({m: c // common for m, c in terms.items() if c // common})
        q = nonconstant({m: c // common for m, c in q.terms.items()})
        terms = terms_of(p)
    shared = common_factors([*terms, *q.terms])
    shared = tuple(f for f in shared if nonzero or type(f) is not Atom or is_positive(make({(f,): 1})))
    if not shared:
        return p, q
    return tuple(  # type: ignore[return-value]
        make({n: c for m, c in size.items() if (n := without(m, shared)) is not None}) for size in (terms, q.terms)
    )


def common_factors(monomials: list[Monomial]) -> Monomial:
    """The factors all the monomials have in common.

    >>> common_factors([("B", "H", "H"), ("B", "H")])
    ('B', 'H')
    """
    shared, *rest = monomials
    if not set(shared).intersection(*rest):  # nearly always
        return ()
    for m in rest:
        left, both = list(m), []
        for factor in shared:
            if factor in left:
                left.remove(factor)
                both.append(factor)
        shared = tuple(both)
    return shared
