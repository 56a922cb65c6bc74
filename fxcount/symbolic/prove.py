"""Whether a size never exceeds another on a whole domain: a proof, or sizes at which it does.

The proof is by bounds (:mod:`.bounds`) and by matching terms (:mod:`.dominance`), after what is known of the domain is put
into the formula: a symbol that is a multiple of 32 is written as 32 times another, and a ``Max`` is each of its arguments in
turn, as it is one of them everywhere. Where no proof is found sizes are tried, and one that refutes is brought down to a small
one.
Neither proof nor refutation is an answer, too: nothing is concluded from points that were tried.

>>> from fxcount.symbolic.expr import symbol
>>> B, S = symbol("B"), symbol("S")
>>> never_exceeds([4 * B * S + S], 5 * B * S).proved, never_exceeds([B * S * S], 100 * B * S).counterexample
(True, {'B': 1, 'S': 101})
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, product

from fxcount.dataclass import dataclass
from fxcount.symbolic.bounds import NO_BOUNDS, Bounds, is_nonnegative
from fxcount.symbolic.calc import rewrite, substitute
from fxcount.symbolic.dominance import covers
from fxcount.symbolic.expr import Atom, Expr, Size, symbol
from fxcount.symbolic.extrema import common_part
from fxcount.symbolic.values import evaluate, free_symbols

__all__ = ["Verdict", "never_exceeds"]

MOST_CASES = 256
MOST_POINTS = 6000

@dataclass(frozen=True, slots=True)
class Verdict:
    """``proved``: on the whole domain; else sizes of a ``counterexample``, or ``None`` where neither was found."""

    proved: bool
    counterexample: dict[str, int] | None = None

def never_exceeds(
    sizes: Sequence[Size], bound: Size, bounds: Bounds = NO_BOUNDS, *, multiples: Mapping[str, int] | None = None,
    admits: Callable[[Mapping[str, int]], bool] = lambda values: True, tries: Iterable[Mapping[str, int]] = (),
) -> Verdict:  # fmt: skip
    """Whether none of the sizes is ever larger than ``bound``, where every symbol lies within ``bounds`` (at least 1) and is
    divisible by its number in ``multiples``. ``admits`` says which points belong to the domain, ``tries`` where to look first.
    """
    differences = [bound - size for size in sizes]
    steps = dict(multiples or {})
    if all(_proved(d, bounds, steps) for d in differences):
        return Verdict(True)
    names = sorted(frozenset().union(*map(free_symbols, differences)))

    def refutes(values: Mapping[str, int]) -> bool:
        return admits(values) and any(_value(d, values) < 0 for d in differences)

    for values in islice(_points(names, bounds, steps, tries), MOST_POINTS):
        if refutes(values):
            return Verdict(False, _smaller(dict(values), names, bounds, steps, refutes))
    return Verdict(False)

def _value(size: Size, values: Mapping[str, int]) -> int:
    try:
        return evaluate(size, values)
    except ZeroDivisionError:  # not defined there, so nothing is wrong there
        return 0

def _proved(difference: Size, bounds: Bounds, steps: Mapping[str, int]) -> bool:
    inside = {name: step * symbol(name) for name, step in steps.items() if step > 1}
    inner = {
        n: (_up(low, steps.get(n, 1)), None if high is None else high // steps.get(n, 1)) for n, (low, high) in bounds.items()
    }
    return all(
        is_nonnegative(case, inner) or covers(case) or is_nonnegative(_without_factor(case), inner)
        for case in _cases(substitute(difference, inside))
    )


def _without_factor(size: Size) -> Size:
    """The size divided by a positive factor that all its terms have: of the same sign, and easier to bound.

    >>> B, S = symbol("B"), symbol("S")
    >>> _without_factor(108 * B * S - 16 * B * S * S)
    -4*S + 27
    """
    return common_part([size])[1][0]

def _up(low: int | None, step: int) -> int:
    return max(1, -(-(low if low is not None else 1) // step))

def _cases(size: Size) -> Iterator[Size]:
    """The size with each ``Max`` and ``Min`` as one of its arguments; as it is where that would be too many."""
    cases: list[Size] = [size]
    done: list[Size] = []
    while cases:
        case = cases.pop()
        atom = next((f for m in case.terms for f in m if isinstance(f, Atom) and f.kind != "floor"), None) \
            if isinstance(case, Expr) else None  # fmt: skip
        if atom is None:
            done.append(case)
        else:
            cases += [rewrite(case, {atom: argument}) for argument in atom.args]
        if len(cases) + len(done) > MOST_CASES:
            return iter([size])
    return iter(done)

def _points(
    names: Sequence[str], bounds: Bounds, steps: Mapping[str, int], tries: Iterable[Mapping[str, int]]
) -> Iterator[dict[str, int]]:
    """Points of the domain: those given, the corners, small sizes, and ever larger ones."""
    for values in tries:
        if all(name in values and _inside(values[name], bounds.get(name, (1, None)), steps.get(name, 1)) for name in names):
            yield {name: values[name] for name in names}
    choices = [_sizes(bounds.get(name, (1, None)), steps.get(name, 1)) for name in names]
    for corner in product(*[(c[0], c[-1], c[len(c) // 2]) for c in choices]):
        yield dict(zip(names, corner))
    for i in range(max(map(len, choices), default=0)):
        yield {n: c[min(i, len(c) - 1)] for n, c in zip(names, choices)}
    for point in product(*[c[:: max(1, len(c) // 12)] for c in choices]):
        yield dict(zip(names, point))

def _inside(value: int, interval: tuple[int | None, int | None], step: int) -> bool:
    low, high = interval
    return value % step == 0 and value >= max(1, low or 1) and (high is None or value <= high)


def _sizes(interval: tuple[int | None, int | None], step: int) -> list[int]:
    low, high = _up(interval[0], step), None if interval[1] is None else interval[1] // step
    if high is not None and high - low <= 64:
        return [step * n for n in range(low, max(low, high) + 1)]
    far = [2**k + d for k in range(1, 24) for d in (-1, 0, 1)]
    found = sorted({low + n for n in range(6)} | {n for n in far if n > low} | ({high} if high is not None else set()))
    return [step * n for n in found if high is None or n <= high]

def _smaller(
    values: dict[str, int], names: Sequence[str], bounds: Bounds, steps: Mapping[str, int],
    refutes: Callable[[Mapping[str, int]], bool],
) -> dict[str, int]:  # fmt: skip
    """A point that refutes as well, each size halved towards its lower bound while it does."""
    for name in names:
        step = steps.get(name, 1)
        low, high = _up(bounds.get(name, (1, None))[0], step) - 1, values[name] // step
        while high - low > 1:
            middle = (low + high) // 2
            if refutes({**values, name: step * middle}):
                high = middle
            else:
                low = middle
        values[name] = step * high
    return values
