"""Nothing of a trace stays behind in the user's caches: module globals, class attributes, ``lru_cache``, closures.

Stand-ins die with the last reference to them, so those that are alive when all is over are held by somebody, and so are
symbolic sizes. First, and always, the places where caches are kept are compared with what was in them: what is new there and
leads to something of the trace is taken out, what it replaced is put back. How many sizes are left is only estimated, from
the references to the scope; if that was not all by this estimate, the holders are searched for from the stand-ins outward:
what was made during the trace is left to go with them, and what was there before has the reference taken out of it. An
entry that is gone is computed again when it is needed, with real numbers.
"""

from __future__ import annotations

import functools
import gc
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from operator import is_
from types import CellType, FrameType, FunctionType, ModuleType, TracebackType
from typing import Any

import torch

from fxcount.symbolic import Scope, SymRatio, SymSize
from fxcount.trace.torch_patch.preserve import same_items, shallow, slotted
from fxcount.trace.tracer.ledger import Ledger
from fxcount.trace.tracer.standin import StandIn

__all__ = ["Leftovers"]

_DEEP = 3  # containers inside of each other that are looked into
_LONG = 100  # entries of a container that is looked into
_FAR = 16  # references between a stand-in and what holds it
_MANY = 5_000  # things on the way
_CONTAINERS = (dict, list, set, deque)
_ELSEWHERE = (FrameType, TracebackType, BaseException)  # an error on its way holds the frames it came from
_COPIES: dict[type, Callable[[Any], Any]] = {
    dict: dict.copy, OrderedDict: lambda found: dict(dict.items(found)), list: list.copy, set: set.copy,
}  # fmt: skip
"""What :func:`shallow` reads of these, of which every module has a dozen, most of them empty."""
_CACHE: Any = functools._lru_cache_wrapper


class Leftovers:
    """What one trace may leave behind; made before it."""

    def __init__(self, namespaces: Iterable[dict[str, Any]], modules: Sequence[torch.nn.Module]) -> None:
        self._before: dict[int, tuple[Any, Any]] = {}  # places where caches are kept, each with what was in it
        self._ledger: Ledger | None = None
        self._scope: Scope | None = None
        self._references = 0
        self.finished = False  # whether the model has run to its end
        for namespace in namespaces:
            self._remember_all(namespace, namespace.copy())
        for kind in {c for k in {type(m) for m in modules} for c in k.__mro__}:
            if not kind.__module__.startswith(("torch.", "builtins")):
                self._remember_all(kind, dict(vars(kind)))

    def _remember_all(self, place: Any, content: dict[str, Any]) -> None:
        self._before[id(place)] = (place, content)
        for value in content.values():
            kind = type(value)
            if kind is FunctionType:
                self._remember_function(value)
            elif kind is _CACHE:
                self._before[id(value)] = (value, value.cache_info().misses)
            elif kind not in _PLAIN:
                self._remember(value, _DEEP)

    def _remember_function(self, function: Any) -> None:
        for cell in function.__closure__ or ():
            try:
                self._before[id(cell)] = (cell, cell.cell_contents)
            except ValueError:  # empty
                continue
            self._remember(cell.cell_contents, 1)
        for value in function.__defaults__ or ():
            if type(value) not in _PLAIN:
                self._remember(value, 1)
        if function.__dict__:
            self._before[id(function.__dict__)] = (function.__dict__, function.__dict__.copy())

    def _remember(self, thing: Any, depth: int) -> None:
        if type(thing) in _PLAIN or id(thing) in self._before or not (depth == _DEEP or isinstance(thing, _CONTAINERS)):
            return
        copied = _COPIES.get(type(thing))
        for found, content in shallow(thing) if copied is None else ((thing, copied(thing)),):
            self._before.setdefault(id(found), (found, content))  # of a container with slots as well, what it contains
            if depth > 1 and len(content) <= _LONG:
                for value in content.values() if isinstance(content, dict) else content:
                    if isinstance(value, _CONTAINERS):
                        self._remember(value, depth - 1)

    def watch(self, ledger: Ledger, scope: Scope) -> None:
        """Say which trace this is about, before its first stand-in is made."""
        self._ledger, self._scope = ledger, scope

    def count(self) -> None:
        """Note how often the trace's scope is referred to before the model runs. The scope is not passed on in this call: of an
        argument the interpreter keeps a copy or not, as it likes (it does while ``torch.compile`` evaluates frames)."""
        self._references = sys.getrefcount(self._scope)

    # -- afterwards -----------------------------------------------------------------------------------------------------
    def sweep(self) -> None:
        """Take what is left of the trace out of all that was there before it."""
        if self._scope is None:
            return
        self._clean_places()
        if self.finished and self._is_left():  # after an error the frames it came from hold the rest
            self._clean_holders()

    def _is_left(self) -> bool:
        ledger = self._ledger
        if ledger is None or self._scope is None:
            return False
        alive = 2 * len(ledger.storages) - len(ledger.log)  # every birth and every death is in the log
        # the finished trace refers to the scope in the place of the frame that made it
        return alive > 0 or sys.getrefcount(self._scope) > self._references

    def _is_ours(self, thing: Any) -> bool:
        if type(thing) is StandIn:
            return self._ledger is not None and thing._owner is self._ledger.owner
        return (type(thing) is SymSize or type(thing) is SymRatio) and thing.scope is self._scope

    # -- inward: places that are known --------------------------------------------------------------------------------
    def _clean_places(self) -> None:
        for place, content in list(self._before.values()):
            if type(place) is _CACHE:
                if place.cache_info().misses != content:
                    place.cache_clear()
            elif not _is_as_before(place, content) and _content(place) is not None:
                self._clean_place(place, content)

    def _clean_place(self, place: Any, before: Any) -> None:
        now = _content(place)
        if isinstance(before, dict) and isinstance(now, dict):
            known = {id(key): value for key, value in before.items()}  # asking for a size by its hash would pin it
            for key, value in now.items():
                if value is not known.get(id(key), known) and self._leads_here((key, value)):
                    _put(place, key, known)
        elif isinstance(place, CellType):
            if now[0] is not before and self._leads_here(now[0]):
                place.cell_contents = before
        else:
            listed = {id(thing) for thing in before}
            if any([id(thing) not in listed and self._leads_here(thing) for thing in now]):
                place.clear()
                place.update(before) if isinstance(place, set) else place.extend(before)

    def _leads_here(self, thing: Any) -> bool:
        """Whether something of this trace is reached from a thing."""
        seen, waiting = {id(thing)}, [thing]
        while waiting and len(seen) < _MANY:
            found = waiting.pop()
            if self._is_ours(found):
                return True
            for part in _referents(found):
                if id(part) not in seen and type(part) not in _PLAIN:
                    seen.add(id(part))
                    waiting.append(part)
        return False

    # -- outward: whoever holds something ------------------------------------------------------------------------------
    def _clean_holders(self) -> None:
        found = [thing for thing in gc.get_objects() if self._is_ours(thing)]
        young = {id(thing) for thing in gc.get_objects(generation=0)}
        tainted = {id(thing): thing for thing in found}
        own = {id(young), id(tainted), id(self.__dict__), id(self._before)}
        for _ in range(_FAR):
            own.add(id(found))
            holders = gc.get_referrers(*found) if found else []
            own.add(id(holders))
            found = []
            for holder in holders:
                if id(holder) in own or id(holder) in tainted or isinstance(holder, _ELSEWHERE):
                    continue
                if id(holder) in young or isinstance(holder, tuple):
                    tainted[id(holder)] = holder
                    found.append(holder)
                else:
                    self._clean_holder(holder, tainted)
            if not found or len(tainted) > _MANY:
                return

    def _clean_holder(self, holder: Any, tainted: dict[int, Any]) -> None:
        if isinstance(holder, dict):
            for key, value in list(dict.items(holder)):
                if id(value) in tainted and isinstance(value, _CONTAINERS) and "__builtins__" in holder:
                    self._clean_holder(value, tainted)  # a global: it was there before, though the collector says it is young
                elif id(key) in tainted or id(value) in tainted:
                    _put(holder, key, {})
        elif isinstance(holder, list):
            list.__setitem__(holder, slice(None), [t for t in holder if id(t) not in tainted])
        elif isinstance(holder, deque):
            kept = [t for t in holder if id(t) not in tainted]
            deque.clear(holder)
            deque.extend(holder, kept)
        elif isinstance(holder, set):
            set.difference_update(holder, {t for t in holder if id(t) in tainted})
        elif isinstance(holder, _CACHE):
            holder.cache_clear()
        elif isinstance(holder, CellType):
            holder.cell_contents = None
        elif not isinstance(holder, (ModuleType, type)):
            _clean_attributes(holder, tainted)


_PLAIN = frozenset({int, str, bool, float, bytes, complex, type(None), type, torch.dtype, torch.device, ModuleType})


def _is_as_before(place: Any, before: Any) -> bool:
    """Whether the very same things are in a place, as far as that is seen at a glance: nearly always."""
    kind = type(place)
    if kind is CellType:
        try:
            return place.cell_contents is before
        except ValueError:
            return False
    if isinstance(place, dict):
        return dict.__len__(place) == len(before) and (not before or _are_same(place, before))
    if kind is list:
        return len(place) == len(before) and all(map(is_, place, before))
    if kind is set:
        return len(place) == len(before) and set(map(id, place)) == set(map(id, before))
    return isinstance(place, type) and same_items(vars(place), before)


def _are_same(place: dict[Any, Any], before: dict[Any, Any]) -> bool:
    """Whether both have the very same things in the same order; a subclass may have ways of its own to list them."""
    return all(map(is_, dict.values(place), before.values())) and all(map(is_, dict.__iter__(place), before))


def _content(place: Any) -> Any:
    """What is in a place now, in the form it was remembered in; ``None`` for an empty cell."""
    if isinstance(place, type):
        return dict(vars(place))
    if isinstance(place, CellType):
        try:
            return (place.cell_contents,)
        except ValueError:
            return None
    if isinstance(place, dict):
        return dict(dict.items(place))
    return list(place) if isinstance(place, _CONTAINERS) else slotted(place)


def _put(place: Any, key: Any, known: dict[int, Any]) -> None:
    """Put back what was there under a key, or nothing."""
    kind: Any = OrderedDict if isinstance(place, OrderedDict) else dict
    write, remove = kind.__setitem__, kind.__delitem__
    if not isinstance(place, dict):
        kind = type if isinstance(place, type) else object
        write, remove = kind.__setattr__, kind.__delattr__
    if id(key) in known:
        write(place, key, known[id(key)])
    else:
        remove(place, key)


def _referents(thing: Any) -> Iterable[Any]:
    """What a thing holds; of a function what it has closed over, for its globals hold everything."""
    if isinstance(thing, (*_ELSEWHERE, type)):
        return ()
    if isinstance(thing, FunctionType):
        return (*(thing.__closure__ or ()), *(thing.__defaults__ or ()), thing.__dict__)
    return gc.get_referents(thing)


def _clean_attributes(holder: Any, tainted: dict[int, Any]) -> None:
    attributes = getattr(holder, "__dict__", None)
    if isinstance(attributes, dict):
        for name, value in list(attributes.items()):
            if id(value) in tainted:
                del attributes[name]
    for name, value in slotted(holder).items():
        if id(value) in tainted:
            object.__setattr__(holder, name, None)
