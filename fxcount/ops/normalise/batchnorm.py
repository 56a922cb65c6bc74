"""Normalisation by channel statistics: batch norm and instance norm.

Letters: C channels, N samples; statistics are taken over r groups (C, or N*C) of equal size.
Shapes:  x (N, C, *I) -> y as x; parameters and running statistics (C,)
Counts:  statistics of the input, per group of n: mean n-1 additions and 1 division; d = x - mean n; variance n
         multiplications, n-1 additions, 1 division = 4*n; then var + eps, sqrt, 1/: 3
         on input statistics, d * rstd: 5*numel + 3*r; on running ones, (x - mean) * rstd: 2*numel + 3*r
         plus numel for each of weight and bias
         updating running statistics: (1-m)*old + m*new for mean and variance 6*r, unbiased variance r
Raises:  ShapeError: parameters that do not fit the channels; evaluation without running statistics
Source:  the definitions; rsqrt is a square root and a division

>>> x = TensorFact((2, 3, 5), torch.float32)
>>> c = TensorFact((3,), torch.float32)
>>> y = batch_norm(Scope({}), x, c, c, c, c)
>>> batch_norm_cost(y, x, c, c, c, c).flops
129
"""

from __future__ import annotations

from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Given, Results
from fxcount.ops.core.binding import Overloads
from fxcount.ops.core.common import shape_text
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import channels_last_or_dense
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import Scalars
from fxcount.symbolic import Scope, Size
from fxcount.torch_private import VERSION

__all__ = [
    "OPS",
    "Parameter",
    "batch_norm",
    "check_float",
    "check_per_channel",
    "given",
    "instance_norm",
    "normalise",
    "reciprocal_deviation",
    "scale_shift",
    "stat_dtype",
]

Parameter = TensorFact | None


def given(*parameters: Any) -> int:
    return sum(p is not None for p in parameters)


def normalise(n: Size, groups: Size, affine: int) -> Scalars:
    """Normalising ``n`` elements in ``groups`` by their own mean and variance."""
    return (Scalars(add=2, mul=2) + Scalars(mul=1) + scale_shift(affine)) * n + reciprocal_deviation(groups)


def reciprocal_deviation(groups: Size) -> Scalars:
    return Scalars(add=1, root=1, div=1) * groups


def scale_shift(affine: int) -> Scalars:
    return Scalars(mul=affine)


def stat_dtype(x: TensorFact, *parameters: Any) -> torch.dtype:
    """Saved statistics have the dtype of the parameters (bfloat16 input with float32 parameters is a common mix)."""
    return next((p.dtype for p in parameters if p is not None), x.dtype)


def check_float(name: str, x: TensorFact, allow_complex: bool = False) -> None:
    if not (x.dtype.is_floating_point or (allow_complex and x.dtype.is_complex)):
        raise ShapeError(f"{name}: not defined for {x.dtype}", hint="convert the input to a floating dtype")


def check_per_channel(scope: Scope, name: str, channels: Size, **parameters: Any) -> None:
    for label, p in parameters.items():
        if isinstance(p, TensorFact) and not scope.same(p.numel, channels, f"{name}: {label} has a value per channel"):
            raise ShapeError(f"{name}: {label} has {p.numel} values, the input has {channels} channels")


def batch_norm(
    scope: Scope,
    x: TensorFact,
    weight: Parameter = None,
    bias: Parameter = None,
    running_mean: Parameter = None,
    running_var: Parameter = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> TensorFact:
    """x (N, C, *I), normalised per channel over N and I."""
    check_float("batch_norm", x)
    if x.ndim < 2 and not (x.ndim == 1 and scope.equal(x.numel, 0)):
        raise ShapeError(f"batch_norm: x needs 2 dimensions or more, got {shape_text(x.shape)}")
    check_per_channel(
        scope, "batch_norm", x.shape[min(1, x.ndim - 1)],
        weight=weight, bias=bias, running_mean=running_mean, running_var=running_var,
    )  # fmt: skip
    if not training and (running_mean is None or running_var is None):
        raise ShapeError(
            "batch_norm: evaluation needs running_mean and running_var",
            hint="model.train(), or track_running_stats=True",
        )
    return channels_last_or_dense(x, x.shape)


def batch_norm_cost(
    y: Results,
    x: TensorFact,
    weight: Given = None,
    bias: Given = None,
    running_mean: Given = None,
    running_var: Given = None,
    training: bool = False,
    *_: object,
    **__: object,
) -> Work:
    channels = x.shape[1]
    affine = given(weight, bias)
    if not training:
        scalars = (Scalars(add=1, mul=1) + scale_shift(affine)) * x.numel + reciprocal_deviation(channels)
    else:
        update = Scalars(add=2, mul=4, div=1) * (channels if running_mean is not None else 0)
        scalars = normalise(x.numel, channels, affine) + update
    return scalars.work(1, x.dtype)


def _batch_norm_saved(
    y: Results, x: TensorFact, weight: Given = None, bias: Given = None, rm: Given = None, rv: Given = None,
    training: bool = False, *_: object, **__: object,
) -> Size:  # fmt: skip
    return 2 * x.shape[1] * stat_dtype(x, weight, rm).itemsize if training else 0


def native_batch_norm(
    scope: Scope,
    x: TensorFact,
    weight: Parameter = None,
    bias: Parameter = None,
    running_mean: Parameter = None,
    running_var: Parameter = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[TensorFact, TensorFact, TensorFact]:
    """The ATen form: also the saved mean and reciprocal deviation, empty in evaluation."""
    y = batch_norm(scope, x, weight, bias, running_mean, running_var, training)
    saved = x.new((x.shape[1] if training else 0,), stat_dtype(x, weight, running_mean))
    return y, saved, saved


def instance_norm(
    scope: Scope,
    x: TensorFact,
    weight: Parameter = None,
    bias: Parameter = None,
    running_mean: Parameter = None,
    running_var: Parameter = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> TensorFact:
    """x (N, C, *I), normalised per sample and channel over I."""
    check_float("instance_norm", x)
    check_per_channel(
        scope, "instance_norm", x.shape[1],
        weight=weight, bias=bias, running_mean=running_mean, running_var=running_var,
    )  # fmt: skip
    return x.new(x.shape)


def _instance_norm_cost(
    y: Results, x: TensorFact, weight: Given = None, bias: Given = None, running_mean: Given = None, running_var: Given = None,
    use_input_stats: bool = True, *_: object, **__: object,
) -> Work:  # fmt: skip
    """As batch_norm of x seen as (1, N*C, *I); the updated running statistics are averaged over N: 2*N*C more."""
    groups = x.shape[0] * x.shape[1]
    affine = given(weight, bias)
    if use_input_stats:
        scalars = normalise(x.numel, groups, affine)
        if running_mean is not None:
            scalars = scalars + Scalars(add=4, mul=4, div=1) * groups
    else:
        scalars = (Scalars(add=1, mul=1) + scale_shift(affine)) * x.numel + reciprocal_deviation(groups)
    return scalars.work(1, x.dtype)


def _instance_norm_held(
    y: Results, x: TensorFact, weight: Given = None, bias: Given = None, running_mean: Given = None, running_var: Given = None,
    use_input_stats: bool = True, *_: object, **__: object,
) -> Size:  # fmt: skip
    """Parameters repeated for every sample, saved statistics, and a row-major copy of a strided input.

    Before 2.11 also running statistics that were only read were averaged over the samples and written back.
    """
    repeated = [p for p in (weight, bias, running_mean, running_var) if p is not None]
    groups = x.shape[0] * x.shape[1]
    averaged = running_mean.nbytes if running_mean is not None and VERSION < (2, 11) else 0
    saved = 2 * groups * stat_dtype(x, weight).itemsize if use_input_stats else averaged
    copied = 0 if x.strides is None else x.nbytes
    return sum((groups * p.itemsize for p in repeated), start=saved + copied)


def _with_update(
    scope: Scope, x: TensorFact, weight: Parameter, bias: Parameter, running_mean: TensorFact, running_var: TensorFact,
    *_: object,
) -> tuple[TensorFact, ...]:
    """Of training; the reserve is used by cudnn alone."""
    results = native_batch_norm(scope, x, weight, bias, running_mean, running_var, True, 0.1, 1e-5)
    return *results, x.new((0,), torch.uint8)


def _with_update_cost(
    y: Results, x: TensorFact, weight: Given, bias: Given, running_mean: TensorFact, running_var: TensorFact, *_: object
) -> Work:
    return batch_norm_cost(y, x, weight, bias, running_mean, running_var, True)


# Operands the training modes write; the native forms have the same order.
_STATS = (3, 4, "running_mean", "running_var")
_TRAINING = (5, "training")
_SAVED = (True, False, False)

OPS: tuple[Op, ...] = (
    op("batch_norm", shape=batch_norm, cost=batch_norm_cost, writes=_STATS, writes_if=_TRAINING, temporaries=_batch_norm_saved),
    op(
        "native_batch_norm", shape=native_batch_norm, cost=batch_norm_cost, writes=_STATS, writes_if=_TRAINING,
        differentiable=_SAVED,
    ),
    op(
        "_batch_norm_with_update", shape=_with_update, cost=_with_update_cost, writes=_STATS,
        differentiable=(True, False, False, False),
    ),
    op(
        "_native_batch_norm_legit", shape=native_batch_norm, cost=batch_norm_cost, writes=_STATS, writes_if=_TRAINING,
        differentiable=_SAVED, overloads=Overloads(),
    ),
    op(
        "_native_batch_norm_legit_no_training", shape=native_batch_norm, cost=batch_norm_cost, differentiable=_SAVED,
        overloads=Overloads(),
    ),
    op(
        "instance_norm", shape=instance_norm, cost=_instance_norm_cost, writes=_STATS, writes_if=(5, "use_input_stats"),
        temporaries=_instance_norm_held,
    ),
)
