"""The modules of a model and what they hold, read in one walk before the model runs, for all who need to know: the inventory
of its parameters, the snapshot from which it is put back as it was, and the fingerprint by which it is known again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any, NamedTuple

import torch
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

__all__ = ["Census", "Fingerprint", "Mark", "each_module", "every_module", "fingerprint", "noted_names"]

_PLAIN = frozenset({bool, int, float, str, type(None), torch.dtype})
_UNINITIALISED = (UninitializedBuffer, UninitializedParameter)


class _End:
    """What comes after all that is noted of one module."""

    __slots__ = ()


_END = _End()
_NOTED = _PLAIN | {_End}
_SHAPELESS = frozenset({type(None), *_UNINITIALISED})
"""What stands for a parameter that is not there, or not yet."""


class Census:
    """``listed``: every path with its module, a shared module under each of its paths; ``modules``: each once.

    ``attributes`` are their ``__dict__``, ``keys`` and ``values`` what is in all of these, one after the other. Of the
    values, ``usual`` are the containers that every module has (hooks, parameters, modules), most of them empty, and ``own``
    all others, of the classes ``kinds``, with an end after each module. ``tensors``: what each has for parameters and buffers,
    with an end after it, and ``slots``: the dicts in which these are.
    """

    def __init__(self, modules: Sequence[torch.nn.Module], listed: Sequence[tuple[str, torch.nn.Module]] = ()) -> None:
        self.listed = tuple(listed)
        self.modules = list(modules)
        self.attributes = [m.__dict__ for m in modules]
        self.keys: list[str] = list(chain.from_iterable(self.attributes))
        self.values: list[Any] = list(chain.from_iterable(map(dict.values, self.attributes)))
        self.usual: list[Any] = []
        self.own: list[Any] = []
        self.tensors: list[Any] = []
        self.slots: list[Any] = []
        self._read()
        self.kinds = list(map(type, self.own))

    @classmethod
    def of(cls, model: torch.nn.Module) -> Census:
        """That of a model with all inside of it."""
        listed = list(every_module(model))
        return cls(list({id(m): m for _, m in listed}.values()), listed)

    def _read(self) -> None:
        keys, values, usual, own, tensors, slots = self.keys, self.values, self.usual, self.own, self.tensors, self.slots
        names, plain, runs = _usual_attributes()
        n, start = len(names), 0
        for a in self.attributes:
            stop = start + len(a)
            if keys[start : start + n] == names:
                for first, last in runs:
                    usual += values[start + first : start + last]
                for i in plain:
                    own.append(values[start + i])
                own += values[start + n : stop]
            else:
                own += values[start:stop]
            own.append(_END)
            for name in ("_parameters", "_buffers"):
                slot = a.get(name)
                if slot:
                    slots.append(slot)
                    tensors += slot.values()
            tensors.append(_END)
            start = stop

    def has_lazy_state(self) -> bool:
        """Whether some parameter or buffer has no shape yet."""
        return any([issubclass(kind, _UNINITIALISED) for kind in set(map(type, self.tensors))])

    def fingerprint(self) -> Fingerprint:
        """What decides the counts of a model and costs next to nothing to read; values of tensors are not looked at."""
        return Fingerprint(
            tuple(map(id, self.modules)),
            tuple([v for v, k in zip(self.own, self.kinds) if k in _NOTED or (k is tuple and v and type(v[0]) is int)]),
            tuple(
                [t if t is _END else (id(t), t.shape, t.dtype, t.requires_grad) for t in self.tensors
                 if type(t) not in _SHAPELESS]
            ),
        )  # fmt: skip


@lru_cache(1)
def _usual_attributes() -> tuple[list[str], list[int], list[tuple[int, int]]]:
    """The attributes that ``nn.Module`` itself sets, in their order; the places of those that are no containers, and where
    runs of containers begin and end."""
    found = vars(torch.nn.Module())
    plain = [i for i, v in enumerate(found.values()) if type(v) in _PLAIN]
    runs = [(a + 1, b) for a, b in pairwise([-1, *plain, len(found)]) if a + 1 < b]
    return list(found), plain, runs


class Mark(NamedTuple):
    """What is noted of one module: plain attributes; which tensors, with their shapes, dtypes and ``requires_grad``."""

    plain: tuple[Any, ...]
    tensors: tuple[Any, ...]


class Fingerprint(NamedTuple):
    """The marks of all modules: which modules, and one after the other what is noted of them, an end after each. Of no
    meaning in another process."""

    modules: tuple[int, ...] = ()
    plain: tuple[Any, ...] = ()
    tensors: tuple[Any, ...] = ()

    def __reduce__(self) -> tuple[type[Fingerprint], tuple[()]]:
        return Fingerprint, ()

    def marks(self) -> dict[int, Mark]:
        """That of each module, by its identity."""
        return {
            key: Mark(plain, tensors)
            for key, plain, tensors in zip(self.modules, _parts(self.plain), _parts(self.tensors), strict=True)
        }


def _parts(noted: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    start = 0
    for i, thing in enumerate(noted):
        if type(thing) is _End:
            yield noted[start:i]
            start = i + 1


def fingerprint(model: torch.nn.Module) -> Fingerprint:
    """A mark of each module: its mode and plain attributes, and of each parameter and buffer which one it is, its shape, dtype
    and whether it asks for a gradient. Values are not looked at.

    >>> net = torch.nn.Linear(3, 5)
    >>> before = fingerprint(net)
    >>> torch.nn.init.zeros_(net.weight).shape == (5, 3), fingerprint(net) == before
    (True, True)
    >>> fingerprint(net.eval()) == before, fingerprint(net.train().half()) == before
    (False, False)
    """
    return Census.of(model).fingerprint()


def noted_names(module: torch.nn.Module) -> tuple[list[str], list[str]]:
    """The names of what the mark of a module notes: of plain attributes, and of parameters and buffers.

    >>> noted_names(torch.nn.ReLU())
    (['training', '_is_full_backward_hook', 'inplace'], [])
    """
    attributes = module.__dict__
    keys, (names, plain, _) = list(attributes), _usual_attributes()
    if keys[: len(names)] == names:
        keys = [*[names[i] for i in plain], *keys[len(names) :]]
    slots = [attributes.get(slot) or {} for slot in ("_parameters", "_buffers")]
    tensors = [name for slot in slots for name, t in slot.items() if type(t) not in _SHAPELESS]
    return [name for name in keys if _is_noted(attributes[name])], tensors


def _is_noted(value: Any) -> bool:
    return type(value) in _PLAIN or (type(value) is tuple and bool(value) and type(value[0]) is int)


def every_module(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    """Every module under each of its paths, as ``named_modules(remove_duplicate=False)`` lists them, but faster; inside
    of itself a module is not listed again.

    >>> net = torch.nn.Sequential(torch.nn.ReLU())
    >>> net.add_module("again", net[0]), net.add_module("me", net)
    (None, None)
    >>> [path for path, _ in every_module(net)]
    ['', '0', 'again']
    """
    around: set[int] = set()  # the modules on the path to the one at hand
    waiting: list[tuple[str, torch.nn.Module | None, int]] = [("", model, 0)]
    while waiting:
        path, module, key = waiting.pop()
        if module is None:  # all that is inside of this one is listed
            around.discard(key)
        elif id(module) not in around:
            yield path, module
            if module._modules:
                around.add(id(module))
                waiting.append(("", None, id(module)))
                prefix = f"{path}." if path else ""
                waiting.extend([(prefix + name, m, 0) for name, m in reversed(module._modules.items()) if m is not None])


def each_module(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Every module once, those nearest to the model first."""
    found = {id(model): model}
    level = [model]
    while level:
        inside = {id(m): m for module in level for m in module._modules.values() if m is not None}
        level = [m for key, m in inside.items() if key not in found]
        found.update(inside)
    return list(found.values())
