"""Ways to a trace of a step: in symbols, and with pinned sizes where torch's own code wants numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from fxcount.errors import FxcountError, InputError, first_line
from fxcount.ops import Registry
from fxcount.trace.inputs.specs import symbols_of
from fxcount.training.run import StepTrace, trace_step

__all__ = ["trace_training"]


def trace_training(
    model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], targets: tuple[Any, ...], step: Callable[..., Any], *,
    hints: Mapping[str, int] | None, registry: Registry, tracker: bool = False,
) -> StepTrace:  # fmt: skip
    """Trace a training step of a module. Where C++ of torch cannot go on with formulas, the sizes are pinned, which is assumed:
    other sizes are then analysed anew.

    Raises :class:`~fxcount.errors.InputError` for what is no module, and what the step raises.
    """
    if not isinstance(model, torch.nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise InputError(
            f"a training step needs the nn.Module itself, not a {type(model).__name__}",
            hint="give the Python module: a graph has no autograd of its own",
        )

    def traced(pinned: str = "") -> StepTrace:
        return trace_step(model, args, kwargs, targets, step, hints=hints, registry=registry, pinned=pinned, tracker=tracker)

    try:
        return traced()
    except Exception as error:
        if isinstance(error, FxcountError) or not symbols_of(*args, dict(kwargs), *targets):
            raise
        why = f"torch's own code takes no formulas here: {first_line(error)}"
        try:
            found = traced(why)
        except Exception:
            raise error from None
        found.trace.notes.append(f"all sizes are pinned, since {why}")
        return found
