"""A layered layout of a directed graph without circles: ranks, an order within each rank, and coordinates.

Edges go from earlier nodes to later ones, as calls do. Ranks are topological; edges over a few ranks get a bend at each
rank they cross, and longer ones are no lines at all: they are named where they end (*stubs*), since what feeds every layer of
a model would cover it. A few sweeps put nodes near their neighbours. Everything is near linear in nodes and edges.

>>> drawn = layered([(40, 20), (40, 20), (40, 20)], [(0, 1), (1, 2), (0, 2)])
>>> drawn.places, drawn.routes[1][:2], len(drawn.routes[1][2]), drawn.stubs
(((44, 0), (20, 48), (44, 96)), (0, 2), 3, ())
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import TypeAlias

from fxcount.dataclass import dataclass

__all__ = ["LONGEST", "Layout", "layered"]

LONGEST = 5
"""Ranks that a line crosses at most."""

_ACROSS, _DOWN, _SWEEPS, _BEND = 24, 28, 4, 8

Point: TypeAlias = tuple[int, int]
Edge: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """``places``: the middle of the top of each node; ``routes``: source, target and points of each edge that is drawn;
    ``stubs``: source and target of those that are not; ``width`` and ``height`` of all."""

    places: tuple[Point, ...]
    routes: tuple[tuple[int, int, tuple[Point, ...]], ...]
    stubs: tuple[Edge, ...]
    width: int
    height: int


def layered(sizes: Sequence[tuple[int, int]], edges: Iterable[Edge], longest: int = LONGEST) -> Layout:
    """Places for nodes of these widths and heights; each edge goes from a node to a later one."""
    known = sorted(set(edges))
    ranks = _ranks(len(sizes), known)
    drawn = [e for e in known if ranks[e[1]] - ranks[e[0]] <= longest]
    grid = _Grid(sizes, ranks, drawn)
    grid.sweep()
    return grid.result(tuple([e for e in known if ranks[e[1]] - ranks[e[0]] > longest]))


def _ranks(count: int, edges: Sequence[Edge]) -> list[int]:
    """The longest way to each node; one that nothing leads to is right above the first it leads to."""
    ranks, before = [0] * count, [False] * count
    below: list[list[int]] = [[] for _ in range(count)]
    for a, b in edges:
        below[a].append(b)
        before[b] = True
    for a in range(count):
        for b in below[a]:
            ranks[b] = max(ranks[b], ranks[a] + 1)
    for a in range(count):
        if below[a] and not before[a]:
            ranks[a] = min([ranks[b] for b in below[a]]) - 1
    return ranks


class _Grid:
    """Nodes and bends, each in a rank; a bend has a number after those of the nodes."""

    def __init__(self, sizes: Sequence[tuple[int, int]], ranks: Sequence[int], edges: Sequence[Edge]) -> None:
        self.sizes = sizes
        self.edges = edges
        self.rank = list(ranks)
        self.width = [w for w, _ in sizes]
        self.up: list[list[int]] = [[] for _ in sizes]
        self.down: list[list[int]] = [[] for _ in sizes]
        self.chains = [self._chain(a, b) for a, b in edges]
        self.layers: list[list[int]] = [[] for _ in range(max(self.rank, default=-1) + 1)]
        for node, rank in enumerate(self.rank):
            self.layers[rank].append(node)
        self.x = [0.0] * len(self.rank)

    def _chain(self, a: int, b: int) -> list[int]:
        """The nodes from one to the other, with new bends between them."""
        chain = [a]
        for rank in range(self.rank[a] + 1, self.rank[b]):
            self.rank.append(rank)
            self.width.append(_BEND)
            self.up.append([])
            self.down.append([])
            chain.append(len(self.rank) - 1)
        chain.append(b)
        for above, below in pairwise(chain):
            self.down[above].append(below)
            self.up[below].append(above)
        return chain

    def sweep(self) -> None:
        """Order each rank by the places of its neighbours, downwards and upwards in turn; then move nodes towards them."""
        for layer in self.layers:
            self._pack(layer)
        for turn in range(_SWEEPS):
            near = self.up if turn % 2 == 0 else self.down
            for layer in self.layers if turn % 2 == 0 else reversed(self.layers):
                layer.sort(key=lambda n: self._middle(n, near))
                self._pack(layer)
        for turn in range(_SWEEPS):
            near = self.up if turn % 2 == 0 else self.down
            for layer in self.layers if turn % 2 == 0 else reversed(self.layers):
                self._settle(layer, near)

    def _middle(self, node: int, near: Sequence[Sequence[int]]) -> float:
        found = near[node]
        return sum([self.x[n] for n in found]) / len(found) if found else self.x[node]

    def _offsets(self, layer: Sequence[int]) -> list[float]:
        """How far right of the first each is, if they touch but for the gap."""
        steps = [(self.width[a] + self.width[b]) / 2 + _ACROSS for a, b in pairwise(layer)]
        return list(accumulate(steps, initial=0.0))

    def _pack(self, layer: Sequence[int]) -> None:
        offsets = self._offsets(layer)
        for node, offset in zip(layer, offsets):
            self.x[node] = offset - offsets[-1] / 2

    def _settle(self, layer: Sequence[int], near: Sequence[Sequence[int]]) -> None:
        """As near to the neighbours as the order allows: the least squares, by pooling what would overlap."""
        offsets = self._offsets(layer)
        pools: list[tuple[float, int]] = []  # sum and count of wishes that share one place
        for node, offset in zip(layer, offsets):
            total, count = self._middle(node, near) - offset, 1
            while pools and pools[-1][0] / pools[-1][1] >= total / count:
                before = pools.pop()
                total, count = total + before[0], count + before[1]
            pools.append((total, count))
        wishes = [total / count for total, count in pools for _ in range(count)]
        for node, offset, wish in zip(layer, offsets, wishes):
            self.x[node] = wish + offset

    def result(self, stubs: tuple[Edge, ...]) -> Layout:
        left = min([self.x[n] - self.width[n] / 2 for n in range(len(self.x))], default=0.0)
        right = max([self.x[n] + self.width[n] / 2 for n in range(len(self.x))], default=0.0)
        count = len(self.sizes)
        heights = [max([self.sizes[n][1] for n in layer if n < count], default=0) for layer in self.layers]
        tops = list(accumulate([h + _DOWN for h in heights], initial=0))
        x = [round(value - left) for value in self.x]

        def route(chain: Sequence[int]) -> tuple[Point, ...]:
            a, *bends, b = chain
            middle = [(x[n], tops[self.rank[n]] + heights[self.rank[n]] // 2) for n in bends]
            return (x[a], tops[self.rank[a]] + self.sizes[a][1]), *middle, (x[b], tops[self.rank[b]])

        return Layout(
            tuple([(x[n], tops[self.rank[n]]) for n in range(count)]),
            tuple([(a, b, route(chain)) for (a, b), chain in zip(self.edges, self.chains)]),
            stubs, round(right - left), max(tops[-1] - _DOWN, 0),
        )  # fmt: skip
