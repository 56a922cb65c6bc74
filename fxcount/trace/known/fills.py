"""Tensors all of whose elements are one known number: ``torch.ones(B, S)`` has known data, whatever B and S are.

Models build default masks so and then ask ``mask.any()``. The number goes through views and elementwise ops on tensors
of this kind, and is the answer of ``any``, ``all``, ``max`` and ``min``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from fxcount.ops import Op
from fxcount.trace.tracer.standin import StandIn

__all__ = ["follow"]


def follow(entry: Op, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None, result: Any) -> bool:
    """Note the number of which ``result`` is full, if it is one; whether such a tensor was made from nothing."""
    number: Any = entry.made_of
    if number is not None:
        if type(number) is tuple:
            position, name = number
            number = args[position] if len(args) > position else (kwargs or {}).get(name)
        if type(result) is not StandIn or type(number) not in (int, float, bool):
            return False
        result.note(fill=_scalar(number, result))
        return True
    if not any(type(a) is StandIn and a.fill is not None for a in args):
        return False
    found = _computed(entry, func, args, kwargs or {}, result)
    if found is not None:
        for made in result if isinstance(result, (tuple, list)) else (result,):
            if type(made) is StandIn and made._known is None and made._value.fact.dtype is found.dtype:
                made.note(fill=found)
    return False


def _scalar(number: Any, like: StandIn) -> torch.Tensor:
    return torch.scalar_tensor(number, dtype=like._value.fact.dtype, device="cpu")


def _computed(
    entry: Op, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
) -> torch.Tensor | None:
    first: torch.Tensor | None = args[0].fill if type(args[0]) is StandIn else None
    if entry.follows == "moved":
        return first
    if entry.follows == "extremum":
        alone = first is not None and type(result) is StandIn and not any(type(a) is StandIn for a in args[1:])
        return func(first) if alone else None
    numbers = [a.fill if type(a) is StandIn else a for a in args]
    if any(n is None or (isinstance(n, torch.Tensor) and n.dim()) for n in numbers):
        return None
    try:
        found = func(*numbers, **{k: v for k, v in kwargs.items() if k != "device"})
    except (TypeError, RuntimeError):
        return None
    return found if isinstance(found, torch.Tensor) and not found.dim() else None
