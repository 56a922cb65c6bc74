"""Covariance, correlation, histograms of several dimensions.

Letters: V variables of O observations each
Counts:  cov       the means, V*(O-1) additions and V divisions; V*O subtractions; macs = V*V*O; V*V divisions by the norm.
                   Weights: O products where both kinds are given, V*O products for the means and V*O for the sums.
                   The norm is one number and is not counted.
         corrcoef  cov, then V square roots and per element of the result two divisions and two comparisons; of one
                   variable: a division
         histogramdd counts with integers: 0
Raises:  ShapeError: not a matrix; weights that do not fit
Source:  ATen/native/Correlation.cpp

>>> import torch
>>> x = TensorFact((3, 5), torch.float32)
>>> y = cov(Scope({}), x)
>>> y.shape, _cov_cost(y, x).macs
((3, 3), 45)
"""

from __future__ import annotations

from collections.abc import Sequence

from fxcount.errors import ShapeError
from fxcount.ops.contraction.matmul import contraction
from fxcount.ops.core.arguments import Given
from fxcount.ops.core.common import float_result, promote, same_shape, shape_text
from fxcount.ops.core.fact import Alias, TensorFact, Work
from fxcount.ops.core.registry import Op, Zero, op
from fxcount.ops.core.scalars import Scalars, fact_of
from fxcount.symbolic import Scope, Size

__all__ = ["OPS", "corrcoef", "cov"]


def _variables(x: TensorFact) -> tuple[Size, Size]:
    return (1, x.numel) if x.ndim < 2 else (x.shape[0], x.shape[1])


def cov(
    scope: Scope, x: TensorFact, *, correction: int = 1, fweights: TensorFact | None = None, aweights: TensorFact | None = None
) -> TensorFact:
    """x (V, O) -> (V, V); of one variable, its variance."""
    if x.ndim > 2:
        raise ShapeError(f"cov: needs a matrix of variables, not shape {shape_text(x.shape)}")
    for weights in (fweights, aweights):
        if weights is not None and not scope.same(weights.numel, _variables(x)[1], "cov: a weight for each observation"):
            raise ShapeError(f"cov: {weights.numel} weights for {_variables(x)[1]} observations")
    dtype = float_result(promote(x, fweights, aweights))
    variables = _variables(x)[0]
    single = x.ndim < 2 or scope.decide("==", variables, 1, "cov of one variable is a number")
    return x.new(() if single else (variables, variables), dtype)


def _cov_cost(
    y: TensorFact, x: TensorFact, *, correction: int = 1, fweights: TensorFact | None = None, aweights: TensorFact | None = None
) -> Work:
    v, o = _variables(x)
    given = (fweights is not None) + (aweights is not None)
    products = (2 * v * o if given else 0) + (o if given == 2 else 0)
    scalars = Scalars(add=v * (o - 1) + v * o, div=v + v * v, mul=products).work(1, y.dtype)
    macs = contraction(y.dtype, v * v * o)
    return Work(macs.macs, macs.flops + scalars.flops)


def corrcoef(scope: Scope, x: TensorFact) -> TensorFact:
    return cov(scope, x)


def _corrcoef_cost(y: TensorFact, x: TensorFact) -> Work:
    base = _cov_cost(y, x)
    v = _variables(x)[0]
    scaled = Scalars(div=1) if not y.shape else Scalars(root=v, div=2 * y.numel, add=2 * y.numel)
    return Work(base.macs, base.flops + scaled.work(1, y.dtype).flops)


def histogramdd(
    scope: Scope, x: TensorFact, bins: int | Sequence[int | TensorFact], range: object = None, weight: Given = None,
    density: bool = False,
) -> tuple[TensorFact, tuple[TensorFact | Alias, ...]]:
    """x (*I, N): counts of N dimensions and the edges of each; bins are a number, a number or the edges for each."""
    if weight is not None and not same_shape(scope, weight.shape, x.shape[:-1]):
        raise ShapeError(f"histogramdd: weights {shape_text(weight.shape)} for points {shape_text(x.shape)}")
    dims = scope.pin(x.shape[-1], "histogramdd")
    each = [bins] * dims if isinstance(bins, int) else list(bins)
    edges = [Alias(b, of=1 + i) if isinstance(b, TensorFact) else x.new((b + 1,)) for i, b in enumerate(each)]
    return x.new(tuple(fact_of(e).numel - 1 for e in edges)), tuple(edges)


OPS: tuple[Op, ...] = (
    op("cov", shape=cov, cost=_cov_cost),
    op("corrcoef", shape=corrcoef, cost=_corrcoef_cost),
    op("histogramdd", shape=histogramdd, cost=Zero("integer work", moves=True), differentiable=False),
)
