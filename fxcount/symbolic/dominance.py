"""A quick proof that one size is never below another, by matching terms.

Sums of memory sizes are compared by the hundred, and nearly always a term-by-term argument settles it: every term that
is only in the smaller sum is covered by terms of the larger one whose factors are each at least as large. Only pairs of
single factors (``ceil(H/2)`` against ``ceil(H/4)``) go to the general prover, and there are few of these.

>>> from fxcount.symbolic.expr import symbol
>>> B, H = symbol("B"), symbol("H")
>>> half, quarter = (H + 1) // 2, (H + 3) // 4
>>> dominates(4 * B * half + quarter, 3 * B * quarter + quarter), dominates(B * quarter, B * half)
(True, False)
"""

from __future__ import annotations

from functools import lru_cache

from fxcount.symbolic.atom import Monomial
from fxcount.symbolic.bounds import is_nonnegative, lower_bound
from fxcount.symbolic.expr import MEMO, Size, make, terms_of

__all__ = ["dominates"]


def dominates(a: Size, b: Size) -> bool:
    """Whether ``a >= b`` for all values of the symbols (1 or more), if matching terms shows it; else False."""
    difference = terms_of(a - b)
    missing = {m: -c for m, c in difference.items() if c < 0}
    if not missing:
        return all(map(_not_negative, difference))
    spare = {m: c for m, c in difference.items() if c > 0}
    if not all(map(_not_negative, (*missing, *spare))):
        return False
    for m in sorted(missing, key=lambda n: -len(n)):
        need = missing[m]
        for larger in spare:
            if spare[larger] and _at_least(larger, m):
                used = min(need, spare[larger])
                spare[larger] -= used
                need -= used
                if not need:
                    break
        else:
            return False
    return True


@lru_cache(MEMO)
def _at_least(larger: Monomial, smaller: Monomial) -> bool:
    """Whether each factor of ``smaller`` has one of its own in ``larger`` that is as large, and the rest are 1 or more."""
    rest = list(larger)
    unmatched = []
    for factor in smaller:
        if factor in rest:
            rest.remove(factor)
        else:
            unmatched.append(factor)
    for factor in unmatched:
        partner = next((f for f in rest if _factor_at_least(f, factor)), None)
        if partner is None:
            return False
        rest.remove(partner)
    return all(map(_positive, rest))


@lru_cache(MEMO)
def _factor_at_least(a: str, b: str) -> bool:
    return is_nonnegative(make({(a,): 1}) - make({(b,): 1}))


@lru_cache(MEMO)
def _positive(factor: str) -> bool:
    low = lower_bound(make({(factor,): 1}))
    return low is not None and low >= 1


@lru_cache(MEMO)
def _not_negative(m: Monomial) -> bool:
    return all([is_nonnegative(make({(factor,): 1})) for factor in m])
