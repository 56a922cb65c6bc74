"""What a user's rule stands for, in a training step: torch's engine is told that a gradient passes, and what it costs.

The forward of such a call is one op, which the engine does not see into. Here it gets a node of the graph, as a custom autograd
function has one: it saves the tensors of the call, and its backward is one op that makes a gradient for each that wants one.
The work of that op is the rule's ``backward``; without one nobody knows it, and it is listed as not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from fxcount.dataclass import dataclass
from fxcount.ops import Op, TensorFact
from fxcount.ops.core.common import facts_of_result
from fxcount.ops.core.registry import Unknown, Zero
from fxcount.ops.core.tree import leaves, mapped
from fxcount.trace.tape import Signature
from fxcount.trace.tracer.standin import StandIn

__all__ = ["backward_of", "with_backward"]


@dataclass(frozen=True)
class _Called:
    """The call whose backward is asked for, by its number, and the op that its backward is."""

    tracer: Any  # the TrainingTracer
    index: int
    backward: Op


class _Ruled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, called: _Called, results: list[StandIn], *tensors: StandIn) -> tuple[StandIn, ...]:
        ctx.called = called
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        saved = ctx.saved_tensors
        wanted = ctx.needs_input_grad[2:]
        found = iter(_gradients(ctx.called, [g for g in grads if g is not None], saved, wanted))
        return None, None, *[next(found) if wants else None for wants in wanted]


def with_backward(tracer: Any, entry: Op, result: Any, tensors: Sequence[StandIn]) -> Any:
    """The results of the call that was just recorded, tied to its tensors for the engine."""
    made = [x for x in leaves(result) if type(x) is StandIn]
    floats = [x for x in made if x._value.fact.dtype.is_floating_point or x._value.fact.dtype.is_complex]
    if not floats or not torch.is_grad_enabled() or entry.differentiable is False:
        return result
    call = tracer._calls[-1]
    called = _Called(tracer, call.index, tracer.backward_op(call.signature))
    tied = _Ruled.apply(called, floats, *tensors)  # type: ignore[no-untyped-call]
    by = dict(zip(map(id, floats), tied, strict=True))
    return mapped(lambda x: by.get(id(x), x), result, keep=True)


def backward_of(signature: Signature) -> Op:
    """The op that is the backward of calls that look like this: its results are made to order."""
    entry = signature.op
    rule = entry.backward

    def shape(scope: Any, wanted: tuple[bool, ...], gradients: Any, saved: tuple[TensorFact, ...]) -> Any:
        return tuple([fact.new(fact.shape) for fact, wants in zip(saved, wanted, strict=True) if wants])

    def cost(*_: Any, **__: Any) -> Any:
        assert rule is not None
        return rule(facts_of_result(signature.result), *signature.args, **signature.kwargs)

    unknown = Unknown(f"give the work of its backward: fxcount.rule(..., backward=...) of {entry.name}")
    counted: Any = Zero("as its forward", moves=True) if isinstance(entry.cost, Zero) else unknown
    return replace(
        Op(f"{entry.name}_backward", shape, cost if rule is not None else counted), differentiable=False, kind=entry.kind,
    )  # fmt: skip


def _gradients(called: _Called, given: list[Any], saved: Sequence[StandIn], wanted: Sequence[bool]) -> Sequence[StandIn]:
    tracer, modules = called.tracer, called.tracer.modules
    if not given:
        return [None for wants in wanted if wants]  # type: ignore[misc]
    now = modules.now
    modules.now = tracer._calls[called.index].module
    try:
        with tracer.aside():
            found = tracer.record(called.backward, _run, (tuple(wanted), tuple(given), tuple(saved)), None)
            tracer.belongs(called.index)
    finally:
        modules.now = now
    return found  # type: ignore[no-any-return]


def _run(*_: Any) -> Any:
    raise NotImplementedError("the backward of a rule is counted, and never run")
