"""All pieces of a report over a box of sizes.

A cell that no piece covers yet gives the point of the next analysis; the piece found there brings new conditions, which cut the
box further, until all of it is answered or refused. Pieces that count the same become one, and what was assumed between them
goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import field, replace
from itertools import chain, islice, product
from typing import TYPE_CHECKING, Any, TypeAlias

from fxcount.dataclass import dataclass
from fxcount.errors import AssumptionError, FxcountError, RefusedError, SizeError
from fxcount.report.data.box import Box, Condition, conditions_of, conditions_on
from fxcount.report.data.curve import QUANTITIES
from fxcount.report.data.family import Family, is_final
from fxcount.report.data.piece import Piece
from fxcount.report.data.regions import Side, products, side
from fxcount.symbolic import Assumption, Expr, Size, max_, parse, substitute, symbol
from fxcount.symbolic.vector import evaluate_many

if TYPE_CHECKING:
    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[Any]

__all__ = ["Found", "RefusedSizes", "found_over"]

MOST_ANALYSES = 512
MOST_ALTERNATIVES = 6
"""Products of sizes that are listed for symbols a piece brings together; what takes more is told by its claims."""
IN_A_ROW = 8
"""So many pieces one after the other that hold at one size of a symbol each tell of a loop over it."""
FIRST_COMPARED = 64
"""Points at which most pieces that differ are told apart, before all are looked at."""
MOST_COMPARED = 1 << 20
"""Points at which two pieces are compared number by number; over more they are one only if their formulas are the same."""


@dataclass(frozen=True, slots=True)
class Found:
    """One piece in the box, or several that count the same there: ``sizes`` are the formulas of QUANTITIES, in the symbols
    that run. ``domain``: alternatives, each with one side for each group of symbols. ``hints``: where it was analysed.
    ``assumptions``: what decides that the sizes belong here and not to another piece."""

    domain: tuple[tuple[Side, ...], ...]
    sizes: dict[str, tuple[Size, ...]]
    hints: dict[str, int]
    assumptions: tuple[Assumption, ...]


@dataclass(frozen=True, slots=True)
class RefusedSizes:
    """Sizes without an answer: what was said, where, and the ``domain`` as in :class:`Found`."""

    domain: tuple[tuple[Side, ...], ...]
    said: str
    where: str


@dataclass
class _Entry:
    """A region of the box: of a piece, or refused. ``allowed``: cells in which it holds; ``cells``: those it answers, of
    several that hold; ``members``: the entries that it was made of."""

    conditions: list[Condition]
    piece: Piece | None = None
    said: str = ""
    where: str = ""
    allowed: Any = None
    cells: Any = None
    members: list[_Entry] = field(default_factory=list)


def found_over(
    family: Family, own: Piece, given: Mapping[str, Any], *, fixed: Mapping[str, int], extend: bool, guess: bool,
    progress: Callable[[int], None] | None,
) -> tuple[list[Found], list[RefusedSizes]]:  # fmt: skip
    """The pieces over the box, and what is refused in it. ``given``: bounds ``(low, high)``, a range, a number or a tie each.

    Raises:
        SizeError: symbols without a range, what is no range, or decisions on too many combinations of sizes.
        FxcountError: more analyses than are allowed would be needed.
    """
    axes, ties = _axes({**fixed, **given}, [n for n in own.trace.scope.hints if n in own.asked or n in given])
    box = Box(axes, ties)
    entries = [_Entry(conditions_on([_below_one(name)]), said="a size must be at least 1") for name in ties]
    entries += [_Entry(conditions_of(p.trace.scope, p.given()), p) for p in (own, *[p for p in family.pieces if p is not own])]
    for entry in entries:
        box.add(entry.conditions)
    for analyses in range(MOST_ANALYSES + 1):
        point = _uncovered(box)
        if point is None:
            return _result(box, entries, guess)
        if progress is not None:
            progress(analyses)
        entries.append(_next(family, own, point, extend))
        box.add(entries[-1].conditions)
        _check_loops(box, entries, MOST_ANALYSES - analyses)
    raise FxcountError(
        f"{MOST_ANALYSES} analyses do not cover the range: at {point} there is no answer yet",
        hint="the model decides anew at nearly every size: ask for a smaller range; of loops report.fit() finds the formula",
    )


def _axes(given: Mapping[str, Any], names: Sequence[str]) -> tuple[dict[str, Array], dict[str, Size]]:
    from fxcount.report.data.curve import grid, ranges_of

    spread = ranges_of(given, "pieces", (32, 2048))
    alone = {n: v for n, v in spread.items() if not isinstance(v, str)}
    axes: dict[str, Array] = {}
    for name, value in alone.items():
        _, columns = grid({name: value}, [name], "pieces")
        axes[name] = columns[name]
    ties: dict[str, Size] = {n: parse(v) for n, v in spread.items() if isinstance(v, str)}
    known = {**dict.fromkeys(alone, 1), **{n: v for n, v in spread.items() if n in ties}}
    grid(known, names, "pieces")  # complains about what is missing, unknown or tied in a circle
    for _ in ties:
        ties = {n: substitute(size, ties) if isinstance(size, Expr) else size for n, size in ties.items()}
    return axes, ties


def _below_one(name: str) -> Assumption:
    room = -symbol(name)
    assert isinstance(room, Expr)
    return Assumption(">=", room, 0, "declared", "a size is at least 1", "")


def _uncovered(box: Box) -> dict[str, int] | None:
    import numpy as np

    allowed, classes = box.allowed()
    open_cells = ~np.logical_or.reduce(allowed)
    if not open_cells.any():
        return None
    return box.point(np.unravel_index(int(np.argmax(open_cells)), open_cells.shape), classes)  # type: ignore[arg-type]


def _next(family: Family, own: Piece, point: dict[str, int], extend: bool) -> _Entry:
    """What is found at this point."""
    try:
        piece = family.answering(own, point, extend)
    except RefusedError as error:
        conditions = conditions_on(error.assumed)
        if not error.assumed or any(c.names - point.keys() for c in conditions):
            conditions = _just(point)
        return _Entry(conditions, None, error.what.partition(": ")[2], error.where)
    except AssumptionError as error:
        return _Entry([] if is_final(error, extend) else _just(point), None, error.what, error.where)
    return _Entry(conditions_of(piece.trace.scope, piece.given()), piece)


def _check_loops(box: Box, entries: Sequence[_Entry], left: int) -> None:
    """Complain once it is plain that the analyses left are too few: each of the last ones holds at one size of a symbol."""
    import numpy as np

    last = range(len(entries) - IN_A_ROW, len(entries))
    if last[0] < 0 or any(entries[i].piece is None for i in last):
        return
    for group in box.groups:
        for name in group.axes:
            held = [np.unique(group.points[name][group.allowed[i]]) for i in last]
            open_sizes = np.unique(group.points[name][~np.logical_or.reduce(group.allowed)])
            alone = all(len(sizes) == 1 for sizes in held) and len({int(sizes[0]) for sizes in held}) == IN_A_ROW
            if alone and left < len(open_sizes):
                pins = [a for a in entries[-1].piece.assumptions if a.kind == "pin"]  # type: ignore[union-attr]
                raise FxcountError(
                    f"the model takes {name} as a number, so that each size of it is a piece of its own; "
                    f"{len(open_sizes):,} are left in this range, and {left} analyses",
                    where=pins[0].where if pins else "",
                    hint=f"report.fit() finds one formula of a loop, and report.fit().curve(...) its numbers; or ask for fewer "
                    f"sizes, e.g. {name}=range(64, 2049, 64)",
                )  # fmt: skip


def _just(point: Mapping[str, int]) -> list[Condition]:
    """The conditions that only this point meets."""
    exact = [(symbol(name) - value) for name, value in point.items()]
    return conditions_on([Assumption("==", e, 0, "declared", "", "") for e in exact if isinstance(e, Expr)])


# -- from entries to what is shown --------------------------------------------------------------------------------------
def _result(box: Box, entries: list[_Entry], guess: bool) -> tuple[list[Found], list[RefusedSizes]]:
    import numpy as np

    allowed, classes = box.allowed()
    taken = np.zeros_like(allowed[0])
    for entry, cells in zip(entries, allowed):
        entry.allowed, entry.cells = cells, cells & ~taken
        taken |= cells
        entry.members = [replace(entry)]
    found = [e for e in entries if e.cells.any()]
    for entry in found:
        unknown = [] if entry.piece is None else list(entry.piece.guesses)
        if unknown and not guess:
            raise SizeError(
                f"pieces() needs a value for {', '.join(unknown)}: no shape tells it",
                hint="fix it first: report.at(...), or take the guess with pieces(..., guess=True)",
            )
    kept = _merged(box, [e for e in found if e.piece is not None], classes)
    refused = _merged_refusals([e for e in found if e.piece is None])
    return (
        [_shown(box, entry, classes) for entry in kept],
        [RefusedSizes(_domain(box, e, classes), e.said, e.where) for e in refused],
    )


def _formulas(box: Box, piece: Piece) -> dict[str, tuple[Size, ...]]:
    """The quantities in the symbols that run; of the peak, the moments of which it is the largest."""
    values: dict[str, Size] = dict(box.ties)
    for name, unbacked in piece.trace.scope.unbacked.by_name.items():
        values[name] = substitute(unbacked.default, {**values, **piece.given()})
    return {q: tuple([substitute(s, values) for s in sizes]) for q, sizes in piece.totals(*QUANTITIES).items()}


def _merged(box: Box, entries: list[_Entry], classes: Sequence[tuple[Array, Array]]) -> list[_Entry]:
    """Entries that count the same as an earlier one, at the sizes where they answer, are part of it."""
    import numpy as np

    # of symbols that are looked at together the domain says where a piece holds, which may be more than where it answers
    shown = "cells" if all(len(g.axes) == 1 for g in box.groups) else "allowed"
    kept: list[tuple[_Entry, dict[str, tuple[Size, ...]]]] = []
    for entry in entries:
        assert entry.piece is not None
        formulas = _formulas(box, entry.piece)
        here = box.members(getattr(entry, shown), classes, MOST_COMPARED)
        for other, theirs in kept:
            if _alike(theirs, formulas, here):
                _join(other, entry)
                break
            there = box.members(getattr(other, shown), classes, MOST_COMPARED)
            if there is not None and _alike(formulas, theirs, there):
                _join(other, entry)
                other.piece = entry.piece  # the formulas that hold for both
                theirs.update(formulas)
                break
        else:
            kept.append((entry, formulas))
    return sorted([entry for entry, _ in kept], key=lambda e: tuple(np.argwhere(e.cells)[0]))


def _join(entry: _Entry, other: _Entry) -> None:
    entry.cells, entry.allowed = entry.cells | other.cells, entry.allowed | other.allowed
    entry.members = [*entry.members, *other.members]


def _alike(a: Mapping[str, tuple[Size, ...]], b: Mapping[str, tuple[Size, ...]], points: dict[str, Array] | None) -> bool:
    """Whether both give the same numbers at all the points; without points, whether they are the same formulas."""
    if all(set(a[q]) == set(b[q]) for q in QUANTITIES):
        return True
    if points is None:
        return False
    few = {name: values[:: max(1, len(values) // FIRST_COMPARED)] for name, values in points.items()}
    return _same_numbers(a, b, few) and _same_numbers(a, b, points)


def _same_numbers(a: Mapping[str, tuple[Size, ...]], b: Mapping[str, tuple[Size, ...]], points: Mapping[str, Array]) -> bool:
    import numpy as np

    try:
        for q in QUANTITIES:
            one, two = (np.maximum.reduce([np.asarray(v) for v in evaluate_many(f[q], points)]) for f in (a, b))
            if not np.array_equal(np.broadcast_to(one, np.shape(two) or np.shape(one)), two):
                return False
    except ZeroDivisionError:
        return False
    return True


def _merged_refusals(entries: list[_Entry]) -> list[_Entry]:
    """Regions that are refused at the same line are one, with the words of the first: they may name its sizes."""
    kept: dict[str, _Entry] = {}
    for e in entries:
        before = kept.get(e.where or e.said)
        if before is None:
            kept[e.where or e.said] = replace(e)
        else:
            _join(before, e)
    return list(kept.values())


def _shown(box: Box, entry: _Entry, classes: Sequence[tuple[Array, Array]]) -> Found:
    piece = entry.piece
    assert piece is not None
    return Found(_domain(box, entry, classes), _formulas(box, piece), piece.hints, tuple(_deciding(box, entry, classes)))


def _deciding(box: Box, entry: _Entry, classes: Sequence[tuple[Array, Array]]) -> list[Assumption]:
    """The assumptions that hold wherever the entry answers, and not everywhere in the box."""
    import numpy as np

    found: dict[tuple[int, bytes], Assumption] = {}
    for c in [c for member in entry.members for c in member.conditions]:
        names = box.runs(c.names)
        group = next((g for g in box.groups if names and names <= g.axes.keys()), None)
        if group is None or c.assumption is None:
            continue
        truth = group.truth([c])
        place = box.groups.index(group)
        used = np.flatnonzero(entry.cells.any(axis=tuple(i for i in range(entry.cells.ndim) if i != place)))
        inside = np.isin(classes[place][0], used)
        if truth[inside].all() and not truth.all():
            found.setdefault((place, truth.tobytes()), c.assumption)  # W >= 116 says nothing new where W is H
    return list(found.values())


def _domain(box: Box, entry: _Entry, classes: Sequence[tuple[Array, Array]]) -> tuple[tuple[Side, ...], ...]:
    """Sizes of each symbol by itself, if these tell it in a few alternatives; else what is claimed of several symbols."""
    alone: list[tuple[Side, ...]] = []
    for parts in products(entry.cells):
        groups = [_each_alone(entry, g.axes, of, chosen) for g, (of, _), chosen in zip(box.groups, classes, parts)]
        alone += [tuple(chain(*sides)) for sides in product(*groups)]
        if any(len(sides) > MOST_ALTERNATIVES for sides in groups) and any(len(g.axes) > 1 for g in box.groups):
            break
    else:
        return tuple(alone)
    return tuple([tuple(_sides(box, m, parts, classes)) for m in entry.members for parts in products(m.cells)])


def _each_alone(entry: _Entry, axes: Mapping[str, Array], of: Array, chosen: Sequence[int]) -> list[list[Side]]:
    """The chosen classes of a group as alternatives, each with a side for each symbol of it; one too many if they are many."""
    import numpy as np

    mask = np.isin(of, chosen).reshape([len(axis) for axis in axes.values()])
    conditions = [c for m in entry.members or [entry] for c in m.conditions]
    periods = [c.assumption.modulus for c in conditions if c.assumption is not None and c.assumption.modulus > 1]
    found = []
    for parts in islice(products(mask), MOST_ALTERNATIVES + 1):
        found.append([_of_axis(name, axis, members, periods) for (name, axis), members in zip(axes.items(), parts)])
    return found


def _of_axis(name: str, axis: Array, members: Sequence[int], periods: Sequence[int]) -> Side:
    import numpy as np

    order = np.argsort(axis, kind="stable")
    chosen = np.isin(np.arange(len(axis)), members)[order]
    return side(name, axis[order].tolist(), chosen.tolist(), periods)


def _sides(box: Box, entry: _Entry, parts: Sequence[Sequence[int]], classes: Sequence[tuple[Array, Array]]) -> list[Side]:
    """What is said of each group, in claims where it has several symbols; ``entry`` has one member then."""
    found = []
    for group, chosen, (of, first) in zip(box.groups, parts, classes):
        if len(group.axes) == 1:
            (sides,) = _each_alone(entry, group.axes, of, chosen)
            found += sides
        elif len(chosen) < len(first):
            found.append(Side(tuple(group.axes), claims=_claims(box, entry, group.axes.keys())))
    return found


def _claims(box: Box, entry: _Entry, names: AbstractSet[str]) -> tuple[Assumption, ...]:
    """What an entry assumes of these symbols, each of which runs: what is tied to them is written in them."""
    own = [c.assumption for c in entry.conditions if c.assumption is not None and box.runs(c.names) <= names]
    found: dict[tuple[object, ...], Assumption] = {}
    for a in own:
        size = a.expr if a.claim is not None else substitute(a.expr, box.ties)
        if isinstance(size, Expr):
            found.setdefault((a.relation, size, a.modulus, a.claim), replace(a, expr=size))
    return tuple(found.values())


def peak_of(sizes: Sequence[Size]) -> Size:
    """The largest of these sizes as one formula."""
    return max_(*sizes)
