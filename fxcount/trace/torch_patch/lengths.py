"""What the user's Python modules see while a model is traced: a ``len`` that keeps a symbol.

Python's ``len`` insists on a plain int, which would pin a symbolic size. The modules that define the model's classes see
another one instead, as a global of their own; the builtin itself is never touched, as every thread looks at it. Any other
code that asks for the ``len`` of a stand-in is found as it asks, and sees ours when the model runs again.

The functions of random numbers that such a module has imported by name are replaced in the same way.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import torch

from fxcount.symbolic import SymSize
from fxcount.trace.torch_patch.active import Undo
from fxcount.trace.tracer.standin import StandIn

__all__ = ["Missed", "Shapes", "namespaces_of", "overlay", "shadow", "shown", "whole"]


def _length(x: Any, /) -> Any:
    return x.shape[0] if type(x) is StandIn and x.ndim else builtins.len(x)


def whole(*given: Any) -> Any:
    """``int``, which keeps a size as it is: in opt_einsum, so that orders of contractions are compared in formulas."""
    return given[0] if len(given) == 1 and type(given[0]) is SymSize else int(*given)


def shown(number: Any = "0") -> Decimal:
    """``Decimal`` of what a table of costs says, sizes at their sample values: opt_einsum decides nothing by it."""
    return Decimal(number.hint if type(number) is SymSize else number)


class _Spelled(tuple[Any, ...]):
    """A shape whose text spells sizes out as formulas: a key by which no two shapes are confused."""

    def __format__(self, spec: str) -> str:
        return f"({', '.join(str(s.expr) if type(s) is SymSize else str(s) for s in self)})"


class Shapes:
    """A library whose ``shape`` of a stand-in can be made a text without giving up its symbols; all else is as it was."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    def shape(self, x: Any) -> Any:
        """The shape as the library gives it."""
        found = self._library.shape(x)
        return _Spelled(found) if type(x) is StandIn else found


def namespaces_of(modules: Sequence[torch.nn.Module]) -> list[dict[str, Any]]:
    """The globals of the Python modules that define these modules' classes, torch's own left out."""
    names = {type(m).__module__ for m in modules}
    found = [sys.modules.get(n) for n in names if not n.startswith("torch.")]
    return [vars(m) for m in found if m is not None]


def shadow(
    namespaces: Iterable[dict[str, Any]], others: Callable[[dict[str, Any]], dict[str, Any]], undo: Undo
) -> None:
    """Have code with these globals see our ``len``, unless it has one of its own, and what ``others`` gives for them."""
    for namespace in namespaces:
        overlay(namespace, others(namespace), undo)
        if "len" not in namespace:
            overlay(namespace, {"len": _length}, undo)


def overlay(namespace: dict[str, Any], ours: dict[str, Any], undo: Undo) -> None:
    """Have the namespace hold these until ``undo`` is run."""
    had = {name: namespace[name] for name in ours if name in namespace}
    for name in ours.keys() - had.keys():
        undo.add(namespace.pop, name, None)
    if had:
        undo.add(namespace.update, had)
    namespace.update(ours)


class Missed(NamedTuple):
    """The globals of code that must see another ``len``, and of code that must see other functions of numbers."""

    lengths: tuple[dict[str, Any], ...] = ()
    numbers: tuple[dict[str, Any], ...] = ()

    def __len__(self) -> int:
        return len(self.lengths) + len(self.numbers)

    def and_also(self, found: Missed) -> Missed:
        """With those that are not among them."""
        return Missed(_united(self.lengths, found.lengths), _united(self.numbers, found.numbers))


def _united(known: tuple[dict[str, Any], ...], found: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    return (*known, *[new for new in found if not any([new is old for old in known])])

