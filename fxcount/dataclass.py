"""``dataclass`` of Python, whose classes are made in a third of the time: dozens are before the first analysis begins.

Python writes source for each of up to six methods of a class, and compiles it. Here that is done for ``__init__`` alone, which
also runs faster for frozen classes with slots; the others are functions that know the fields, the same for all classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

Names = Sequence[str]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, **options: bool) -> Any:
        """The class with the methods that :func:`dataclasses.dataclass` gives it for the same options.

        >>> @dataclass(frozen=True, slots=True)
        ... class Pair:
        ...     first: int
        ...     second: int = 3
        >>> Pair(2), Pair(2) == Pair(2, 3), len({Pair(2), Pair(2, 3)})
        (Pair(first=2, second=3), True, 1)
        """
        return _made(cls, **options) if cls is not None else lambda cls: _made(cls, **options)


def _made(cls: type, *, frozen: bool = False, eq: bool = True, repr: bool = True, **options: bool) -> type:
    made: type[Any] = dataclasses.dataclass(init=False, repr=False, eq=False, **options)(cls)
    fields = dataclasses.fields(made)
    names = [f.name for f in fields]
    slots = options.get("slots", False)
    methods: dict[str, Any] = {"__init__": _initialiser(made, fields, frozen, slots)}
    if repr:
        methods["__repr__"] = _representation([f.name for f in fields if f.repr])
    if eq:
        methods["__eq__"] = _equality([f.name for f in fields if f.compare])
        hashed = [f.name for f in fields if (f.compare if f.hash is None else f.hash)]
        methods["__hash__"] = _hash(hashed) if frozen else None
    if frozen:
        methods |= _refusals(made, frozenset(names)) | (_states(names) if slots else {})
    own = vars(made)
    for name, method in methods.items():
        if own.get(name) is None:  # of a class with an ``__eq__`` of its own, ``__hash__`` is None
            setattr(made, name, method)
    return made


class _Factory:
    """The default of an argument that is made anew for each object."""

    def __repr__(self) -> str:
        return "<factory>"


def _initialiser(made: type, fields: Sequence[Field[Any]], frozen: bool, slots: bool) -> Callable[..., None]:
    """``__init__``, compiled; what it takes beside its arguments are globals of it, under names that no field has."""
    known: dict[str, Any] = {
        "__name__": made.__module__,
        "_dataclass_set": object.__setattr__,
        "_dataclass_missing": _Factory(),
    }  # fmt: skip
    parameters, body = ["self"], []
    for f in sorted(fields, key=lambda f: f.kw_only is True):
        parameter, given, alone = f.name, f.name, ""
        if f.default is not MISSING:
            alone = f"_dataclass_default_{f.name}"
            known[alone] = f.default
            parameter = f"{f.name}={alone}"
        elif f.default_factory is not MISSING:
            known[f"_dataclass_made_{f.name}"] = f.default_factory
            alone = f"_dataclass_made_{f.name}()"
            parameter, given = f"{f.name}=_dataclass_missing", f"{alone} if {f.name} is _dataclass_missing else {f.name}"
        if f.init:
            parameters += ["*"] if f.kw_only and "*" not in parameters else []
            parameters.append(parameter)
        value = given if f.init else alone
        if not value:
            continue  # ``__post_init__`` sets it
        if frozen and slots:  # the slot sets it in half the time that finding the slot by its name takes
            known[f"_dataclass_set_{f.name}"] = getattr(made, f.name).__set__
            body.append(f"_dataclass_set_{f.name}(self, {value})")
        else:
            body.append(f"_dataclass_set(self, {f.name!r}, {value})" if frozen else f"self.{f.name} = {value}")
    if hasattr(made, "__post_init__"):
        body.append("self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(body or ["pass"]), known)
    found: Callable[..., None] = known["__init__"]
    found.__qualname__ = f"{made.__qualname__}.__init__"
    found.__annotations__ = {f.name: f.type for f in fields if f.init} | {"return": None}
    return found


def _values(names: Names) -> Callable[[Any], tuple[Any, ...]]:
    """Of an object, its attributes of these names."""
    if len(names) > 1:
        return attrgetter(*names)
    return (lambda thing: (getattr(thing, names[0]),)) if names else (lambda thing: ())


def _representation(names: Names) -> Callable[[Any], str]:
    @recursive_repr()
    def __repr__(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join([f'{name}={getattr(self, name)!r}' for name in names])})"

    return __repr__


def _equality(names: Names) -> Callable[[Any, Any], bool]:
    values = _values(names)

    def __eq__(self: Any, other: Any) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def _hash(names: Names) -> Callable[[Any], int]:
    values = _values(names)

    def __hash__(self: Any) -> int:
        return hash(values(self))

    return __hash__


def _refusals(made: type[Any], names: frozenset[str]) -> dict[str, Callable[..., None]]:
    """A frozen class lets nothing be set or deleted; a subclass may have attributes of its own."""

    def __setattr__(self: Any, name: str, value: Any) -> None:
        if type(self) is made or name in names:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        super(made, self).__setattr__(name, value)

    def __delattr__(self: Any, name: str) -> None:
        if type(self) is made or name in names:
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        super(made, self).__delattr__(name)

    return {"__setattr__": __setattr__, "__delattr__": __delattr__}


def _states(names: Names) -> dict[str, Callable[..., Any]]:
    """Copies and pickles of a frozen class with slots: the usual way sets attributes."""

    def __getstate__(self: Any) -> list[Any]:
        return [getattr(self, name) for name in names]

    def __setstate__(self: Any, state: list[Any]) -> None:
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return {"__getstate__": __getstate__, "__setstate__": __setstate__}
