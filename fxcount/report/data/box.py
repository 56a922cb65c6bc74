"""A box of sizes, cut by conditions on them into cells that are alike, however many points it has.

Symbols that no condition brings together stay apart: of a box H x B with conditions on H and on B alone only the H and the B
are looked at one by one, never their combinations. Points of a symbol at which all conditions come out the same are one class;
a cell is one class for each group of symbols.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, TypeAlias

from fxcount.dataclass import dataclass
from fxcount.errors import SizeError
from fxcount.symbolic import Assumption, Scope, Size, free_symbols, substitute
from fxcount.symbolic.domain import holds_at
from fxcount.symbolic.vector import evaluate_many

if TYPE_CHECKING:
    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[Any]

__all__ = ["MOST_POINTS", "Box", "Condition", "conditions_of", "conditions_on"]

MOST_POINTS = 4_000_000
"""Combinations of the sizes of symbols that conditions bring together."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something sizes must meet: what it is about, and the scope that knows whether they do; ``given`` are sizes that data
    decide."""

    names: frozenset[str]
    scope: Scope
    assumption: Assumption | None = None
    given: Mapping[str, int] = field(default_factory=dict)


def conditions_of(scope: Scope, given: Mapping[str, int]) -> list[Condition]:
    """The conditions under which an analysis holds, one by one; ``given`` are values for sizes that data decide."""
    if scope.unbacked.by_name:  # their defaults depend on the sizes
        return [Condition(frozenset(scope.hints) - scope.unbacked.by_name.keys(), scope, None, given)]
    found = conditions_on(scope.assumptions)
    for size in scope.limits:
        alone = Scope({})
        alone.limit(size)
        found.append(Condition(free_symbols(size), alone))
    return found


def conditions_on(assumptions: Iterable[Assumption]) -> list[Condition]:
    """One condition for each assumption."""
    found = []
    for a in assumptions:
        alone = Scope({})
        alone.assumptions = [a]
        found.append(Condition(frozenset().union(*map(free_symbols, a.sizes)), alone, a))
    return found


class _Group:
    """Symbols that are looked at together: all combinations of their sizes, and which of the entries allow each."""

    def __init__(self, axes: Mapping[str, Array], ties: Mapping[str, Size]) -> None:
        import numpy as np

        self.axes = dict(axes)
        count = int(np.prod([len(a) for a in axes.values()], dtype=object))
        if count > MOST_POINTS:
            listed = " and ".join(axes)
            raise SizeError(
                f"the model's decisions bring {listed} together, which have {count:,} combinations in this range",
                hint="tie them, e.g. W=\"H\", or ask for a smaller range or for steps, e.g. H=range(32, 2049, 32)",
            )
        meshes = np.meshgrid(*axes.values(), indexing="ij")
        self.points: dict[str, Array] = dict(zip(axes, [m.ravel() for m in meshes]))
        self.count = count
        for name, size in ties.items():
            if free_symbols(size) <= axes.keys():
                values = evaluate_many([size], {n: self.points[n] for n in free_symbols(size)})[0]
                self.points[name] = np.broadcast_to(values, (count,))
        self.allowed: list[Array] = []

    def truth(self, conditions: Iterable[Condition]) -> Array:
        """At which points all of these hold."""
        import numpy as np

        found = np.ones(self.count, dtype=bool)
        for c in conditions:
            found &= holds_at(c.scope, {**c.given, **{n: self.points[n] for n in c.names}})
        return found

    def classes(self) -> tuple[Array, Array]:
        """The class of each point, and the first point of each."""
        import numpy as np

        if not self.allowed:
            return np.zeros(self.count, dtype=np.int64), np.zeros(1, dtype=np.int64)
        packed = np.ascontiguousarray(np.packbits(np.array(self.allowed), axis=0).T)
        keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        order = np.argsort(first)  # by first appearance
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        return rank[inverse.ravel()], first[order]


class Box:
    """``axes``: the sizes of each symbol; ``ties``: other symbols in terms of these. Entries are lists of conditions."""

    def __init__(self, axes: Mapping[str, Array], ties: Mapping[str, Size]) -> None:
        alone: dict[str, Size] = {name: int(axis[0]) for name, axis in axes.items() if len(axis) == 1}
        self.ties = {**alone, **{name: substitute(size, alone) for name, size in ties.items()}}  # numbers are ties as well
        self.groups = [_Group({name: axis}, self.ties) for name, axis in axes.items() if name not in alone]
        self.entries: list[list[Condition]] = []
        self.possible: list[bool] = []  # whether the conditions hold of an entry that depend on nothing that runs

    def runs(self, names: Iterable[str]) -> frozenset[str]:
        """The symbols that run on which these depend."""
        return frozenset().union(*[free_symbols(self.ties[n]) if n in self.ties else {n} for n in names])

    def add(self, conditions: Sequence[Condition]) -> None:
        """A further entry: the region in which all of these hold."""
        self.entries.append(list(conditions))
        numbers = {name: size for name, size in self.ties.items() if isinstance(size, int)}
        met = [c for c in conditions if not self.runs(c.names)]
        self.possible.append(all(holds_at(c.scope, {**c.given, **{n: numbers[n] for n in c.names}}).all() for c in met))
        for c in conditions:
            self._join(self.runs(c.names))
        for group in self.groups:
            if len(group.allowed) != len(self.entries) - 1:  # it was made anew
                group.allowed = [group.truth(self._of(group, entry)) for entry in self.entries[:-1]]
            group.allowed.append(group.truth(self._of(group, conditions)))

    def _of(self, group: _Group, entry: Iterable[Condition]) -> Iterator[Condition]:
        for c in entry:
            names = self.runs(c.names)
            if names and names <= group.axes.keys():
                yield c

    def _join(self, names: frozenset[str]) -> None:
        """Have these symbols in one group."""
        met = [g for g in self.groups if not names.isdisjoint(g.axes)]
        if len(met) > 1:
            axes = {name: axis for g in met for name, axis in g.axes.items()}
            self.groups = [*[g for g in self.groups if g not in met], _Group(axes, self.ties)]

    def allowed(self) -> tuple[list[Array], list[tuple[Array, Array]]]:
        """For each entry the cells it allows, as an array with one dimension for each group; and each group's classes."""
        import numpy as np

        classes = [g.classes() for g in self.groups]
        count = int(np.prod([len(first) for _, first in classes], dtype=object))
        if count > MOST_POINTS:
            raise SizeError(f"the range falls into {count:,} cells", hint="ask for a smaller range")
        found = []
        for i in range(len(self.entries)):
            cells = np.array(self.possible[i])
            for g, (_, first) in zip(self.groups, classes):
                cells = np.logical_and.outer(cells, g.allowed[i][first])
            found.append(cells)
        return found, classes

    def point(self, cell: Sequence[int], classes: Sequence[tuple[Array, Array]]) -> dict[str, int]:
        """A point of a cell: sizes of the symbols that run, and of those tied to them."""
        point: dict[str, int] = {}
        for group, c, (_, first) in zip(self.groups, cell, classes):
            point.update({n: int(group.points[n][first[c]]) for n in group.axes})
        for name, size in self.ties.items():
            point[name] = int(evaluate_many([size], {n: point[n] for n in free_symbols(size)})[0])
        return point

    def members(self, cells: Array, classes: Sequence[tuple[Array, Array]], most: int) -> dict[str, Array] | None:
        """All points of these cells as columns; ``None`` if there are more than ``most``."""
        import numpy as np

        sizes = [np.bincount(of, minlength=len(first)) for of, first in classes]
        weights = np.ones((), dtype=np.int64)
        for s in sizes:
            weights = np.multiply.outer(weights, s)
        if int(weights[cells].sum()) > most:
            return None
        columns: dict[str, list[Array]] = {}
        for cell in np.argwhere(cells):
            chosen = [np.flatnonzero(of == c) for (of, _), c in zip(classes, cell)]
            grids = [m.ravel() for m in np.meshgrid(*chosen, indexing="ij")]
            for group, index in zip(self.groups, grids):
                for name in group.axes:
                    columns.setdefault(name, []).append(group.points[name][index])
        return {name: np.concatenate(parts) for name, parts in columns.items()}
