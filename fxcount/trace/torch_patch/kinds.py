"""What the user's Python code learns of the type of a size while a model is traced: that it is an ``int``.

``type(n) is int``, ``isinstance(n, torch.SymInt)`` and ``id(n)`` ask the object itself, which cannot answer for a number. The
user's code sees other builtins of these names instead, as globals of its own modules; the builtins themselves are never
touched, as every thread looks at them. The modules are those of functions that read the shape of a stand-in, of the
``forward`` of the model's classes, of functions among the model's attributes, and of all that these can call by a name:
functions, classes and modules among their globals, a few calls deep. Quotients are a ``float``, stand-ins a
``torch.Tensor``. ``isinstance`` is another one only where code names ``torch.SymInt``. ``hasattr``, ``getattr`` and ``dir``
know the attributes of numbers and tensors alone, and none of those that carry formulas.

>>> kind, (size, quotient) = _Type, sizes_for_tests()
>>> kind(size) is int, kind(quotient) is float, kind("a") is str, kind(size) in (int, float), isinstance(int, kind)
(True, True, True, True, True)
>>> kind("Made", (), {}).__name__, kind == type, {type: 1}[kind]
('Made', True, 1)
>>> _isinstance(size, torch.SymInt), _isinstance(size, (str, torch.SymInt, int)), _isinstance(3, torch.SymInt | int)
(False, True, True)
>>> _hasattr(size, "expr"), _getattr(quotient, "value", None), _hasattr(size, "real"), "scope" in _dir(size)
(False, None, True, False)
"""

from __future__ import annotations

import builtins
import functools
import sys
import weakref
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, TypeAlias

import torch

from fxcount.symbolic import Scope, SymRatio, SymSize, symbol
from fxcount.trace.torch_patch.active import Undo
from fxcount.trace.torch_patch.lengths import overlay
from fxcount.trace.tracer.standin import StandIn

__all__ = ["Kinds"]

_DEEP = 3
"""How many calls deep functions are followed."""
_MANY = 500
"""How many functions are looked at for one."""
_NUMBERS: dict[type, type] = {SymSize: int, SymRatio: float, StandIn: torch.Tensor}
_SYMBOLIC = frozenset({"SymInt", "SymFloat"})
_KNOWN = frozenset({"torch", "numpy", "fxcount", "builtins", *sys.stdlib_module_names}) - {"__main__"}
"""Packages that never see a symbolic size as the user's code does, or know what it is."""


class _Kind(type):
    """The class of what stands for ``type``: it answers for a size, makes classes, and is taken for the builtin."""

    def __call__(cls, *given: Any, **named: Any) -> Any:
        if cls is not _Type:  # a metaclass that the model derives from it
            return super().__call__(*given, **named)
        if len(given) != 1 or named:
            return builtins.type(*given, **named)
        found = builtins.type(given[0])
        return _NUMBERS.get(found, found)

    def __instancecheck__(cls, thing: Any) -> bool:
        return builtins.isinstance(thing, type) if cls is _Type else super().__instancecheck__(thing)

    def __subclasscheck__(cls, kind: Any) -> bool:
        return issubclass(kind, type) if cls is _Type else super().__subclasscheck__(kind)

    def __eq__(cls, other: object) -> bool:
        return other is cls or (cls is _Type and other is type)

    def __hash__(cls) -> int:
        return hash(type) if cls is _Type else super().__hash__()

    def __getitem__(cls, parameters: Any) -> Any:
        return type[parameters]  # an annotation


class _Type(type, metaclass=_Kind):
    """``type``."""


def _isinstance(thing: Any, kinds: Any, /) -> bool:
    """``isinstance``, to which a size is a number and no ``torch.SymInt``."""
    found = builtins.type(thing)
    if found is SymSize or found is SymRatio:
        return builtins.isinstance(0 if found is SymSize else 0.0, kinds)
    return builtins.isinstance(thing, kinds)


def _id(thing: Any, /) -> int:
    """``id``, of the number a size stands for: equal small numbers are one object."""
    found = builtins.type(thing)
    if found is SymSize or found is SymRatio:
        thing = int(thing) if found is SymSize else float(thing)
    return builtins.id(thing)


_OWN = frozenset({*dir(StandIn), *StandIn.__annotations__}) - frozenset(dir(torch.Tensor))
"""Attributes of a stand-in that no tensor has."""
_EXAMPLES: dict[type, int | float] = {SymSize: 0, SymRatio: 0.0}


def _hasattr(thing: Any, name: str, /) -> bool:
    """``hasattr``, of the number a size stands for."""
    found = builtins.type(thing)
    if found in _EXAMPLES:
        return builtins.hasattr(_EXAMPLES[found], name)
    return builtins.hasattr(thing, name) and not (found is StandIn and name in _OWN)


def _getattr(thing: Any, name: str, /, *default: Any) -> Any:
    """``getattr``: a size has what a number has, and a stand-in what a tensor has."""
    found = builtins.type(thing)
    if found in _EXAMPLES and not builtins.hasattr(_EXAMPLES[found], name):
        return builtins.getattr(_EXAMPLES[found], name, *default)
    if found is StandIn and name in _OWN:
        return builtins.getattr(torch.Tensor, name, *default)
    return builtins.getattr(thing, name, *default)


def _dir(*things: Any) -> list[str]:
    """``dir``."""
    if not things:
        return sorted(sys._getframe(1).f_locals)
    found = builtins.type(things[0])
    if found is StandIn:
        return [name for name in builtins.dir(*things) if name not in _OWN]
    return builtins.dir(_EXAMPLES.get(found, things[0]), *things[1:])


_OURS: dict[str, Any] = {"type": _Type, "id": _id, "hasattr": _hasattr, "getattr": _getattr, "dir": _dir}
_OF_SYMBOLIC: dict[str, Any] = {"isinstance": _isinstance}


class Kinds:
    """Gives code on its way the builtins it should see, until ``undo`` is run."""

    def __init__(self, undo: Undo) -> None:
        self._undo = undo
        self._seen: set[int] = set()
        self._modules: set[int] = set()

    def of_values(self, values: Iterable[Any]) -> None:
        """What functions among these values can call, and what those are that they hold."""
        for found in values:
            if type(found) in _HOLDS_CODE:
                function = _function_in(found)
                if function is not None:
                    self.of_code(function.__code__, function.__globals__, None)
                    cells = [c.cell_contents for c in function.__closure__ or () if c != _EMPTY]
                    self.of_values([v for v in cells if type(v) is not FunctionType or id(v.__code__) not in self._seen])

    def of_classes(self, classes: Iterable[type]) -> None:
        """What the ``forward`` of these classes can call."""
        for kind in classes:
            forward = getattr(kind, "forward", None)
            if type(forward) is FunctionType:
                self.of_code(forward.__code__, forward.__globals__, kind)

    def of_code(self, code: CodeType, names: dict[str, Any], kind: type | None) -> None:
        """What a function with these globals can call, which may be a method of a class."""
        if id(code) in self._seen:
            return
        self._seen.add(id(code))
        if _is_known(names.get("__name__")):
            return
        module = _module_of(names)
        owner = None if kind is None else weakref.ref(kind)
        for place, symbolic in _places(code, names, kind) if module is None else _remembered(code, module, owner):
            self._shadow(sys.modules[place].__dict__ if isinstance(place, str) else place, symbolic)

    def _shadow(self, names: dict[str, Any], symbolic: bool) -> None:
        if id(names) not in self._modules:
            self._modules.add(id(names))
            self._give(names, _OURS)
        if symbolic:
            self._give(names, _OF_SYMBOLIC)

    def _give(self, names: dict[str, Any], ours: dict[str, Any]) -> None:
        overlay(names, {name: builtin for name, builtin in ours.items() if name not in names}, self._undo)


Place: TypeAlias = tuple[dict[str, Any] | str, bool]
"""The globals of code, or the name of the module whose they are, and whether code there names ``torch.SymInt``."""


@lru_cache(1 << 12)
def _remembered(code: CodeType, module: str, kind: weakref.ref[type] | None) -> tuple[Place, ...]:
    """What :func:`_places` finds for a function of a module."""
    return tuple(_places(code, sys.modules[module].__dict__, None if kind is None else kind()))


def _places(code: CodeType, names: dict[str, Any], kind: type | None) -> list[Place]:
    """Where code is that a function can call, its own place included."""
    found: dict[int, tuple[dict[str, Any], bool]] = {}
    seen: set[int] = set()
    stack = [(code, names, kind, _DEEP)]
    while stack and len(seen) < _MANY:
        code, names, kind, deep = stack.pop()
        if id(code) in seen or _is_known(names.get("__name__")):
            continue
        seen.add(id(code))
        symbolic, named = _read(code)
        found[id(names)] = names, symbolic or (id(names) in found and found[id(names)][1])
        if deep:
            stack += [(f.__code__, f.__globals__, owner, deep - 1) for f, owner in _called(named, names, kind)]
    return [(_module_of(names) or names, symbolic) for names, symbolic in found.values()]


def _module_of(names: dict[str, Any]) -> str | None:
    """The name of the loaded module whose globals these are."""
    name = names.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    return name if getattr(module, "__dict__", None) is names else None


def _is_known(module: Any) -> bool:
    return type(module) is str and module.partition(".")[0] in _KNOWN


@lru_cache(1 << 13)
def _read(code: CodeType) -> tuple[bool, tuple[str, ...]]:
    """Whether code asks if something is a ``torch.SymInt``, and all names it uses; functions inside of it counted."""
    named = set(code.co_names)
    for inner in code.co_consts:
        if type(inner) is CodeType:
            named.update(_read(inner)[1])
    return "isinstance" in named and not _SYMBOLIC.isdisjoint(named), tuple(sorted(named))


def _called(named: Iterable[str], names: dict[str, Any], kind: type | None) -> Iterator[tuple[FunctionType, type | None]]:
    """Functions of Python behind names, each with the class it is of: globals, functions of modules and of classes among
    them, methods of the class."""
    for name in named:
        found = names.get(name)
        if found is None:
            method = _function_in(getattr(kind, name, None)) if kind is not None else None
            if method is not None:
                yield method, kind
        elif type(found) is not ModuleType:
            yield from _functions_of(found, named)
        elif not _is_known(found.__name__):
            for inside in [found.__dict__[n] for n in named if n in found.__dict__]:
                yield from _functions_of(inside, named)


def _functions_of(found: Any, named: Iterable[str]) -> Iterator[tuple[FunctionType, type | None]]:
    """The function itself, or of a class of the user's what is made with it: its ``__init__``, and methods of these names."""
    if isinstance(found, type):
        if not _is_known(found.__module__):
            methods = [_function_in(getattr(found, name, None)) for name in ("__init__", *named)]
            yield from [(f, found) for f in methods if f is not None]
    else:
        function = _function_in(found)
        if function is not None:
            yield function, None


def _function_in(found: Any) -> FunctionType | None:
    """The function itself: of a method, a property, a partial, a function with a cache."""
    for _ in range(_DEEP):
        part = _PARTS.get(type(found))
        if part is None:
            break
        found = getattr(found, part)
    return found if type(found) is FunctionType else None


_PARTS: dict[type, str] = {
    MethodType: "__func__", classmethod: "__func__", staticmethod: "__func__", property: "fget",
    functools.cached_property: "func", functools.partial: "func", functools._lru_cache_wrapper: "__wrapped__",
}  # fmt: skip
_HOLDS_CODE = frozenset({FunctionType, *_PARTS})
_EMPTY = CellType()


def sizes_for_tests() -> tuple[SymSize, Any]:
    """A size and a quotient of an analysis that has not begun."""
    size = SymSize(symbol("H"), 7, Scope({"H": 7}))
    return size, size / 2
