"""Factorizations by their textbook formulas; the solvers that use them are in ``solvers.py``.

Letters: A (*B, N, N) or (*B, M, N); l and s are the larger and the smaller of M and N
Counts:  factorizations count no macs; flops, the leading terms for a real dense matrix, times prod(B) (4 times as many
         for complex ones, where half of the operations are multiplications):
         LU s^2*(l - s/3), det 2/3*N^3; Cholesky, LDL 1/3*N^3; inverse 2*N^3, from a Cholesky factor 2/3*N^3
         QR 2*s^2*(l - s/3), as much again for the thin Q, 4*(l^2*s - l*s^2 + s^3/3) for a square Q of N <= M
         the Q of K reflectors 4*M*N*K - 2*(M + N)*K^2 + 4/3*K^3
         symmetric eigenvalues 4/3*N^3, with vectors 9*N^3; general ones 10*N^3, with vectors 25*N^3
         singular values: ``svd.py``
Raises:  ShapeError: not square, sizes or dtypes that do not match
Source:  Golub & Van Loan, Matrix Computations, 4th ed.: 3.2, 4.2, 5.2, 7.5, 8.3 and the table in 8.6; LAPACK Working Note 41
         for DORGQR

>>> from fxcount.symbolic import Scope
>>> a = TensorFact((2, 6, 6), torch.float32)
>>> FACTORIZATIONS["linalg.cholesky"].shape(Scope({}), a).shape, LU.work(a).flops
((2, 6, 6), 288)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from fxcount.dataclass import dataclass
from fxcount.errors import ShapeError
from fxcount.ops.contraction.matmul import require
from fxcount.ops.core.common import shape_text
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.registry import Op, Zero, op
from fxcount.symbolic import Scope, Size, floordiv, max_, min_, prod

__all__ = ["FACTORIZATIONS", "LU", "OPS", "Factorization", "check_matrix", "column_major", "lu_factor", "one_each", "thirds_of"]


# --- factorizations -------------------------------------------------------------------------------

Results = Callable[[TensorFact], Any]


@dataclass(frozen=True, slots=True)
class Factorization:
    """``results`` of an operand; ``thirds``: three times the flops for one matrix, from ``l`` and ``s``; whether it
    must be ``square``; which results are ``differentiable``."""

    results: Callable[..., Any]
    thirds: Callable[[Size, Size], Size]
    square: bool = True
    differentiable: bool | tuple[bool, ...] = True

    def shape(self, scope: Scope, a: TensorFact, *args: Any, **kwargs: Any) -> Any:
        check_matrix(scope, a, self.square)
        return self.results(a, *args, **kwargs)

    def cost(self, y: Results, a: TensorFact, *_: object, **__: object) -> Work:
        return self.work(a)

    def work(self, a: TensorFact) -> Work:
        """Of all matrices of ``a``."""
        m, n = a.shape[-2:]
        larger, smaller = (n, n) if self.square else (max_(m, n), min_(m, n))
        return thirds_of(a, self.thirds(larger, smaller))


def thirds_of(a: TensorFact, three_times: Size) -> Work:
    flops = prod(a.shape[:-2]) * floordiv(three_times, 3)
    return Work(flops=4 * flops if a.dtype.is_complex else flops)


def check_matrix(scope: Scope, a: TensorFact, square: bool) -> None:
    if a.ndim < 2:
        raise ShapeError(f"linalg: needs matrices, not shape {shape_text(a.shape)}")
    if not (a.dtype.is_floating_point or a.dtype.is_complex):
        raise ShapeError(f"linalg: needs a floating or complex dtype, not {a.dtype}")
    if square:
        require(scope, a.shape[-1], a.shape[-2], "linalg: matrices must be square", a.shape)


def column_major(a: TensorFact, rows: Size, columns: Size, dtype: torch.dtype | None = None) -> TensorFact:
    """A batch of column-major matrices, as LAPACK leaves them."""
    batch = a.shape[:-2]
    outer = TensorFact((*batch, rows * columns), a.dtype).stride()[:-1]
    return TensorFact((*batch, rows, columns), dtype or a.dtype, a.device, (*outer, 1, rows))


def _like(a: TensorFact, *_: object, **__: object) -> TensorFact:
    return column_major(a, a.shape[-2], a.shape[-1])


def _vector(a: TensorFact, n: Size, dtype: torch.dtype | None = None) -> TensorFact:
    return a.new((*a.shape[:-2], n), dtype)


def one_each(a: TensorFact, dtype: torch.dtype | None = None) -> TensorFact:
    return a.new(a.shape[:-2], dtype)


def lu_factor(a: TensorFact, *_: object, **__: object) -> tuple[TensorFact, TensorFact]:
    return _like(a), _vector(a, min_(*a.shape[-2:]), torch.int32)


def _ldl_factor(a: TensorFact, *_: object, **__: object) -> tuple[TensorFact, TensorFact]:
    return _like(a), _vector(a, a.shape[-1], torch.int32)


def _real(a: TensorFact) -> torch.dtype:
    return a.dtype.to_real() if a.dtype.is_complex else a.dtype


def _lu(large: Size, small: Size) -> Size:
    return 3 * large * small**2 - small**3


def _lu_parts(a: TensorFact, *_: object, **__: object) -> tuple[TensorFact, TensorFact, TensorFact]:
    """P, L and U."""
    m, n = a.shape[-2:]
    k = min_(m, n)
    batch = a.shape[:-2]
    return a.new((*batch, m, m)), a.new((*batch, m, k)), a.new((*batch, k, n))


def _eigenvectors(a: TensorFact) -> tuple[TensorFact, TensorFact]:
    dtype = a.dtype if a.dtype.is_complex else a.dtype.to_complex()
    return _vector(a, a.shape[-1], dtype), column_major(a, a.shape[-2], a.shape[-1], dtype)


def _symmetric(a: TensorFact, *_: object, **__: object) -> tuple[TensorFact, TensorFact]:
    return _vector(a, a.shape[-1], _real(a)), _like(a)


def _info(results: Callable[..., Any]) -> Callable[..., Any]:
    def with_info(a: TensorFact, *args: Any, **kwargs: Any) -> tuple[TensorFact, ...]:
        found = results(a, *args, **kwargs)
        return (*(found if isinstance(found, tuple) else (found,)), one_each(a, torch.int32))

    return with_info


def _values(results: Callable[..., Any], which: int = 0) -> Callable[..., Any]:
    return lambda a, *_, **__: results(a)[which]


LU = Factorization(lambda a, *_, **__: one_each(a), _lu)
FACTORIZATIONS = {
    "linalg.det": LU,
    "det": LU,
    "logdet": LU,
    "linalg.slogdet": Factorization(lambda a: (one_each(a), one_each(a, _real(a))), _lu),
    "slogdet": Factorization(lambda a: (one_each(a), one_each(a, _real(a))), _lu),
    "_linalg_det": Factorization(lambda a: (one_each(a), *lu_factor(a)), _lu, differentiable=(True, False, False)),
    "_linalg_slogdet": Factorization(
        lambda a: (one_each(a), one_each(a, _real(a)), *lu_factor(a)), _lu, differentiable=(True, True, False, False)
    ),
    "linalg.lu_factor": Factorization(lu_factor, _lu, False),
    "linalg.lu_factor_ex": Factorization(_info(lu_factor), _lu, False),
    "linalg.lu": Factorization(_lu_parts, _lu, False, (False, True, True)),
    "linalg.inv": Factorization(_like, lambda n, _: 6 * n**3),
    "inverse": Factorization(_like, lambda n, _: 6 * n**3),
    "linalg.inv_ex": Factorization(_info(_like), lambda n, _: 6 * n**3),
    "linalg.cholesky": Factorization(_like, lambda n, _: n**3),
    "cholesky": Factorization(_like, lambda n, _: n**3),
    "linalg.cholesky_ex": Factorization(_info(_like), lambda n, _: n**3),
    "cholesky_inverse": Factorization(_like, lambda n, _: 2 * n**3),
    "linalg.ldl_factor": Factorization(_ldl_factor, lambda n, _: n**3),
    "linalg.ldl_factor_ex": Factorization(_info(_ldl_factor), lambda n, _: n**3),
    "linalg.eigh": Factorization(_symmetric, lambda n, _: 27 * n**3),
    "_linalg_eigh": Factorization(_symmetric, lambda n, _: 27 * n**3),
    "linalg.eigvalsh": Factorization(_values(_symmetric), lambda n, _: 4 * n**3),
    "linalg.eig": Factorization(_eigenvectors, lambda n, _: 75 * n**3),
    "linalg.eigvals": Factorization(_values(_eigenvectors), lambda n, _: 30 * n**3),
}


def _geqrf_shape(scope: Scope, a: TensorFact) -> tuple[TensorFact, TensorFact]:
    """R above the reflectors, and their scalars."""
    check_matrix(scope, a, False)
    return _like(a), _vector(a, min_(*a.shape[-2:]))


def _geqrf_cost(y: Results, a: TensorFact) -> Work:
    return _qr_cost(y, a, "r")


def _householder_shape(scope: Scope, a: TensorFact, tau: TensorFact) -> TensorFact:
    """The first N columns of the product of K reflectors."""
    check_matrix(scope, a, False)
    m, n = a.shape[-2:]
    if not (scope.decide(">=", m, n, "householder_product") and scope.decide(">=", n, tau.shape[-1], "householder_product")):
        raise ShapeError(f"householder_product: {tau.shape[-1]} reflectors in a matrix {shape_text(a.shape[-2:])}")
    return _like(a)


def _householder_cost(y: TensorFact, a: TensorFact, tau: TensorFact) -> Work:
    m, n = a.shape[-2:]
    k = tau.shape[-1]
    return thirds_of(a, 12 * m * n * k - 6 * (m + n) * k**2 + 4 * k**3)


def _lu_unpack_shape(
    scope: Scope, lu: TensorFact, pivots: TensorFact, unpack_data: bool = True, unpack_pivots: bool = True
) -> tuple[TensorFact, ...]:
    check_matrix(scope, lu, False)
    for wanted, n in zip((*lu.shape[:-2], min_(*lu.shape[-2:])), pivots.shape, strict=True):
        require(scope, wanted, n, "lu_unpack: a pivot for each row exchanged", lu.shape, pivots.shape)
    empty = lu.new((0,))
    p, *triangles = _lu_parts(lu)
    return (p if unpack_pivots else empty, *(triangles if unpack_data else (empty, empty)))


def _old_qr_shape(scope: Scope, a: TensorFact, some: bool = True) -> tuple[TensorFact, TensorFact]:
    """``torch.qr``, which asks for the reduced form by a flag."""
    return _qr_shape(scope, a, "reduced" if some else "complete")


def _old_qr_cost(y: Results, a: TensorFact, some: bool = True) -> Work:
    return _qr_cost(y, a, "reduced" if some else "complete")


def _qr_shape(scope: Scope, a: TensorFact, mode: str = "reduced") -> tuple[TensorFact, TensorFact]:
    check_matrix(scope, a, False)
    m, n = a.shape[-2:]
    k = m if mode == "complete" else min_(m, n)
    if mode not in ("reduced", "complete", "r"):
        raise ShapeError(f"linalg.qr: mode={mode!r} must be 'reduced', 'complete' or 'r'")
    return (a.new((0,)) if mode == "r" else column_major(a, m, k)), column_major(a, k, n)


def _qr_cost(y: Results, a: TensorFact, mode: str = "reduced") -> Work:
    m, n = a.shape[-2:]
    larger, smaller = max_(m, n), min_(m, n)
    triangle = 6 * smaller**2 * larger - 2 * smaller**3
    square = 12 * (m**2 * smaller - m * smaller**2) + 4 * smaller**3
    thin = 6 * smaller**2 * m - 2 * smaller**3
    return thirds_of(a, triangle + {"r": 0, "reduced": thin, "complete": square}[mode])


OPS: tuple[Op, ...] = (
    *(op(name, shape=f.shape, cost=f.cost, differentiable=f.differentiable) for name, f in FACTORIZATIONS.items()),
    op("linalg.qr", shape=_qr_shape, cost=_qr_cost),
    op("qr", shape=_old_qr_shape, cost=_old_qr_cost),
    op("geqrf", shape=_geqrf_shape, cost=_geqrf_cost),
    op("linalg.householder_product", "orgqr", shape=_householder_shape, cost=_householder_cost),
    op(
        "lu_unpack", shape=_lu_unpack_shape, cost=Zero("copies triangles and pivots", moves=True),
        differentiable=(False, True, True),
    ),
)
