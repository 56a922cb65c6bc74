"""TorchScript's own operations on Python values, and its ATen calls as calls of ``torch.ops`` overloads.

TorchScript computes with sizes, lists, strings and dictionaries by ops of its own; here they are Python's, so that a
symbolic size stays one.
"""

from __future__ import annotations

import functools
import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch

from fxcount import torch_private
from fxcount.errors import UnsupportedError
from fxcount.ops.core.tree import leaves

__all__ = ["builtin", "call_op"]

Call = Callable[[Callable[..., Any], Any, Any], Any]


def builtin(kind: str, args: Sequence[Any]) -> Callable[..., Any] | None:
    """What a node of this kind does to these values, if it is not a call of an ATen op on tensors.

    >>> builtin("aten::add", [2, 3])(2, 3), builtin("prim::ListConstruct", [5, 7])(5, 7)
    (5, [5, 7])
    """
    found = _ALWAYS.get(kind)
    if found is not None:
        return found
    if any(isinstance(leaf, torch.Tensor) for leaf in leaves(args)):
        return _SEQUENCES.get(kind) if args and isinstance(args[0], (list, tuple, dict)) else None
    return _NUMBERS.get(kind) or _SEQUENCES.get(kind)


def call_op(schema: str, args: Sequence[Any], call: Call) -> Any:
    """Call the overload of this schema; TorchScript gives all arguments by position, also those that go by keyword."""
    overload = _overload(schema)
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for argument, value in zip(torch_private.schema(overload).arguments, args, strict=True):
        if argument.kwarg_only:
            if value != argument.default_value or not argument.has_default_value():
                named[argument.name] = value
        else:
            positional.append(value)
    return call(overload, tuple(positional), named)


@functools.lru_cache(maxsize=1024)
def _overload(schema: str) -> Any:
    match = re.match(r"(\w+)::(\w+)(?:\.(\w+))?\(", schema)
    try:
        if match is None:
            raise AttributeError(schema)
        packet = getattr(getattr(torch.ops, match[1]), match[2])
        return getattr(packet, match[3] or "default")
    except AttributeError as error:
        raise UnsupportedError(
            f"the TorchScript op {schema.partition('(')[0]} is not known to torch.ops",
            hint="analyse the Python module the script was made of",
        ) from error


def _raise(message: str, kind: str = "", *_: Any) -> None:
    raise RuntimeError(f"{kind.rpartition('.')[2] or 'the script'}: {message}")


def _dict(*items: Any) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _set_item(sequence: Any, index: Any, value: Any) -> Any:
    sequence[index] = value
    return sequence


def _slice(sequence: Any, start: Any = None, stop: Any = None, step: Any = 1) -> Any:
    return sequence[start:stop:step]


def _append(sequence: list[Any], item: Any) -> list[Any]:
    sequence.append(item)
    return sequence


def _range_length(start: Any, stop: Any, step: Any) -> Any:
    return (stop - start + step - 1) // step if step > 0 else (start - stop - step - 1) // -step


def _same(x: Any, *_: Any) -> Any:
    return x


def _size(x: torch.Tensor, dim: Any = None) -> Any:
    return list(x.shape) if dim is None else x.shape[dim]


def _format(text: str, *values: Any) -> str:
    return text.format(*values)


# With tensors or without.
_ALWAYS: dict[str, Callable[..., Any]] = {
    "prim::ListConstruct": lambda *items: list(items),
    "prim::TupleConstruct": lambda *items: items,
    "prim::DictConstruct": _dict,
    "prim::TupleIndex": operator.getitem,
    "prim::NumToTensor": _same,
    "prim::unchecked_cast": _same,
    "prim::unchecked_unwrap_optional": _same,
    "prim::Uninitialized": lambda: None,
    "prim::annotate": _same,
    "prim::data": lambda x: x.detach(),
    "prim::dtype": lambda x: x.dtype,
    "prim::device": lambda x: x.device,
    "prim::layout": lambda x: x.layout,
    "prim::shape": _size,
    "prim::is_cuda": lambda x: x.device.type == "cuda",
    "prim::requires_grad": lambda x: x.requires_grad,
    "prim::RaiseException": _raise,
    "prim::Print": lambda *_: None,
    "aten::warn": lambda *_: None,
    "aten::size": _size,
    "aten::dim": lambda x: x.dim(),
    "aten::numel": lambda x: x.numel(),
    "aten::stride": lambda x, *dim: x.stride(*dim) if dim else list(x.stride()),
    "aten::is_contiguous": lambda x, *_: x.is_contiguous(),
    "aten::is_floating_point": lambda x: x.is_floating_point(),
    "aten::is_complex": lambda x: x.is_complex(),
    "aten::__is__": operator.is_,
    "aten::__isnot__": operator.is_not,
    "aten::format": _format,
    "aten::Int": lambda x: x if isinstance(x, (int, torch.SymInt)) else int(x),
    "aten::IntImplicit": lambda x: x if isinstance(x, (int, torch.SymInt)) else int(x),
    "aten::Float": float,
    "aten::FloatImplicit": float,
    "aten::ScalarImplicit": _same,
    "aten::Bool": bool,
    "aten::device": lambda *a: torch.device(*a),
}
# On numbers alone.
_NUMBERS: dict[str, Callable[..., Any]] = {
    "aten::add": lambda a, b, alpha=1: a + b * alpha if alpha != 1 else a + b,
    "aten::sub": lambda a, b, alpha=1: a - b * alpha if alpha != 1 else a - b,
    "aten::rsub": lambda a, b, alpha=1: b - a * alpha if alpha != 1 else b - a,
    "aten::mul": operator.mul,
    "aten::div": lambda a, b, rounding_mode=None: a / b if rounding_mode is None else a // b,
    "aten::floordiv": operator.floordiv,
    "aten::floor_divide": operator.floordiv,
    "aten::remainder": operator.mod,
    "aten::fmod": math.fmod,
    "aten::pow": operator.pow,
    "aten::neg": operator.neg,
    "aten::abs": abs,
    "aten::floor": math.floor,
    "aten::ceil": math.ceil,
    "aten::round": round,
    "aten::sqrt": math.sqrt,
    "aten::log": math.log,
    "aten::exp": math.exp,
    "aten::eq": operator.eq,
    "aten::ne": operator.ne,
    "aten::lt": operator.lt,
    "aten::le": operator.le,
    "aten::gt": operator.gt,
    "aten::ge": operator.ge,
    "aten::__and__": lambda a, b: a and b,
    "aten::__or__": lambda a, b: a or b,
    "aten::__xor__": operator.xor,
    "aten::__not__": operator.not_,
    "prim::max": lambda *a: max(*a),
    "prim::min": lambda *a: min(*a),
    "aten::__range_length": _range_length,
    "aten::__derive_index": lambda i, start, step: start + i * step,
    "aten::str": str,
    "aten::lower": str.lower,
    "aten::percentFormat": lambda text, *values: text % values,
    "aten::to": _same,
    "aten::detach": _same,
}
# On lists, tuples, dicts and strings, whatever they hold.
_SEQUENCES: dict[str, Callable[..., Any]] = {
    "aten::__getitem__": operator.getitem,
    "aten::_set_item": _set_item,
    "aten::len": len,
    "aten::slice": _slice,
    "aten::append": _append,
    "aten::list": list,
    "aten::add": operator.add,
    "aten::add_": lambda a, b: a.extend(b) or a,
    "aten::mul": operator.mul,
    "aten::extend": lambda a, b: a.extend(b),
    "aten::insert": lambda a, i, x: a.insert(i, x),
    "aten::pop": lambda a, *i: a.pop(*i),
    "aten::reverse": lambda a: a.reverse(),
    "aten::copy": lambda a: a.copy(),
    "aten::keys": lambda d: list(d.keys()),
    "aten::values": lambda d: list(d.values()),
    "aten::items": lambda d: list(d.items()),
    "aten::__contains__": operator.contains,
    "aten::index": lambda a, x: a.index(x),
}
