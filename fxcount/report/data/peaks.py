"""Which moment of a run holds the most memory: at given sizes, and the regions of a range in which each does.

A peak is a maximum over moments, dozens of them where free sizes leave it open which is largest. At any one size it is one of
them; over a range a few take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from fxcount.dataclass import dataclass
from fxcount.errors import SizeError
from fxcount.passes.memory import Peak
from fxcount.report.data.coverage import cover
from fxcount.report.data.curve import grid, ranges_of, tied
from fxcount.report.data.regions import Side, condition, products, side, text
from fxcount.symbolic import Size, substitute, to_sympy
from fxcount.symbolic.vector import evaluate_many

if TYPE_CHECKING:
    import numpy.typing as npt

    from fxcount.report.data.family import Family
    from fxcount.report.data.piece import Piece

    Array: TypeAlias = npt.NDArray[Any]

__all__ = ["PeakRegion", "PeakRegions", "regions_over"]

MOST_ALTERNATIVES = 6
"""A region of more pieces than that is told by what it lies in."""


@dataclass(frozen=True, slots=True)
class PeakRegion:
    """Sizes at which one moment is the peak: ``nbytes`` there, in the symbols that run, and the op, its module and its line.

    ``domain`` in words; ``points``: how many of the sizes asked it has. Where its shape cannot be told in a few words the
    domain says "part of" what it lies in, and there is no ``condition``."""

    sides: tuple[tuple[Side, ...], ...]
    whole: bool
    nbytes: Size
    place: str
    source: str
    points: int

    @property
    def domain(self) -> str:
        said = text(self.sides)
        return said if self.whole else f"part of {said}"

    @property
    def condition(self) -> Any:
        """The domain as a condition of sympy; ``None`` where it is only known what it lies in."""
        return condition(self.sides) if self.whole else None

    @property
    def formula(self) -> Any:
        """``nbytes`` as an ``int``, or a ``sympy.Expr``."""
        return self.nbytes if isinstance(self.nbytes, int) else to_sympy(self.nbytes)

    def __str__(self) -> str:
        at = f" at {self.source}" if self.source else ""
        return f"{self.domain}: {self.nbytes}, {self.place}{at}"


class PeakRegions(Sequence[PeakRegion]):
    """The regions of a range, those with most sizes first; ``refused``: how many sizes the model refuses."""

    def __init__(self, rows: Sequence[PeakRegion], refused: int) -> None:
        self.rows = tuple(rows)
        self.refused = refused

    def __getitem__(self, i: Any) -> Any:
        return self.rows[i]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[PeakRegion]:
        return iter(self.rows)

    def __str__(self) -> str:
        return "\n".join([*map(str, self.rows), *([f"{self.refused} sizes are refused"] if self.refused else [])])

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} moments>"


class _Winner(NamedTuple):
    """What tells one region from another."""

    nbytes: Size
    place: str
    source: str


def regions_over(
    family: Family, own: Piece, given: Mapping[str, Any], place: Callable[[Piece, Peak], tuple[str, str]], *,
    fixed: Mapping[str, int], extend: bool,
) -> PeakRegions:  # fmt: skip
    """The regions over all combinations of what is given: bounds ``(low, high)``, a range, a number or a tie for each symbol.

    ``place`` says of a moment where it is: the op with its module, and the line. Of moments that are equal the earliest wins.

    Raises :class:`~fxcount.errors.SizeError` for symbols without a range, for what is no range, and for guesses.
    """
    import numpy as np

    names = [name for name in own.trace.scope.hints if name in own.asked or name in given]
    spread = ranges_of({**fixed, **given}, "regions", (32, 1024))
    free, points = grid(spread, names, "regions")
    count = len(next(iter(points.values()))) if points else 1
    if not points:
        return PeakRegions([_alone(own, place)], 0)
    ties = tied(spread, names, "regions")
    winner = np.full(count, -1, dtype=np.int64)
    winners: dict[_Winner, int] = {}
    for found in cover(family, own, points, extend=extend)[0]:
        unknown = [u for name, u in found.piece.guesses.items() if name not in points]
        if unknown:
            raise SizeError(f"regions() needs a value for {unknown[0].name} ({unknown[0].what}): no shape tells it")
        inside = {name: values[found.points] for name, values in points.items()}
        numbers = [winners.setdefault(w, len(winners)) for w in _candidates(found.piece, ties, place)]
        winner[found.points] = np.array(numbers)[_largest(found.piece, inside)]
    axes = {name: np.unique(points[name]) for name in free}
    order = np.lexsort([points[name] for name in reversed(free)]) if free else np.arange(count)
    cells = winner[order].reshape([len(axis) for axis in axes.values()])
    rows = [_region(w, cells == number, axes) for w, number in winners.items() if (winner == number).any()]
    return PeakRegions(sorted(rows, key=lambda row: -row.points), int((winner < 0).sum()))


def _alone(piece: Piece, place: Callable[[Piece, Peak], tuple[str, str]]) -> PeakRegion:
    nbytes, call = piece.memory.peak_at({})
    return PeakRegion(((),), True, nbytes, *place(piece, Peak(nbytes, call)), 1)


def _candidates(piece: Piece, ties: Mapping[str, Size], place: Callable[[Piece, Peak], tuple[str, str]]) -> list[_Winner]:
    """The moments of a piece, in the symbols that run."""
    values = dict(ties)
    for name, unbacked in piece.trace.scope.unbacked.by_name.items():
        values[name] = substitute(unbacked.default, {**values, **piece.given()})
    return [_Winner(substitute(peak.nbytes, values), *place(piece, peak)) for peak in piece.memory.peaks]


def _largest(piece: Piece, points: Mapping[str, Array]) -> Array:
    """The number of the moment that is largest at each point, the earliest of several."""
    import numpy as np

    count = len(next(iter(points.values())))
    values = evaluate_many([peak.nbytes for peak in piece.memory.peaks], piece.filled(points))
    most, which = np.broadcast_to(values[0], (count,)), np.zeros(count, dtype=np.int64)
    calls = [peak.call for peak in piece.memory.peaks]
    for i, column in enumerate(values[1:], 1):
        earlier = np.array(calls)[which] > calls[i]
        better = (column > most) | ((column == most) & earlier)
        most, which = np.where(better, column, most), np.where(better, i, which)
    return which


def _region(winner: _Winner, cells: Array, axes: Mapping[str, Array]) -> PeakRegion:
    """The cells of one winner, in words."""
    import numpy as np

    points = int(cells.sum())
    alternatives = []
    for parts in products(cells):
        alternatives.append(tuple([
            side(name, axis.tolist(), np.isin(np.arange(len(axis)), chosen).tolist())
            for (name, axis), chosen in zip(axes.items(), parts)
        ]))  # fmt: skip
        if len(alternatives) > MOST_ALTERNATIVES:
            break
    if len(alternatives) <= MOST_ALTERNATIVES:
        return PeakRegion(tuple(alternatives), True, *winner, points)
    within = []
    for i, (name, axis) in enumerate(axes.items()):
        met = cells.any(axis=tuple([k for k in range(cells.ndim) if k != i]))
        low, high = np.flatnonzero(met)[[0, -1]]
        within.append(side(name, axis.tolist(), [low <= k <= high for k in range(len(axis))]))
    return PeakRegion((tuple(within),), False, *winner, points)
