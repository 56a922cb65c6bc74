"""Gradients of pooling, resampling, padding, look-ups and slices, as ATen names them in graphs of a training step.

Shapes:  as the operand the gradient is for
Counts:  a maximum passes one addition per element of g; an average divides g and adds it to every element of the window:
         numel(g) * (K + 1); adaptive windows hold the elements that ``pooling.py`` counts
         resampling is the transpose of the forward, one dimension after the other: b(n) = t + t*b(n - 1), b(0) = 1 flops per
         element of g with t taps: 4, 10, 22 linear, 36 bicubic, 1 nearest; antialiased, t*max(I, O) taps of a line, 2 each
         padding, unfold, embedding: an addition per element of g; slices copy
Source:  ATen/native/cpu/AvgPoolKernel.cpp, UpSampleMoreKernel.cpp; the transposes of the forward definitions

>>> import torch
>>> g, x = TensorFact((2, 3, 4, 4), torch.float32), TensorFact((2, 3, 8, 8), torch.float32)
>>> _avg_cost(2)(_as_input(Scope({}), g, x), g, x, 2).flops
480
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Sizes
from fxcount.ops.core.common import as_tuple, same_shape, shape_text
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import channels_last_or_dense, dense_like
from fxcount.ops.core.registry import CostRule, Op, Zero, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.spatial.pooling import adaptive_elements
from fxcount.symbolic import Scope, Size, max_, prod

__all__ = ["OPS"]


def _as_input(scope: Scope, g: TensorFact, x: TensorFact, *_: object, **__: object) -> TensorFact:
    return channels_last_or_dense(x, x.shape)


def _passed(y: TensorFact, g: TensorFact, *_: object, **__: object) -> Work:
    """An addition for each element of the gradient that comes in."""
    return Scalars(add=1).work(g.numel, g.dtype)


def _avg_cost(n: int) -> CostRule:
    def cost(y: TensorFact, g: TensorFact, x: TensorFact, kernel_size: Sizes, *_: object, **__: object) -> Work:
        return Scalars(add=prod(as_tuple(kernel_size, n)), div=1).work(g.numel, g.dtype)

    return cost


def _adaptive_avg_cost(n: int) -> CostRule:
    def cost(y: TensorFact, g: TensorFact, x: TensorFact) -> Work:
        return Scalars(add=adaptive_elements(g, x, n) + g.numel).work(1, g.dtype)

    return cost


def resized_backward(
    scope: Scope, g: TensorFact, output_size: object, input_size: Sequence[Size], *_: object, **__: object
) -> TensorFact:
    return channels_last_or_dense(g, tuple(input_size))


def _taps_cost(n: int, taps: int) -> CostRule:
    flops = 1
    for _ in range(n):
        flops = taps + taps * flops

    def cost(y: TensorFact, g: TensorFact, *_: object, **__: object) -> Work:
        return Scalars(add=flops).work(g.numel, g.dtype)

    return cost


def _antialias_cost(taps: int) -> CostRule:
    def cost(y: TensorFact, g: TensorFact, *_: object, **__: object) -> Work:
        n, c, rows, columns = y.shape
        out_rows, out_columns = g.shape[-2:]
        down = 2 * taps * max_(rows, out_rows) * out_columns
        across = 2 * taps * max_(columns, out_columns) * rows
        return Scalars(add=1).work(n * c * (down + across), g.dtype)

    return cost


# --- look-ups and slices ---------------------------------------------------------------------------------------------


def embedding_backward(
    scope: Scope, g: TensorFact, indices: TensorFact, num_weights: Size, padding_idx: Any, scale_grad_by_freq: bool
) -> TensorFact:
    return g.new((num_weights, g.shape[-1]))


def _of_sizes(scope: Scope, g: TensorFact, input_sizes: Sequence[Size], *_: object, **__: object) -> TensorFact:
    return g.new(tuple(input_sizes))


def strided_scatter(
    scope: Scope, x: TensorFact, src: TensorFact, size: Sequence[Size], stride: object, storage_offset: object = None
) -> TensorFact:
    if not same_shape(scope, src.shape, size):
        raise ShapeError(f"as_strided_scatter: {shape_text(src.shape)} does not fit {shape_text(size)}")
    return dense_like(x)


def masked_scatter_backward(scope: Scope, g: TensorFact, mask: TensorFact, sizes: Sequence[Size]) -> TensorFact:
    return g.new(tuple(sizes))


_COPY = Zero("copies elements", moves=True)
_LINEAR = (
    ("upsample_linear1d", 1, 2), ("upsample_bilinear2d", 2, 2), ("upsample_trilinear3d", 3, 2), ("upsample_bicubic2d", 2, 4),
)  # fmt: skip
_NEAREST = [f"{name}{n}d_backward" for name in ("upsample_nearest", "_upsample_nearest_exact") for n in (1, 2, 3)]
_MAXIMA = (
    "max_pool2d_with_indices_backward", "max_pool3d_with_indices_backward", "adaptive_max_pool2d_backward",
    "adaptive_max_pool3d_backward", "fractional_max_pool2d_backward", "fractional_max_pool3d_backward",
)  # fmt: skip
_PADS = [f"{mode}_pad{n}d_backward" for mode in ("reflection", "replication") for n in (1, 2, 3)]

OPS: tuple[Op, ...] = (
    *(op(name, shape=_as_input, cost=_passed) for name in (*_MAXIMA, *_PADS)),
    *(op(f"avg_pool{n}d_backward", shape=_as_input, cost=_avg_cost(n)) for n in (2, 3)),
    *(op(f"_adaptive_avg_pool{n}d_backward", shape=_as_input, cost=_adaptive_avg_cost(n)) for n in (2, 3)),
    *(op(name, shape=resized_backward, cost=_passed) for name in _NEAREST),
    *(op(f"{name}_backward", shape=resized_backward, cost=_taps_cost(n, taps)) for name, n, taps in _LINEAR),
    op("_upsample_bilinear2d_aa_backward", shape=resized_backward, cost=_antialias_cost(2)),
    op("_upsample_bicubic2d_aa_backward", shape=resized_backward, cost=_antialias_cost(4)),
    op("embedding_dense_backward", shape=embedding_backward, cost=_passed),
    op("unfold_backward", shape=_of_sizes, cost=_passed),
    *(op(name, shape=_of_sizes, cost=_COPY) for name in ("select_backward", "slice_backward", "diagonal_backward")),
    op("as_strided_scatter", shape=strided_scatter, cost=_COPY),
    op("masked_scatter_backward", shape=masked_scatter_backward, cost=_COPY),
)
