"""Max and Min of sizes.

Arguments are flattened, those that provably never win are dropped, and a common positive factor is pulled out in front.

>>> from fxcount.symbolic.expr import symbol
>>> h, w = symbol("h"), symbol("w")
>>> max_(h * w, h, 1)
h*w
>>> max_(2 * h, 6 * w), min_(h, 1)
(2*Max(h, 3*w), 1)
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from operator import lt

from fxcount.errors import SizeError
from fxcount.symbolic.bounds import is_nonnegative
from fxcount.symbolic.expr import MEMO, Atom, Expr, Monomial, Size, make, monomial_order, terms_of
from fxcount.symbolic.poly import common_factors, is_positive, size_key, without
from fxcount.symbolic.witness import trials

__all__ = ["alternatives", "max_", "min_"]


def max_(*sizes: Size) -> Size:
    """The largest of the sizes.

    >>> from fxcount.symbolic.expr import symbol
    >>> max_(symbol("S"), 128), max_(3, 5)
    (Max(S, 128), 5)
    """
    return _extremum("max", sizes)


def min_(*sizes: Size) -> Size:
    """The smallest of the sizes.

    >>> from fxcount.symbolic.expr import symbol
    >>> min_(symbol("S"), 128, symbol("S") + 1)
    Min(S, 128)
    """
    return _extremum("min", sizes)


def _extremum(kind: str, sizes: tuple[Size, ...]) -> Size:
    if not sizes:
        raise SizeError(f"{kind}_() needs at least one size")
    if len(sizes) == 2:  # the common case, and worth remembering
        return _pair(kind, *sizes)
    return _build(kind, sizes)


@lru_cache(MEMO)
def _pair(kind: str, a: Size, b: Size) -> Size:
    return _build(kind, (a, b))


def _build(kind: str, sizes: tuple[Size, ...]) -> Size:
    largest = kind == "max"
    numbers: list[int] = []
    symbolic: dict[Expr, None] = {}
    for size in sizes:
        for part in _flat(kind, size):
            if isinstance(part, Expr):
                symbolic[part] = None
            else:
                numbers.append(int(part))
    candidates: list[Size] = [(max if largest else min)(numbers)] if numbers else []
    candidates += symbolic
    kept = _undominated(candidates, largest)
    if len(kept) == 1:
        return kept[0]
    factor, kept = common_part(kept)
    kept.sort(key=_order)
    text = f"{kind}({','.join(size_key(a) for a in kept)})"
    return factor * make({(Atom(text, kind, tuple(kept)),): 1})


def alternatives(size: Size) -> tuple[Size, ...]:
    """The sizes of which this one is the largest.

    >>> from fxcount.symbolic import symbol
    >>> h, w = symbol("h"), symbol("w")
    >>> alternatives(max_(2 * h, 6 * w)), alternatives(h)
    ((2*h, 6*w), (h,))
    """
    return _flat("max", size)


def _flat(kind: str, size: Size) -> tuple[Size, ...]:
    """The arguments of a Max inside a Max, also of one times a positive factor."""
    if isinstance(size, Expr) and len(size.terms) == 1:
        ((m, c),) = size.terms.items()
        inner = [f for f in m if isinstance(f, Atom) and f.kind == kind]
        if c > 0 and len(inner) == 1:
            cofactor = make({tuple(f for f in m if f is not inner[0]): c})
            if is_positive(cofactor):
                return tuple(cofactor * a for a in inner[0].args)
    return (size,)


def _order(size: Size) -> tuple[tuple[int, Monomial], str]:
    if isinstance(size, int):
        return monomial_order(()), str(size)
    return min(map(monomial_order, size.terms)), size_key(size)


def _undominated(sizes: list[Size], largest: bool) -> list[Size]:
    """The sizes without those that another one is provably never worse than."""
    kept: list[tuple[Size, list[int]]] = []
    for a, at in zip(sizes, _samples(sizes), strict=True):
        if any(_beats(b, bt, a, at, largest) for b, bt in kept):
            continue
        kept = [(b, bt) for b, bt in kept if not _beats(a, at, b, bt, largest)]
        kept.append((a, at))
    return [a for a, _ in kept]


def _beats(a: Size, at: list[int], b: Size, bt: list[int], largest: bool) -> bool:
    if not largest:
        a, at, b, bt = b, bt, a, at
    if any(map(lt, at, bt)):
        return False  # numbers refute nearly every pair, and are much cheaper than a proof
    return is_nonnegative(a - b)


def _samples(sizes: list[Size]) -> list[list[int]]:
    """The values of each size at some points of the domain."""
    samples: list[list[int]] = [[] for _ in sizes]
    for trial in trials()[:5]:
        at = [value for value in map(trial.at, sizes) if value is not None]
        if len(at) < len(sizes):
            continue
        for sample, value in zip(samples, at, strict=True):
            sample.append(value)
    return samples


def common_part(sizes: list[Size]) -> tuple[Size, list[Size]]:
    """The common positive factor, and the sizes divided by it.

    >>> from fxcount.symbolic.expr import symbol
    >>> B, H = symbol("B"), symbol("H")
    >>> common_part([2 * B * H, 4 * B])
    (2*B, [H, 2])
    """
    terms = [terms_of(size) for size in sizes]
    content = gcd(*(c for t in terms for c in t.values()))
    if content == 0:
        return 1, sizes
    # a 0 among the arguments has any factor, and no terms
    shared = common_factors([m for t in terms for m, c in t.items()])
    shared = tuple(f for f in shared if type(f) is not Atom or is_positive(make({(f,): 1})))
    if content == 1 and not shared:
        return 1, sizes
    divided: list[Size] = []
    for t in terms:
        rest: dict[Monomial, int] = {}
        for m, c in t.items():
            left = without(m, shared)
            if left is not None:
                rest[left] = c // content
        divided.append(make(rest))
    return make({shared: content}), divided
