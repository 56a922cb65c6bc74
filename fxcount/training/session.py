"""What a training step changes in torch besides what every trace does: real parameters never reach the engine.

``Function.apply`` and the engine's own entry take tensors past every function mode; what they are given is replaced by
stand-ins. ``torch.autograd.backward`` is not led to the function mode, which would be off while the engine runs. All of it is
restored when the session ends.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import BuiltinMethodType, FunctionType
from typing import Any, TypeVar

import torch
from torch.autograd.function import FunctionMeta

from fxcount import torch_private
from fxcount.trace.torch_patch.active import ACTIVE, Undo
from fxcount.trace.torch_patch.redirect import Replaced, Swapped, dispatching
from fxcount.training.tracer import TrainingTracer

__all__ = ["bound_functions", "with_engine"]


T = TypeVar("T")


def with_engine(body: Callable[[Undo], T], undo: Undo) -> T:
    """``body(undo)`` with torch prepared for its engine to run on stand-ins; ``undo`` puts everything back."""
    for change in _changes():
        change.install(undo)
    return body(undo)


@functools.lru_cache(1)
def _changes() -> tuple[Any, ...]:
    return (
        Replaced(vars(torch.autograd), ("has_torch_function",), lambda _, original: dispatching(lambda *_: False, original)),
        Swapped(torch_private.run_backward, _engine),
        Swapped(torch.random.get_rng_state, _noted_state),
        *[
            Replaced(vars(module), [n for n in _WRAPPING if n in vars(module)], lambda _, f: dispatching(_standing(f), f))
            for module in map(torch_private.loaded, _FUNCTORCH) if module is not None
        ],
        *[
            Replaced(vars(module), [_GROUPING], lambda _, f: dispatching(_grouped(f), f))
            for module in map(torch_private.loaded, _OPTIMIZERS) if module is not None and _GROUPING in vars(module)
        ],
        *_apply(),
    )


_FUNCTORCH = ("_functorch.predispatch", "_functorch.vmap", "_functorch.eager_transforms", "_VF")
_WRAPPING = ("_add_batch_dim_impl", "_add_batch_dim", "_wrap_for_grad", "_make_dual_impl")
"""Functions of C++ that wrap a tensor for ``torch.func``, in the modules that call them."""


_GROUPING = "_group_tensors_by_device_and_dtype"
_OPTIMIZERS = ("utils._foreach_utils", "optim.optimizer", "nn.utils.clip_grad")
"""What sorts tensors by device for ops on many of them, in C++; and the modules that call it."""


def _grouped(original: Callable[..., Any]) -> Callable[..., Any]:
    """Real parameters lie elsewhere than their gradients, if the model is taken to lie on another device."""

    def call(lists: Any, *rest: Any, **options: Any) -> Any:
        tracer = ACTIVE.tracer
        if not isinstance(tracer, TrainingTracer) or tracer.placed is None:
            return original(lists, *rest, **options)
        standing = [tracer.standing(tensors) for tensors in lists]
        real = {id(x): t for mine, tensors in zip(standing, lists) for x, t in zip(mine, tensors)}
        found = original(standing, *rest, **options)
        return {
            key: ([[real.get(id(x), x) for x in tensors] for tensors in groups], indices)
            for key, (groups, indices) in found.items()
        }

    return call


def _apply() -> list[Swapped]:
    """``Function.apply`` where it is Python code; where it is a builtin, what asks for it is given another."""
    code = getattr(torch.autograd.Function.apply, "__func__", None)
    return [] if code is None else [Swapped(code, _standing, within=_with_class_cell())]


def bound_functions(namespace: dict[str, Any]) -> dict[str, Any]:
    """What stands for ``double = Double.apply`` in a module's globals, where that is a builtin."""
    return {
        name: _applying(found) for name, found in namespace.items()
        if type(found) is BuiltinMethodType and found.__name__ == "apply" and isinstance(found.__self__, FunctionMeta)
    }  # fmt: skip


def _applying(found: Any) -> Callable[..., Any]:
    def apply(*args: Any, **kwargs: Any) -> Any:
        tracer = ACTIVE.tracer
        mine = ACTIVE.is_here() and isinstance(tracer, TrainingTracer)
        return tracer.calling(found)(*args, **kwargs) if mine and tracer is not None else found(*args, **kwargs)

    return apply


def _noted_state(original: Callable[..., Any]) -> Callable[..., Any]:
    """A generator's state, as checkpoints keep it, is a tensor of the process' own that no op makes."""

    def call(*args: Any, **kwargs: Any) -> Any:
        tracer = ACTIVE.tracer
        if not isinstance(tracer, TrainingTracer):
            return original(*args, **kwargs)
        with tracer.aside():
            state = original(*args, **kwargs)
        tracer.note_state(state)
        return state

    return call


def _engine(original: Callable[..., Any]) -> Callable[..., Any]:
    """The engine's entry: ``accumulate_grad`` says that it is for ``backward``, which leaves gradients with the leaves."""
    inner = _standing(original)

    def call(*args: Any, **kwargs: Any) -> Any:
        tracer = ACTIVE.tracer
        watch = tracer.watch if isinstance(tracer, TrainingTracer) else None
        if watch is None:
            return inner(*args, **kwargs)
        with watch.engine(bool(kwargs.get("accumulate_grad"))):
            return inner(*args, **kwargs)

    return call


def _standing(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        tracer = ACTIVE.tracer
        if isinstance(tracer, TrainingTracer):
            tracer.touched += 1
            args, kwargs = tracer.standing(args), tracer.standing(kwargs)
        return original(*args, **kwargs)

    return call


def _with_class_cell() -> FunctionType:
    """A template for a method that names ``super()``: code can take the place of other code with as many free variables."""

    class Template:
        def swapped(*args: Any, **kwargs: Any) -> Any:
            active: Any = "<active>"
            thread: Any = "<get_ident>"
            ours: Any = "<ours>"
            original: Any = "<original>"
            __class__  # type: ignore[name-defined]  # noqa: B018
            if thread() == active.ident and active.tracer is not None:
                return ours(*args, **kwargs)
            return original(*args, **kwargs)

    return Template.__dict__["swapped"]  # type: ignore[no-any-return]
