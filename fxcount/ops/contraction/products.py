"""Further products: outer and cross, chains, Kronecker, bilinear forms; grouped, scaled and integer matmul.

Counts:  outer, kron  numel(y) products; addr a product and a sum, + one for each factor that is not 1
         cross        two products and a difference for each element
         multi_dot    macs of the cheapest order of its products
         bilinear     x (*B, I) with weight (O, I, J), then with input2 (*B, J): macs = prod(B) * O * (I*J + J)
         vecdot       macs = numel(x)
         grouped_mm   every row meets one group only; scaled_mm two products more per element
Raises:  ShapeError: sizes, ranks or dtypes do not match
Source:  the definitions

>>> from fxcount.symbolic import Scope
>>> x, w = TensorFact((16, 8), torch.bfloat16), TensorFact((3, 8, 32), torch.bfloat16)
>>> y = grouped_shape(Scope({}), x, w, TensorFact((3,), torch.int32))
>>> y.shape, grouped_cost(y, x, w).macs
((16, 32), 4096)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fxcount.errors import ShapeError, UncountedError
from fxcount.ops.contraction.matmul import (
    added,
    contraction,
    matmul_shape,
    product_cost,
    require,
    require_dtype,
    require_expands,
    require_rank,
    scaled_sum,
)
from fxcount.ops.core.arguments import Given, Scalar
from fxcount.ops.core.binding import Overloads
from fxcount.ops.core.common import broadcast, promote, shape_text, wrap_dim
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import Scalars, is_arithmetic
from fxcount.symbolic import Scope, Size, min_, prod

__all__ = ["OPS", "grouped_cost", "grouped_shape"]


def _outer_shape(scope: Scope, x: TensorFact, vec2: TensorFact) -> TensorFact:
    require_rank("outer", x=(x, 1), vec2=(vec2, 1))
    return x.new((*x.shape, *vec2.shape), promote(x, vec2))


def _outer_cost(y: TensorFact, *_: object, **__: object) -> Work:
    return Scalars(mul=1).work(y.numel, y.dtype)


def _cross_shape(scope: Scope, x: TensorFact, other: TensorFact, dim: int | None = None) -> TensorFact:
    """``torch.cross`` takes the first dimension of size 3 by default, ``torch.linalg.cross`` the last one."""
    shape = broadcast(scope, "cross", x.shape, other.shape)
    if dim is None:
        dim = next((d for d, n in enumerate(shape) if scope.hint(n) == 3), None)
    if dim is None or not scope.same(shape[dim], 3, "cross"):
        raise ShapeError(f"cross: {shape_text(shape)} has no dimension of size 3 to work along")
    return x.new(shape, promote(x, other))


def _linalg_cross_shape(scope: Scope, x: TensorFact, other: TensorFact, dim: int = -1) -> TensorFact:
    if x.ndim != other.ndim:
        raise ShapeError(f"linalg.cross: x {shape_text(x.shape)} and other {shape_text(other.shape)} differ in rank")
    return _cross_shape(scope, x, other, dim)


def _cross_cost(y: TensorFact, *_: object, **__: object) -> Work:
    """Three differences of two products for every three numbers."""
    return Scalars(add=1, mul=2).work(y.numel, y.dtype)


def _addr_shape(
    scope: Scope, x: TensorFact, vec1: TensorFact, vec2: TensorFact, *, beta: Scalar = 1, alpha: Scalar = 1
) -> TensorFact:
    shape = _outer_shape(scope, vec1, vec2).shape
    require_expands(scope, "addr: the added term", x, shape)
    return x.new(shape, promote(x, vec1, vec2))


def _addr_cost(y: TensorFact, *_: object, beta: Scalar = 1, alpha: Scalar = 1, **__: object) -> Work:
    return (Scalars(mul=1) + scaled_sum(beta, alpha)).work(y.numel, y.dtype)


def _vecdot_shape(scope: Scope, x: TensorFact, y: TensorFact, *, dim: int = -1) -> TensorFact:
    if not is_arithmetic(x.dtype):
        raise ShapeError(f"linalg.vecdot: needs a floating or complex dtype, not {x.dtype}")
    dtype = require_dtype("linalg.vecdot", x, y)
    shape = broadcast(scope, "linalg.vecdot", x.shape, y.shape)
    gone = wrap_dim(dim, len(shape))
    return x.new((*shape[:gone], *shape[gone + 1 :]), dtype)


def _vecdot_cost(result: TensorFact, x: TensorFact, y: TensorFact, *, dim: int = -1) -> Work:
    return contraction(result.dtype, result.numel * _terms(x, y, dim))


def _vecdot_temporaries(result: TensorFact, x: TensorFact, y: TensorFact, *, dim: int = -1) -> Size:
    if not result.ndim:
        return 0
    products = result.nbytes * _terms(x, y, dim)  # before they are summed, from the conjugate of x
    return products + x.nbytes - result.nbytes if x.dtype.is_complex else products


def _terms(x: TensorFact, y: TensorFact, dim: int) -> Size:
    return y.shape[dim] if x.shape[dim] == 1 else x.shape[dim]


def _matrices(first: Any, others: Sequence[Any]) -> list[TensorFact]:
    return list(first) if isinstance(first, (list, tuple)) else [first, *others]


def _chain_shape(scope: Scope, first: Any, *others: TensorFact) -> TensorFact:
    """Product of several matrices; the outer ones may be vectors."""
    tensors = _matrices(first, others)
    result = tensors[0]
    for t in tensors[1:]:
        result = matmul_shape(scope, result, t)
    return result.new(result.shape)


def _chain_cost(y: TensorFact, first: Any, *others: TensorFact) -> Work:
    """The cheapest order: the minimum over all ways to put parentheses."""
    tensors = _matrices(first, others)
    sizes = [1 if tensors[0].ndim == 1 else tensors[0].shape[0]]
    sizes += [t.shape[0] for t in tensors[1:]] + [1 if tensors[-1].ndim == 1 else tensors[-1].shape[-1]]
    best: dict[tuple[int, int], Size] = {(i, i): 0 for i in range(len(tensors))}
    for span in range(1, len(tensors)):
        for i in range(len(tensors) - span):
            j = i + span
            ways = [best[i, k] + best[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1] for k in range(i, j)]
            best[i, j] = min_(*ways) if span > 1 else ways[0]
    return contraction(y.dtype, best[0, len(tensors) - 1])


def _kron_shape(scope: Scope, x: TensorFact, other: TensorFact) -> TensorFact:
    ndim = max(x.ndim, other.ndim)
    padded = [(1,) * (ndim - t.ndim) + t.shape for t in (x, other)]
    return x.new(tuple(a * b for a, b in zip(*padded, strict=True)), promote(x, other))


def _bilinear_shape(scope: Scope, x: TensorFact, input2: TensorFact, weight: TensorFact, bias: Given = None) -> TensorFact:
    """x (*B, I), input2 (*B, J), weight (O, I, J) -> (*B, O)."""
    dtype = require_dtype("bilinear", x, input2, weight, bias)
    if x.ndim != input2.ndim or weight.ndim != 3:
        raise ShapeError(f"bilinear: ranks of {shape_text(x.shape)}, {shape_text(input2.shape)}, {shape_text(weight.shape)}")
    wanted = (*x.shape[:-1], weight.shape[1], weight.shape[2])
    for got, size in zip((*input2.shape[:-1], x.shape[-1], input2.shape[-1]), wanted, strict=True):
        require(scope, got, size, "bilinear", x.shape, input2.shape, weight.shape)
    if bias is not None:
        require(scope, bias.shape[-1], weight.shape[0], "bilinear: bias", bias.shape, weight.shape)
    return x.new((*x.shape[:-1], weight.shape[0]), dtype)


def _bilinear_cost(y: TensorFact, x: TensorFact, input2: TensorFact, weight: TensorFact, bias: Given = None) -> Work:
    """x with the weight, then the result with input2: macs = prod(B) * O * (I*J + J)."""
    return contraction(y.dtype, y.numel * (x.shape[-1] + 1) * input2.shape[-1], added(y, bias))


def _bilinear_temporaries(y: TensorFact, x: TensorFact, input2: TensorFact, weight: TensorFact, bias: Given = None) -> Size:
    return 0 if bias is None else y.nbytes


def _trilinear_shape(
    scope: Scope, x: TensorFact, i2: TensorFact, i3: TensorFact, expand1: Any, expand2: Any, expand3: Any, sumdim: Any,
    unroll_dim: int = 1,
) -> TensorFact:  # fmt: skip
    """Product of three tensors with dimensions of size 1 put in at ``expand``, summed over ``sumdim``."""
    aligned = [_expanded(t, e) for t, e in ((x, expand1), (i2, expand2), (i3, expand3))]
    full = broadcast(scope, "_trilinear", *aligned)
    return x.new(tuple(n for d, n in enumerate(full) if d not in sumdim), promote(x, i2, i3))


def _trilinear_cost(
    y: TensorFact, x: TensorFact, i2: TensorFact, i3: TensorFact, expand1: Any, expand2: Any, expand3: Any, sumdim: Any,
    unroll_dim: int = 1,
) -> Work:  # fmt: skip
    """The first two, summed where the third has no say, then the third."""
    a, b, c = (_expanded(t, e) for t, e in ((x, expand1), (i2, expand2), (i3, expand3)))
    first = [m if n == 1 else n for n, m in zip(a, b, strict=True)]
    between = [1 if d in sumdim and d in expand3 else n for d, n in enumerate(first)]
    second = [m if n == 1 else n for n, m in zip(between, c, strict=True)]
    return contraction(y.dtype, prod(first) + prod(second))


def _expanded(t: TensorFact, expand: Sequence[int]) -> tuple[Size, ...]:
    sizes = iter(t.shape)
    return tuple(1 if d in expand else next(sizes) for d in range(t.ndim + len(expand)))


# --- grouped, scaled, integer ---------------------------------------------------------------------


def grouped_shape(
    scope: Scope, x: TensorFact, mat2: TensorFact, offs: TensorFact | None = None, bias: TensorFact | None = None,
    out_dtype: torch.dtype | None = None,
) -> TensorFact:  # fmt: skip
    """Products of groups: rows of x (2-d by 3-d), columns of mat2 (3-d by 2-d), inner slices (2-d by 2-d) end at
    ``offs``; 3-d by 3-d is bmm."""
    what = "grouped_mm"
    require(scope, x.shape[-1], mat2.shape[-2], f"{what}: inner sizes must match", x.shape, mat2.shape)
    if (offs is None) != (x.ndim == mat2.ndim == 3):
        raise ShapeError(f"{what}: offs is needed unless both operands are 3-d", hint="pass offs=cumsum of group sizes")
    groups = {(3, 3): x.shape[:1], (2, 2): getattr(offs, "shape", ())}.get((x.ndim, mat2.ndim), ())
    for t in (x, mat2):
        if t.ndim == 3:
            count = x.shape[0] if offs is None else offs.shape[0]
            require(scope, t.shape[0], count, f"{what}: groups must match", x.shape, mat2.shape)
    return x.new((*groups, x.shape[-2], mat2.shape[-1]), out_dtype)


def grouped_cost(y: TensorFact, x: TensorFact, mat2: TensorFact, *_: object, **__: object) -> Work:
    """Every row meets one group: macs = rows * K * P, where the inner size K counts once in all groups together."""
    batch = x.shape[0] if x.ndim == mat2.ndim == 3 else 1
    return contraction(y.dtype, batch * x.shape[-2] * x.shape[-1] * mat2.shape[-1])


def _scaled_shape(
    scope: Scope, x: TensorFact, *, mat2: TensorFact, out_dtype: torch.dtype | None = None, **_: object
) -> TensorFact:
    require_rank("scaled_mm", x=(x, 2), mat2=(mat2, 2))
    require(scope, x.shape[1], mat2.shape[0], "scaled_mm: inner sizes must match", x.shape, mat2.shape)
    return x.new((x.shape[0], mat2.shape[1]), out_dtype)


def _scaled_cost(y: TensorFact, x: TensorFact, *, bias: TensorFact | None = None, **_: object) -> Work:
    """Each product is multiplied by both scales: flops = 2*macs + 2*numel(y), + numel(y) with a bias."""
    return contraction(y.dtype, y.numel * x.shape[1], Scalars(mul=2 * y.numel) + added(y, bias))


def _codes(recipe: Any) -> list[int]:
    return [int(getattr(kind, "value", kind)) for kind in recipe]


def _scaled_v2_shape(
    scope: Scope, x: TensorFact, *, mat2: TensorFact, scale_a: Sequence[TensorFact], recipe_a: Sequence[Any],
    scale_b: Sequence[TensorFact], recipe_b: Sequence[Any], out_dtype: torch.dtype | None = None, **_: object,
) -> TensorFact:  # fmt: skip
    for scales, recipe, n in ((scale_a, recipe_a, x.shape[0]), (scale_b, recipe_b, mat2.shape[1])):
        if _codes(recipe) == [1]:
            require(scope, scales[0].numel, n, "scaled_mm: a scale for each row", scales[0].shape, x.shape, mat2.shape)
    return _scaled_shape(scope, x, mat2=mat2, out_dtype=out_dtype)


def _scaled_v2_cost(
    y: TensorFact, x: TensorFact, *, recipe_a: Sequence[Any], recipe_b: Sequence[Any],
    bias: TensorFact | None = None, **_: object,
) -> Work:  # fmt: skip
    """As ``_scaled_mm`` where a recipe is one scale for each tensor (0) or for each row (1)."""
    if {*_codes(recipe_a), *_codes(recipe_b)} - {0, 1}:
        raise UncountedError("_scaled_mm_v2: scales of blocks have no count", hint="scale whole tensors or rows")
    return _scaled_cost(y, x, bias=bias)


def _int_mm_shape(scope: Scope, x: TensorFact, mat2: TensorFact) -> TensorFact:
    require_rank("_int_mm", x=(x, 2), mat2=(mat2, 2))
    if {x.dtype, mat2.dtype} != {torch.int8}:
        raise ShapeError("_int_mm: both operands must be int8")
    return matmul_shape(scope, x, mat2).new((x.shape[0], mat2.shape[1]), torch.int32)


OPS: tuple[Op, ...] = (
    op("outer", "ger", shape=_outer_shape, cost=_outer_cost),
    op("addr", shape=_addr_shape, cost=_addr_cost),
    op("cross", shape=_cross_shape, cost=_cross_cost),
    op("linalg.cross", shape=_linalg_cross_shape, cost=_cross_cost),
    op("linalg.vecdot", shape=_vecdot_shape, cost=_vecdot_cost, temporaries=_vecdot_temporaries),
    op(
        "linalg.multi_dot", "chain_matmul", shape=_chain_shape, cost=_chain_cost,
        multiplies=lambda first, *others: len(_matrices(first, others)) > 1,
    ),
    op("kron", shape=_kron_shape, cost=_outer_cost),
    op("bilinear", shape=_bilinear_shape, cost=_bilinear_cost, temporaries=_bilinear_temporaries),
    op("_trilinear", shape=_trilinear_shape, cost=_trilinear_cost),
    op("_grouped_mm", "transformers.grouped_mm_fallback", shape=grouped_shape, cost=grouped_cost),
    op("_scaled_mm", shape=_scaled_shape, cost=_scaled_cost, overloads=Overloads()),
    op("_scaled_mm_v2", shape=_scaled_v2_shape, cost=_scaled_v2_cost, overloads=Overloads()),
    op("_int_mm", shape=_int_mm_shape, cost=product_cost, kind="product"),
)
