"""Sets of sizes in words and in sympy: progressions of one symbol, products of them, and conditions on several symbols."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from fxcount.symbolic import Assumption, symbol, to_sympy

if TYPE_CHECKING:
    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[Any]

__all__ = ["Progression", "Side", "condition", "joined", "products", "progressions", "side", "text"]

_LONGEST = 6


class Progression(NamedTuple):
    """``first``, ``first + step``, ..., ``last``."""

    first: int
    last: int
    step: int


class Side(NamedTuple):
    """What is said of one group of symbols: progressions of its one symbol, without those ``left_out``, or claims on
    several."""

    names: tuple[str, ...]
    progressions: tuple[Progression, ...] = ()
    left_out: tuple[Progression, ...] = ()
    claims: tuple[Assumption, ...] = ()


def progressions(values: Sequence[int], chosen: Sequence[bool], periods: Iterable[int] = ()) -> list[Progression]:
    """The chosen ones among sizes in order, as few progressions as a greedy search finds, the longest first.

    >>> progressions(range(30, 41), [v % 7 == 0 or v > 37 for v in range(30, 41)])
    [Progression(first=38, last=40, step=1), Progression(first=35, last=35, step=1)]
    >>> progressions(range(3, 100), [v % 32 == 0 for v in range(3, 100)])
    [Progression(first=32, last=96, step=32)]
    """
    left = {int(v) for v, c in zip(values, chosen) if c}
    unit = min([int(b) - int(a) for a, b in pairwise(values)], default=1)
    steps = sorted({unit * p for p in range(1, 65)} | {p for p in periods if p >= unit})
    found = []
    while left:
        best = max([_longest(left, step) for step in steps], key=lambda p: ((p.last - p.first) // p.step, -p.step))
        if best.first == best.last:
            best = Progression(best.first, best.last, unit)
        found.append(best)
        left.difference_update(range(best.first, best.last + 1, best.step))
    return found


def _longest(left: set[int], step: int) -> Progression:
    """The longest progression of this step, the first of several."""
    best = Progression(0, -1, step)
    for first in sorted(left):
        if first - step in left:
            continue
        last = first
        while last + step in left:
            last += step
        if last - first > best.last - best.first or best.last < best.first:
            best = Progression(first, last, step)
    return best


def side(name: str, values: Sequence[int], chosen: Sequence[bool], periods: Sequence[int] = ()) -> Side:
    """The chosen sizes of one symbol, whichever way is shorter: what is in it, or a whole stretch without what is not.

    >>> print(text([[side("S", range(1, 100), [v % 7 != 0 for v in range(1, 100)])]]))
    1 <= S <= 99 without S = 7, 14, ..., 98
    """
    found = progressions(values, chosen, periods)
    if len(found) > 2:
        first, last = list(chosen).index(True), len(chosen) - list(reversed(chosen)).index(True)
        inside = values[first:last]
        whole = progressions(inside, [True] * len(inside), periods)
        holes = progressions(inside, [not c for c in chosen[first:last]], periods)
        if len(whole) + len(holes) < len(found):
            return Side((name,), tuple(whole), tuple(holes))
    return Side((name,), tuple(found))


def products(cells: Array) -> Iterator[list[list[int]]]:
    """A set of cells as a union of products: for each dimension the classes that take part.

    >>> import numpy as np
    >>> list(products(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=bool)))
    [[[0, 1], [0, 1]], [[2], [2]]]
    """
    import numpy as np

    if cells.ndim == 0:
        if cells:
            yield []
        return
    alike: dict[bytes, list[int]] = {}
    for i, rest in enumerate(cells):
        alike.setdefault(np.ascontiguousarray(rest).tobytes(), []).append(i)
    for members in alike.values():
        for rest in products(cells[members[0]]):
            yield [members, *rest]


def joined(alternatives: Iterable[tuple[Side, ...]]) -> list[tuple[Side, ...]]:
    """The same sizes in fewer alternatives: those that differ in stretches of one symbol are one.

    >>> low, high = side("S", [1, 2, 3], [True] * 3), side("S", [4, 5], [True] * 2)
    >>> other = side("B", [7], [True])
    >>> print(text(joined([(low, other), (high, other)])))
    1 <= S <= 5, B = 7
    """
    found: list[tuple[Side, ...]] = []
    for one in dict.fromkeys(alternatives):
        merged: tuple[Side, ...] | None = one
        while merged is not None:  # what two have become may fit a third
            one = merged
            i, merged = next(((i, both) for i, other in enumerate(found) if (both := _both(other, one))), (0, None))
            if merged is not None:
                del found[i]
        found.append(one)
    return found


def _both(one: tuple[Side, ...], other: tuple[Side, ...]) -> tuple[Side, ...] | None:
    """Two alternatives as one, where they differ in stretches of one symbol."""
    apart = [i for i, (a, b) in enumerate(zip(one, other)) if a != b]
    if len(one) != len(other) or len(apart) != 1:
        return None
    a, b = one[apart[0]], other[apart[0]]
    ranges = sorted([*a.progressions, *b.progressions])
    stepping = any(p.step > 1 and p.last > p.first for p in ranges)
    if a.names != b.names or stepping or a.claims or b.claims or a.left_out or b.left_out:
        return None
    stretches = [ranges[0]]
    for p in ranges[1:]:
        before = stretches[-1]
        if p.first <= before.last + 1:
            stretches[-1] = Progression(before.first, max(p.last, before.last), 1)
        else:
            stretches.append(p)
    return (*one[: apart[0]], Side(a.names, tuple(stretches)), *one[apart[0] + 1 :])


def text(alternatives: Sequence[Sequence[Side]]) -> str:
    """In words: ``32 <= H <= 115, B = 1; or ...``."""
    return "; or ".join([", ".join(filter(None, map(_side_text, sides))) or "everywhere" for sides in alternatives])


def _side_text(side: Side) -> str:
    if side.claims:
        return " and ".join(map(_plain, side.claims))
    listed = _listed(side.names[0], side.progressions)
    return listed + (f" without {_listed(side.names[0], side.left_out)}" if side.left_out else "")


def _listed(name: str, found: Sequence[Progression]) -> str:
    shown = [_one(name, p) for p in sorted(found)[:_LONGEST]]
    return " or ".join(shown) + (f" or {len(found) - _LONGEST} more" if len(found) > _LONGEST else "")


def _plain(assumption: Assumption) -> str:
    return str(assumption).partition(" (pinned")[0]


def _one(name: str, p: Progression) -> str:
    if p.first == p.last:
        return f"{name} = {p.first}"
    if p.step == 1:
        return f"{p.first} <= {name} <= {p.last}"
    if p.first + p.step == p.last:
        return f"{name} = {p.first}, {p.last}"
    return f"{name} = {p.first}, {p.first + p.step}, ..., {p.last}"


def condition(alternatives: Sequence[Sequence[Side]]) -> Any:
    """As a condition of sympy."""
    import sympy

    return sympy.Or(*[sympy.And(*map(_side_condition, sides)) for sides in alternatives])


def _side_condition(side: Side) -> Any:
    import sympy

    if side.claims:
        return sympy.And(*map(_claim, side.claims))
    n = to_sympy(symbol(side.names[0]))
    inside = _one_of(n, side.progressions)
    return sympy.And(inside, sympy.Not(_one_of(n, side.left_out))) if side.left_out else inside


def _one_of(n: Any, progressions: Sequence[Progression]) -> Any:
    import sympy

    found = []
    for first, last, step in progressions:
        if first == last:
            found.append(sympy.Eq(n, first))
        else:
            met = [] if step == 1 else [sympy.Eq(sympy.Mod(n, step), first % step)]
            found.append(sympy.And(n >= first, n <= last, *met))
    return sympy.Or(*found)


def _claim(assumption: Assumption) -> Any:
    import sympy

    if assumption.claim is not None:  # a claim on floats has no form in sympy; it is part of the domain in words
        return sympy.true
    expr = to_sympy(assumption.expr)
    if assumption.relation == "%":
        return sympy.Eq(sympy.Mod(expr, assumption.modulus), 0)
    return {"==": sympy.Eq, "!=": sympy.Ne, ">=": sympy.Ge}[assumption.relation](expr, 0)
