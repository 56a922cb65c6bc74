"""Layers and activations of torch.ao on quantised tensors: each makes floats of its operand, does what the layer of that name
does with floats, and quantises the result anew.

Letters: n elements, r groups that are normalised together, C channels
Counts:  per element dequantised 2 and quantised 5 (see ``packed.py``), and between them the float formula of the activation or
         the norm; batch_norm is one product and one addition with numbers of its channel, which are made once: 6 C
         limits are compared as integers: 0; matmul: macs of integers, the result scaled anew, 5 n
Raises:  ShapeError: channels, groups or inner sizes that do not fit
Source:  ATen/native/quantized/cpu/qnormalization.cpp, qbatch_norm.cpp, qhardswish.cpp, qelu.cpp, qmatmul.cpp

>>> x = TensorFact((2, 5), torch.quint8)
>>> _activated_cost(ACTIVATIONS["hardswish"])(activated(Scope({}), x, 0.1, 3), x, 0.1, 3).flops
120
"""

from __future__ import annotations

from typing import Any

import torch

from fxcount.ops.contraction.matmul import contraction, matmul_shape
from fxcount.ops.core.arguments import Given
from fxcount.ops.core.fact import Alias, TensorFact, Work
from fxcount.ops.core.iterator import dense_like
from fxcount.ops.core.registry import CostRule, Op, Zero, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.elementwise.activation import ACTIVATIONS
from fxcount.ops.normalise import norm
from fxcount.ops.normalise.batchnorm import check_per_channel, given, normalise
from fxcount.ops.quantise.packed import DEQUANTISED, QUANTISED, SCALED_ANEW
from fxcount.symbolic import Scope, Size, prod

__all__ = ["OPS"]

_AROUND = DEQUANTISED + QUANTISED


# -- activations --------------------------------------------------------------------------------------------------------
def activated(scope: Scope, x: TensorFact, *_: object, **__: object) -> TensorFact:
    return dense_like(x)


def _activated_cost(formula: Scalars) -> CostRule:
    def cost(y: TensorFact, x: TensorFact, *_: object, **__: object) -> Work:
        return (_AROUND + formula).work(x.numel, torch.float32)

    return cost


def _softmax_cost(y: TensorFact, x: TensorFact, dim: int, *_: object, **__: object) -> Work:
    """Per row n maxima less one, n subtractions, n exp, n additions less one, n divisions."""
    rows = prod([s for i, s in enumerate(x.shape) if i != dim % x.ndim])
    return (_AROUND * x.numel + Scalars(add=3 * x.numel - 2 * rows, div=x.numel, fn=x.numel)).work(1, torch.float32)


def unchanged(scope: Scope, x: TensorFact, *_: object, **__: object) -> Alias:
    return Alias(x, 0)


_ELU = Scalars(add=1, mul=3, fn=1)  # with its three factors, whatever they are


# -- norms --------------------------------------------------------------------------------------------------------------
def batch_norm(
    scope: Scope, x: TensorFact, weight: Given, bias: Given, mean: TensorFact, var: TensorFact, *_: object
) -> TensorFact:
    check_per_channel(scope, "batch_norm", x.shape[1], weight=weight, bias=bias, running_mean=mean, running_var=var)
    return dense_like(x)


def _batch_norm_cost(
    y: TensorFact, x: TensorFact, weight: Given, bias: Given, mean: TensorFact, var: TensorFact, *_: object
) -> Work:
    """Per channel a = w / sqrt(var + eps), b - mean*a."""
    channel = Scalars(add=2, mul=1 if weight is None else 2, div=1, root=1)
    return ((_AROUND + Scalars(add=1, mul=1)) * x.numel + channel * mean.numel).work(1, torch.float32)


def _floats(x: TensorFact) -> TensorFact:
    return TensorFact(x.shape, torch.float32, x.device, x.strides)


def layer_norm(
    scope: Scope, x: TensorFact, normalized_shape: Any, weight: Given = None, bias: Given = None, *_: object, **__: object
) -> TensorFact:
    norm.layer_norm(scope, _floats(x), normalized_shape, weight, bias)
    return dense_like(x)


def group_norm(
    scope: Scope, x: TensorFact, num_groups: int, weight: Given = None, bias: Given = None, *_: object, **__: object
) -> TensorFact:
    norm.group_norm(scope, _floats(x), num_groups, weight, bias)
    return dense_like(x)


def instance_norm(
    scope: Scope, x: TensorFact, weight: Given = None, bias: Given = None, *_: object, **__: object
) -> TensorFact:
    check_per_channel(scope, "instance_norm", x.shape[1], weight=weight, bias=bias)
    return dense_like(x)


def _normalised(x: TensorFact, groups: Size, weight: Given, bias: Given) -> Work:
    return (_AROUND * x.numel + normalise(x.numel, groups, given(weight, bias))).work(1, torch.float32)


def _layer_norm_cost(
    y: TensorFact, x: TensorFact, normalized_shape: Any, weight: Given = None, bias: Given = None, *_: object, **__: object
) -> Work:
    return _normalised(x, prod(x.shape[: x.ndim - len(normalized_shape)]), weight, bias)


def _group_norm_cost(
    y: TensorFact, x: TensorFact, num_groups: int, weight: Given = None, bias: Given = None, *_: object, **__: object
) -> Work:
    return _normalised(x, x.shape[0] * num_groups, weight, bias)


def _instance_norm_cost(
    y: TensorFact, x: TensorFact, weight: Given = None, bias: Given = None, *_: object, **__: object
) -> Work:
    return _normalised(x, x.shape[0] * x.shape[1], weight, bias)


# -- products -----------------------------------------------------------------------------------------------------------
def product(scope: Scope, a: TensorFact, b: TensorFact, *_: object, **__: object) -> TensorFact:
    return a.new(matmul_shape(scope, _floats(a), _floats(b)).shape)


def _product_cost(y: TensorFact, a: TensorFact, b: TensorFact, *_: object, **__: object) -> Work:
    macs = y.numel * a.shape[-1]
    return Work(macs, contraction(torch.int8, macs).flops + SCALED_ANEW.work(y.numel, torch.float32).flops)


_LIMITS = Zero("compares integers", moves=True)

OPS: tuple[Op, ...] = (
    *(
        op(f"quantized.{name}", shape=activated, cost=_activated_cost(formula), differentiable=False)
        for name, formula in {
            **{name: ACTIVATIONS[name] for name in ("hardswish", "leaky_relu", "celu")},
            "elu": _ELU, "prelu": ACTIVATIONS["leaky_relu"], "sigmoid": Scalars(fn=1),
        }.items()
    ),
    op("quantized.softmax", shape=activated, cost=_softmax_cost, differentiable=False),
    *(
        op(f"quantized.{name}", shape=activated, cost=_LIMITS, differentiable=False)
        for name in ("threshold", "clamp", "relu6")
    ),
    op("quantized.dropout", shape=unchanged, cost=Zero("nothing is dropped where nothing is trained"), differentiable=False),
    op(
        *[f"quantized.batch_norm{d}{relu}" for d in ("2d", "1d", "3d", "") for relu in ("", "_relu")],
        shape=batch_norm, cost=_batch_norm_cost, differentiable=False,
    ),
    op("quantized.layer_norm", shape=layer_norm, cost=_layer_norm_cost, differentiable=False),
    op("quantized.group_norm", shape=group_norm, cost=_group_norm_cost, differentiable=False),
    op("quantized.instance_norm", shape=instance_norm, cost=_instance_norm_cost, differentiable=False),
    op("quantized.matmul", shape=product, cost=_product_cost, kind="product", differentiable=False),
)  # fmt: skip
