"""Replacing functions for the tracing thread alone.

A Python function of torch is replaced by another body: its ``__code__`` is swapped, so that it stays the object it is and
every reference to it is caught, also one made by ``from torch import vmap`` or stored as a default argument. A builtin is
replaced by a function of our own in the namespaces that hold it. Both ask first which thread calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import is_
from threading import get_ident
from types import CodeType, FunctionType
from typing import Any

from fxcount import torch_private
from fxcount.trace.torch_patch.active import ACTIVE, Undo

__all__ = ["ALWAYS", "TRACING", "Replaced", "Shadowed", "Swapped", "dispatching", "filled", "original_of"]


def _swapped(*args: Any, **kwargs: Any) -> Any:
    active: Any = "<active>"
    thread: Any = "<get_ident>"
    ours: Any = "<ours>"
    original: Any = "<original>"
    if thread() == active.ident and active.tracer is not None:
        return ours(*args, **kwargs)
    return original(*args, **kwargs)


def _swapped_always(*args: Any, **kwargs: Any) -> Any:
    active: Any = "<active>"
    thread: Any = "<get_ident>"
    ours: Any = "<ours>"
    original: Any = "<original>"
    if thread() == active.ident:
        return ours(*args, **kwargs)
    return original(*args, **kwargs)


TRACING: Any = _swapped  # while the model runs under the tracer
ALWAYS: Any = _swapped_always  # for the whole analysis


def filled(template: FunctionType, **objects: Any) -> CodeType:
    """The template's code with objects in the place of the constants ``"<name>"``: it needs no globals and no closure."""
    named = {f"<{name}>": found for name, found in (*objects.items(), ("active", ACTIVE), ("get_ident", get_ident))}
    code = template.__code__
    return code.replace(co_consts=tuple([named.get(c, c) if type(c) is str else c for c in code.co_consts]))


def original_of(function: FunctionType) -> Callable[..., Any]:
    """The function as it is now, apart from the object whose code will be swapped."""
    made = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    made.__kwdefaults__ = function.__kwdefaults__
    made.__qualname__ = function.__qualname__
    return made


class Swapped:
    """A Python function with another body while we trace: ``make(original)`` is what it does in the tracing thread, either
    for the whole analysis or while the model runs (``within``)."""

    def __init__(
        self, function: Any, make: Callable[[Callable[..., Any]], Any], within: Any = TRACING
    ) -> None:
        self.function = function
        self._make = make
        self._template: FunctionType = within
        self._found: CodeType | None = None
        self._code: CodeType | None = None

    def install(self, undo: Undo) -> None:
        """Swap the code until ``undo`` is run."""
        function = self.function
        found = function.__code__
        if found is not self._found:  # the first time, or since someone else changed it
            original = original_of(function)
            self._code = filled(self._template, ours=self._make(original), original=original)
            self._found = found
            _tell_dynamo(self._code)
        undo.add(setattr, function, "__code__", found)
        function.__code__ = self._code


class Replaced:
    """Names in one namespace (a module's or an object's dict) that other functions stand for while we trace."""

    def __init__(self, namespace: dict[str, Any], names: Iterable[str], make: Callable[[str, Any], Any]) -> None:
        self._namespace = namespace
        self._names = tuple(names)
        self._make = make
        self._found: dict[str, Any] = {}
        self._ours: dict[str, Any] = {}

    def install(self, undo: Undo) -> None:
        """Put ours in their places until ``undo`` is run."""
        namespace, names = self._namespace, self._names
        if not self._are_there(self._found):
            self._found = {name: namespace[name] for name in names}
            self._ours = {name: self._make(name, found) for name, found in self._found.items()}
        undo.add(namespace.update, self._found)
        namespace.update(self._ours)

    def stands(self) -> bool:
        """Whether ours are in their places."""
        return self._are_there(self._ours)

    def _are_there(self, functions: dict[str, Any]) -> bool:
        return bool(functions) and all(map(is_, map(self._namespace.get, self._names), functions.values()))


class Shadowed:
    """A builtin that the code of one module sees another one for while we trace, as a global of that module."""

    def __init__(self, namespace: dict[str, Any], name: str, ours: Callable[..., Any]) -> None:
        self._namespace = namespace
        self._name = name
        self._ours = ours

    def install(self, undo: Undo) -> None:
        """Put ours in its place until ``undo`` is run."""
        if self._name not in self._namespace:
            undo.add(self._namespace.pop, self._name, None)
            self._namespace[self._name] = self._ours


def dispatching(ours: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is ``ours`` in the tracing thread and ``original`` in all others."""
    active, thread = ACTIVE, get_ident

    def dispatch(*args: Any, **kwargs: Any) -> Any:
        if thread() == active.ident and active.tracer is not None:
            return ours(*args, **kwargs)
        return original(*args, **kwargs)

    return dispatch


def _tell_dynamo(code: CodeType) -> None:
    """Code of ours is nothing that another thread's ``torch.compile`` should look into."""
    skip = getattr(torch_private.loaded("_dynamo.eval_frame"), "skip_code", None)
    if skip is not None:
        skip(code)
