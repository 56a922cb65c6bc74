"""Quotients of sizes in lowest terms, and their comparison with numbers."""

from __future__ import annotations

from math import gcd

from fxcount.symbolic.expr import Expr, Size, make
from fxcount.symbolic.poly import cancel, divide
from fxcount.symbolic.scope import Comparison

__all__ = ["holds", "reduced", "simplest"]


def holds(relation: Comparison, a: int, b: int) -> bool:
    """Whether ``a relation b``.

    >>> holds("<=", 2, 3), holds("!=", 3, 3)
    (True, False)
    """
    return {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[relation]


def simplest(left: Expr, right: int, relation: Comparison) -> tuple[Size, int]:
    """``k*e relation right`` as ``e relation right/k``, rounded to the side that says the same of integers.

    >>> from fxcount.symbolic.expr import symbol
    >>> B, H = symbol("B"), symbol("H")
    >>> simplest(3 * H, 10, ">="), simplest(3 * H, 10, "<=")
    ((H, 4), (H, 3))
    """
    content = gcd(*left.terms.values())
    if content == 1 or (relation in ("==", "!=") and right % content):
        return left, right
    bound = -(-right // content) if relation in (">=", "<") else right // content
    return make({m: c // content for m, c in left.terms.items()}), bound


def reduced(num: Size, den: Size) -> tuple[Size, Size]:
    """The fraction in lowest terms, as far as polynomial division and common factors show; ``den`` is not 0.

    >>> from fxcount.symbolic.expr import symbol
    >>> B, H = symbol("B"), symbol("H")
    >>> reduced(6 * H, 4), reduced(B * H, 2 * B), reduced(B * H, B)
    ((3*H, 2), (H, 2), (H, 1))
    """
    if isinstance(den, int):
        if den < 0:
            num, den = -num, -den
        common = gcd(den, *num.terms.values()) if isinstance(num, Expr) else gcd(den, num)
        if common > 1:
            num = make({m: c // common for m, c in num.terms.items()}) if isinstance(num, Expr) else num // common
            den //= common
        return num, den
    whole, rest = divide(num, den)
    if isinstance(rest, int) and rest == 0:
        return whole, 1
    return cancel(num, den, True, False)
