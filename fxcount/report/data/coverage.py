"""Many points answered by as few pieces as possible.

A piece answers all points at which its assumptions hold; where none does, the model is analysed at one of the points left.
Where the model refuses a point, the decisions it had taken until then tell at which others it refuses alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from fxcount.dataclass import dataclass
from fxcount.errors import AssumptionError, FxcountError, RefusedError
from fxcount.report.data.family import Family, is_final
from fxcount.report.data.piece import Piece
from fxcount.symbolic import Assumption, Scope
from fxcount.symbolic.domain import holds_at

if TYPE_CHECKING:
    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[Any]

__all__ = ["Answered", "Refused", "cover"]

Points: TypeAlias = "Mapping[str, Array]"


@dataclass(frozen=True, slots=True)
class Answered:
    """A piece, and the numbers of the points it answers."""

    piece: Piece
    points: Array


@dataclass(frozen=True, slots=True)
class Refused:
    """Points without an answer: what was said, where, and the numbers of the points. ``assumed``: the decisions the model had
    taken until it refused; ``by_model``: whether it did, or the analysis could not be made. ``at``: the number of the point of
    which the model said it, and of whose sizes it may speak."""

    said: str
    where: str
    assumed: tuple[Assumption, ...]
    points: Array
    by_model: bool = True
    at: int | None = None


def cover(
    family: Family, own: Piece, points: Points, *, extend: bool = True, progress: Callable[[int], None] | None = None,
    most: int | None = None,
) -> tuple[list[Answered], list[Refused]]:  # fmt: skip
    """Who answers which of the points, and who refuses the others; ``points`` are arrays of one length.

    ``progress`` is told how many points are left before each analysis, of which there are at most ``most``.

    Raises :class:`~fxcount.errors.FxcountError` if more would be needed.
    """
    import numpy as np

    left = np.ones(len(next(iter(points.values()))), dtype=bool)
    answered = list(_known(family, own, points, left))
    refused: list[Refused] = []
    tried = 0
    while left.any():
        first = int(np.argmax(left))
        point = {name: int(values[first]) for name, values in points.items()}
        if most is not None and tried >= most:
            raise FxcountError(
                f"{tried} analyses have not answered {int(left.sum()):,} of {len(left):,} points, such as {point}",
                hint="ask for a smaller range",
            )
        tried += 1
        if progress is not None:
            progress(int(left.sum()))
        try:
            piece = family.answering(own, point, extend)
        except AssumptionError as error:
            refused.append(_refusal(error, points, left, first, extend))
            left[refused[-1].points] = False
        else:
            where = left & piece.holds(points)
            where[first] = True  # by then it has been checked
            answered.append(Answered(piece, np.flatnonzero(where)))
            left &= ~where
    return answered, refused


def _known(family: Family, own: Piece, points: Points, left: Array) -> Iterator[Answered]:
    """What the pieces that are there answer; these points are then no longer ``left``."""
    import numpy as np

    for piece in (own, *[p for p in family.pieces if p is not own]):
        if left.any() and piece.trace.scope.hints.keys() >= points.keys():
            where = left & piece.holds(points)
            if where.any():
                yield Answered(piece, np.flatnonzero(where))
                left &= ~where


def _refusal(error: AssumptionError, points: Points, left: Array, first: int, extend: bool) -> Refused:
    """The points that are refused as this one was."""
    import numpy as np

    by_model = isinstance(error, RefusedError)
    if isinstance(error, RefusedError):
        where = left & _alike(error.assumed, points) if error.assumed else np.zeros_like(left)
        where[first] = True
        cause = error.__cause__
        said = error.what.partition(": ")[2] if cause is not None else error.what
        return Refused(said, error.where, error.assumed, np.flatnonzero(where), by_model, first)
    where = left if is_final(error, extend) else np.arange(len(left)) == first
    return Refused(error.what, error.where, (), np.flatnonzero(where), by_model)


def _alike(assumed: Sequence[Assumption], points: Points) -> Array:
    """Where these decisions come out the same."""
    import numpy as np

    region = Scope({})
    region.assumptions = list(assumed)
    try:
        return holds_at(region, points)
    except FxcountError:  # they concern sizes that data decide, which nobody knows here
        return np.zeros(len(next(iter(points.values()))), dtype=bool)
