"""Singular values and what is made of them.

Letters: A (*B, M, N); l and s are the larger and the smaller of M and N
Counts:  leading terms as in ``linalg.py``: singular values 4*l*s^2 - 4/3*s^3; thin 14*l*s^2 + 8*s^3; full
         4*l^2*s + 8*l*s^2 + 9*s^3; pseudo-inverse: the thin ones, a scaling and a product, of a symmetric matrix by its
         eigenvectors
Raises:  ShapeError: not a matrix, not square where it must be
Source:  Golub & Van Loan, Matrix Computations, 4th ed.: the table in 8.6

>>> import torch
>>> from fxcount.symbolic import Scope
>>> u, s, vh = _svd_shape(Scope({}), TensorFact((5, 3), torch.float32), False)
>>> u.shape, s.shape, vh.shape
((5, 3), (3,), (3, 3))
"""

from __future__ import annotations

from typing import Any

from fxcount.ops.core.arguments import Results
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.striding import strided
from fxcount.ops.linalg.factorizations import Factorization, check_matrix, column_major, thirds_of
from fxcount.symbolic import Scope, max_, min_

__all__ = ["OPS", "singular_values"]


def _singular(a: TensorFact) -> TensorFact:
    real = a.dtype.to_real() if a.dtype.is_complex else a.dtype
    return a.new((*a.shape[:-2], min_(*a.shape[-2:])), real)


_VALUES = Factorization(lambda a, **_: _singular(a), lambda large, small: 12 * large * small**2 - 4 * small**3, False)


def singular_values(a: TensorFact) -> Work:
    """The work of finding them alone, of all matrices."""
    return _VALUES.work(a)


def _svd_shape(
    scope: Scope, a: TensorFact, full_matrices: bool = True, compute_uv: bool = True, driver: str | None = None
) -> tuple[TensorFact, ...]:
    """U, S and V^H; the ATen form has ``compute_uv``."""
    check_matrix(scope, a, False)
    m, n = a.shape[-2:]
    k = min_(m, n)
    if not compute_uv:
        return a.new((0,)), _singular(a), a.new((0,))
    return column_major(a, m, m if full_matrices else k), _singular(a), column_major(a, n if full_matrices else k, n)


def _svd_cost(
    y: object, a: TensorFact, full_matrices: bool = True, compute_uv: bool = True, driver: str | None = None
) -> Work:
    m, n = a.shape[-2:]
    large, small = max_(m, n), min_(m, n)
    if not compute_uv:
        return thirds_of(a, 12 * large * small**2 - 4 * small**3)
    full = 12 * large**2 * small + 24 * large * small**2 + 27 * small**3
    return thirds_of(a, full if full_matrices else 42 * large * small**2 + 24 * small**3)


def _aten_svd_shape(
    scope: Scope, a: TensorFact, full_matrices: bool = False, compute_uv: bool = True, **_: object
) -> tuple[TensorFact, ...]:
    """The ATen form, which is thin by default."""
    return _svd_shape(scope, a, full_matrices, compute_uv)


def _aten_svd_cost(y: Results, a: TensorFact, full_matrices: bool = False, compute_uv: bool = True, **_: object) -> Work:
    return _svd_cost(y, a, full_matrices, compute_uv)


def _old_svd_shape(
    scope: Scope, a: TensorFact, some: bool = True, compute_uv: bool = True
) -> tuple[TensorFact, TensorFact, TensorFact]:
    """``torch.svd``: V in the place of V^H, and zeros in that of vectors not asked for."""
    u, s, vh = _svd_shape(scope, a, not some)
    if not compute_uv:
        return a.new((*a.shape[:-2], a.shape[-2], a.shape[-2])), s, column_major(a, a.shape[-1], a.shape[-1])
    strides = vh.stride()
    order = (*range(a.ndim - 2), a.ndim - 1, a.ndim - 2)
    return u, s, strided(vh, tuple(vh.shape[d] for d in order), tuple(strides[d] for d in order))


def _old_svd_cost(y: Results, a: TensorFact, some: bool = True, compute_uv: bool = True) -> Work:
    return _svd_cost(y, a, not some, compute_uv)


def _pinv_shape(scope: Scope, a: TensorFact, rcond: Any = None, hermitian: bool = False, **_: object) -> TensorFact:
    check_matrix(scope, a, hermitian)
    return a.new((*a.shape[:-2], a.shape[-1], a.shape[-2]))


def _pinv_cost(y: TensorFact, a: TensorFact, rcond: Any = None, hermitian: bool = False, **_: object) -> Work:
    """Thin SVD, V / S times U^H: (14 + 2)*l*s^2 + 8*s^3; eigenvectors, scaled and multiplied: (9 + 2)*N^3."""
    large, small = max_(*a.shape[-2:]), min_(*a.shape[-2:])
    return thirds_of(a, 33 * small**3 if hermitian else 48 * large * small**2 + 24 * small**3)


OPS: tuple[Op, ...] = (
    op("linalg.svdvals", shape=_VALUES.shape, cost=_VALUES.cost),
    op("linalg.svd", shape=_svd_shape, cost=_svd_cost),
    op("_linalg_svd", shape=_aten_svd_shape, cost=_aten_svd_cost),
    op("svd", shape=_old_svd_shape, cost=_old_svd_cost),
    *(op(name, shape=_pinv_shape, cost=_pinv_cost) for name in ("linalg.pinv", "pinverse")),
)
