"""Gradients of layers, as ATen names them in graphs of a training step: convolution, normalisation, attention. Those of
pooling, resampling, padding and look-ups are in ``backward_spatial.py``.

Shapes:  as the operands the gradients are for; ``None`` where ``output_mask`` asks for none
Counts:  convolution  the macs of the forward, once for the input and once for the weight; numel(g) - C_out additions for a bias
         layer_norm   n elements in r groups, s = the sums over what shares a parameter (n - numel(weight) additions each):
                      input  x^ = (x - mean) * rstd 2n, with a weight g*w n, sum of g 1n - r, of g*x^ 2n - r,
                             rstd * (g - (sum_g + x^ * sum_gx) / n) 5n  =  10n - 2r, + n
                      weight sum of g*x^: n + s;  bias  sum of g: s.  group_norm and batch_norm on batch statistics alike;
                      on running ones input g * (w * rstd): n + C
         rms_norm     x^ = x * rstd n, g*w n, sum of g*x^ 2n - r, rstd * (g - x^ * sum / n) 4n = 7n - r, + n; weight n + s
         attention    P pairs of query and key, widths D and V: five products, macs = P * (3*D + 2*V);
                      flops = 2*macs + per pair scale, exp(s - lse), p * (dp - delta), scale: 6 (1 more with a mask)
                      + sums of g*y, (2*V - 1) per query
Source:  ATen/native/ConvUtils.h, layer_norm.cpp, FlashAttentionKernel.cpp; derivatives of the definitions

>>> import torch
>>> g, x, w = (TensorFact(s, torch.float32) for s in ((2, 8, 5, 5), (2, 3, 7, 7), (8, 3, 3, 3)))
>>> args = (g, x, w, [8], [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [True, True, True])
>>> _convolution_cost(convolution_backward(Scope({}), *args), *args).macs == 2 * 2 * 8 * 25 * 27
True
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fxcount.ops.contraction.matmul import contraction
from fxcount.ops.core.arguments import Results, Sizes
from fxcount.ops.core.binding import Overloads
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import channels_last_or_dense, dense_like, is_channels_last
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.core.striding import channels_last_layout, heads_inside
from fxcount.ops.normalise.batchnorm import given
from fxcount.symbolic import Scope, Size, prod

__all__ = ["OPS"]

Given = TensorFact | None


def _asked(mask: Sequence[bool], *facts: Given) -> tuple[Given, ...]:
    return tuple(fact if wanted else None for fact, wanted in zip(facts, mask, strict=True))


# --- convolution -----------------------------------------------------------------------------------------------------


def convolution_backward(
    scope: Scope, g: TensorFact, x: TensorFact, weight: TensorFact, bias_sizes: Sequence[Size], stride: Sizes,
    padding: Sizes, dilation: Sizes, transposed: bool, output_padding: Sizes, groups: Size, output_mask: Sequence[bool],
) -> tuple[Given, ...]:  # fmt: skip
    channels_last = is_channels_last(x) or is_channels_last(weight)
    dx, dw = (
        TensorFact(t.shape, t.dtype, t.device, channels_last_layout(t.shape) if channels_last else None) for t in (x, weight)
    )
    return _asked(output_mask, dx, dw, g.new((g.shape[1],)))


def _convolution_cost(
    y: Results, g: TensorFact, x: TensorFact, weight: TensorFact, bias_sizes: Sequence[Size], stride: Sizes,
    padding: Sizes, dilation: Sizes, transposed: bool, output_padding: Sizes, groups: Size, output_mask: Sequence[bool],
) -> Work:  # fmt: skip
    met = x if transposed else g  # whose positions meet the whole weight
    macs = weight.numel * met.shape[0] * prod(met.shape[2:])
    once = contraction(g.dtype, macs)
    products = sum(output_mask[:2])
    summed = Scalars(add=g.numel - g.shape[1]).work(1, g.dtype).flops if output_mask[2] else 0
    return Work(once.macs * products, once.flops * products + summed)


# --- normalisation ---------------------------------------------------------------------------------------------------


def _norm_work(x: TensorFact, groups: Size, weight: Given, parameter: Size, output_mask: Sequence[bool]) -> Work:
    n = x.numel
    for_input = (11 if weight is not None else 10) * n - 2 * groups if output_mask[0] else 0
    shared = n - parameter
    for_weight = n + shared if output_mask[1] else 0
    for_bias = shared if output_mask[2] else 0
    return Scalars(add=for_input + for_weight + for_bias).work(1, x.dtype)


def layer_norm_backward(
    scope: Scope, g: TensorFact, x: TensorFact, shape: Any, mean: TensorFact, rstd: TensorFact, weight: Given, bias: Given,
    output_mask: Sequence[bool],
) -> tuple[Given, ...]:  # fmt: skip
    parameter = x.new(tuple(shape), weight.dtype if weight is not None else None)
    return _asked(output_mask, x.new(x.shape), parameter, parameter)  # row-major, however the input lies


def _layer_norm_cost(
    y: Results, g: TensorFact, x: TensorFact, shape: Sequence[Size], mean: TensorFact, rstd: TensorFact, weight: Given,
    bias: Given, mask: Sequence[bool],
) -> Work:
    return _norm_work(x, prod(x.shape[: x.ndim - len(shape)]), weight, prod(shape), mask)


def group_norm_backward(
    scope: Scope, g: TensorFact, x: TensorFact, mean: TensorFact, rstd: TensorFact, weight: Given, N: Size, C: Size, HxW: Size,
    group: int, output_mask: Sequence[bool],
) -> tuple[Given, ...]:  # fmt: skip
    parameter = x.new((C,), weight.dtype if weight is not None else None)
    return _asked(output_mask, x.new(x.shape), parameter, parameter)


def _group_norm_cost(
    y: Results, g: TensorFact, x: TensorFact, mean: Any, rstd: Any, weight: Given, N: Size, C: Size, HxW: Size, group: int,
    output_mask: Sequence[bool],
) -> Work:  # fmt: skip
    return _norm_work(x, N * group, weight, C, output_mask)


def batch_norm_backward(
    scope: Scope, g: TensorFact, *, x: TensorFact, weight: Given, train: bool, output_mask: Sequence[bool], **_: object
) -> tuple[Given, ...]:
    parameter = x.new((x.shape[1],), weight.dtype if weight is not None else None)
    return _asked(output_mask, channels_last_or_dense(x, x.shape), parameter, parameter)


def _batch_norm_cost(
    y: Results, g: TensorFact, *, x: TensorFact, weight: Given, train: bool, output_mask: Sequence[bool], **_: object
) -> Work:
    channels = x.shape[1]
    if train:
        return _norm_work(x, channels, weight, channels, output_mask)
    parameters = _norm_work(x, channels, weight, channels, (False, *output_mask[1:]))
    normalised = 2 * x.numel if output_mask[1] else 0  # no x^ is at hand
    folded = x.numel + channels * given(weight) if output_mask[0] else 0
    return Work(flops=parameters.flops + Scalars(add=normalised + folded).work(1, x.dtype).flops)


def fused_rms_norm_backward(
    scope: Scope, g: TensorFact, x: TensorFact, shape: Any, rstd: TensorFact, weight: Given, output_mask: Sequence[bool]
) -> tuple[Given, ...]:
    return _asked(output_mask, dense_like(x), x.new(tuple(shape), weight.dtype if weight is not None else None))


def _rms_norm_cost(
    y: Results, g: TensorFact, x: TensorFact, shape: Any, rstd: TensorFact, weight: Given, output_mask: Sequence[bool]
) -> Work:
    n, groups = x.numel, prod(x.shape[: x.ndim - len(shape)])
    for_input = (8 if weight is not None else 7) * n - groups if output_mask[0] else 0
    for_weight = 2 * n - prod(shape) if output_mask[1] else 0
    return Scalars(add=for_input + for_weight).work(1, x.dtype)


# --- attention -------------------------------------------------------------------------------------------------------


def attention_backward(
    scope: Scope, g: TensorFact, *, query: TensorFact, key: TensorFact, value: TensorFact, **_: object
) -> tuple[TensorFact, ...]:
    return heads_inside(query), heads_inside(key), heads_inside(value)


def attention_backward_with_bias(
    scope: Scope, g: TensorFact, *, query: TensorFact, key: TensorFact, value: TensorFact, attn_mask: Given,
    grad_input_mask: Sequence[bool], **_: object,
) -> tuple[Given, ...]:  # fmt: skip
    """The efficient kernel: also for the bias, ``grad_input_mask`` saying for which."""
    empty = attn_mask if attn_mask is not None else query.new((0,))
    return _asked(grad_input_mask, dense_like(query), dense_like(key), dense_like(value), dense_like(empty))


def _attention_cost(
    y: Results, g: TensorFact, *, query: TensorFact, key: TensorFact, value: TensorFact, attn_mask: Given = None, **_: object
) -> Work:
    rows = prod(query.shape[:-1])
    pairs = rows * key.shape[-2]
    macs = contraction(query.dtype, pairs * (3 * query.shape[-1] + 2 * value.shape[-1]))
    masked = attn_mask is not None
    others = pairs * (7 if masked else 6) + rows * (2 * value.shape[-1] - 1)
    return Work(macs.macs, macs.flops + others, pairs)


_DRAWING = ("_scaled_dot_product_cudnn_attention_backward",)  # draws its mask of dropout again; the others saved it
_FLASH = (
    "_scaled_dot_product_flash_attention_for_cpu_backward", "_scaled_dot_product_flash_attention_backward",
    "_scaled_dot_product_cudnn_attention_backward",
)  # fmt: skip

# The gradient of the result is the operand; what else kernels call differently.
_BATCH_NORM = Overloads(renamed=(("input", "x"), ("update", "train")))
_ATTENTION = Overloads(renamed=(("attn_bias", "attn_mask"),))

OPS: tuple[Op, ...] = (
    op("convolution_backward", shape=convolution_backward, cost=_convolution_cost),
    op("native_layer_norm_backward", shape=layer_norm_backward, cost=_layer_norm_cost),
    op("native_group_norm_backward", shape=group_norm_backward, cost=_group_norm_cost),
    *(
        op(name, shape=batch_norm_backward, cost=_batch_norm_cost, overloads=_BATCH_NORM)
        for name in ("native_batch_norm_backward", "batch_norm_backward")
    ),
    op("_fused_rms_norm_backward", shape=fused_rms_norm_backward, cost=_rms_norm_cost),
    *(
        op(name, shape=attention_backward, cost=_attention_cost, random=name in _DRAWING, overloads=_ATTENTION)
        for name in _FLASH
    ),
    op(
        "_scaled_dot_product_efficient_attention_backward", shape=attention_backward_with_bias, cost=_attention_cost,
        random=True, overloads=_ATTENTION,
    ),
)
