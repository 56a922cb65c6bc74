"""Run a training step once under the tracer and collect what it recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from fxcount.errors import UnsupportedError
from fxcount.ops import Registry
from fxcount.symbolic import Scope
from fxcount.trace.inputs.inventory import Inventory
from fxcount.trace.inputs.specs import parse_inputs, whole_hints
from fxcount.trace.run import Run, check_call
from fxcount.trace.tape import Trace
from fxcount.trace.torch_patch.active import Undo
from fxcount.trace.torch_patch.session import TraceSession
from fxcount.trace.tracer.decisions import Decisions
from fxcount.trace.tracer.standin import StandIn
from fxcount.trace.tracer.tracer import Tracer
from fxcount.training.session import bound_functions, prepared
from fxcount.training.tracer import TrainingTracer

__all__ = ["Phase", "StepTrace", "trace_step"]


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the step: ``"setup"`` of an optimizer, ``"forward"``, ``"backward"``, ``"optimizer"``; calls
    ``calls`` and entries ``log`` of the events."""

    name: str
    calls: range
    log: range


@dataclass(frozen=True, slots=True)
class StepTrace:
    """What one symbolic training step recorded: the trace, its phases in order, the storages of the gradients and of the
    loss, and of each call of the backward the call it is the backward of."""

    trace: Trace
    phases: tuple[Phase, ...]
    gradients: tuple[int, ...]
    losses: tuple[int, ...]
    backward_of: Mapping[int, int]

    def phase(self, name: str) -> Phase:
        """The first phase of this name, which every step has."""
        return next(p for p in self.phases if p.name == name)

    @property
    def steps(self) -> tuple[Phase, ...]:
        """The steps of the optimizer, the first and a later one, if there is one."""
        return tuple([p for p in self.phases if p.name == "optimizer"])


class Book:
    """Notes where phases begin and end while a step runs."""

    def __init__(self, tracer: TrainingTracer) -> None:
        self.tracer = tracer
        self.phases: list[Phase] = []
        self.gradients: tuple[int, ...] = ()
        self.losses: list[int] = []

    def phase(self, name: str, body: Callable[[], Any]) -> Any:
        """Run a part of the step under its name."""
        ledger = self.tracer.ledger
        call, entry = len(ledger.calls), len(ledger.log)
        result = body()
        self.phases.append(Phase(name, range(call, len(ledger.calls)), range(entry, len(ledger.log))))
        return result

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
        grads = [x.grad for x in held if x._value.requires_grad]
        self.gradients = tuple(dict.fromkeys([g._storage.index for g in grads if isinstance(g, StandIn)]))


class _StepRun(Run):
    """One training step, to be traced."""

    def __init__(
        self, model: torch.nn.Module, specs: Any, hints: Mapping[str, int], registry: Registry,
        progress: Callable[[int], None] | None, pinned: str, step: Callable[..., Any], tracker: bool,
    ) -> None:  # fmt: skip
        super().__init__(model, specs, hints, registry, progress, pinned)
        self.labels = [_label(text) for text in self.labels]
        self.step = step
        self.tracker = tracker
        self.found: dict[int, tuple[Book, Mapping[int, int]]] = {}
        self._book: Book | None = None

    def _named_in(self, namespace: dict[str, Any]) -> dict[str, Any]:
        return {**super()._named_in(namespace), **bound_functions(namespace)}

    def _new_tracer(
        self, scope: Scope, held: Inventory, decisions: Decisions | None, compiling: bool
    ) -> Tracer:
        return TrainingTracer(scope, self.registry, held, self.progress, decisions, compiling, in_place=not self.tracker)

    def _attempt(self, namespaces: Any, undo: Undo, decisions: Decisions | None, compiling: bool) -> Any:
        trace, missed = super()._attempt(namespaces, undo, decisions, compiling)
        assert self._book is not None
        self.found[id(trace)] = (self._book, dict(self._book.tracer.backward_of))
        self._book = None
        return trace, missed

    def _under(self, tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        assert isinstance(tracer, TrainingTracer)
        self._book = book = Book(tracer)
        with tracer.below():
            return TraceSession.trace(tracer, partial(self.step, book, self.model), args, kwargs)


def trace_step(
    model: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], targets: tuple[Any, ...],
    step: Callable[..., Any], *,
    hints: Mapping[str, int] | None, registry: Registry, progress: Callable[[int], None] | None = None, pinned: str = "",
    tracker: bool = False,
) -> StepTrace:  # fmt: skip
    """Trace ``step(book, model, (args, kwargs), targets)``.

    Raises :class:`~fxcount.errors.InputError` for inputs that do not describe a call, and what the model raises.
    """
    given: Any = (tuple([parse_inputs(a) for a in args]), parse_inputs(dict(kwargs)))
    check_call(model, given)
    specs: Any = ((given, tuple([parse_inputs(t) for t in targets])), {})
    run = _StepRun(model, specs, whole_hints(hints or {}), registry, progress, pinned, step, tracker)
    trace = TraceSession.run(partial(_with_engine, run.trace))
    book, backward_of = run.found[id(trace)]
    return StepTrace(trace, tuple(book.phases), book.gradients, tuple(book.losses), backward_of)


def _label(text: str) -> str:
    """``[0][0][0][1]`` is the second positional argument, ``[0][0][1]['mask']`` one by name, ``[0][1][0]`` the first target."""
    if text.startswith("[0][0]"):
        return text[len("[0][0]") :]
    return f"[1]['target{text[len('[0][1]') :]}']"


def _with_engine(body: Callable[[Undo], Trace], undo: Undo) -> Trace:
    prepared(undo)
    return body(undo)
