"""The books of one trace: calls, values, storages and their ends, states of the model."""

from __future__ import annotations

import sys
import weakref
from dataclasses import replace
from itertools import count
from typing import Any

import torch
from torch.nn import Parameter

from fxcount import torch_private
from fxcount.ops import TensorFact
from fxcount.ops.quantise.packed import Packed, PackedCell, unpacked
from fxcount.symbolic import Size
from fxcount.trace.inputs.inventory import Inventory, is_parameter
from fxcount.trace.known import constants
from fxcount.trace.tape import Call, CustomFunction, Declared, Events, Origin, Signature, Source, State, StorageInfo, Value
from fxcount.trace.tracer.sources import find_source
from fxcount.trace.tracer.standin import Owner, StandIn
from fxcount.trace.tracer.storages import HeldState, Kept, Storage

__all__ = ["SIZE_QUERIES", "Ledger"]

SIZE_QUERIES = frozenset({"shape", "size", "numel", "nelement", "ndim", "dim", "stride", "nbytes", "__len__"})
"""Questions to a tensor whose answer depends on its sizes."""


class Ledger:
    """What a trace is made of; ``owner`` is whom the stand-ins it makes will ask."""

    def __init__(self, held: Inventory, owner: Owner, calls: list[Call], states: list[State]) -> None:
        self.owner = owner
        self._make = owner.maker()
        self.calls = calls
        self.signatures: list[Signature] = []
        self.storages: list[StorageInfo] = []
        self.states = states
        self.functions: list[CustomFunction] = []
        self.queries: dict[str, tuple[str, Source | None]] = {}
        self.names = held.names  # id of a parameter or buffer -> its names
        self.placed = held.placed  # the device that the model is taken to lie on
        self.log: list[int] = []  # storage numbers; ~number for a death
        self.marks: list[int] = []  # length of the log when call i began
        self.next_value = count().__next__
        self._next_constant = count().__next__
        self._packed: dict[int, Packed | PackedCell] = dict(held.packed)
        self._dense = held.dense
        self._nbytes = held.nbytes
        self._non_persistent = frozenset(d.names[0] for d in held.declared if not d.persistent)
        self._facts: dict[tuple[tuple[int, ...], torch.dtype, torch.device], TensorFact] = {}
        self._by_id: dict[int, StandIn | HeldState] = {}  # parameters, buffers and constants met so far
        self._shared_storages: dict[int, Storage] = {}  # real untyped storage -> ours, for states that share memory
        self._kept: list[Any] = []  # real tensors whose id is a key above

    # -- values -------------------------------------------------------------------------------------------------------
    def new_storage(self, nbytes: Size, origin: Origin, name: str = "", constant: bool = False) -> Storage:
        index = len(self.storages)
        self.storages.append(StorageInfo(nbytes, origin, name, len(self.calls) if origin == "op" else -1))
        return Storage(index, self.log, constant)

    def holding(self, parts: list[Storage]) -> Storage:
        """The storage of a tensor that is made of others as they are: no bytes, and those of the parts live as long."""
        made = self.new_storage(0, "op", constant=all([s.constant for s in parts]))
        made.parts = tuple(parts)
        return made

    def copy_or_view(self, nbytes: Size, copied: Size, of: Storage, constant: bool) -> Storage:
        """The storage of a result that is a copy where ``copied`` is 1, and where it is 0 shares the storage ``of``."""
        made = self.new_storage(nbytes * copied, "op", constant=constant)
        whole = self.storages[of.index]
        made.keeps = of.keeps
        if whole.origin in ("op", "input"):
            kept = Kept(len(self.storages), self.log)
            self.storages.append(StorageInfo(whole.nbytes * (1 - copied), "kept", born=len(self.calls), of=of.index))
            of.kept_by = [*(of.kept_by or ()), weakref.ref(kept)]
            made.keeps = (*of.keeps, kept)
        self.storages[made.index].keeps = tuple([k.index for k in made.keeps])
        return made

    def input(self, fact: TensorFact, name: str, requires_grad: bool, data: torch.Tensor | None) -> StandIn:
        """A stand-in for an input of the model; ``data`` if the user gave small integers that may be looked at."""
        storage = self.new_storage(fact.nbytes, "input", name, constant=data is not None)
        value = Value(self.next_value(), fact, storage.index, "input", name, requires_grad=requires_grad)
        storage.from_input = data is not None
        return self._make(value, storage, data)

    def packed(self, held: Any) -> Packed | PackedCell:
        """What an object of torch.ao keeps; one that the model does not own as well."""
        found = self._packed.get(id(held))
        if found is None:
            found = self._packed[id(held)] = unpacked(held)
        return found

    def is_state(self, tensor: torch.Tensor) -> bool:
        """Whether the model owns the tensor, or has computed with it."""
        return id(tensor) in self.names or id(tensor) in self._by_id

    def stand_ins(self) -> list[StandIn]:
        """Those of the parameters, buffers and constants that the model was given so far."""
        return [found for found in self._by_id.values() if not isinstance(found, HeldState)]

    def reals(self) -> list[torch.Tensor]:
        """The parameters, buffers and constants themselves."""
        return [t for t in self._kept if isinstance(t, torch.Tensor)]

    def state(self, tensor: torch.Tensor) -> StandIn:
        """The stand-in of a real tensor: a parameter, a buffer or, if the model does not own it, a constant."""
        found = self.operand(tensor)
        return self.stand_in(found) if isinstance(found, HeldState) else found

    def stand_in(self, held: HeldState) -> StandIn:
        """What the model is given for a parameter or buffer, from now on its operand as well."""
        made = self._by_id[held.key] = self._make(held._value, held._storage)
        return made

    def operand(self, tensor: torch.Tensor) -> StandIn | HeldState:
        """A real tensor as the operand of a call: its stand-in, if the model was given one or its data are known."""
        found = self._by_id.get(id(tensor))
        if found is not None:
            return found
        declared = self._dense.get(id(tensor))
        if declared is not None and tensor.shape == declared.shape and tensor.dtype is declared.dtype:  # as it was
            return self._of_declared(tensor, declared)
        if isinstance(tensor, StandIn):
            return tensor
        names = self.names.get(id(tensor))
        origin: Origin = "constant"
        if names is None:
            names = (f"constant_{self._next_constant()}",)
        elif type(tensor) is Parameter or is_parameter(tensor):
            origin = "parameter"
        else:
            origin = "buffer"
        name = names[0]
        fact = self._fact_of(tensor)
        known = None if origin == "parameter" else constants.known_data(tensor)
        storage = self._storage_of(tensor, origin, name, fact, known is not None)
        return self._entered(tensor, fact, storage, origin, names, known, name not in self._non_persistent)

    def _of_declared(self, tensor: torch.Tensor, d: Declared) -> StandIn | HeldState:
        """The same, of what was read before the model ran."""
        key = (d.shape, d.dtype, self.placed or tensor.device)
        fact = self._facts.get(key)
        if fact is None:
            fact = self._facts[key] = TensorFact(*key)
        known = None if d.kind == "parameter" or tensor.is_meta else constants.known_data(tensor)
        storage = self._shared(d.storage, self._nbytes[d.storage], d.kind, d.names[0], known is not None)
        return self._entered(tensor, fact, storage, d.kind, d.names, known, d.persistent)

    def _entered(
        self, tensor: torch.Tensor, fact: TensorFact, storage: Storage, origin: Origin, names: tuple[str, ...], known: Any,
        persistent: bool,
    ) -> StandIn | HeldState:  # fmt: skip
        key = id(tensor)
        value = Value(self.next_value(), fact, storage.index, origin, names[0], -1, None, tensor.requires_grad)
        made = HeldState(key, value, storage) if known is None else self._make(value, storage, known)
        self._by_id[key] = made
        self._kept.append(tensor)
        self.states.append(State(value, names, tensor, persistent))
        return made

    def _fact_of(self, tensor: torch.Tensor) -> TensorFact:
        """Parameters are many and of few kinds: those of one shape share a fact."""
        if self.placed is not None and self.moves(tensor):
            return replace(constants.fact_of(tensor), device=self.placed)
        if tensor.layout is not torch.strided or not tensor.is_contiguous():
            return constants.fact_of(tensor)
        key = (tensor.shape, tensor.dtype, tensor.device)
        found = self._facts.get(key)
        if found is None:
            found = self._facts[key] = constants.fact_of(tensor)
        return found

    def moves(self, tensor: torch.Tensor) -> bool:
        """Whether it lies where the model is taken to lie: constants do that are where a model is built, others are not moved
        with it."""
        return tensor.is_meta or id(tensor) in self.names

    def _storage_of(self, tensor: torch.Tensor, origin: Origin, name: str, fact: TensorFact, known: bool) -> Storage:
        try:
            real = tensor.untyped_storage()
            key = torch_private.storage_key(real)
            nbytes: Size = real.nbytes()
        except (NotImplementedError, RuntimeError):  # sparse, quantised or wrapped tensors have no storage of their own
            key, nbytes = id(tensor), fact.nbytes
        return self._shared(key, nbytes, origin, name, known)

    def _shared(self, key: int, nbytes: Size, origin: Origin, name: str, known: bool) -> Storage:
        found = self._shared_storages.get(key)
        if found is None:
            found = self._shared_storages[key] = self.new_storage(nbytes, origin, name, constant=known)
        elif not known:
            found.constant = False
        return found

    def note_query(self, tensor: Any, func: Any) -> None:
        """Remember that the model read a shape, dtype or the like of one of its own tensors; the shape wins."""
        names = self.names.get(id(tensor))
        if names is not None:
            what = func.__self__.__name__ if func.__name__ == "__get__" else func.__name__
            if names[0] not in self.queries or (what in SIZE_QUERIES and self.queries[names[0]][0] not in SIZE_QUERIES):
                self.queries[names[0]] = (what, find_source(sys._getframe(1)))

    # -- the end ------------------------------------------------------------------------------------------------------
    def events(self) -> Events:
        """Births and deaths so far."""
        return Events(tuple(self.log), tuple(self.marks))

    def forget(self) -> None:
        """Let go of what only the run needed. Stand-ins of parameters and their owner refer to each other, and the garbage
        collector would find them later, with a walk over all that the trace has made."""
        self._by_id.clear()
        self._shared_storages.clear()
