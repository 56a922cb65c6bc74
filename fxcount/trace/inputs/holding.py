"""What a tensor holds in memory where that is not its elements: quantised tensors, and subclasses made of other tensors.

>>> import warnings
>>> with warnings.catch_warnings():
...     warnings.simplefilter("ignore")  # torch's, once in a process, that such tensors are to go
...     quantised = torch.quantize_per_tensor(torch.ones(3, 5), 0.1, 0, torch.qint8)
>>> held_by(quantised)
Held(nbytes=31, precision='int8', quantises='')
>>> held_by(torch.ones(3, 5)) is None
True
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from fxcount.ops.quantise.packed import scale_bytes
from fxcount.wording import short_dtype

__all__ = ["Held", "held_by", "local_bytes"]

_ELSEWHERE = ("torch.distributed", "torch.nested", "torch.sparse")
_CHOOSING = ("act_quant_kwargs", "activation_quantization", "input_quant_func", "act_quant_scale")
"""Attributes of a weight that say how the other factor is quantised when they meet."""


class Held(NamedTuple):
    """Bytes in memory, scales and zero points included; the dtype in which the tensor is multiplied, and the one to which it
    brings the other factor, if it does."""

    nbytes: int
    precision: str
    quantises: str


def held_by(tensor: torch.Tensor) -> Held | None:
    """What a tensor holds; ``None`` if that is its elements."""
    if tensor.is_quantized:
        return Held(tensor.numel() * tensor.dtype.itemsize + scale_bytes(tensor), short_dtype(tensor.dtype), "")
    kind = type(tensor)
    if not hasattr(kind, "__tensor_flatten__") or kind.__module__.startswith(_ELSEWHERE):
        return None
    inner = list(_inner(tensor))
    if not inner:
        return None
    precision = _precision(tensor, max(inner, key=lambda t: t.nbytes))
    return Held(sum([int(t.nbytes) for t in inner]), precision, _quantises(tensor, precision))


def local_bytes(tensor: Any) -> int | None:
    """Bytes of the part of a distributed tensor that this rank has; ``None`` for any other."""
    if not (type(tensor).__module__.startswith("torch.distributed") and hasattr(tensor, "to_local")):
        return None
    with torch.no_grad():
        return int(tensor.to_local().nbytes)


def _inner(tensor: Any) -> Iterator[torch.Tensor]:
    """The tensors of which one is made, each once."""
    if not hasattr(type(tensor), "__tensor_flatten__"):
        yield tensor
        return
    for name in tensor.__tensor_flatten__()[0]:
        found = getattr(tensor, name)
        if isinstance(found, torch.Tensor):
            yield from _inner(found)


def _precision(tensor: Any, data: torch.Tensor) -> str:
    """The dtype of the elements: as the tensor says, or by the bits that each has in what holds them."""
    told = _attribute(tensor, "target_dtype")
    if isinstance(told, torch.dtype) and told is not tensor.dtype:
        return short_dtype(told)
    if data.dtype.is_floating_point:
        return short_dtype(data.dtype)
    bits = 8 * data.nbytes // max(1, tensor.numel())
    return f"int{bits}" if bits in (1, 2, 3, 4, 5, 6, 7, 8) else short_dtype(data.dtype)


def _quantises(tensor: Any, precision: str) -> str:
    found = next((v for n in _CHOOSING if (v := _attribute(tensor, n)) is not None), None)
    if found is None:
        return ""
    return precision if precision.startswith("float8") else "int8"


def _attribute(tensor: Any, name: str) -> Any:
    """An attribute of the tensor, or of the one it is made of."""
    found = tensor.__dict__.get(name)
    if found is None and hasattr(type(tensor), "__tensor_flatten__"):
        inside = [getattr(tensor, n) for n in tensor.__tensor_flatten__()[0]]
        found = next((v for t in inside if isinstance(t, torch.Tensor) and (v := _attribute(t, name)) is not None), None)
    return found
