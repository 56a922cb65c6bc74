"""Small things that plain eager allocates and no dispatched op shows: Python's numbers, and states of generators.

Python's bindings wrap a number that stands where an op takes a tensor (``x * 0.5``) in a tensor of no dimensions. It lives
until the op is done, or, where the backward of a product or quotient needs it, until that has run.
"""

from __future__ import annotations

from typing import Any

import torch

from fxcount import torch_private
from fxcount.trace.tracer.ledger import Ledger
from fxcount.trace.tracer.standin import StandIn
from fxcount.trace.tracer.storages import Storage

__all__ = ["NUMBER", "NUMBERS", "Wrapping"]

_node_of = torch_private.TensorBase.grad_fn.__get__

NUMBER = "a number of Python's"  # the name of its storage: not among what saved_tensors_hooks see

_BYTES = {float: 8, int: 8, bool: 1, complex: 16}
NUMBERS = frozenset(_BYTES)
_SAVE = frozenset({
    torch.ops.aten.mul.Tensor, torch.ops.aten.div.Tensor, torch.ops.aten.mul_.Tensor, torch.ops.aten.div_.Tensor,
})  # fmt: skip
"""Their backwards need the second operand."""


class Wrapping:
    """Enters wrapped numbers in the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._takes: dict[Any, bool] = {}  # whether an overload takes a tensor second
        self.held: Storage | None = None  # that of the op at hand, as long as the call that Python makes
        self.saved: Storage | None = None  # the number that the node of the op at hand saves
        self.by_python = False  # whether Python called the op at hand; the engine's own ops get numbers that are wrapped

    def begin(self, func: Any, args: tuple[Any, ...], grad: bool) -> None:
        """Enter a number, the second of the operands."""
        nbytes = _BYTES[type(args[1])]
        if not self.by_python or not self._takes_tensor(func):
            return
        made = self.held = self._ledger.new_storage(nbytes, "op", NUMBER)
        if grad and func in _SAVE and type(args[0]) is StandIn and args[0]._value.requires_grad:
            self.saved = made

    def _takes_tensor(self, func: Any) -> bool:
        found = self._takes.get(func)
        if found is None:
            schema = torch_private.schema(func)
            arguments: list[Any] = [] if schema is None else schema.arguments
            found = self._takes[func] = len(arguments) > 1 and str(arguments[1].type) == "Tensor"
        return found

    def hold(self, result: Any) -> None:
        """Keep the number until the backward of the op has run."""
        node = _node_of(result)
        kept, self.saved = [self.saved], None
        if node is not None:
            node.register_hook(lambda *_: kept.clear())
