"""Fitted formulas over a range of sizes: a curve without an analysis for each point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from fxcount.errors import AssumptionError
from fxcount.interpolation.family import Fitted
from fxcount.interpolation.result import Scaling
from fxcount.report.data.curve import QUANTITIES, CurvePiece, grid
from fxcount.report.data.family import refusal
from fxcount.symbolic import Assumption, Scope
from fxcount.symbolic.domain import holds_at
from fxcount.symbolic.vector import evaluate_many

if TYPE_CHECKING:
    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[Any]

__all__ = ["fitted_curve"]


def fitted_curve(found: Scaling, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a :class:`~fxcount.report.data.curve.CurveData`. Raises the complaint of ``found.macs`` if it has none."""
    import numpy as np

    _ = found.macs
    used = frozenset().union(*[f.names for name, f in found.formulas.items() if name in QUANTITIES])
    names = list(dict.fromkeys([*found.symbols, *[axis.name for axis in found.axes], *found.values, *sorted(used)]))
    free, points = grid({**found.values, **given}, names, "curve")
    count = len(next(iter(points.values())))
    said = _outside(found, points, count)
    where = np.flatnonzero([not text for text in said])
    inside = {name: values[where] for name, values in points.items()}
    columns: dict[str, list[int | None]] = {quantity: [None] * count for quantity in QUANTITIES}
    for quantity, column in columns.items():
        outcome = found.outcomes.get(quantity)
        if isinstance(outcome, Fitted) and len(where):
            claimed = _claimed(found, outcome, inside)
            for i, number, holds in zip(where.tolist(), _numbers(outcome, inside), claimed.tolist()):
                column[i] = number if holds else None
    hints = dict(found.fitted[0]) if found.fitted else {}
    return {
        "model_name": found.model_name, "free": free, "sizes": {name: values.tolist() for name, values in points.items()},
        "columns": columns, "piece": [None if text else 0 for text in said], "refused": said,
        "pieces": [CurvePiece(hints, found.conditions, found.evidence, len(where))],
    }  # fmt: skip


def _outside(found: Scaling, points: Mapping[str, Array], count: int) -> list[str]:
    """Why there is no answer at a point; empty where there is."""
    said = [""] * count
    for axis in found.axes:
        values = points[axis.name].tolist()
        strange = {value for value in set(values) if not axis.fits(value)}
        for i in [i for i, value in enumerate(values) if value in strange]:
            said[i] = f"the formulas speak of {axis.name} = {found.domain[axis.name]}; at() of the report answers here"
    for condition in found.conditions:
        for i in _broken(condition, points, count):
            said[i] = said[i] or refusal(condition, {name: int(values[i]) for name, values in points.items()}).what
    return said


def _broken(condition: Assumption, points: Mapping[str, Array], count: int) -> list[int]:
    import numpy as np

    alone = Scope({})
    alone.assumptions = [condition]
    holds = np.broadcast_to(holds_at(alone, points), (count,))
    return [int(i) for i in np.flatnonzero(~holds)]


def _claimed(found: Scaling, outcome: Fitted, points: Mapping[str, Array]) -> Array:
    """At which points this formula is claimed: not below its least values, and some not outside of the ranges."""
    import numpy as np

    claimed = np.ones(len(next(iter(points.values()))), dtype=bool)
    for name, low in outcome.least:
        claimed &= np.asarray(points[name] >= low, dtype=bool)
    for axis in found.axes if outcome.inside else ():
        values = points[axis.name]
        claimed &= np.asarray((values >= axis.values[0]) & (values <= axis.values[-1]), dtype=bool)
    return claimed


def _numbers(outcome: Fitted, points: Mapping[str, Array]) -> list[int]:
    """A formula at points: whole numbers, or it is none."""
    import numpy as np

    count, formula = len(next(iter(points.values()))), outcome.formula
    (values,) = evaluate_many([formula.numerator], points)
    numbers = np.broadcast_to(values, (count,)).tolist()
    if any(n % formula.denominator for n in numbers):
        raise AssumptionError(f"{formula} is no whole number at some of the sizes", hint="ask at() for the sizes one by one")
    return [n // formula.denominator for n in numbers]
