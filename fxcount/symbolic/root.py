"""The exact square root of a size that is a perfect square."""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from typing import NamedTuple

from fxcount.symbolic.bounds import is_nonnegative
from fxcount.symbolic.expr import Expr, Monomial, Size, make, monomial_order, terms_of

__all__ = ["Root", "exact_root", "root_of_equals"]


class Root(NamedTuple):
    """A square root, where sizes are equal."""

    size: Size
    equal: tuple[tuple[Size, Size], ...]


def root_of_equals(area: Expr, hint: Callable[[Size], int]) -> Root | None:
    """The root of a product whose factors are equal by twos at the sample values, or None.

    >>> from fxcount.symbolic.expr import symbol
    >>> root_of_equals(4 * symbol("H") * symbol("W"), lambda size: 7)
    Root(size=2*H, equal=((H, W),))
    """
    if len(area.terms) != 1:
        return None
    ((factors, c),) = area.terms.items()
    side = isqrt(c) if c > 0 else 0
    sizes = [make({(factor,): 1}) for factor in factors]
    sizes.sort(key=hint)
    pairs = tuple(zip(sizes[::2], sizes[1::2], strict=False))
    if side * side != c or len(sizes) % 2 or any([hint(a) != hint(b) for a, b in pairs]):
        return None
    root: Size = side
    for one, _ in pairs:
        root = root * one
    return Root(root, tuple([(a, b) for a, b in pairs if a != b]))


def exact_root(size: Size) -> Size | None:
    """The root ``r >= 0`` with ``r*r == size``, or None if the size is not provably such a square.

    >>> from fxcount.symbolic.expr import symbol
    >>> h = symbol("h")
    >>> exact_root(h * h + 2 * h + 1), exact_root(49 * h**4), exact_root(h), exact_root(49)
    (h + 1, 7*h**2, None, 7)
    """
    if isinstance(size, int):
        root = isqrt(size) if size >= 0 else -1
        return root if root * root == size else None
    top = min(size.terms, key=monomial_order)
    first = _root_of_term(top, size.terms[top])
    if first is None:
        return None
    lead, c = first
    root_: Size = make({lead: c})
    for _ in range(len(size.terms)):  # as by hand: the next term is the leading rest over twice the leading root
        rest = size - root_ * root_
        terms = terms_of(rest)
        if isinstance(rest, int) and rest == 0:
            return root_ if is_nonnegative(root_) else None
        m = min(terms, key=monomial_order)
        left = list(m)
        for factor in lead:
            if factor not in left:
                return None
            left.remove(factor)
        if terms[m] % (2 * c):
            return None
        root_ = root_ + make({tuple(left): terms[m] // (2 * c)})
    return None


def _root_of_term(m: Monomial, c: int) -> tuple[Monomial, int] | None:
    root = isqrt(c) if c > 0 else 0
    if not root or root * root != c or m[::2] != m[1::2]:  # sorted: a square repeats every factor in pairs
        return None
    return m[::2], root
