"""Losses.

Letters: N samples, C classes, r = numel(x) / C rows.
Shapes:  reduction "none" (0): a loss per sample or element; "mean" (1) and "sum" (2): 0-d
Counts:  per element, the formula in the tables below, a weight one multiplication more; then
         sum: numel - 1 additions; mean: also a division
         cross_entropy = log_softmax (5*numel - r) and nll: per row a negation, with weights a multiplication and r - 1
         additions for their sum
Raises:  ShapeError: shapes of input and target that do not fit
Source:  the definitions in the torch.nn documentation

>>> import torch
>>> x = TensorFact((2, 5), torch.float32)
>>> _per_element_cost(LOSSES["mse_loss"])(TensorFact((), torch.float32), x, x).flops
30
"""

from __future__ import annotations

from typing import Any

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Given, Reduction
from fxcount.ops.core.common import float_result, promote, same_shape
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import broadcast_numel, elementwise
from fxcount.ops.core.reducing import combined, reduced, reducing
from fxcount.ops.core.registry import CostRule, Op, ShapeRule, op
from fxcount.ops.core.scalars import Scalars, is_arithmetic
from fxcount.ops.loss import classification, distance
from fxcount.symbolic import Scope, Size

__all__ = ["LOSSES", "OPS"]

# name -> operations per element of input and target broadcast together
LOSSES = {
    "mse_loss": Scalars(add=1, mul=1),
    "l1_loss": Scalars(add=2),
    # d = x - y; d*d*0.5/beta if |d| < beta else |d| - 0.5*beta
    "smooth_l1_loss": Scalars(add=3, mul=2, div=1),
    # d*d*0.5 if |d| <= delta else delta*(|d| - 0.5*delta)
    "huber_loss": Scalars(add=3, mul=2),
    "soft_margin_loss": Scalars(add=1, mul=1, fn=2),  # log1p(exp(-y*x))
}
_POINTWISE_HELD = {"mse_loss", "smooth_l1_loss", "soft_margin_loss"}
_SIGMOID = Scalars(add=4, fn=2)  # min(x, 0) - log1p(exp(-|x|))
_CROSS = Scalars(add=6, mul=2, fn=2)  # 1-t, 1-x, t*log(x) + (1-t)*log(1-x), two clamps of the logs, negation


def _elementwise_loss(name: str) -> ShapeRule:
    def loss(scope: Scope, x: TensorFact, target: TensorFact, reduction: Reduction = 1, *_: object, **__: object) -> TensorFact:
        y = elementwise(scope, name, None, x, target)
        if not is_arithmetic(y.dtype):
            raise ShapeError(f"{name}: not defined for {y.dtype}", hint="convert input and target to float")
        if name == "l1_loss" and y.dtype.is_complex:
            y = y.new(y.shape, y.dtype.to_real())
        return reduced(y, reduction)

    return loss


def _per_element_cost(scalars: Scalars) -> CostRule:
    def cost(y: TensorFact, x: TensorFact, target: TensorFact, reduction: Reduction = 1, *_: object, **__: object) -> Work:
        n = broadcast_numel(x, target)
        return combined(y, n, scalars * n, reduction)

    return cost


def _unshrunk(y: TensorFact, x: TensorFact, target: TensorFact, *_: object, **__: object) -> Size:
    """The kernel reduces in place: the storage of the scalar result keeps the bytes of the elementwise loss."""
    return broadcast_numel(x, target) * y.itemsize - y.nbytes


def _l1_held(y: TensorFact, x: TensorFact, target: TensorFact, reduction: Reduction = 1) -> Size:
    """Differences, and with a reduction their absolute values."""
    return broadcast_numel(x, target) * y.itemsize * (2 if reducing(reduction) else 1)


def binary_cross_entropy(
    scope: Scope, x: TensorFact, target: TensorFact, weight: TensorFact | None = None, reduction: Reduction = 1
) -> TensorFact:
    """``-(t*max(log x, -100) + (1-t)*max(log(1-x), -100))``: 10 flops, 2 logs."""
    _same_shapes(scope, "binary_cross_entropy", x, target)
    return reduced(elementwise(scope, "binary_cross_entropy", x.dtype, x), reduction)


def _same_shapes(scope: Scope, name: str, x: TensorFact, target: TensorFact) -> None:
    if not same_shape(scope, x.shape, target.shape, f"{name}: a target for each element"):
        raise ShapeError(
            f"{name}: input is {x.shape}, target is {target.shape}; they must be of one shape",
            hint="target.view_as(input)",
        )


def _bce_cost(y: TensorFact, x: TensorFact, target: Any, weight: Given = None, reduction: Reduction = 1) -> Work:
    scalars = _CROSS + Scalars(mul=0 if weight is None else 1)
    return combined(y, x.numel, scalars * x.numel, reduction)


def _bce_unshrunk(y: TensorFact, x: TensorFact, *_: object, **__: object) -> Size:
    return x.nbytes - y.nbytes


def bce_with_logits(
    scope: Scope, x: TensorFact, target: TensorFact, weight: Given = None, pos_weight: Given = None, reduction: Reduction = 1
) -> TensorFact:
    """``(1-t)*x - log_sigmoid(x)``: 9 flops, 2 transcendentals; a positive weight p scales the second term by
    ``1 + (p-1)*t``: 4 more."""
    _same_shapes(scope, "binary_cross_entropy_with_logits", x, target)
    operands = [o for o in (x, target, weight, pos_weight) if o is not None]
    return reduced(elementwise(scope, "binary_cross_entropy_with_logits", promote(x, target), *operands), reduction)


def _bce_logits_cost(
    y: TensorFact, x: TensorFact, target: Any, weight: Given = None, pos_weight: Given = None, reduction: Reduction = 1
) -> Work:
    scalars = _SIGMOID + Scalars(add=2, mul=1) + Scalars(mul=0 if weight is None else 1)
    if pos_weight is not None:
        scalars = scalars + Scalars(add=2, mul=2)
    return combined(y, x.numel, scalars * x.numel, reduction)


def kl_div(
    scope: Scope, x: TensorFact, target: TensorFact, reduction: Reduction = 1, *, log_target: bool = False
) -> TensorFact:
    """``t*log(t) - t*x``: 4 flops, 1 log; of a log target ``exp(t)*(t - x)``: 3, 1 exp."""
    return reduced(elementwise(scope, "kl_div", None, x, target), reduction)


def _kl_cost(y: TensorFact, x: TensorFact, target: TensorFact, reduction: Reduction = 1, *, log_target: bool = False) -> Work:
    scalars = Scalars(add=1, mul=1, fn=1) if log_target else Scalars(add=1, mul=2, fn=1)
    n = broadcast_numel(x, target)
    return combined(y, n, scalars * n, reduction)


def _three_held(y: TensorFact, x: TensorFact, target: TensorFact, *_: object, **__: object) -> Size:
    """Two intermediates and the elementwise loss, while no reduced result exists yet."""
    return 3 * broadcast_numel(x, target) * y.itemsize - y.nbytes


def poisson_nll_loss(
    scope: Scope, x: TensorFact, target: TensorFact, log_input: bool, full: bool, eps: float, reduction: Reduction
) -> TensorFact:
    """``exp(x) - t*x``: 3 flops; of a plain rate ``x - t*log(x + eps)``: 4. ``full`` adds, where t > 1, Stirling's
    ``t*log(t) - t + 0.5*log(2*pi*t)``: 9, 2 logs."""
    return reduced(elementwise(scope, "poisson_nll_loss", float_result(promote(x, target)), x, target), reduction)


def _poisson_cost(
    y: TensorFact, x: TensorFact, target: TensorFact, log_input: bool, full: bool, eps: float, reduction: Reduction
) -> Work:
    scalars = Scalars(add=1, mul=1, fn=1) if log_input else Scalars(add=2, mul=1, fn=1)
    if full:
        scalars = scalars + Scalars(add=4, mul=3, fn=2)
    n = broadcast_numel(x, target)
    return combined(y, n, scalars * n, reduction)


def _poisson_held(
    y: TensorFact, x: TensorFact, target: TensorFact, log_input: bool, full: bool, eps: float, reduction: Reduction
) -> Size:
    live = 8 if full else 3 if log_input else 4
    return live * broadcast_numel(x, target) * y.itemsize - y.nbytes


OPS: tuple[Op, ...] = (
    *(
        op(
            name,
            shape=_elementwise_loss(name),
            cost=_per_element_cost(scalars),
            temporaries=_unshrunk if name in _POINTWISE_HELD else _l1_held if name == "l1_loss" else None,
            unshrunk=name in _POINTWISE_HELD,
        )
        for name, scalars in LOSSES.items()
    ),
    op("binary_cross_entropy", shape=binary_cross_entropy, cost=_bce_cost, temporaries=_bce_unshrunk, unshrunk=True),
    op("binary_cross_entropy_with_logits", shape=bce_with_logits, cost=_bce_logits_cost),
    op("kl_div", shape=kl_div, cost=_kl_cost, temporaries=_three_held),
    op("poisson_nll_loss", shape=poisson_nll_loss, cost=_poisson_cost, temporaries=_poisson_held),
    *classification.OPS,
    *distance.OPS,
)
