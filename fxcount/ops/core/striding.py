"""Strides of views, as eager torch computes them: they decide whether a later ``reshape`` or ``contiguous`` copies.

Whether a strided tensor is dense, or can be seen in another shape, can depend on its sizes: dimensions of size 1 have no
stride, and a slice may happen to be the whole. What holds for all sizes is answered so. Otherwise the question is asked again
under suppositions (this size is 1, these two strides are equal), and only those that change the answer matter. That a size
which is not 1 at the sample values is never 1 is then assumed (``S >= 2`` where a transposed tensor is copied unless it has
one row). Where the sample values themselves are the special case, or strides are equal at some sizes, an assumption would
leave little of the domain: the result is then both, a copy where ``copied`` is 1 and a view where it is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from functools import lru_cache
from itertools import combinations
from typing import TypeAlias

from fxcount.dataclass import dataclass
from fxcount.ops.core.fact import Alias, CopyOrView, TensorFact, contiguous_strides, probe
from fxcount.symbolic import Expr, Scope, Size, evaluate, free_symbols, max_, min_, prod, sum_
from fxcount.symbolic.assumption import primitive
from fxcount.symbolic.bounds import is_nonnegative
from fxcount.symbolic.facts import Facts, nothing_known

__all__ = [
    "channels_last_strides", "dense_copy", "is_channels_last", "is_dense", "parted", "reshaped", "strayed",
    "strided", "view_strides",
]  # fmt: skip

Strides = tuple[Size, ...]

_MANY_DIVISORS = 64 * 9 * 25 * 7 * 11
_ANSWERS = 1 << 12  # to questions of layout that are remembered


def strided(x: TensorFact, shape: tuple[Size, ...], strides: tuple[Size, ...]) -> TensorFact:
    """``x`` seen with other sizes and strides; row-major strides are recognised (sizes of 1 have none)."""
    row_major = contiguous_strides(shape)
    same = all(a == b or n == 1 for a, b, n in zip(strides, row_major, shape, strict=True))
    return TensorFact(shape, x.dtype, x.device, None if same else strides)


def heads_inside(x: TensorFact) -> TensorFact:
    """x (B, H, S, D) stored (B, S, H, D), as kernels of attention write it.

    >>> import torch
    >>> heads_inside(TensorFact((2, 3, 5, 7), torch.float32)).strides
    (105, 7, 21, 1)
    """
    _, h, s, d = x.shape
    return strided(x, x.shape, (h * s * d, d, h * d, 1))


def channels_last_strides(shape: tuple[Size, ...]) -> tuple[Size, ...]:
    """Strides of ``torch.channels_last`` (or ``channels_last_3d``) for N, C, *I.

    >>> channels_last_strides((2, 3, 5, 7))
    (105, 1, 21, 3)
    """
    spatial = contiguous_strides((*shape[2:], shape[1]))
    return (prod(shape[1:]), 1, *spatial[:-1])


def channels_last_layout(shape: tuple[Size, ...]) -> tuple[Size, ...] | None:
    """The same as a layout: ``None`` where channels-last coincides with row-major.

    >>> channels_last_layout((2, 3, 5, 7)), channels_last_layout((2, 1, 5, 7))
    ((105, 1, 21, 3), None)
    """
    if shape[1] == 1 or all(n == 1 for n in shape[2:]):
        return None
    return channels_last_strides(shape)


def is_channels_last(x: TensorFact) -> bool:
    """Whether ``x`` (4 or 5 dimensions) suggests the channels-last memory format.

    >>> import torch
    >>> is_channels_last(TensorFact((2, 3, 5, 7), torch.float32, strides=(105, 1, 21, 3)))
    True
    """
    return x.strides is not None and _is_channels_last(x.shape, x.strides)


def _is_channels_last(shape: tuple[Size, ...], strides: Strides, known: Facts | None = None) -> bool:
    """``known``: of the sizes, besides that they are at least 1."""
    if len(shape) not in (4, 5):
        return False
    floor = first = 0
    for dim in (1, *range(len(shape) - 1, 1, -1), 0):
        stride, size = [probe(n if known is None else known.reduce(n)) for n in (strides[dim], shape[dim])]
        if dim == 1:
            first = stride
        if size == 0 or stride == 0 or stride < floor or (dim == 0 and floor == first):
            return False
        floor = stride * size
    return True


def parted(shape: Sequence[Size], strides: Sequence[Size]) -> Size:
    """1 where the dimensions cannot be viewed as one, 0 where they can: a formula, which assumes nothing.

    Neighbours, and those with only sizes of 1 between them, have to lie one in the other.

    >>> from fxcount.symbolic import symbol
    >>> B, S = symbol("B"), symbol("S")
    >>> parted((2, 3), (12, 4)), parted((2, 3), (4, 8)), parted((B, 6), (5, 1)), parted((B, S), (24 * S, 6))
    (0, 1, Min(B - 1, 1), Min(B*S - B - S + 1, 1))
    >>> parted((B, S, 7), (7 * S, 7, 1))
    0
    """
    dims = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    apart: list[Size] = []
    for i, (n, s) in enumerate(dims):
        between: Size = 1  # 1 where all sizes between are 1, else 0
        facts: Facts | None = nothing_known()  # what is known there
        for m, t in dims[i + 1 :]:
            if facts is not None and not facts.proves_zero(s - t * m):
                apart.append(between * _beyond_one(n) * _beyond_one(m) * _distance(s, t * m))
            if isinstance(m, int):
                break
            between = between * (1 - min_(1, m - 1))
            facts = facts and facts.supposing(zero=[m - 1])  # type: ignore[list-item]
    return min_(1, sum_(apart))


def strayed(shape: Sequence[Size], strides: Sequence[Size]) -> Size:
    """1 where a tensor is not row-major, 0 where it is: a formula, which assumes nothing.

    >>> from fxcount.symbolic import symbol
    >>> strayed((3, 5), (1, 3)), strayed((symbol("B"), 5), (1, symbol("B")))
    (1, Min(2*B - 2, 1))
    """
    wanted = contiguous_strides(tuple(shape))
    return min_(1, sum_([_beyond_one(n) * _distance(s, w) for n, s, w in zip(shape, strides, wanted, strict=True)]))


def _beyond_one(n: Size) -> Size:
    """0 where the size is 1, else at least 1."""
    return min(n - 1, 1) if isinstance(n, int) else n - 1


def _distance(a: Size, b: Size) -> Size:
    """0 where the two are equal, else at least 1; factors that are never 0 are left out."""
    gap = a - b
    if isinstance(gap, int):
        return min(1, abs(gap))
    gap = primitive("==", gap)
    if is_nonnegative(gap - 1) or is_nonnegative(-1 - gap):
        return 1
    return _absolute(gap)


def _absolute(gap: Expr) -> Size:
    """``|gap|``: without a Max where its sign is known."""
    return gap if is_nonnegative(gap) else -gap if is_nonnegative(-gap) else max_(gap, -gap)


# --- questions of layout ------------------------------------------------------------------------------------------------------


def view_strides(scope: Scope, old: tuple[Size, ...], strides: Strides, new: tuple[Size, ...]) -> Strides | None:
    """Strides under which ``old``/``strides`` can be seen as ``new``; ``None`` if it takes a copy. Decided if the sizes tell.

    >>> from fxcount.symbolic import symbol
    >>> scope = Scope({"B": 2, "S": 5})
    >>> B, S = symbol("B"), symbol("S")
    >>> view_strides(scope, (B, S, 4, 3), (12 * S, 3, 3 * S, 1), (B, S, 2, 2, 3))  # heads in two
    (12*S, 3, 6*S, 3*S, 1)
    >>> view_strides(scope, (B, S, 4, 3), (12 * S, 3, 3 * S, 1), (B, S, 12)), [str(a) for a in scope.assumptions]
    (None, ['S >= 2'])
    >>> view_strides(scope, (B, S, 0), (12 * S, 12, 1), (B, 1, S, 0))  # nothing can be seen in any shape
    (S, S, 1, 1)
    """
    if any([type(size) is int and size == 0 for size in new]):
        return strides if old == new else contiguous_strides(new)
    found = _answer(scope, old, _Seen(old, strides, new), "whether it is a view or a copy").strides
    if found is not None:
        _settle_format(scope, old, strides, new, found)
    return found


def reshaped(scope: Scope, x: TensorFact, shape: tuple[Size, ...]) -> TensorFact | Alias:
    """``x`` in another shape: a view where its strides allow it, else a copy.

    >>> import torch
    >>> from fxcount.symbolic import symbol
    >>> scope = Scope({"H": 8})
    >>> rows = TensorFact((7, symbol("H") // 4 * 4), torch.float32, strides=(symbol("H"), 1))  # the whole if 4 divides H
    >>> reshaped(scope, rows, (rows.numel,)).copied, scope.assumptions
    (Min(H - 4*floor(H/4), 1), [])
    """
    new = x.new(shape)
    if x.strides is None:
        return Alias(new)
    old, strides = x.shape, x.strides
    if any([type(size) is int and size == 0 for size in shape]):
        return Alias(strided(x, shape, view_strides(scope, old, strides, shape) or strides))

    def dense(sizes: _Sizes, seen: Strides) -> bool:
        return all([sizes.is_one(n) or sizes.same(a, b) for n, a, b in zip(shape, seen, new.stride(), strict=True)])

    found = _answer(scope, old, _Seen(old, strides, shape), "whether it is a view or a copy", dense)
    if found.strides is not None:
        _settle_format(scope, old, strides, shape, found.strides)
        return Alias(strided(x, shape, found.strides))
    return new if found.copied == 1 else CopyOrView(new, 0, found.copied)


def _settle_format(scope: Scope, old: Strides, strides: Strides, new: Strides, seen: Strides) -> None:
    """Torch guesses a memory format from strides, also from those of sizes of 1, which a view gives other strides.

    ``x.transpose(1, 2).view(B, C, H, W)`` of a dense (B, H*W, C) is channels-last for a convolution, unless B is 1.
    """
    if not _is_channels_last(new, seen):
        return
    for n in dict.fromkeys(old):
        claim = n - 1
        if not isinstance(claim, Expr) or not scope.hint(claim) or not scope.facts.may_be_zero(claim):
            continue
        facts, found, _ = _under(scope.facts, (claim,), _Seen(old, strides, new))
        if facts is not None and found is not None and not _is_channels_last(new, found, facts):
            scope.decide("==", n, 1, "whether the strides suggest channels-last")


def dense_copy(scope: Scope, x: TensorFact, wanted: TensorFact) -> TensorFact | Alias:
    """``x`` in the layout of ``wanted``, a tensor of its shape: itself where it lies so already, else a copy."""
    if x.strides == wanted.strides:
        return Alias(wanted)
    have, want = x.stride(), wanted.stride()

    def suggest_the_same(sizes: _Sizes, seen: Strides) -> bool:
        """Itself or a copy: both suggest one memory format, which torch guesses from strides, also from those of sizes of 1."""
        return _is_channels_last(x.shape, have, sizes.facts) == _is_channels_last(x.shape, want, sizes.facts)

    found = _lies_as(scope, x.shape, have, want, "whether it is a view or a copy", suggest_the_same)
    if found.strides is not None:
        return Alias(x if _is_channels_last(x.shape, have) != _is_channels_last(x.shape, want) else wanted)
    return wanted if found.copied == 1 else CopyOrView(wanted, 0, found.copied)


def is_dense(scope: Scope, shape: tuple[Size, ...], strides: Strides, wanted: Strides, reason: str = "") -> bool:
    """Whether the strides are the ``wanted`` ones in every dimension that has not the size 1. Decided if the sizes tell.

    >>> from fxcount.symbolic import symbol
    >>> scope = Scope({"H": 5, "W": 7})
    >>> H, W = symbol("H"), symbol("W")
    >>> is_dense(scope, (2, W, H), (H * W, 1, W), (H * W, H, 1)), [str(a) for a in scope.assumptions]
    (False, ['W >= 2', 'H >= 2'])
    """
    return _lies_as(scope, shape, strides, wanted, reason).strides is not None


def _lies_as(
    scope: Scope, shape: tuple[Size, ...], strides: Strides, wanted: Strides, reason: str, may_be_both: Both | None = None
) -> _Answer:
    return _answer(scope, shape, _Lies(shape, strides, wanted), reason, may_be_both)


@dataclass(frozen=True, slots=True)
class _Answer:
    """``strides`` of a view, or ``None`` and ``copied``: 1, or a size that is 1 where it is a copy and 0 where it is a view."""

    strides: Strides | None
    copied: Size = 1


@dataclass(slots=True)
class _Sizes:
    """What a question of layout may ask of sizes of which some things are known. ``open``: differences that it needed to be
    0, which are neither known to be so nor known not to be."""

    facts: Facts
    ones: frozenset[Size] = frozenset()
    open: list[Expr] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def same(self, a: Size, b: Size) -> bool:
        if a is b or a == b:
            return True
        difference = a - b
        if isinstance(difference, int):
            return difference == 0
        known = self.facts.proves_zero(difference)
        if not known:
            self.open.append(difference)
        return known

    def is_one(self, n: Size) -> bool:
        if isinstance(n, int):
            return n == 1
        return n in self.ones or self.facts.proves_zero(n - 1)

    def weight(self, n: Size) -> int:
        """A number that stands for the size where a walk over dimensions compares products of sizes.

        Not its sample value, which may be 1 where the size is not: that of large symbols of many divisors, all different.
        """
        if self.is_one(n):
            return 1
        size = self.facts.reduce(n)
        for name in free_symbols(size):
            self.numbers.setdefault(name, _MANY_DIVISORS * (len(self.numbers) + 1))
        return evaluate(size, self.numbers)


Both = Callable[[_Sizes, Strides], bool]
"""Whether a view with these strides and a copy are the same to all that follows."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Under which strides can the dimensions ``old``/``strides`` be seen as ``new``? ``None``: it takes a copy."""

    old: tuple[Size, ...]
    strides: Strides
    new: tuple[Size, ...]

    def answered(self, sizes: _Sizes) -> Strides | None:
        return _seen_as(sizes, self.old, self.strides, self.new)


@dataclass(frozen=True, slots=True)
class _Lies:
    """Are the strides the ``wanted`` ones in every dimension that has not the size 1? ``None``: they are not."""

    shape: tuple[Size, ...]
    strides: Strides
    wanted: Strides

    def answered(self, sizes: _Sizes) -> Strides | None:
        dims = zip(self.shape, self.strides, self.wanted, strict=True)
        lies = [sizes.is_one(n) or sizes.same(have, want) for n, have, want in dims]
        return self.wanted if all(lies) else None


_Question: TypeAlias = "_Seen | _Lies"
_Supposed: TypeAlias = "tuple[Facts | None, Strides | None, tuple[Expr, ...]]"
"""What is known under a supposition, ``None`` if it cannot be; the answer to a question of layout then; what it left open."""


def _answer(
    scope: Scope, shape: Sequence[Size], question: _Question, reason: str, may_be_both: Both | None = None
) -> _Answer:
    """The answer to a question of layout that more equalities can only turn from no to yes.

    If it is no whatever the sizes, or yes, nothing is assumed. Else it depends on the least sets of suppositions that make it
    a yes. Without ``may_be_both`` each is decided.
    """
    found, opened = _plainly(scope.facts, question)
    if found is None and type(question) is _Seen:  # where sizes are known to make up a number, their sample values steer better
        found = question.answered(_Sizes(scope.facts, numbers=dict(scope.hints)))
    if found is not None:
        return _Answer(found)
    claims: list[Expr] = []
    for n in dict.fromkeys(shape):
        claim = n - 1
        if isinstance(claim, Expr) and scope.facts.may_be_zero(claim):
            claims.append(claim)
    ones = set(claims)
    claims += _open_differences(scope, shape, claims, [d for d in opened if d not in ones])
    if not claims:
        return _Answer(None)
    distances: list[Size] = []  # from each special case: 0 where it is met

    def under(chosen: Sequence[Expr]) -> _Supposed:
        return _under(scope.facts, tuple(chosen), question)

    claims += _open_where_one(scope.facts, claims[: len(ones)], under, claims)
    for chosen in _least(claims, lambda chosen: under(chosen)[0] is not None, lambda chosen: under(chosen)[1] is not None):
        unmet = [c for c in chosen if scope.hint(c)]
        special = not unmet or not ones.issuperset(chosen)
        facts, seen, _ = under(chosen)
        if special and may_be_both is not None and facts is not None and seen is not None:
            both = may_be_both(_Sizes(facts, frozenset([c + 1 for c in chosen])), seen)
        else:
            both = False
        if both:
            distances.append(sum_([c if c in ones else _absolute(c) for c in chosen]))
        elif _all_hold(scope, chosen, unmet, ones, reason):
            return _Answer(under(chosen)[1])  # asked anew: more is known now
    return _Answer(None, min_(1, *distances) if distances else 1)


def _open_differences(scope: Scope, shape: Sequence[Size], ones: Sequence[Expr], found: list[Expr]) -> list[Expr]:
    """Those that may be 0 where nothing else is special: no size is 1, and the tensor is not empty, so that there is something
    to copy."""
    if not found:
        return []
    not_empty = [n for n in dict.fromkeys(shape) if isinstance(n, Expr)]
    larger = scope.facts.supposing(positive=[*ones, *not_empty])
    open_ = dict.fromkeys([primitive("==", d) for d in found])
    return [] if larger is None else [d for d in open_ if not larger.proves_nonzero(d)]


@lru_cache(_ANSWERS)
def _plainly(facts: Facts, question: _Question) -> tuple[Strides | None, tuple[Expr, ...]]:
    """The answer without any supposition, and the differences of which it would take more to be known."""
    sizes = _Sizes(facts)
    found = question.answered(sizes)
    return found, tuple(dict.fromkeys(sizes.open))


def _open_where_one(
    facts: Facts, ones: Sequence[Expr], under: Callable[[Sequence[Expr]], _Supposed], known: Sequence[Expr]
) -> list[Expr]:
    """Differences that may be 0 only where a size is 1: every second of one row is the whole, of two rows it is not."""
    found: list[Expr] = []
    for claim in ones:
        supposed, seen, opened = under([claim])
        if supposed is None or seen is not None:
            continue
        for d in opened:
            left = supposed.reduce(d)
            if free_symbols(left) - free_symbols(d):  # W/28 has a name of its own where 28 divides W: nobody else knows it
                left = d
            if isinstance(left, Expr) and not supposed.proves_nonzero(left):
                left = primitive("==", left)
                if left not in known and left not in found and facts.may_be_zero(left):
                    found.append(left)
    return found


@lru_cache(_ANSWERS)
def _under(facts: Facts, claims: tuple[Expr, ...], question: _Question) -> _Supposed:
    """What is known if all these differences are 0, and the answer then. Asked several times of the same suppositions, and
    what follows from them takes most of the time."""
    supposed = facts.supposing(zero=claims)
    if supposed is None:
        return None, None, ()
    sizes = _Sizes(supposed, frozenset([claim + 1 for claim in claims]))
    found = question.answered(sizes)
    return supposed, found, tuple(dict.fromkeys(sizes.open))


def _least(
    claims: list[Expr], possible: Callable[[Sequence[Expr]], bool], works: Callable[[Sequence[Expr]], bool]
) -> Iterator[tuple[Expr, ...]]:
    """The least sets of claims that work, smaller ones first; that a set works is true of all possible ones that contain it.

    Claims may be impossible together (``W == 1``, and ``7*ceil(W/7) == W``): what follows from all of them says nothing then.
    """
    found: list[frozenset[Expr]] = []
    left = list(claims)
    for size in range(1, len(claims) + 1):
        if not left or (possible(left) and not works(left)):
            return
        for chosen in combinations(left, size):
            if any(least <= set(chosen) for least in found):
                continue
            if not possible(chosen):
                found.append(frozenset(chosen))  # nor is any set that contains it
            elif works(chosen):
                found.append(frozenset(chosen))
                yield chosen
        if size == 1:  # what works alone is in no other least set
            left = [claim for claim in left if frozenset([claim]) not in found]


def _all_hold(scope: Scope, claims: Sequence[Expr], unmet: Sequence[Expr], ones: set[Expr], reason: str) -> bool:
    """Decide whether all differences are 0, with as little assumed as will do; ``unmet`` are not so at the sample values."""
    if not unmet:
        return all([scope.decide("==", c, 0, reason) for c in claims])
    if ones.issuperset(unmet):
        return scope.decide("==", prod([c + 1 for c in unmet]), 1, reason)
    return scope.decide("==", next(c for c in unmet if c not in ones), 0, reason)


def _seen_as(sizes: _Sizes, old: tuple[Size, ...], strides: Strides, new: tuple[Size, ...]) -> Strides | None:
    """``at::detail::computeStride``: dimensions that lie as one are a chunk, and the new sizes have to split into chunks."""
    if not old:
        return (1,) * len(new)
    result: list[Size] = [0] * len(new)
    base = strides[-1]
    v = len(new) - 1
    old_numel: Size = 1
    new_numel: Size = 1
    old_weight = new_weight = 1
    for d in reversed(range(len(old))):
        old_numel, old_weight = old_numel * old[d], old_weight * sizes.weight(old[d])
        if d > 0 and (sizes.is_one(old[d - 1]) or sizes.same(strides[d - 1], old_numel * base)):
            continue
        while v >= 0 and (sizes.is_one(new[v]) or _is_below(sizes, new_numel, old_numel, new_weight, old_weight)):
            result[v] = new_numel * base
            new_numel, new_weight = new_numel * new[v], new_weight * sizes.weight(new[v])
            v -= 1
        if not sizes.same(new_numel, old_numel):
            return None
        if d > 0:
            base = strides[d - 1]
            old_numel = new_numel = 1
            old_weight = new_weight = 1
    return tuple(result) if v == -1 else None


def _is_below(sizes: _Sizes, a: Size, b: Size, a_weight: int, b_weight: int) -> bool:
    # only steers the walk over the dimensions: the equality that matters is tested after it
    return a_weight < b_weight and not sizes.same(a, b)
