"""Run a training step once under the tracer and collect what it recorded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import pairwise
from threading import get_ident
from typing import Any

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.optim.optimizer import register_optimizer_step_post_hook as after_step
from torch.optim.optimizer import register_optimizer_step_pre_hook as before_step

from fxcount import torch_private
from fxcount.dataclass import dataclass
from fxcount.errors import UnsupportedError
from fxcount.ops import Registry
from fxcount.symbolic import Scope
from fxcount.trace.inputs.census import Census
from fxcount.trace.inputs.inventory import Inventory
from fxcount.trace.inputs.specs import parse_inputs, whole_hints
from fxcount.trace.run import Run, check_call
from fxcount.trace.tape import Trace
from fxcount.trace.torch_patch.active import Undo
from fxcount.trace.torch_patch.preserve import keep
from fxcount.trace.torch_patch.session import TraceSession
from fxcount.trace.tracer.decisions import Decisions
from fxcount.trace.tracer.standin import StandIn
from fxcount.trace.tracer.tracer import Tracer
from fxcount.training.folded import Folded, Irregular
from fxcount.training.layers import Layers, Unlike
from fxcount.training.loop import Reached, hooks_of, reached
from fxcount.training.session import bound_functions, with_engine
from fxcount.training.step import Step
from fxcount.training.tracer import TrainingTracer

__all__ = ["Phase", "StepTrace", "trace_step"]

_COMPILER = torch_private.COMPILER


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a step: ``"setup"`` of an optimizer, ``"forward"``, ``"backward"``, ``"update"`` (what lies between a backward
    and the next forward, but for the optimizer: clipping, scaling, averaging), ``"optimizer"``; calls ``calls`` and entries
    ``log`` of the events. A step is done twice, since the first makes the optimizer's states: ``round`` 0 and 1."""

    name: str
    calls: range
    log: range
    round: int = 0


@dataclass(frozen=True, slots=True)
class StepTrace:
    """What one symbolic training step recorded: the trace, its phases in order, the storages of the gradients and of the
    loss, and of each call of the backward the call it is the backward of."""

    trace: Trace
    phases: tuple[Phase, ...]
    gradients: tuple[int, ...]
    losses: tuple[int, ...]
    backward_of: Mapping[int, int]
    every_gradient: frozenset[int] = frozenset()  # also those of earlier rounds, and of parameters whose gradient was dropped
    scales: frozenset[str] = frozenset()  # symbols for values of tensors that optimizers read
    packed: frozenset[int] = frozenset()  # to a tracker: storages that hooks for saved tensors have seen in the forward
    within: tuple[tuple[int, int], ...] = ()  # entries of the log of one call each, at whose end alone plain eager is looked at

    def of(self, *names: str) -> tuple[Phase, ...]:
        """The phases of these names that count: those of the last round in which there is a forward."""
        counted = self.counted
        return tuple([p for p in self.phases if p.name in names and p.round == counted])

    @property
    def counted(self) -> int:
        """The round that counts."""
        return max((p.round for p in self.phases if p.name == "forward"), default=0)

    def turns(self) -> list[tuple[Phase, Phase]]:
        """Each forward with the backward after it, to its end: an optimizer may step in between."""
        found: list[tuple[Phase, Phase]] = []
        before = None
        for p in self.of("forward", "backward"):
            if p.name == "forward":
                before = p
            elif before is not None:
                found.append((before, p))
                before = None
            elif found:
                forward, first = found[-1]
                whole = range(first.calls.start, p.calls.stop), range(first.log.start, p.log.stop)
                found[-1] = forward, Phase("backward", *whole, first.round)
        return found

    @property
    def steps(self) -> tuple[tuple[Phase, ...], ...]:
        """The steps of the optimizers, in the first round and in a later one; none without an optimizer."""
        rounds = dict.fromkeys(p.round for p in self.phases if p.name == "optimizer")
        return tuple([tuple([p for p in self.phases if p.name == "optimizer" and p.round == r]) for r in rounds])


class _Noting:
    """A hook that looks at what is saved and leaves it as it is. It says that it is none of the user's, as torch's own hooks of
    checkpoints do: since 2.15 torch warns of a user's around a selective checkpoint."""

    _checkpoint_internal = True
    _user_hooks = None

    def __init__(self, note: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._note = note

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self._note(x)


class Book:
    """Notes where phases begin and end while a step runs."""

    def __init__(self, tracer: TrainingTracer, notes_saved: bool = False, folds: bool = True) -> None:
        self.tracer = tracer
        self._folds = folds  # whether equal steps of an optimizer may stand for each other
        self.notes_saved = notes_saved
        self.phases: list[Phase] = []
        self.losses: list[int] = []
        self._gradients: dict[int, int] = {}
        self.every_gradient: set[int] = set()
        self.scales: set[str] = set()
        self.packed: set[int] = set()
        self.round = 0
        self.layers: Layers | None = None

    @property
    def gradients(self) -> tuple[int, ...]:
        """Storages of the gradients."""
        return tuple(dict.fromkeys(self._gradients.values()))

    def phase(self, name: str, body: Callable[[], Any], round: int = 0) -> Any:
        """Run a part of the step under its name."""
        ledger = self.tracer.ledger
        call, entry = len(ledger.calls), len(ledger.log)
        known = self.values_read()
        with self._around(name):
            result = body()
        if name == "backward" and self.layers is not None:
            self.layers.finish()
        if name == "optimizer":
            self.scales |= self.values_read() - known
        self.phases.append(Phase(name, range(call, len(ledger.calls)), range(entry, len(ledger.log)), round))
        return result

    def stepping(self, optimizer: Any) -> Callable[[], Any]:
        """What does one step of an optimizer after the other."""
        folded = Folded.of(self.tracer, optimizer) if self._folds else None
        return optimizer.step if folded is None else folded.step

    def _around(self, name: str) -> AbstractContextManager[Any]:
        if name != "forward":
            return nullcontext()
        if self.notes_saved:
            return self._noting_saved()
        return nullcontext() if self.layers is None else self.layers.watching()

    def _noting_saved(self) -> AbstractContextManager[Any]:
        """A block in which what autograd saves is noted, as hooks that count it would: also of a graph that is soon gone."""
        return saved_tensors_hooks(_Noting(self._note_saved), lambda x: x)

    def _note_saved(self, x: torch.Tensor) -> torch.Tensor:
        if isinstance(x, StandIn):
            self.packed.update([s.index for s in (x._storage, *x._storage.parts)])
        return x

    def values_read(self) -> set[str]:
        """Symbols for values of tensors so far."""
        return set(self.tracer.scope.unbacked.by_name)

    def note_loss(self, loss: torch.Tensor) -> None:
        """What the user holds between the phases."""
        if isinstance(loss, StandIn):
            self.losses.append(loss._storage.index)

    def note_gradients(self) -> None:
        """The gradients that parameters and inputs hold now."""
        held = self.tracer.ledger.stand_ins()
        with self.tracer.aside():
            astray = [p for p in self.tracer.ledger.reals() if type(p.grad) is StandIn]
            for p in astray:
                p.grad = None
        if astray:
            raise UnsupportedError(
                "a custom autograd function got the model's own parameter: its apply was bound before the analysis",
                hint="call MyFunction.apply(...) in the forward instead of keeping the bound method in an object",
            )
        for x in held:
            grad = x.grad if x._value.requires_grad else None
            if isinstance(grad, StandIn):
                self._gradients[x._storage.index] = grad._storage.index
                self.every_gradient.add(grad._storage.index)

    # -- a step of the user's own: phases are told from what it calls ----------------------------------------------------
    def loop(self, body: Callable[[], Any]) -> None:
        """Run the user's step twice, and tell its phases apart."""
        watch = _Watch(self)
        self.tracer.watch = watch
        ident = get_ident()
        hooks = [
            register(lambda *_, begins=begins: watch.optimizer(begins) if get_ident() == ident else None)
            for register, begins in ((before_step, True), (after_step, False))
        ]
        try:
            for self.round in range(2):
                watch.cut("")
                body()
                watch.cut("")
        finally:
            for hook in hooks:
                hook.remove()
            self.tracer.watch = None
        self.phases = watch.phases()


_APART = "gradients alone"  # autograd.grad: the engine runs, and leaves nothing with the parameters


class _Watch:
    """Where a step of the user's own goes over into another phase."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._ledger = book.tracer.ledger
        self._cuts: list[tuple[str, int, int, int]] = []
        self._known: set[str] = set()
        self._around = ""  # the phase that an optimizer's step interrupts

    def cut(self, name: str) -> None:
        """From here on it is the phase of this name, or what the calls make of it."""
        now = self._book.values_read()
        if self._cuts and self._cuts[-1][0] == "optimizer":
            self._book.scales |= now - self._known
        self._known = now
        self._cuts.append((name, len(self._ledger.calls), len(self._ledger.log), self._book.round))

    @contextmanager
    def engine(self, accumulates: bool) -> Iterator[None]:
        """The engine runs, and leaves gradients with the parameters if it ``accumulates``; else it is part of a forward."""
        before, self._around = self._around, "backward" if accumulates else _APART
        self.cut(self._around)
        yield
        self._around = before
        self.cut(before)
        if accumulates:
            self._book.note_gradients()

    def optimizer(self, begins: bool) -> None:
        """An optimizer's step begins or ends, be it from a hook in the backward."""
        self.cut("optimizer" if begins else self._around)

    def _settled(self) -> list[tuple[str, int, int, int]]:
        """The cuts, with gradients that the step asks for by themselves as a part of the forward, or, where it has no other,
        as its backward."""
        has_backward = {number for name, _, _, number in self._cuts if name == "backward"}
        named = [(("" if c[3] in has_backward else "backward") if c[0] == _APART else c[0], *c[1:]) for c in self._cuts]
        inner = [c for a, c in pairwise(named[:-1]) if c[0] or (c[0], c[3]) != (a[0], a[3])]
        return [*named[:1], *inner, *named[-1:]] if len(named) > 1 else named

    def phases(self) -> list[Phase]:
        """Stretches between the cuts; what has no name is the forward once something has a gradient again."""
        found: list[Phase] = []
        for (name, call, entry, number), (_, end, stop, _) in pairwise(self._settled()):
            if name:
                found.append(Phase(name, range(call, end), range(entry, stop), number))
                continue
            fresh = not any(p.round == number and p.calls for p in found)
            first = call if fresh else next((i for i in range(call, end) if self._goes_forward(i)), end)
            turn = self._ledger.marks[first] if first < end else stop  # gradients that go before it are not of the forward
            found.append(Phase("update", range(call, first), range(entry, turn), number))
            found.append(Phase("forward", range(first, end), range(turn, stop), number))
        return [p for p in found if p.calls or p.log]

    def _goes_forward(self, index: int) -> bool:
        call = self._ledger.calls[index]
        return call.module >= 0 or any([v.requires_grad for v in call.outputs])


class _StepRun(Run):
    """One training step, to be traced."""

    def __init__(
        self, model: torch.nn.Module, specs: Any, hints: Mapping[str, int], registry: Registry,
        progress: Callable[[int], None] | None, pinned: str, step: Callable[..., Any], tracker: bool,
        others: Reached | None = None, called: Any = None, device: torch.device | None = None,
    ) -> None:  # fmt: skip
        super().__init__(model, specs, hints, registry, progress, pinned, device)
        self.called = model if called is None else called
        self.labels = [_label(text) for text in self.labels]
        self.step = step
        self.others = others
        self.tracker = tracker
        self.notes_saved = self.folds = self.repeats = True
        self.found: dict[int, tuple[Book, Mapping[int, int]]] = {}
        self._book: Book | None = None
        self._caches = self._warmed = False
        self.hooked = dict(hooks_of(model))
        if others is None and self.hooked:
            all_of_them = [hook for before, after in self.hooked.values() for hook in (*before, *after)]
            self.others = reached(partial(_step_of_hooks, *all_of_them), {})

    def _named_in(self, namespace: dict[str, Any]) -> dict[str, Any]:
        return {**super()._named_in(namespace), **bound_functions(namespace)}

    def _prepared(self, census: Census, undo: Undo, compiling: bool) -> Inventory:
        held = super()._prepared(census, undo, compiling)
        if self.others is not None:
            torchs = [vars(o) for o in (*self.others.optimizers, *self.others.others) if hasattr(o, "__dict__")]
            keep(Census([]), undo, [*self.others.others, *torchs])
            for optimizer in self.others.optimizers:  # a step that has been done before is done as the first
                optimizer.state.clear()
        return held

    def _new_tracer(
        self, scope: Scope, held: Inventory, decisions: Decisions | None, compiling: bool
    ) -> Tracer:
        plain = not self.tracker
        tracer = TrainingTracer(
            scope, self.registry, held, self.progress, decisions, compiling, in_place=plain, wraps=plain
        )  # fmt: skip
        tracer.hooked = {id(p): (p, *hooks) for p, hooks in self.hooked.items()}
        return tracer

    def _attempt(self, namespaces: Any, undo: Undo, decisions: Decisions | None, compiling: bool) -> Any:
        trace, missed = super()._attempt(namespaces, undo, decisions, compiling)
        assert self._book is not None
        self.found[id(trace)] = (self._book, dict(self._book.tracer.backward_of))
        self._book = None
        return trace, missed

    def _under(self, tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        assert isinstance(tracer, TrainingTracer)
        self._book = book = Book(tracer, self.tracker and self.notes_saved, self.folds)
        if self._repeats(book):
            book.layers = Layers.of(tracer, self.model)
        with tracer.below():
            found = TraceSession.trace(tracer, partial(self._stepping, book), args, kwargs)
        for i in _caches(self.model, tracer):  # as of the next step, which finds it there
            self._caches = True
            tracer.ledger.storages[i] = replace(tracer.ledger.storages[i], origin="constant")
        return found

    def _repeats(self, book: Book) -> bool:
        """Whether the backward of a layer may stand for those of others: each layer is run once, and nothing else looks on."""
        plain = isinstance(self.step, Step) and self.step.turns == 1
        return plain and self.repeats and not book.notes_saved and not self.hooked

    def _stepping(self, book: Book, given: Any, targets: Any) -> Any:
        if self._warmed:
            args, kwargs = given
            book.phase("warming", lambda: self.model(*args, **kwargs))
        return self.step(book, self.model, given, targets)

    def _one_way(self, undo: Undo, decisions: Decisions | None, compiling: bool) -> Trace:
        """One run; again, after a forward that does not count, if modules make tables in it that they keep."""
        trace = self._folded_or_not(undo, decisions, compiling)
        if self._caches and not self._warmed and self.called is self.model:
            self._warmed = True
            trace = self._folded_or_not(undo, decisions, compiling)
        return trace

    def _folded_or_not(self, undo: Undo, decisions: Decisions | None, compiling: bool) -> Trace:
        while True:
            try:
                return super()._one_way(undo, decisions, compiling)
            except Irregular:
                self.folds = False
            except Unlike:
                self.repeats = False


def _caches(model: torch.nn.Module, tracer: TrainingTracer) -> set[int]:
    """Storages that modules made for themselves, and keep: tables of sizes alone (relative positions, rotations, masks)."""
    kept = {x._storage.index for m in model.modules() for x in _stand_ins_in(vars(m)) if not x.requires_grad}
    storages = tracer.ledger.storages
    kept = {i for i in kept if storages[i].origin == "op"}
    if not kept:
        return kept
    made_of: dict[int, set[int]] = {}
    for call in tracer.ledger.calls:
        of = {v.storage for v in call.operands}
        for i in (*[v.storage for v in call.outputs], *call.mutated):
            made_of.setdefault(i, set()).update(of)
    of_data = {i for i, s in enumerate(storages) if s.origin in ("input", "parameter", "buffer")}
    return {i for i in kept if not of_data & _reached_from(i, made_of)}


def _reached_from(start: int, edges: Mapping[int, set[int]]) -> set[int]:
    found, waiting = {start}, [start]
    while waiting:
        fresh = edges.get(waiting.pop(), set()) - found
        found |= fresh
        waiting += fresh
    return found


def _stand_ins_in(attributes: Mapping[str, Any]) -> Iterator[StandIn]:
    for name, held in attributes.items():
        if name in ("_parameters", "_modules"):
            continue
        for x in held.values() if type(held) is dict else held if type(held) in (list, tuple) else (held,):
            if type(x) is StandIn:
                yield x


def _step_of_hooks(*_: Any) -> None:
    """Stands for a step that reaches what hooks of parameters do."""


def trace_step(
    model: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], targets: tuple[Any, ...],
    step: Callable[..., Any], *,
    hints: Mapping[str, int] | None, registry: Registry, progress: Callable[[int], None] | None = None, pinned: str = "",
    tracker: bool = False, others: Reached | None = None, called: Any = None, device: torch.device | None = None,
) -> StepTrace:  # fmt: skip
    """Trace ``step(book, model, (args, kwargs), targets)``. Of a step of the user's own ``others`` is what it reaches, and
    ``called.forward`` has the names of its inputs. On a ``device`` all is taken to lie, wherever it does.

    Raises :class:`~fxcount.errors.InputError` for inputs that do not describe a call, and what the model raises.
    """
    given: Any = (tuple([parse_inputs(a) for a in args]), parse_inputs(dict(kwargs)))
    if called is None:
        check_call(model, given)
    specs: Any = ((given, tuple([parse_inputs(t) for t in targets])), {})
    run = _StepRun(model, specs, whole_hints(hints or {}), registry, progress, pinned, step, tracker, others, called, device)
    trace = _in_steady_state(run)
    book, backward_of = run.found[id(trace)]
    if book.scales:
        trace.notes.append(f"the optimizer reads {len(book.scales)} values of tensors, which scale its update alone")
    every, scales = frozenset(book.every_gradient), frozenset(book.scales)
    packed, within = frozenset(book.packed), tuple(book.tracer.within)
    return StepTrace(trace, tuple(book.phases), book.gradients, tuple(book.losses), backward_of, every, scales, packed, within)


def _in_steady_state(run: _StepRun) -> Trace:
    """The trace of a step that is not the process' first: where a checkpoint has torch load its compiler, what is loaded keeps
    frames of the model, and their tensors, for a while."""
    before = _COMPILER in sys.modules
    try:
        trace = TraceSession.run(partial(with_engine, run.trace))
    except RuntimeError as error:
        if not run.tracker or "saved tensor hooks" not in str(error):
            raise
        run.notes_saved = False  # torch.func takes no such hooks
        return _in_steady_state(run)
    return trace if before or _COMPILER not in sys.modules else TraceSession.run(partial(with_engine, run.trace))


def _label(text: str) -> str:
    """``[0][0][0][1]`` is the second positional argument, ``[0][0][1]['mask']`` one by name, ``[0][1][0]`` the first target."""
    if text.startswith("[0][0]"):
        return text[len("[0][0]") :]
    return f"[1]['target{text[len('[0][1]') :]}']"
