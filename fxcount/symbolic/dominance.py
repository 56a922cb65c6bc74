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

from functools import lru_cache

from fxcount.symbolic.bounds import is_nonnegative, lower_bound
from fxcount.symbolic.expr import MEMO, Monomial, Size, make, terms_of
from fxcount.symbolic.values import evaluate, free_symbols

__all__ = ["covers"]

LARGE = 55440  # many numbers divide it, so that floors are close to their fractions
MOST_TIMES = 4096  # a ratio beyond is not one of two sizes of the same tensor


def covers(difference: Size) -> bool:
    """Whether the size is at least 0 for all values of the symbols (1 or more), if matching terms shows it; else False."""
    terms = terms_of(difference)
    missing = {m: -c for m, c in terms.items() if c < 0}
    if not missing:
        return all(map(_not_negative, terms))
    spare = {m: c for m, c in terms.items() if c > 0}
    if not all(map(_not_negative, (*missing, *spare))):
        return False
    for m in sorted(missing, key=lambda n: -len(n)):
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
    values = dict.fromkeys(free_symbols(one) | free_symbols(other), LARGE)
    try:
        low = evaluate(one, values)
        times = max(1, -(-evaluate(other, values) // low)) if low > 0 else 1
    except ZeroDivisionError:  # a symbolic divisor is 0 there
        return 0
    return times if times <= MOST_TIMES and is_nonnegative(times * one - other) else 0


@lru_cache(MEMO)
def _positive(factor: str) -> bool:
    low = lower_bound(make({(factor,): 1}))
    return low is not None and low >= 1


@lru_cache(MEMO)
def _not_negative(m: Monomial) -> bool:
    return all([is_nonnegative(make({(factor,): 1})) for factor in m])
