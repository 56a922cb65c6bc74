"""The books of one trace: values, storages and their ends, states of the model, modules that run, places in the code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import torch

from fxcount.ops import TensorFact
from fxcount.symbolic import BRANCH, Scope, Size, SymSize
from fxcount.trace.inputs.inventory import Inventory, is_parameter
from fxcount.trace.known import constants
from fxcount.trace.tape import Call, CustomFunction, Events, ModuleCall, Origin, Source, State, StorageInfo, Value
from fxcount.trace.tracer.sources import find_source
from fxcount.trace.tracer.standin import StandIn, Storage, data_error

__all__ = ["SIZE_QUERIES", "Ledger"]

SIZE_QUERIES = frozenset({"shape", "size", "numel", "nelement", "ndim", "dim", "stride", "nbytes", "__len__"})
"""Questions to a tensor whose answer depends on its sizes."""


class Ledger:
    """What a tracer keeps, apart from how it records an op."""

    def __init__(self, scope: Scope, held: Inventory) -> None:
        self.scope = scope
        self.calls: list[Call] = []
        self.modules: list[ModuleCall] = []
        self.storages: list[StorageInfo] = []
        self.states: list[State] = []
        self.module_names = {id(m): path for path, m in reversed(held.modules)}
        self._state_names = held.names  # id of a parameter or buffer -> its names
        self._non_persistent = frozenset(d.names[0] for d in held.declared if not d.persistent)
        self._layouts: dict[TensorFact, tuple[torch.Size, tuple[int, ...]]] = {}
        self._facts: dict[tuple[torch.Size, torch.dtype, torch.device], TensorFact] = {}
        self._by_id: dict[int, StandIn] = {}  # parameters, buffers and constants met so far
        self._shared_storages: dict[int, Storage] = {}  # real untyped storage -> ours, for states that share memory
        self.given_data: list[str] = []  # names of inputs whose data the user gave
        self.notes: list[str] = []
        self.functions: list[CustomFunction] = []
        self.queries: dict[str, tuple[str, Source | None]] = {}
        self._kept: list[Any] = []  # real tensors whose id is a key above
        self._log: list[int] = []  # storage numbers; ~number for a death
        self._marks: list[int] = []  # length of the log when call i began
        self._stack: list[int] = []
        self._module = -1
        self._module_calls: dict[int, int] = {}
        self._counter = 0

    # -- values -------------------------------------------------------------------------------------------------------
    def new_storage(self, nbytes: Size, origin: Origin, name: str = "", constant: bool = False) -> Storage:
        index = len(self.storages)
        self.storages.append(StorageInfo(nbytes, origin, name, len(self.calls) if origin == "op" else -1))
        return Storage(index, self._log, constant)

    def input(
        self, fact: TensorFact, name: str, requires_grad: bool = False, data: torch.Tensor | None = None
    ) -> StandIn:
        """A stand-in for an input of the model; ``data`` if the user gave small integers that may be looked at."""
        storage = self.new_storage(fact.nbytes, "input", name, constant=data is not None)
        value = Value(self._counter, fact, storage.index, "input", name, requires_grad=requires_grad)
        self._counter += 1
        if data is not None:
            storage.from_input = True
            self.given_data.append(name)
        return StandIn.make(self, value, storage, data)

    def pass_on(self, result: Any, operands: list[StandIn]) -> None:
        """What is computed from data the user gave depends on them."""
        if any([o._storage.from_input for o in operands]):
            for made in result if isinstance(result, (tuple, list)) else (result,):
                if type(made) is StandIn:
                    made._storage.from_input = True

    def note_data(self, read: Sequence[StandIn]) -> None:
        """Say where the model looks at data the user gave: the counts hold for these data."""
        if any([x._storage.from_input for x in read]):
            note = f"the values of {', '.join(self.given_data)} as given (read at {self.where()})"
            self._note(note)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def state(self, tensor: torch.Tensor) -> StandIn:
        """The stand-in of a real tensor: a parameter, a buffer or, if the model does not own it, a constant."""
        found = self._by_id.get(id(tensor))
        if found is not None:
            return found
        if isinstance(tensor, StandIn):
            return tensor
        names = self._state_names.get(id(tensor))
        origin: Origin = "constant"
        if names is not None:
            origin = "parameter" if is_parameter(tensor) else "buffer"
        else:
            names = (f"constant_{sum(s.value.origin == 'constant' for s in self.states)}",)
        fact = self._fact_of(tensor)
        known = constants.known_data(tensor) if origin != "parameter" else None
        storage = self._storage_of(tensor, origin, names[0], fact, known is not None)
        value = Value(
            self._counter, fact, storage.index, origin, names[0], requires_grad=tensor.requires_grad
        )  # fmt: skip
        self._counter += 1
        made = StandIn.make(self, value, storage, known)
        self._by_id[id(tensor)] = made
        self._kept.append(tensor)
        self.states.append(State(value, names, tensor, names[0] not in self._non_persistent))
        return made

    def _fact_of(self, tensor: torch.Tensor) -> TensorFact:
        """Parameters are many and of few kinds: those of one shape share a fact."""
        if tensor.layout is not torch.strided or not tensor.is_contiguous():
            return constants.fact_of(tensor)
        key = (tensor.shape, tensor.dtype, tensor.device)
        found = self._facts.get(key)
        if found is None:
            found = self._facts[key] = constants.fact_of(tensor)
        return found

    def note_query(self, tensor: Any, func: Any) -> None:
        """Remember that the model read a shape, dtype or the like of one of its own tensors; the shape wins."""
        names = self._state_names.get(id(tensor))
        if names is not None:
            what = func.__self__.__name__ if func.__name__ == "__get__" else func.__name__
            if names[0] not in self.queries or (what in SIZE_QUERIES and self.queries[names[0]][0] not in SIZE_QUERIES):
                self.queries[names[0]] = (what, find_source(sys._getframe(1)))

    def _storage_of(self, tensor: torch.Tensor, origin: Origin, name: str, fact: TensorFact, known: bool) -> Storage:
        try:
            real = tensor.untyped_storage()
            key = real._cdata
            nbytes: Size = real.nbytes()
        except (NotImplementedError, RuntimeError):  # sparse, quantised or wrapped tensors have no storage of their own
            key, nbytes = id(tensor), fact.nbytes
        found = self._shared_storages.get(key)
        if found is None:
            found = self._shared_storages[key] = self.new_storage(nbytes, origin, name, constant=known)
        elif not known:
            found.constant = False
        return found

    def set_requires_grad(self, x: StandIn, flag: bool) -> None:
        value = x._value
        x._value = Value(
            value.index, value.fact, value.storage, value.origin, value.name, value.call, value.position, flag
        )  # fmt: skip

    def layout(self, fact: TensorFact) -> tuple[torch.Size, tuple[int, ...]]:
        """The ``torch.Size`` a model sees (symbolic sizes included) and the sizes at the hint."""
        found = self._layouts.get(fact)
        if found is None:
            scope = self.scope
            size = torch.Size([self.as_int(s) for s in fact.shape])
            found = self._layouts[fact] = (size, tuple([s if type(s) is int else scope.hint(s) for s in fact.shape]))
        return found

    def as_int(self, size: Size) -> Any:
        """What the model holds for a size: an int, or a symbolic integer."""
        return size if isinstance(size, int) else SymSize(size, self.scope.hint(size), self.scope)

    def is_contiguous(self, fact: TensorFact, memory_format: torch.memory_format) -> bool:
        if memory_format in (torch.contiguous_format, torch.preserve_format):
            return fact.strides is None
        from fxcount.ops.core.striding import channels_last_strides

        return fact.strides is not None and tuple(fact.strides) == channels_last_strides(fact.shape)

    def scalar(self, x: StandIn, what: str) -> Any:
        if x.table is not None:
            return x.table.item()
        if x._known is not None and x._storage.constant:
            self.note_data((x,))
            return x._known.item()
        if x.fill is not None and x._value.fact.numel == 1:
            return x.fill.item()
        if what == "a bool" and BRANCH in self.scope.unbacked.given:
            taken = bool(self.scope.unbacked.given[BRANCH])
            self._note(f"a decision on data at {self.where()} was taken as {taken}")
            return taken
        dtype = x._value.fact.dtype
        if what != "a bool" and dtype is not torch.bool and not dtype.is_complex and x._value.fact.numel == 1:
            return self.read_item(x)
        self.fail_on_data(x, what)

    def before_iteration(self, x: StandIn) -> None:
        """The model is about to loop over the first dimension, which pins it."""

    def read_item(self, x: StandIn) -> Any:
        """The symbol of a number that only data know."""
        raise NotImplementedError

    def fail_on_data(self, x: StandIn, what: str) -> NoReturn:
        raise data_error(what, self.where(), x._value.origin == "input")

    # -- modules --------------------------------------------------------------------------------------------------
    def enter(self, module: torch.nn.Module, args: tuple[Any, ...]) -> ModuleCall:
        key = id(module)
        number = self._module_calls.get(key, 0) + 1
        self._module_calls[key] = number
        path = self.module_names.get(key)
        if path is None:
            path = f"{self.modules[self._module].path if self._module >= 0 else ''}<{type(module).__name__}>"
            self.module_names[key] = path
            self._kept.append(module)
        index = len(self.modules)
        made = ModuleCall(
            index, key, path, type(module).__name__, number, self._module, len(self._stack), len(self.calls),
            type(module),
        )  # fmt: skip
        made.inputs = tuple(s._value.fact for s in args if type(s) is StandIn)
        if args and not made.inputs:  # a list of tensors, as DenseNet's layers get it
            made.inputs = tuple(constants.output_facts(args))
        self.modules.append(made)
        self._stack.append(self._module)
        self._module = index
        return made

    def leave(self, made: ModuleCall, result: Any) -> None:
        made.stop = len(self.calls)
        if type(result) is StandIn:
            made.outputs = (result._value.fact,)
        elif result is not None:
            made.outputs = tuple(constants.output_facts(result))
        self._module = self._stack.pop()

    # -- places -----------------------------------------------------------------------------------------------------
    def where(self) -> str:
        """``file:line (module path)`` of the user's code that runs now."""
        source = find_source(sys._getframe(1))
        module = self.modules[self._module] if self._module >= 0 else None
        path = (module.path or module.class_name) if module is not None else ""
        place = str(source) if source is not None else "unknown place"
        return f"{place} ({path})" if path else place

    def events(self) -> Events:
        """Births and deaths so far."""
        return Events(tuple(self._log), tuple(self._marks))
