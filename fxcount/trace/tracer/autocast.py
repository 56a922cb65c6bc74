"""Autocast: the dtype rules of ``torch.autocast``, recorded as explicit conversions.

Which op is cast to what is a trait of the op. A weight that is a leaf and asks for a gradient is converted once for each
region, as autocast's cache does.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from fxcount.ops import Op
from fxcount.ops.core.tree import leaves, mapped
from fxcount.trace.tracer.recorder import Recorder
from fxcount.trace.tracer.standin import StandIn

__all__ = ["cast_operands"]


def cast_operands(
    tracer: Recorder, entry: Op, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments as autocast would hand them to the kernel."""
    kind = _device_kind(args) if entry.autocast is not None else None
    if kind is None or entry.autocast is None:
        return args, kwargs
    if entry.multiplies is not None:
        fact = partial(_fact, tracer)
        if not entry.multiplies(*mapped(fact, args), **mapped(fact, kwargs)):
            return args, kwargs
    policy = entry.autocast.cpu if kind == "cpu" else entry.autocast.cuda
    target: torch.dtype | None = None
    if policy == "lower":
        target = torch.get_autocast_dtype(kind)
    elif policy == "float32":
        target = torch.float32
    elif policy == "promote":
        found = {t.dtype for t in _floating(args)}
        target = torch.float32 if torch.float32 in found and len(found) > 1 else None
    if target is None:
        return args, kwargs
    cast = partial(_cast, tracer, dtype=target)
    return mapped(cast, args), mapped(cast, kwargs)


def _device_kind(args: Any) -> str | None:
    """The autocast that applies: that of the operands' device; for meta tensors whichever is on."""
    for t in _floating(args):
        kind = t.device.type
        candidates = ("cuda", "cpu") if kind == "meta" else (kind,)
        for candidate in candidates:
            if torch.is_autocast_enabled(candidate):
                return candidate
        return None
    return None


def _fact(tracer: Recorder, a: Any) -> Any:
    if not isinstance(a, torch.Tensor):
        return a
    return (a if isinstance(a, StandIn) else tracer.state(a))._value.fact


def _floating(tree: Any) -> Iterator[torch.Tensor]:
    for a in leaves(tree):
        if isinstance(a, torch.Tensor) and a.dtype.is_floating_point:
            yield a


def _cast(tracer: Recorder, a: Any, dtype: torch.dtype) -> Any:
    if not isinstance(a, torch.Tensor) or not a.dtype.is_floating_point or a.dtype is dtype or a.dtype is torch.float64:
        return a
    stand_in: StandIn = a if isinstance(a, StandIn) else tracer.state(a)
    value = stand_in._value
    cached = value.origin == "parameter" and value.requires_grad and torch.is_autocast_cache_enabled()
    key = (value.index, dtype)
    if cached and key in tracer.cast_weights:
        return tracer.cast_weights[key]
    made: StandIn = tracer.run(torch.Tensor.to, stand_in, dtype)
    if cached:
        tracer.cast_weights[key] = made
    return made
