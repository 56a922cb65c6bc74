"""Ways to a trace of a step: in symbols, and with pinned sizes where torch's own code wants numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch

from fxcount.errors import FxcountError, InputError, first_line
from fxcount.ops import Registry
from fxcount.trace.inputs.specs import symbols_of
from fxcount.training.loop import Several, reached
from fxcount.training.run import StepTrace, trace_step
from fxcount.training.step import OwnStep

__all__ = ["trace_own_step", "trace_training"]


def trace_training(
    model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], targets: tuple[Any, ...], *, step: Callable[..., Any],
    hints: Mapping[str, int] | None, registry: Registry, tracker: bool = False, device: torch.device | None = None,
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
    traced = partial(
        trace_step, model, args, kwargs, targets, step, hints=hints, registry=registry, tracker=tracker, device=device
    )  # fmt: skip
    return _pinned_at_last(traced, symbols_of(*args, dict(kwargs), *targets))


def trace_own_step(
    model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], targets: tuple[Any, ...], *, step: Callable[..., Any],
    hints: Mapping[str, int] | None, registry: Registry, tracker: bool = False, device: torch.device | None = None,
) -> StepTrace:  # fmt: skip
    """The same of a step of the user's own, ``step(model, *args, *targets)``, with all models and optimizers it reaches.

    Raises :class:`~fxcount.errors.InputError` for inputs that do not describe a call, if nothing is differentiated, and what
    the step raises.
    """
    called = _checked(step, model, (*args, *targets), kwargs)
    name = next(iter(_names(step)), "model")
    found = reached(step, {name: model})
    if not found.models:
        raise InputError(
            "the step reaches no model",
            hint="give the model that is trained first: training_step(model, *inputs, step=function)",
        )
    alone = isinstance(model, torch.nn.Module) and len(found.models) == 1
    subject = model if alone else Several(found.models)
    body = OwnStep(step, model)
    traced = partial(
        trace_step, subject, args, kwargs, targets, body, hints=hints, registry=registry, tracker=tracker, others=found,
        called=called, device=device,
    )  # fmt: skip
    result = _pinned_at_last(traced, symbols_of(*args, dict(kwargs), *targets))
    if not result.of("backward"):
        raise InputError("the step has no backward", hint="let it call loss.backward()")
    return result


def _names(step: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(step).parameters)
    except (TypeError, ValueError):
        return []


def _checked(step: Callable[..., Any], model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What names the inputs of a step; complains about missing and unknown ones."""
    called = SimpleNamespace(forward=partial(step, model))
    try:
        inspect.signature(step).bind(model, *args, **kwargs)
    except TypeError as error:
        name = getattr(step, "__name__", type(step).__name__)
        raise InputError(
            f"the step {name}{inspect.signature(step)} cannot be called with the model and these inputs: {error}",
            hint="the model comes first, then one specification for each input",
        ) from None
    except ValueError:  # it has no signature
        pass
    return called


def _pinned_at_last(traced: Callable[..., StepTrace], symbols: Any) -> StepTrace:
    """In symbols, or with pinned sizes where torch's own code wants numbers."""
    try:
        return traced()
    except Exception as error:
        if isinstance(error, FxcountError) or not symbols:
            raise
        why = f"torch's own code takes no formulas here: {first_line(error)}"
        try:
            found = traced(pinned=why)
        except Exception:
            raise error from None
        found.trace.notes.append(f"all sizes are pinned, since {why}")
        return found
