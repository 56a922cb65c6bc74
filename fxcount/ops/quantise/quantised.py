"""Quantisation in floating point (``fake_quantize_*``, as quantisation-aware training has it) and products with packed
integer weights.

Letters: n elements in r rows of one scale each (per tensor: 1); x (M, K), weights of N rows
Counts:  fake quantisation, per element: times 1/scale, plus zero point, rounded, clipped (2 comparisons), minus zero point,
         times scale = 7; with the mask of what was not clipped 2 comparisons more; r divisions for 1/scale
         observed as well: minimum and maximum 2*(n - r), moving averages 2*3*r, scale and zero point of a row 10
         int8 weights: macs = M*N*K, a product with the scale per element of the result; int4 weights: every weight is
         first made a float, q*scale + zero: 2*N*K
Raises:  ShapeError: scales that do not fit the channels; inner sizes that do not match
Source:  ATen/native/quantized/cpu/kernels/FakeQuantKernels.cpp, ATen/native/cpu/int8mm_kernel.cpp, int4mm_kernel.cpp

>>> x = TensorFact((2, 5), torch.float32)
>>> _cost(_ROUNDED)(per_tensor(Scope({}), x, 0.1, 0, 0, 255), x, 0.1, 0, 0, 255).flops
71
"""

from __future__ import annotations

from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.contraction.matmul import contraction, require
from fxcount.ops.core.arguments import Results
from fxcount.ops.core.binding import Overloads
from fxcount.ops.core.common import shape_text, wrap_dim
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import dense_like
from fxcount.ops.core.registry import CostRule, Op, Zero, op
from fxcount.ops.core.scalars import Scalars
from fxcount.symbolic import Scope, floordiv

__all__ = ["OPS", "per_channel", "per_tensor"]

_ROUNDED = Scalars(add=5, mul=2)
_MASKED = _ROUNDED + Scalars(add=2)
_MASK = (True, False)


def per_tensor(scope: Scope, x: TensorFact, scale: Any, zero_point: Any, quant_min: int, quant_max: int) -> TensorFact:
    return dense_like(x)


def _cost(per_element: Scalars) -> CostRule:
    """Each element, and the inverse of each scale: one number, a tensor of one, or one for each channel."""

    def cost(y: Results, x: TensorFact, scale: Any, *_: object) -> Work:
        scales = scale.numel if isinstance(scale, TensorFact) else 1
        return (per_element * x.numel + Scalars(div=1) * scales).work(1, x.dtype)

    return cost


def per_tensor_masked(scope: Scope, x: TensorFact, *_: object) -> tuple[TensorFact, TensorFact]:
    """Also which elements were within the range."""
    return dense_like(x), dense_like(x, torch.bool)


def per_channel(
    scope: Scope, x: TensorFact, scale: TensorFact, zero_point: TensorFact, axis: int, quant_min: int, quant_max: int
) -> TensorFact:
    channels = x.shape[wrap_dim(axis, x.ndim, "axis")]
    for what, given in (("scale", scale), ("zero_point", zero_point)):
        if not scope.same(given.numel, channels, f"fake_quantize: a {what} for each channel"):
            raise ShapeError(f"fake_quantize: {given.numel} values of {what} for {channels} channels of {shape_text(x.shape)}")
    return dense_like(x)


def per_channel_masked(scope: Scope, x: TensorFact, *args: Any) -> tuple[TensorFact, TensorFact]:
    y = per_channel(scope, x, *args)
    return y, dense_like(x, torch.bool)


def observed(scope: Scope, x: TensorFact, *_: object, **__: object) -> TensorFact:
    """``fused_moving_avg_obs_fake_quant(x, observer_on, fake_quant_on, running_min, running_max, scale, zero_point, ...)``."""
    return dense_like(x)


def observed_masked(scope: Scope, x: TensorFact, *_: object, **__: object) -> tuple[TensorFact, TensorFact]:
    return per_tensor_masked(scope, x)


def _observed_cost(per_element: Scalars) -> CostRule:
    def cost(
        y: object, x: TensorFact, on: object, fake: object, low: object, high: object, scale: TensorFact, *_: object,
        **__: object,
    ) -> Work:  # fmt: skip
        rows = scale.numel
        seen = Scalars(add=2 * (x.numel - rows)) + Scalars(add=4, mul=2) * rows
        parameters = Scalars(add=8, div=2) * rows
        return (seen + parameters + per_element * x.numel + Scalars(div=rows)).work(1, x.dtype)

    return cost


def int8_product(scope: Scope, x: TensorFact, weight: TensorFact, scales: TensorFact) -> TensorFact:
    """x (M, K), weight (N, K) -> (M, N)."""
    require(scope, x.shape[-1], weight.shape[-1], "_weight_int8pack_mm: inner sizes must match", x.shape, weight.shape)
    require(scope, weight.shape[0], scales.numel, "_weight_int8pack_mm: a scale for each row", weight.shape, scales.shape)
    return x.new((x.shape[0], weight.shape[0]))


def _int8_cost(y: TensorFact, x: TensorFact, weight: TensorFact, scales: TensorFact) -> Work:
    return contraction(x.dtype, y.numel * x.shape[-1], Scalars(mul=y.numel))


def int4_product(scope: Scope, x: TensorFact, *, scales: TensorFact, **_: object) -> TensorFact:
    """x (M, K), packed weights, scales and zeros (K / group, N, 2), or scales (K / group, N) -> (M, N)."""
    return x.new((x.shape[0], scales.shape[1]))


def _int4_cost(y: TensorFact, x: TensorFact, **_: object) -> Work:
    k, n = x.shape[-1], y.shape[-1]
    return contraction(x.dtype, y.numel * k, Scalars(add=n * k, mul=n * k))


def packed_for_cpu(scope: Scope, weight: TensorFact, inner_tiles: int) -> TensorFact:
    """weight (N, K) of int32 -> (N, K/2) bytes."""
    return weight.new((weight.shape[0], floordiv(weight.shape[1], 2)), torch.uint8)


def packed_in_tiles(scope: Scope, weight: TensorFact, inner_tiles: int) -> TensorFact:
    """weight (N, K/2) bytes -> (N/8, K/(16*tiles), 32, tiles/2)."""
    n, k = weight.shape[0], 2 * weight.shape[1]
    return weight.new((floordiv(n, 8), floordiv(k, inner_tiles * 16), 32, inner_tiles // 2), torch.int32)


def packed_with_scales(
    scope: Scope, weight: TensorFact, scales: TensorFact, bias: TensorFact | None, block: int, inputs: int, outputs: int
) -> TensorFact:
    """Weights, scales and the bias in one row."""
    return weight.new((weight.numel + scales.numel + (0 if bias is None else bias.numel),), torch.float32)


def dynamic_product(
    scope: Scope, x: TensorFact, packed: TensorFact, block: int, inputs: int, outputs: int
) -> TensorFact:
    """x (M, K), which is quantised as it comes, and N rows of four bits -> (M, N)."""
    require(scope, x.shape[-1], inputs, "_dyn_quant_matmul_4bit: inner sizes must match", x.shape, (outputs, inputs))
    return x.new((x.shape[0], outputs))


def _dynamic_cost(y: TensorFact, x: TensorFact, packed: TensorFact, block: int, inputs: int, outputs: int) -> Work:
    """macs of integers; per row of x minimum and maximum, scale and zero point; quantise 5; a scale for each block of a
    weight's row, and the sum over blocks."""
    rows, blocks = x.shape[0], inputs // block
    macs = y.numel * inputs
    seen = Scalars(add=2 * (x.numel - rows) + 8 * rows, div=2 * rows) + Scalars(add=4, mul=1) * x.numel
    scaled = Scalars(add=blocks - 1, mul=blocks) * y.numel
    return Work(macs, contraction(torch.int8, macs).flops + (seen + scaled).work(1, torch.float32).flops)


_PACKS = Zero("copies elements", moves=True)
_FAKE = "fake_quantize_per_tensor_affine"
_WRITES = (3, 4, 5, 6)

OPS: tuple[Op, ...] = (
    op(_FAKE, shape=per_tensor, cost=_cost(_ROUNDED)),
    op("fake_quantize_per_channel_affine", shape=per_channel, cost=_cost(_ROUNDED)),
    op(f"{_FAKE}_cachemask", shape=per_tensor_masked, cost=_cost(_MASKED), differentiable=_MASK),
    op(
        "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams", shape=per_tensor_masked, cost=_cost(_MASKED),
        differentiable=_MASK,
    ),
    op(
        "fake_quantize_per_channel_affine_cachemask", shape=per_channel_masked, cost=_cost(_MASKED),
        differentiable=_MASK,
    ),
    op("fused_moving_avg_obs_fake_quant", shape=observed, cost=_observed_cost(_ROUNDED), writes=_WRITES),
    op(
        "_fused_moving_avg_obs_fq_helper", shape=observed_masked, cost=_observed_cost(_MASKED), writes=_WRITES,
        differentiable=_MASK,
    ),
    op("_convert_weight_to_int4pack_for_cpu", shape=packed_for_cpu, cost=_PACKS, differentiable=False),
    op("_convert_weight_to_int4pack", shape=packed_in_tiles, cost=_PACKS, differentiable=False),
    op("_dyn_quant_pack_4bit_weight", shape=packed_with_scales, cost=_PACKS, differentiable=False),
    op(
        "_dyn_quant_matmul_4bit", shape=dynamic_product, cost=_dynamic_cost, kind="linear", differentiable=False,
        quantises="int8",
    ),
    op("_weight_int8pack_mm", shape=int8_product, cost=_int8_cost),
    op(
        "_weight_int4pack_mm", "_weight_int4pack_mm_for_cpu", "_weight_int4pack_mm_with_scales_and_zeros", shape=int4_product,
        cost=_int4_cost, overloads=Overloads(renamed=(("qScaleAndZeros", "scales"), ("qScale", "scales"))),
    ),
)  # fmt: skip
