"""Factorizations and solvers by their textbook formulas; powers of matrices.

Letters: A (*B, N, N) or (*B, M, N), right-hand sides (*B, N, R); l and s are the larger and the smaller of M and N
Counts:  factorizations count no macs; flops, the leading terms for a real dense matrix, times prod(B) (4 times as many
         for complex ones, where half of the operations are multiplications):
         LU, det 2/3*N^3; Cholesky 1/3*N^3; inverse 2*N^3; solve 2/3*N^3 + 2*N^2*R; triangular solve N^2*R
         QR 2*s^2*(l - s/3), as much again for the thin Q, 4*(l^2*s - l*s^2 + s^3/3) for a square Q of N <= M
         symmetric eigenvalues 4/3*N^3, with vectors 9*N^3; general ones 10*N^3, with vectors 25*N^3
         singular values 4*l*s^2 - 4/3*s^3; thin 14*l*s^2 + 8*s^3; full 4*l^2*s + 8*l*s^2 + 9*s^3
         matrix_power: the macs of its squarings and products
Raises:  ShapeError: not square, sizes or dtypes that do not match
Source:  Golub & Van Loan, Matrix Computations, 4th ed.: 3.2, 4.2, 5.2, 7.5, 8.3 and the table in 8.6

>>> from fxcount.symbolic import Scope
>>> a = TensorFact((2, 6, 6), torch.float32)
>>> _FACTORIZATIONS["linalg.cholesky"].shape(Scope({}), a).shape, _LU.work(a).flops
((2, 6, 6), 288)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.common import broadcast, shape_text
from fxcount.ops.fact import TensorFact, Work
from fxcount.ops.matmul import contraction, require, require_dtype
from fxcount.ops.products import OPS as PRODUCTS
from fxcount.ops.registry import Op, op
from fxcount.symbolic import Scope, Size, floordiv, max_, min_, prod

__all__ = ["OPS"]


# --- factorizations -------------------------------------------------------------------------------

Results = Callable[[TensorFact], Any]


@dataclass(frozen=True, slots=True)
class _Factorization:
    """``results`` of an operand; ``thirds``: three times the flops for one matrix, from ``l`` and ``s``; whether it
    must be ``square``."""

    results: Callable[..., Any]
    thirds: Callable[[Size, Size], Size]
    square: bool = True

    def shape(self, scope: Scope, a: TensorFact, *args: Any, **kwargs: Any) -> Any:
        _check_matrix(scope, a, self.square)
        return self.results(a, *args, **kwargs)

    def cost(self, y: Any, a: TensorFact, *_: Any, **__: Any) -> Work:
        return self.work(a)

    def work(self, a: TensorFact) -> Work:
        """Of all matrices of ``a``."""
        m, n = a.shape[-2:]
        larger, smaller = (n, n) if self.square else (max_(m, n), min_(m, n))
        return _thirds(a, self.thirds(larger, smaller))


def _thirds(a: TensorFact, three_times: Size) -> Work:
    flops = prod(a.shape[:-2]) * floordiv(three_times, 3)
    return Work(flops=4 * flops if a.dtype.is_complex else flops)


def _check_matrix(scope: Scope, a: TensorFact, square: bool) -> None:
    if a.ndim < 2:
        raise ShapeError(f"linalg: needs matrices, not shape {shape_text(a.shape)}")
    if not (a.dtype.is_floating_point or a.dtype.is_complex):
        raise ShapeError(f"linalg: needs a floating or complex dtype, not {a.dtype}")
    if square:
        require(scope, a.shape[-1], a.shape[-2], "linalg: matrices must be square", a.shape)


def _columns(a: TensorFact, rows: Size, columns: Size, dtype: torch.dtype | None = None) -> TensorFact:
    """A batch of column-major matrices, as LAPACK leaves them."""
    batch = a.shape[:-2]
    outer = TensorFact((*batch, rows * columns), a.dtype).stride()[:-1]
    return TensorFact((*batch, rows, columns), dtype or a.dtype, a.device, (*outer, 1, rows))


def _like(a: TensorFact, *_: Any, **__: Any) -> TensorFact:
    return _columns(a, a.shape[-2], a.shape[-1])


def _vector(a: TensorFact, n: Size, dtype: torch.dtype | None = None) -> TensorFact:
    return a.new((*a.shape[:-2], n), dtype)


def _each(a: TensorFact, dtype: torch.dtype | None = None) -> TensorFact:
    return a.new(a.shape[:-2], dtype)


def _lu_factor(a: TensorFact, *_: Any, **__: Any) -> tuple[TensorFact, TensorFact]:
    return _like(a), _vector(a, min_(*a.shape[-2:]), torch.int32)


def _real(a: TensorFact) -> torch.dtype:
    return a.dtype.to_real() if a.dtype.is_complex else a.dtype


def _lu(n: Size, _: Size) -> Size:
    return 2 * n**3


def _eigenvectors(a: TensorFact) -> tuple[TensorFact, TensorFact]:
    dtype = a.dtype if a.dtype.is_complex else a.dtype.to_complex()
    return _vector(a, a.shape[-1], dtype), _columns(a, a.shape[-2], a.shape[-1], dtype)


def _symmetric(a: TensorFact, *_: Any, **__: Any) -> tuple[TensorFact, TensorFact]:
    return _vector(a, a.shape[-1], _real(a)), _like(a)


def _info(results: Callable[..., Any]) -> Callable[..., Any]:
    def with_info(a: TensorFact, *args: Any, **kwargs: Any) -> tuple[TensorFact, ...]:
        found = results(a, *args, **kwargs)
        return (*(found if isinstance(found, tuple) else (found,)), _each(a, torch.int32))

    return with_info


def _values(results: Callable[..., Any], which: int = 0) -> Callable[..., Any]:
    return lambda a, *_, **__: results(a)[which]


def _singular(a: TensorFact) -> TensorFact:
    return _vector(a, min_(*a.shape[-2:]), _real(a))


_LU = _Factorization(lambda a, *_, **__: _each(a), _lu)
_FACTORIZATIONS = {
    "linalg.det": _LU,
    "det": _LU,
    "logdet": _LU,
    "linalg.slogdet": _Factorization(lambda a: (_each(a), _each(a, _real(a))), _lu),
    "slogdet": _Factorization(lambda a: (_each(a), _each(a, _real(a))), _lu),
    "_linalg_det": _Factorization(lambda a: (_each(a), *_lu_factor(a)), _lu),
    "_linalg_slogdet": _Factorization(lambda a: (_each(a), _each(a, _real(a)), *_lu_factor(a)), _lu),
    "linalg.lu_factor": _Factorization(_lu_factor, _lu),
    "linalg.lu_factor_ex": _Factorization(_info(_lu_factor), _lu),
    "linalg.inv": _Factorization(_like, lambda n, _: 6 * n**3),
    "inverse": _Factorization(_like, lambda n, _: 6 * n**3),
    "linalg.inv_ex": _Factorization(_info(_like), lambda n, _: 6 * n**3),
    "linalg.cholesky": _Factorization(_like, lambda n, _: n**3),
    "cholesky": _Factorization(_like, lambda n, _: n**3),
    "linalg.cholesky_ex": _Factorization(_info(_like), lambda n, _: n**3),
    "linalg.eigh": _Factorization(_symmetric, lambda n, _: 27 * n**3),
    "_linalg_eigh": _Factorization(_symmetric, lambda n, _: 27 * n**3),
    "linalg.eigvalsh": _Factorization(_values(_symmetric), lambda n, _: 4 * n**3),
    "linalg.eig": _Factorization(_eigenvectors, lambda n, _: 75 * n**3),
    "linalg.eigvals": _Factorization(_values(_eigenvectors), lambda n, _: 30 * n**3),
    "linalg.svdvals": _Factorization(
        lambda a, **_: _singular(a), lambda large, small: 12 * large * small**2 - 4 * small**3, False
    ),
    "linalg.pinv": _Factorization(
        lambda a, *_, **__: a.new((*a.shape[:-2], a.shape[-1], a.shape[-2])),
        lambda large, small: 48 * large * small**2 + 24 * small**3,  # thin SVD, then V / S times U
        False,
    ),
}


def _qr_shape(scope: Scope, a: TensorFact, mode: str = "reduced") -> tuple[TensorFact, TensorFact]:
    _check_matrix(scope, a, False)
    m, n = a.shape[-2:]
    k = m if mode == "complete" else min_(m, n)
    if mode not in ("reduced", "complete", "r"):
        raise ShapeError(f"linalg.qr: mode={mode!r} must be 'reduced', 'complete' or 'r'")
    return (a.new((0,)) if mode == "r" else _columns(a, m, k)), _columns(a, k, n)


def _qr_cost(y: Any, a: TensorFact, mode: str = "reduced") -> Work:
    m, n = a.shape[-2:]
    larger, smaller = max_(m, n), min_(m, n)
    triangle = 6 * smaller**2 * larger - 2 * smaller**3
    square = 12 * (m**2 * smaller - m * smaller**2) + 4 * smaller**3
    thin = 6 * smaller**2 * m - 2 * smaller**3
    return _thirds(a, triangle + {"r": 0, "reduced": thin, "complete": square}[mode])


def _svd_shape(
    scope: Scope, a: TensorFact, full_matrices: bool = True, compute_uv: bool = True, driver: str | None = None
) -> tuple[TensorFact, ...]:
    """U, S and V^H; the ATen form has ``compute_uv``."""
    _check_matrix(scope, a, False)
    m, n = a.shape[-2:]
    k = min_(m, n)
    if not compute_uv:
        return a.new((0,)), _singular(a), a.new((0,))
    return _columns(a, m, m if full_matrices else k), _singular(a), _columns(a, n if full_matrices else k, n)


def _svd_cost(y: Any, a: TensorFact, full_matrices: bool = True, compute_uv: bool = True, driver: str | None = None) -> Work:
    m, n = a.shape[-2:]
    large, small = max_(m, n), min_(m, n)
    if not compute_uv:
        return _thirds(a, 12 * large * small**2 - 4 * small**3)
    full = 12 * large**2 * small + 24 * large * small**2 + 27 * small**3
    return _thirds(a, full if full_matrices else 42 * large * small**2 + 24 * small**3)


# --- solvers --------------------------------------------------------------------------------------


def _solve_shape(scope: Scope, a: TensorFact, b: TensorFact, *, left: bool = True, check_errors: bool = False) -> TensorFact:
    """X of A X = B, or of X A = B; b may be one vector for each matrix."""
    _check_matrix(scope, a, True)
    require_dtype("linalg.solve", a, b)
    if b.ndim == 1 or b.shape == a.shape[:-1]:
        require(scope, b.shape[-1], a.shape[-1], "linalg.solve", a.shape, b.shape)
        shape = (*broadcast(scope, "linalg.solve", a.shape[:-2], b.shape[:-1]), a.shape[-1])
        return a.new(shape) if len(shape) == 1 else _columns(a.new(shape), shape[-2], shape[-1])
    return _right_hand_sides(scope, a, b, left)


def _right_hand_sides(scope: Scope, a: TensorFact, b: TensorFact, left: bool = True) -> TensorFact:
    require(scope, b.shape[-2 if left else -1], a.shape[-1], "linalg: sides must match", a.shape, b.shape)
    batch = broadcast(scope, "linalg", a.shape[:-2], b.shape[:-2])
    return _columns(b.new((*batch, *b.shape[-2:])), b.shape[-2], b.shape[-1])


def _solve_cost(y: TensorFact, a: TensorFact, b: TensorFact, **_: Any) -> Work:
    n = a.shape[-1]
    lu, solved = _LU.work(a), _thirds(a.new((1, 1)), 6 * n * y.numel)
    return Work(flops=lu.flops + solved.flops)


def _solve_temporaries(y: TensorFact, a: TensorFact, b: TensorFact, **_: Any) -> Size:
    batch = prod(a.shape[:-2])
    return a.nbytes + 4 * batch * a.shape[-1] + 4 * batch  # LU factors, pivots, info


def _solve_ex_shape(
    scope: Scope, a: TensorFact, b: TensorFact, *, left: bool = True, check_errors: bool = False
) -> tuple[TensorFact, ...]:
    """The solution, and the LU factorization it came by."""
    return _solve_shape(scope, a, b, left=left), *_lu_factor(a), _each(a, torch.int32)


def _solve_ex_cost(y: Any, a: TensorFact, b: TensorFact, **_: Any) -> Work:
    return _solve_cost(y[0], a, b)


def _triangular_shape(
    scope: Scope, a: TensorFact, b: TensorFact, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> TensorFact:
    _check_matrix(scope, a, True)
    require_dtype("linalg.solve_triangular", a, b)
    return _right_hand_sides(scope, a, b, left)


def _triangular_cost(y: TensorFact, a: TensorFact, b: TensorFact, **_: Any) -> Work:
    return _thirds(a.new((1, 1)), 3 * a.shape[-1] * y.numel)


def _power_shape(scope: Scope, a: TensorFact, n: int) -> TensorFact:
    _check_matrix(scope, a, True)
    return a.new(a.shape) if n >= 0 or n < -1 else _like(a)


def _power_cost(y: TensorFact, a: TensorFact, n: int) -> Work:
    """Squarings and products of the binary powers; the inverse first if ``n`` is negative."""
    times = max(abs(n).bit_length() - 1, 0) + max(abs(n).bit_count() - 1, 0)
    products = contraction(a.dtype, times * a.numel * a.shape[-1])
    inverse = _thirds(a, 6 * a.shape[-1] ** 3).flops if n < 0 else 0
    return Work(products.macs, products.flops + inverse)


OPS: tuple[Op, ...] = (
    *(op(name, shape=f.shape, cost=f.cost) for name, f in _FACTORIZATIONS.items()),
    op("linalg.qr", "qr", shape=_qr_shape, cost=_qr_cost),
    op("linalg.svd", "_linalg_svd", shape=_svd_shape, cost=_svd_cost),
    op("linalg.solve", shape=_solve_shape, cost=_solve_cost, temporaries=_solve_temporaries),
    op("_linalg_solve_ex", shape=_solve_ex_shape, cost=_solve_ex_cost),
    op("linalg.solve_triangular", shape=_triangular_shape, cost=_triangular_cost),
    op("linalg.matrix_power", "matrix_power", shape=_power_shape, cost=_power_cost),
    *PRODUCTS,
)
