"""Tensors all of whose elements are one known number: ``torch.ones(B, S)`` has known data, whatever B and S are.

Models build default masks so and then ask ``mask.any()``. The number goes through views and elementwise ops on tensors
of this kind, and is the answer of ``any``, ``all``, ``max`` and ``min``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch

from fxcount.trace.tracer.standin import StandIn

__all__ = ["FOLLOWED", "MAKERS", "follow", "plain_name"]

_MADE_OF = {"ones": 1, "ones_like": 1, "new_ones": 1, "zeros": 0, "zeros_like": 0, "new_zeros": 0}
_TOLD = {"full": 1, "full_like": 1, "new_full": 2}  # position of the number
MAKERS = frozenset({*_MADE_OF, *_TOLD})
"""Ops that make such a tensor."""

_SAME = frozenset(
    "view reshape expand expand_as unsqueeze squeeze flatten permute transpose t contiguous clone detach getitem select slice "
    "narrow repeat unbind split chunk".split()
)
_ELEMENTWISE = frozenset(
    "add sub rsub mul div eq ne lt le gt ge logical_and logical_or logical_not bitwise_and bitwise_or bitwise_not neg abs "
    "clamp to bool long int float half and or invert masked_fill where".split()
)
_EXTREMA: dict[str, Callable[..., Any]] = {"any": torch.any, "all": torch.all, "amax": torch.amax, "amin": torch.amin}
FOLLOWED = frozenset({*MAKERS, *_SAME, *_ELEMENTWISE, *_EXTREMA, "max", "min"})


@lru_cache(4096)
def plain_name(func: Callable[..., Any]) -> str:
    """``ones`` for ``torch.ones`` and its overloads, ``and`` for ``__and__``."""
    return getattr(func, "__name__", "").partition(".")[0].strip("_")


def follow(name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None, result: Any) -> bool:
    """Note the number of which ``result`` is full, if it is one; whether such a tensor was made from nothing."""
    if name in MAKERS:
        number: Any = _MADE_OF.get(name)
        if number is None:
            position = _TOLD[name]
            number = args[position] if len(args) > position else (kwargs or {}).get("fill_value")
        if type(result) is not StandIn or type(number) not in (int, float, bool):
            return False
        result.note(fill=_scalar(number, result))
        return True
    if not any(type(a) is StandIn and a.fill is not None for a in args):
        return False
    found = _computed(name, func, args, kwargs or {})
    if found is not None:
        for made in result if isinstance(result, (tuple, list)) else (result,):
            if type(made) is StandIn and made._known is None and made._value.fact.dtype is found.dtype:
                made.note(fill=found)
    return False


def _scalar(number: Any, like: StandIn) -> torch.Tensor:
    return torch.scalar_tensor(number, dtype=like._value.fact.dtype, device="cpu")


def _computed(name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor | None:
    first: torch.Tensor | None = args[0].fill if type(args[0]) is StandIn else None
    if name in _SAME:
        return first
    if name in ("max", "min"):
        return first if len(args) == 1 and not kwargs else None
    if name in _EXTREMA:
        return _EXTREMA[name](first) if first is not None else None
    numbers = [a.fill if type(a) is StandIn else a for a in args]
    if any(n is None or (isinstance(n, torch.Tensor) and n.dim()) for n in numbers):
        return None
    try:
        found = func(*numbers, **{k: v for k, v in kwargs.items() if k != "device"})
    except (TypeError, RuntimeError):
        return None
    return found if isinstance(found, torch.Tensor) and not found.dim() else None
