"""The model as it was: everything its modules hold, and what they hold in turn, survives the trace.

Read before and put back after: attributes and classes of modules (a lazy module changes its class), containers however
nested, numpy arrays and byte arrays, attributes of the user's own objects, generators, the flags and gradients of tensors.
Objects count as they are (by identity); only what has changed is written.

There are many of a few kinds (attributes of modules, their dicts of parameters, lists of numbers): what was in all of a kind
is kept in one list, and compared with what is there in one go.
"""

from __future__ import annotations

import random
import sys
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from operator import attrgetter, is_
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from fxcount.trace.inputs.census import Census
from fxcount.trace.torch_patch.active import Undo

__all__ = ["keep", "preserved", "same_items", "shallow", "slotted"]

_MOST = 10_000  # things looked into, those nearest to the modules first
_LONG = 1_000  # entries of a container from which on these are not looked into themselves

_LEAVES = frozenset({
    int, str, bool, float, complex, bytes, type(None), type(Ellipsis), type(NotImplemented), slice, range, type, FunctionType,
    BuiltinFunctionType, MethodType, torch.dtype, torch.device, torch.Size, torch.memory_format, torch.layout,
})  # fmt: skip
_TENSORS = frozenset({torch.Tensor, torch.nn.Parameter})
_HOOKS = frozenset({dict, OrderedDict, set, list})
_NAMES = frozenset({str})
_requires_grad, _gradient = attrgetter("requires_grad"), attrgetter("grad")


def keep(held: Census, undo: Undo, others: Iterable[Any] = ()) -> None:
    """Have everything that the modules of a model, and other things, hold put back when ``undo`` is run."""
    undo.add(_Snapshot(held, others).restore)


def shallow(thing: Any) -> Iterator[tuple[Any, Any]]:
    """A container, or the attributes of an object, with a copy of what is in it; nothing for what holds nothing."""
    kind = type(thing)
    if kind in _LEAVES or kind in _TENSORS:
        return
    reader = _reader(kind)  # type: ignore[arg-type]
    if reader in _SHALLOW:
        before = _Read()
        reader(before, thing)
        for _, found, content in before.kept:
            yield found, content


@contextmanager
def preserved(held: Census) -> Iterator[None]:
    """Everything that the modules of a model hold survives the block."""
    before = _Snapshot(held)
    try:
        yield
    finally:
        before.restore()


class _Read:
    """What was read of things, one by one."""

    def __init__(self) -> None:
        self.kept: list[tuple[Callable[[Any, Any], None], Any, Any]] = []
        self.tensors: list[torch.Tensor] = []  # leaves

    def remember(self, write: Callable[[Any, Any], None], thing: Any, content: Any) -> None:
        """Have ``write(thing, content)`` called at the end."""
        self.kept.append((write, thing, content))

    def note_tensor(self, tensor: torch.Tensor) -> None:
        """Remember a tensor of a class of its own."""
        if tensor.is_leaf and not isinstance(tensor, (UninitializedParameter, UninitializedBuffer)):
            self.tensors.append(tensor)


class _Snapshot(_Read):
    """What was found, in the order it was found in."""

    def __init__(self, held: Census, others: Iterable[Any] = ()) -> None:
        super().__init__()
        self._modules = held.modules
        self._kinds = list(map(type, held.modules))
        self._together: list[_Dicts | _Lists] = [_Dicts(held.attributes, held.keys, held.values)]
        self._seen: set[int] = set(map(id, held.modules))
        self._count = 0  # of containers and objects
        self._usual, odd = held.usual, []  # containers that all modules have, mostly empty
        if not set(map(type, self._usual)) <= _HOOKS:
            odd = [v for v in self._usual if type(v) not in _HOOKS]
            self._usual = [v for v in self._usual if type(v) in _HOOKS]
        filled = list(filter(None, self._usual))
        self._filled = len(filled)
        odd += self._slots(held.slots)
        own = [v for v, k in zip(held.own, held.kinds) if k not in _LEAVES and not (k is tuple and _is_leaves(v))]
        self._look_into([*filled, *odd, *own, *others])
        self._flags = list(map(_requires_grad, self.tensors))
        self._gradients = list(map(_gradient, self.tensors))

    def _slots(self, slots: list[Any]) -> list[Any]:
        """Take in the dicts of parameters and buffers, most of what there is; what in them is neither is to be looked into."""
        plain = [slot for slot in slots if type(slot) is dict and len(slot) <= _LONG]
        values = list(chain.from_iterable(map(dict.values, plain)))
        unique = {id(v): v for v in values if v is not None}
        self._seen.update(map(id, plain))
        self._seen.update([key for key, v in unique.items() if type(v) in _TENSORS])
        self._count += len(plain)
        self.tensors += [v for v in unique.values() if type(v) in _TENSORS and v.is_leaf]
        self._together.append(_Dicts(plain, list(chain.from_iterable(plain)), values))
        return [v for v in unique.values() if type(v) not in _TENSORS]

    def _look_into(self, waiting: list[Any]) -> None:
        """Nearest first, each once."""
        while waiting and self._count + len(self.kept) < _MOST:
            waiting = self._inside(waiting)

    def _inside(self, found: list[Any]) -> list[Any]:
        """What these hold, which are remembered."""
        seen, tensors = self._seen, self.tensors
        inside: list[Any] = []
        dicts: list[dict[Any, Any]] = []
        lists: list[list[Any]] = []
        for thing in found:
            kind = type(thing)
            if kind in _LEAVES or id(thing) in seen:
                continue
            seen.add(id(thing))
            if kind in _TENSORS:
                if thing.is_leaf:
                    tensors.append(thing)
                continue
            if kind is dict:
                dicts.append(thing)
                children = thing.values()
            elif kind is list:
                lists.append(thing)
                children = thing
            elif kind is tuple:
                children = thing
            else:
                reader = _reader(kind)  # type: ignore[arg-type]
                children = () if reader is None else reader(self, thing)
            if len(children) <= _LONG:
                inside.extend(children)
        self._count += len(dicts) + len(lists)
        if not _named(chain.from_iterable(dicts)):  # a copy of a dict copies its keys' hashes: they are not asked again
            self.kept += [(_write_dict, d, d.copy()) for d in dicts if not _named(d)]
            dicts = [d for d in dicts if _named(d)]
        values = list(chain.from_iterable(map(dict.values, dicts)))
        self._together += [_Dicts(dicts, list(chain.from_iterable(dicts)), values), _Lists(lists)]
        return inside

    def restore(self) -> None:
        """Put back what has changed."""
        if not all(map(is_, map(type, self._modules), self._kinds)):
            for module, kind in zip(self._modules, self._kinds, strict=True):
                if type(module) is not kind:
                    module.__class__ = kind
        for group in self._together:
            group.restore()
        for write, thing, content in self.kept:
            write(thing, content)
        now = list(filter(None, self._usual))
        if len(now) > self._filled:
            self._empty(now)
        if list(map(_requires_grad, self.tensors)) != self._flags:
            for tensor, flag in zip(self.tensors, self._flags, strict=True):
                if tensor.requires_grad is not flag:
                    tensor.requires_grad_(flag)
        if not all(map(is_, map(_gradient, self.tensors), self._gradients)):
            for tensor, gradient in zip(self.tensors, self._gradients, strict=True):
                if tensor.grad is not gradient:
                    tensor.grad = gradient

    def _empty(self, containers: list[Any]) -> None:
        """Those that were empty; the others are put back one by one."""
        for container in containers:
            if id(container) not in self._seen:
                container.clear()


class _Dicts:
    """Dicts whose keys are strings, and what was in them."""

    def __init__(self, things: list[dict[str, Any]], keys: list[str], values: list[Any]) -> None:
        self._things = things
        self._sizes = list(map(len, things))
        self._keys = keys
        self._values = values

    def restore(self) -> None:
        """Those that have changed get the same keys in the same order with the very same values."""
        things = self._things
        if (
            list(map(len, things)) == self._sizes
            and all(map(is_, chain.from_iterable(map(dict.values, things)), self._values))
            and list(chain.from_iterable(things)) == self._keys
        ):
            return
        start = 0
        for thing, size in zip(things, self._sizes, strict=True):
            part = slice(start, start + size)
            start += size
            if not (_same(thing.values(), self._values[part]) and _same(thing, self._keys[part])):
                thing.clear()
                thing.update(zip(self._keys[part], self._values[part], strict=True))


class _Lists:
    """Lists, and what was in them."""

    def __init__(self, things: list[list[Any]]) -> None:
        self._things = things
        self._sizes = list(map(len, things))
        self._values = list(chain.from_iterable(things))

    def restore(self) -> None:
        """Those that have changed get the very same values in the same order."""
        things = self._things
        if list(map(len, things)) == self._sizes and all(map(is_, chain.from_iterable(things), self._values)):
            return
        start = 0
        for thing, size in zip(things, self._sizes, strict=True):
            _write_list(thing, self._values[start : start + size])
            start += size


# -- kinds of things: how each is read, what it holds, how it is written back -----------------------------------------
def _is_leaves(thing: Any) -> bool:
    """Whether it is a tuple of what cannot change, such as a kernel size."""
    return type(thing) is tuple and _LEAVES.issuperset(map(type, thing))


def _named(keys: Iterable[Any]) -> bool:
    return set(map(type, keys)) <= _NAMES


def _same(a: Any, b: Any) -> bool:
    return len(a) == len(b) and all(map(is_, a, b))


def same_items(thing: Mapping[Any, Any], before: Mapping[Any, Any]) -> bool:
    """Whether both have the same keys in the same order with the very same values."""
    return len(thing) == len(before) and all(map(is_, thing.values(), before.values())) and all(map(is_, thing, before))


def _write_dict(thing: dict[Any, Any], before: dict[Any, Any]) -> None:
    """The same keys in the same order with the very same values; also for subclasses with ways of their own."""
    if _same(dict.values(thing), before.values()) and _same(thing, before):
        return
    if isinstance(thing, OrderedDict):
        OrderedDict.clear(thing)
        for key, value in before.items():
            OrderedDict.__setitem__(thing, key, value)
    else:
        dict.clear(thing)
        dict.update(thing, before)


def _read_dict(snapshot: _Read, thing: dict[Any, Any]) -> list[Any]:
    before = dict(dict.items(thing))
    snapshot.remember(_write_dict, thing, before)
    return [*before.values(), *_attributes(snapshot, thing)]


def _write_list(thing: list[Any], before: list[Any]) -> None:
    if not _same(thing, before):
        list.__setitem__(thing, slice(None), before)


def _read_list(snapshot: _Read, thing: list[Any]) -> list[Any]:
    before = list.copy(thing)
    snapshot.remember(_write_list, thing, before)
    return [*before, *_attributes(snapshot, thing)]


def _write_set(thing: set[Any], before: set[Any]) -> None:
    if set.symmetric_difference(thing, before):
        set.clear(thing)
        set.update(thing, before)


def _read_set(snapshot: _Read, thing: set[Any]) -> list[Any]:
    before = set(thing)
    snapshot.remember(_write_set, thing, before)
    return [*before, *_attributes(snapshot, thing)]


def _write_deque(thing: deque[Any], before: list[Any]) -> None:
    if not _same(thing, before):
        deque.clear(thing)
        deque.extend(thing, before)


def _read_deque(snapshot: _Read, thing: deque[Any]) -> list[Any]:
    before = list(thing)
    snapshot.remember(_write_deque, thing, before)
    return [*before, *_attributes(snapshot, thing)]


def _read_tuple(snapshot: _Read, thing: Any) -> list[Any]:
    return [part for part in thing if type(part) not in _LEAVES]


def _write_buffer(thing: Any, before: Any) -> None:
    if thing != before:
        thing[:] = before


def _read_buffer(snapshot: _Read, thing: Any) -> list[Any]:
    snapshot.remember(_write_buffer, thing, thing[:])
    return []


def _write_array(thing: Any, before: Any) -> None:
    if thing.shape != before.shape:
        thing.resize(before.shape, refcheck=False)
    np.copyto(thing, before)


def _read_array(snapshot: _Read, thing: Any) -> list[Any]:
    if thing.flags.writeable and not isinstance(thing, np.memmap):  # a file, however large
        snapshot.remember(_write_array, thing, thing.copy())
    return list(thing.flat) if thing.dtype.hasobject else []


def _read_random(snapshot: _Read, thing: random.Random) -> list[Any]:
    snapshot.remember(random.Random.setstate, thing, thing.getstate())
    return []


def _write_numpy_random(thing: Any, before: Any) -> None:
    thing.state = before


def _read_numpy_random(snapshot: _Read, thing: Any) -> list[Any]:
    bits = getattr(thing, "bit_generator", None) or thing._bit_generator
    snapshot.remember(_write_numpy_random, bits, bits.state)
    return []


def _write_generator(thing: torch.Generator, before: torch.Tensor) -> None:
    thing.set_state(before)


def _read_generator(snapshot: _Read, thing: torch.Generator) -> list[Any]:
    snapshot.remember(_write_generator, thing, thing.get_state())
    return []


def _read_tensor(snapshot: _Read, thing: torch.Tensor) -> list[Any]:
    snapshot.note_tensor(thing)
    return []


def _attributes(snapshot: _Read, thing: Any) -> list[Any]:
    """Read the attributes of an object of a class of its own."""
    kind = type(thing)
    held: list[Any] = []
    if kind.__dictoffset__ and kind not in _HOOKS:
        attributes = thing.__dict__
        before = attributes.copy()
        snapshot.remember(_write_dict, attributes, before)
        held += before.values()
    if _slots(kind):  # type: ignore[arg-type]
        content = slotted(thing)
        snapshot.remember(_write_slots, thing, content)
        held += content.values()
    return held


def slotted(thing: Any) -> dict[str, Any]:
    """The attributes that an object keeps outside of a ``__dict__``, by name."""
    return {name: getattr(thing, name) for name in _slots(type(thing)) if hasattr(thing, name)}  # type: ignore[arg-type]


def _write_slots(thing: Any, before: dict[str, Any]) -> None:
    for name in _slots(type(thing)):  # type: ignore[arg-type]
        if name in before:
            if getattr(thing, name, None) is not before[name]:
                object.__setattr__(thing, name, before[name])
        elif hasattr(thing, name):
            object.__delattr__(thing, name)


@lru_cache(1024)
def _slots(kind: type) -> tuple[str, ...]:
    """Names of the attributes that instances keep outside of a ``__dict__``."""
    member = type(vars(_Slotted)["one"])
    return tuple([n for c in kind.__mro__ if c.__module__ not in _NOT_THEIRS for n, v in vars(c).items() if type(v) is member])


class _Slotted:
    __slots__ = ("one",)


_NOT_THEIRS = frozenset({"builtins", "collections"})
_KINDS: tuple[tuple[Any, Callable[[_Read, Any], list[Any]]], ...] = (
    (torch.Tensor, _read_tensor),
    (dict, _read_dict),
    (list, _read_list),
    (set, _read_set),
    (deque, _read_deque),
    (tuple, _read_tuple),
    ((bytearray, array), _read_buffer),
    (np.ndarray, _read_array),
    (random.Random, _read_random),
    (torch.Generator, _read_generator),
    ((torch.nn.Module, SimpleNamespace), _attributes),
)


_SHALLOW = frozenset({_read_dict, _read_list, _read_set, _read_deque, _attributes})


def _numpys_generators() -> tuple[type, ...]:
    """Of a part of numpy that is loaded on use: there are no objects of its classes before."""
    module: Any = sys.modules.get("numpy.random")
    return (module.Generator, module.RandomState) if module is not None else ()


@lru_cache(1024)
def _reader(kind: type) -> Callable[[_Read, Any], list[Any]] | None:
    """How to read things of this class, or ``None`` if nothing in them can change, or is the model's."""
    for base, reader in _KINDS:
        if issubclass(kind, base):
            return reader
    if issubclass(kind, _numpys_generators()):
        return _read_numpy_random
    if issubclass(kind, (type, ModuleType, FunctionType, BaseException)):
        return None
    home = (kind.__module__ or "").partition(".")[0]
    if home in ("torch", "numpy") or (home in sys.stdlib_module_names and home not in ("__main__", "collections")):
        return None
    return _attributes if kind.__dictoffset__ or _slots(kind) else None  # type: ignore[arg-type]
