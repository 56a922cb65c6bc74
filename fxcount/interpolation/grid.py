"""The points of hyper-parameters at which models are built: variables, their values, and the grid an interpolation asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from itertools import pairwise

from fxcount.dataclass import dataclass
from fxcount.interpolation.interpolate import Index
from fxcount.symbolic import Size, symbol

__all__ = ["Axis", "Grid", "Period"]

Point = tuple[int, ...]


@dataclass(frozen=True)
class Axis:
    """One hyper-parameter and its values, ascending, multiples of ``step`` apart. Below ``least`` the model is another."""

    name: str
    values: tuple[int, ...]
    step: int
    least: int = 1

    def __str__(self) -> str:
        few = len(self.values) <= 6
        listed = ", ".join(map(str, self.values if few else self.values[:2])) + ("" if few else f", ..., {self.values[-1]}")
        return f"{self.name} = {listed}"

    @property
    def regular(self) -> bool:
        """Whether the values are equally spaced."""
        return all(b - a == self.step for a, b in pairwise(self.values))

    def fits(self, value: int) -> bool:
        """Whether it is a whole number of steps from the values.

        >>> Axis("d", (64, 128), 64).fits(1024), Axis("d", (64, 128), 64).fits(100)
        (True, False)
        """
        if value < self.least:
            return False
        return value == self.values[0] if len(self.values) == 1 else (value - self.values[0]) % self.step == 0

    def above(self, count: int) -> Axis:
        """Without so many of the smallest values.

        >>> Axis("S", (2, 3, 4, 5), 1).above(2).fits(3)
        False
        """
        return replace(self, values=self.values[count:], least=self.values[count])

    def beyond(self, steps: int) -> int:
        """A value outside, so many steps above the largest."""
        return self.values[-1] + steps * self.step


@dataclass(frozen=True)
class Period:
    """A variable ``x`` as whole periods ``(x + shift)//length`` and what is left, ``(x + shift) % length``."""

    length: int
    shift: int

    def split(self, value: int) -> tuple[int, int]:
        return divmod(value + self.shift, self.length)

    def join(self, whole: int, rest: int) -> int:
        return whole * self.length + rest - self.shift


@dataclass(frozen=True)
class Grid:
    """The nodes of each coordinate: a variable is one, or two if it has a period. ``banned`` nodes made builds fail."""

    axes: tuple[Axis, ...]
    base: Point
    periods: Mapping[int, Period] = field(default_factory=dict)
    banned: frozenset[tuple[int, int]] = frozenset()

    def coordinates(self) -> list[tuple[int, str]]:
        """The axis of each coordinate, and whether it is its "value", "whole" periods or the "rest"."""
        parts = {True: ("whole", "rest"), False: ("value",)}
        return [(i, part) for i in range(len(self.axes)) for part in parts[i in self.periods]]

    def nodes(self) -> list[list[int]]:
        """The candidates of each coordinate in the order they are used; the base comes first."""
        found: list[list[int]] = []
        for i, axis in enumerate(self.axes):
            found += self._with_period(i, axis) if i in self.periods else [[self.base[i], *axis.values]]
        return [
            [n for n in dict.fromkeys(nodes) if (c, n) not in self.banned] for c, nodes in enumerate(found)
        ]  # fmt: skip

    def _with_period(self, i: int, axis: Axis) -> list[list[int]]:
        """Only whole periods, so that every combination of the two is a value of the variable."""
        groups: dict[int, set[int]] = {}
        for value in axis.values:
            whole, rest = self.periods[i].split(value)
            groups.setdefault(whole, set()).add(rest)
        rests = max(groups.values(), key=len)
        return [[whole for whole, found in sorted(groups.items()) if found == rests], sorted(rests)]

    def most(self, degree: int) -> list[int]:
        """The highest degree in each coordinate; a function of the rest may be any."""
        return [len(nodes) if part == "rest" else degree for (_, part), nodes in zip(self.coordinates(), self.nodes())]

    def point(self, index: Index, nodes: Sequence[Sequence[int]]) -> Point:
        """The values of the variables at an index of the grid."""
        return self.joined([n[k] for n, k in zip(nodes, index)])

    def joined(self, coordinates: Sequence[int]) -> Point:
        """The variables of these coordinates."""
        given = iter(coordinates)
        return tuple([
            self.periods[i].join(next(given), next(given)) if i in self.periods else next(given) for i in range(len(self.axes))
        ])  # fmt: skip

    def split(self, point: Point) -> list[int]:
        """The coordinates of a point."""
        return [c for i, x in enumerate(point) for c in (self.periods[i].split(x) if i in self.periods else (x,))]

    def variables(self) -> list[Size]:
        """The coordinates as formulas of the variables."""
        found: list[Size] = []
        for i, axis in enumerate(self.axes):
            x: Size = symbol(axis.name)
            if i in self.periods:
                length, shift = self.periods[i].length, self.periods[i].shift
                whole = (x + shift) // length
                found += [whole, x + shift - length * whole]
            else:
                found.append(x)
        return found
