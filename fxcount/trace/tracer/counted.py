"""Calls whose sizes depend on data nobody has: their numbers become symbols of the scope.

The same tensor gives the same symbol wherever its true elements or its value are asked for, and what the trace shows of a
number is used: the complement of a mask has the other elements, the classes of a one-hot tensor share its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from fxcount import torch_private
from fxcount.errors import DataDependentError
from fxcount.ops import REGISTRY, Op, Zero, op
from fxcount.ops.core.common import facts_in, refused
from fxcount.ops.core.positions import MASKS
from fxcount.ops.core.tree import mapped
from fxcount.ops.memory.dynamic import index_columns
from fxcount.symbolic import Size, SymSize, sum_
from fxcount.trace.known.alike import same_data
from fxcount.trace.known.constants import facts_of
from fxcount.trace.tape import Call, Signature, Value
from fxcount.trace.tracer.arguments import facts_of_arguments
from fxcount.trace.tracer.recorder import Recorder
from fxcount.trace.tracer.standin import StandIn

__all__ = ["ITEM", "Numbers", "numbers_in"]

ITEM: Op = op(
    "item", shape=refused("item", "keep the value in a tensor"), cost=Zero("reads one element"), differentiable=False
)  # fmt: skip
"""The graph's record of ``x.item()``: its result is a symbol."""

_INTEGERS = frozenset({torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8})
_ROWS = "the rows of one class of a one-hot tensor"
_ONE_CLASS = "each row of a one-hot tensor has one class"


def _ops(*functions: Callable[..., Any]) -> frozenset[Op]:
    """The ops of these functions, and their in-place variants."""
    return frozenset(found for f in functions for found in REGISTRY.variants(REGISTRY[f]))


_T = torch.Tensor
_INDEXING = _ops(_T.__getitem__, _T.__setitem__, torch.ops.aten.index, torch.index_put, torch.ops.aten._index_put_impl)
_NONZERO = _ops(torch.nonzero, torch.argwhere)
_NEGATIONS = _ops(torch.bitwise_not, torch.logical_not)
_SELECTING = _ops(torch.select, _T.__getitem__)
_RESHAPING = _SELECTING | _ops(
    torch.permute, torch.transpose, torch.t, _T.to, _T.bool, _T.contiguous, torch.squeeze, torch.ne, torch.gt
)
_FLATTENING = _ops(torch.squeeze, torch.flatten)
_ONE_HOT = REGISTRY[torch_private.nn_functions.one_hot]


def _known_items(operands: list[StandIn]) -> Iterator[tuple[int, Size]]:
    """The one element of tensors without dimensions that are constants."""
    for o in operands:
        if not o._value.fact.shape and o._value.fact.dtype in _INTEGERS and o._known is not None and o._storage.constant:
            o._owner.note_data((o,))
            yield o._value.index, int(o._known)


class _Computable(Exception):
    """All operands are made of sizes: the result can be computed."""


def numbers_in(arguments: Iterable[Any]) -> bool:
    """Whether an integer tensor without dimensions, which can stand for a size, is among the facts of these arguments."""
    return any(not fact.shape and fact.dtype in _INTEGERS for fact in facts_in(arguments))


class Numbers:
    """The numbers of one trace that only data know."""

    def __init__(self, tracer: Recorder) -> None:
        self.tracer = tracer
        self._true: dict[int, Size] = {}  # index of a value -> how many of its elements are true
        self._items: dict[int, Size] = {}  # index of a value -> its one element: a symbol, or what is known of it
        self._classes: dict[int, list[Size]] = {}  # index of a one_hot call -> rows of the classes met so far

    # -- calls --------------------------------------------------------------------------------------------------------
    def infer(
        self, entry: Op, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], operands: list[StandIn],
        error: DataDependentError,
    ) -> Signature:  # fmt: skip
        """The signature of a call whose plain shape rule raised ``error``, or that error. Never memoised."""
        tracer = self.tracer
        self._items.update(_known_items(operands))
        facts = tuple([facts_of_arguments(a) for a in args])
        named = {k: facts_of_arguments(v) for k, v in kwargs.items()}
        if entry is ITEM:
            result: Any = self.item(args[0])
        elif entry.counted is not None:
            try:
                result = entry.counted(tracer.scope, self._counter(operands), *facts, **named)
            except _Computable:
                result = self._computed(entry, func, args, kwargs, operands)
        else:
            key = 1 if entry in _INDEXING else -1
            replaced = tuple(self._key(a, True) if i == key else self._bound(a) for i, a in enumerate(args))
            replaced_named = {k: self._bound(v) for k, v in kwargs.items()}
            if not entry.asks and (replaced != facts or replaced_named != named):
                result = entry.shape(tracer.scope, *replaced, **replaced_named)
            elif operands and all([tracer.answers.is_known(o) for o in operands]):
                result = self._computed(entry, func, args, kwargs, operands)
            elif entry.asks and operands:
                result = same_data(args, tracer.ledger.calls) or tracer.answers.decide(operands[0], f"{entry.name}()")
            else:
                raise error from None
            # what is read is the mask itself, not the indices it stands for
            if not entry.asks:
                facts = tuple(self._key(a, False) if i == key else r for i, (a, r) in enumerate(zip(args, replaced)))
                named = replaced_named
        return tracer.signature(entry, facts, named, result)

    def _counter(self, operands: list[StandIn]) -> Callable[..., Size]:
        def count(kind: str, what: str, most: Size | None = None, default: Size | None = None, of: int | None = None) -> Size:
            if of is not None:
                return self.true_elements(operands[of]._value)
            total = self.tracer.answers.replay.total(operands[-1]._value) if kind == "repeated" else None
            if total is not None:
                return total
            if all([self.tracer.answers.is_known(o) for o in operands]):
                raise _Computable
            return self.tracer.scope.unbacked.new(kind, what, most, default)

        return count

    def _computed(
        self, entry: Op, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], operands: list[StandIn]
    ) -> Any:
        call = Call(-1, func, Signature(entry, (), {}, None), args, kwargs, tuple(o._value for o in operands), -1, None, False)
        facts = [facts_of(t) for t in self.tracer.answers.replay.computed(call)]
        return facts[0] if len(facts) == 1 else tuple(facts)

    def _key(self, key: Any, as_columns: bool) -> Any:
        """An index with numbers for bounds that are tensors and, if asked for, for a mask the index tensors it stands for."""
        if type(key) is Value:
            masked = as_columns and key.fact.dtype in MASKS and key.fact.shape
            return index_columns(key.fact, self.true_elements(key)) if masked else key.fact
        if not isinstance(key, (tuple, list)):
            return self._bound(key)
        parts: list[Any] = []
        for entry in key:
            found = self._key(entry, as_columns)
            parts.extend(found if type(entry) is Value and isinstance(found, tuple) else [found])
        return tuple(parts) if isinstance(key, tuple) else parts

    def _bound(self, a: Any) -> Any:
        """Facts in the place of values, and a number in the place of an integer tensor without dimensions."""

        def leaf(part: Any) -> Any:
            if type(part) is not Value:
                return part
            return self.item(part) if not part.fact.shape and part.fact.dtype in _INTEGERS else part.fact

        return mapped(leaf, a)

    def settle(self, x: StandIn) -> None:
        """A loop over ``mask.nonzero()`` that runs for every element of the mask visits 0, 1, 2, ...: known data."""
        call = self._made_by(x._value)
        while call is not None and call.op in _FLATTENING:
            call = self._made_by(call.operands[0])
        if call is None or call.op not in _NONZERO:
            return
        mask, scope = call.operands[0].fact, self.tracer.scope
        if mask.ndim == 1 and isinstance(mask.numel, int) and scope.hint(x._value.fact.shape[0]) == mask.numel:
            scope.pin(x._value.fact.shape[0], "a loop over all true elements")
            with torch_private.DisableTorchFunction():
                x._known = torch.arange(mask.numel, device="cpu").reshape(-1, *[1] * (x._value.fact.ndim - 1))
            x._storage.constant = True

    # -- numbers ------------------------------------------------------------------------------------------------------
    def item(self, value: Value) -> Size:
        """The one element of an integer tensor."""
        found = self._items.get(value.index)
        if found is None:
            element = self.tracer.answers.replay.element(value)
            if element is not None:
                return element.expr if isinstance(element, SymSize) else int(element)
            found = self._items[value.index] = self.tracer.scope.unbacked.new("item", "the value of a tensor")
        return found

    def true_elements(self, mask: Value) -> Size:
        """How many elements of a mask are true."""
        found = self._true.get(mask.index)
        if found is None:
            found = self.tracer.answers.replay.true_elements(mask)
            for ask in (self._complement, self._rows_of_class):
                found = ask(mask) if found is None else found
            found = self._true[mask.index] = self._new_count(mask) if found is None else found
        return found

    def _new_count(self, mask: Value) -> Size:
        numel = mask.fact.numel
        return self.tracer.scope.unbacked.new("nonzero", "the number of true elements of a mask", numel, numel)

    def _complement(self, mask: Value) -> Size | None:
        """``~m`` has the elements that ``m`` has not."""
        call = self._made_by(mask)
        if call is None or call.op not in _NEGATIONS or mask.fact.dtype is not torch.bool:
            return None
        other = self._true.get(call.operands[0].index)
        return None if other is None else mask.fact.numel - other

    def _rows_of_class(self, mask: Value) -> Size | None:
        """Rows of one class, if the mask is a slice of a one-hot tensor; the last class has what the others leave.

        With n rows and E classes the default is n // E: balanced, as the routers of mixtures of experts are trained to be.
        """
        origin = self._one_hot_behind(mask)
        if origin is None:
            return None
        source, hot = origin.operands[0].fact, origin.outputs[0].fact
        classes = hot.shape[-1]
        if not isinstance(classes, int) or not self.tracer.scope.equal(mask.fact.numel, source.numel):
            return None
        rows = self._classes.setdefault(origin.index, [])
        default = source.numel - sum_(rows) if len(rows) == classes - 1 else source.numel // classes
        rows.append(self.tracer.scope.unbacked.new("rows", _ROWS, source.numel, default))
        if len(rows) == classes:
            self.tracer.scope.learn_equal(sum_(rows), source.numel, _ONE_CLASS)
        return rows[-1]

    def close(self) -> None:
        """The model has run: if nobody asked for one class of a one-hot tensor (masked experts), the others have all rows."""
        for index, rows in self._classes.items():
            call = self.tracer.ledger.calls[index]
            if len(rows) == call.outputs[0].fact.shape[-1] - 1:
                self.tracer.scope.unbacked.balance(rows, call.operands[0].fact.numel, f"{_ONE_CLASS}; the last is left out")

    def _one_hot_behind(self, value: Value) -> Any:
        selected = False
        call = self._made_by(value)
        while call is not None and call.op in _RESHAPING:
            selected |= call.op in _SELECTING
            value = call.operands[0]
            call = self._made_by(value)
        return call if call is not None and selected and call.op is _ONE_HOT else None

    def _made_by(self, value: Value) -> Call | None:
        calls = self.tracer.ledger.calls
        return calls[value.call] if value.origin == "op" and 0 <= value.call < len(calls) else None
