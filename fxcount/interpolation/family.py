"""One formula for a quantity over all builds: which builds it takes, whether it holds at others, and where it breaks."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import field, replace
from functools import cached_property
from itertools import islice, product

from fxcount.dataclass import dataclass
from fxcount.errors import InputError
from fxcount.interpolation.formula import Formula, vector_of
from fxcount.interpolation.grid import Axis, Grid, Period
from fxcount.interpolation.interpolate import Index, NoPolynomial, Polynomials, Vector, interpolate, value_at
from fxcount.interpolation.periods import find_period, is_polynomial, longest_period
from fxcount.interpolation.points import Failure, Found, Moment, Point, Source
from fxcount.symbolic.expr import terms_of

__all__ = ["Family", "Fitted", "Quantity", "Refused"]

DEGREE = 4
"""Highest power of one hyper-parameter that is looked for."""
FEW = 10
"""A hyper-parameter with no more values than this is checked at each of them."""
ATTEMPTS = 60
"""How often a value that makes builds fail is replaced by another."""
LONGEST_LINE = 200
"""Values along one hyper-parameter that a period is looked for in."""

Quantity = str | tuple[Hashable, ...] | frozenset[Moment]
"""A name of ``QUANTITIES``, the key of an assumption, or some moments, of which a peak is the largest."""


@dataclass(frozen=True)
class Fitted:
    """``formula`` takes the value of every build looked at; ``used`` are those it was made from. ``inside``: why it is not
    claimed outside of the ranges; empty if it is. ``least``: the values below which it is not, where others are."""

    formula: Formula
    used: frozenset[Point]
    periods: tuple[tuple[str, int], ...]
    inside: str = ""
    candidate: _Candidate | None = field(default=None, repr=False, compare=False)
    least: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Refused:
    """There is no formula, for this reason."""

    reason: str


class _Missing(Exception):
    """A build that the grid asks for failed."""

    def __init__(self, index: Index) -> None:
        self.index = index
        super().__init__(index)


@dataclass(frozen=True)
class _Candidate:
    """Polynomials not yet checked."""

    grid: Grid
    polynomials: Polynomials
    used: frozenset[Point]
    nodes: Sequence[Sequence[int]]

    @property
    def start(self) -> Point:
        return self.grid.point((0,) * len(self.nodes), self.nodes)

    def untested(self) -> list[tuple[int, int]]:
        """The axes whose degree is as high as their number of nodes allows, so that no node was left to test it; and that
        number."""
        degrees = [max([e[c] for terms in self.polynomials.values() for e in terms], default=0) for c in range(len(self.nodes))]
        places = zip(self.grid.coordinates(), degrees, self.nodes)
        return [(i, len(nodes)) for (i, part), degree, nodes in places if part != "rest" and 1 < len(nodes) == degree + 1]

    def agrees(self, point: Point, value: Vector) -> bool:
        return value_at(self.polynomials, self.grid.split(point)) == value


class Family:
    """The builds over ranges of hyper-parameters. ``checks``: how many random ones, half inside and half outside, are built to
    check formulas, beside those along each hyper-parameter."""

    def __init__(self, builds: Source, axes: tuple[Axis, ...], checks: int) -> None:
        self.builds = builds
        self.axes = axes
        self.count = checks
        self.periods: dict[int, Period] = {}  # as other quantities have shown them

    @cached_property
    def base(self) -> Point:
        """The first combination that works. Raises the error of the first build that failed if none of the first hundred does;
        one further on may have been made, and work."""
        for point in islice(_by_sum([axis.values for axis in self.axes]), 100):
            if isinstance(self.builds.at(point), Found):
                return point
        failed = [(point, found) for point, found in self.builds.known.items() if isinstance(found, Failure)]
        point, first = failed[0]
        raise InputError(
            f"none of the first {len(failed)} builds works; that of {self.listed(point)} raised {first}",
            hint="give ranges in which the model can be built, and inputs that it takes",
        ) from first.error

    def listed(self, point: Point) -> str:
        return ", ".join(f"{axis.name}={x}" for axis, x in zip(self.axes, point))

    # -- builds to check with -------------------------------------------------------------------------------------------
    @cached_property
    def checks(self) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
        """Points that work, inside and outside of the ranges: along each hyper-parameter, and random ones."""
        chance = random.Random(0)
        inside, outside = list(self._along(False)), list(self._along(True))
        if len(self.axes) > 1:
            largest = tuple([axis.values[-1] for axis in self.axes])  # beyond every threshold at once
            inside += [largest] if isinstance(self.builds.at(largest), Found) else []
            inside += self._drawn(chance, self.count // 2, 0.0)
            outside += self._drawn(chance, self.count - self.count // 2, 0.6)
        return tuple(dict.fromkeys(inside)), tuple(dict.fromkeys(outside))

    def _along(self, outside: bool) -> Iterator[Point]:
        for i, axis in enumerate(self.axes):
            if len(axis.values) > 1:
                some = _spread(axis.values, FEW if len(axis.values) <= FEW else 4)
                for value in [axis.beyond(1), axis.beyond(2)] if outside else some:
                    point = _changed(self.base, i, value)
                    if isinstance(self.builds.at(point), Found):
                        yield point

    def _drawn(self, chance: random.Random, count: int, share: float) -> list[Point]:
        """Random points that work; of each hyper-parameter a ``share`` is taken from outside."""
        found: list[Point] = []
        for _ in range(4 * count):
            away = [len(axis.values) > 1 and chance.random() < share for axis in self.axes]
            point = tuple([
                axis.beyond(chance.randint(1, max(2, len(axis.values) // 2))) if out else chance.choice(axis.values)
                for axis, out in zip(self.axes, away)
            ])  # fmt: skip
            if (any(away) or not share) and len(found) < count and isinstance(self.builds.at(point), Found):
                found.append(point)
        return found

    # -- one quantity ---------------------------------------------------------------------------------------------------
    def value(self, quantity: Quantity, point: Point) -> Vector | None:
        """Its coefficients in the build at this point; ``None`` if the build failed."""
        found = self.builds.at(point)
        if isinstance(found, Failure):
            return None
        if isinstance(quantity, frozenset):
            return {(moment, m): c for moment in quantity for m, c in terms_of(found.bounds.get(moment, 0)).items()}
        if isinstance(quantity, str):
            return vector_of(found.sizes.get(quantity, ()))
        assumption = found.assumptions.get(quantity)
        return {} if assumption is None else vector_of([assumption.expr])

    def fit(self, quantity: Quantity, search_periods: bool = True, inside: str = "") -> Fitted | Refused:
        """The formula of one quantity over all builds, or why there is none. Without ``search_periods`` only those that were
        found for other quantities are tried. ``inside``: why it is not to be claimed outside of the ranges."""
        periods: dict[int, Period] = {}
        for _ in range(len(self.axes) + 1):
            try:
                candidate = self._interpolated(quantity, periods)
            except NoPolynomial as odd:
                broken, through = odd.variable, self.base
                reason = self._not_polynomial(quantity, broken)
            else:
                if isinstance(candidate, Refused):
                    return candidate
                wrong = self._first_wrong(quantity, candidate, self.checks[0])
                if wrong is None:
                    return self._claimed(quantity, candidate, inside)
                broken, through, reason = self._localised(quantity, candidate, wrong)
            period = None if broken in periods else self._period(quantity, broken, through, search_periods)
            if period is None:
                return Refused(reason)
            periods[broken] = period
        return Refused(reason)

    def _claimed(self, quantity: Quantity, candidate: _Candidate, inside: str) -> Fitted | Refused:
        for i, values in candidate.untested():
            # a polynomial goes through as many values as it has coefficients, whatever they are
            beyond = [p for p in self.checks[1] if p == _changed(self.base, i, p[i])]
            if not beyond or self._first_wrong(quantity, candidate, beyond) is not None:
                return Refused(f"{values} values of {self.axes[i].name} are too few to tell how it depends on them")
        wrong = None if inside else self._first_wrong(quantity, candidate, self.checks[1])
        if wrong is not None:
            inside = self._localised(quantity, candidate, wrong)[2]
        grid = candidate.grid
        periods = tuple([(self.axes[i].name, p.length) for i, p in grid.periods.items()])
        return Fitted(Formula.of(candidate.polynomials, grid.variables()), candidate.used, periods, inside, candidate)

    def held_to_all(self, quantity: Quantity, outcome: Fitted | Refused) -> Fitted | Refused:
        """The outcome after a comparison with every build that was made, for whatever quantity."""
        if isinstance(outcome, Refused) or outcome.candidate is None:
            return outcome
        points = [p for p in self.builds.known if self.speaks_of(p) and (not outcome.inside or self._within(p))]
        wrong = self._first_wrong(quantity, outcome.candidate, points)
        return outcome if wrong is None else Refused(self._localised(quantity, outcome.candidate, wrong)[2])

    def speaks_of(self, point: Point) -> bool:
        """Whether none of the hyper-parameters is below its least value."""
        return all(x >= axis.least for axis, x in zip(self.axes, point))

    def _within(self, point: Point) -> bool:
        return all(axis.values[0] <= x <= axis.values[-1] for axis, x in zip(self.axes, point))

    def _interpolated(self, quantity: Quantity, periods: dict[int, Period]) -> _Candidate | Refused:
        grid = Grid(self.axes, self.base, dict(periods))
        for _ in range(ATTEMPTS):
            nodes = grid.nodes()
            if not all(nodes):
                break
            used: set[Point] = set()

            def value(index: Index, grid: Grid = grid, nodes: list[list[int]] = nodes, used: set[Point] = used) -> Vector:
                point = grid.point(index, nodes)
                found = self.value(quantity, point)
                if found is None:
                    raise _Missing(index)
                used.add(point)
                return found

            try:
                polynomials = interpolate(value, nodes, grid.most(DEGREE))
                return _Candidate(grid, polynomials, frozenset(used), nodes)
            except _Missing as missing:
                c = _replaceable(missing.index, nodes)
                grid = replace(grid, banned=grid.banned | {(c, nodes[c][missing.index[c]])})
            except NoPolynomial as odd:
                raise NoPolynomial(grid.coordinates()[odd.variable][0]) from None
        return Refused("too many combinations of the hyper-parameters cannot be built")

    def _first_wrong(self, quantity: Quantity, candidate: _Candidate, points: Sequence[Point]) -> Point | None:
        for point in points:
            value = self.value(quantity, point)
            if value is not None and not candidate.agrees(point, value):
                return point
        return None

    # -- where it breaks --------------------------------------------------------------------------------------------------
    def _localised(self, quantity: Quantity, candidate: _Candidate, wrong: Point) -> tuple[int, Point, str]:
        """The hyper-parameter with which the formula ceases to hold between a build where it does and ``wrong``, the point
        on whose line that happens, and both in words."""
        moved = [i for i in range(len(self.axes)) if candidate.start[i] != wrong[i]]
        found = [self._walked(quantity, candidate, wrong, moved[k:] + moved[:k]) for k in range(len(moved))]
        breaks = [f for f in found if f is not None]
        if not breaks:
            text = f"what fits {len(candidate.used)} builds does not fit that of {self.listed(wrong)}"
            return 0, candidate.start, text
        # where it holds on a stretch before it breaks says more than at the first value of a range
        i, here, good, bad = min(breaks, key=lambda f: f[2] == candidate.start[f[0]])
        return i, here, self._sentence(i, good, bad, here)

    def _walked(
        self, quantity: Quantity, candidate: _Candidate, wrong: Point, order: list[int]
    ) -> tuple[int, Point, int, int] | None:
        """From the start to ``wrong``, a hyper-parameter at a time: the first with which the formula ceases to hold, where, and
        the last good and the first bad of its values; ``None`` if the builds on the way fail."""
        here = candidate.start
        for i in order:
            there = _changed(here, i, wrong[i])
            value = self.value(quantity, there)
            if value is None:
                return None
            if not candidate.agrees(there, value):
                return (i, here, *self._between(quantity, candidate, here, i, wrong[i]))
            here = there
        return None

    def _between(self, quantity: Quantity, candidate: _Candidate, good: Point, i: int, far: int) -> tuple[int, int]:
        """The neighbouring values between which it breaks, found by halving."""
        low, high = sorted((good[i], far))
        inside = sorted({*self.axes[i].values, good[i], far})
        values = [v for v in inside if low <= v <= high]
        if good[i] > far:
            values.reverse()
        first, last = 0, len(values) - 1
        while last - first > 1:
            middle = (first + last) // 2
            value = self.value(quantity, _changed(good, i, values[middle]))
            if value is None:  # it cannot be built: another one
                values.pop(middle)
                last -= 1
            elif candidate.agrees(_changed(good, i, values[middle]), value):
                first = middle
            else:
                last = middle
        return values[first], values[last]

    def _sentence(self, i: int, a: int, b: int, at: Point) -> str:
        name = self.axes[i].name
        rest = ", ".join(f"{axis.name}={x}" for j, (axis, x) in enumerate(zip(self.axes, at)) if j != i)
        low, high = sorted((a, b))
        return f"between {name}={low} and {name}={high} the model becomes another" + (f" (at {rest})" if rest else "")

    def _not_polynomial(self, quantity: Quantity, i: int) -> str:
        """Why the line through the base is no polynomial: it is one above some value, or nowhere."""
        values = self.axes[i].values[: 2 * DEGREE + 4]
        line = [self.value(quantity, _changed(self.base, i, v)) for v in values]
        name = self.axes[i].name
        if self.axes[i].regular and all(v is not None for v in line):
            for start in range(1, len(line) - 3):
                if is_polynomial([v for v in line[start:] if v is not None], min(3, len(line) - start - 2)):
                    return self._sentence(i, values[start - 1], values[start], self.base)
        seen = longest_period(min(len(self.axes[i].values), LONGEST_LINE))
        period = f"nor has it a period of up to {seen}, which is what {len(self.axes[i].values)} values can show"
        return f"it is no polynomial in {name} of degree up to {DEGREE}, " + (period if seen > 1 else "and shows no period")

    def _period(self, quantity: Quantity, i: int, through: Point, search: bool) -> Period | None:
        axis = self.axes[i]
        if i in self.periods or not search or not axis.regular:
            return self.periods.get(i)

        def at(k: int) -> Vector | None:
            return self.value(quantity, _changed(through, i, axis.values[k]))

        # the smallest may be too small for the model: a window without a position
        first = next((k for k in range(min(len(axis.values), FEW)) if at(k) is not None), 0)

        def value(k: int) -> Vector:
            found = at(first + k)
            if found is None:
                raise _Missing((k,))
            return found

        try:
            found = find_period(value, min(len(axis.values), LONGEST_LINE) - first)
        except _Missing:
            return None
        if found is None:
            return None
        length, phase = found
        begins = axis.values[first] + phase * axis.step
        self.periods[i] = Period(length * axis.step, -begins % (length * axis.step))
        return self.periods[i]


def _replaceable(index: Index, nodes: Sequence[Sequence[int]]) -> int:
    """The coordinate whose node is replaced when a build failed: of those that left the base the one with most others."""
    moved = [c for c, k in enumerate(index) if k] or list(range(len(index)))
    return max(moved, key=lambda c: len(nodes[c]))


def _changed(point: Point, i: int, value: int) -> Point:
    return (*point[:i], value, *point[i + 1 :])


def _spread(values: Sequence[int], count: int) -> list[int]:
    """So many of the values, evenly spread, the last one included.

    >>> _spread(range(10), 4)
    [2, 4, 7, 9]
    """
    n = len(values)
    return list(dict.fromkeys([values[(n * (k + 1) + count - 1) // count - 1] for k in range(count)]))


def _by_sum(columns: Sequence[Sequence[int]]) -> Iterator[Point]:
    """Combinations of the smallest values first."""
    firsts = [list(column[: 8 if len(columns) < 4 else 3]) for column in columns]
    places = sorted(product(*[range(len(f)) for f in firsts]), key=lambda k: (sum(k), k))
    return (tuple([f[k] for f, k in zip(firsts, place)]) for place in places)


