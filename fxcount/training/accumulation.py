"""What a backward writes into a tensor that is there already, where nobody else holds it.

Plain eager adds a gradient into the first that came, and formulas of derivatives scatter into zeros of their own. With a tensor
subclass, or under a dispatch mode, torch makes a new tensor instead: what it would have done is told from who holds the stand-in.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch

from fxcount import torch_private
from fxcount.symbolic import Scope
from fxcount.training.nodes import has_no_gaps

__all__ = ["Accumulation"]

_ALONE = 4
"""References to a gradient, and to its storage, while it is added into and nobody but the engine holds it."""


_ATEN = torch.ops.aten
_ADD = _ATEN.add.Tensor
_WRITTEN: Mapping[Any, Any] = {
    _ATEN.index_put.default: _ATEN.index_put_.default,
    _ATEN.index_add.default: _ATEN.index_add_.default,
    _ATEN.index_fill.int_Tensor: _ATEN.index_fill_.int_Tensor,
    _ATEN.put.default: _ATEN.put_.default,
    _ATEN.scatter.src: _ATEN.scatter_.src,
    _ATEN.scatter_add.default: _ATEN.scatter_add_.default,
    _ATEN.masked_fill.Scalar: _ATEN.masked_fill_.Scalar,
    _ATEN.masked_fill.Tensor: _ATEN.masked_fill_.Tensor,
    _ATEN.masked_scatter.default: _ATEN.masked_scatter_.default,
}
"""What formulas of derivatives call for a tensor subclass, and what for a tensor. Source: the branches of ATen's
FunctionsManual.cpp that ask ``areAnyTensorSubclassLike``."""


class Accumulation:
    """Tells the ops of a backward that plain eager does in place."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._uses = torch_private.use_count

    def in_place_of(self, func: Any, args: tuple[Any, ...]) -> Any:
        """The overload that plain eager takes for this op, which no Python code asks for; ``None`` if it is ``func`` itself."""
        if func is _ADD:
            return _ATEN.add_.Tensor if len(args) == 2 and self._adds_into(*args) else None
        written = _WRITTEN.get(func)
        return written if written is not None and self._is_free(args[0]) else None

    def _is_free(self, into: Any) -> bool:
        """Whether nobody but the engine holds the tensor and its memory."""
        storage = getattr(into, "_storage", None)
        return storage is not None and self._uses(into) <= _ALONE and sys.getrefcount(storage) <= _ALONE

    def _adds_into(self, into: Any, other: Any) -> bool:
        """Source: ``can_accumulate_inplace`` of the engine's input_buffer.cpp; how the other one lies does not matter."""
        if not self._is_free(into):
            return False
        one, two = into._value.fact, other._value.fact
        return (
            one.shape == two.shape and one.dtype == two.dtype
            and has_no_gaps(self._scope, one.shape, one.stride())
        )  # fmt: skip
