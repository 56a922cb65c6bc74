"""Contractions by index: einsum, which torch turns into permutes, reshapes and bmm.

Shapes:  each operand has its subscripts' sizes; a size of 1 broadcasts
Counts:  operands are contracted two at a time, left to right or along ``path``. A step that sums over shared subscripts
         is a contraction: macs = product of the sizes of all its subscripts, also where those summed over have the size 1
         (torch then multiplies instead of calling bmm); a step that sums over none is a multiplication:
         flops = numel(result); a subscript of one operand alone is summed first: n - 1 additions per row
Raises:  ShapeError: malformed equation, ranks or sizes that do not match
Source:  definition; the order of steps, copies and strides are those of ``at::native::einsum`` and ``sumproduct_pair``

>>> from fxcount.symbolic import Scope
>>> q, k = TensorFact((2, 4, 5, 8), torch.float32), TensorFact((2, 4, 7, 8), torch.float32)
>>> y = einsum_shape(Scope({}), "bhqd,bhkd->bhqk", [q, k])
>>> y.shape, einsum_cost(y, "bhqd,bhkd->bhqk", [q, k]).macs
((2, 4, 5, 7), 2240)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from functools import lru_cache
from typing import Any

import torch

from fxcount.dataclass import dataclass
from fxcount.errors import ShapeError
from fxcount.ops.contraction.matmul import contraction, require, require_dtype
from fxcount.ops.core.common import promote
from fxcount.ops.core.fact import Alias, TensorFact, Work, contiguous_strides
from fxcount.ops.core.iterator import iterator_strides
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.core.striding import parted
from fxcount.symbolic import Scope, Size, max_, min_, prod, sum_
from fxcount.torch_private import VERSION

__all__ = [
    "OPS", "Subscripts", "as_fact", "check_sizes", "contract", "einsum_cost", "einsum_shape", "matrix_macs",
    "step_temporaries",
]  # fmt: skip

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

Sizes = tuple[Size, ...]


# --- subscripts -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Subscripts:
    """Labels of the dimensions of each operand and of the output, then those summed over. The dimensions an ellipsis
    stands for are labelled ``-1`` (last), ``-2``, ..."""

    operands: tuple[tuple[str, ...], ...]
    output: tuple[str, ...]
    summed: tuple[str, ...]


@lru_cache(maxsize=1024)
def _parse(equation: str, ranks: tuple[int, ...]) -> Subscripts:
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ShapeError(f"einsum: {equation!r} names {len(terms)} operands, {len(ranks)} are given")
    operands = tuple(_labels(equation, term, rank) for term, rank in zip(terms, ranks, strict=True))
    seen = [label for labels in operands for label in labels]
    hidden = sorted({label for label in seen if label.startswith("-")}, key=int)
    letters = sorted(set(seen) - set(hidden))
    if not arrow:
        output = (*hidden, *(label for label in letters if seen.count(label) == 1))
    else:
        before, ellipsis, after = right.partition("...")
        output = (*before, *(hidden if ellipsis else ()), *after)
    for label in output:
        if label not in seen or output.count(label) > 1:
            what = "appears in no operand" if label not in seen else "appears more than once in the output"
            raise ShapeError(f"einsum: {label!r} in {equation!r} {what}")
    return Subscripts(operands, output, tuple(label for label in (*hidden, *letters) if label not in output))


def _labels(equation: str, term: str, rank: int) -> tuple[str, ...]:
    before, ellipsis, after = term.partition("...")
    if any(letter not in _LETTERS for letter in before + after):
        raise ShapeError(f"einsum: subscripts must be letters or one '...', not {term!r} in {equation!r}")
    covered = rank - len(before + after)
    if covered < 0 or (covered and not ellipsis):
        raise ShapeError(f"einsum: {term!r} in {equation!r} does not fit an operand of {rank} dimensions")
    return (*before, *(str(d) for d in range(-covered, 0)), *after)


def _arguments(equation: Any, operands: Sequence[Any]) -> tuple[str, list[TensorFact]]:
    """The equation and operands of any calling convention; also ``einsum(a, [0, 1], b, [1, 2], [0, 2])``."""
    if isinstance(equation, str):
        if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
            operands = operands[0]
        return equation, list(operands)
    everything = (equation, *operands)
    terms = [_letters(labels) for labels in everything[1::2]]
    output = f"->{_letters(everything[-1])}" if len(everything) % 2 else ""
    return ",".join(terms) + output, [t for t in everything[::2] if isinstance(t, TensorFact)]


def _letters(labels: Sequence[Any]) -> str:
    return "".join("..." if label is Ellipsis else _LETTERS[label] for label in labels)


# --- the contraction ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Aligned:
    """An operand with one dimension per label; ``owned``: bytes of its storage if it was made on the way."""

    shape: Sizes
    strides: Sizes
    dtype: torch.dtype
    owned: Size = 0
    has: frozenset[int] = frozenset()  # the dimensions that are its own, not broadcast

    @property
    def nbytes(self) -> Size:
        return prod(self.shape) * self.dtype.itemsize


@dataclass(slots=True)
class _Tally:
    """What the steps did: macs and other scalar operations, and the bytes held at the end of each step."""

    macs: Size = 0
    by_matrix: Size = 0  # those of the macs that torch leaves to bmm
    also: Scalars = field(default_factory=Scalars)
    held: list[Size] = field(default_factory=list)


def _align(t: TensorFact, labels: tuple[str, ...], order: tuple[str, ...]) -> _Aligned:
    sizes, steps = dict.fromkeys(order, 1), dict.fromkeys(order, 0)
    own: dict[str, Size] = {}
    strides: dict[str, Size] = {}
    for label, size, stride in zip(labels, t.shape, t.stride(), strict=True):
        own[label] = size
        strides[label] = strides.get(label, 0) + stride  # a repeated label is a diagonal
    has = frozenset([order.index(label) for label in own])
    return _Aligned(tuple({**sizes, **own}.values()), tuple({**steps, **strides}.values()), t.dtype, has=has)


def _summed(a: _Aligned, dims: Sequence[int], tally: _Tally) -> _Aligned:
    if not dims:
        return a
    shape = tuple(1 if d in dims else n for d, n in enumerate(a.shape))
    tally.also = tally.also + Scalars(add=prod(a.shape) - prod(shape))
    dtype = a.dtype if a.dtype.is_floating_point or a.dtype.is_complex else torch.int64
    return _Aligned(shape, contiguous_strides(shape), dtype, prod(shape) * dtype.itemsize, a.has.difference(dims))


def _pair(a: _Aligned, b: _Aligned, summed: Sequence[int], of_one: bool, tally: _Tally, by_matrix: bool) -> _Aligned:
    """``sumproduct_pair``: a product summed over ``summed`` dimensions, by one bmm; ``of_one``: and over some of size 1."""
    has = (a.has | b.has).difference(summed)
    if not summed and not by_matrix:
        shape = tuple(m if n == 1 else n for n, m in zip(a.shape, b.shape, strict=True))
        if of_one:
            tally.macs = tally.macs + prod(shape)
        else:
            tally.also = tally.also + Scalars(mul=prod(shape))
        facts = [TensorFact(t.shape, t.dtype, strides=t.strides) for t in (a, b)]
        dtype = promote(*facts)
        strides = iterator_strides(shape, facts) or contiguous_strides(shape)
        result = _Aligned(shape, strides, dtype, prod(shape) * dtype.itemsize, has)
        tally.held.append(a.owned + b.owned + result.owned)
        return result
    dtype = require_dtype("einsum", *(TensorFact(t.shape, t.dtype) for t in (a, b)))
    free = [d for d in range(len(a.shape)) if d not in summed]
    both = [d for d in free if a.shape[d] != 1 and b.shape[d] != 1]
    left = [d for d in free if d not in both and a.shape[d] != 1]
    right = [d for d in free if d not in both and d not in left]
    if VERSION >= (2, 9) and left and right and right[-1] < left[0]:  # then bmm can write the output in order
        a, b, left, right = b, a, right, left
    copies = sum(_copied(t, runs) for t, runs in ((a, (both, left, [*summed, *right])), (b, (both, summed, [*right, *left]))))
    shape = tuple(1 if d in summed else b.shape[d] if a.shape[d] == 1 else a.shape[d] for d in range(len(a.shape)))
    written = [*both, *left, *summed, *right]
    dense = contiguous_strides(tuple(shape[d] for d in written))
    strides = tuple(dense[written.index(d)] for d in range(len(shape)))
    macs = prod(shape) * prod(a.shape[d] for d in summed)
    tally.macs, tally.by_matrix = tally.macs + macs, tally.by_matrix + macs
    result = _Aligned(shape, strides, dtype, prod(shape) * dtype.itemsize, has)
    tally.held.append(a.owned + b.owned + copies + result.owned)
    return result


def _copied(t: _Aligned, runs: Sequence[Sequence[int]]) -> Size:
    """Bytes of the clone that bringing each run of dimensions into one takes."""
    apart = sum_([parted([t.shape[d] for d in run], [t.strides[d] for d in run]) for run in runs])
    return min_(1, apart) * t.nbytes


def contract(
    subscripts: Subscripts, tensors: Sequence[TensorFact], path: Sequence[int] | None, by_matrix: bool = False
) -> tuple[_Aligned, _Tally]:
    order = subscripts.output + subscripts.summed
    first_sum = len(subscripts.output)
    pending = [_align(t, labels, order) for t, labels in zip(tensors, subscripts.operands, strict=True)]
    tally = _Tally()
    if len(pending) == 1:
        result = _summed(pending[0], range(first_sum, len(order)), tally)
        tally.held.append(result.owned)
        return _cut(result, first_sum), tally
    users = [sum(t.shape[d] != 1 for t in pending) for d in range(len(order))]
    holders = [sum(d in t.has for t in pending) for d in range(len(order))]
    steps = list(zip(path[::2], path[1::2], strict=True)) if path else [(0, 1)] * (len(pending) - 1)
    for step in steps:
        i, j = sorted(step)
        b, a = pending.pop(j), pending.pop(i)
        together, alone_a, alone_b = [], [], []
        of_one: set[int] = set()
        for d in range(first_sum, len(order)):
            if d in a.has and d in b.has:
                holders[d] -= 1
                if holders[d] == 1 and a.shape[d] == b.shape[d] == 1:
                    of_one.add(d)
            if a.shape[d] != 1 and b.shape[d] != 1:
                users[d] -= 1
                if users[d] == 1:
                    together.append(d)
            elif users[d] == 1 and a.shape[d] != 1:
                alone_a.append(d)
            elif users[d] == 1 and b.shape[d] != 1:
                alone_b.append(d)
        a, b = _summed(a, alone_a, tally), _summed(b, alone_b, tally)
        product = _pair(a, b, together, bool(of_one), tally, by_matrix)
        product = replace(product, has=product.has - of_one)
        pending.insert(len(pending) if path else 0, product)
    return _cut(pending[0], first_sum), tally


def _cut(a: _Aligned, ndim: int) -> _Aligned:
    return replace(a, shape=a.shape[:ndim], strides=a.strides[:ndim])


def as_fact(a: _Aligned, device: torch.device) -> TensorFact:
    dense = contiguous_strides(a.shape)
    row_major = all(s == d or n == 1 for s, d, n in zip(a.strides, dense, a.shape, strict=True))
    return TensorFact(a.shape, a.dtype, device, None if row_major else a.strides)


def check_sizes(scope: Scope, what: str, subscripts: Subscripts, tensors: Sequence[TensorFact]) -> None:
    sizes: dict[str, Size] = {}
    for t, labels in zip(tensors, subscripts.operands, strict=True):
        for d, (label, n) in enumerate(zip(labels, t.shape, strict=True)):
            known = sizes.get(label, 1)
            repeated = label in labels[:d]
            if known == 1 and not repeated:
                sizes[label] = n
            elif n != 1 or repeated:
                broadcasts = f"{what}: a size of 1 broadcasts"
                if not repeated and not scope.same(n, known, f"{what}: sizes of {label!r}"):
                    if scope.decide("==", n, 1, broadcasts):
                        continue
                    if scope.decide("==", known, 1, broadcasts):
                        sizes[label] = n
                        continue
                require(scope, n, known, f"{what}: sizes of {label!r} must match", *(t.shape for t in tensors))


# --- einsum ---------------------------------------------------------------------------------------


def _prepared(equation: Any, operands: Sequence[Any]) -> tuple[Subscripts, list[TensorFact]]:
    text, tensors = _arguments(equation, operands)
    return _parse(text, tuple(t.ndim for t in tensors)), tensors


def einsum_shape(scope: Scope, equation: Any, *operands: Any, path: Sequence[int] | None = None) -> TensorFact | Alias:
    """``torch.einsum``; one operand whose subscripts are only reordered or repeated is a view."""
    subscripts, tensors = _prepared(equation, operands)
    check_sizes(scope, "einsum", subscripts, tensors)
    result, _ = contract(subscripts, tensors, path)
    y = as_fact(result, tensors[0].device)
    return Alias(y) if len(tensors) == 1 and not subscripts.summed else y


def einsum_cost(y: TensorFact, equation: Any, *operands: Any, path: Sequence[int] | None = None) -> Work:
    """macs of the bmm steps, a multiplication per element of other steps, n - 1 additions for sums of one operand."""
    _, tally = contract(*_prepared(equation, operands), path)
    return contraction(y.dtype, tally.macs, tally.also)


def matrix_macs(equation: Any, *operands: Any, path: Sequence[int] | None = None) -> Size:
    """The macs that torch leaves to bmm: none of those over subscripts of size 1, which it multiplies.

    >>> row, column = TensorFact((2, 1), torch.float32), TensorFact((1, 3), torch.float32)
    >>> einsum_cost(row.new((2, 3)), "ij,jk->ik", row, column).macs, matrix_macs("ij,jk->ik", row, column)
    (6, 0)
    """
    tally = contract(*_prepared(equation, operands), path)[1]
    return tally.by_matrix


def _einsum_temporaries(y: TensorFact, equation: Any, *operands: Any, path: Sequence[int] | None = None) -> Size:
    subscripts, tensors = _prepared(equation, operands)
    return 0 if len(tensors) == 1 else step_temporaries(y, contract(subscripts, tensors, path)[1])


def step_temporaries(y: TensorFact, tally: _Tally) -> Size:
    # operands' copies and intermediate products, at the step that holds most
    return (max_(*tally.held) if len(tally.held) > 1 else tally.held[0]) - y.nbytes


OPS: tuple[Op, ...] = (
    op(
        "einsum", shape=einsum_shape, cost=einsum_cost, temporaries=_einsum_temporaries, extra=(torch.functional.einsum,),
        kind="product", multiplies=lambda *args, **kwargs: matrix_macs(*args, **kwargs) != 0,
    ),
)
