"""What a call gives back: stand-ins for its results, and new values for what it wrote in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from fxcount.ops import Alias, TensorFact
from fxcount.ops.core.fact import CopyOrView, Holding
from fxcount.symbolic import Expr
from fxcount.trace.known import constants
from fxcount.trace.tape import Call, Signature, StorageInfo, Value
from fxcount.trace.tracer.ledger import Ledger
from fxcount.trace.tracer.standin import Owner, StandIn
from fxcount.trace.tracer.storages import HeldState, Storage

__all__ = ["Outcome", "Results"]


class Outcome:
    """The one result of every call of a signature, of which nothing but its fact is known: the memory of operand ``of``, or new
    memory where that is -1. ``blank`` makes stand-ins of its form."""

    __slots__ = ("blank", "fact", "nbytes", "of", "passes_gradient")

    def __init__(self, signature: Signature, owner: Owner) -> None:
        result = signature.result
        self.fact: TensorFact = result.fact if type(result) is Alias else result
        self.of = result.of if type(result) is Alias else -1
        self.nbytes = self.fact.nbytes
        self.blank: Callable[[], StandIn] = owner.blank(self.fact)
        self.passes_gradient = _is_floating(self.fact) and _passes_gradient(signature, 0)

    @classmethod
    def of_calls(cls, signature: Signature, owner: Owner) -> Outcome | None:
        """That of all calls of this signature on unknown data; ``None`` if they have others, or more comes of them."""
        op, kind = signature.op, type(signature.result)
        is_one = (kind is TensorFact or kind is Alias) and not op.inplace
        return cls(signature, owner) if is_one and not op.writes and op.returns is None and op.shape_only != (1,) else None


def _is_floating(fact: TensorFact) -> bool:
    return fact.dtype.is_floating_point or fact.dtype.is_complex


def _passes_gradient(signature: Signature, position: int) -> bool:
    """Whether the op differentiates its result at a position, if it does so at all."""
    different = signature.op.differentiable
    return different[position] if type(different) is tuple else True


class Results:
    """Makes the results of calls and enters them in the ledger."""

    def __init__(self, ledger: Ledger, writers: dict[int, list[Call]]) -> None:
        self.ledger = ledger
        self._writers = writers  # storage -> calls that wrote to it
        self._owner = ledger.owner
        self._make = ledger.owner.maker()
        self._next_value = ledger.next_value
        self._storages, self._log = ledger.storages, ledger.log

    def one(self, outcome: Outcome, call: Call, operands: list[StandIn], requires_grad: bool) -> StandIn:
        """The result of a call that has one, and nothing besides: most of all calls."""
        if outcome.of >= 0:
            storage = operands[outcome.of]._storage
        else:
            index = len(self._storages)
            self._storages.append(StorageInfo(outcome.nbytes, "op", "", call.index))
            storage = Storage(index, self._log)
        value = Value(
            self._next_value(), outcome.fact, storage.index, "op", "", call.index, 0, requires_grad and outcome.passes_gradient
        )  # fmt: skip
        made = outcome.blank()
        made._value = call.result = value
        made._storage = storage
        made._owner = self._owner
        made._known = None
        call.outputs = (value,)
        return made

    def made(
        self, r: Any, call: Call, operands: list[StandIn], outputs: list[Value], requires_grad: bool, known: Any
    ) -> Any:
        """Stand-ins for the facts in ``r``, which are entered in ``outputs``; ``known`` are their data, or ``None``."""
        if type(r) is TensorFact:
            storage = self.ledger.new_storage(r.nbytes, "op", constant=known is not None)
        elif type(r) is Alias:
            storage = operands[r.of]._storage
            r = r.fact
        elif type(r) is CopyOrView:
            storage = self.ledger.copy_or_view(r.fact.nbytes, r.copied, operands[r.of]._storage, known is not None)
            r = r.fact
        elif isinstance(r, (tuple, list)):
            parts = []
            for i, part in enumerate(r):
                data = known[i] if known is not None else None
                parts.append(self.made(part, call, operands, outputs, requires_grad, data))
            return parts if isinstance(r, list) else type(r)(*parts) if hasattr(r, "_fields") else tuple(parts)
        elif isinstance(r, dict):
            return {name: self.made(part, call, operands, outputs, requires_grad, None) for name, part in r.items()}
        elif isinstance(r, TensorFact):  # a sparse one
            storage = self.ledger.new_storage(r.nbytes, "op", constant=known is not None)
        elif type(r) is Holding:
            r = r.fact
            storage = self.ledger.holding([o._storage for o in operands])
        elif isinstance(r, Expr):
            return self._owner.as_int(r)
        elif isinstance(r, torch.Tensor):  # a rule that read data knows the data of this result
            known, r = r, constants.fact_of(r)
            storage = self.ledger.new_storage(r.nbytes, "op", constant=True)
        else:
            return r
        position = len(outputs)
        requires_grad = requires_grad and _is_floating(r) and _passes_gradient(call.signature, position)
        value = Value(self._next_value(), r, storage.index, "op", "", call.index, position, requires_grad)
        outputs.append(value)
        return self._make(value, storage, known)

    def written(
        self, call: Call, target: StandIn | HeldState, operands: list[StandIn], requires_grad: bool, is_out: bool
    ) -> StandIn:
        """An in-place or ``out=`` call: ``target`` stays the object it is and becomes a new value of its storage."""
        if isinstance(target, HeldState):
            target = self.ledger.stand_in(target)
        fact, result = target._value.fact, call.signature.result
        if is_out or call.signature.op.reshapes_in_place:
            made = result.fact if isinstance(result, Alias) else result
            fact = made if isinstance(made, TensorFact) else fact
        storage = target._storage
        if storage.constant:
            storage.constant = constants.update(call, target, operands)
        value = Value(
            self._next_value(), fact, storage.index, "op", "", call.index, 0,
            requires_grad or target._value.requires_grad,
        )  # fmt: skip
        if is_out:
            call.kwargs = {**call.kwargs, "out": target._value}
        target._value = value
        self._wrote(storage.index, call)
        call.outputs = (value,)
        call.mutated = (storage.index,)
        return target

    def _wrote(self, storage: int, call: Call) -> None:
        self._writers.setdefault(storage, []).append(call)

    def mark_written(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> None:
        """Enter what a call writes besides its results: running statistics."""
        flag = call.op.writes_if
        if flag is not None and not (kwargs or {}).get(flag[1], args[flag[0]] if len(args) > flag[0] else False):
            return
        written = []
        for position in call.op.writes:
            a = (kwargs or {}).get(position) if isinstance(position, str) else None
            if isinstance(position, int) and position < len(args):
                a = args[position]
            if isinstance(a, torch.Tensor):
                storage = self.ledger.operand(a)._storage
                storage.constant = False
                self._wrote(storage.index, call)
                written.append(storage.index)
        call.mutated = tuple(written)
