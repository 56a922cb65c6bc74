"""Composite ops whose C++ wants numbers for sizes, called in a form that takes formulas.

Shapes are those of the registry's own rules; what autograd saves is decided below, by the ops they are made of, which are the
ones that torch's own code would have called.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Protocol

import torch

from fxcount import torch_private
from fxcount.ops.spatial.resize import ALIGNED_RESIZERS, RESIZERS
from fxcount.symbolic import SymSize

__all__ = ["FORMS"]


class Caller(Protocol):
    """The tracer, as far as a form asks."""

    def shape_of(self, func: Callable[..., Any], *args: Any) -> tuple[Any, ...]:
        """The shape of the result of an op, as a model would see it."""


def _resized(func: Callable[..., Any], aligned: bool) -> Callable[..., Any]:
    """``upsample_...`` of an output size or scale factors: the overload that takes the size."""

    def form(tracer: Caller, x: Any, output_size: Any, *rest: Any) -> Any:
        if not any(type(n) is SymSize for n in x.shape):
            return func(x, output_size, *rest)
        *corners, factors = rest if len(rest) > aligned else (*rest, None)
        size = tracer.shape_of(func, x, output_size, *rest)[2:]
        scales = [None] * len(size) if factors is None else list(factors)
        return getattr(torch.ops.aten, func.__name__).default(x, size, *corners, *scales)

    return form


def _instance_norm(
    tracer: Caller, x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, use_input_stats: bool,
    momentum: float, eps: float, cudnn_enabled: bool,
) -> Any:  # fmt: skip
    """``at::instance_norm``: batch norm of a batch of one, with a channel for each image's channel."""
    b, c = x.shape[0], x.shape[1]

    def repeated(t: Any) -> Any:
        return t if t is None else torch.Tensor.repeat(t, (b,))

    scale, shift, mean, var = map(repeated, (weight, bias, running_mean, running_var))
    dense = torch.Tensor.contiguous(x)
    seen = torch.Tensor.view(dense, (1, b * c, *x.shape[2:]))
    del dense
    out = torch.batch_norm(seen, scale, shift, mean, var, use_input_stats, momentum, eps, cudnn_enabled)
    del seen
    for running, own in ((running_mean, mean), (running_var, var)):
        if running is not None and use_input_stats:
            averaged = torch.mean(torch.Tensor.view(own, (b, c)), (0,))
            with torch.no_grad():
                torch.Tensor.copy_(running, averaged)
    return torch.Tensor.view(out, tuple(x.shape))


_NN = torch_private.nn_functions

FORMS = MappingProxyType({
    **{f: _resized(f, False) for f in map(_NN.__dict__.get, RESIZERS) if f is not None},
    **{f: _resized(f, True) for f in map(_NN.__dict__.get, ALIGNED_RESIZERS) if f is not None},
    torch.instance_norm: _instance_norm,
})  # fmt: skip
"""For each function that needs one, its form: ``form(tracer, *args)``."""
