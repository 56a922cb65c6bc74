"""A forward that differentiates or maps functions itself: traced on top of torch's own engine, as a training step is.

``autograd.grad`` and ``backward`` run the engine on stand-ins. ``torch.func`` (``vmap``, ``grad``, ``jvp``, ...) wraps
stand-ins in tensors of its own, whose rules torch applies in C++; what they are made of is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from fxcount.errors import FxcountError, first_line
from fxcount.ops import Registry
from fxcount.symbolic import Scope
from fxcount.trace.inputs.inventory import Inventory
from fxcount.trace.inputs.specs import parse_inputs, symbols_of, whole_hints
from fxcount.trace.run import Run, check_call
from fxcount.trace.tape import Trace
from fxcount.trace.torch_patch.session import TraceSession
from fxcount.trace.tracer.decisions import Decisions
from fxcount.trace.tracer.tracer import Tracer
from fxcount.training.session import bound_functions, with_engine
from fxcount.training.tracer import TrainingTracer

__all__ = ["trace_forward"]


def trace_forward(
    model: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None, *,
    hints: Mapping[str, int] | None, registry: Registry, progress: Callable[[int], None] | None = None,
    pinned: str = "", device: torch.device | None = None,
) -> Trace:  # fmt: skip
    """Trace ``model(*args, **kwargs)`` with torch's engine on the stand-ins. Where C++ of torch cannot go on with formulas, the
    sizes are pinned, which is assumed.

    Raises what the model raises, and :class:`~fxcount.errors.FxcountError` for what cannot be traced.
    """
    specs = (tuple([parse_inputs(a) for a in args]), parse_inputs(dict(kwargs or {})))
    check_call(model, specs)

    def traced(pinned: str) -> Trace:
        run = _ForwardRun(model, specs, whole_hints(hints or {}), registry, progress, pinned, device)
        return TraceSession.run(partial(with_engine, run.trace))

    try:
        return traced(pinned)
    except Exception as error:
        if pinned or isinstance(error, FxcountError) or not symbols_of(*args, dict(kwargs or {})):
            raise
        why = f"torch's own code takes no formulas here: {first_line(error)}"
        try:
            found = traced(why)
        except Exception:
            raise error from None
        found.notes.append(f"all sizes are pinned, since {why}")
        return found


class _ForwardRun(Run):
    """One call of a model, below which the engine runs."""

    def _named_in(self, namespace: dict[str, Any]) -> dict[str, Any]:
        return {**super()._named_in(namespace), **bound_functions(namespace)}

    def _new_tracer(self, scope: Scope, held: Inventory, decisions: Decisions | None, compiling: bool) -> Tracer:
        return TrainingTracer(scope, self.registry, held, self.progress, decisions, compiling)

    def _under(self, tracer: Tracer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        assert isinstance(tracer, TrainingTracer)
        with tracer.below():
            return super()._under(tracer, args, kwargs)
