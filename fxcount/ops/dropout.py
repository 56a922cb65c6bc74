"""Dropout.

Shapes:  as the input; in evaluation and for p = 0 the input itself
Counts:  training only, per element: the 0/1 mask is scaled (1 division) and multiplied in (1): 2; drawing random
         numbers counts 0. feature_dropout draws and scales one number per channel. alpha_dropout: a*x*mask + b with
         b = (mask - 1)*alpha*a + alpha*a*p: 6
Raises:  ShapeError: a probability outside [0, 1]
Source:  ATen/native/Dropout.cpp

>>> x = TensorFact((2, 3), torch.float32)
>>> y = dropout(Scope({}), x, 0.5, False)
>>> isinstance(y, Alias)
True
"""

from __future__ import annotations

from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.fact import Alias, TensorFact, Work
from fxcount.ops.iterator import dense_like
from fxcount.ops.registry import Op, op
from fxcount.ops.scalars import Scalars, total
from fxcount.symbolic import Scope, Size

__all__ = ["OPS", "dropout", "native_dropout"]


def dropout(scope: Scope, x: TensorFact, p: float = 0.5, train: bool = True) -> TensorFact | Alias:
    """The input scaled by a random 0/1 mask, or the input itself."""
    if not 0 <= p <= 1:
        raise ShapeError(f"dropout: probability must be between 0 and 1, got {p}")
    return dense_like(x) if train and p else Alias(x)


def _cost(y: TensorFact, x: TensorFact, p: float = 0.5, train: bool = True) -> Work:
    return Scalars(mul=1, div=1).work(x.numel if train and p else 0, x.dtype)


def _noise(y: TensorFact, x: TensorFact, p: float = 0.5, train: bool = True) -> Size:
    return x.nbytes if train and 0 < p < 1 else 0


def _channels(x: TensorFact) -> Size:
    return x.shape[0] * x.shape[1]


def feature_dropout(scope: Scope, x: TensorFact, p: float = 0.5, train: bool = True) -> TensorFact | Alias:
    """Whole channels of x (N, C, ...) are dropped."""
    if train and x.ndim < 2:
        raise ShapeError(f"feature_dropout: x needs 2 dimensions or more, got {x.ndim}")
    return dropout(scope, x, p, train)


def _feature_cost(y: TensorFact, x: TensorFact, p: float = 0.5, train: bool = True) -> Work:
    if not (train and p):
        return Work()
    return total([(x.numel, Scalars(mul=1)), (_channels(x), Scalars(div=1))], x.dtype)


def _feature_noise(y: TensorFact, x: TensorFact, p: float = 0.5, train: bool = True) -> Size:
    return _channels(x) * x.itemsize if train and 0 < p < 1 else 0


def _alpha_cost(y: TensorFact, x: TensorFact, p: float = 0.5, train: bool = True) -> Work:
    return Scalars(add=3, mul=3).work(x.numel if train and p else 0, x.dtype)


def _alpha_noise(y: TensorFact, x: TensorFact, p: float = 0.5, train: bool = True) -> Size:
    return 2 * x.nbytes if train and 0 < p < 1 else 0


def _feature_alpha_cost(y: TensorFact, x: TensorFact, p: float = 0.5, train: bool = True) -> Work:
    if not (train and p):
        return Work()
    return total([(x.numel, Scalars(add=1, mul=1)), (_channels(x), Scalars(add=2, mul=2))], x.dtype)


def _feature_alpha_noise(y: TensorFact, x: TensorFact, p: float = 0.5, train: bool = True) -> Size:
    return 2 * _feature_noise(y, x, p, train)


def native_dropout(scope: Scope, x: TensorFact, p: float, train: bool | None) -> tuple[TensorFact, TensorFact]:
    """The ATen form: the result and the boolean mask."""
    return dense_like(x), dense_like(x, torch.bool)


def _native_cost(y: Any, x: TensorFact, p: float, train: bool | None) -> Work:
    return _cost(x, x, p, train is not False)


OPS: tuple[Op, ...] = (
    op("dropout", shape=dropout, cost=_cost, temporaries=_noise),
    op("feature_dropout", shape=feature_dropout, cost=_feature_cost, temporaries=_feature_noise),
    op("alpha_dropout", shape=dropout, cost=_alpha_cost, temporaries=_alpha_noise),
    op(
        "feature_alpha_dropout", shape=feature_dropout, cost=_feature_alpha_cost, temporaries=_feature_alpha_noise
    ),
    op("native_dropout", shape=native_dropout, cost=_native_cost),
)
