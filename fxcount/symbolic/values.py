"""The value of a size for given numbers, and the symbols in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from fxcount.errors import SizeError
from fxcount.symbolic.expr import DEEP, MEMO, Atom, Expr, Size, atoms_of

__all__ = ["evaluate", "free_symbols", "name_of"]


def free_symbols(size: Size) -> frozenset[str]:
    """The names of the symbols the size depends on.

    >>> from fxcount.symbolic.expr import symbol
    >>> sorted(free_symbols(symbol("B") * (symbol("H") // 2) + 1))
    ['B', 'H']
    """
    return _free_symbols(size) if isinstance(size, Expr) else frozenset()


def name_of(size: Size) -> str | None:
    """The name of a size that is one symbol and nothing else.

    >>> from fxcount.symbolic.expr import symbol
    >>> name_of(symbol("B")), name_of(2 * symbol("B")), name_of(7)
    ('B', None, None)
    """
    if not isinstance(size, Expr) or len(size.terms) != 1:
        return None
    ((factors, coefficient),) = size.terms.items()
    return factors[0] if coefficient == 1 and len(factors) == 1 and isinstance(factors[0], str) else None


@lru_cache(MEMO)
def _free_symbols(size: Expr) -> frozenset[str]:
    names: set[str] = set()
    for factor in {f for m in size.terms for f in m}:
        if isinstance(factor, Atom):
            names |= factor.names
        else:
            names.add(factor)
    return frozenset(names)


def evaluate(size: Size, values: Mapping[str, int], memo: dict[str, int] | None = None) -> int:
    """The exact value; integers of any length.

    Many sizes at the same values share their floors: give them one ``memo`` (at first empty), and each is computed
    once.

    Raises:
        SizeError: a symbol has no value.
        ZeroDivisionError: a divisor is 0 for these values.

    >>> from fxcount.symbolic.expr import symbol
    >>> evaluate(symbol("B") ** 3 * (symbol("H") // 2), {"B": 10**9, "H": 7})
    3000000000000000000000000000
    """
    if isinstance(size, int):
        return int(size)
    if isinstance(size, Expr):
        return _evaluate(size, values, {} if memo is None else memo)
    return int(size.subs({s: values[s.name] for s in size.free_symbols}))  # sympy's, as reports hand it out


def _evaluate(size: Size, values: Mapping[str, int], memo: dict[str, int]) -> int:
    if isinstance(size, int):
        return int(size)
    total = 0
    for m, c in size.terms.items():
        for factor in m:
            value = memo.get(factor)
            if value is None:
                value = memo[factor] = _value(factor, values, memo)
            c *= value
        total += c
    return total


def _value(factor: str, values: Mapping[str, int], memo: dict[str, int]) -> int:
    if isinstance(factor, Atom):
        if factor.depth > DEEP:
            for atom in atoms_of(*factor.args, known=memo):
                memo[atom] = _value_of_atom(atom, values, memo)
        return _value_of_atom(factor, values, memo)
    try:
        return int(values[factor])
    except KeyError:
        known = ", ".join(sorted(values)) or "none"
        raise SizeError(f"no value for the symbol {factor!r}", hint=f"give one for each symbol; given: {known}") from None


def _value_of_atom(atom: Atom, values: Mapping[str, int], memo: dict[str, int]) -> int:
    arguments = [_evaluate(a, values, memo) for a in atom.args]
    if atom.kind == "floor":
        return arguments[0] // arguments[1]
    return max(arguments) if atom.kind == "max" else min(arguments)
