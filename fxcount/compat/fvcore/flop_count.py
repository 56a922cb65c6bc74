"""Flops as fvcore counts them."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from torch import nn

from fxcount.compat.fvcore.jit_analysis import JitModelAnalysis
from fxcount.compat.fvcore.jit_handles import (
    Handle,
    addmm_flop_jit,
    batchnorm_flop_jit,
    bmm_flop_jit,
    conv_flop_jit,
    einsum_flop_jit,
    elementwise_flop_counter,
    linear_flop_jit,
    matmul_flop_jit,
    norm_flop_counter,
)

__all__ = ["FlopCountAnalysis", "flop_count"]

_DEFAULT_SUPPORTED_OPS: dict[str, Handle] = {
    "aten::addmm": addmm_flop_jit, "aten::bmm": bmm_flop_jit, "aten::_convolution": conv_flop_jit,
    "aten::einsum": einsum_flop_jit, "aten::matmul": matmul_flop_jit, "aten::mm": matmul_flop_jit,
    "aten::linear": linear_flop_jit, "aten::batch_norm": batchnorm_flop_jit, "aten::group_norm": norm_flop_counter(2),
    "aten::layer_norm": norm_flop_counter(2), "aten::instance_norm": norm_flop_counter(1),
    "aten::upsample_nearest2d": elementwise_flop_counter(0, 1), "aten::upsample_bilinear2d": elementwise_flop_counter(0, 4),
    "aten::adaptive_avg_pool2d": elementwise_flop_counter(1, 0), "aten::grid_sampler": elementwise_flop_counter(0, 4),
}  # fmt: skip


class FlopCountAnalysis(JitModelAnalysis):
    """Flops as fvcore counts them (one for each multiply-accumulate), by module and by operator.

    >>> flops = FlopCountAnalysis(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(280, 5)), "1,3,9,7")
    >>> flops.total(), flops.total("2"), dict(flops.by_operator())
    (8960, 1400, {'conv': 7560, 'linear': 1400})
    """

    convention = "fvcore"


def flop_count(
    model: nn.Module, inputs: tuple[Any, ...], supported_ops: dict[str, Handle | None] | None = None
) -> tuple[defaultdict[str, float], Counter[str]]:
    """Gigaflops of each operator, and the operators without a handle."""
    analysis = FlopCountAnalysis(model, inputs).set_op_handle(**(supported_ops or {}))
    return defaultdict(float, {op: n / 1e9 for op, n in analysis.by_operator().items()}), analysis.unsupported_ops()
