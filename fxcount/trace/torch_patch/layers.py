"""Classes of modules with a rule of the user's: a call of one is one op, and its forward is not looked into.

Only ``forward`` is replaced, for instances of the very class and in the tracing thread: hooks run as they do, and a subclass,
whose forward may be another, is traced as ever.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import Any

import torch

from fxcount import torch_private
from fxcount.ops import Op, Registry
from fxcount.ops.core.modulefact import ModuleFact
from fxcount.trace.torch_patch.active import ACTIVE, Undo
from fxcount.trace.torch_patch.redirect import dispatching

__all__ = ["CalledModule", "rule_forwards"]


class CalledModule:
    """The callable of the graph: runs the module, which is held weakly, on real tensors; its facts go before the inputs."""

    def __init__(self, module: torch.nn.Module, forward: Callable[..., Any]) -> None:
        self._module = weakref.ref(module)
        self._forward = forward
        self.__name__ = self.__qualname__ = type(module).__name__
        self.__module__ = type(module).__module__

    def __call__(self, _: Any, *args: Any, **kwargs: Any) -> Any:
        module = self._module()
        if module is None:
            raise TypeError(f"the {self.__name__} of the model is gone")
        return self._forward(module, *args, **kwargs)

    def __reduce__(self) -> Any:
        return _gone, (self.__name__,)


def _gone(name: str) -> Callable[..., Any]:
    def call(*_: Any, **__: Any) -> Any:
        raise TypeError(f"the {name} of the model is gone")

    call.__name__ = name
    return call


def rule_forwards(registry: Registry, undo: Undo) -> None:
    """Until ``undo`` is run, a call of a module whose class has a rule is recorded as one op."""
    for entry in registry.overriding:
        for kind in entry.extra:
            if isinstance(kind, type) and issubclass(kind, torch.nn.Module):
                _replace(kind, entry, undo)


def _replace(kind: type[torch.nn.Module], entry: Op, undo: Undo) -> None:
    original: Callable[..., Any] = kind.forward
    own = "forward" in vars(kind)

    def recorded(self: Any, *args: Any, **kwargs: Any) -> Any:
        if type(self) is not kind:
            return original(self, *args, **kwargs)
        tracer = ACTIVE.tracer
        assert tracer is not None
        args, kwargs = _by_position(original, self, args, kwargs)
        with torch_private.DisableTorchFunction():  # the tracer looks at parameters, the model does not
            return tracer.ruled(entry, CalledModule(self, original), (ModuleFact.of(self), *args), kwargs)

    if own:
        undo.add(setattr, kind, "forward", vars(kind)["forward"])
    else:
        undo.add(delattr, kind, "forward")
    kind.forward = dispatching(recorded, original)


def _by_position(
    forward: Callable[..., Any], module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Inputs given by name go where forward has them, so that a rule gets them however the model calls."""
    try:
        bound = inspect.signature(forward).bind(module, *args, **kwargs)
    except (TypeError, ValueError):  # of an extension, or a call that fails anyway
        return args, kwargs
    return bound.args[1:], bound.kwargs
