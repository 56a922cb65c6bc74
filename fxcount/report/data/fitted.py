"""Closed forms over sizes that a model takes as numbers: loops over a sequence, over a batch, over images.

A loop in Python needs the number, so its size is pinned, and an analysis holds at that one. Those at some small sizes decide a
formula, and those at others check it: what is found is no proof, and says where it was looked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import pairwise
from math import gcd
from typing import TYPE_CHECKING, Any

from fxcount.errors import FxcountError, SizeError
from fxcount.interpolation.family import Family
from fxcount.interpolation.grid import Axis
from fxcount.interpolation.points import Failure, Found, Point
from fxcount.interpolation.result import Scaling
from fxcount.interpolation.solved import from_where_it_is_one, solved
from fxcount.report.data.found import found_in
from fxcount.report.data.pinned import STEPS, pinned

if TYPE_CHECKING:
    from fxcount.report.data.family import Family as Pieces
    from fxcount.report.data.piece import Piece

__all__ = ["fitted_over"]

SIZES = 40
"""How many sizes are looked at, unless they are given; few of these are analysed."""
NEAR = 128
"""Sizes above are not analysed without being asked for."""


class _Sizes:
    """Analyses of one model at some sizes of its inputs, ``fixed`` ones among them; the pieces that are there are used."""

    def __init__(self, pieces: Pieces, own: Piece, names: Sequence[str], fixed: Mapping[str, int], guess: bool) -> None:
        self.pieces, self.own, self.names, self.fixed, self.guess = pieces, own, names, dict(fixed), guess
        self.known: dict[Point, Found | Failure] = {}

    def at(self, point: Point, /) -> Found | Failure:
        found = self.known.get(point)
        if found is None:
            sizes = {**self.fixed, **dict(zip(self.names, point))}
            try:
                found = found_in(self.pieces.answering(self.own, sizes, True, keep=False), sizes, self.guess)
            except FxcountError as error:
                found = Failure(error)
            self.known[point] = found
        return found


def fitted_over(
    pieces: Pieces, own: Piece, given: Mapping[str, Any], *, fixed: Mapping[str, int], checks: int, guess: bool
) -> Scaling:
    """The closed forms over the sizes ``given``, a range each, or over those that are pinned; with ``guess``, at the defaults
    of the sizes that data decide.

    Raises:
        SizeError: nothing is pinned and nothing given, or what is given is no range of a symbol.
        FxcountError: the model takes none of the first sizes.
    """
    unknown = [name for name in given if name not in own.asked or name in fixed]
    if unknown:
        names = [name for name in own.asked if name not in fixed]
        raise SizeError(f"fit() got {', '.join(map(ascii, unknown))}; the symbols are {', '.join(names) or 'none'}")
    ranges = dict(given) or {name: None for name in pinned(own) if name not in fixed}
    if not ranges:
        raise SizeError(
            "no size is pinned: the formulas are in all of the symbols already",
            hint="give a range for one, e.g. fit(S=range(1, 41))",
        )
    source = _Sizes(pieces, own, list(ranges), fixed, guess)
    here = tuple([own.trace.scope.hints[name] for name in ranges])
    axes = tuple([_axis(source, i, name, sizes, here) for i, (name, sizes) in enumerate(ranges.items())])
    if all(axis.fits(size) for axis, size in zip(axes, here)):
        source.at(here)  # it is there, and checks the formulas far from where they are made
    family = Family(source, axes, checks)
    return solved(from_where_it_is_one(family) if len(axes) == 1 else family)


def _axis(source: _Sizes, i: int, name: str, sizes: Any, here: Point) -> Axis:
    if sizes is None:
        step = _step(source, i, here)
        first = (here[i] - 1) % step + 1
        return Axis(name, tuple(range(first, first + SIZES * step, step)), step)
    values = sorted({int(size) for size in sizes}) if not isinstance(sizes, (int, str)) else []
    if not values or values[0] < 1:
        raise SizeError(f"fit({name}={ascii(sizes)[:80]}): give sizes of at least 1, e.g. fit({name}=range(1, 41))")
    return Axis(name, tuple(values), reduce(gcd, [b - a for a, b in pairwise(values)], 0) or 1)


def _step(source: _Sizes, i: int, here: Point) -> int:
    """How far apart the sizes are that the model takes: 1, or a divisor of what it pads or cuts to."""
    for step in [1, *[d for d in range(2, STEPS + 1) if here[i] % d == 0]]:
        near = here[i] - max(0, here[i] - NEAR) // step * step + step  # a long loop takes long
        if isinstance(source.at((*here[:i], near, *here[i + 1 :])), Found):
            return step
    return 1
