"""Arguments as models write them, brought to one form, and values or facts in the place of stand-ins."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import torch

from fxcount.ops.core.tree import mapped
from fxcount.symbolic import SymSize
from fxcount.trace.tape import Value
from fxcount.trace.tracer.standin import StandIn

__all__ = ["collapsed", "facts_of_arguments", "normalised", "values_of_result"]

_RENAMED = {"axis": "dim", "keepdims": "keepdim", "axes": "dim"}
_DROPPED = frozenset({"out", "layout", "pin_memory", "requires_grad", "generator", "non_blocking"})


def normalised(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """Positional ``input``/``self``, numpy's names replaced by torch's, arguments without meaning here removed."""
    out = kwargs.get("out")
    clean: dict[str, Any] = {}
    if not args and "condition" in kwargs:  # where(condition=..., input=..., other=...)
        args, kwargs = (kwargs["condition"],), {k: v for k, v in kwargs.items() if k != "condition"}
    for name, value in kwargs.items():
        taken = name == "input" and args and isinstance(args[0], torch.Tensor)
        if taken and len(args) == 1:  # searchsorted(boundaries, input=...)
            args = (*args, value)
        elif name in ("self", "tensors", "input") and not taken:
            args = (value, *args)
        elif name not in _DROPPED or (isinstance(value, torch.layout) and value is not torch.strided):
            clean[_RENAMED.get(name, name)] = value
    return args, clean, out


def collapsed(args: tuple[Any, ...], at: int) -> tuple[Any, ...]:
    """``x.view(2, 3)`` as ``x.view((2, 3))``."""
    first = args[at]
    if isinstance(first, (tuple, list)):
        if StandIn in [type(s) for s in first]:  # a size read off an index table
            return (*args[:at], tuple([s.item() if type(s) is StandIn else s for s in first]), *args[at + 1 :])
        return args
    if isinstance(first, (int, torch.SymInt, Integral)) or (type(first) is StandIn and first.ndim == 0):
        return (*args[:at], tuple([s.item() if type(s) is StandIn else s for s in args[at:]]))
    return args


def facts_of_arguments(a: Any) -> Any:
    """Recorded arguments with facts in the place of values."""
    if type(a) is Value:
        return a.fact
    if type(a) in _PLAIN:
        return a
    if type(a) is list:  # mostly of tensors
        return [part.fact if type(part) is Value else facts_of_arguments(part) for part in a]
    return mapped(_fact, a)


_PLAIN = frozenset({int, float, bool, str, type(None)})


def _fact(leaf: Any) -> Any:
    return leaf.fact if type(leaf) is Value else leaf


def values_of_result(result: Any) -> Any:
    """A result with values in the place of stand-ins, a list as a tuple."""
    if type(result) is StandIn:
        return result._value
    if isinstance(result, (tuple, list)):
        return tuple([values_of_result(r) for r in result])
    if isinstance(result, dict):
        return {name: values_of_result(r) for name, r in result.items()}
    return result.expr if isinstance(result, SymSize) else result
