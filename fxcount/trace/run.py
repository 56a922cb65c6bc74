"""Run a model once under the tracer and collect the trace."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter
from torch.utils import _pytree as pytree

from fxcount.errors import FxcountError, InputError
from fxcount.ops import REGISTRY, Registry, TensorFact
from fxcount.symbolic import Scope
from fxcount.trace.outputs import collect
from fxcount.trace.patches import no_collection, patched, preserved
from fxcount.trace.specs import InputSpec, default_hints, parse_inputs
from fxcount.trace.standin import StandIn
from fxcount.trace.tape import Declared, Trace
from fxcount.trace.tracer import Tracer

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
    specs = (parse_inputs(tuple(args)) if args else (), parse_inputs(dict(kwargs or {})))
    leaves, tree = pytree.tree_flatten(specs)
    tensors = [leaf for leaf in leaves if isinstance(leaf, InputSpec)]
    _check_call(model, specs)
    names, declared = _state_names(model)
    scope = Scope(default_hints(tensors, hints or {}))
    tracer = Tracer(scope, registry, names)
    scope.where = tracer.where
    tracer._non_persistent = frozenset(d.names[0] for d in declared if not d.persistent)
    tracer.progress = progress
    modules: dict[str, str] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        modules[path] = type(module).__name__
        tracer.module_names.setdefault(id(module), path)
    device, dtype = _home(model)
    labels = [pytree.keystr(path) for path, _ in pytree.tree_flatten_with_path(specs)[0]]
    stand_ins = [
        tracer.input(
            TensorFact(leaf.shape, leaf.dtype or dtype, leaf.device or device), _label(label, model), leaf.requires_grad
        )
        if isinstance(leaf, InputSpec)
        else leaf
        for leaf, label in zip(leaves, labels, strict=True)
    ]
    inputs = [s._value for s in stand_ins if isinstance(s, StandIn)]
    call_args, call_kwargs = pytree.tree_unflatten(stand_ins, tree)
    del stand_ins
    with no_collection(), preserved(model), patched(tracer):
        try:
            with tracer:
                result = model(*call_args, **call_kwargs)
        except FxcountError as error:
            if not error.where:
                error.where = tracer.where()
            raise
        except Exception as error:
            error.add_note(f"while fxcount traced {type(model).__name__}: {_last_place(tracer)}")
            raise
        events = tracer.events()
        outputs = collect(result)
    return Trace(
        model_name=type(model).__name__, scope=scope, inputs=inputs, calls=tracer.calls, modules=tracer.modules,
        states=tracer.states, storages=tracer.storages, events=events, outputs=outputs, module_paths=modules,
        signatures=tracer.signatures, declared=declared, input_tree=(tree, leaves),
    )  # fmt: skip


def _last_place(tracer: Tracer) -> str:
    if not tracer.calls:
        return "before its first op"
    last = tracer.calls[-1]
    path = tracer.modules[last.module].path if last.module >= 0 else ""
    return f"after {last.op.name} at {last.source}" + (f" ({path})" if path else "")


def _state_names(model: torch.nn.Module) -> tuple[dict[int, tuple[str, ...]], tuple[Declared, ...]]:
    """Names of every parameter and buffer by the tensor's identity (a tied one has several), and their facts."""
    names: dict[int, list[str]] = {}
    tensors: dict[int, torch.Tensor] = {}
    named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    for name, tensor in named:
        names.setdefault(id(tensor), []).append(name)
        tensors[id(tensor)] = tensor
    hidden = {
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        for name in module._non_persistent_buffers_set
    }
    found = {key: tuple(listed) for key, listed in names.items()}
    return found, tuple(_declared(tensors[key], listed, hidden) for key, listed in found.items())


def _declared(tensor: torch.Tensor, names: tuple[str, ...], hidden: set[str]) -> Declared:
    if isinstance(tensor, UninitializedParameter | UninitializedBuffer):
        raise InputError(
            f"the parameter {names[0]} is not initialised (a lazy module)",
            hint="run the model once on real or meta tensors, so that its lazy modules learn their sizes",
        )
    shape = tuple(tensor.shape)
    try:
        storage, offset = tensor.untyped_storage()._cdata, int(tensor.storage_offset())
        span = 1 + sum((n - 1) * s for n, s in zip(shape, tensor.stride(), strict=True)) if tensor.numel() else 0
    except (NotImplementedError, RuntimeError):  # sparse and wrapped tensors have no strided storage
        storage, offset, span = id(tensor), 0, tensor.numel()
    kind: Literal["parameter", "buffer"] = "parameter" if isinstance(tensor, torch.nn.Parameter) else "buffer"
    return Declared(kind, names, shape, tensor.dtype, tensor.requires_grad, storage, offset, span, names[0] not in hidden)


def _home(model: torch.nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device of the model, and the dtype of its floating parameters if they agree."""
    device: torch.device | None = None
    dtypes = set()
    for parameter in model.parameters():
        device = device or parameter.device
        if parameter.dtype.is_floating_point:
            dtypes.add(parameter.dtype)
    if device is None:
        device = next((b.device for b in model.buffers()), torch.get_default_device())
    return device, dtypes.pop() if len(dtypes) == 1 else torch.get_default_dtype()


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
