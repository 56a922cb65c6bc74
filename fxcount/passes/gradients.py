"""Which parameters get a gradient, and why the others do not, from the trace alone.

The walk goes backwards over the calls from the chosen outputs. A call passes on what reaches its results: to all operands
for data, and for gradients only where autograd would (grad mode on, a differentiable op, an operand that asks for it). An
in-place call is reached through any later read of the storage it wrote, so views and their bases need no special case.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fxcount.errors import InputError
from fxcount.trace.tape import Call, Trace, Value, values_in

__all__ = ["Reach", "chosen_outputs", "reach"]


@dataclass(frozen=True, slots=True)
class Reach:
    """Names of the parameters whose data reach the outputs, and of those that get a gradient from them.

    ``stopped``: for a parameter that reaches without a gradient, the call at which its gradient ends.
    """

    data: frozenset[str]
    gradient: frozenset[str]
    stopped: dict[str, Call]


def reach(trace: Trace, outputs: Iterable[Value] | None = None) -> Reach:
    """Walk back from ``outputs`` (default: everything the model returns)."""
    targets = list(trace.values_out() if outputs is None else outputs)
    data = _walk(trace, targets, gradient=False)
    differentiable = [v for v in targets if v.fact.dtype.is_floating_point or v.fact.dtype.is_complex]
    gradient = _walk(trace, differentiable, gradient=True)
    return Reach(frozenset(data), frozenset(gradient), {n: c for n, c in data.items() if n not in gradient and c is not None})


def _walk(trace: Trace, targets: list[Value], gradient: bool) -> dict[str, Call | None]:
    """Parameters met on the way back, each with the last call that stopped a gradient between it and the outputs."""
    # what a later call or the output needs -> the stopping call on the way, the one nearest to the outputs
    values: dict[int, Call | None] = {}
    storages: dict[int, Call | None] = {}
    found: dict[str, Call | None] = {}

    def need(value: Value, stop: Call | None) -> None:
        if value.index not in values or stop is None:
            values[value.index] = stop
        if value.storage not in storages or stop is None:
            storages[value.storage] = stop
        if value.origin == "parameter" and (value.name not in found or stop is None):
            found[value.name] = stop

    for value in targets:
        need(value, None)
    for call in reversed(trace.calls):
        needed = [values[v.index] for v in call.outputs if v.index in values]
        needed += [storages[s] for s in call.mutated if s in storages]
        if not needed:
            continue
        stop = None if None in needed else needed[0]
        blocked = not call.grad_enabled or not call.op.differentiable or not _floating(call)
        if gradient:
            if not blocked:
                for operand in call.operands:
                    if operand.requires_grad:
                        need(operand, None)
            continue
        for operand in call.operands:
            need(operand, (stop or call) if blocked else stop)
    return found


def _floating(call: Call) -> bool:
    return any([v.fact.dtype.is_floating_point or v.fact.dtype.is_complex for v in call.outputs])


def chosen_outputs(trace: Trace, names: str | Iterable[str] | None) -> list[Value]:
    """The values of some of the model's outputs: keys of a dict it returns, or positions in a tuple ("0", "1")."""
    if names is None:
        return list(trace.values_out())
    tree = trace.outputs
    if isinstance(tree, dict):
        known = {str(k): v for k, v in tree.items()}
    elif isinstance(tree, (tuple, list)):
        known = {str(i): v for i, v in enumerate(tree)}
    else:
        known = {"0": tree}
    wanted = [names] if isinstance(names, str) else list(names)
    missing = [n for n in wanted if n not in known]
    if missing:
        raise InputError(f"the model has no output {missing[0]!r}", hint=f"its outputs are {', '.join(known)}")
    return [v for n in wanted for v in values_in(known[n])]
