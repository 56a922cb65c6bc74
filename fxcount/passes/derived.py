"""Weights computed from parameters alone: weight_norm, spectral_norm, standardisation, LoRA's ``W + B @ A``.

A value is *pure* if nothing but parameters, buffers and constants went into it. A pure value that an op on the model's data
takes as its weight or bias is a derived weight, if it is made of several parameters or by arithmetic on one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fxcount.errors import UncountedError
from fxcount.passes.cost import signature_cost
from fxcount.passes.uses import Use, argument_of
from fxcount.trace.tape import Call, Trace, Value

__all__ = ["Derived", "derived_weights"]

_LAYERS = frozenset("linear conv1d conv2d conv3d embedding layer_norm scaled_dot_product_attention lstm gru".split())
"""Ops of which the results are activations, though they be constant: learned queries, tables of positions."""

_CONTRACTIONS = frozenset("matmul mm bmm mv addmm baddbmm einsum tensordot".split())
_STATE = frozenset({"parameter", "buffer", "constant"})


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
        argument = argument_of(call, operand)
        as_weight = argument in ("weight", "bias")
        if not as_weight and not (call.op.name in _CONTRACTIONS and len(pure.sources) > 1):
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
    pure: dict[int, _Pure] = {}
    for call in trace.calls:
        operands = call.operands
        for o in operands:
            if o.origin not in _STATE and o.index not in pure:
                break
        else:
            _derive(call, pure)
            continue
        if pure:
            for i, o in enumerate(operands):
                found = pure.get(o.index)
                if found is not None and (len(found.sources) > 1 or (found.arithmetic and found.sources)):
                    yield call, i, found


def _derive(call: Call, pure: dict[int, _Pure]) -> None:
    """What a call on pure operands makes is pure."""
    if call.op.name in _LAYERS:
        return
    sources = frozenset().union(*[_sources(o, pure) for o in call.operands])
    arithmetic = any(o.index in pure and pure[o.index].arithmetic for o in call.operands) or _computes(call)
    for v in call.outputs:
        pure[v.index] = _Pure(sources, arithmetic)


def _computes(call: Call) -> bool:
    """Whether it does arithmetic, rather than move or view data."""
    try:
        return signature_cost(call.signature).flops != 0
    except UncountedError:
        return True


def _sources(value: Value, pure: dict[int, _Pure]) -> frozenset[str]:
    if value.origin == "parameter":
        return frozenset((value.name,))
    found = pure.get(value.index)
    return found.sources if found is not None else frozenset()
