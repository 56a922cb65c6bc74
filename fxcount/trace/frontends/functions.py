"""Functions as models: a module whose forward is the function, and whose children are the modules the function uses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, MethodType
from typing import Any

import torch

from fxcount.trace.frontends.modules import named_class

__all__ = ["is_function", "module_of"]


class Function(torch.nn.Module):
    """Stands for a function; ``forward`` is the function itself, so that its signature is that of the model."""


_KINDS = (FunctionType, MethodType, BuiltinFunctionType, MethodDescriptorType)  # of Python, and of torch's C++


def is_function(model: Any) -> bool:
    """Whether it is a function of Python, of torch or of TorchScript: a lambda, a method of an object, a ``partial``; or an
    object that is called like one.

    >>> is_function(torch.nn.functional.relu), is_function(torch.nn.Linear), is_function(3)
    (True, False, False)
    """
    return isinstance(model, (*_KINDS, functools.partial, torch.jit.ScriptFunction)) or _is_called(model)


def _is_called(model: Any) -> bool:
    """Whether it is an object of a class of Python's that says what a call of it does."""
    said = next((vars(kind)["__call__"] for kind in type(model).__mro__ if "__call__" in vars(kind)), None)
    return isinstance(said, FunctionType) and not isinstance(model, (type, torch.nn.Module))


def module_of(function: Callable[..., Any]) -> torch.nn.Module:
    """A module that calls the function. Modules and parameters it holds (its closure, the globals it names, the arguments of a
    ``partial``, the object of a method) have the names they have there.

    >>> layer = torch.nn.Linear(2, 3)
    >>> [name for name, _ in module_of(lambda x: layer(x)).named_parameters()]
    ['layer.weight', 'layer.bias']
    """
    name = getattr(function, "__name__", "") or getattr(getattr(function, "func", None), "__name__", "") or "function"
    if not isinstance(function, (*_KINDS, functools.partial, torch.jit.ScriptFunction)):
        name, function = type(function).__name__, function.__call__  # type: ignore[operator]
    module: torch.nn.Module = named_class(Function, "function" if name == "<lambda>" else name)()
    for held, value in _held(function):
        if held in module._modules or held in module._parameters or hasattr(module, held):
            continue
        if isinstance(value, torch.nn.Module):
            module.add_module(held, value)
        elif isinstance(value, torch.nn.Parameter):
            module.register_parameter(held, value)
    module.__dict__["forward"] = _scripted(function) if isinstance(function, torch.jit.ScriptFunction) else function
    return module


def _held(function: Any) -> Iterator[tuple[str, Any]]:
    """What a function holds, by name."""
    if isinstance(function, functools.partial):
        yield from function.keywords.items()
        yield from ((f"argument_{i}", value) for i, value in enumerate(function.args))
        yield from _held(function.func)
    elif isinstance(function, MethodType):
        owner = function.__self__
        if isinstance(owner, torch.nn.Module):
            yield "self", owner
        else:
            yield from getattr(owner, "__dict__", {}).items()
    elif isinstance(function, FunctionType):
        code = function.__code__
        for name, cell in zip(code.co_freevars, function.__closure__ or ()):
            try:
                yield name, cell.cell_contents
            except ValueError:  # not bound yet
                continue
        yield from ((n, function.__globals__[n]) for n in code.co_names if n in function.__globals__)
        yield from ((f"default_{i}", value) for i, value in enumerate(function.__defaults__ or ()))


def _scripted(function: Any) -> Callable[..., Any]:
    """The graph of a function that TorchScript has compiled, as a function of its arguments."""
    from fxcount.trace.frontends.places import Places
    from fxcount.trace.frontends.script import run_function

    places = Places()
    return lambda *args, **kwargs: run_function(function, args, kwargs, places)
