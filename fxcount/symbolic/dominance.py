"""A quick proof that a difference of two sizes is never negative, by matching terms.

Sums of memory sizes are compared by the hundred, and nearly always a term-by-term argument settles it: every negative
term is covered by positive ones whose factors are each at least as large. Only pairs of single factors (``ceil(H/2)``
against ``ceil(H/4)``) go to the general prover, and there are few of these.

>>> from fxcount.symbolic.expr import symbol
>>> B, H = symbol("B"), symbol("H")
>>> half, quarter = (H + 1) // 2, (H + 3) // 4
>>> covers(4 * B * half - 3 * B * quarter), covers(B * quarter - B * half)
(True, False)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import compress
from operator import eq, lt, or_, sub

from fxcount.symbolic.bounds import interval, is_nonnegative
from fxcount.symbolic.expr import MEMO, Atom, Expr, Hooks, Monomial, Size, combination, make, terms_of
from fxcount.symbolic.pairs import family
from fxcount.symbolic.values import free_symbols
from fxcount.symbolic.witness import Trial, Witness, alike, trials, witness_at

__all__ = ["Parts", "covers", "in_common_terms", "largest", "largest_sums"]

LARGE = 55440  # many numbers divide it, so that floors are close to their fractions
MOST_TIMES = 4096  # a ratio beyond is not one of two sizes of the same tensor


def covers(difference: Size) -> bool:
    """Whether the size is at least 0 for all values of the symbols (1 or more), if matching terms shows it; else False."""
    return _by_matching(terms_of(difference))


def _by_matching(terms: Mapping[Monomial, int]) -> bool:
    if not all(map(_not_negative, terms)):
        return False
    missing = {m: -c for m, c in terms.items() if c < 0}
    spare = {m: c for m, c in terms.items() if c > 0}
    for m in sorted(missing, key=len, reverse=True):
        need = missing[m]
        offers = [(times, larger) for larger in spare if (times := _times_at_least(larger, m))]
        for times, larger in sorted(offers, key=lambda offer: offer[0]):
            used = min(need, spare[larger] // times)
            spare[larger] -= used * times
            need -= used
            if not need:
                break
        else:
            return False
    return True


@lru_cache(MEMO)
def _times_at_least(larger: Monomial, smaller: Monomial) -> int:
    """A small number ``k`` with ``k * larger >= smaller``, or 0: each factor of ``smaller`` has one of its own in
    ``larger`` that covers it some times, and the rest are 1 or more."""
    rest = list(larger)
    unmatched = []
    for factor in smaller:
        if factor in rest:
            rest.remove(factor)
        else:
            unmatched.append(factor)
    product = 1
    for factor in unmatched:
        times, partner = min(((k, f) for f in rest if (k := _factor_times(f, factor))), default=(0, ""))
        if not times:
            return 0
        product *= times
        rest.remove(partner)
    return product if all(map(_positive, rest)) else 0


@lru_cache(MEMO)
def _factor_times(a: str, b: str) -> int:
    """The smallest ``k`` with ``k * a >= b`` if it can be shown, as in ``7*ceil(H/28) >= floor(H/4)``, or 0."""
    one, other = make({(a,): 1}), make({(b,): 1})
    if free_symbols(one).isdisjoint(free_symbols(other)) and interval(b)[1] is None:
        return 0
    low, high = [alike(LARGE).at(size) for size in (one, other)]
    if low is None or high is None or low <= 0 < high:  # a symbolic divisor is 0 there, or no number of times is enough
        return 0
    times = max(1, -(-high // low)) if low > 0 else 1
    return times if times <= MOST_TIMES and is_nonnegative(times * one - other) else 0


@lru_cache(MEMO)
def _positive(factor: str) -> bool:
    return (interval(factor)[0] or 0) >= 1 or is_nonnegative(make({(factor,): 1}) - 1)


@lru_cache(MEMO)
def _not_negative(m: Monomial) -> bool:
    return all([_is_at_least_zero(factor) for factor in m])


@lru_cache(MEMO)
def _is_at_least_zero(factor: str) -> bool:
    if type(factor) is not Atom:
        return True
    size = make({(factor,): 1})
    for trial in trials():
        value = trial.at(size)
        if value is not None and value < 0:
            return False
    if factor.kind != "floor" and (any if factor.kind == "max" else all)(map(is_nonnegative, factor.args)):
        return True
    return is_nonnegative(size)


# -- sums of which some are the largest ------------------------------------------------------------------------------
Times = tuple[int, ...]
Parts = tuple[tuple[int, int], ...]
"""Of a size: the position of each of its terms among those of all, and how often it has it."""


def in_common_terms(sizes: Sequence[Size]) -> tuple[list[Size], list[Parts]]:
    """Few sizes of which all of these are sums, and what each is made of: the terms they have in common, where these are fewer.
    A cache that grows step by step has as many sizes as steps, all made of the same two terms.

    >>> from fxcount.symbolic.expr import symbol
    >>> B, S = symbol("B"), symbol("S")
    >>> in_common_terms([4 * B * (S + i) for i in range(1, 4)])
    ([B*S, B], [((0, 4), (1, 4)), ((0, 4), (1, 8)), ((0, 4), (1, 12))])
    >>> in_common_terms([B * S + B + S])
    ([B*S + B + S], [((0, 1),)])
    """
    found: dict[Size, int] = {}
    parts: list[Parts] = []
    for size in sizes:
        if isinstance(size, Expr) and size.halves:  # sums of such floors are written in other ways than their parts
            parts.append(((found.setdefault(size, len(found)), 1),))
        else:
            parts.append(tuple([(found.setdefault(make({m: 1}), len(found)), c) for m, c in terms_of(size).items()]))
    if len(found) < len(sizes):
        return list(found), parts
    return list(sizes), [((i, 1),) for i in range(len(sizes))]


MOST_KEPT = 1 << 17  # numbers in the question: beyond that its answer is not remembered


def largest_sums(
    sizes: Iterable[Size], sums: Iterable[Times], hints: Mapping[str, int]
) -> tuple[tuple[int, Size], ...]:
    """Of sums of these sizes, each so many times, those that no other is shown to be at least as large as for all values of
    the symbols: the position of each and its formula, the largest at the ``hints`` first.

    >>> from fxcount.symbolic.expr import symbol
    >>> B, S = symbol("B"), symbol("S")
    >>> largest_sums([B, S, B * S], [(1, 0, 1), (1, 0, 0), (0, 2, 0)], {"B": 2, "S": 3})
    ((0, B*S + B), (2, 2*S))
    """
    question = tuple(sizes), tuple(sums), tuple(hints.items())
    small = len(question[0]) * len(question[1]) <= MOST_KEPT
    return _remembered(*question) if small else _largest_sums(*question)


def largest(sizes: Sequence[Size]) -> list[Size]:
    """Those that no other is known to be at least as large as.

    >>> from fxcount.symbolic import symbol
    >>> B, S = symbol("B"), symbol("S")
    >>> largest([B, B * S, S])
    [B*S]
    """
    one = [tuple([int(i == k) for k in range(len(sizes))]) for i in range(len(sizes))]
    names = frozenset().union(*map(free_symbols, sizes))
    return [size for _, size in largest_sums(sizes, one, dict.fromkeys(names, _ANY_SIZE))]


_ANY_SIZE = 16


def _largest_sums(
    sizes: tuple[Size, ...], sums: tuple[Times, ...], hints: tuple[tuple[str, int], ...]
) -> tuple[tuple[int, Size], ...]:
    """A proof is tried only where a few sample sizes do not already refute it, which they mostly do, and where the terms that
    no proof can be about are the same."""
    samples: list[Witness | Trial] = [witness_at(hints), *trials()]
    columns = [column for sample in samples if (column := _values(sizes, sample)) is not None]
    totals_of = _totals([*columns, *_beyond_proof(sizes)], sums)
    end = len(columns)
    products = [_product_of(size) for size in sizes]
    ranked = [(totals[:end], totals[end:], times, i) for i, (totals, times) in enumerate(zip(totals_of, sums, strict=True))]
    ranked.sort(key=lambda item: -item[0][0])
    sure = [min(t.values(), default=0) >= 0 and all(map(_not_negative, t)) for t in map(terms_of, sizes)]
    groups: dict[tuple[int, ...], list[tuple[tuple[int, ...], Times]]] = {}
    kept: list[tuple[int, Size]] = []
    for totals, left, times, i in ranked:
        group = groups.setdefault(left, [])
        for above, larger in group:
            if any(map(lt, above, totals)):
                continue
            if not any(map(lt, larger, times)) and all(map(or_, map(eq, larger, times), sure)):
                break  # it has more of some sizes, none of which is below 0
            if _exceeds(products, sizes, larger, times):
                break
        else:
            group.append((totals, times))
            kept.append((i, _sum_of(sizes, times)))
    return tuple(kept)


_remembered = lru_cache(32)(_largest_sums)


def _product_of(size: Size) -> Monomial | None:
    """The product that a size is, once and alone; ``None`` for any other size, and for floors that add up to others."""
    ((product, times), *more) = terms_of(size).items() or [((), 0)]
    return product if times == 1 and not more and not (type(size) is Expr and size.halves) else None


def _exceeds(products: Sequence[Monomial | None], sizes: tuple[Size, ...], larger: Times, times: Times) -> bool:
    """Whether one sum of the sizes is shown to be at least the other. Mostly the sizes are products, and no sum is made."""
    terms: dict[Monomial, int] = {}
    for product, more, less in zip(products, larger, times):
        if more != less:
            if product is None:
                return covers(_sum_of(sizes, map(sub, larger, times)))
            terms[product] = terms.get(product, 0) + more - less
    return _by_matching(terms)


def _sum_of(sizes: tuple[Size, ...], times: Iterable[int]) -> Size:
    counts = list(times)
    return combination(compress(zip(sizes, counts, strict=True), counts))


def _totals(columns: list[list[int]], sums: Iterable[Times]) -> list[tuple[int, ...]]:
    """Of each sum, what it comes to for each column of values of the sizes."""
    rows = list(zip(*columns, strict=True))
    nothing = (0,) * len(columns)
    known: dict[tuple[int, int], tuple[int, ...]] = {}  # so many times one of the sizes, as most are in many of the sums
    found: list[tuple[int, ...]] = []
    for times in sums:
        parts = [nothing]
        for part in compress(enumerate(times), times):
            row = known.get(part)
            if row is None:
                i, n = part
                row = known[part] = tuple([n * value for value in rows[i]])
            parts.append(row)
        found.append(tuple(map(sum, zip(*parts, strict=True))))
    return found


def _beyond_proof(sizes: tuple[Size, ...]) -> list[list[int]]:
    """For each term that is not known to be 0 or more, and that no way to write sums of floors makes go away: how often each
    size has it. A difference in which it is left has no proof."""
    terms = [terms_of(size) for size in sizes]
    every = {m for t in terms for m in t}
    written: set[Monomial] = set()
    for m in every:
        if len(m) == 1 and type(m[0]) is Atom and m[0].paired:
            written |= family(m[0]).touched
    return [[t.get(m, 0) for t in terms] for m in every if m not in written and not _not_negative(m)]


def _values(sizes: tuple[Size, ...], sample: Witness | Trial) -> list[int] | None:
    """The sizes at a sample, or ``None`` where a symbolic divisor is 0: outside of what the model was analysed for."""
    found = [value for value in map(sample.at, sizes) if value is not None]
    return found if len(found) == len(sizes) else None


Hooks.covers = covers
