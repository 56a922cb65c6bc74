"""Polynomials from as few values as possible: Newton's interpolation on a set of exponents that grows as it is needed.

Values are taken at the points of a grid, ``(nodes[0][i], nodes[1][j], ...)``. The value at the index ``(i, j, ...)`` decides
one coefficient, that of ``(x - x_0) ... (x - x_(i-1)) (y - y_0) ... (y - y_(j-1)) ...``; where it is 0, nothing beyond is asked
for. So ``12*L*d**2 + d`` takes the values of its six exponents and those next to them, not of a box. What is interpolated are
vectors: a mapping from keys to numbers, 0 where a key is missing. All arithmetic is exact.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from fractions import Fraction
from math import prod
from typing import TypeAlias

__all__ = ["Index", "NoPolynomial", "Polynomials", "Vector", "interpolate", "value_at"]

Index: TypeAlias = tuple[int, ...]
Vector: TypeAlias = Mapping[Hashable, int]
Polynomials: TypeAlias = dict[Hashable, dict[Index, Fraction]]
"""For each key the coefficient of each monomial, by its exponents."""
_Coefficients: TypeAlias = dict[Index, dict[Hashable, Fraction]]


class NoPolynomial(Exception):
    """The values are no polynomial of the highest degree allowed in this variable, a position."""

    def __init__(self, variable: int) -> None:
        self.variable = variable
        super().__init__(variable)


def interpolate(
    value: Callable[[Index], Vector], nodes: Sequence[Sequence[int]], most: Sequence[int]
) -> Polynomials:
    """The polynomials with these values at the grid of ``nodes``, of degree at most ``most`` in each variable.

    ``value`` gets an index of the grid. A variable with ``k`` nodes is given a degree below ``k``; only if it has one node more
    than its degree has the degree been tested. Raises :class:`NoPolynomial` where the degree passes ``most``.

    >>> xs, ys = [1, 2, 3, 4], [5, 7, 11]
    >>> found = interpolate(lambda i: {"f": 3 * xs[i[0]] ** 2 * ys[i[1]] - 1}, [xs, ys], [3, 3])
    >>> {exponents: int(c) for exponents, c in found["f"].items()}
    {(0, 0): -1, (2, 1): 3}
    """
    coefficients: _Coefficients = {}
    start = (0,) * len(nodes)
    waiting = [(0, start)]
    while waiting:
        degree, index = heapq.heappop(waiting)
        found = _divided(index, value(index), coefficients, nodes)
        if not found and degree:
            continue
        coefficients[index] = found
        for i, exponent in enumerate(index):
            if exponent > most[i]:
                raise NoPolynomial(i)
            after = (*index[:i], exponent + 1, *index[i + 1 :])
            if exponent + 1 < len(nodes[i]) and all(before in coefficients for before in _before(after)):
                heapq.heappush(waiting, (degree + 1, after))
    return _expanded(coefficients, nodes)


def value_at(polynomials: Polynomials, point: Sequence[int]) -> dict[Hashable, Fraction]:
    """The vector at a point, without the keys whose value is 0.

    >>> value_at({"f": {(2, 1): Fraction(3, 2), (0, 0): Fraction(-1)}}, [4, 5])
    {'f': Fraction(119, 1)}
    """
    found = {key: _at(terms, point) for key, terms in polynomials.items()}
    return {key: number for key, number in found.items() if number}


def _at(terms: Mapping[Index, Fraction], point: Sequence[int]) -> Fraction:
    return sum((c * prod([x**k for x, k in zip(point, exponents)]) for exponents, c in terms.items()), Fraction(0))


def _before(index: Index) -> Iterator[Index]:
    for i, exponent in enumerate(index):
        if exponent:
            yield (*index[:i], exponent - 1, *index[i + 1 :])


def _divided(
    index: Index, value: Vector, coefficients: _Coefficients, nodes: Sequence[Sequence[int]]
) -> dict[Hashable, Fraction]:
    """The coefficient at this index: what the lower ones leave of the value, divided."""
    rest: dict[Hashable, Fraction] = {key: Fraction(number) for key, number in value.items()}
    for lower, vector in coefficients.items():
        weight = _basis(lower, index, nodes)
        if weight:
            for key, c in vector.items():
                rest[key] = rest.get(key, Fraction(0)) - c * weight
    own = _basis(index, index, nodes)
    return {key: c / own for key, c in rest.items() if c}


def _basis(lower: Index, index: Index, nodes: Sequence[Sequence[int]]) -> int:
    """The basis polynomial of ``lower`` at the grid point ``index``; 0 unless it is below in every variable."""
    return prod([nodes[i][k] - nodes[i][j] for i, (n, k) in enumerate(zip(lower, index)) for j in range(n)])


def _expanded(coefficients: _Coefficients, nodes: Sequence[Sequence[int]]) -> Polynomials:
    found: Polynomials = {}
    for index, vector in coefficients.items():
        for exponents, weight in _monomials(index, nodes):
            for key, c in vector.items():
                terms = found.setdefault(key, {})
                terms[exponents] = terms.get(exponents, Fraction(0)) + c * weight
    cleaned = {key: {e: c for e, c in sorted(terms.items()) if c} for key, terms in found.items()}
    return {key: terms for key, terms in cleaned.items() if terms}


def _monomials(index: Index, nodes: Sequence[Sequence[int]]) -> list[tuple[Index, int]]:
    """A basis polynomial multiplied out."""
    found: list[tuple[Index, int]] = [((), 1)]
    for i, degree in enumerate(index):
        factor = [1]  # coefficients by exponent
        for j in range(degree):
            factor = [a - nodes[i][j] * b for a, b in zip([0, *factor], [*factor, 0])]
        found = [((*exponents, k), c * d) for exponents, c in found for k, d in enumerate(factor) if d]
    return found
