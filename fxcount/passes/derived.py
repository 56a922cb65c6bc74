"""Weights computed from parameters alone: weight_norm, spectral_norm, standardisation, LoRA's ``W + B @ A``.

A value is *pure* if nothing but parameters, buffers and constants went into it. A pure value that an op on the model's data
takes as its weight or bias is a derived weight, if it is made of several parameters or by arithmetic on one.
"""

from __future__ import annotations

from collections.abc import Iterator

from fxcount.dataclass import dataclass
from fxcount.errors import UncountedError
from fxcount.passes.cost import signature_cost
from fxcount.passes.uses import Use, arguments_of
from fxcount.trace.tape import Call, Trace, Value

__all__ = ["Derived", "derived_weights"]


@dataclass(frozen=True, slots=True)
class Derived:
    """``name``: where it is used, as module path and argument; ``originals``: names of its parameters."""

    name: str
    originals: tuple[str, ...]
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class _Pure:
    """Parameters a value is computed from, and whether by arithmetic, not by views and copies alone."""

    sources: frozenset[str]
    arithmetic: bool


def derived_weights(trace: Trace) -> list[Derived]:
    """The derived weights of a trace, each once, with all its uses.

    >>> import torch
    >>> from torch.nn.utils.parametrizations import weight_norm
    >>> from fxcount.trace import trace_model
    >>> (found,) = derived_weights(trace_model(weight_norm(torch.nn.Linear(3, 5)), ("B,3",)))
    >>> found.name, found.originals
    ('weight', ('parametrizations.weight.original0', 'parametrizations.weight.original1'))
    """
    uses: dict[tuple[str, frozenset[str]], list[Use]] = {}
    for call, operand, pure in _met(trace):
        argument = arguments_of(call)[operand]
        as_weight = argument in ("weight", "bias")
        if not as_weight and not (call.op.kind == "product" and len(pure.sources) > 1):
            continue
        path = trace.modules[call.module].path if call.module >= 0 else ""
        label = argument if as_weight else "weight"
        key = (f"{path}.{label}" if path else label, pure.sources)
        uses.setdefault(key, []).append(Use(path, call.op.name, argument, call.source or "", call.index))
    order = {d.names[0]: i for i, d in enumerate(trace.declared)}
    return [
        Derived(name, tuple(sorted(sources, key=lambda n: order.get(n, len(order)))), tuple(found))
        for (name, sources), found in uses.items()
    ]


def _met(trace: Trace) -> Iterator[tuple[Call, int, _Pure]]:
    """Every derived pure operand of a call that also has data of the model."""
    pure: dict[int, _Pure | None] = dict.fromkeys([s.value.index for s in trace.states])
    derived: dict[int, _Pure] = {}
    for call in trace.calls:
        for o in call.operands:
            if o.index not in pure:
                break
        else:
            made = _derive(call, pure)
            if made is not None and (len(made.sources) > 1 or (made.arithmetic and made.sources)):
                derived.update([(v.index, made) for v in call.outputs])
            continue
        if derived:
            for i, o in enumerate(call.operands):
                if o.index in derived:
                    yield call, i, derived[o.index]


def _derive(call: Call, pure: dict[int, _Pure | None]) -> _Pure | None:
    """What a call on pure operands makes is pure, unless it makes activations."""
    if call.op.activations:
        return None
    found = [pure[o.index] or _of_state(o) for o in call.operands]
    sources: frozenset[str] = frozenset().union(*[f.sources for f in found])
    made = _Pure(sources, any(f.arithmetic for f in found) or _computes(call))
    pure.update([(v.index, made) for v in call.outputs])
    return made


def _of_state(value: Value) -> _Pure:
    return _Pure(frozenset((value.name,) if value.origin == "parameter" else ()), False)


def _computes(call: Call) -> bool:
    """Whether it does arithmetic, rather than move or view data."""
    try:
        return signature_cost(call.signature).flops != 0
    except UncountedError:
        return True
