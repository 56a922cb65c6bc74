"""The value of a size for given numbers, and the symbols in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from fxcount.errors import SizeError
from fxcount.symbolic.expr import DEEP, MEMO, Atom, Expr, Size, atoms_of

__all__ = ["Factors", "evaluate", "free_symbols", "name_of"]


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


class Factors(dict[str, int]):
    """The values of symbols and atoms at ``given`` numbers: each is worked out when it is first asked for.

    >>> from fxcount.symbolic.expr import symbol
    >>> H = symbol("H")
    >>> known = Factors({"H": 7})
    >>> evaluate(H // 2, known), [int(v) for v in known.values()], evaluate((H // 2) ** 2, known)
    (3, [7, 3], 9)
    """

    __slots__ = ("given",)

    def __init__(self, given: Mapping[str, int]) -> None:
        super().__init__()
        self.given = given

    def __missing__(self, factor: str) -> int:
        if type(factor) is Atom:
            if factor.depth > DEEP:
                for atom in atoms_of(*factor.args, known=self):
                    self[atom] = self._of(atom)
            value = self._of(factor)
        else:
            try:
                value = int(self.given[factor])
            except KeyError:
                known = ", ".join(sorted(self.given)) or "none"
                hint = f"give one for each symbol; given: {known}"
                raise SizeError(f"no value for the symbol {factor!r}", hint=hint) from None
        self[factor] = value
        return value

    def _of(self, atom: Atom) -> int:
        found = [a if type(a) is int else self.total(a) for a in atom.args]  # type: ignore[arg-type]
        if atom.kind == "floor":
            return found[0] // found[1]
        return max(found) if atom.kind == "max" else min(found)

    def total(self, size: Expr) -> int:
        """The value of a size."""
        total = 0
        for m, c in size.terms.items():
            for factor in m:
                c *= self[factor]
            total += c
        return total


def evaluate(size: Size, values: Mapping[str, int]) -> int:
    """The exact value; integers of any length.

    Many sizes at the same values share their floors: give `Factors` of the values, and each is computed once.

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
        return (values if type(values) is Factors else Factors(values)).total(size)
    return int(size.subs({s: values[s.name] for s in size.free_symbols}))  # sympy's, as reports hand it out
