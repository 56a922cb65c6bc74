"""Run a model once under the tracer and collect the trace."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils import _pytree as pytree

from fxcount.errors import FxcountError, InputError
from fxcount.ops import REGISTRY, Registry, TensorFact
from fxcount.symbolic import Scope
from fxcount.trace.inputs.inventory import take_inventory
from fxcount.trace.inputs.specs import InputSpec, Plain, default_hints, parse_inputs
from fxcount.trace.tape import Trace
from fxcount.trace.torch_patch.lengths import symbolic_lengths
from fxcount.trace.torch_patch.session import no_collection, patched, place_raised, preserved
from fxcount.trace.tracer.outputs import collect
from fxcount.trace.tracer.standin import StandIn
from fxcount.trace.tracer.tracer import Tracer

__all__ = ["trace_model"]


def trace_model(
    model: torch.nn.Module,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    hints: Mapping[str, int] | None = None,
    registry: Registry = REGISTRY,
    progress: Callable[[int], None] | None = None,
) -> Trace:
    """Trace ``model(*args, **kwargs)`` symbolically; arguments are input specifications.

    Raises :class:`~fxcount.errors.InputError` for inputs that do not describe a call, and what the model raises.
    """
    specs = (tuple(parse_inputs(a) for a in args), parse_inputs(dict(kwargs or {})))
    leaves, tree = pytree.tree_flatten(specs)
    leaves = [leaf.value if isinstance(leaf, Plain) else leaf for leaf in leaves]
    tensors = [leaf for leaf in leaves if isinstance(leaf, InputSpec)]
    _check_call(model, specs)
    held = take_inventory(model)
    scope = Scope({})
    for name, hint in default_hints(tensors, hints or {}, scope.unbacked).items():
        scope.declare(name, hint)
    tracer = Tracer(scope, registry, held, progress)
    scope.where = tracer.where
    ledger = tracer.ledger
    labels = [pytree.keystr(path) for path, _ in pytree.tree_flatten_with_path(specs)[0]]
    stand_ins = [
        tracer.input(
            TensorFact(leaf.shape, leaf.dtype or held.dtype, leaf.device or held.device, leaf.strides),
            _label(label, model),
            leaf.requires_grad,
            leaf.data,
        )
        if isinstance(leaf, InputSpec)
        else leaf
        for leaf, label in zip(leaves, labels, strict=True)
    ]
    inputs = [s._value for s in stand_ins if isinstance(s, StandIn)]
    call_args, call_kwargs = pytree.tree_unflatten(stand_ins, tree)
    del stand_ins
    modules = held.unique_modules()
    with no_collection(), preserved(modules), patched(tracer), symbolic_lengths(modules):
        try:
            with tracer:
                result = model(*call_args, **call_kwargs)
        except FxcountError as error:
            if not error.where:
                error.where = place_raised(error)
            raise
        except Exception as error:
            error.add_note(f"while fxcount traced {type(model).__name__}, at {place_raised(error)}")
            raise
        events = ledger.events()
        scope.where = None  # the tracer, and the stand-ins of parameters it keeps, end here
        outputs = collect(result, ledger.state)
        tracer.numbers.close()
        reassigned = held.reassigned()
        tracer.forget()
    scope.unbacked.check_given()
    return Trace(
        model_name=type(model).__name__, scope=scope, inputs=inputs, calls=ledger.calls, modules=tracer.modules.found,
        states=ledger.states, storages=ledger.storages, events=events, outputs=outputs,
        module_paths={path: type(m).__name__ for path, m in held.modules}, signatures=ledger.signatures,
        declared=held.declared, input_tree=(tree, leaves), notes=tracer.notes.texts,
        functions=tuple(ledger.functions), aliases=held.aliases, queries=ledger.queries, reassigned=reassigned,
    )  # fmt: skip


def _label(keystr: str, model: torch.nn.Module) -> str:
    """``[0][1]`` -> the second positional parameter's name; ``[1]['mask']`` -> ``mask``."""
    text = keystr
    if text.startswith("[0]"):
        index, _, rest = text[4:].partition("]")
        names = _positional_names(model)
        position = int(index)
        return (names[position] if position < len(names) else f"input_{position}") + rest
    return text[3:].replace("['", ".").replace("']", "").lstrip(".")


def _positional_names(model: torch.nn.Module) -> list[str]:
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _check_call(model: torch.nn.Module, specs: tuple[Any, Any]) -> None:
    """Complain about missing and unknown inputs in the user's terms before the model does in Python's."""
    args, kwargs = specs
    try:
        signature = inspect.signature(model.forward)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise InputError(
            f"{type(model).__name__}.forward{signature} cannot be called with these inputs: {error}",
            hint="give one specification per tensor input, keyword inputs by name",
        ) from None
