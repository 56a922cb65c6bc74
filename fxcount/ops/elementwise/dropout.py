"""Dropout.

Shapes:  as the input; in evaluation and for p = 0 the input itself
Counts:  training only, per element: the 0/1 mask is scaled (1 division) and multiplied in (1): 2; drawing random
         numbers counts 0. feature_dropout draws and scales one number per channel. alpha_dropout: a*x*mask + b with
         b = (mask - 1)*alpha*a + alpha*a*p: 6. For p = 1 the input is multiplied with 0: 1
Raises:  ShapeError: a probability outside [0, 1]
Source:  ATen/native/Dropout.cpp

>>> x = TensorFact((2, 3), torch.float32)
>>> y = dropout(Scope({}), x, 0.5, False)
>>> isinstance(y, Alias)
True
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Results
from fxcount.ops.core.fact import Alias, TensorFact, Work
from fxcount.ops.core.iterator import dense_like
from fxcount.ops.core.registry import CostRule, Op, TemporaryRule, op
from fxcount.ops.core.scalars import Scalars, total
from fxcount.symbolic import Scope, Size

__all__ = ["OPS", "dropout", "native_dropout"]


def dropout(scope: Scope, x: TensorFact, p: float = 0.5, train: bool = True) -> TensorFact | Alias:
    """The input scaled by a random 0/1 mask, or the input itself."""
    if not 0 <= p <= 1:
        raise ShapeError(f"dropout: probability must be between 0 and 1, got {p}")
    return dense_like(x) if train and p else Alias(x)


def _channels(x: TensorFact) -> Size:
    return x.shape[0] * x.shape[1]


def feature_dropout(scope: Scope, x: TensorFact, p: float = 0.5, train: bool = True) -> TensorFact | Alias:
    """Whole channels of x (N, C, ...) are dropped."""
    if train and x.ndim < 2:
        raise ShapeError(f"feature_dropout: x needs 2 dimensions or more, got {x.ndim}")
    return dropout(scope, x, p, train)


def _cost(per_element: Scalars, per_draw: Scalars, draws: Callable[[TensorFact], Size]) -> CostRule:
    """``draws(x)`` random numbers, each made into a factor, and the elements multiplied with them."""

    def cost(y: Results, x: TensorFact, p: float = 0.5, train: bool = True) -> Work:
        if not train or p == 0:
            return Work()
        if p == 1:
            return Scalars(mul=1).work(x.numel, x.dtype)
        return total([(x.numel, per_element), (draws(x), per_draw)], x.dtype)

    return cost


def _noise(buffers: int, draws: Callable[[TensorFact], Size], fused: bool = False) -> TemporaryRule:
    """The buffers of random numbers; for p = 1 a single zero; on a GPU the plain one draws into a boolean mask."""

    def held(y: Results, x: TensorFact, p: float = 0.5, train: bool = True) -> Size:
        if not train or p == 0:
            return 0
        if p != 1 and fused and x.device.type == "cuda":
            return draws(x)
        return x.itemsize if p == 1 else buffers * draws(x) * x.itemsize

    return held


def native_dropout(scope: Scope, x: TensorFact, p: float, train: bool | None) -> tuple[TensorFact, TensorFact]:
    """The ATen form: the result and the boolean mask."""
    return dense_like(x), dense_like(x, torch.bool)


def _native_cost(y: Results, x: TensorFact, p: float, train: bool | None) -> Work:
    return _MASKED(x, x, p, train is not False)


def _elements(x: TensorFact) -> Size:
    return x.numel


_MASKED = _cost(Scalars(mul=1), Scalars(div=1), _elements)
_ALPHA, _SHIFT = Scalars(add=1, mul=1), Scalars(add=2, mul=2)

OPS: tuple[Op, ...] = (
    op("dropout", shape=dropout, cost=_MASKED, temporaries=_noise(1, _elements, fused=True), random=True),
    op(
        "feature_dropout", shape=feature_dropout, cost=_cost(Scalars(mul=1), Scalars(div=1), _channels),
        temporaries=_noise(1, _channels), random=True,
    ),
    op(
        "alpha_dropout", shape=dropout, cost=_cost(_ALPHA, _SHIFT, _elements), temporaries=_noise(2, _elements), random=True,
    ),
    op(
        "feature_alpha_dropout", shape=feature_dropout, cost=_cost(_ALPHA, _SHIFT, _channels),
        temporaries=_noise(2, _channels), random=True,
    ),
    op("native_dropout", shape=native_dropout, cost=_native_cost, random=True),
)  # fmt: skip
