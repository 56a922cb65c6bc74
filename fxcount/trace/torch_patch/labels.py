"""Numbers that stand for symbolic sizes where a library computes with plain ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fxcount.symbolic import Scope, Size, SymSize, to_sym
from fxcount.symbolic.expr import make

__all__ = ["FIRST", "Labels"]

FIRST = 1009


class Labels:
    """The labels of one trace: a prime for each symbolic size that is no product, and products of them for products.

    >>> from fxcount.symbolic import Scope, to_sym
    >>> scope, labels = Scope({"B": 2, "S": 24}), Labels()
    >>> B, S = (to_sym(size, scope) for size in scope.symbols.values())
    >>> [labels.of(B), labels.of(S), labels.of(B), labels.of(7)], labels.size(7 * 1009 * 1013).expr
    ([1009, 1013, 1009, 7], 7*B*S)
    >>> labels.of(3 * B * S) == 3 * 1009 * 1013, labels.of(S + 1)
    (True, 1019)
    """

    def __init__(self) -> None:
        self._numbers: dict[Size, int] = {}
        self._sizes: dict[int, SymSize] = {}
        self._primes = _primes(FIRST)

    def of(self, size: Any) -> int:
        """The label of a symbolic size, and any other size itself."""
        if type(size) is not SymSize:
            return int(size)
        if len(size.expr.terms) != 1:
            return self._prime(size.expr, size.scope)
        ((factors, number),) = size.expr.terms.items()
        for factor in factors:
            number *= self._prime(make({(factor,): 1}), size.scope)
        return number

    def _prime(self, size: Size, scope: Scope) -> int:
        found = self._numbers.get(size)
        if found is None:
            found = self._numbers[size] = next(self._primes)
            self._sizes[found] = to_sym(size, scope)
        return found

    def size(self, number: int) -> Any:
        """What a number of a program stands for."""
        made: Any = 1
        for label, size in self._sizes.items():
            while number and number % label == 0:
                made, number = made * size, number // label
        return made * number


def _primes(first: int) -> Iterator[int]:
    found = first
    while True:
        if all(found % d for d in range(2, int(found**0.5) + 1)):
            yield found
        found += 1
