"""Linear systems, least squares and powers of matrices.

Letters: A (*B, N, N) or (*B, M, N), right-hand sides (*B, N, R); l and s are the larger and the smaller of M and N
Counts:  leading terms as in ``linalg.py``: solve 2/3*N^3 + 2*N^2*R; of given LU, LDL or Cholesky factors 2*N^2*R; triangular
         N^2*R. Least squares by Householder QR, whichever driver is chosen: 2*s^2*(l - s/3) + R*(4*l*s - s^2).
         Q of K reflectors times C (M, R): 2*R*K*(2*M - K).
         matrix_power: the macs of its squarings and products. matrix_exp: those of its Taylor polynomial of degree 18.
Raises:  ShapeError: not square, sizes or dtypes that do not match
Source:  Golub & Van Loan, Matrix Computations, 4th ed.: 3.1, 4.2, 5.3, 5.6; LAPACK Working Note 41 for DORMQR;
         Bader, Blanes & Casas, Computing the matrix exponential with an optimized Taylor polynomial approximation, 2019

>>> from fxcount.symbolic import Scope
>>> a, b = TensorFact((6, 6), torch.float32), TensorFact((6, 2), torch.float32)
>>> y = _solve_shape(Scope({}), a, b)
>>> y.shape, _solve_cost(y, a, b).flops
((6, 2), 288)
"""

from __future__ import annotations

import torch

from fxcount.ops.contraction.matmul import contraction, require, require_dtype
from fxcount.ops.core.arguments import Tensors
from fxcount.ops.core.common import broadcast
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.striding import strided
from fxcount.ops.linalg.factorizations import LU, check_matrix, column_major, lu_factor, one_each, thirds_of
from fxcount.symbolic import Scope, Size, max_, min_, prod
from fxcount.torch_private import VERSION

__all__ = ["OPS"]


def _solve_shape(scope: Scope, a: TensorFact, b: TensorFact, *, left: bool = True, check_errors: bool = False) -> TensorFact:
    """X of A X = B, or of X A = B; b may be one vector for each matrix."""
    check_matrix(scope, a, True)
    require_dtype("linalg.solve", a, b)
    vectors = b.ndim == a.ndim - 1 and all(scope.hint(n) == scope.hint(m) for n, m in zip(b.shape, a.shape))
    if b.ndim == 1 or vectors:
        for n, m in zip(b.shape, a.shape[a.ndim - 1 - b.ndim : -1], strict=True):
            require(scope, n, m, "linalg.solve: a vector for each matrix", a.shape, b.shape)
        shape = (*broadcast(scope, "linalg.solve", a.shape[:-2], b.shape[:-1]), a.shape[-1])
        return a.new(shape) if len(shape) == 1 else column_major(a.new(shape), shape[-2], shape[-1])
    return _right_hand_sides(scope, a, b, left)


def _right_hand_sides(
    scope: Scope, a: TensorFact, b: TensorFact, left: bool = True, row_major: bool = False
) -> TensorFact:
    require(scope, b.shape[-2 if left else -1], a.shape[-1], "linalg: sides must match", a.shape, b.shape)
    batch = broadcast(scope, "linalg", a.shape[:-2], b.shape[:-2])
    if row_major:
        return b.new((*batch, *b.shape[-2:]))
    return column_major(b.new((*batch, *b.shape[-2:])), b.shape[-2], b.shape[-1])


def _solve_cost(y: TensorFact, a: TensorFact, b: TensorFact, **_: object) -> Work:
    n = a.shape[-1]
    lu, solved = LU.work(a), thirds_of(a.new((1, 1)), 6 * n * y.numel)
    return Work(flops=lu.flops + solved.flops)


def _solve_temporaries(y: TensorFact, a: TensorFact, b: TensorFact, **_: object) -> Size:
    batch = prod(a.shape[:-2])
    return a.nbytes + 4 * batch * a.shape[-1] + 4 * batch  # LU factors, pivots, info


def _solve_ex_shape(
    scope: Scope, a: TensorFact, b: TensorFact, *, left: bool = True, check_errors: bool = False
) -> tuple[TensorFact, ...]:
    """The solution, and the LU factorization it came by."""
    return _solve_shape(scope, a, b, left=left), *lu_factor(a), one_each(a, torch.int32)


def _solve_info_shape(
    scope: Scope, a: TensorFact, b: TensorFact, *, left: bool = True, check_errors: bool = False
) -> tuple[TensorFact, TensorFact]:
    return _solve_shape(scope, a, b, left=left), one_each(a, torch.int32)


def _solve_ex_cost(y: Tensors, a: TensorFact, b: TensorFact, **_: object) -> Work:
    return _solve_cost(y[0], a, b)


def _triangular_shape(
    scope: Scope, a: TensorFact, b: TensorFact, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> TensorFact:
    check_matrix(scope, a, True)
    require_dtype("linalg.solve_triangular", a, b)
    return _right_hand_sides(scope, a, b, left)


def _triangular_cost(y: TensorFact, a: TensorFact, b: TensorFact, **_: object) -> Work:
    return thirds_of(a.new((1, 1)), 3 * a.shape[-1] * y.numel)


def _factored_shape(scope: Scope, b: TensorFact, a: TensorFact, *_: object, **__: object) -> TensorFact:
    """``cholesky_solve(b, factor)``."""
    check_matrix(scope, a, True)
    return _right_hand_sides(scope, a, b)


def _factored_cost(y: TensorFact, b: TensorFact, a: TensorFact, *_: object, **__: object) -> Work:
    return thirds_of(a.new((1, 1)), 6 * a.shape[-1] * y.numel)


def _of_factors(
    scope: Scope, a: TensorFact, pivots: TensorFact, b: TensorFact, *, left: bool = True, **_: object
) -> TensorFact:
    """``linalg.lu_solve`` and ``linalg.ldl_solve``."""
    check_matrix(scope, a, True)
    for rows, n in zip(a.shape[:-1], pivots.shape, strict=True):
        require(scope, rows, n, "linalg: a pivot for each row", a.shape, pivots.shape)
    return _right_hand_sides(scope, a, b, left, row_major=not left)


def _of_factors_cost(y: TensorFact, a: TensorFact, pivots: TensorFact, b: TensorFact, **_: object) -> Work:
    return _factored_cost(y, b, a)


def _lu_solve_shape(scope: Scope, b: TensorFact, lu: TensorFact, pivots: TensorFact) -> TensorFact:
    return _of_factors(scope, lu, pivots, b)


def _old_triangular_shape(
    scope: Scope, b: TensorFact, a: TensorFact, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> tuple[TensorFact, TensorFact]:
    """The solution, and a copy of the coefficients."""
    x = _triangular_shape(scope, a, b, upper=upper)
    batch = x.shape[:-2]
    return x, column_major(a.new((*batch, *a.shape[-2:])), a.shape[-2], a.shape[-1])


def _old_triangular_cost(y: Tensors, b: TensorFact, a: TensorFact, *_: object, **__: object) -> Work:
    return _triangular_cost(y[0], a, b)


def _lstsq_shape(
    scope: Scope, a: TensorFact, b: TensorFact, rcond: float | None = None, *, driver: str | None = None
) -> tuple[TensorFact, TensorFact, TensorFact, TensorFact]:
    """Solution, residuals, rank and singular values; those the driver does not find are empty. gelsy, which is the
    default on a CPU, finds no singular values and gelsd and gelss find all."""
    check_matrix(scope, a, False)
    require_dtype("linalg.lstsq", a, b)
    m, n = a.shape[-2:]
    vector = b.ndim == a.ndim - 1
    require(scope, b.shape[-1] if vector else b.shape[-2], m, "linalg.lstsq", a.shape, b.shape)
    rows = b.new((*b.shape, 1)) if vector else b
    batch = broadcast(scope, "linalg.lstsq", a.shape[:-2], rows.shape[:-2])
    right = rows.shape[-1]
    held = column_major(a.new((*batch, max_(m, n), right)), max_(m, n), right)  # in the memory of the right-hand sides
    x = strided(held, (*batch, n, right), held.stride())
    real = a.dtype.to_real() if a.dtype.is_complex else a.dtype
    driver = driver or ("gelsy" if a.device.type in ("cpu", "meta") else "gels")
    overdetermined = scope.decide(">", m, n, "linalg.lstsq has residuals")
    rank = a.new(a.shape[:-2], torch.int64) if driver != "gels" else a.new((0,), torch.int64)
    left_over = (*batch, *(() if vector else (right,)))
    residuals = a.new(left_over if overdetermined and driver != "gelsy" else (0,), real)
    values = a.new((*a.shape[:-2], min_(m, n)), real) if driver in ("gelsd", "gelss") else a.new((0,), real)
    solution = strided(x, x.shape[:-1], x.stride()[:-1]) if vector else x
    return solution, residuals, rank, values


def _lstsq_cost(y: Tensors, a: TensorFact, b: TensorFact, *_: object, **__: object) -> Work:
    large, small = max_(*a.shape[-2:]), min_(*a.shape[-2:])
    solved = y[0]
    right = 1 if b.ndim == a.ndim - 1 else b.shape[-1]
    batch = a.new((*solved.shape[: solved.ndim - (1 if b.ndim == a.ndim - 1 else 2)], 1, 1))
    return thirds_of(batch, 6 * large * small**2 - 2 * small**3 + 3 * right * (4 * large * small - small**2))


def _ormqr_shape(
    scope: Scope, a: TensorFact, tau: TensorFact, other: TensorFact, left: bool = True, transpose: bool = False
) -> TensorFact:
    check_matrix(scope, a, False)
    side = other.shape[-2 if left else -1]
    require(scope, side, a.shape[-2], "ormqr: sides must match", a.shape, other.shape)
    require(scope, min_(side, a.shape[-1]), tau.shape[-1], "ormqr: a scalar for each reflector", a.shape, tau.shape)
    for batch in zip(a.shape[:-2], tau.shape[:-1], other.shape[:-2]):
        require(scope, batch[0], batch[1], "ormqr: batches must match", a.shape, tau.shape)
        require(scope, batch[0], batch[2], "ormqr: batches must match", a.shape, other.shape)
    return column_major(other, other.shape[-2], other.shape[-1])


def _ormqr_cost(
    y: TensorFact, a: TensorFact, tau: TensorFact, other: TensorFact, left: bool = True, transpose: bool = False
) -> Work:
    k = tau.shape[-1]
    rows, columns = other.shape[-2:] if left else other.shape[-2:][::-1]
    return thirds_of(other, 6 * columns * k * (2 * rows - k))


def _exp_shape(scope: Scope, a: TensorFact) -> TensorFact:
    check_matrix(scope, a, True)
    return a.new(a.shape)


def _exp_cost(y: TensorFact, a: TensorFact) -> Work:
    """The polynomial of degree 18: 5 products of matrices, 5 combinations of 5 of them, 3 sums. A larger norm than 2.2 takes
    squarings besides, which only data know; a small one takes a lower degree."""
    products = contraction(a.dtype, 5 * a.numel * a.shape[-1])
    return Work(products.macs, products.flops + (5 * (5 + 4) + 3) * a.numel)


def _power_shape(scope: Scope, a: TensorFact, n: int) -> TensorFact:
    check_matrix(scope, a, True)
    return a.new(a.shape) if n >= 0 or n < -1 else column_major(a, a.shape[-2], a.shape[-1])


def _power_cost(y: TensorFact, a: TensorFact, n: int) -> Work:
    """Squarings and products of the binary powers; the inverse first if ``n`` is negative."""
    times = max(abs(n).bit_length() - 1, 0) + max(abs(n).bit_count() - 1, 0)
    products = contraction(a.dtype, times * a.numel * a.shape[-1])
    inverse = thirds_of(a, 6 * a.shape[-1] ** 3).flops if n < 0 else 0
    return Work(products.macs, products.flops + inverse)


OPS: tuple[Op, ...] = (
    op("linalg.solve", shape=_solve_shape, cost=_solve_cost, temporaries=_solve_temporaries),
    op("_linalg_solve_ex", shape=_solve_ex_shape, cost=_solve_ex_cost, differentiable=(True, False, False, False)),
    op("linalg.solve_ex", shape=_solve_info_shape, cost=_solve_ex_cost),
    op("linalg.solve_triangular", shape=_triangular_shape, cost=_triangular_cost),
    op("triangular_solve", shape=_old_triangular_shape, cost=_old_triangular_cost),
    op("cholesky_solve", shape=_factored_shape, cost=_factored_cost),
    op("linalg.lu_solve", "linalg.ldl_solve", shape=_of_factors, cost=_of_factors_cost),
    op("lu_solve", shape=_lu_solve_shape, cost=_factored_cost),
    op("linalg.lstsq", shape=_lstsq_shape, cost=_lstsq_cost, differentiable=(True, VERSION >= (2, 7), False, False)),
    op("ormqr", shape=_ormqr_shape, cost=_ormqr_cost),
    op("linalg.matrix_power", "matrix_power", shape=_power_shape, cost=_power_cost, multiplies=lambda a, n: abs(n) > 1),
    op("linalg.matrix_exp", "matrix_exp", shape=_exp_shape, cost=_exp_cost),
)
