"""Norms of vectors and matrices.

Letters: n = elements of one vector, r = number of vectors = results.
Shapes:  the reduced dimensions go (or stay as 1); complex input has real norms
Counts:  p=2     n squares, n-1 additions, a square root = 2*numel
         p=1     n absolute values, n-1 additions = 2*numel - r;  p=+-inf the same with comparisons
         p=0     n comparisons with 0, n-1 additions = 2*numel - r
         other p n absolute values, n pow, n-1 additions, a pow = 3*numel, of which numel + r transcendentals
         matrix norms 1 and inf: sums of absolute values, then the largest = 2*numel - r
         matrix norms 2 and nuclear: singular values, 4*l*k**2 - 4*k**3/3 for sides k <= l, and k-1 steps
         complex: |z|**2 takes 3, |z| takes 4
Raises:  ShapeError: integers, orders that do not exist
Source:  the definitions; Golub and Van Loan, Matrix Computations, for the singular values

>>> x = TensorFact((2, 5), torch.float32)
>>> vector_norm_cost(vector_norm(Scope({}), x, dim=1), x, dim=1).flops
20
"""

from __future__ import annotations

from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Dims, Dtype, Order
from fxcount.ops.core.binding import Overloads
from fxcount.ops.core.common import promote, wrap_dims
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import broadcast_numel, elementwise
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import Scalars, is_arithmetic
from fxcount.ops.reduction.softmax import reduced_shape
from fxcount.symbolic import Scope, Size, floordiv, max_, min_

__all__ = ["OPS", "matrix_norm", "matrix_norm_cost", "norm_scalars", "vector_norm", "vector_norm_cost"]


def norm_scalars(numel: Size, results: Size, p: Any, is_complex: bool = False) -> Work:
    """Work of the p-norms of ``numel`` elements taken together in ``results`` vectors."""
    p = 2 if p is None or p == "fro" else p
    modulus, squared = (4, 3) if is_complex else (1, 1)
    if p == 2:
        return Work(flops=squared * numel + numel)
    if p in (1, float("inf"), -float("inf")):
        return Work(flops=modulus * numel + numel - results)
    if p == 0:
        return Work(flops=2 * numel - results)
    return Work(flops=(modulus + 2) * numel, transcendentals=numel + results)


def _real(x: TensorFact, dtype: torch.dtype | None) -> torch.dtype:
    out = dtype or x.dtype
    if not is_arithmetic(out):
        raise ShapeError(f"norm: not defined for {out}", hint="convert the input to a floating dtype")
    return out.to_real() if out.is_complex else out


def vector_norm(
    scope: Scope, x: TensorFact, ord: Order = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Dtype = None
) -> TensorFact:
    """``linalg.vector_norm``."""
    return x.new(reduced_shape(x, dim, keepdim), _real(x, dtype))


def vector_norm_cost(
    y: TensorFact, x: TensorFact, ord: Order = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Dtype = None
) -> Work:
    return norm_scalars(x.numel, y.numel, ord, x.dtype.is_complex)


def _matrix_dims(x: TensorFact, dim: Dims) -> tuple[int, int]:
    if x.ndim < 2 or dim is None or isinstance(dim, int) or len(dim) != 2:
        raise ShapeError(f"matrix_norm: expected matrices and two dimensions, got {x.ndim} dimensions and dim={dim}")
    row, column = (wrap_dims(d, x.ndim)[0] for d in dim)
    return row, column


def matrix_norm(
    scope: Scope, x: TensorFact, ord: Order = "fro", dim: Dims = (-2, -1), keepdim: bool = False, *, dtype: Dtype = None
) -> TensorFact:
    """``linalg.matrix_norm``."""
    if ord not in ("fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf")):
        raise ShapeError(f"matrix_norm: order {ord!r} is not supported")
    return x.new(reduced_shape(x, _matrix_dims(x, dim), keepdim), _real(x, dtype))


def matrix_norm_cost(
    y: TensorFact, x: TensorFact, ord: Order = "fro", dim: Dims = (-2, -1), keepdim: bool = False, *, dtype: Dtype = None
) -> Work:
    if ord == "fro":
        return norm_scalars(x.numel, y.numel, 2, x.dtype.is_complex)
    if ord not in ("nuc", 2, -2):
        return norm_scalars(x.numel, y.numel, 1, x.dtype.is_complex)
    k, longer = _sides(x, dim)
    factor = 4 if x.dtype.is_complex else 1
    return Work(flops=y.numel * (factor * (4 * longer * k * k - floordiv(4 * k * k * k, 3)) + k - 1))


def _sides(x: TensorFact, dim: Dims) -> tuple[Size, Size]:
    sides = [x.shape[d] for d in _matrix_dims(x, dim)]
    return min_(*sides), max_(*sides)


def _matrix_norm_held(y: TensorFact, x: TensorFact, ord: Order = "fro", dim: Dims = (-2, -1), *_: object, **__: object) -> Size:
    """The norms of the rows or columns; the singular value decomposition, while no result exists yet."""
    if ord == "fro":
        return 0
    row, column = _matrix_dims(x, dim)
    if ord not in ("nuc", 2, -2):
        return y.numel * y.itemsize * x.shape[column if ord in (1, -1) else row]
    k, longer = _sides(x, dim)
    return y.numel * ((k * k + k * longer) * x.itemsize + (k - 1) * y.itemsize)


def _is_matrix_norm(x: TensorFact, ord: Order, dim: Dims) -> bool:
    pair = isinstance(dim, (list, tuple)) and len(dim) == 2
    return isinstance(ord, str) or (ord is not None and (pair or (dim is None and x.ndim == 2)))


def linalg_norm(
    scope: Scope, x: TensorFact, ord: Order = None, dim: Dims = None, keepdim: bool = False, *, dtype: Dtype = None
) -> TensorFact:
    """``linalg.norm``: of a vector, or of a matrix if two dimensions and an order are given."""
    if _is_matrix_norm(x, ord, dim):
        return matrix_norm(scope, x, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return vector_norm(scope, x, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


def _linalg_norm_cost(
    y: TensorFact, x: TensorFact, ord: Order = None, dim: Dims = None, keepdim: bool = False, *, dtype: Dtype = None
) -> Work:
    if _is_matrix_norm(x, ord, dim):
        return matrix_norm_cost(y, x, ord, (-2, -1) if dim is None else dim)
    return norm_scalars(x.numel, y.numel, ord, x.dtype.is_complex)


def _linalg_norm_held(y: TensorFact, x: TensorFact, ord: Order = None, dim: Dims = None, *_: object, **__: object) -> Size:
    if _is_matrix_norm(x, ord, dim):
        return _matrix_norm_held(y, x, ord, (-2, -1) if dim is None else dim)
    return 0


def norm(
    scope: Scope, x: TensorFact, p: Any = "fro", dim: Dims = None, keepdim: bool = False, dtype: Dtype = None
) -> TensorFact:
    """``torch.norm``: a vector norm over all of ``dim``, apart from the nuclear norm."""
    if p == "nuc":
        return matrix_norm(scope, x, p, (-2, -1) if dim is None else dim, keepdim)
    return vector_norm(scope, x, p, dim, keepdim, dtype=dtype)


def _norm_cost(
    y: TensorFact, x: TensorFact, p: Any = "fro", dim: Dims = None, keepdim: bool = False, dtype: Dtype = None
) -> Work:
    if p == "nuc":
        return matrix_norm_cost(y, x, p, (-2, -1) if dim is None else dim)
    return norm_scalars(x.numel, y.numel, p, x.dtype.is_complex)


def frobenius_norm(scope: Scope, x: TensorFact, dim: Dims = None, keepdim: bool = False) -> TensorFact:
    return vector_norm(scope, x, 2, dim, keepdim)


def _frobenius_cost(y: TensorFact, x: TensorFact, dim: Dims = None, keepdim: bool = False) -> Work:
    return norm_scalars(x.numel, y.numel, 2, x.dtype.is_complex)


def nuclear_norm(scope: Scope, x: TensorFact, *, dim: Dims = (-2, -1), keepdim: bool = False) -> TensorFact:
    """``nuclear_norm(x, keepdim)`` and ``nuclear_norm(x, dim, keepdim)``."""
    return matrix_norm(scope, x, "nuc", dim, keepdim)


def _nuclear_cost(y: TensorFact, x: TensorFact, *, dim: Dims = (-2, -1), keepdim: bool = False) -> Work:
    return matrix_norm_cost(y, x, "nuc", dim)


def dist(scope: Scope, x: TensorFact, other: TensorFact, p: Any = 2) -> TensorFact:
    """The p-norm of the difference: numel subtractions more."""
    return x.new((), _real(elementwise(scope, "dist", None, x, other), None))


def _dist_cost(y: TensorFact, x: TensorFact, other: TensorFact, p: Any = 2) -> Work:
    numel, dtype = broadcast_numel(x, other), promote(x, other)
    norms = norm_scalars(numel, 1, p, dtype.is_complex)
    return Work(
        flops=norms.flops + Scalars(add=1).work(numel, dtype).flops, transcendentals=norms.transcendentals
    )


def renorm(scope: Scope, x: TensorFact, p: Any, dim: int, maxnorm: float) -> TensorFact:
    """Sub-tensors along ``dim`` scaled down to a norm of ``maxnorm``: their norms; per norm a comparison, an addition
    and a division; a multiplication per element."""
    _real(x, None)
    return x.new(x.shape)


def _renorm_cost(y: TensorFact, x: TensorFact, p: Any, dim: int, maxnorm: float) -> Work:
    count = x.shape[dim]
    norms = norm_scalars(x.numel, count, p, x.dtype.is_complex)
    return Work(flops=norms.flops + 3 * count + x.numel, transcendentals=norms.transcendentals)


OPS: tuple[Op, ...] = (
    op("linalg.vector_norm", shape=vector_norm, cost=vector_norm_cost),
    op("linalg.matrix_norm", shape=matrix_norm, cost=matrix_norm_cost, temporaries=_matrix_norm_held),
    op("linalg.norm", shape=linalg_norm, cost=_linalg_norm_cost, temporaries=_linalg_norm_held),
    op("norm", shape=norm, cost=_norm_cost),
    op("frobenius_norm", shape=frobenius_norm, cost=_frobenius_cost),
    op("nuclear_norm", shape=nuclear_norm, cost=_nuclear_cost, overloads=Overloads()),
    op("dist", shape=dist, cost=_dist_cost),
    op("renorm", shape=renorm, cost=_renorm_cost),
)
