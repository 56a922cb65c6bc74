"""What is asked of singular values, inverses and powers: condition numbers, ranks, inverses of tensors, Vandermonde matrices.

Letters: A (*B, M, N); l and s are the larger and the smaller of M and N; a tensor is taken as a matrix (N, N)
Counts:  cond of order 2: the singular values, the largest by the smallest; of another order: the inverse (2*N^3), the norms of
         both, their product
         matrix_rank: the singular values (of a symmetric matrix: eigenvalues, N magnitudes, the largest of them), the tolerance
         (a product, a comparison), a comparison each
         tensorinv, tensorsolve: as ``linalg.inv`` and ``linalg.solve`` of the matrix
         vander: of n powers n - 2 products for each element
Raises:  ShapeError: not square where it must be, sizes that do not match
Source:  the definitions; the leading terms of ``linalg.py``

>>> a = TensorFact((2, 3, 6), torch.float32)
>>> tensorsolve(Scope({}), a, TensorFact((2, 3), torch.float32)).shape
(6,)
"""

from __future__ import annotations

from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.contraction.matmul import require, require_dtype
from fxcount.ops.core.common import broadcast, wrap_dims
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import Scalars, is_arithmetic
from fxcount.ops.linalg.factorizations import FACTORIZATIONS, LU, check_matrix, thirds_of
from fxcount.ops.linalg.svd import singular_values
from fxcount.ops.normalise.vectornorm import matrix_norm, matrix_norm_cost
from fxcount.symbolic import Scope, Size, min_, prod

__all__ = ["OPS", "tensorsolve"]

_SPECTRAL = (None, 2, -2)


def cond(scope: Scope, a: TensorFact, p: Any = None) -> TensorFact:
    """The condition number of each matrix; of order 2 they need not be square."""
    check_matrix(scope, a, p not in _SPECTRAL)
    return matrix_norm(scope, a, 2 if p is None else p)


def _cond_cost(y: TensorFact, a: TensorFact, p: Any = None) -> Work:
    """Of order 2 the singular values and a quotient; else the inverse, both norms and their product."""
    if p in _SPECTRAL:
        return Work(flops=singular_values(a).flops + y.numel)
    inverse, norms = FACTORIZATIONS["linalg.inv"].work(a), matrix_norm_cost(y, a, p)
    return Work(flops=inverse.flops + 2 * norms.flops + y.numel, transcendentals=2 * norms.transcendentals)


def matrix_rank(
    scope: Scope, a: TensorFact, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> TensorFact:
    check_matrix(scope, a, hermitian)
    bounds = [t.shape for t in (tol, atol, rtol) if isinstance(t, TensorFact)]
    return a.new(broadcast(scope, "linalg.matrix_rank", a.shape[:-2], *bounds), torch.int64)


def _rank_cost(y: TensorFact, a: TensorFact, tol: Any = None, hermitian: bool = False, **_: object) -> Work:
    """The singular values or eigenvalues, the tolerance, a comparison of each with it."""
    k, matrices = min_(*a.shape[-2:]), prod(a.shape[:-2])
    values = FACTORIZATIONS["linalg.eigvalsh"].work(a) if hermitian else singular_values(a)
    magnitudes = matrices * (2 * k - 1) if hermitian else 0
    return Work(flops=values.flops + magnitudes + y.numel * (k + 2))


def tensorinv(scope: Scope, a: TensorFact, ind: int = 2) -> TensorFact:
    """Its first ``ind`` dimensions come last; in memory as LAPACK leaves the inverse of the matrix."""
    if not ind > 0:
        raise ShapeError(f"tensorinv: ind={ind} must be positive")
    rows, columns = a.shape[:ind], a.shape[ind:]
    n = prod(rows)
    require(scope, n, prod(columns), "tensorinv: the matrix must be square", a.shape)
    inner, outer = TensorFact(columns, a.dtype).stride(), TensorFact(rows, a.dtype).stride()
    return TensorFact((*columns, *rows), a.dtype, a.device, (*inner, *(n * s for s in outer)))


def _tensorinv_cost(y: TensorFact, a: TensorFact, ind: int = 2) -> Work:
    n = prod(a.shape[:ind])
    return FACTORIZATIONS["linalg.inv"].work(a.new((n, n)))


def tensorsolve(scope: Scope, a: TensorFact, b: TensorFact, dims: Any = None) -> TensorFact:
    """X of sum(A * X) = B over the dimensions of A that B does not have; those in ``dims`` come last."""
    require_dtype("linalg.tensorsolve", a, b)
    moved = [] if dims is None else wrap_dims(dims, a.ndim)
    shape = [n for d, n in enumerate(a.shape) if d not in moved] + [a.shape[d] for d in moved]
    unknown = tuple(shape[b.ndim :])
    require(scope, prod(shape[: b.ndim]), prod(unknown), "tensorsolve: as many equations as unknowns", a.shape, b.shape)
    require(scope, b.numel, prod(unknown), "tensorsolve: a right-hand side for each equation", a.shape, b.shape)
    return a.new(unknown)


def _tensorsolve_cost(y: TensorFact, a: TensorFact, b: TensorFact, dims: Any = None) -> Work:
    n = y.numel
    return Work(flops=LU.work(a.new((n, n))).flops + thirds_of(a.new((1, 1)), 6 * n**2).flops)


def vander(scope: Scope, x: TensorFact, *, N: Size | None = None) -> TensorFact:
    shape = x.shape or (1,)
    n = shape[-1] if N is None else N
    if not scope.decide(">=", n, 2, "linalg.vander: powers"):
        raise ShapeError(f"linalg.vander: N={n} powers, it must be at least 2")
    return x.new((*shape, n), x.dtype if is_arithmetic(x.dtype) else torch.int64)


def _vander_cost(y: TensorFact, x: TensorFact, **_: object) -> Work:
    return Scalars(mul=y.shape[-1] - 2).work(x.numel, y.dtype)


OPS: tuple[Op, ...] = (
    op("linalg.cond", shape=cond, cost=_cond_cost),
    op("linalg.matrix_rank", shape=matrix_rank, cost=_rank_cost, differentiable=False),
    op("linalg.tensorinv", shape=tensorinv, cost=_tensorinv_cost),
    op("linalg.tensorsolve", shape=tensorsolve, cost=_tensorsolve_cost),
    op("linalg.vander", shape=vander, cost=_vander_cost),
)
