"""Normalisation by statistics of each sample (layer, group, RMS norm) and of weights; batch norm is next door.

Letters: n = elements normalised together, r = number of such groups = numel(x) / n.
Shapes:  as the input
Counts:  layer_norm, group_norm: 5*numel + 3*r, plus numel for each of weight and bias (derived in ``batchnorm.py``)
         rms_norm: n multiplications, n-1 additions, 1 division per group; + eps, sqrt, 1/; x * rstd:
         3*numel + 3*r, plus numel with a weight
         weight norm: per row of n, n multiplications, n-1 additions, a square root; g / norm; v * ratio:
         3*numel + r
Raises:  ShapeError: parameters that do not fit, groups that do not divide the channels
Source:  the definitions; rsqrt is a square root and a division

>>> x = TensorFact((2, 5), torch.float32)
>>> layer_norm(Scope({}), x, (5,)).shape, _layer_norm_cost(x, x, (5,)).flops
((2, 5), 56)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Given, Results
from fxcount.ops.core.common import promote, shape_text, wrap_dim
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import channels_last_or_dense, dense_like, is_channels_last
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.normalise import batchnorm
from fxcount.ops.normalise.batchnorm import (
    Parameter,
    check_float,
    check_per_channel,
    given,
    normalise,
    reciprocal_deviation,
    scale_shift,
    stat_dtype,
)
from fxcount.symbolic import Scope, Size, prod
from fxcount.torch_private import VERSION

__all__ = ["OPS", "group_norm", "layer_norm", "rms_norm"]


def _check_normalized(scope: Scope, name: str, x: TensorFact, normalized_shape: Sequence[Size], **given: Any) -> int:
    k = len(normalized_shape)
    tail = x.shape[x.ndim - k :]
    wanted = tuple(normalized_shape)
    if not 1 <= k <= x.ndim or not all(
        scope.same(a, b, f"{name} normalises the last dimensions") for a, b in zip(tail, wanted, strict=True)
    ):
        raise ShapeError(f"{name}: normalized_shape={shape_text(wanted)}, but the input ends in {shape_text(tail)}")
    for label, p in given.items():
        if isinstance(p, TensorFact) and (p.ndim != k or not all(map(scope.same, p.shape, wanted))):
            raise ShapeError(f"{name}: {label} is {shape_text(p.shape)}, expected {shape_text(wanted)}")
    return k


def layer_norm(
    scope: Scope,
    x: TensorFact,
    normalized_shape: Sequence[Size],
    weight: Parameter = None,
    bias: Parameter = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> TensorFact:
    """Normalised over the last dimensions."""
    check_float("layer_norm", x)
    _check_normalized(scope, "layer_norm", x, normalized_shape, weight=weight, bias=bias)
    return x.new(x.shape)


def _groups(x: TensorFact, normalized_shape: Sequence[Size]) -> Size:
    return prod(x.shape[: x.ndim - len(normalized_shape)])


def _layer_norm_cost(
    y: object, x: TensorFact, normalized_shape: Sequence[Size], weight: Given = None, bias: Given = None, *_: object,
    **__: object,
) -> Work:
    return normalise(x.numel, _groups(x, normalized_shape), given(weight, bias)).work(1, x.dtype)


def _layer_norm_saved(
    y: object, x: TensorFact, normalized_shape: Sequence[Size], weight: Given = None, *_: object, **__: object
) -> Size:
    """Mean and reciprocal deviation of every group."""
    return 2 * _groups(x, normalized_shape) * stat_dtype(x, weight).itemsize


def native_layer_norm(
    scope: Scope, x: TensorFact, normalized_shape: Sequence[Size], weight: Parameter, bias: Parameter, eps: float
) -> tuple[TensorFact, TensorFact, TensorFact]:
    """The ATen form: also mean and reciprocal deviation."""
    y = layer_norm(scope, x, normalized_shape, weight, bias)
    lead = x.ndim - len(normalized_shape)
    saved = x.new((*x.shape[:lead], *(1 for _ in normalized_shape)), stat_dtype(x, weight))
    return y, saved, saved


def group_norm(
    scope: Scope,
    x: TensorFact,
    num_groups: int,
    weight: Parameter = None,
    bias: Parameter = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> TensorFact:
    """x (N, C, *I), normalised per sample and group of C/G channels."""
    check_float("group_norm", x)
    if x.ndim < 2:
        raise ShapeError(f"group_norm: x needs 2 dimensions or more, got {shape_text(x.shape)}")
    if not scope.divisible(x.shape[1], num_groups, "group_norm splits the channels"):
        raise ShapeError(f"group_norm: {x.shape[1]} channels cannot be split into {num_groups} groups")
    check_per_channel(scope, "group_norm", x.shape[1], weight=weight, bias=bias)
    return channels_last_or_dense(x, x.shape) if x.device.type == "cpu" else x.new(x.shape)


def _group_norm_cost(
    y: Results, x: TensorFact, num_groups: int, weight: Given = None, bias: Given = None, *_: object, **__: object
) -> Work:
    return normalise(x.numel, x.shape[0] * num_groups, given(weight, bias)).work(1, x.dtype)


def _group_norm_saved(y: Results, x: TensorFact, num_groups: int, weight: Given = None, *_: object, **__: object) -> Size:
    copied = 0 if x.strides is None or is_channels_last(x) else x.nbytes
    return 2 * x.shape[0] * num_groups * stat_dtype(x, weight).itemsize + copied


def native_group_norm(
    scope: Scope, x: TensorFact, weight: Parameter, bias: Parameter, N: Size, C: Size, HxW: Size, group: int, eps: float
) -> tuple[TensorFact, TensorFact, TensorFact]:
    """The ATen form, with the sizes spelled out: also mean and reciprocal deviation."""
    fits = scope.same(x.shape[0], N, "native_group_norm: N") and scope.same(x.shape[1], C, "native_group_norm: C")
    if not fits or not scope.same(x.numel, N * C * HxW, "native_group_norm: HxW"):
        raise ShapeError(f"native_group_norm: x is {shape_text(x.shape)}, N={N}, C={C}, HxW={HxW}")
    saved = x.new((N, group), stat_dtype(x, weight))
    return group_norm(scope, x, group, weight, bias), saved, saved


def _native_group_cost(y: Results, x: TensorFact, weight: Given, bias: Given, N: Any, C: Any, HxW: Any, g: int, e: Any) -> Work:
    return _group_norm_cost(y, x, g, weight, bias)


def rms_norm(
    scope: Scope, x: TensorFact, normalized_shape: Sequence[Size], weight: Parameter = None, eps: Any = None
) -> TensorFact:
    """``x / sqrt(mean(x*x) + eps) * weight`` over the last dimensions, in the dtype of ``x``; before 2.7 in the product's."""
    check_float("rms_norm", x, allow_complex=True)
    _check_normalized(scope, "rms_norm", x, normalized_shape, weight=weight)
    return channels_last_or_dense(x, x.shape, x.dtype if weight is None or VERSION >= (2, 7) else promote(x, weight))


def _rms_norm_cost(y: Results, x: TensorFact, normalized_shape: Sequence[Size], weight: Given = None, eps: Any = None) -> Work:
    """The mean of squares is numel multiplications, numel - r additions and r divisions."""
    groups = reciprocal_deviation(_groups(x, normalized_shape))
    scalars = (Scalars(add=1, mul=2) + scale_shift(given(weight))) * x.numel + groups
    return scalars.work(1, x.dtype)


def _rms_norm_held(
    y: TensorFact, x: TensorFact, normalized_shape: Sequence[Size], weight: Given = None, eps: Any = None
) -> Size:
    """The composite kernel's intermediates; half precision is computed in float32, before 2.7 all but the weight's product."""
    groups = _groups(x, normalized_shape)
    if x.itemsize >= 4:
        return x.nbytes + groups * x.itemsize if weight is not None else 2 * groups * x.itemsize
    wide = 4 * x.numel
    if VERSION < (2, 7):
        widest = max(4, y.itemsize) * x.numel  # the quotient before it is made x's dtype, or the result
        return wide + 4 * groups + x.nbytes + widest - y.nbytes
    held = 3 * wide + 4 * groups if weight is not None else 2 * wide + 8 * groups
    return held - x.nbytes


def fused_rms_norm(
    scope: Scope, x: TensorFact, normalized_shape: Sequence[Size], weight: Parameter = None, eps: Any = None
) -> tuple[TensorFact, TensorFact]:
    """The ATen form: also the reciprocal root mean square of every group."""
    y = rms_norm(scope, x, normalized_shape, weight, eps)
    lead = x.ndim - len(normalized_shape)
    saved = torch.float32 if x.itemsize < 4 else x.dtype
    return y, x.new((*x.shape[:lead], *(1 for _ in normalized_shape)), saved)


def _weight_dim(v: TensorFact, dim: int) -> int | None:
    # torch takes dim = -1 here for "the norm over everything", unlike everywhere else
    return None if dim == -1 else wrap_dim(dim, v.ndim)


def _norm_shape(v: TensorFact, dim: int) -> tuple[Size, ...]:
    keep = _weight_dim(v, dim)
    return () if keep is None else tuple(n if d == keep else 1 for d, n in enumerate(v.shape))


def weight_norm(scope: Scope, v: TensorFact, g: TensorFact, dim: int = 0) -> TensorFact:
    """``v * (g / norm(v))``, the norm over all dimensions but ``dim``."""
    wrap_dim(dim, v.ndim)
    return dense_like(v)


def weight_norm_interface(scope: Scope, v: TensorFact, g: TensorFact, dim: int = 0) -> tuple[TensorFact, TensorFact]:
    """The ATen form: also the norms."""
    return weight_norm(scope, v, g, dim), g.new(g.shape, torch.float32 if g.dtype is torch.bfloat16 else g.dtype)


def _weight_norm_cost(y: Results, v: TensorFact, g: TensorFact, dim: int = 0) -> Work:
    return _row_norms(v, g.numel, 1)


def _row_norms(v: TensorFact, r: Size, scaled: int) -> Work:
    per_element = Scalars(add=1, mul=1 + scaled)
    return (per_element * v.numel + Scalars(add=-1, root=1, div=scaled) * r).work(1, v.dtype)


def norm_except_dim(scope: Scope, v: TensorFact, pow: int = 2, dim: int = 0) -> TensorFact:
    """The 2-norm over all dimensions but ``dim``: n multiplications, n-1 additions, a square root per row."""
    return v.new(_norm_shape(v, dim))


def _norm_except_cost(y: TensorFact, v: TensorFact, pow: int = 2, dim: int = 0) -> Work:
    return _row_norms(v, y.numel, 0)


def _norms_held(y: Results, v: TensorFact, g: TensorFact, dim: int = 0) -> Size:
    """The norms; in the composite form, taken for an inner dimension, also g / norm."""
    at = wrap_dim(dim, v.ndim)
    return (1 if at in (0, v.ndim - 1) else 2) * g.numel * v.itemsize


OPS: tuple[Op, ...] = (
    *batchnorm.OPS,
    op("layer_norm", shape=layer_norm, cost=_layer_norm_cost, temporaries=_layer_norm_saved, activations=True),
    op("native_layer_norm", shape=native_layer_norm, cost=_layer_norm_cost, differentiable=(True, False, False)),
    op("group_norm", shape=group_norm, cost=_group_norm_cost, temporaries=_group_norm_saved),
    op("native_group_norm", shape=native_group_norm, cost=_native_group_cost),
    op("rms_norm", shape=rms_norm, cost=_rms_norm_cost, temporaries=_rms_norm_held),
    op("_fused_rms_norm", shape=fused_rms_norm, cost=_rms_norm_cost, differentiable=(True, False)),
    op("_weight_norm", shape=weight_norm, cost=_weight_norm_cost, temporaries=_norms_held),
    op("_weight_norm_interface", shape=weight_norm_interface, cost=_weight_norm_cost),
    op("norm_except_dim", shape=norm_except_dim, cost=_norm_except_cost),
)
