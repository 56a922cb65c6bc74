"""Activations as fvcore counts them."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from torch import nn

from fxcount.compat.fvcore.jit_analysis import JitModelAnalysis
from fxcount.compat.fvcore.jit_handles import Handle

__all__ = ["ActivationCountAnalysis", "activation_count"]


class ActivationCountAnalysis(JitModelAnalysis):
    """Elements of the results of convolutions and matrix products, as fvcore counts activations.

    >>> ActivationCountAnalysis(nn.Conv2d(3, 8, 3), "B,3,9,7").total()
    280*B
    """

    convention = "fvcore-activations"


def activation_count(
    model: nn.Module, inputs: tuple[Any, ...], supported_ops: dict[str, Handle | None] | None = None
) -> tuple[defaultdict[str, float], Counter[str]]:
    """Millions of activations of each operator, and the operators without a handle."""
    analysis = ActivationCountAnalysis(model, inputs).set_op_handle(**(supported_ops or {}))
    return defaultdict(float, {op: n / 1e6 for op, n in analysis.by_operator().items()}), analysis.unsupported_ops()
