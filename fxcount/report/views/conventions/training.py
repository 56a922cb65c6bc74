"""A training step as other tools count it."""

from __future__ import annotations

from typing import Any

from fxcount.errors import InputError
from fxcount.report.data.training import TrainingData
from fxcount.symbolic import Size, prod, sum_
from fxcount.trace.tape import Call

__all__ = ["counted"]

_FORMULAS = frozenset({
    "mm", "addmm", "bmm", "baddbmm", "_scaled_mm", "convolution", "_convolution", "convolution_backward",
    "_scaled_dot_product_efficient_attention", "_scaled_dot_product_flash_attention", "_scaled_dot_product_cudnn_attention",
    "_flash_attention_forward", "_efficient_attention_forward", "_scaled_dot_product_efficient_attention_backward",
    "_scaled_dot_product_flash_attention_backward", "_scaled_dot_product_cudnn_attention_backward",
    "_flash_attention_backward", "_efficient_attention_backward",
    "recurrent_steps", "recurrent_steps_backward",  # of which all that multiplies is mm and addmm
})  # fmt: skip
"""Kernels that ``FlopCounterMode`` has a formula for. The CPU's fused attention is not among them."""


def counted(report: TrainingData, convention: str, *names: str) -> Size:
    """What another tool counts in the phases of these names (forward and backward if none are given).

    ``"torch"`` is ``torch.utils.flop_counter.FlopCounterMode`` of the step on the report's device: attention kernels of the CPU
    and matrix-vector products are 0, and the gradient of a grouped convolution's weight is counted as if it had one group.

    Raises :class:`~fxcount.errors.InputError` for another name.
    """
    if convention != "torch":
        raise InputError(f"a training step cannot be counted as {convention!r} does", hint='the one convention is "torch"')
    wanted = names or ("forward", "backward")
    calls = [c for p in report.step.of(*wanted) for c in report.trace.calls[p.calls.start : p.calls.stop]]
    return sum_([_of(c, report) for c in calls])


def _of(call: Call, report: TrainingData) -> Size:
    name = call.op.torchs.schema.partition("::")[2] or call.op.name
    packet = getattr(call.func, "overloadpacket", None)
    if packet is not None:
        name = packet.__name__
    if name not in _FORMULAS:
        return 0
    if name == "convolution_backward":
        return _convolution_backward(call)
    return 2 * report.costs.of(call).macs


def _convolution_backward(call: Call) -> Size:
    """``conv_backward_flop``: the input's gradient is a convolution with groups, the weight's one without."""
    args: tuple[Any, ...] = call.signature.args
    g, x, weight = args[:3]
    transposed, groups, mask = args[7], args[9], args[10]
    met = x if transposed else g
    once: Size = 2 * weight.numel * met.shape[0] * prod(met.shape[2:])
    counted: Size = once * mask[0] + once * groups * mask[1]
    return counted
