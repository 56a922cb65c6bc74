"""Gradients of functions and losses, as ATen names them in graphs of a training step; those of layers are in
``backward_layers.py``.

Shapes:  as the operand the gradient is for, element by element as TensorIterator lays it out
Counts:  per element, the scalar formula in the tables below, g being the gradient that comes in (conventions in
         ``scalars.py``); softmax, per row of n: n products, n - 1 additions, n subtractions, n products;
         log_softmax, per row: n - 1 additions, n exp, n products, n subtractions
Raises:  ShapeError: operands do not broadcast
Source:  the formulas of ATen/native/cpu/Activation.cpp, BinaryOpsKernel.cpp, PointwiseOpsKernel.cpp

>>> g = TensorFact((2, 3), torch.float32)
>>> y = _gradient("tanh_backward")(Scope({}), g, g)
>>> y.shape, per_element(POINTWISE["tanh_backward"])(y, g, g).flops
((2, 3), 18)
"""

from __future__ import annotations

from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Given, Reduction
from fxcount.ops.core.common import float_result, same_shape, shape_text
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import dense_like, elementwise
from fxcount.ops.core.reducing import reducing
from fxcount.ops.core.registry import Op, ShapeRule, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.elementwise.functions import per_element
from fxcount.ops.reduction.softmax import rows
from fxcount.symbolic import Scope

__all__ = ["LOSSES", "OPS", "POINTWISE"]

# operands after g -> scalar operations per element
POINTWISE = {
    "sigmoid_backward": Scalars(add=1, mul=2),  # g * (1 - y) * y
    "tanh_backward": Scalars(add=1, mul=2),  # g * (1 - y*y)
    "silu_backward": Scalars(add=2, mul=3, fn=1),  # s = sigmoid(x); g * s * (1 + x*(1 - s))
    "mish_backward": Scalars(add=2, mul=4, fn=4),  # s = sigmoid(x), t = tanh(log1p(exp(x))); g * (t + x*s*(1 - t*t))
    "threshold_backward": Scalars(add=1),  # g if x > threshold else 0
    "leaky_relu_backward": Scalars(add=1, mul=1),  # g if x > 0 else g * slope
    "hardtanh_backward": Scalars(add=2),  # g if low < x < high else 0
    "hardshrink_backward": Scalars(add=2),  # 0 if -l <= x <= l else g
    "softshrink_backward": Scalars(add=2),
    "hardsigmoid_backward": Scalars(add=2, mul=1),  # g * (1/6) if -3 < x < 3 else 0
    "hardswish_backward": Scalars(add=3, mul=1, div=1),  # 0 if x <= -3, g if x >= 3, else g * (x/3 + 0.5)
    "softplus_backward": Scalars(add=2, mul=2, div=1, fn=1),  # z = exp(x*b); g if x*b > t else g * z / (z + 1)
    "log_sigmoid_backward": Scalars(add=3, mul=2, div=1),  # z saved; g * (m - s * (z / (1 + z))), m and s by x < 0
    "rrelu_with_noise_backward": Scalars(mul=1),  # g * noise
    "native_dropout_backward": Scalars(mul=2),  # g * mask * scale
}


def _gradient(name: str) -> ShapeRule:
    """Element by element of g and the operand behind it."""

    def rule(scope: Scope, g: TensorFact, x: TensorFact, *_: object, **__: object) -> TensorFact:
        dtype = float_result(g.dtype) if name == "native_dropout_backward" else x.dtype
        return elementwise(scope, name, dtype, g, x)

    return rule


def gelu_backward(scope: Scope, g: TensorFact, x: TensorFact, *, approximate: str = "none") -> TensorFact:
    return elementwise(scope, "gelu_backward", None, g, x)


def _gelu_cost(y: TensorFact, g: TensorFact, x: TensorFact, *, approximate: str = "none") -> Work:
    """``g * (cdf + x*pdf)``, cdf = 0.5*(1 + erf(c*x)), pdf = k*exp(-0.5*(x*x)): 11, 2 transcendentals.
    tanh: t = tanh(k*(x + a*x^3)), g * (0.5*(1 + t) + 0.5*x * (1 - t*t) * (k*(1 + b*x*x))): 18, 1 transcendental."""
    exact = Scalars(add=2, mul=7, fn=2)
    return (exact if approximate == "none" else Scalars(add=5, mul=12, fn=1)).work(y.numel, y.dtype)


def elu_backward(
    scope: Scope, g: TensorFact, alpha: float, scale: float, input_scale: float, is_result: bool, x: TensorFact
) -> TensorFact:
    return elementwise(scope, "elu_backward", None, g, x)


def _elu_cost(
    y: TensorFact, g: TensorFact, alpha: float, scale: float, input_scale: float, is_result: bool, x: TensorFact
) -> Work:
    """``g * c * (y + a)`` of the result, ``g * c * exp(x*s)`` of the input, where not positive: a comparison besides."""
    return (Scalars(add=2, mul=2) if is_result else Scalars(add=1, mul=3, fn=1)).work(y.numel, y.dtype)


def logit_backward(scope: Scope, g: TensorFact, x: TensorFact, eps: float | None = None) -> TensorFact:
    return elementwise(scope, "logit_backward", None, g, x)


def _logit_cost(y: TensorFact, g: TensorFact, x: TensorFact, eps: float | None = None) -> Work:
    """``g / (x * (1 - x))``; 2 comparisons more with ``eps``."""
    return Scalars(add=1 if eps is None else 3, mul=1, div=1).work(y.numel, y.dtype)


def glu_backward(scope: Scope, g: TensorFact, x: TensorFact, dim: int) -> TensorFact:
    """x is twice as long as g along ``dim``."""
    return dense_like(x)


def _glu_cost(y: TensorFact, g: TensorFact, x: TensorFact, dim: int) -> Work:
    """s = sigmoid(b): g*s for the first half, ``(g*s) * (1 - s) * a`` for the second: 5, 1 transcendental."""
    return Scalars(add=1, mul=3, fn=1).work(g.numel, y.dtype)


def prelu_backward(scope: Scope, g: TensorFact, x: TensorFact, weight: TensorFact) -> tuple[TensorFact, TensorFact]:
    """For x, and for the weight before it is summed."""
    y = elementwise(scope, "_prelu_kernel_backward", None, g, x, weight)
    return y, y


def softmax_backward(scope: Scope, g: TensorFact, y: TensorFact, dim: int, dtype: torch.dtype) -> TensorFact:
    if not same_shape(scope, g.shape, y.shape):
        raise ShapeError(f"softmax: the gradient {shape_text(g.shape)} is for a result {shape_text(y.shape)}")
    return TensorFact(g.shape, dtype, g.device)


def _softmax_cost(x: TensorFact, g: TensorFact, y: TensorFact, dim: int, dtype: torch.dtype) -> Work:
    return Work(flops=4 * g.numel - rows(g, dim))


def _log_softmax_cost(x: TensorFact, g: TensorFact, y: TensorFact, dim: int, dtype: torch.dtype) -> Work:
    return Work(flops=4 * g.numel - rows(g, dim), transcendentals=g.numel)


# --- losses: g is one number, or one for each element ----------------------------------------------------------------

# scalar operations per element of the input, the division of a mean by the number of elements being part of a constant
LOSSES = {
    "mse_loss_backward": Scalars(add=1, mul=2),  # c * (x - t) * g
    "smooth_l1_loss_backward": Scalars(add=3, mul=2, div=1),  # d = x - t; +-c*g beyond beta, else c * d * g / beta
    "huber_loss_backward": Scalars(add=3, mul=2),  # +-c*delta*g beyond delta, else c * d * g
    "soft_margin_loss_backward": Scalars(add=2, mul=4, div=1, fn=1),  # z = exp(-t*x); c * t * z / (z + 1) * g
}


def _loss_gradient(name: str) -> ShapeRule:
    def rule(scope: Scope, g: TensorFact, x: TensorFact, target: TensorFact, *_: object) -> TensorFact:
        return elementwise(scope, name, None, x, target, g)

    return rule


def bce_backward(
    scope: Scope, g: TensorFact, x: TensorFact, target: TensorFact, weight: Given = None, reduction: Reduction = 1
) -> TensorFact:
    return dense_like(x)


def _bce_cost(y: TensorFact, g: TensorFact, x: TensorFact, target: Any, weight: Given = None, reduction: Reduction = 1) -> Work:
    """``g * (x - t) / max((1 - x) * x, eps)``: 6; a product with a weight, a division for the mean."""
    mean = 1 if reducing(reduction) == 1 else 0
    return Scalars(add=3, mul=2 if weight is None else 3, div=1 + mean).work(y.numel, y.dtype)


def nll_backward(
    scope: Scope, g: TensorFact, x: TensorFact, target: TensorFact, weight: Given, reduction: int, ignore: int,
    total: TensorFact,
) -> TensorFact:
    """Zeros, but for the class of each row."""
    if x.ndim != target.ndim + 1 and x.ndim != 1:
        raise ShapeError(f"nll_loss_backward: input {shape_text(x.shape)}, target {shape_text(target.shape)}")
    return x.new(x.shape)


def _nll_cost(
    y: TensorFact, g: TensorFact, x: TensorFact, target: TensorFact, weight: Given, reduction: int, ignore: int, total: Any
) -> Work:
    """Per row ``-g``, times the weight of the class, divided by the sum of the weights for the mean."""
    scalars = Scalars(add=1, mul=0 if weight is None else 1, div=1 if reducing(reduction) == 1 else 0)
    return scalars.work(target.numel, y.dtype)


_SELECT = per_element(Scalars(add=1, mul=2))  # x > 0 ? g : w*g, and x > 0 ? 0 : x*g

OPS: tuple[Op, ...] = (
    *(op(name, shape=_gradient(name), cost=per_element(s)) for name, s in POINTWISE.items()),
    op("gelu_backward", shape=gelu_backward, cost=_gelu_cost),
    op("elu_backward", shape=elu_backward, cost=_elu_cost),
    op("logit_backward", shape=logit_backward, cost=_logit_cost),
    op("glu_backward", shape=glu_backward, cost=_glu_cost),
    op("_prelu_kernel_backward", shape=prelu_backward, cost=_SELECT),
    op("_softmax_backward_data", shape=softmax_backward, cost=_softmax_cost),
    op("_log_softmax_backward_data", shape=softmax_backward, cost=_log_softmax_cost),
    *(op(name, shape=_loss_gradient(name), cost=per_element(scalars)) for name, scalars in LOSSES.items()),
    op("binary_cross_entropy_backward", shape=bce_backward, cost=_bce_cost),
    op("nll_loss_backward", "nll_loss2d_backward", shape=nll_backward, cost=_nll_cost),
)
