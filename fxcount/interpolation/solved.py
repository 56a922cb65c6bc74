"""From a family of analyses to what is found of all of them: formulas, conditions, evidence."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import reduce
from math import gcd
from typing import Any, cast

from fxcount.interpolation.family import Family, Fitted, Refused
from fxcount.interpolation.formula import Formula
from fxcount.interpolation.points import QUANTITIES, Failure, Found, Moment, Point
from fxcount.interpolation.result import Scaling
from fxcount.symbolic import Assumption, Expr

__all__ = ["from_where_it_is_one", "solved"]

_MAIN = ("params", "trainable", "macs", "flops", "kv_bytes")
"""Quantities for whose sake a period is looked for, which takes many builds; others try the periods that these have."""

_FEWEST = 8
"""Values that must be left where the smallest sizes of an input are others."""

_WIDENED = 4
"""How often builds made to fit moments may show further ones."""

_ANOTHER_MOMENT = "at other sizes the peak may be at another moment"


def solved(family: Family) -> Scaling:
    """Every quantity's formula, held to all analyses that were made, or the reason why there is none. Raises the error of the
    first analysis if none works."""
    axes, builds = family.axes, family.builds
    names = tuple([axis.name for axis in axes])
    first = builds.at(family.base)
    assert isinstance(first, Found)
    outcomes = {name: family.fit(name, name in _MAIN) for name in QUANTITIES if name in first.sizes and name != "peak_bytes"}
    outcomes = {name: family.held_to_all(name, outcome) for name, outcome in outcomes.items()}
    outcomes["peak_bytes"] = _peak(family)
    conditions = _conditions(family)
    used = frozenset().union(*[o.used for o in outcomes.values() if isinstance(o, Fitted)])
    checked = [p for p, found in builds.known.items() if isinstance(found, Found) and p not in used and family.speaks_of(p)]
    skipped = {p: str(found) for p, found in builds.known.items() if isinstance(found, Failure)}
    return Scaling(
        model_name=first.model_name,
        axes=axes,
        outcomes=outcomes,
        conditions=tuple(conditions),
        fitted=tuple([dict(zip(names, p)) for p in sorted(used)]),
        checked=tuple([dict(zip(names, p)) for p in sorted(checked)]),
        skipped=tuple([(dict(zip(names, p)), text) for p, text in sorted(skipped.items())]),
        constraint=_constraint(names, [p for p, f in builds.known.items() if isinstance(f, Found)], list(skipped)),
        totals=first.totals,
        symbols=first.symbols,
        builds=builds,
    )


def _peak(family: Family) -> Fitted | Refused:
    """The largest of all moments; where these follow no formulas, the one that is largest in the ranges."""
    fewest, of_moments = (len(family.axes[0].values) - _FEWEST if len(family.axes) == 1 else 0), ""
    for left_out in [n for n in (0, 1, 2, 4) if n <= max(fewest, 0)]:
        (first, *others) = family.axes
        some = Family(family.builds, (first.above(left_out), *others), family.count) if left_out else family
        outcome = _largest_moment(some)
        if isinstance(outcome, Fitted):
            return replace(outcome, least=((first.name, first.values[left_out]),)) if left_out else outcome
        of_moments = of_moments or outcome.reason
    found = family.held_to_all("peak_bytes", family.fit("peak_bytes", False, _ANOTHER_MOMENT))
    return Refused(f"{found.reason}; and of its moments, {of_moments}") if isinstance(found, Refused) else found


def _largest_moment(family: Family) -> Fitted | Refused:
    """A formula of each moment there is in any build, held to all builds that were made: which of them is the largest elsewhere
    is then known, too."""
    outcome: Fitted | Refused = Refused("there are no moments")
    moments: frozenset[Moment] = frozenset()
    for _ in range(_WIDENED):
        meant = [f for p, f in family.builds.known.items() if isinstance(f, Found) and family.speaks_of(p)]
        if not all([f.moments for f in meant]):
            return Refused("the moments of some builds are not known")
        known = moments.union(*[f.moments for f in meant])
        if known == moments:
            loose = frozenset([m for f in meant for m, size in f.moments.items() if f.bounds[m] != size])
            return _without(outcome, loose) if isinstance(outcome, Fitted) else outcome
        moments = known
        outcome = family.held_to_all(moments, family.fit(moments, False))
        if isinstance(outcome, Refused):
            return outcome
    return Refused("every further build has moments of its own")


def _without(outcome: Fitted, loose: frozenset[Moment]) -> Fitted | Refused:
    """The largest of the moments without those of which only a bound has a formula, if these are never the largest."""
    if not loose or outcome.candidate is None:
        return outcome
    polynomials, variables = outcome.candidate.polynomials, outcome.candidate.grid.variables()
    inexact: dict[Any, Any] = {k: v for k, v in polynomials.items() if cast("tuple[Moment, Any]", k)[0] in loose}
    bound = Formula.of(inexact, variables)
    exact = Formula.of({k: v for k, v in polynomials.items() if k not in inexact}, variables)
    if not bound.at_most(exact):
        return Refused("a moment that follows no formula may be the largest")
    return replace(outcome, formula=exact)


def from_where_it_is_one(family: Family) -> Family:
    """The builds over a size of the inputs, without the smallest ones if they count otherwise: a convolution's window is longer
    than the sequence, one token needs no mask. Without any formula all are kept, and the reasons tell of all."""
    (axis,) = family.axes
    first = family.builds.at(family.base)
    assert isinstance(first, Found)

    def refused(left_out: int, periods: bool) -> bool:
        some = Family(family.builds, (axis.above(left_out) if left_out else axis,), family.count)
        return any(not isinstance(some.fit(name, periods), Fitted) for name in _MAIN if name in first.sizes)

    most = len(axis.values) - _FEWEST
    tried = [n for n in (0, 1, 2, 4, 8, 16, 32) if n <= most]
    # a period takes many builds: it is looked for where nothing goes without
    works, periods = next(((n, periods) for periods in (False, True) for n in tried if not refused(n, periods)), (0, False))
    while works and not refused(works - 1, periods):
        works -= 1
    return Family(family.builds, (axis.above(works),), family.count) if works else family


def _conditions(family: Family) -> list[Assumption]:
    """The assumptions of the builds, as formulas in the hyper-parameters where they follow one."""
    keys: dict[tuple[Hashable, ...], None] = {}
    meant = [f for p, f in family.builds.known.items() if isinstance(f, Found) and family.speaks_of(p)]
    for found in meant:
        keys.update(dict.fromkeys(k for k in found.assumptions if isinstance(k, tuple)))
    conditions: list[Assumption] = []
    for key in keys:
        outcome = family.fit(key, search_periods=False)
        holders = [f.assumptions[key] for f in meant if key in f.assumptions]
        everywhere = len(holders) == len(meant)
        if isinstance(outcome, Fitted) and everywhere and isinstance(outcome.formula.numerator, Expr):
            size, times = outcome.formula.numerator, outcome.formula.denominator
            conditions.append(replace(holders[0], expr=size, modulus=holders[0].modulus * times))
        else:  # as it stands in each of the builds that make it
            conditions += dict.fromkeys(holders)
    return conditions


def _constraint(names: tuple[str, ...], works: list[Point], fails: list[Point]) -> str:
    """What sets the builds that fail apart, if it is divisibility: ``"d_model % heads == 0"``."""
    if not fails:
        return ""
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            if i != j and all(p[i] % p[j] == 0 for p in works) and all(p[i] % p[j] for p in fails):
                return f"{a} % {b} == 0"
    for i, a in enumerate(names):
        m = reduce(gcd, [p[i] for p in works], 0)
        if m > 1 and all(p[i] % m for p in fails):
            return f"{a} % {m} == 0"
    return ""
