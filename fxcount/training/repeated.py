"""Steps of a recurrent layer that are not taken one by one, so that their number stays a formula.

The first and the last steps of a sequence are calls of their own. Those between them are all alike: they stand as one op in the
forward and one in the backward, each of as many times the work of the step beside it, and of the memory that a step leaves
behind. What is held changes by the same bytes from one step to the next, so that among them nothing is larger than at the steps
at both ends.

Letters: T steps, M those between, B batch, G gates, H width
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from fxcount.dataclass import dataclass
from fxcount.ops import Op, TensorFact
from fxcount.ops.core.callcost import CallCost, call_cost
from fxcount.ops.core.fact import Work
from fxcount.symbolic import Size, SymSize, sum_

__all__ = ["Mark", "Repeated", "between", "in_pieces", "joined", "mark"]

_BEFORE = _AFTER = 3
"""Steps at each end: what a step leaves behind is seen when the next one is over, and the outermost are unlike the others."""
_FEWEST = _BEFORE + _AFTER + 3  # of the results of those between all but the last are one tensor, of at least two rows


class Mark(NamedTuple):
    """A place in a trace: how many calls, storages and entries of the log there are."""

    calls: int
    storages: int
    log: int


def mark(tracer: Any) -> Mark:
    """Where the trace is now."""
    ledger = tracer.ledger
    return Mark(len(ledger.calls), len(ledger.storages), len(ledger.log))


def in_pieces(x: Any) -> list[Any]:
    """Inputs of the steps (T, B, G): each (B, G), and of those between (M, B, G) together; all of them one by one if T is a
    number, or small."""
    steps = x.shape[0]
    if type(steps) is not SymSize or not steps >= _FEWEST:
        return list(torch.unbind(x, 0))
    sizes = [*[1] * _BEFORE, steps - (_BEFORE + _AFTER), *[1] * _AFTER]
    pieces = torch.Tensor.split_with_sizes(x, sizes, 0)
    return [torch.squeeze(p, 0) if type(size) is int else p for p, size in zip(pieces, sizes, strict=True)]


def joined(outputs: Sequence[Any]) -> Any:
    """Results of the steps (T, B, H), of which some are together."""
    if all([y.dim() == 2 for y in outputs]):
        return torch.stack(list(outputs), 0)
    return torch.cat([torch.unsqueeze(y, 0) if y.dim() == 2 else y for y in outputs], 0)


@dataclass(eq=False)
class Repeated:
    """Steps between others: ``times`` so many, each like the one between ``begin`` and ``end``; in the backward like that of
    the step after them, between the two marks of ``after``."""

    tracer: Any  # the TrainingTracer
    times: Size
    begin: Mark
    end: Mark
    operands: Sequence[TensorFact] = ()
    index: int = -1  # of the call that stands for the steps
    after: tuple[Mark, Mark] | None = None
    seen: int = 0  # calls there were when the last backward of these steps was done

    def forward_cost(self) -> CallCost:
        """Of all these steps."""
        return self.cost_of(range(self.begin.calls, self.end.calls))

    def backward_calls(self) -> list[int]:
        """What the backward of the step after these has called."""
        assert self.after is not None
        first, last = (m.calls for m in self.after)
        found = self.tracer.backward_of.items()
        return [call for call, of in found if call >= self.seen and first <= of < last]

    def cost_of(self, calls: Iterable[int]) -> CallCost:
        """So many times the work of these calls."""
        signatures = [self.tracer.ledger.calls[i].signature for i in calls]
        return CallCost.total([call_cost(s.op, s.args, s.kwargs, s.result) for s in signatures]).scaled(self.times)

    def left_behind(self, start: Mark, stop: Mark, now: Mark) -> list[Size]:
        """Bytes of storages that were born between two marks and are alive now."""
        ledger = self.tracer.ledger
        gone = {~e for e in ledger.log[start.log : now.log] if e < 0}
        return [ledger.storages[i].nbytes for i in range(start.storages, stop.storages) if i not in gone]


def between(
    tracer: Any, marks: Sequence[Mark], x: Any, hidden: Any, weights: Sequence[Any], saves_result: bool
) -> tuple[Repeated, Any, Any]:  # fmt: skip
    """The steps between, whose inputs are ``x`` (M, B, G): what is repeated, their results but the last one's (M - 1, B, H),
    and the last hidden state. ``marks`` are where the steps before began, and now; the first of the ``weights`` multiplies the
    state, which is saved if it has a gradient; ``saves_result``: a step saves its own result too."""
    with tracer.aside():
        times = x._value.fact.shape[0]
        run = Repeated(tracer, times, marks[-2], marks[-1])
        states = list(hidden) if isinstance(hidden, tuple) else [hidden]
        facts = [h._value.fact for h in states]
        each = sum_(run.left_behind(marks[-3], marks[-2], marks[-1]))
        last = sum_(run.left_behind(marks[-2], marks[-1], marks[-1]))
        held = (times - 1) * (each - facts[0].nbytes) + last - sum_([f.nbytes for f in facts])
        operands = [x, *states, *[w for w in weights if w is not None]]
        outputs, *ends, kept = tracer.record(_forward_op(run, facts), _never_run, tuple(operands), None)
        run.index = len(tracer.ledger.calls) - 1
        # memory apart, since a checkpoint compares what is saved with what was: in its first run nothing is left behind
        kept._storage.parts = (tracer.ledger.new_storage(held, "op"),)
    if torch.is_grad_enabled() and any([a.requires_grad for a in operands]):
        multiplied = weights[0].requires_grad
        saved = [*([outputs, ends[0]] if multiplied or saves_result else []), *states[not multiplied :]]
        outputs, *ends = _Steps.apply(run, [kept, *saved], [outputs, *ends], *operands)  # type: ignore[no-untyped-call]
    return run, outputs, tuple(ends) if isinstance(hidden, tuple) else ends[0]


def _forward_op(run: Repeated, states: Sequence[TensorFact]) -> Op:
    def shape(scope: Any, x: TensorFact, *_: Any) -> Any:
        h = states[0]
        rows = h.new((run.times - 1, *h.shape))
        return (rows, *[h.new(h.shape) for h in states], h.new((0,)))

    return _op("recurrent_steps", shape, run.forward_cost())


def _backward_op(run: Repeated, calls: Sequence[int], wanted: Sequence[bool]) -> Op:
    def shape(scope: Any, *gradients: TensorFact) -> Any:
        return tuple([f.new(f.shape) for f, wants in zip(run.operands, wanted, strict=True) if wants])

    return _op("recurrent_steps_backward", shape, run.cost_of(calls))


def _op(name: str, shape: Any, total: CallCost) -> Op:
    work = Work(total.macs, total.flops, total.transcendentals, total.read_bytes, total.write_bytes)
    return replace(Op(name, shape, lambda *_, **__: work), differentiable=False)


def _never_run(*_: Any) -> Any:
    raise NotImplementedError("repeated steps are counted, and never run")


class _Steps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, run: Repeated, saved: list[Any], results: list[Any], *operands: Any) -> Any:
        ctx.run = run
        ctx.set_materialize_grads(False)
        run.operands = [a._value.fact for a in operands]
        ctx.save_for_backward(*saved)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if torch.is_grad_enabled():
            raise NotImplementedError("a gradient of the gradient of repeated steps")
        saved = ctx.saved_tensors  # hooks are told
        run, wanted = ctx.run, ctx.needs_input_grad[3:]
        del saved
        ctx.maybe_clear_saved_tensors()  # before the gradients are there: each step lets go of its own as it goes
        given = [g for g in grads if g is not None]
        tracer, modules = run.tracer, run.tracer.modules
        now, modules.now = modules.now, run.tracer.ledger.calls[run.index].module
        try:
            with tracer.aside():
                op = _backward_op(run, run.backward_calls(), wanted)
                made = tracer.record(op, _never_run, tuple(given), None)
                tracer.belongs(run.index)
                run.seen = len(tracer.ledger.calls)
        finally:
            modules.now = now
        found = iter(made)
        return None, None, None, *[next(found) if wants else None for wants in wanted]
