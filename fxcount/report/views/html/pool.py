"""Tables of what occurs often: each thing is written once and known by its number."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

__all__ = ["Pool", "runs"]

T = TypeVar("T", bound=Hashable)


class Pool(Generic[T]):
    """Things in the order of their first appearance.

    >>> pool = Pool[str]()
    >>> pool("a"), pool("b"), pool("a"), pool.items
    (0, 1, 0, ['a', 'b'])
    """

    def __init__(self) -> None:
        self.items: list[T] = []
        self._known: dict[T, int] = {}

    def __call__(self, thing: T) -> int:
        number = self._known.get(thing)
        if number is None:
            number = self._known[thing] = len(self.items)
            self.items.append(thing)
        return number


_KEY = 8
_STEP = 128  # entries that are compared at once


def runs(column: Sequence[int]) -> list[int | list[int]]:
    """A column of numbers, in which what repeats is written once: ``[start, count]`` stands for a copy of so many entries from
    the place ``start`` on, which may be entries of this very copy. Eighty equal layers are one layer and one copy.

    >>> runs([7, *[1, 2, 1, 3, 1, 4, 5, 6, 8] * 3, 9])
    [7, 1, 2, 1, 3, 1, 4, 5, 6, 8, [1, 18], 9]
    """
    found: list[int | list[int]] = []
    keys = list(zip(*[column[k:] for k in range(_KEY)], strict=False))  # the next entries from each place on
    seen: dict[tuple[int, ...], int] = {}
    i, noted = 0, 0
    while i < len(column):
        start = seen.get(keys[i]) if i < len(keys) else None
        if start is None:
            found.append(column[i])
            i += 1
        else:
            count = _KEY
            while i + count + _STEP <= len(column) and (
                column[start + count : start + count + _STEP] == column[i + count : i + count + _STEP]
            ):
                count += _STEP
            while i + count < len(column) and column[start + count] == column[i + count]:
                count += 1
            found.append([start, count])
            i += count
        seen.update(zip(keys[noted:i], range(noted, i), strict=False))
        noted = i
    return found
