"""Copies and conversions: clone, contiguous, to (dtype, device), copy_, fill_. Memory moved, no arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Device, Dtype, Format, Scalar
from fxcount.ops.core.binding import Overloads
from fxcount.ops.core.common import shape_text
from fxcount.ops.core.fact import Alias, TensorFact
from fxcount.ops.core.iterator import dense_like
from fxcount.ops.core.registry import Op, Zero, op
from fxcount.ops.core.striding import channels_last_strides, dense_copy, is_channels_last
from fxcount.symbolic import Scope, Size

__all__ = ["OPS"]

COPY = Zero("copy", moves=True)
CONVERT = Zero("conversion of dtype or device", moves=True)

_DTYPE_METHODS = {
    "float": torch.float32, "double": torch.float64, "half": torch.float16, "bfloat16": torch.bfloat16,
    "long": torch.int64, "int": torch.int32, "short": torch.int16, "char": torch.int8, "byte": torch.uint8,
    "bool": torch.bool, "chalf": torch.complex32, "cfloat": torch.complex64, "cdouble": torch.complex128,
}  # fmt: skip


def formatted(x: TensorFact, memory_format: torch.memory_format | None) -> TensorFact:
    """A fresh tensor of that memory format; ``None`` and ``preserve_format`` keep the order of the strides."""
    if memory_format is None or memory_format is torch.preserve_format:
        return dense_like(x)
    if memory_format is torch.contiguous_format:
        return x.new(x.shape)
    if x.ndim not in (4, 5):
        raise ShapeError(f"{memory_format} needs a tensor of 4 or 5 dimensions, got {shape_text(x.shape)}")
    return TensorFact(x.shape, x.dtype, x.device, channels_last_strides(x.shape))


def contiguous(
    scope: Scope, x: TensorFact, memory_format: torch.memory_format = torch.contiguous_format
) -> TensorFact | Alias:
    wanted = formatted(x, memory_format)
    return dense_copy(scope, x, wanted)


def clone(scope: Scope, x: TensorFact, *, memory_format: torch.memory_format | None = None) -> TensorFact:
    return formatted(x, memory_format)


def to(
    scope: Scope, x: TensorFact, *, other: TensorFact | None = None, dtype: torch.dtype | None = None, device: Device = None,
    copy: bool = False, memory_format: Format = None, **_: object,
) -> TensorFact | Alias:  # fmt: skip
    """``Tensor.to`` in all its overloads: (dtype), (device), (device, dtype), (other), and the keywords."""
    if other is not None:
        dtype, device = other.dtype, other.device
    return converted(scope, x, dtype, device, copy, memory_format)


_AS_PYTHON_CALLS = Overloads(
    renamed=(("tensor", "other"),),
    also=(
        "to(Tensor self, Device? device=None, ScalarType? dtype=None, bool non_blocking=False, bool copy=False, *,"
        " MemoryFormat? memory_format=None) -> Tensor",
        "to(Tensor self, Tensor tensor, bool non_blocking=False, bool copy=False, *,"
        " MemoryFormat? memory_format=None) -> Tensor",
    ),
)


def converted(
    scope: Scope, x: TensorFact, dtype: torch.dtype | None = None, device: Device = None, copy: bool = False,
    memory_format: Format = None,
) -> TensorFact | Alias:  # fmt: skip
    """``x`` itself if dtype, device and layout are right already and no copy is forced, else a new tensor."""
    where = x.device if device is None else torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    kind = dtype or x.dtype
    wanted = formatted(x, memory_format)
    # torch asks what format the strides suggest, not whether they are dense
    suggested = (memory_format is not torch.contiguous_format) is is_channels_last(x)
    layout_ok = memory_format in (None, torch.preserve_format) or suggested
    if kind is x.dtype and where == x.device and layout_ok and not copy:
        return Alias(x)
    return TensorFact(x.shape, kind, where, wanted.strides)


def type_as(scope: Scope, x: TensorFact, other: TensorFact) -> TensorFact | Alias:
    return converted(scope, x, other.dtype, other.device)


def tensor_type(scope: Scope, x: TensorFact, dtype: Dtype | str | type[torch.Tensor] = None, non_blocking: bool = False) -> Any:
    if dtype is None:
        return f"torch.{_TYPE_NAMES.get(x.dtype, 'Float')}Tensor"
    if isinstance(dtype, str):
        dtype = next(d for d, n in _TYPE_NAMES.items() if dtype.rpartition(".")[2] == f"{n}Tensor")
    elif not isinstance(dtype, torch.dtype):
        dtype = getattr(dtype, "dtype", x.dtype)
    return converted(scope, x, dtype)


_TYPE_NAMES = {
    torch.float32: "Float", torch.float64: "Double", torch.float16: "Half", torch.bfloat16: "BFloat16",
    torch.int64: "Long", torch.int32: "Int", torch.int16: "Short", torch.int8: "Char", torch.uint8: "Byte",
    torch.bool: "Bool", torch.complex64: "ComplexFloat", torch.complex128: "ComplexDouble",
}  # fmt: skip


def _method(dtype: torch.dtype) -> Any:
    def rule(scope: Scope, x: TensorFact, memory_format: Format = None) -> TensorFact | Alias:
        return converted(scope, x, dtype, None, False, memory_format)

    return rule


def cpu(scope: Scope, x: TensorFact, memory_format: Format = None) -> TensorFact | Alias:
    return converted(scope, x, None, "cpu")


def cuda(scope: Scope, x: TensorFact, device: Device = None, **_: object) -> TensorFact | Alias:
    return converted(scope, x, None, device if device is not None else "cuda")


def to_copy(
    scope: Scope, x: TensorFact, *, dtype: torch.dtype | None = None, device: Device = None, memory_format: Format = None,
    **_: object,
) -> TensorFact | Alias:  # fmt: skip
    return converted(scope, x, dtype, device, True, memory_format)


def copy(scope: Scope, x: TensorFact, src: TensorFact | Scalar, non_blocking: bool = False) -> TensorFact:
    """``x.copy_(src)``: ``src``, a tensor or a number, broadcasts to ``x`` and is converted to its dtype."""
    if not isinstance(src, TensorFact):
        return x
    fits = [
        n == m or m == 1 or scope.same(m, n, "copy_") or scope.decide("==", m, 1, "copy_")
        for n, m in zip(reversed(x.shape), reversed(src.shape), strict=False)
    ]
    if src.ndim > x.ndim or not all(fits):
        raise ShapeError(f"copy_: {shape_text(src.shape)} does not fit into {shape_text(x.shape)}")
    return x


def resize(scope: Scope, x: TensorFact, size: Sequence[Size], memory_format: Format = None) -> Alias:
    """``x.resize_(size)``: other sizes in the same memory, which grows if it must."""
    return Alias(formatted(x.new(tuple(size)), memory_format))


def resize_as(scope: Scope, x: TensorFact, template: TensorFact, memory_format: Format = None) -> Alias:
    return Alias(formatted(TensorFact(template.shape, x.dtype, x.device, template.strides), memory_format))


def fill(scope: Scope, x: TensorFact, value: Scalar = 0, *_: object) -> TensorFact:
    return x


_UNWRITTEN = Zero("metadata, or memory that is not written")
_FILL = Zero("fill with a constant", moves=True)

OPS: tuple[Op, ...] = (
    op("contiguous", shape=contiguous, cost=COPY, follows="moved"),
    op("clone", shape=clone, cost=COPY, follows="moved"),
    op("to", shape=to, cost=CONVERT, shape_only=(1,), follows="mapped", overloads=_AS_PYTHON_CALLS),
    op("_to_copy", shape=to_copy, cost=CONVERT, follows="mapped"),
    op("type_as", shape=type_as, cost=CONVERT, shape_only=(1,), follows="mapped"),
    op("type", shape=tensor_type, cost=CONVERT, follows="mapped"),
    op("cpu", shape=cpu, cost=CONVERT, follows="mapped"),
    op("cuda", shape=cuda, cost=CONVERT, follows="mapped"),
    *(op(name, shape=_method(dtype), cost=CONVERT, follows="mapped") for name, dtype in _DTYPE_METHODS.items()),
    op("copy", shape=copy, cost=COPY),
    op("resize", shape=resize, cost=_UNWRITTEN, sizes_at=1, reshapes_in_place=True),
    op("resize_as", shape=resize_as, cost=_UNWRITTEN, shape_only=(1,), reshapes_in_place=True),
    op("fill", shape=fill, cost=_FILL, takes_values=True),
    *(op(name, shape=fill, cost=_FILL) for name in ("zero", "fill_diagonal")),
)
