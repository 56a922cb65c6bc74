"""How the engine adds up gradients that reach a tensor by several ways.

Plain eager adds into the first of them where nobody else holds it. With a tensor subclass the engine cannot know, and makes a
new tensor: what it would have done is told from who holds the stand-in.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

from fxcount import torch_private

__all__ = ["Accumulation"]

_ALONE = 4
"""References to a gradient, and to its storage, while it is added into and nobody but the engine holds it."""


class Accumulation:
    """Tells additions of the engine that plain eager does in place."""

    def __init__(self) -> None:
        self._add = torch.ops.aten.add.Tensor
        self.adding = torch.ops.aten.add_.Tensor
        self._uses = torch_private.use_count

    def is_in_place(self, func: Any, args: tuple[Any, ...]) -> bool:
        """Whether this op, which no node of the graph asks for, is such an addition."""
        if func is not self._add or len(args) != 2:
            return False
        into, other = args
        storage = getattr(into, "_storage", None)
        fact = into._value.fact if storage is not None else None
        return (
            fact is not None
            and fact == other._value.fact
            and self._uses(into) <= _ALONE
            and sys.getrefcount(storage) <= _ALONE
        )
