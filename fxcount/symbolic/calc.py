"""Substitution of symbols and of whole factors by other sizes."""

from __future__ import annotations

from collections.abc import Mapping

from fxcount.symbolic.expr import DEEP, Atom, Size, atoms_of, make
from fxcount.symbolic.extrema import max_, min_
from fxcount.symbolic.floor import floordiv
from fxcount.symbolic.values import free_symbols

__all__ = ["rewrite", "substitute"]


def substitute(size: Size, values: Mapping[str, Size]) -> Size:
    """The size with symbols replaced by other sizes, in canonical form again.

    >>> from fxcount.symbolic.expr import symbol
    >>> h, H = symbol("h"), symbol("H")
    >>> substitute((H + 5) // 32 * H, {"H": 32 * h})
    32*h**2
    """
    if isinstance(size, int) or not (free_symbols(size) & values.keys()):
        return size
    return _substitute(size, values, {})


def rewrite(size: Size, values: Mapping[str, Size]) -> Size:
    """`substitute` for whole factors: the keys may be atoms as well as names.

    >>> from fxcount.symbolic.expr import symbol
    >>> half = symbol("H") // 2
    >>> rewrite(3 * half + 1, {factor: 7 for m in half.terms for factor in m})
    22
    """
    if isinstance(size, int):
        return size
    names = free_symbols(size)
    for factor in values:
        if not (factor.names.isdisjoint(names) if isinstance(factor, Atom) else factor not in names):
            return _substitute(size, values, {})
    return size


def _substitute(size: Size, values: Mapping[str, Size], memo: dict[str, Size]) -> Size:
    if isinstance(size, int):
        return size
    total: Size = 0
    for m, c in size.terms.items():
        term: Size = c
        for factor in m:
            new = memo.get(factor)
            if new is None:
                new = memo[factor] = _replaced(factor, values, memo)
            term = term * new
        total = total + term
    return total


def _replaced(factor: str, values: Mapping[str, Size], memo: dict[str, Size]) -> Size:
    if factor in values:
        return values[factor]
    if not isinstance(factor, Atom):
        return make({(factor,): 1})
    if factor.depth > DEEP:
        for atom in atoms_of(*factor.args, known=memo):
            memo[atom] = values[atom] if atom in values else _with_arguments(atom, values, memo)
    return _with_arguments(factor, values, memo)


def _with_arguments(atom: Atom, values: Mapping[str, Size], memo: dict[str, Size]) -> Size:
    arguments = [_substitute(a, values, memo) for a in atom.args]
    if atom.kind == "floor":
        return floordiv(arguments[0], arguments[1])
    return max_(*arguments) if atom.kind == "max" else min_(*arguments)
