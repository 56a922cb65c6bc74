"""Sequences that are polynomials on each residue class: rounding up to multiples of 8, padding, integer division.

>>> find_period(lambda k: {"n": 64 * -(-(k + 5) // 8)}, 100)
(8, 4)
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import pairwise
from math import comb
from typing import TypeAlias

__all__ = ["find_period", "is_polynomial", "longest_period"]

Vector: TypeAlias = Mapping[Hashable, int]
DEGREE = 2
MOST = 16
"""Longest period of residue classes that is looked for."""
MOST_STEPS = 64
"""Longest run of equal values."""


def is_polynomial(values: Sequence[Vector], degree: int) -> bool:
    """Whether vectors at equally spaced points are those of a polynomial of at most this degree; too few never are.

    >>> is_polynomial([{"n": k * k} for k in range(4)], 2), is_polynomial([{"n": k * k} for k in range(3)], 2)
    (True, False)
    """
    rows = [dict(v) for v in values]
    for _ in range(degree + 1):
        rows = _differences(rows)
    return bool(rows) and not any(number for row in rows for number in row.values())


def find_period(value: Callable[[int], Vector], count: int) -> tuple[int, int] | None:
    """The smallest period ``p`` of a sequence, and the place (below ``p``) where a run of it begins; ``None`` if none is seen.

    ``value`` gives the terms 0 to ``count - 1``, and is asked for as few as settle it: from the beginning, and some far on to
    confirm. A period is one on whose residue classes the sequence is polynomial, of degree at most 2; or that of a sequence
    which changes only every ``p`` terms.
    """
    known: list[Vector] = []
    for period in range(2, longest_period(count) + 1):
        known += [value(k) for k in range(len(known), period * (DEGREE + 2))]
        found = _steps(known)
        if found is not None and _steps_on(found, value, count):
            return found
        if _polynomial_classes(known, period) and _classes_go_on(known, period, value, count):
            return period, _phase(known, period)
    known += [value(k) for k in range(len(known), min(count, 3 * MOST_STEPS))]
    found = _steps(known)
    return found if found is not None and _steps_on(found, value, count) else None


def longest_period(count: int) -> int:
    """The longest period of residue classes that so many terms can show.

    >>> longest_period(10), longest_period(100)
    (2, 16)
    """
    return min(count // (DEGREE + 2), MOST)


def _polynomial_classes(known: Sequence[Vector], period: int) -> bool:
    return all(is_polynomial(known[k::period], DEGREE) for k in range(period))


def _classes_go_on(known: Sequence[Vector], period: int, value: Callable[[int], Vector], count: int) -> bool:
    """Whether terms further on are those of the polynomials through the first of each class."""
    for k in sorted({count - 1, count // 2, (len(known) + count) // 2, len(known)}):
        if len(known) <= k < count:
            through = known[k % period :: period][: DEGREE + 1]
            if _clean(value(k)) != _clean(_extrapolated(through, k // period)):
                return False
    return True


def _extrapolated(values: Sequence[Vector], place: int) -> dict[Hashable, int]:
    """The polynomial through values at 0, 1, 2, ... at another place, by differences."""
    rows = [dict(v) for v in values]
    total: dict[Hashable, int] = {}
    for degree in range(len(values)):
        for key, difference in rows[0].items():
            total[key] = total.get(key, 0) + difference * comb(place, degree)
        rows = _differences(rows)
    return total


def _clean(vector: Vector) -> dict[Hashable, int]:
    return {key: number for key, number in vector.items() if number}


def _differences(rows: Sequence[Vector]) -> list[dict[Hashable, int]]:
    return [{k: b.get(k, 0) - a.get(k, 0) for k in a.keys() | b.keys()} for a, b in pairwise(rows)]


def _steps(values: Sequence[Vector]) -> tuple[int, int] | None:
    """Length and beginning of runs of equal values, if all seen are of the same length."""
    jumps = [k for k in range(1, len(values)) if values[k] != values[k - 1]]
    lengths = {b - a for a, b in pairwise(jumps)}
    if len(lengths) != 1:
        return None
    (length,) = lengths
    if length < 2 or jumps[0] > length or len(values) - jumps[-1] > length:
        return None
    return length, jumps[0] % length


def _steps_on(found: tuple[int, int], value: Callable[[int], Vector], count: int) -> bool:
    """Whether the last whole run is one too."""
    length, phase = found
    begin = phase + (count - phase) // length * length - length
    return value(begin) == value(begin + length - 1) != value(begin - 1)


def _phase(values: Sequence[Vector], period: int) -> int:
    """Where runs begin: such that within a run the sequence is as simple as possible."""
    for degree in (0, 1, 2):
        for phase in range(period):
            runs = [values[k : k + period] for k in range(phase, len(values) - period + 1, period)]
            if period > degree + 1 and all(is_polynomial(run, degree) for run in runs):
                return phase
    return 0
