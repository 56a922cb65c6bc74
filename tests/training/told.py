"""All that the trace of a step says, to be compared with another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fxcount.ops.core.tree import mapped
from fxcount.trace.tape import Value
from fxcount.training.run import StepTrace

__all__ = ["told"]


def told(step: StepTrace) -> Iterator[Any]:
    """All that a trace says, with storages by the order of their births, until the step is over: then the states go."""
    trace = step.trace
    order: dict[int, int] = {}
    log = trace.events.log[: step.phases[-1].log.stop]
    for e in log:
        if e >= 0:
            order.setdefault(e, len(order))

    def value(v: Any) -> Any:
        return ("value", order[v.storage], v.fact, v.call, v.position, v.requires_grad) if type(v) is Value else v

    for c in trace.calls:
        yield c.index, str(c.func), c.op.name, c.signature.result, mapped(value, c.args), mapped(value, c.kwargs)
        yield [value(v) for v in c.operands], [value(v) for v in c.outputs], mapped(value, c.result), c.grad_enabled
        yield [order[s] for s in c.mutated], c.module, str(c.source)
    yield [order[e] if e >= 0 else ~order[~e] for e in log]
    yield trace.events.marks, [(p.name, p.calls, p.log, p.round) for p in step.phases], step.within
    yield [(s.nbytes, s.origin, s.born) for s in _sorted_by(trace.storages, order)]


def _sorted_by(storages: Any, order: dict[int, int]) -> list[Any]:
    return [s for _, s in sorted([(order[i], s) for i, s in enumerate(storages) if i in order], key=lambda pair: pair[0])]
