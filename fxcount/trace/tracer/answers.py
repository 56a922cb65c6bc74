"""What stand-ins ask of the trace they belong to: their sizes as the model sees them, and their data."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from functools import partial
from math import prod
from types import BuiltinFunctionType, CodeType, FrameType
from typing import Any, NoReturn

import torch

from fxcount.errors import FxcountError, ShapeError, SizeError
from fxcount.ops import TensorFact
from fxcount.ops.core.common import shape_text
from fxcount.ops.core.fact import LARGEST_SIZE, contiguous_strides
from fxcount.ops.core.striding import channels_last_strides, is_dense
from fxcount.symbolic import BRANCH, Scope, Size, SymSize
from fxcount.symbolic.frames import MISSING, local_variable
from fxcount.symbolic.messages import in_message
from fxcount.trace.known.replay import Replay
from fxcount.trace.tape import Call, StorageInfo, Value
from fxcount.trace.tracer.arrays import array_of
from fxcount.trace.tracer.decisions import Decisions
from fxcount.trace.tracer.identity import asks_identity
from fxcount.trace.tracer.notes import Notes
from fxcount.trace.tracer.offsets import address_of, offset_of, origin_of
from fxcount.trace.tracer.sources import find_source
from fxcount.trace.tracer.standin import StandIn, data_error

__all__ = ["Answers"]


class Answers:
    """The :class:`~fxcount.trace.tracer.standin.Owner` of the stand-ins of one trace.

    ``read_number`` gives the symbol of a number that only data know, ``before_iteration`` is told of a loop over the first
    dimension, which pins it.
    """

    differentiates = False
    looked = 0

    def __init__(self, scope: Scope, notes: Notes, calls: list[Call], replay: Replay, decisions: Decisions | None) -> None:
        self.scope = scope
        self.calls = calls
        self.replay = replay
        self.decisions = decisions
        self.notes = notes
        self.read_number: Callable[[StandIn], Any] = self._no_number
        self.before_iteration: Callable[[StandIn], None] = _nothing
        self.note_data: Callable[[Iterable[StandIn]], None] = notes.data_read
        self.storages: list[StorageInfo] = []  # the ledger's
        self.missed_lengths: list[dict[str, Any]] = []  # globals of code that got the plain int of a symbolic ``len``
        self.missed_numbers: list[dict[str, Any]] = []  # globals of code that got the plain number of a symbolic one
        self.readers: dict[int, CodeType] = {}
        self.tell_reader: Callable[[CodeType, dict[str, Any], type | None], None] = _nothing_of_code
        self.failed: FxcountError | None = None  # what the model may have caught
        self.unseen = ""  # where the model asks of a size what nobody is told of
        self._layouts: dict[TensorFact, tuple[torch.Size, tuple[int, ...]]] = {}

    def read_by(self, frame: FrameType) -> None:
        """Remember a function that reads shapes, and whether it asks for the identity of a size."""
        code = frame.f_code
        self.readers[id(code)] = code
        own = local_variable(frame, code.co_varnames[0]) if code.co_argcount else MISSING
        kind = None if own is MISSING else type(own)
        self.tell_reader(code, frame.f_globals, kind)
        asked = asks_identity(code, frame.f_globals, kind)
        if asked is not None and not self.unseen:
            self.unseen = f"{asked[0]}:{asked[1]}"

    def maker(self) -> Callable[..., StandIn]:
        """What makes the stand-ins of this trace: ``make(value, storage, known=None)``."""
        return partial(StandIn.make, self)

    def blank(self, fact: TensorFact) -> Callable[[], StandIn]:
        """What makes stand-ins of this form, with none of their attributes set."""
        return StandIn.blank(fact, self.layout(fact)[1])

    # -- sizes --------------------------------------------------------------------------------------------------------
    def layout(self, fact: TensorFact) -> tuple[torch.Size, tuple[int, ...]]:
        """The ``torch.Size`` a model sees (symbolic sizes included) and the sizes at the hint."""
        found = self._layouts.get(fact)
        if found is None:
            scope = self.scope
            size = torch.Size([self.as_int(s) for s in fact.shape])
            hints = tuple([s if type(s) is int else scope.hint(s) for s in fact.shape])
            if prod(hints) >= LARGEST_SIZE or (hints and max(hints) >= LARGEST_SIZE):
                raise SizeError(f"a tensor of shape {shape_text(hints)} is more than torch can have: sizes end below 2**63")
            found = self._layouts[fact] = (size, hints)
        return found

    def as_int(self, size: Size) -> Any:
        """What the model holds for a size: an int, or a symbolic integer."""
        return size if isinstance(size, int) else SymSize(size, self.scope.hint(size), self.scope)

    def is_contiguous(self, fact: TensorFact, memory_format: torch.memory_format) -> bool:
        row_major = memory_format in (torch.contiguous_format, torch.preserve_format)
        if row_major and fact.strides is None:
            return True
        if not row_major and len(fact.shape) != {torch.channels_last: 4, torch.channels_last_3d: 5}[memory_format]:
            return False
        wanted = contiguous_strides(fact.shape) if row_major else channels_last_strides(fact.shape)
        return is_dense(self.scope, fact.shape, fact.stride(), wanted, "is_contiguous()")

    def offset(self, x: StandIn) -> int:
        return offset_of(x._value, self.calls, self.scope, self.replay.begin)

    def address(self, x: StandIn) -> int:
        return address_of(x._value, self.calls, self.scope, self.replay.begin)

    def memory(self, x: StandIn) -> tuple[int, Any]:
        """The storage and its bytes; of what is a copy at some sizes and a view at others it is decided which of them it is."""
        origin = origin_of(x._value, self.calls, self.scope)
        found, own = self.storages[origin.storage], origin.storage != x._storage.index or not x._storage.parts
        return origin.storage, self.as_int(found.nbytes if own and not found.keeps else origin.fact.nbytes)

    def is_set_to(self, x: StandIn, other: StandIn) -> bool:
        """Whether both are the same part of one memory, seen alike."""
        a, b = x._value.fact, other._value.fact
        if a.ndim != b.ndim or self.address(x) != self.address(other):
            return False
        alike = [self.scope.same(n, m, "is_set_to()") for n, m in zip(a.shape, b.shape)]
        return all(alike) and is_dense(self.scope, a.shape, a.stride(), b.stride(), "is_set_to()")

    def set_requires_grad(self, x: StandIn, flag: bool) -> None:
        value = x._value
        x._value = Value(
            value.index, value.fact, value.storage, value.origin, value.name, value.call, value.position, flag
        )  # fmt: skip

    def note_length(self, frame: FrameType) -> None:
        """Code asked for the ``len`` of a stand-in and gets a plain int, unless it sees a ``len`` that keeps the symbol."""
        found = frame.f_globals
        code = frame.f_code
        asks = "len" in code.co_names and "len" not in found and "len" not in (*code.co_varnames, *code.co_cellvars)
        known = any([namespace is found for namespace in self.missed_lengths])
        if asks and not known and not str(found.get("__name__")).startswith("fxcount."):
            self.missed_lengths.append(found)

    def note_number(self, frame: FrameType) -> None:
        """Code took the plain number of a symbolic one, as ``int``, ``float`` or a function of ``math`` want it."""
        found = frame.f_globals
        names = frame.f_code.co_names
        builtin = any([name in names and name not in found for name in ("int", "float")])
        if not builtin and not any([_is_of_math(found.get(name)) for name in names]):
            return
        known = any([namespace is found for namespace in self.missed_numbers])
        if not known and not str(found.get("__name__")).startswith("fxcount."):
            self.missed_numbers.append(found)

    # -- data ---------------------------------------------------------------------------------------------------------
    def scalar(self, x: StandIn, what: str) -> Any:
        """The one element of a tensor, as far as it is known."""
        if x._known is not None and x._storage.constant:
            self.note_data((x,))
            return x._known.item()
        dtype = x._value.fact.dtype
        is_question = what == "a bool" or dtype is torch.bool
        if x._value.fact.numel == 1:
            found = self._made_of_sizes(x, is_question)
            if found is not None:
                return found
        if is_question:
            return self.decide(x, what)
        if not dtype.is_complex and x._value.fact.numel == 1:
            return self.read_number(x)
        self.fail_on_data(x, what)

    def _made_of_sizes(self, x: StandIn, is_question: bool) -> Any:
        """The element of a tensor made of sizes. A question that only the sample values can answer may not matter."""
        wait = is_question and self.decisions is not None and not self.decisions.compute
        found = self.replay.element(x._value, symbols_only=wait)
        if found is None and wait and self.decisions is not None and self.replay.is_made(x._value):
            always = self.replay.always(x._value)
            line = find_source(sys._getframe(2))
            self.decisions.could_be_computed(str(line), None if always is None else bool(always))
        return found

    def decide(self, x: StandIn, what: str) -> bool:
        """The answer to a question that only data can answer: as the user says, or as this run is told."""
        given = self.scope.unbacked.given
        if BRANCH in given:
            taken = bool(given[BRANCH])
            self.notes.add(f"a decision on data at {self.notes.where()} was taken as {taken}")
            return taken
        if self.decisions is None:
            self.fail_on_data(x, what)
        line = find_source(sys._getframe(1))
        return self.decisions.answer(str(line), self.notes.where)

    def data(self, x: StandIn, what: str) -> torch.Tensor:
        """All elements."""
        found = self.known_data(x)
        if found is None:
            self.fail_on_data(x, what)
        return found

    def is_known(self, x: StandIn) -> bool:
        """Whether the data are constants or made of sizes."""
        return (x._known is not None and x._storage.constant) or self.replay.is_made(x._value)

    def known_data(self, x: StandIn) -> torch.Tensor | None:
        """All elements, if they are constants or made of sizes, which are pinned."""
        self.note_data((x,))
        return x._known if x._known is not None and x._storage.constant else self.replay.data(x._value)

    def told(self, x: StandIn, frame: FrameType) -> torch.Tensor | None:
        """The data for a text: none if nobody knows them, or if the text only goes into a message."""
        return None if not self.is_known(x) or in_message(frame) else self.known_data(x)

    def array(self, x: StandIn) -> Any:
        """numpy's array of it: the data, if they are known."""
        known = self.known_data(x)
        return array_of(x) if known is None else known.numpy()

    def listed(self, x: StandIn) -> Any:
        """Nested lists, sizes in their formulas; ``None`` if the data are not known."""
        self.note_data((x,))
        return x._known.tolist() if x._known is not None and x._storage.constant else self.replay.listed(x._value)

    def fail_on_data(self, x: StandIn, what: str) -> NoReturn:
        error = data_error(what, self.notes.where(), x._value.origin == "input")
        self.unanswered(error)
        raise error

    def unanswered(self, error: FxcountError) -> None:
        """An error of fxcount's own is raised in the model, which torch would not have raised: if the model catches it and goes
        on, it goes another way than it does in eager mode."""
        if self.failed is None and not isinstance(error, ShapeError):
            self.failed = error

    def _no_number(self, x: StandIn) -> NoReturn:
        self.fail_on_data(x, "a number")

    def forget(self) -> None:
        """Let go of what only the run needed."""
        self.replay.forget()
        self._layouts.clear()
        self.tell_reader = _nothing_of_code


def _nothing_of_code(code: CodeType, names: dict[str, Any], kind: type | None) -> None:
    """Nobody wants to know."""


def _is_of_math(thing: Any) -> bool:
    return thing is math or (isinstance(thing, BuiltinFunctionType) and thing.__module__ == "math")


def _nothing(x: StandIn) -> None:
    """Nobody wants to know."""
