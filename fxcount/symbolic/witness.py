"""Sizes at which everything known is true. What is false there has no proof, so that none needs to be tried.

Most questions about sizes have no proof: whether a window is the whole, whether two strides are equal. To find none takes
far longer than to look at one example.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

from fxcount.symbolic.expr import MEMO, Expr, Size
from fxcount.symbolic.values import evaluate, free_symbols

__all__ = ["Statement", "Witness", "witness_at"]

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

    __slots__ = ("_memo", "_values", "values")

    def __init__(self, values: Mapping[str, int]) -> None:
        self.values = dict(values)
        self._memo: dict[str, int] = {}  # of floors at these numbers
        self._values: dict[Expr, int | None] = {}

    def __reduce__(self) -> tuple[type[Witness], tuple[dict[str, int]]]:
        return Witness, (self.values,)

    def at(self, size: Size) -> int | None:
        """The value of the size, ``None`` where it has none."""
        if type(size) is not Expr:
            return size  # type: ignore[return-value]
        known = self._values
        if size in known:
            return known[size]
        if len(known) >= MEMO:
            known.clear()
            self._memo.clear()
        value: int | None = None
        with suppress(ZeroDivisionError):
            value = evaluate(size, self.values, self._memo)
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


@lru_cache(256)
def witness_at(values: tuple[tuple[str, int], ...]) -> Witness:
    """The one for these symbols, which is used again by all who ask for the same.

    >>> witness_at((("H", 224),)) is witness_at((("H", 224),))
    True
    """
    return Witness(dict(values))
