"""Inputs inside objects: dataclasses, mappings of a class of their own, and whatever else holds tensors in its attributes.

The model gets a copy of the object with stand-ins in the place of the tensors; the object itself is left alone. To torch's
pytree a :class:`Container` is a node like a tuple, whose structure rebuilds the object.

>>> from types import SimpleNamespace
>>> held = contained(SimpleNamespace(x=torch.zeros(2, 3), name="a"), lambda value: value)
>>> held.names, held.made(("stand-in", "a"))
(('x', 'name'), namespace(x='stand-in', name='a'))
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from types import FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch

from fxcount.dataclass import dataclass
from fxcount.torch_private import pytree

__all__ = ["Container", "contained"]

_DEPTH = 4  # attributes of attributes that are looked into for tensors
_OPAQUE = (type, str, bytes, int, float, complex, torch.nn.Module, ModuleType, FunctionType, MethodType, torch.Generator)


@dataclass(frozen=True, eq=False)
class Container:
    """An object with inputs inside: ``names`` of its keys or attributes, and what was found under them."""

    like: Any
    names: tuple[Any, ...]
    values: tuple[Any, ...]
    keyed: bool

    def made(self, values: Iterable[Any]) -> Any:
        """A copy of the object with these values in their places."""
        if self.keyed and not hasattr(self.like, "__setitem__"):
            return type(self.like)(dict(zip(self.names, values, strict=True)))
        made = copy.copy(self.like)
        for name, value in zip(self.names, values, strict=True):
            if self.keyed:
                made[name] = value
            else:
                object.__setattr__(made, name, value)  # also of a frozen dataclass
        return made


def contained(given: Any, parsed: Callable[[Any], Any]) -> Container | None:
    """The object as a container of parsed inputs, or ``None`` if no input is inside.

    What a mapping, a dataclass or a namespace holds is read as any input is; of other objects only tensors and arrays are.
    """
    if isinstance(given, (*_OPAQUE, torch.Tensor, np.ndarray)):
        return None
    if isinstance(given, Mapping):
        return Container(given, tuple(given), tuple(map(parsed, given.values())), True)
    if is_dataclass(given) or isinstance(given, SimpleNamespace):
        names = [f.name for f in fields(given)] if is_dataclass(given) else list(vars(given))
        return _of_attributes(given, [n for n in names if hasattr(given, n)], parsed)
    if not _holds_tensors(given, _DEPTH, set()):
        return None
    return _of_attributes(given, [n for n, v in vars(given).items() if _holds_tensors(v, _DEPTH, set())], parsed)


def _of_attributes(given: Any, names: list[str], parsed: Callable[[Any], Any]) -> Container | None:
    return Container(given, tuple(names), tuple([parsed(getattr(given, n)) for n in names]), False) if names else None


def _holds_tensors(thing: Any, depth: int, seen: set[int]) -> bool:
    """Whether a tensor or an array is in it, or in what it holds."""
    if isinstance(thing, (torch.Tensor, np.ndarray)):
        return True
    if depth == 0 or isinstance(thing, _OPAQUE) or id(thing) in seen:
        return False
    seen.add(id(thing))
    if isinstance(thing, Mapping):
        inside: list[Any] = list(thing.values())
    elif isinstance(thing, (tuple, list)):
        inside = list(thing)
    else:
        inside = list(getattr(thing, "__dict__", {}).values())
    return any([_holds_tensors(part, depth - 1, seen) for part in inside])


def _flat(held: Container) -> tuple[list[Any], Container]:
    return list(held.values), held


def _with_keys(held: Container) -> tuple[list[tuple[Any, Any]], Container]:
    key = pytree.MappingKey if held.keyed else pytree.GetAttrKey
    return [(key(n), v) for n, v in zip(held.names, held.values, strict=True)], held


pytree.register_pytree_node(
    Container, _flat, lambda values, held: held.made(values), flatten_with_keys_fn=_with_keys
)  # a class of ours: what torch knows of others is as before
