"""Backwards of equal layers: those of the last two are run by torch's engine, and stand for those of the others before them.

A model of equal layers calls them one after another, each on what the one before returned. What a layer's forward recorded is
compared, call by call, with what an earlier one's did: the same ops on operands of the same form, which came from the same
places; as many nodes of the graph, the same births and deaths. Torch's engine would then do for it what it does for the other.
A node of the layer's own is put between its result and its graph. Of the last two it tells when the backward begins; of one
before, it writes what was recorded of the backward of the second last into the trace once more, with tensors of its own, and
lets go of the layer's graph: what dies with that has to be what died in the backward that was run. Where anything differs the
step is traced anew, whole.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from typing import Any
from weakref import ReferenceType, ref

import torch

from fxcount import torch_private
from fxcount.dataclass import dataclass
from fxcount.ops import Alias
from fxcount.ops.core.tree import mapped
from fxcount.trace.tape import Call, ModuleCall, StorageInfo, Value, values_in
from fxcount.trace.tracer.standin import StandIn
from fxcount.trace.tracer.storages import Storage

__all__ = ["Layers", "Unlike"]

_HELD = frozenset({"parameter", "buffer", "constant"})
_NESTED = frozenset({tuple, list, dict, slice})
_LEAST = 4  # layers in a row
_AFTER = 2  # layers after one that is folded: the gradient of the last one's result may lie in memory as no other does

_sequence_number = torch_private.sequence_number
_saved_hooks = torch_private.saved_hooks
_is_autocast_enabled = torch_private.is_any_autocast_enabled
_base_of = torch_private.TensorBase._base.__get__
_node_of = torch_private.TensorBase.grad_fn.__get__
_grad_of = torch_private.TensorBase.grad.__get__
_set_grad = torch_private.TensorBase.grad.__set__


class Unlike(Exception):
    """Layers that looked alike are not: the step is to be traced with the backward of each."""


class _Place:
    """A layer among its siblings."""

    __slots__ = ("forms", "group", "number")

    def __init__(self, group: Sequence[torch.nn.Module], forms: Sequence[Any], number: int) -> None:
        self.group = group
        self.forms = forms  # of the parameters of each
        self.number = number


class _Part:
    """One call of a layer: ``calls`` of the trace, the values from outside that they take, the storages that were born."""

    __slots__ = (
        "before", "births", "calls", "entries", "folds", "gate", "hooks", "key", "nodes", "outside", "parameters", "place",
        "record", "result", "source",
    )  # fmt: skip

    def __init__(self, place: _Place, record: ModuleCall, source: Value, entries: int, hooks: int) -> None:
        self.place = place
        self.record = record
        self.source = source  # what the layer is given
        self.entries = entries  # of the log, when it was called
        self.nodes = _sequence_number()
        self.hooks = hooks
        self.calls = range(0)
        self.outside: list[Value] = []
        self.births: list[int] = []
        self.parameters: list[Value] = []
        self.result: Any = None
        self.key: tuple[Any, ...] = ()
        self.before: _Part | None = None  # the layer whose result this one is given
        self.gate: ReferenceType[StandIn] | None = None  # where the gradient of a layer after it that is folded comes in
        self.folds = False


class _Node(torch.autograd.Function):
    """Between the result of a layer and its graph, or, of one that is folded, and the result of the layer before."""

    @staticmethod
    def forward(ctx: Any, layers: Layers, part: _Part, graph: Any, made: list[StandIn], of: StandIn) -> tuple[StandIn, ...]:
        ctx.layers, ctx.part, ctx.graph = layers, part, graph
        ctx.set_materialize_grads(False)
        return tuple(made)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        return None, None, None, None, ctx.layers.reached(ctx, *grads)


@dataclass(slots=True)
class _Run:
    """A backward that the engine runs: from where on it is in the trace, and the gradient it began with."""

    part: _Part
    call: int
    entry: int
    gradient: Value
    held: int  # how many hold that gradient's memory
    within: int
    touched: int


@dataclass(slots=True)
class _Copyable:
    """One call of a backward. Tensors and storages are numbers in the tables of a layer."""

    call: Call
    args: tuple[int, ...]  # -1 for what is no tensor
    nested: bool
    operands: tuple[int, ...]
    of: int  # the call of the forward that it is the backward of, from the layer's first on; -1 of the engine's own
    outputs: tuple[tuple[Value, int], ...]
    mutated: tuple[int, ...]


@dataclass(slots=True)
class _Pattern:
    """The backward of a layer, to be written once more for others."""

    start: int
    calls: list[_Copyable]
    log: list[int]
    marks: list[int]
    births: list[StorageInfo]
    dead: list[int]  # what the layer's graph held
    gradient: Value
    held: int
    ends: bool  # whether the memory of the gradient it began with is given up
    gradients: list[tuple[int, int, int]]  # of parameters, by their number among values from outside; value, and storage
    result: int
    storage: int
    numbers: Mapping[int, int]  # of values, by their identity


class Layers:
    """The layers of one model in one step."""

    def __init__(self, tracer: Any, model: torch.nn.Module) -> None:
        self._tracer = tracer
        self._ledger = tracer.ledger
        self._places = _places_in(model)
        self._open: _Part | None = None
        self._parts: dict[int, _Part] = {}  # by the identity of the layer
        self._latest: dict[tuple[Any, ...], _Part] = {}
        self._owners: dict[int, _Part] = {}  # of parameters, by the identity of their values
        self._run: _Run | None = None
        self._patterns: dict[tuple[Any, ...], _Pattern] = {}
        self._expected: Value | None = None
        self._by_value: dict[int, StandIn] = {}  # parameters, by the identity of their values
        self._checked = False
        self._written = 0
        self._hooks = 0
        self._end = 0  # of the forward

    @classmethod
    def of(cls, tracer: Any, model: torch.nn.Module) -> Layers | None:
        """Those of a model, if it has layers in a row."""
        found = cls(tracer, model)
        return found if found._places else None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """The forward, in which the layers are called."""
        modules = self._tracer.modules
        modules.watch = self
        self._hooks = self._tracer.hooks
        try:
            yield
        finally:
            modules.watch = self._open = None
            self._end = len(self._ledger.calls)
            for part in self._parts.values():
                part.gate = None

    # -- forward ------------------------------------------------------------------------------------------------------
    def entered(self, module: torch.nn.Module, record: ModuleCall, args: tuple[Any, ...]) -> None:
        """A module is called."""
        part = self._open
        if part is not None:
            if _saved_hooks(False):  # a checkpoint within the layer
                part.hooks = -1
            return
        place = self._places.get(id(module))
        if place is None:
            return
        if id(module) in self._parts:
            raise Unlike("a layer that is called again")
        given = [a for a in args if type(a) is StandIn and a._value.requires_grad]
        if len(given) != 1 or not torch.is_grad_enabled() or _is_autocast_enabled() or _saved_hooks(False):
            return
        self._open = _Part(place, record, given[0]._value, len(self._ledger.log), self._tracer.touched)

    def left(self, record: ModuleCall, result: Any) -> Any:
        """A module returns: what it returns, with a node of its own if it is a layer."""
        part = self._open
        if part is None or part.record is not record:
            return result
        self._open = None
        out = result
        if type(result) is tuple and result and not any([type(x) is StandIn and x._value.requires_grad for x in result[1:]]):
            out = result[0]
        if type(out) is not StandIn or not self._describes(part, out):
            return result
        made = self._with_node(part, out)
        return made if out is result else (made, *result[1:])

    def _describes(self, part: _Part, out: StandIn) -> bool:
        """Whether the layer may stand for others, or others for it: what it did is its ``key``."""
        tracer, ledger = self._tracer, self._ledger
        value = out._value
        start = part.record.start
        part.calls = range(start, len(ledger.calls))
        if part.hooks != tracer.touched or not value.requires_grad or value.call < start or _base_of(out) is not None:
            return False
        if type(ledger.calls[value.call].signature.result) is Alias and not ledger.calls[value.call].op.inplace:
            return False
        key: list[Any] = [type(out), value.call - start, value.position]
        numbers: dict[int, int] = {}
        order: dict[int, int] = {}
        for e in ledger.log[part.entries :]:
            if e >= 0:
                key.append(-2)
                order[e] = len(order)
            else:
                key.append(order.get(~e, -1))
        part.births = list(order)
        outside = part.outside
        first = part.record.index
        for call in ledger.calls[start:]:
            key += (call.signature, id(call.func), call.module - first, call.grad_enabled)
            for v in call.operands:
                if v.call >= start:
                    key += (v.call - start, v.position)
                    continue
                number = numbers.get(id(v))
                if number is None:
                    number = numbers[id(v)] = len(outside)
                    outside.append(v)
                key.append(-1 - number)
            for v in call.outputs:
                key.append(v.requires_grad)
            for s in call.mutated:
                if s not in order and ledger.storages[s].origin not in _HELD:
                    return False
                key.append(order.get(s, -1))
        storages: dict[int, int] = {}
        for i, v in enumerate(outside):
            if v.requires_grad and v.origin != "parameter" and v is not part.source:
                return False
            key += (v.origin, v.requires_grad, v is part.source, storages.setdefault(v.storage, i))
            key.append(ledger.storages[v.storage].nbytes)
            if v.requires_grad and v.origin == "parameter":
                part.parameters.append(v)
        by_node, last = tracer.node_calls, _sequence_number()
        key += [by_node.get(n, -1) - start for n in range(part.nodes, last)]
        part.key = tuple(key)
        part.result = value
        part.before = self._before(part)
        return True

    def _before(self, part: _Part) -> _Part | None:
        """The layer before this one, if what it returned is what this one was given."""
        place = part.place
        found = self._parts.get(id(place.group[place.number - 1])) if place.number else None
        return found if found is not None and found.result is part.source and _gate_of(found) is not None else None

    def _with_node(self, part: _Part, out: StandIn) -> StandIn:
        place = part.place
        for v in part.parameters:
            other = self._owners.setdefault(id(v), part)
            if other is not part:
                raise Unlike("layers that share a parameter")
        like = self._latest.get(part.key)
        self._latest[part.key] = part
        self._parts[id(place.group[place.number])] = part
        of = out if part.before is None else _gate_of(part.before)
        if like is not None and of is not out and of is not None and like.place.group is place.group:
            period = place.number - like.place.number
            after = [*range(place.number + period, len(place.group), period)][:_AFTER]
            part.folds = len(after) == _AFTER and all([place.forms[i] == place.forms[place.number] for i in after])
        answers = self._tracer.answers
        made, gate = answers.wrapper(out._value.fact), answers.wrapper(out._value.fact)
        made._value, made._storage, made._owner, made._known = out._value, out._storage, answers, out._known
        with self._tracer.aside():
            graph = _node_of(out) if part.folds else None
            tied: tuple[StandIn, StandIn] = _Node.apply(  # type: ignore[no-untyped-call]
                self, part, graph, [made, gate], of if part.folds else out
            )
        made, made._gate = tied  # which is the model's, and so is the end of the graph
        part.gate = ref(made._gate)
        return made

    # -- backward -----------------------------------------------------------------------------------------------------
    def reached(self, ctx: Any, direct: Any, gated: Any) -> Any:
        """The gradient of a layer's result: that of what the layer was given, if it is folded, else the same."""
        part: _Part = ctx.part
        g = direct if gated is None else gated
        if g is None or (direct is not None and gated is not None) or type(g) is not StandIn:
            raise Unlike("what a layer returns is used elsewhere as well")
        del direct, gated
        if not self._checked:
            self._checked = True
            self._check()
        expected, self._expected = self._expected, None
        if expected is not None and g._value is not expected:
            raise Unlike("a gradient that comes from elsewhere as well")
        if any([c.index >= part.calls.stop for c in self._tracer.replay.writers.get(part.result.storage, ())]):
            raise Unlike("what a layer returned is written to")
        held = sys.getrefcount(g._storage)
        run, self._run = self._run, None
        if run is not None and run.part.before is part:
            self._learn(run, g)
        if not part.folds:
            ledger = self._ledger
            self._run = _Run(
                part, len(ledger.calls), len(ledger.log), g._value, held, len(self._tracer.within), self._tracer.touched
            )  # fmt: skip
            return g
        pattern = self._patterns.get(part.key)
        if pattern is None or pattern.held != held or pattern.gradient.fact != g._value.fact:
            raise Unlike("a layer that is like no later one")
        graph = [ctx.graph]
        ctx.graph = None
        return self._copied(pattern, part, g, self._let_go(graph))

    def _learn(self, run: _Run, g: StandIn) -> None:
        """Note a backward that the engine has run, of the layer that comes after the ones like it, if it is one of its own."""
        self._patterns.pop(run.part.key, None)
        with suppress(Unlike):
            self._patterns[run.part.key] = self._pattern(run, g)

    def _check(self) -> None:
        """Nothing but the layers themselves takes their parameters, and what they have made besides their results."""
        if self._tracer.hooks != self._hooks:
            raise Unlike("hooks on gradients")
        parts = sorted(self._parts.values(), key=lambda p: p.calls.start)
        within = {i: p.result for p in parts for i in p.calls}
        taken = [p.source for p in parts]
        at = 0
        for start, stop in [*[(p.calls.start, p.calls.stop) for p in parts], (self._end, 0)]:
            taken += [v for c in self._ledger.calls[at:start] for v in c.operands if v.requires_grad]
            at = stop
        for v in taken:
            if v.origin == "parameter" and id(v) in self._owners:
                raise Unlike("a parameter of a layer is used elsewhere as well")
            if within.get(v.call, v) is not v:
                raise Unlike("what a layer has made is used elsewhere")

    def _let_go(self, graph: list[Any]) -> list[int]:
        """Drop a graph: the storages that die with it. Their ends are written elsewhere."""
        log = self._ledger.log
        start = len(log)
        graph.clear()
        died: list[int] = log[start:]
        del log[start:]
        return died

    def _tables(self, part: _Part, gradient: Value) -> tuple[list[Value], list[int]]:
        """Values and storages that a backward may begin with."""
        values = [v for c in self._ledger.calls[part.calls.start : part.calls.stop] for v in c.outputs]
        return [*values, *part.outside, gradient], [*part.births, *[v.storage for v in part.outside], gradient.storage]

    def _pattern(self, run: _Run, g: StandIn) -> _Pattern:
        """What the engine has recorded since a layer's backward began."""
        tracer, ledger, part = self._tracer, self._ledger, run.part
        if len(tracer.within) != run.within or tracer.touched != run.touched:
            raise Unlike("more than the engine's own calls")
        values, storages = self._tables(part, run.gradient)
        numbers = {id(v): i for i, v in reversed(list(enumerate(values)))}
        at = {s: i for i, s in reversed(list(enumerate(storages)))}
        begin = at[run.gradient.storage]
        if begin != len(storages) - 1:
            raise Unlike("a gradient in the memory of an activation")
        log: list[int] = []
        infos: list[StorageInfo] = []
        alive: set[int] = set()
        dead: list[int] = []
        for e in ledger.log[run.entry :]:
            if e >= 0:
                info = ledger.storages[e]
                if info.origin != "op" or info.keeps or e in at:
                    raise Unlike("memory of another kind")
                at[e] = len(storages) + len(infos)
                infos.append(info)
                alive.add(at[e])
                log.append(at[e])
                continue
            number = at.get(~e)
            if number is None:
                raise Unlike("something else ends")
            if number < begin:
                dead.append(number)
            alive.discard(number)
            log.append(~number)
        calls = [self._copyable(c, part, values, numbers, at) for c in ledger.calls[run.call :]]
        result = g._value
        if result.call < run.call:
            raise Unlike("a gradient that was there before")
        gradients: list[tuple[int, int, int]] = []
        for i, v in enumerate(part.outside):
            if v.origin == "parameter" and v.requires_grad:
                with tracer.aside():
                    found = _grad_of(self._parameter(v))
                if found is None:
                    continue
                if id(found._value) not in numbers or found._value.call < run.call:
                    raise Unlike("a gradient that was there before")
                gradients.append((i, numbers[id(found._value)], at[found._storage.index]))
        if at[result.storage] < begin or any([s < begin for _, _, s in gradients]):
            raise Unlike("a gradient in the memory of an activation")
        left = alive - {s for _, _, s in gradients} - {at[result.storage]}
        if left:
            raise Unlike("something is left of a backward")
        marks = [m - run.entry for m in ledger.marks[run.call :]]
        return _Pattern(
            run.call, calls, log, marks, infos, dead, run.gradient, run.held, ~begin in log, gradients, numbers[id(result)],
            at[result.storage], numbers,
        )  # fmt: skip

    def _copyable(
        self, call: Call, part: _Part, values: list[Value], numbers: dict[int, int], at: Mapping[int, int]
    ) -> _Copyable:  # fmt: skip
        of = self._tracer.backward_of.get(call.index, -1)
        if (of != -1 and of not in part.calls) or (of == -1 and call.module != -1) or call.grad_enabled:
            raise Unlike("a call of something else")
        try:
            args = tuple([numbers[id(a)] if type(a) is Value else -1 for a in call.args])
            operands = tuple([numbers[id(v)] for v in call.operands])
            outputs = tuple([(v, at[v.storage]) for v in call.outputs])
            mutated = tuple([at[s] for s in call.mutated])
        except KeyError:
            raise Unlike("a tensor of something else") from None
        for v in call.outputs:
            numbers[id(v)] = len(values)
            values.append(v)
        nested = bool([v for a in call.args if type(a) in _NESTED for v in values_in(a)] or values_in(call.kwargs))
        return _Copyable(call, args, nested, operands, of if of == -1 else of - part.calls.start, outputs, mutated)

    def _copied(self, pattern: _Pattern, part: _Part, g: StandIn, died: list[int]) -> StandIn:
        """Write a backward into the trace once more; the gradient of what the layer was given."""
        tracer, ledger = self._tracer, self._ledger
        values, storages = self._tables(part, g._value)
        if sorted(died) != sorted([~storages[i] for i in pattern.dead]):
            raise Unlike("a graph that holds something else")
        calls, infos, log = ledger.calls, ledger.storages, ledger.log
        index, entry, first = len(calls), len(log), len(infos)
        later = index - pattern.start
        infos += [StorageInfo(one.nbytes, "op", one.name, one.born + later) for one in pattern.births]
        storages += range(first, len(infos))
        log += [storages[e] if e >= 0 else ~storages[~e] for e in pattern.log]
        ledger.marks += [m + entry for m in pattern.marks]
        start = part.calls.start
        for one in pattern.calls:
            call = one.call
            forward = call if one.of == -1 else calls[start + one.of]
            kwargs = call.kwargs
            if not one.nested:
                args = tuple([a if n < 0 else values[n] for a, n in zip(call.args, one.args)])
            else:
                twin = _Twin(pattern.numbers, values)
                args, kwargs = twin(call.args), twin(kwargs)
            copy = Call(
                index, call.func, call.signature, args, kwargs, tuple([values[n] for n in one.operands]), forward.module,
                forward.source, False,
            )  # fmt: skip
            made = [
                Value(ledger.next_value(), v.fact, storages[s], "op", "", index, v.position, v.requires_grad)
                for v, s in one.outputs
            ]
            values += made
            copy.outputs = tuple(made)
            copy.result = made[0] if type(call.result) is Value else mapped(_Twin(pattern.numbers, values), call.result)
            if one.mutated:
                copy.mutated = tuple([storages[s] for s in one.mutated])
                for s in copy.mutated:
                    tracer.replay.writers.setdefault(s, []).append(copy)
            calls.append(copy)
            if one.of != -1:
                tracer.backward_of[index] = forward.index
                self._written += 1
            index += 1
        if pattern.ends:
            g._storage.log = []  # its end is written
        made_of = {g._storage.index: g._storage}
        self._leave_gradients(pattern, part, values, storages, made_of)
        self._expected = values[pattern.result]
        if tracer.progress is not None:
            tracer.progress(index - 1)
        return self._tensor(values[pattern.result], storages[pattern.storage], made_of)

    def _parameter(self, value: Value) -> StandIn:
        """The stand-in of a parameter: the engine has met them all when a layer's backward is over."""
        if not self._by_value:
            self._by_value = {id(x._value): x for x in self._ledger.stand_ins()}
        return self._by_value[id(value)]

    def _leave_gradients(
        self, pattern: _Pattern, part: _Part, values: list[Value], storages: list[int], made_of: dict[int, Storage]
    ) -> None:
        if not pattern.gradients:
            return
        with self._tracer.aside():
            for number, value, storage in pattern.gradients:
                p = self._parameter(part.outside[number])
                if _grad_of(p) is not None:
                    raise Unlike("a gradient that was there before")
                _set_grad(p, self._tensor(values[value], storages[storage], made_of))

    def _tensor(self, value: Value, index: int, made_of: dict[int, Storage]) -> StandIn:
        answers = self._tracer.answers
        storage = made_of.get(index)
        if storage is None:
            storage = made_of[index] = Storage(index, [])
            storage.log = self._ledger.log
        made: StandIn = answers.wrapper(value.fact)
        made._value, made._storage, made._owner, made._known = value, storage, answers, None
        return made

    def finish(self) -> None:
        """The backward is over.

        Raises :class:`Unlike` if the engine has been in a graph of a layer that was folded."""
        folded = {i for p in self._parts.values() if p.folds for i in p.calls}
        if sum([of in folded for of in self._tracer.backward_of.values()]) != self._written:
            raise Unlike("the graph of a layer that was folded was run")
        self._parts.clear()
        self._by_value.clear()


def _gate_of(part: _Part) -> StandIn | None:
    """The gate, while the model keeps what the layer returned."""
    return None if part.gate is None else part.gate()


class _Twin:
    """What a copied call has in the place of an argument."""

    def __init__(self, numbers: Mapping[int, int], values: Sequence[Value]) -> None:
        self._numbers = numbers
        self._values = values

    def __call__(self, a: Any) -> Any:
        if type(a) is Value:
            number = self._numbers.get(id(a))
            return a if number is None else self._values[number]
        return mapped(self, a) if type(a) in _NESTED else a


def _places_in(model: torch.nn.Module) -> dict[int, _Place]:
    """Layers of one class in a row, by their identity, of which others there have parameters of the same form."""
    found: dict[int, _Place] = {}
    for parent in model.modules():
        children = list(parent._modules.values())
        if len(children) < _LEAST:
            continue
        for kind, row in groupby(children, type):
            layers = [m for m in row if m is not None and m._modules]
            if kind is type(None) or len(layers) < _LEAST:
                continue
            forms = [tuple(_form(m)) for m in layers]
            often = Counter(forms)
            found.update({id(m): _Place(layers, forms, i) for i, m in enumerate(layers) if often[forms[i]] >= _LEAST})
    return found


def _form(module: torch.nn.Module) -> Iterator[Any]:
    """The parameters of a module and of all in it, by their form."""
    for name, p in module._parameters.items():
        if p is not None:
            yield name, p.shape, p.dtype, p.requires_grad
    for child in module._modules.values():
        if child is not None:
            yield from _form(child)
