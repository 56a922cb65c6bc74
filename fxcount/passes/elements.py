"""Which elements of its storage a tensor occupies, and how many of them no other tensor has.

A strided tensor occupies ``offset + sum(i[d] * stride[d])`` for ``0 <= i[d] < size[d]``: a lattice. Rows, columns, every second
element, a diagonal, sliding windows, an expanded vector are all of this kind. Lattices are counted without listing elements:
strides that divide one another are the places of a mixed-radix number, as hours and minutes are; in it a lattice is a few
boxes, and a sweep over the edges of the boxes measures their union and says whose each part is. Only what does not fit such
a number (a diagonal beside rows) is cut into pieces, one for each step of the stride that does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import gcd, log, prod

from fxcount.dataclass import dataclass
from fxcount.trace.tape import Declared

__all__ = ["Elements", "elements_of", "occupied"]

Dims = tuple[tuple[int, int], ...]
"""``(size, stride)`` of each dimension, the largest stride first."""
Box = tuple[tuple[tuple[int, int], ...], int]
"""``(start, stop)`` in each place of the mixed-radix number, and the number of the tensor whose box it is."""


_NONE = {None}


@dataclass(frozen=True, slots=True)
class Elements:
    """For each of some tensors, in their order: the elements that none before it has (``fresh``), their bytes, and whether
    any is also another's (``shared``). Of a complex element whose real part was another's only the bytes are counted."""

    fresh: tuple[int, ...]
    nbytes: tuple[int, ...]
    shared: tuple[bool, ...]


def elements_of(declared: Sequence[Declared]) -> Elements:
    """Count the elements of these parameters or buffers, each once.

    The three thirds of 8 rows of 24, side by side, and then all of them:

    >>> import torch
    >>> def third(i): return Declared("parameter", (f"p{i}",), (8, 8), torch.float32, True, 0, 8 * i, strides=(24, 1))
    >>> whole = Declared("parameter", ("w",), (8, 24), torch.float32, True, 0, 0)
    >>> elements_of([third(0), third(1), third(2), whole])
    Elements(fresh=(64, 64, 64, 0), nbytes=(256, 256, 256, 0), shared=(True, True, True, True))
    """
    if not declared:
        return Elements((), (), ())
    columns = dict(zip(Declared._fields, zip(*declared)))  # of many parameters, mostly plain ones
    if set(columns["held"]) != _NONE:
        return _with_held(declared)
    if len(set(columns["storage"])) == len(declared):
        plain = set(columns["strides"]) == set(columns["stored"]) == _NONE
        fresh = list(map(prod, columns["shape"])) if plain else [occupied(d) for d in declared]
        itemsize = {dtype: dtype.itemsize for dtype in set(columns["dtype"])}
        nbytes = [n * itemsize[dtype] for n, dtype in zip(fresh, columns["dtype"])]
        if not plain:
            nbytes = [n + _index_bytes(d) for n, d in zip(nbytes, declared)]
        return Elements(tuple(fresh), tuple(nbytes), (False,) * len(declared))
    nbytes, shared = [0] * len(declared), [False] * len(declared)
    by_storage: dict[int, list[int]] = {}
    for i, d in enumerate(declared):
        by_storage.setdefault(d.storage, []).append(i)
    for numbers in by_storage.values():
        unit = gcd(*[declared[i].dtype.itemsize for i in numbers])
        lattices = [_lattice(declared[i], declared[i].dtype.itemsize // unit) for i in numbers]
        for cluster in _clusters(lattices):
            counts, common = _union([lattices[k] for k in cluster])
            for k, count in zip(cluster, counts, strict=True):
                nbytes[numbers[k]] = count * unit
            for k in common:
                shared[numbers[cluster[k]]] = True
    fresh = [n // d.dtype.itemsize for n, d in zip(nbytes, declared, strict=True)]
    nbytes = [n + _index_bytes(d) for n, d in zip(nbytes, declared, strict=True)]
    return Elements(tuple(fresh), tuple(nbytes), tuple(shared))


def _with_held(declared: Sequence[Declared]) -> Elements:
    """The same where some tensors say themselves how many bytes they have in memory."""
    found = elements_of([d._replace(held=None) for d in declared])
    nbytes = [
        n if d.held is None else d.held if fresh == d.numel else d.held * fresh // max(1, d.numel)
        for d, n, fresh in zip(declared, found.nbytes, found.fresh, strict=True)
    ]
    return Elements(found.fresh, tuple(nbytes), found.shared)


def _index_bytes(d: Declared) -> int:
    return 0 if d.stored is None else d.stored[1]


def occupied(d: Declared) -> int:
    """How many different elements of its storage a tensor has: fewer than its ``numel`` where it is expanded.

    >>> import torch
    >>> occupied(Declared("parameter", ("p",), (3, 5), torch.float32, True, 0, 0, strides=(0, 1)))
    5
    """
    return d.numel if d.strides is None else _union([_lattice(d, 1)])[0][0]


@dataclass(frozen=True, slots=True)
class _Lattice:
    start: int
    dims: Dims | None  # None: no elements

    @property
    def stop(self) -> int:
        """One past the last element."""
        return self.start + (0 if self.dims is None else 1 + sum([(n - 1) * s for n, s in self.dims]))


def _lattice(d: Declared, scale: int) -> _Lattice:
    """The lattice in units of which an element has ``scale``: dimensions that continue one another are joined."""
    start = d.offset * scale
    if not d.numel:
        return _Lattice(start, None)
    if d.strides is None:
        return _Lattice(start, ((d.numel * scale, 1),))
    steps = [(scale, 1), *sorted([(n, s * scale) for n, s in zip(d.shape, d.strides, strict=True)], key=lambda d: d[1])]
    dims: list[tuple[int, int]] = []
    for n, s in steps:
        if n == 1 or s == 0:
            continue
        if dims and s % dims[-1][1] == 0 and s // dims[-1][1] <= dims[-1][0]:  # no gap: one longer run of the inner stride
            inner, step = dims.pop()
            dims.append((inner + (n - 1) * (s // step), step))
        else:
            dims.append((n, s))
    return _Lattice(start, tuple(reversed(dims)))


def _clusters(lattices: Sequence[_Lattice]) -> Iterator[list[int]]:
    """Numbers of lattices whose ranges of memory overlap, directly or through others."""
    cluster: list[int] = []
    stop = 0
    for k in sorted(range(len(lattices)), key=lambda k: lattices[k].start):
        if cluster and lattices[k].start >= stop:
            yield sorted(cluster)
            cluster = []
        cluster.append(k)
        stop = max(stop, lattices[k].stop)
    if cluster:
        yield sorted(cluster)


def _union(lattices: Sequence[_Lattice]) -> tuple[list[int], set[int]]:
    """For each lattice its elements that none before it has, and the lattices that have some in common with another."""
    if len(lattices) == 1 and _is_nested(lattices[0].dims):
        dims = lattices[0].dims
        return [0 if dims is None else prod([n for n, _ in dims])], set()
    places = _places(lattices)
    boxes = [(box, k) for k, lattice in enumerate(lattices) if lattice.dims is not None for box in _boxes(lattice, places)]
    common: set[int] = set()
    counts = _sweep(boxes, 0, len(places), common)
    return [counts.get(k, 0) for k in range(len(lattices))], common


def _is_nested(dims: Dims | None) -> bool:
    """Whether each stride is longer than all that lies within it, so that no two indices meet."""
    reach = 0
    for n, s in reversed(dims or ()):
        if s <= reach:
            return False
        reach += (n - 1) * s
    return True


def _places(lattices: Sequence[_Lattice]) -> list[int]:
    """Strides that divide one another, the largest first, 1 last: of those that occur, the ones that matter most."""
    weights: dict[int, float] = {}
    for lattice in lattices:
        for n, s in lattice.dims or ():
            weights[s] = weights.get(s, 0.0) + log(n)
    chosen = [1]
    for s in sorted(weights, key=lambda s: (-weights[s], s)):
        if s not in chosen and all([s % c == 0 or c % s == 0 for c in chosen]):
            chosen.append(s)
    return sorted(chosen, reverse=True)


def _boxes(lattice: _Lattice, places: Sequence[int]) -> Iterator[tuple[tuple[int, int], ...]]:
    """The lattice as boxes of digits in the mixed-radix number of these places; they may overlap."""
    dims = lattice.dims or ()
    fitting = {s: n for n, s in dims if s in places}
    starts = {lattice.start}
    for n, s in dims:
        if s not in fitting:
            starts = {start + i * s for start in starts for i in range(n)}
    for start in sorted(starts):
        ranges = []
        for place in places:
            digit, start = divmod(start, place)
            ranges.append((digit, digit + fitting.get(place, 1)))
        yield from _carried(ranges, [outer // inner for outer, inner in pairwise(places)])


def _carried(ranges: Sequence[tuple[int, int]], radices: Sequence[int]) -> Iterator[tuple[tuple[int, int], ...]]:
    """Boxes whose digits are below their radices: what runs over is carried to the place above.

    A range that runs over several times is a head, whole turns and a tail. The whole turns carry 1, 2, 3, ... to the range
    above, and the ranges moved by these are together one longer range.
    """
    if not radices:
        yield tuple(ranges)
        return
    *above, (low, high), (start, stop) = ranges
    radix = radices[-1]
    first, last = start // radix, (stop - 1) // radix
    pieces: list[tuple[tuple[int, int], int, int]] = []  # digits here, least and most that they carry
    if first == last:
        pieces.append(((start - first * radix, stop - first * radix), first, first))
    else:
        whole_from, whole_to = first, last
        if start % radix:
            pieces.append(((start % radix, radix), first, first))
            whole_from += 1
        if stop % radix:
            pieces.append(((0, stop % radix), last, last))
            whole_to -= 1
        if whole_from <= whole_to:
            pieces.append(((0, radix), whole_from, whole_to))
    for digits, least, most in pieces:
        for box in _carried([*above, (low + least, high + most)], radices[:-1]):
            yield (*box, digits)


def _sweep(boxes: Sequence[Box], place: int, places: int, common: set[int]) -> dict[int, int]:
    """The measure of the union of the boxes from this place on, by the first tensor that has each part of it."""
    owners = {owner for _, owner in boxes}
    if place == places:
        if len(owners) > 1:
            common |= owners
        return {min(owners): 1}
    if len(boxes) == 1:
        ((ranges, owner),) = boxes
        return {owner: prod([stop - start for start, stop in ranges[place:]])}
    counts: dict[int, int] = {}
    starting = sorted(boxes, key=lambda box: box[0][place][0], reverse=True)
    active: list[Box] = []
    at = 0
    while starting or active:
        if not active:
            at = starting[-1][0][place][0]
        while starting and starting[-1][0][place][0] == at:
            active.append(starting.pop())
        stop = min([box[0][place][1] for box in active])
        if starting:
            stop = min(stop, starting[-1][0][place][0])
        for owner, count in _sweep(active, place + 1, places, common).items():
            counts[owner] = counts.get(owner, 0) + count * (stop - at)
        active = [box for box in active if box[0][place][1] > stop]
        at = stop
    return counts
