"""The pieces of one report: the analysis that was asked for, and those made since at sizes where it does not hold.

A model decides differently at other sizes (a window covers the map, a mask is not needed for one token), so one analysis is
often not the whole answer. A report and all that its ``at()`` gives share one family. It keeps its pieces, never the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock

from fxcount.errors import AssumptionError, FxcountError, InputError, RefusedError, ShapeError, first_line
from fxcount.report.data.piece import Piece
from fxcount.report.data.recipe import Recipe
from fxcount.symbolic import Assumption
from fxcount.trace.torch_patch.session import place_raised
from fxcount.trace.tracer.sources import raised_by_us

__all__ = ["MOST_PIECES", "Family", "is_final", "listed", "words_of"]

MOST_PIECES = 64
"""Pieces kept beside the first; the one that has not answered for longest goes when another comes."""


class Family:
    """``first`` is the analysis asked for; ``recipe`` makes further ones, and is ``None`` for what was read from a file."""

    def __init__(self, first: Piece, recipe: Recipe | None = None, others: Iterable[Piece] = ()) -> None:
        self.first = first
        self.recipe = recipe
        self._others = list(others)  # what answered last is last
        self._lock = Lock()

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """All pieces, the first one first."""
        with self._lock:
            return (self.first, *self._others)

    def keep(self, piece: Piece) -> None:
        """Add a piece, or say that it has answered just now."""
        with self._lock:
            if piece is not self.first:
                self._others = [*[p for p in self._others if p is not piece], piece][-MOST_PIECES:]

    def answering(self, own: Piece, values: Mapping[str, int], extend: bool, keep: bool = True) -> Piece:
        """The piece that holds at these sizes: ``own``, one that is there, or with ``extend`` a new one, which stays with
        ``keep``.

        A symbol without a value is taken at the sample value of ``own``.

        Raises :class:`~fxcount.errors.AssumptionError` if there is none, with the assumption of ``own`` that is in the way.
        """
        point = {**{name: own.trace.scope.hints[name] for name in own.asked}, **values}
        failed = own.broken(own.completed(point))
        if failed is None:
            return own
        if not extend:
            raise refusal(failed, own.completed(point))
        return self._kept(point) or self._again(own, point, failed, keep)

    def _kept(self, point: Mapping[str, int]) -> Piece | None:
        for piece in (self.first, *reversed(self.pieces[1:])):
            known = piece.trace.scope.hints.keys() >= point.keys()  # a size that data decide may be unknown there
            if known and piece.broken(piece.completed(point)) is None:
                self.keep(piece)
                return piece
        return None

    def _again(self, own: Piece, point: dict[str, int], failed: Assumption, keep: bool) -> Piece:
        piece = self.analysed(point, refusal(failed, own.completed(point)), _short(failed))
        still = piece.broken(piece.completed(point))
        if still is not None:
            raise refusal(still, piece.completed(point))
        if keep:
            self.keep(piece)
        return piece

    def analysed(self, point: Mapping[str, int], why: AssumptionError, because: str) -> Piece:
        """A new piece, analysed at these sizes. ``why``: what is said if there can be none; ``because``: what it says itself.

        Raises:
            RefusedError: the model itself refuses these sizes; its own exception is the cause.
            AssumptionError: it cannot be analysed there: it is gone, it has changed, or fxcount cannot follow it.
        """
        if self.recipe is None:
            raise unanswered(why, "the report was read from a file or another process, without the model")
        recipe = self.recipe
        try:
            report = recipe.again({**recipe.hints, **point})
        except ShapeError as error:
            raise refused(error, point) from error
        except (AssumptionError, InputError) as error:  # the model is gone or another; sizes that are none
            raise unanswered(why, error.what, error.hint) from error
        except FxcountError as error:
            raise unanswered(why, error.what, error.hint, error.where) from error
        except Exception as error:
            if raised_by_us(error):
                raise unanswered(why, words_of(error)) from error
            raise refused(error, point) from error
        scope = report.trace.scope
        for name in scope.unbacked.given.keys() - recipe.hints.keys():  # given for this answer alone
            del scope.unbacked.given[name]
        return type(self.first).of(report, because)


def refusal(failed: Assumption, values: Mapping[str, int]) -> AssumptionError:
    """The complaint that formulas do not hold at these values."""
    return AssumptionError(
        f"the formulas assume {failed}, which does not hold at {listed(values)}"
        + (f": {failed.why}" if failed.why else ""),
        where=failed.where,
        hint=f"analyse again with hints=dict({listed(values)}), so that the model decides for these sizes",
    )


def _short(failed: Assumption) -> str:
    place = f" ({failed.where})" if failed.where and "pinned at" not in str(failed) else ""
    return f"{failed}{place} does not hold there"


def unanswered(why: AssumptionError, reason: str, hint: str = "", where: str = "") -> AssumptionError:
    """``why`` no piece holds, and the ``reason`` there can be no other."""
    reason = reason.rstrip(".")
    return AssumptionError(
        f"{why.what}; and the model cannot be analysed there: {reason}", where=where or why.where, hint=hint or why.hint
    )


def refused(error: Exception, values: Mapping[str, int]) -> RefusedError:
    """The model's own complaint about these sizes, in its words."""
    place = getattr(error, "where", "") or place_raised(error)
    found = RefusedError(
        f"the model itself refuses {listed(values)}: {words_of(error)}", where=place, hint="ask for sizes that the model takes"
    )
    found.assumed = getattr(error, "__assumed__", ())
    return found


def is_final(error: AssumptionError, extend: bool) -> bool:
    """Whether other sizes outside the pieces will get no answer either: the model is not asked, is gone, or is another."""
    return not extend or error.__cause__ is None or isinstance(error.__cause__, AssumptionError)


def words_of(error: Exception) -> str:
    """What an exception says, on one line; with its class, unless it is one of ours."""
    what = error.what if isinstance(error, FxcountError) else f"{type(error).__name__}: {first_line(error)}"
    return " ".join(what.split())[:300]


def listed(values: Mapping[str, int]) -> str:
    """``B=1, H=224``."""
    return ", ".join(f"{n}={v}" for n, v in values.items())
