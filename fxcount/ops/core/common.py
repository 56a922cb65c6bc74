"""What several op families need: type promotion, broadcasting, dimension wrapping.

Dimension letters used throughout the families: N batch, C channels, *I spatial input, *O spatial output, *K kernel,
S query length, T key length, E embedding, D head dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TypeVar

import torch

from fxcount.errors import DataDependentError, RangeError, ShapeError
from fxcount.ops.core.arguments import Dims, Operand
from fxcount.ops.core.fact import Alias, Holding, TensorFact
from fxcount.ops.core.tree import leaves, mapped
from fxcount.symbolic import Scope, Size

__all__ = [
    "FIXED_NUMBER",
    "SIZE_IS_DATA",
    "as_tuple",
    "broadcast",
    "facts_in",
    "facts_of_result",
    "float_result",
    "only_sparse",
    "promote",
    "refused",
    "same_shape",
    "shape_text",
    "wrap_dim",
    "wrap_dims",
]

_T = TypeVar("_T", Size, float)

SIZE_IS_DATA = "the size of the result depends on the values of a tensor"
FIXED_NUMBER = "use torch.where(mask, x, other), multiply by the mask, or keep a fixed number (topk, nonzero_static)"


def refused(name: str, hint: str = FIXED_NUMBER, why: str = SIZE_IS_DATA) -> Callable[..., NoReturn]:
    """The shape rule of an op whose result, or whose result's size, is data."""

    def rule(*_: object, **__: object) -> NoReturn:
        raise DataDependentError(f"{name}: {why}", hint=hint)

    return rule



def only_sparse(name: str) -> Callable[..., NoReturn]:
    """The shape rule of an op that dense tensors have not."""

    def rule(*_: object, **__: object) -> NoReturn:
        raise ShapeError(f"{name}: the tensor is dense, only sparse ones have it", hint="make it sparse with .to_sparse()")

    return rule


def same_shape(scope: Scope, a: Sequence[Size], b: Sequence[Size], reason: str = "") -> bool:
    """Whether two shapes are equal, of which what algebra cannot tell is assumed.

    >>> from fxcount.symbolic import symbol
    >>> scope = Scope({"B": 7, "N": 7})
    >>> same_shape(scope, (symbol("B"), 3), (symbol("N"), 3)), same_shape(scope, (2, 3), (3, 2))
    (True, False)
    >>> [str(a) for a in scope.assumptions]
    ['B == N']
    """
    return len(a) == len(b) and all(scope.same(m, n, reason) for m, n in zip(a, b, strict=True))


def facts_of_result(result: object) -> Any:
    """What a shape rule gave, with the facts of views in the place of their aliases."""
    return mapped(_fact_of, result)


def _fact_of(leaf: object) -> object:
    return leaf.fact if isinstance(leaf, (Alias, Holding)) else leaf


def shape_text(shape: Iterable[Size]) -> str:
    """``(B, 3, floor(H/2))`` for messages."""
    return "(" + ", ".join(map(str, shape)) + ")"


def facts_in(args: object) -> list[TensorFact]:
    """All tensor facts in (nested) arguments, in order.

    >>> x = TensorFact((2,), torch.float32)
    >>> len(facts_in(([x, 3], {"other": x})))
    2
    """
    return [leaf for leaf in leaves(args) if isinstance(leaf, TensorFact)]


def as_tuple(value: _T | list[_T] | tuple[_T, ...], n: int) -> tuple[_T, ...]:
    """An argument that is one value for all ``n`` spatial dimensions or one for each.

    >>> as_tuple(3, 2), as_tuple((1, 2), 2), as_tuple((5,), 2)
    ((3, 3), (1, 2), (5, 5))
    """
    if isinstance(value, (list, tuple)):
        return tuple(value) if len(value) == n else tuple(value) * n
    return (value,) * n


def wrap_dim(dim: int, ndim: int, name: str = "dim") -> int:
    """Non-negative dimension index; a 0-d tensor has the dimensions 0 and -1.

    >>> wrap_dim(-1, 4)
    3
    """
    bound = max(ndim, 1)
    if not -bound <= dim < bound:
        raise RangeError(f"{name}={dim} is out of range for a tensor of {ndim} dimensions")
    return int(dim) % bound


def wrap_dims(dim: Dims, ndim: int) -> tuple[int, ...]:
    """Sorted non-negative dimensions of a reduction; ``None`` and ``()`` mean all.

    Raises:
        RangeError: a dimension is out of range.
        ShapeError: one is named twice.

    >>> wrap_dims((-1, 0), 4), wrap_dims(None, 3)
    ((0, 3), (0, 1, 2))
    """
    if dim is None or (isinstance(dim, (list, tuple)) and not dim):
        return tuple(range(ndim))
    dims = dim if isinstance(dim, (list, tuple)) else (dim,)
    wrapped = [wrap_dim(d, ndim) for d in dims]
    if len(set(wrapped)) != len(wrapped):
        raise ShapeError(f"dim={tuple(dims)} names a dimension twice")
    return tuple(sorted(wrapped)) if ndim else ()


def broadcast(scope: Scope, what: str, *shapes: Sequence[Size]) -> tuple[Size, ...]:
    """The broadcast shape; two sizes that are not structurally equal are assumed equal if they are at the hint.

    Raises:
        ShapeError: two sizes differ, and neither is 1; ``what`` names the op in the message.

    >>> broadcast(Scope({}), "add", (2, 1, 5), (3, 1))
    (2, 3, 5)
    """
    ndim = max((len(s) for s in shapes), default=0)
    first = shapes[0]
    if all(tuple(s) == tuple(first) for s in shapes[1:]):
        return tuple(first)
    result: list[Size] = []
    why = f"{what}: sizes must be equal, or one of them 1"
    for d in range(ndim):
        size: Size = 1
        for s in shapes:
            other = s[d - ndim + len(s)] if d - ndim + len(s) >= 0 else 1
            if (type(other) is int and other == 1) or other == size:
                continue
            if type(size) is int and size == 1:
                size = other
            elif not scope.same(size, other, why):
                if scope.hint(size) == 1:
                    scope.decide("==", size, 1, why)
                    size = other
                elif scope.decide("==", other, 1, why) or scope.decide("==", size, 1, why):
                    continue
                else:
                    raise ShapeError(
                        f"{what}: shapes {' and '.join(map(shape_text, shapes))} do not broadcast: "
                        f"{size} against {other} in dimension {d}",
                        hint="sizes must be equal or 1, counted from the last dimension",
                    )
            elif type(other) is int:
                size = other
        result.append(size)
    return tuple(result)


def promote(*operands: Operand | None) -> torch.dtype:
    """Result dtype of tensors and Python scalars (``torch.result_type``): dimensioned tensors rank before 0-d
    tensors, these before Python numbers, unless a lower rank brings a higher kind (bool < int < float < complex).

    >>> promote(TensorFact((2,), torch.float16), 2.5), promote(TensorFact((2,), torch.int64), 2.5)
    (torch.float16, torch.float32)
    """
    tiers: list[torch.dtype | None] = [None, None, None]
    for value in operands:
        if isinstance(value, TensorFact):
            tier, dtype = (0 if value.shape else 1), value.dtype
        elif isinstance(value, bool):
            tier, dtype = 2, torch.bool
        elif isinstance(value, float):
            tier, dtype = 2, torch.get_default_dtype()
        elif isinstance(value, complex):
            tier, dtype = 2, torch.get_default_dtype().to_complex()
        elif value is None:
            continue
        else:  # an int or a symbolic size
            tier, dtype = 2, torch.int64
        seen = tiers[tier]
        tiers[tier] = dtype if seen is None else torch.promote_types(seen, dtype)
    result: torch.dtype | None = None
    for dtype_or_none in tiers:
        if dtype_or_none is None:
            continue
        if result is None:
            result = dtype_or_none
        elif _kind(dtype_or_none) > _kind(result):
            result = _raise_kind(result, dtype_or_none)
    return result or torch.get_default_dtype()


def _kind(dtype: torch.dtype) -> int:
    if dtype.is_complex:
        return 3
    if dtype.is_floating_point:
        return 2
    return 0 if dtype is torch.bool else 1


def _raise_kind(low: torch.dtype, high: torch.dtype) -> torch.dtype:
    if high.is_complex and low.is_floating_point:
        return low.to_complex()
    return high


def float_result(dtype: torch.dtype) -> torch.dtype:
    """Result dtype of a function that leaves the integers (exp, sqrt, mean, true division).

    >>> float_result(torch.int64), float_result(torch.bfloat16)
    (torch.float32, torch.bfloat16)
    """
    return dtype if dtype.is_floating_point or dtype.is_complex else torch.get_default_dtype()
