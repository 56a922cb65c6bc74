"""Steps of an optimizer over equal layers: two of them are taken, and stand for the others.

Torch's own optimizers, where they take one parameter after another, do the same for parameters of the same form. A model of
equal layers has its parameters in equal blocks. The first two blocks are stepped, and what comes before and after them; what
was recorded of the second, which comes after an equal one as all later ones do, is written into the trace once more for each
of these: with tensors of their own, births and deaths in their places, the trace is that of the whole step.

Letters: A parameters before the blocks, B in a block, M blocks, N in all
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch

from fxcount.dataclass import dataclass
from fxcount.ops import TensorFact
from fxcount.ops.core.tree import mapped
from fxcount.trace.tape import Call, Value
from fxcount.trace.tracer.standin import StandIn
from fxcount.trace.tracer.storages import HeldState, Kept

__all__ = ["Blocks", "Folded", "Irregular", "blocks_of"]

_ONE_BY_ONE = frozenset({
    "SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Rprop", "ASGD",
})  # fmt: skip
_NESTED = frozenset({tuple, list, dict, slice})
_LONGEST = 64  # parameters of a layer
_WORTHWHILE = 8  # parameters that are not stepped


class Irregular(Exception):
    """The steps are not one parameter after another, each by itself: the step is to be traced whole."""


class Blocks(NamedTuple):
    """``times`` equal blocks of ``length`` parameters, from the number ``start`` on."""

    start: int
    length: int
    times: int

    @property
    def left_out(self) -> int:
        """How many parameters need no step of their own."""
        return (self.times - 2) * self.length


def blocks_of(kinds: Sequence[Any]) -> Blocks | None:
    """The blocks that leave out most; one parameter comes after them, so that the step does not end with a block.

    >>> blocks_of("a" + "bcc" * 6 + "a"), blocks_of("abcd")
    (Blocks(start=1, length=3, times=6), None)
    """
    best = None
    count = len(kinds) - 1
    for length in range(1, min(_LONGEST, count // 3) + 1):
        start = 0
        for i in range(count - length + 1):
            if i < count - length and kinds[i] == kinds[i + length]:
                continue
            found = Blocks(start, length, (i + length - start) // length)
            if found.times > 2 and (best is None or found.left_out > best.left_out):
                best = found
            start = i + 1
    return best if best is not None and best.left_out >= _WORTHWHILE else None


_Held = Mapping[str, Any]
"""Stand-ins that belong to a parameter, by what they are."""


class _Role(NamedTuple):
    """What a storage is: of which of the parameters that are stepped, and which of its storages."""

    owner: int
    name: Any


@dataclass(slots=True)
class _Segment:
    """What one pass of the step over the parameters does with one of them: so many calls, and the log while they run."""

    owner: int
    calls: range
    log: range


class Folded:
    """The steps of one optimizer, of which blocks are left out."""

    def __init__(self, tracer: Any, optimizer: torch.optim.Optimizer, blocks: Blocks, held: Sequence[_Held]) -> None:
        self.ledger = tracer.ledger
        self._scope = tracer.scope
        self.within = tracer.within
        self._optimizer = optimizer
        self._all = optimizer.param_groups[0]["params"]
        self._blocks = blocks
        self.roles: dict[int, _Role] = {}
        self._storages: dict[tuple[int, Any], int] = {}  # by the number among all parameters, and the name in the role
        self.twins: dict[tuple[int, int], tuple[Value, Value]] = {}  # of a value of the second block, so many blocks later
        self._alive: dict[int, Kept] = {}  # of the blocks that were left out, until the states go
        self._round = 0
        for number, tensors in enumerate(held):
            for name, x in tensors.items():
                self._enter(number, name, x._storage.index)
        self._pair(held)

    def _enter(self, number: int, name: Any, storage: int) -> None:
        self._storages[number, name] = storage
        a, length, _ = self._blocks
        if number < a + 2 * length:
            self.roles[storage] = _Role(number, name)
        elif number >= a + 2 * length + self._blocks.left_out:
            self.roles[storage] = _Role(number - self._blocks.left_out, name)

    def _pair(self, held: Sequence[_Held]) -> None:
        a, length, times = self._blocks
        for shift in range(1, times - 1):
            for number in range(a + length, a + 2 * length):
                for name, x in held[number].items():
                    self.twins[id(x._value), shift] = x._value, held[number + shift * length][name]._value

    @classmethod
    def of(cls, tracer: Any, optimizer: Any) -> Folded | None:
        """Those of an optimizer, if there are blocks, and it takes one parameter after another."""
        if not _takes_one_by_one(optimizer) or (tracer.placed is not None and tracer.placed.type != "cpu"):
            return None
        held = [_held(tracer, optimizer, p) for p in optimizer.param_groups[0]["params"]]
        tensors = [x for one in held for x in one.values()]
        if any([type(x) not in (StandIn, HeldState) or type(x._value.fact) is not TensorFact for x in tensors]):
            return None
        storages = [x._storage for x in tensors]
        if len(set(map(id, storages))) != len(storages) or any([s.parts or s.keeps for s in storages]):
            return None
        forms: dict[Any, int] = {}
        kinds = [forms.setdefault(tuple([(n, x._value.fact) for n, x in one.items()]), len(forms)) for one in held]
        blocks = blocks_of(kinds)
        return None if blocks is None else cls(tracer, optimizer, blocks, held)

    def step(self) -> None:
        """One step of the optimizer.

        Raises :class:`Irregular` if it cannot be folded."""
        a, length, times = self._blocks
        group = self._optimizer.param_groups[0]
        ledger = self.ledger
        calls, entries, within = len(ledger.calls), len(ledger.log), len(self.within)
        values = len(self._scope.unbacked.by_name)
        group["params"] = [*self._all[: a + 2 * length], *self._all[a + times * length :]]
        try:
            self._optimizer.step()
        finally:
            group["params"] = self._all
        segments = self._segments(calls, entries)
        if values != len(self._scope.unbacked.by_name) or not self._are_alike(segments):
            raise Irregular("blocks that differ")
        self._written(segments, within)
        self._round += 1

    # -- what was recorded --------------------------------------------------------------------------------------------
    def _segments(self, first: int, start: int) -> list[_Segment]:
        """The calls of a step, by the parameters they are for; each call belongs to one, or to the next that does."""
        ledger = self.ledger
        storages = min([e for e in ledger.log[start:] if e >= 0], default=len(ledger.storages))  # from here on new ones
        found: list[_Segment] = []
        waiting = first
        count: dict[tuple[int, int], int] = {}
        number = 0  # of the pass
        for call in ledger.calls[first:]:
            owners = {self.roles[v.storage].owner for v in call.operands if v.storage in self.roles}
            if len(owners) > 1:
                raise Irregular("an op on several parameters")
            if not owners:
                continue
            if any([i not in self.roles and i < storages for i in call.mutated]):
                raise Irregular("what all parameters share is written to")
            (owner,) = owners
            last = found[-1].owner if found else owner
            number += owner < last
            calls = range(waiting, call.index + 1)
            log = range(ledger.marks[waiting] if found else start, self._end_of(call.index))
            if found and owner == last:
                found[-1].calls = range(found[-1].calls.start, calls.stop)
                found[-1].log = range(found[-1].log.start, log.stop)
            else:
                found.append(_Segment(owner, calls, log))
            waiting = call.index + 1
            for e in [e for e in ledger.log[log.start : log.stop] if e >= 0]:
                at = count[number, owner] = count.get((number, owner), -1) + 1
                self._born(e, owner, (self._round, number, at))
        if found:  # what no parameter follows
            found[-1].calls = range(found[-1].calls.start, len(ledger.calls))
            found[-1].log = range(found[-1].log.start, len(ledger.log))
        return found

    def _are_alike(self, segments: Sequence[_Segment]) -> bool:
        """Whether the second block is done as the first."""
        a, length, _ = self._blocks
        found: tuple[list[Any], list[Any]] = ([], [])
        for segment in segments:
            block, place = divmod(segment.owner - a, length)
            if block in (0, 1):
                ops = [self.ledger.calls[i].op for i in segment.calls]
                births = sum([e >= 0 for e in self.ledger.log[segment.log.start : segment.log.stop]])
                found[block].append((place, ops, births))
        return found[0] == found[1]

    def _end_of(self, call: int) -> int:
        marks = self.ledger.marks
        return marks[call + 1] if call + 1 < len(marks) else len(self.ledger.log)

    def _born(self, storage: int, owner: int, name: Any) -> None:
        info = self.ledger.storages[storage]
        if info.origin != "op" or info.keeps:
            raise Irregular("a copy that is a view at some sizes")
        self.roles[storage] = _Role(owner, name)
        a, length, _ = self._blocks
        after = owner >= a + 2 * length
        self._storages[owner + (self._blocks.left_out if after else 0), name] = storage

    # -- what is written ----------------------------------------------------------------------------------------------
    def _written(self, segments: Sequence[_Segment], within: int) -> None:
        """Write the step into the ledger, with the blocks that were left out."""
        if not segments:
            return
        ledger = self.ledger
        first, start = segments[0].calls.start, segments[0].log.start
        stepped = _Recorded(ledger.calls[first:], ledger.marks[first:], ledger.log[start:], self.within[within:], first, start)
        copier = _Copier(self, stepped)
        del ledger.calls[first:], ledger.marks[first:], ledger.log[start:], self.within[within:]
        for segment, shift in self._in_order(segments):
            copier.write(segment, shift)

    def _in_order(self, segments: Sequence[_Segment]) -> Iterator[tuple[_Segment, int]]:
        """All segments with by how many blocks they are shifted: the second block for each of those that were left out."""
        a, length, times = self._blocks
        second, after = a + length, a + 2 * length
        block: list[_Segment] = []
        for segment, following in zip(segments, [*segments[1:], None]):
            yield segment, 0
            if second <= segment.owner < after:
                block.append(segment)
            if block and (following is None or not segment.owner <= following.owner < after):
                for shift in range(1, times - 1):
                    yield from [(one, shift) for one in block]
                block = []

    def counterpart(self, storage: int, segment: _Segment, shift: int) -> int:
        """The storage that plays the part of this one, for a segment that is shifted by so many blocks."""
        role = self.roles.get(storage)
        a, length, times = self._blocks
        after = a + 2 * length
        if segment.owner >= after:  # what comes after the last block sees that
            shift = times - 2
            if role is not None and role.owner >= after:
                return storage
        if role is None or shift == 0:
            return storage
        found = self._storages.get((role.owner + shift * length, role.name)) if a <= role.owner < after else None
        if found is None:
            raise Irregular("blocks that differ")
        return found

    def end(self, storage: int) -> None:
        """One that was made here dies, if it has not."""
        kept = self._alive.pop(storage, None)
        if kept is not None:
            kept.begun = False

    def new_storage(self, storage: int, shift: int, call: int) -> int:
        """One like this, of a block that was left out."""
        role, storages = self.roles[storage], self.ledger.storages
        found = len(storages)
        storages.append(replace(storages[storage], born=call))
        kept = self._alive[found] = Kept(found, self.ledger.log)
        kept.begun = True
        self._storages[role.owner + shift * self._blocks.length, role.name] = found
        return found


class _Recorded(NamedTuple):
    """What a step has left in the ledger, from call ``first`` and entry ``start`` of the log on."""

    calls: list[Call]
    marks: list[int]
    log: list[int]
    within: list[tuple[int, int]]
    first: int
    start: int


class _Copier:
    """Writes calls with their stretches of the log, at the end of the ledger."""

    def __init__(self, folded: Folded, recorded: _Recorded) -> None:
        self._folded = folded
        self._ledger = folded.ledger
        self._recorded = recorded
        self._born = {e: self._ledger.storages[e].born for e in recorded.log if e >= 0}

    def write(self, segment: _Segment, shift: int) -> None:
        """A segment, as it was or ``shift`` blocks later."""
        ledger, folded = self._ledger, self._folded
        calls, marks, log, within, first, start = self._recorded
        further = len(ledger.log) - segment.log.start
        later = len(ledger.calls) - segment.calls.start
        ledger.marks += [marks[i - first] + further for i in segment.calls]
        for e in log[segment.log.start - start : segment.log.stop - start]:
            if e < 0:
                dead = folded.counterpart(~e, segment, shift)
                folded.end(dead)  # its end is written here
                e = ~dead
            elif shift:
                e = folded.new_storage(e, shift, self._born[e] + later)
            else:
                ledger.storages[e].born = self._born[e] + later
            ledger.log.append(e)
        for i in segment.calls:
            made = calls[i - first]
            ledger.calls.append(self._copied(made, segment, shift) if shift else self._moved(made))
        folded.within += [(a + further, b + further) for a, b in within if a in segment.log]

    def _moved(self, call: Call) -> Call:
        call.index = len(self._ledger.calls)
        for v in call.outputs:
            v.call = call.index
        return call

    def _copied(self, call: Call, segment: _Segment, shift: int) -> Call:
        index = len(self._ledger.calls)
        twins, twin = self._folded.twins, self._twin
        copy = Call(
            index, call.func, call.signature, tuple([twin(a, shift) for a in call.args]),
            {name: twin(a, shift) for name, a in call.kwargs.items()} if call.kwargs else {},
            tuple([twin(v, shift) for v in call.operands]), call.module, call.source, call.grad_enabled,
        )  # fmt: skip
        for v in call.outputs:
            storage = self._folded.counterpart(v.storage, segment, shift)
            twins[id(v), shift] = v, Value(
                self._ledger.next_value(), v.fact, storage, v.origin, v.name, index, v.position, v.requires_grad
            )  # fmt: skip
        copy.outputs = tuple([twins[id(v), shift][1] for v in call.outputs])
        copy.result = twin(call.result, shift)
        copy.mutated = tuple([self._folded.counterpart(s, segment, shift) for s in call.mutated])
        return copy

    def _twin(self, a: Any, shift: int) -> Any:
        """What a copied call has in the place of an argument."""
        if type(a) is not Value:
            return a if type(a) not in _NESTED else mapped(partial(self._twin, shift=shift), a)
        found = self._folded.twins.get((id(a), shift))
        if found is not None:
            return found[1]
        if a.storage in self._folded.roles:
            raise Irregular("a tensor of another parameter")
        return a  # one that all parameters share


def _takes_one_by_one(optimizer: Any) -> bool:
    kind = type(optimizer)
    if not kind.__module__.startswith("torch.optim.") or kind.__name__ not in _ONE_BY_ONE or len(optimizer.param_groups) != 1:
        return False
    group: Mapping[str, Any] = optimizer.param_groups[0]
    hooked = [hooks for name, hooks in vars(optimizer).items() if name.endswith("_hooks") and hooks]
    return not hooked and not any([group.get(n) for n in ("foreach", "fused", "capturable", "differentiable")])


def _held(tracer: Any, optimizer: torch.optim.Optimizer, p: Any) -> _Held:
    """The parameter, its gradient, and the states that there are before the first step."""
    p_held = tracer.ledger.operand(p)
    grad = p_held.grad if type(p_held) is StandIn and p_held._value.requires_grad else None
    states = {name: x for name, x in optimizer.state[p].items() if isinstance(x, torch.Tensor)} if p in optimizer.state else {}
    return {"parameter": p_held, **({} if grad is None else {"gradient": grad}), **states}
