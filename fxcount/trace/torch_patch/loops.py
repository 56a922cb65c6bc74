"""``while_loop``: as often as a formula of sizes says, as often as data say, or step by step.

Where a counter (an int, or a tensor of one) goes on by the same number in each step up to a size, the number of steps is a
formula: the first step is run, then one that stands for all others, in which the counter is what it begins with plus so many
times the number of the step. If that step's own sizes depend on its number (``x[:, :i]``), no step stands for another: the
model is run again, and this loop step by step, for which its length is assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any

import torch

from fxcount import torch_private
from fxcount.errors import UnsupportedError
from fxcount.ops.core.callcost import CallCost, least_cost
from fxcount.ops.core.common import facts_in, facts_of_result
from fxcount.symbolic import Comparison, Expr, Scope, Size, SymSize, free_symbols, min_, substitute, to_size
from fxcount.trace.known.literals import make_literal
from fxcount.trace.tape import Signature
from fxcount.trace.torch_patch.control import carried_on, decided, is_run_back
from fxcount.trace.tracer.standin import StandIn
from fxcount.trace.tracer.tracer import Tracer

__all__ = ["StepsDiffer", "loop"]

_Condition = Callable[..., Any]
_State = tuple[Any, ...]
_Question = tuple[Comparison, Size, Size]
_Kind = Any
"""What a step must make again for another to stand for it."""


class StepsDiffer(UnsupportedError):
    """No step of the loop at this ``place`` stands for another."""

    def __init__(self, place: str) -> None:
        super().__init__("the steps of a while_loop are not alike", where=place)
        self.place = place


def loop(tracer: Tracer, cond_fn: _Condition, body_fn: Callable[..., Any], carried_inputs: Any, **_: Any) -> Any:
    """What stands in for ``while_loop``. A loop that is run back, too, and that sizes end, is run step by step."""
    state = tuple(carried_inputs)
    del carried_inputs
    place = tracer.where()
    counts = not is_run_back(tracer) and place not in tracer.unrolled
    while True:
        with _asked_of_sizes(tracer) as asked:
            pred = cond_fn(*state)
            if isinstance(pred, torch.Tensor) and not _is_known(tracer, pred):
                return _until_data_say(tracer, cond_fn, body_fn, state)
            if not decided(tracer, pred):
                return state
        del pred
        begun = [_number(tracer, x) for x in state] if counts and asked else []
        state = tuple(body_fn(*state))
        if begun:
            counts = False  # from here on the steps are run one by one
            found = _Counted.of(tracer, cond_fn, begun, state)
            rounds = None if found is None else found.rounds(state)
            if found is not None and rounds is not None:
                held = [state]
                del state
                return found.run_others(body_fn, rounds, place, held)


def _is_known(tracer: Tracer, pred: torch.Tensor) -> bool:
    return type(pred) is not StandIn or tracer.answers.is_known(pred)


@contextmanager
def _asked_of_sizes(tracer: Tracer) -> Iterator[list[Size]]:
    """The comparisons of sizes in the block."""
    asked: list[Size] = []

    def note(relation: Comparison, a: Size, b: Size) -> None:
        if type(a - b) is Expr:
            asked.append(a - b)

    with tracer.scope.answering(note):
        yield asked


# -- steps that are counted ----------------------------------------------------------------------------------------------
class _Counted:
    """A loop with counters, whose first step was run. ``begun`` is what each counter was at first, ``None`` for what is none,
    and ``by`` how much it goes on; ``kinds`` are the tensors that a step makes."""

    def __init__(
        self, tracer: Tracer, cond_fn: _Condition, begun: Sequence[Size | None], by: Sequence[int], kinds: Sequence[_Kind]
    ) -> None:  # fmt: skip
        self.tracer = tracer
        self.cond_fn = cond_fn
        self.begun = begun
        self.by = by
        self.kinds = kinds

    @staticmethod
    def of(tracer: Tracer, cond_fn: _Condition, started: Sequence[Size | None], made: _State) -> _Counted | None:
        """The loop, if it has counters, and no number that goes on in another way."""
        begun: list[Size | None] = []
        by: list[int] = []
        for start, x in zip(started, made, strict=True):
            then = _number(tracer, x)
            step = None if start is None or then is None else then - start
            if type(step) is not int and not isinstance(x, torch.Tensor):
                return None
            begun.append(start if type(step) is int else None)
            by.append(step if type(step) is int else 0)
        return _Counted(tracer, cond_fn, begun, by, list(map(_kind, made))) if any(by) else None

    def rounds(self, made: _State) -> Size | None:
        """How many steps there are, as the comparisons say that the condition makes after so many; ``None`` if they do not."""
        scope = self.tracer.scope
        with scope.counting(1) as (done, unlike):
            questions = self._questions(made, done, refused=-1)
            if not questions or any([self._questions(made, done, refused=i) is not None for i in range(len(questions))]):
                return None  # one of them need not be true
            found = [_lasting(scope, *question, done) for question in questions]
            return None if None in found or unlike() else min_(*[n for n in found if n is not None])

    def _questions(self, made: _State, done: Expr, refused: int) -> list[_Question] | None:
        """What the condition asks of the steps done, if it comes out true where all of this is but the one ``refused``."""
        asked: list[_Question] = []

        def answer(relation: Comparison, a: Size, b: Size) -> bool | None:
            if not _mentions(a - b, done):
                return None
            asked.append((relation, a, b))
            return len(asked) - 1 != refused

        with self.tracer.repeated(0), self.tracer.scope.answering(answer):
            pred = self.cond_fn(*self._after(done, made))
            unknown = isinstance(pred, torch.Tensor) and not _is_known(self.tracer, pred)
            return None if unknown or not decided(self.tracer, pred) else asked

    def run_others(self, body_fn: Callable[..., Any], rounds: Size, place: str, held: list[_State]) -> _State:
        """Run one step for all after the first, and the condition as often as it is asked; what the loop returns. The state
        after the first step is ``held`` no longer than a step holds it."""
        tracer, scope = self.tracer, self.tracer.scope
        if scope.decide(">=", rounds, 2, "a while_loop of more than one step"):
            with scope.counting(2, rounds) as (step, unlike):
                state = self._after(step - 1, held.pop())
                since = len(tracer.ledger.signatures), len(tracer.ledger.storages)
                with tracer.repeated(rounds - 1):
                    self._ask(state, step)
                    state = tuple(body_fn(*state))
                if not self._goes_on(state, step) or unlike() or self._depends(step, *since):
                    error = StepsDiffer(place)
                    tracer.answers.unanswered(error)
                    raise error
                held.append(state)
                del state
        with scope.counting(1) as (done, _):
            self._ask(self._after(done, held[0]), done)
        return self._after(rounds, held.pop())

    def _ask(self, state: _State, done: Expr) -> None:
        """Ask the condition, whose answer is known."""
        with self.tracer.scope.answering(lambda relation, a, b: True if _mentions(a - b, done) else None):
            self.cond_fn(*state)

    def _after(self, steps: Size, state: _State) -> _State:
        """The state after so many steps: its counters are known, of all else nothing is."""
        with self.tracer.repeated(0):  # a literal in the place of what a step has made
            return tuple([
                carried_on(self.tracer, x) if start is None else _counter(self.tracer, x, start + by * steps)
                for x, start, by in zip(state, self.begun, self.by, strict=True)
            ])  # fmt: skip

    def _goes_on(self, made: _State, step: Expr) -> bool:
        """Whether the step has made tensors like those of the first, and its counters go on as they did."""
        counted = zip(self.begun, self.by, made, strict=True)
        numbers = [start is None or _number(self.tracer, x) == start + by * step for start, by, x in counted]
        return all(numbers) and all([_kind(x) == kind for x, kind in zip(made, self.kinds, strict=True)])

    def _depends(self, step: Expr, signatures: int, storages: int) -> bool:
        """Whether sizes or work since then depend on the number of the step."""
        ledger = self.tracer.ledger
        for s in ledger.signatures[signatures:]:
            facts = [*facts_in((*s.args, *s.kwargs.values())), *facts_in((facts_of_result(s.result),))]
            if any([_mentions(n, step) for f in facts for n in (*f.shape, *f.stride())]):
                return True
            if any([_mentions(n, step) for n in (s.times, *astuple(_cost(s)))]):
                return True
        return any([_mentions(found.nbytes, step) for found in ledger.storages[storages:]])


def _mentions(size: Size, step: Expr) -> bool:
    return type(size) is Expr and not free_symbols(size).isdisjoint(free_symbols(step))


def _number(tracer: Tracer, x: Any) -> Size | None:
    """A counter as a size: an integer, or a tensor of one that is known."""
    if not isinstance(x, torch.Tensor):
        return to_size(x) if type(x) in (int, SymSize) else None
    if x.dim() or x.dtype not in _INTEGERS:
        return None
    with torch_private.DisableTorchFunction():
        counter = tracer.state(x)
    if not tracer.answers.is_known(counter):
        return None
    found = tracer.answers.scalar(counter, "a number")
    return to_size(found) if type(found) in (int, SymSize) else None


_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def _counter(tracer: Tracer, x: Any, value: Size) -> Any:
    number = tracer.answers.as_int(value)
    return make_literal(tracer, number, x.dtype, x.device) if isinstance(x, torch.Tensor) else number


def _lasting(scope: Scope, relation: Comparison, a: Size, b: Size, done: Expr) -> Size | None:
    """How many steps begin as long as ``a relation b``, true at first, stays true; ``None`` if no formula says."""
    (name,) = free_symbols(done)
    room = {"<": b - a - 1, "<=": b - a, ">": a - b - 1, ">=": a - b, "!=": a - b, "==": 0}[relation]
    start = substitute(room, {name: 0}) if type(room) is Expr else room
    by = room - start
    each = substitute(by, {name: 1}) if type(by) is Expr else 0
    if type(each) is not int or by != each * done:
        return None
    if relation != "!=":
        return start // -each + 1 if each < 0 else None
    if not each or not scope.divisible(start, each, "a while_loop ends there"):
        return None
    found = start // -each if each < 0 else -start // each
    return found if scope.decide(">=", found, 1, "a while_loop ends") else None


def _cost(s: Signature) -> CallCost:
    return least_cost(s.op, s.args, s.kwargs, s.result)


def _kind(x: Any) -> _Kind:
    return x._value.fact if type(x) is StandIn else (tuple(x.shape), x.dtype) if isinstance(x, torch.Tensor) else None


# -- steps that data end -------------------------------------------------------------------------------------------------
def _until_data_say(
    tracer: Tracer, cond_fn: _Condition, body_fn: Callable[..., Any], carried: _State
) -> _State:  # fmt: skip
    """The first condition was asked; each step asks once more. What is run back has as many steps as the hint says, which is
    assumed."""
    unbacked = tracer.scope.unbacked
    steps = unbacked.new("steps", "the steps of a while_loop")
    if is_run_back(tracer):
        for _ in range(tracer.scope.pin(steps, "each step of a while_loop is run back")):
            carried = tuple(body_fn(*carried))
            cond_fn(*carried)
        return carried
    with tracer.repeated(steps):
        given = [
            tracer.answers.as_int(unbacked.new("item", "a number that a while_loop counts")) if type(x) is int else x
            for x in carried_on(tracer, carried)
        ]
        made = tuple(body_fn(*given))
        cond_fn(*made)
    return tuple([x if isinstance(x, torch.Tensor) else y for x, y in zip(made, given, strict=True)])
