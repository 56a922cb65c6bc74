"""Tensors that arrange the elements of others: triangles, diagonals, grids, products and combinations.

Shapes:  ``diag`` of n elements is (n + |k|, n + |k|), of a matrix its diagonal; a meshgrid has the sizes of its axes
Counts:  copies, and views for ``meshgrid``: 0. ``vander`` of n powers is n - 2 products for each row.
Raises:  ShapeError: operands of the wrong rank
Source:  ATen/native/TensorShape.cpp, TriangularOps.cpp, TensorFactories.cpp

>>> import torch
>>> a, b = TensorFact((3,), torch.float32), TensorFact((5,), torch.float32)
>>> [grid.fact.shape for grid in meshgrid(Scope({}), (a, b), indexing="xy")]
[(5, 3), (5, 3)]
"""

from __future__ import annotations

import math

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Tensors
from fxcount.ops.core.common import promote, shape_text, wrap_dim
from fxcount.ops.core.fact import Alias, TensorFact, Work
from fxcount.ops.core.registry import Op, Zero, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.core.striding import strided
from fxcount.ops.memory.views import diagonal
from fxcount.symbolic import Scope, Size, floordiv, max_, prod, sum_
from fxcount.torch_private import VERSION

__all__ = ["OPS"]


def _listed(tensors: TensorFact | Tensors, more: tuple[TensorFact, ...]) -> list[TensorFact]:
    """Tensors given as a list or one by one."""
    return [tensors, *more] if isinstance(tensors, TensorFact) else [*tensors, *more]


def _triangle(scope: Scope, x: TensorFact, diagonal: Size = 0) -> TensorFact:
    if x.ndim < 2:
        raise ShapeError(f"tril, triu: x has shape {shape_text(x.shape)}, expected a matrix")
    return x.new(x.shape)


def meshgrid(scope: Scope, tensors: TensorFact | Tensors, *more: TensorFact, indexing: str = "ij") -> tuple[Alias, ...]:
    axes = _listed(tensors, more)
    if any(t.ndim > 1 for t in axes):
        raise ShapeError("meshgrid: expected tensors of at most one dimension")
    order = list(range(len(axes)))
    if indexing == "xy" and len(axes) > 1:
        order[:2] = 1, 0
    sizes = tuple(axes[k].numel for k in order)
    grids: list[Alias] = []
    for k, axis in enumerate(axes):
        step = axis.stride()[0] if axis.shape else 1
        strides = tuple(step if axis_of == k else 0 for axis_of in order)
        grids.append(Alias(strided(axis, sizes, strides), of=k))
    return tuple(grids)


def diag(scope: Scope, x: TensorFact, diagonal: int = 0) -> TensorFact:
    if x.ndim == 1:
        n = x.shape[0] + abs(diagonal)
        return x.new((n, n))
    if x.ndim != 2:
        raise ShapeError(f"diag: x has shape {shape_text(x.shape)}, expected a vector or a matrix")
    return x.new(_diagonal(scope, x, diagonal).fact.shape)


def diag_embed(scope: Scope, x: TensorFact, offset: int = 0, dim1: int = -2, dim2: int = -1) -> TensorFact:
    a, b = wrap_dim(dim1, x.ndim + 1, "dim1"), wrap_dim(dim2, x.ndim + 1, "dim2")
    n = x.shape[-1] + abs(offset)
    rest = iter(x.shape[:-1])
    return x.new(tuple(n if d in (a, b) else next(rest) for d in range(x.ndim + 1)))


def diagflat(scope: Scope, x: TensorFact, offset: int = 0) -> TensorFact:
    n = x.numel + abs(offset)
    return x.new((n, n))


def block_diag(scope: Scope, tensors: TensorFact | Tensors, *more: TensorFact) -> TensorFact:
    blocks = _listed(tensors, more)
    if any(t.ndim > 2 for t in blocks):
        raise ShapeError("block_diag: expected tensors of at most two dimensions")
    matrices = [(1,) * (2 - t.ndim) + t.shape for t in blocks]
    return blocks[0].new((sum_(m for m, _ in matrices), sum_(n for _, n in matrices)), promote(*blocks))


def vander(scope: Scope, x: TensorFact, N: Size | None = None, increasing: bool = False) -> TensorFact:
    if x.ndim != 1:
        raise ShapeError(f"vander: x has shape {shape_text(x.shape)}, expected one dimension")
    return x.new((x.shape[0], x.shape[0] if N is None else N))


def _vander_cost(y: TensorFact, x: TensorFact, *_: object, **__: object) -> Work:
    return Scalars(mul=max_(y.shape[1] - 2, 0)).work(y.shape[0], x.dtype)


def cartesian_prod(scope: Scope, tensors: TensorFact | Tensors, *more: TensorFact) -> TensorFact | Alias:
    axes = _listed(tensors, more)
    if any(t.ndim != 1 for t in axes):
        raise ShapeError("cartesian_prod: expected tensors of one dimension")
    if len(axes) == 1:
        return Alias(axes[0])
    return axes[0].new((prod(t.shape[0] for t in axes), len(axes)))


def combinations(scope: Scope, x: TensorFact, r: int = 2, with_replacement: bool = False) -> TensorFact:
    if x.ndim != 1:
        raise ShapeError(f"combinations: x has shape {shape_text(x.shape)}, expected one dimension")
    n = x.shape[0] + (r - 1 if with_replacement else 0)
    return x.new((floordiv(prod(n - i for i in range(r)), math.factorial(r)), r))


def _unflipped(y: TensorFact, x: TensorFact, N: Size | None = None, increasing: bool = False) -> Size:
    """The powers before they are reversed, or the running products before they are copied in place."""
    return x.shape[0] * (y.shape[1] - 1) * y.itemsize if increasing else y.nbytes


def _columns(y: TensorFact, *_: object) -> Size:
    """Columns made one by one before they are stacked."""
    return y.nbytes if y.ndim == 2 else 0


def _combining(y: TensorFact, x: TensorFact, r: int = 2, with_replacement: bool = False) -> Size:
    """The columns that are stacked beside a mask of all tuples; since 2.14 the mask, made of two and the positions along
    one axis, then beside the positions of its tuples, then these alone beside the result."""
    tuples = x.numel**r
    if VERSION < (2, 14):
        return y.nbytes + tuples
    masks = 8 * x.numel + (2 if r > 1 else 1) * tuples - y.nbytes
    return max_(masks, tuples + 8 * y.numel - y.nbytes, 8 * y.numel)


_diagonal = diagonal  # ``diag`` has a parameter of that name
_COPY = Zero("copies elements", moves=True)

OPS: tuple[Op, ...] = (
    *(op(name, shape=_triangle, cost=_COPY) for name in ("tril", "triu")),
    op("meshgrid", shape=meshgrid, cost=Zero("views of the axes"), one_to_one=True),
    op("diag", shape=diag, cost=_COPY),
    op("diag_embed", shape=diag_embed, cost=_COPY),
    op("diagflat", shape=diagflat, cost=_COPY),
    op("block_diag", shape=block_diag, cost=_COPY),
    op("vander", shape=vander, cost=_vander_cost, temporaries=_unflipped),
    op("cartesian_prod", shape=cartesian_prod, cost=_COPY, temporaries=_columns),
    op("combinations", shape=combinations, cost=_COPY, temporaries=_combining),
)
