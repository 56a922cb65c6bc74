"""Sizes at which everything known is true. What is false there has no proof, so that none needs to be tried.

Most questions about sizes have no proof: whether a window is the whole, whether two strides are equal. To find none takes
far longer than to look at one example.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from fxcount.symbolic.expr import MEMO, Expr, Size
from fxcount.symbolic.values import Factors, free_symbols

__all__ = ["Statement", "Trial", "Witness", "alike", "trials", "witness_at"]

_DIVISORS = (2520, 672, 224, 168, 120, 64, 28, 12)
"""What sizes are multiples of where floors are exact, or a slice is the whole."""


class Statement(NamedTuple):
    """``size == 0`` for the relation "==", ``size % modulus == 0`` for "%", and so on for "!=" and ">="."""

    relation: str
    size: Size
    modulus: int = 0

    def holds(self, value: int) -> bool:
        """Whether it is true where the size has this value."""
        if self.relation == ">=":
            return value >= 0
        return value != 0 if self.relation == "!=" else value == 0 if self.relation == "==" else value % self.modulus == 0


class Witness:
    """One number for each symbol.

    >>> from fxcount.symbolic.expr import symbol
    >>> H = symbol("H")
    >>> found = Witness({"H": 224})
    >>> found.at(H // 5), found.agrees([Statement("%", H, 32), Statement(">=", H - 300)])
    (44, False)
    """

    __slots__ = ("_factors", "_values", "values")

    def __init__(self, values: Mapping[str, int]) -> None:
        self.values = dict(values)
        self._factors = Factors(self.values)
        self._values: dict[Expr, int | None] = {}

    def __reduce__(self) -> tuple[type[Witness], tuple[dict[str, int]]]:
        return Witness, (self.values,)

    def at(self, size: Size) -> int | None:
        """The value of the size, ``None`` where it has none."""
        if type(size) is not Expr:
            return size  # type: ignore[return-value]
        known = self._values
        found = known.get(size)
        if found is not None or size in known:
            return found
        if len(known) >= MEMO:
            known.clear()
            self._factors.clear()
        try:
            value = self._factors.total(size)
        except ZeroDivisionError:
            value = None
        known[size] = value
        return value

    def agrees(self, statements: Iterable[Statement]) -> bool:
        """Whether all of these are true."""
        for statement in statements:
            value = self.at(statement.size)
            if value is None or not statement.holds(value):
                return False
        return True

    def near(self, wanted: Statement, known: Iterable[Statement]) -> Witness | None:
        """Other numbers at which what is wanted is true, and all that is known: it may be linear in one of its symbols, or
        about 1, or about multiples. ``None`` says nothing.

        >>> from fxcount.symbolic.expr import symbol
        >>> H = symbol("H")
        >>> found = Witness({"H": 200}).near(Statement("==", 28 * (H // 28) - H), [Statement(">=", 227 - H)])
        >>> found and found.at(H)
        196
        """
        names = sorted(free_symbols(wanted.size))
        off = self.at(wanted.size) or 0
        changes = [{name: number} for name in names for number in (self.values[name] - off, self.values[name] + off, 1)]
        changes += [{name: max(1, round(self.values[name] / d)) * d for name in names} for d in _DIVISORS]
        changes += [{name: self.values[name] + 1} for name in names]
        for change in changes:
            if min(change.values(), default=0) >= 1:
                found = Witness({**self.values, **change})
                if found.agrees([wanted]) and found.agrees(known):
                    return found
        return None


class _InTurn(dict[str, int]):
    """One of some numbers for every symbol there is, in the order in which they are met."""

    __slots__ = ("_numbers", "_turns")

    def __init__(self, numbers: Sequence[int], turns: dict[str, int]) -> None:
        super().__init__()
        self._numbers, self._turns = numbers, turns

    def __missing__(self, name: str) -> int:
        turn = self._turns.setdefault(name, len(self._turns))
        return self._numbers[turn % len(self._numbers)]


class Trial:
    """Numbers for all symbols there are, at which any size can be tried.

    Values are kept of the factors, not of the sizes: most are asked about once.
    """

    __slots__ = ("_factors",)

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self._factors = Factors(numbers)

    def at(self, size: Size) -> int | None:
        """The value of the size, ``None`` where it has none."""
        if type(size) is not Expr:
            return size  # type: ignore[return-value]
        if len(self._factors) >= MEMO:
            self._factors.clear()
        try:
            return self._factors.total(size)
        except ZeroDivisionError:
            return None


@lru_cache(64)
def alike(number: int) -> Trial:
    """The same number for all symbols.

    >>> from fxcount.symbolic.expr import symbol
    >>> alike(7).at(symbol("H") * symbol("W"))
    49
    """
    return Trial(_InTurn((number,), {}))


@lru_cache(1)
def trials() -> tuple[Trial, ...]:
    """All symbols alike: 1, or a number of many divisors; then each symbol one of three numbers, in every order: the smallest,
    one with no divisor, and one with many. The first five have all of them for one symbol.

    >>> from fxcount.symbolic.expr import symbol
    >>> sorted([trial.at(symbol("H")) for trial in trials()[:5]])
    [1, 1, 131, 5040, 10080]
    """
    turns: dict[str, int] = {}
    orders = ((1, 131, 10080), (131, 10080, 1), (10080, 1, 131), (1, 10080, 131), (131, 1, 10080), (10080, 131, 1))
    return alike(1), alike(5040), *[Trial(_InTurn(numbers, turns)) for numbers in orders]


@lru_cache(256)
def witness_at(values: tuple[tuple[str, int], ...]) -> Witness:
    """The one for these symbols, which is used again by all who ask for the same.

    >>> witness_at((("H", 224),)) is witness_at((("H", 224),))
    True
    """
    return Witness(dict(values))
