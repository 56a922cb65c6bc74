"""Multiply-accumulates by the dtypes of what is multiplied: ``int8 x int8``, ``bf16 x int4``."""

from __future__ import annotations

from fxcount.passes.cost import Costs
from fxcount.symbolic import Size
from fxcount.trace.tape import Call, Declared, Trace, Value
from fxcount.wording import short_dtype

__all__ = ["macs_by_dtype"]


def macs_by_dtype(trace: Trace, costs: Costs) -> dict[str, Size]:
    """The macs of each pair of dtypes, the activations' first; together they are all macs.

    A weight counts by the dtype it is stored in, also where it is a tensor of another (quantised weights of a subclass), and
    activations by the dtype to which the product brings them.

    >>> import torch, fxcount
    >>> report = fxcount.analyze(torch.nn.Linear(3, 5).bfloat16(), "B,3")
    >>> macs_by_dtype(report.trace, report.costs)
    {'bf16 x bf16': 15*B}
    """
    names = {name: d for d in trace.declared if d.held is not None for name in d.names}
    stored = {s.value.storage: names[s.value.name] for s in trace.states if s.value.name in names}
    found: dict[str, Size] = {}
    for call in trace.calls:
        macs = costs.of(call).macs
        if macs != 0:
            key = " x ".join(_factors(call, stored))
            found[key] = found.get(key, 0) + macs
    return found


def _factors(call: Call, stored: dict[int, Declared]) -> tuple[str, str]:
    """What is multiplied by what."""
    operands = list(call.operands)
    weight = next((v for v in operands if v.storage in stored and stored[v.storage].precision), None)
    if weight is not None:
        held = stored[weight.storage]
        other = next((v for v in operands if v.storage not in stored), weight)
        return call.op.quantises or held.quantises or _dtype(other, stored), held.precision
    first = operands[0]
    second = operands[1] if len(operands) > 1 else first
    return _dtype(first, stored), _dtype(second, stored)


def _dtype(value: Value, stored: dict[int, Declared]) -> str:
    held = stored.get(value.storage)
    return held.precision if held is not None and held.precision else short_dtype(value.fact.dtype)
