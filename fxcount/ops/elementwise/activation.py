"""Activation functions.

Shapes:  as the input (glu halves one dimension); floating dtypes only, apart from relu and its clipped kin
Counts:  per element, the formula in the table; a sigmoid is one function; the choice between two branches is one
         comparison and the costlier branch is counted
Raises:  ShapeError: a dtype the function is not defined for, glu of an odd dimension, prelu weights that do not fit
Source:  the definitions in the torch.nn documentation

>>> x = TensorFact((2, 6), torch.float32)
>>> glu(Scope({}), x).shape, ACTIVATIONS["silu"]
((2, 3), Scalars(add=0, mul=1, div=0, root=0, fn=1))
"""

from __future__ import annotations

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Results
from fxcount.ops.core.common import wrap_dim
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import dense_like, elementwise
from fxcount.ops.core.registry import Op, ShapeRule, op
from fxcount.ops.core.scalars import QUANTISED, Scalars, is_arithmetic
from fxcount.ops.elementwise.functions import per_element
from fxcount.symbolic import Scope, Size, floordiv

__all__ = ["ACTIVATIONS", "OPS", "gelu", "glu", "prelu"]

ACTIVATIONS = {
    "relu": Scalars(add=1),
    "relu6": Scalars(add=2),
    "hardtanh": Scalars(add=2),
    "threshold": Scalars(add=1),
    "leaky_relu": Scalars(add=1, mul=1),
    "selu": Scalars(add=1, mul=2, fn=1),  # scale * (x if x > 0 else alpha * expm1(x))
    "celu": Scalars(add=1, mul=1, div=1, fn=1),  # x if x > 0 else alpha * expm1(x / alpha)
    "silu": Scalars(mul=1, fn=1),  # x * sigmoid(x)
    "mish": Scalars(mul=1, fn=3),  # x * tanh(log1p(exp(x)))
    "hardswish": Scalars(add=3, mul=1, div=1),  # x * min(max(x + 3, 0), 6) / 6
    "hardsigmoid": Scalars(add=3, div=1),  # min(max(x + 3, 0), 6) / 6
    "softplus": Scalars(add=1, mul=1, div=1, fn=2),  # x if x*beta > threshold else log1p(exp(x*beta)) / beta
    "hardshrink": Scalars(add=1),  # |x| > lambda is one test
    "softshrink": Scalars(add=2),  # the test and a subtraction
}
_LOG_SIGMOID = Scalars(add=4, fn=2)
_KEEPS_INTEGERS = {"relu", "relu6", "hardtanh", "threshold"}
_ALSO_QUANTISED = {"hardsigmoid", "leaky_relu", "gelu"}


def _activation(name: str) -> ShapeRule:
    def activation(scope: Scope, x: TensorFact, *_: object, **__: object) -> TensorFact:
        _check_dtype(name, x.dtype)
        return dense_like(x)

    return activation


def _check_dtype(name: str, dtype: torch.dtype) -> None:
    fits = dtype is not torch.bool and not dtype.is_complex if name in _KEEPS_INTEGERS else is_arithmetic(dtype)
    fits = fits or (name in _ALSO_QUANTISED and dtype in QUANTISED)
    if not fits:
        raise ShapeError(f"{name}: not defined for {dtype}", hint="convert the input to a floating dtype")


def log_sigmoid(scope: Scope, x: TensorFact) -> TensorFact:
    """``min(x, 0) - log1p(exp(-|x|))``: 6 flops, 2 transcendentals; row-major on the CPU."""
    _check_dtype("log_sigmoid", x.dtype)
    return x.new(x.shape) if x.device.type == "cpu" else dense_like(x)


def log_sigmoid_forward(scope: Scope, x: TensorFact) -> tuple[TensorFact, TensorFact]:
    """The ATen form returns also a buffer: empty on CUDA, of the input's shape elsewhere."""
    y = log_sigmoid(scope, x)
    return y, (x.new((0,)) if x.device.type == "cuda" else y)


def elu(scope: Scope, x: TensorFact, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> TensorFact:
    """``scale * (x if x > 0 else alpha * expm1(input_scale * x))``: comparison, expm1, and a multiplication for each
    factor other than 1 (alpha always)."""
    _check_dtype("elu", x.dtype)
    return dense_like(x)


def _elu_cost(y: TensorFact, x: TensorFact, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Work:
    return Scalars(add=1, fn=1, mul=1 + (scale != 1) + (input_scale != 1)).work(y.numel, y.dtype)


def gelu(scope: Scope, x: TensorFact, approximate: str = "none") -> TensorFact:
    """``x * 0.5 * (1 + erf(x * c))``: 5 flops, 1 erf; with tanh, ``0.5 * x * (1 + tanh(k * (x + c * x*x*x)))``: 9."""
    _check_dtype("gelu", x.dtype)
    if approximate not in ("none", "tanh"):
        raise ShapeError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return dense_like(x)


def _gelu_cost(y: TensorFact, x: TensorFact, approximate: str = "none") -> Work:
    scalars = Scalars(add=2, mul=6, fn=1) if approximate == "tanh" else Scalars(add=1, mul=3, fn=1)
    return scalars.work(y.numel, y.dtype)


def glu(scope: Scope, x: TensorFact, dim: int = -1) -> TensorFact:
    """``a * sigmoid(b)`` of the two halves: 2 flops per element of the result."""
    if not x.shape:
        raise ShapeError("glu: a 0-dimensional tensor has no halves")
    at = wrap_dim(dim, x.ndim)
    if not scope.divisible(x.shape[at], 2, "glu halves a dimension"):
        raise ShapeError(f"glu: dimension {at} must be even, got {x.shape[at]}")
    half = (*x.shape[:at], floordiv(x.shape[at], 2), *x.shape[at + 1 :])
    return dense_like(TensorFact(half, x.dtype, x.device, x.strides))


def prelu(scope: Scope, x: TensorFact, weight: TensorFact) -> TensorFact:
    """``x if x > 0 else w_c * x``: a comparison and a multiplication."""
    if x.dtype is not weight.dtype:
        raise ShapeError(f"prelu: x is {x.dtype}, weight is {weight.dtype}; they must be of one dtype")
    if weight.ndim > 1:
        raise ShapeError(f"prelu: weight must be a scalar or 1-dimensional, got {weight.ndim} dimensions")
    channels = x.shape[1] if x.ndim > 1 else 1
    count = weight.numel
    if not (type(count) is int and count == 1) and not scope.same(count, channels, "prelu has a weight per channel"):
        raise ShapeError(f"prelu: weight has {count} values, x has {channels} channels")
    return dense_like(x)


def _prelu_kernel(scope: Scope, x: TensorFact, weight: TensorFact) -> TensorFact:
    return elementwise(scope, "prelu", None, x, weight)


def rrelu_with_noise(scope: Scope, x: TensorFact, noise: TensorFact, *_: object, **__: object) -> TensorFact:
    _check_dtype("rrelu", x.dtype)
    return dense_like(x)


def _buffer(y: Results, x: TensorFact, *_: object, **__: object) -> Size:
    """log_sigmoid keeps exp(-|x|), rrelu the slopes."""
    return x.nbytes


_LEAKY = per_element(ACTIVATIONS["leaky_relu"])

OPS: tuple[Op, ...] = (
    *(op(name, shape=_activation(name), cost=per_element(scalars), follows="mapped") for name, scalars in ACTIVATIONS.items()),
    op("log_sigmoid", shape=log_sigmoid, cost=per_element(_LOG_SIGMOID), temporaries=_buffer, follows="mapped"),
    op("log_sigmoid_forward", shape=log_sigmoid_forward, cost=per_element(_LOG_SIGMOID), differentiable=(True, False)),
    op("elu", shape=elu, cost=_elu_cost, follows="mapped"),
    op("gelu", shape=gelu, cost=_gelu_cost, follows="mapped"),
    op("glu", shape=glu, cost=per_element(Scalars(mul=1, fn=1))),
    op("prelu", shape=prelu, cost=_LEAKY),
    op("_prelu_kernel", shape=_prelu_kernel, cost=_LEAKY),
    op("rrelu", shape=_activation("rrelu"), cost=_LEAKY, temporaries=_buffer, random=True),
    op("rrelu_with_noise", shape=rrelu_with_noise, cost=_LEAKY, writes=(1,), random=True),
)
