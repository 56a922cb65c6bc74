"""A fitted formula: a size with a denominator, in the names of hyper-parameters and of the inputs' symbols."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from fractions import Fraction
from math import gcd, lcm
from typing import Any, cast

from fxcount.dataclass import dataclass
from fxcount.errors import AssumptionError
from fxcount.interpolation.interpolate import Polynomials
from fxcount.symbolic import (
    Expr,
    Size,
    alternatives,
    combination,
    covers,
    free_symbols,
    largest,
    max_,
    prod,
    substitute,
    to_latex,
    to_sympy,
    to_text,
)
from fxcount.symbolic.expr import Monomial, make, terms_of

__all__ = ["Formula", "vector_of"]


def vector_of(sizes: Sequence[Size]) -> dict[Hashable, int]:
    """The coefficients of sizes, by position and monomial: what is interpolated.

    >>> from fxcount.symbolic import symbol
    >>> vector_of([3 * symbol("B"), 7])
    {(0, ('B',)): 3, (1, ()): 7}
    """
    return {(i, monomial): c for i, size in enumerate(sizes) for monomial, c in terms_of(size).items()}


@dataclass(frozen=True)
class Formula:
    """``numerator/denominator``, a whole number wherever it holds.

    >>> from fxcount.symbolic import symbol
    >>> d = symbol("d")
    >>> half = Formula(3 * d * d, 2)
    >>> str(half), half.at({"d": 4}), half.at({})
    ('3*d**2/2', Formula(numerator=24, denominator=1), Formula(numerator=3*d**2, denominator=2))
    """

    numerator: Size
    denominator: int = 1

    @classmethod
    def of(cls, polynomials: Polynomials, variables: Sequence[Size]) -> Formula:
        """From coefficients of vectors as :func:`vector_of` makes them; of several sizes the largest."""
        denominator = lcm(*[c.denominator for terms in polynomials.values() for c in terms.values()])
        parts: dict[Any, list[tuple[Size, int]]] = {}
        for key, terms in polynomials.items():
            position, monomial = cast("tuple[Any, Monomial]", key)
            rest = make({monomial: 1})
            for exponents, c in terms.items():
                term = prod([rest, *[v**k for v, k in zip(variables, exponents) if k]])
                parts.setdefault(position, []).append((term, int(c * denominator)))
        sizes = [combination(part) for _, part in sorted(parts.items())]
        return cls(cls.largest(sizes).numerator, denominator)

    @classmethod
    def largest(cls, sizes: Sequence[Size]) -> Formula:
        """The largest of sizes as they are."""
        if len(sizes) > 2:  # a quick look at all of them leaves few for a thorough one
            sizes = largest(sizes)
        return cls(max_(*sizes) if len(sizes) > 1 else sizes[0] if sizes else 0)

    def at(self, values: Mapping[str, int]) -> Formula:
        """With numbers for some of the names.

        Raises :class:`~fxcount.errors.AssumptionError` if it would be no whole number: there it does not hold.
        """
        numerator = substitute(self.numerator, values)
        if isinstance(numerator, Expr):
            shared = gcd(self.denominator, *numerator.terms.values())
            return Formula(make({m: c // shared for m, c in numerator.terms.items()}), self.denominator // shared)
        found = Fraction(numerator, self.denominator)
        if found.denominator != 1:
            raise AssumptionError(f"the formula {self} is {found} there, no whole number")
        return Formula(found.numerator)

    def same(self, other: Formula) -> bool:
        """Whether both give the same numbers, as far as is known."""
        return self == other or (self.at_most(other) and other.at_most(self))

    def at_most(self, other: Formula) -> bool:
        """Whether each of the sizes of which this is the largest is known to be at most one of those of the other."""
        larger = [size * self.denominator for size in alternatives(other.numerator)]
        return all(any(covers(b - a * other.denominator) for b in larger) for a in alternatives(self.numerator))

    @property
    def names(self) -> frozenset[str]:
        return free_symbols(self.numerator)

    def public(self) -> Any:
        """An ``int``, or a ``sympy.Expr``."""
        if isinstance(self.numerator, int):
            return self.numerator
        return to_sympy(self.numerator) if self.denominator == 1 else to_sympy(self.numerator) / self.denominator

    def to_latex(self) -> str:
        text = to_latex(self.numerator)
        return text if self.denominator == 1 else rf"\frac{{{text}}}{{{self.denominator}}}"

    def __str__(self) -> str:
        text = to_text(self.numerator)
        if self.denominator == 1:
            return text
        return f"{text}/{self.denominator}" if " " not in text else f"({text})/{self.denominator}"
