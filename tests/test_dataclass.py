"""``fxcount.dataclass`` makes what Python's ``dataclasses.dataclass`` makes of the same class: each is asked the same."""

from __future__ import annotations

import ast
import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Any

import pytest

import fxcount
from fxcount.dataclass import dataclass

PACKAGE = Path(fxcount.__file__).parent


def _fields() -> dict[str, Any]:
    return {
        "__annotations__": {"a": "int", "b": "float", "c": "list[int]", "d": "int", "e": "int", "f": "str", "g": "int"},
        "b": 2.5, "c": field(default_factory=list), "d": field(default=7, compare=False),
        "e": field(default=11, repr=False, hash=False), "f": field(init=False, default="set"), "g": field(init=False),
        "__post_init__": lambda self: object.__setattr__(self, "g", 13 * self.a),
        "__module__": __name__, "__doc__": "All kinds of fields.", "__qualname__": "Kinds",
    }  # fmt: skip


def _keywords() -> dict[str, Any]:
    return {"__annotations__": {"a": "int", "b": "int"}, "a": 3, "__module__": __name__, "__qualname__": "Keywords"}


def _nothing() -> dict[str, Any]:
    return {"__module__": __name__, "__doc__": "No field at all.", "__qualname__": "Nothing"}


def _one() -> dict[str, Any]:
    return {"__annotations__": {"a": "float"}, "__module__": __name__, "__doc__": "One field.", "__qualname__": "One"}


def _own() -> dict[str, Any]:
    def equal(self: Any, other: Any) -> bool:
        return type(other) is type(self) and abs(self.a) == abs(other.a)

    return _one() | {"__eq__": equal, "__repr__": lambda self: "mine", "__qualname__": "Own"}


NAN = float("nan")
OPTIONS: list[dict[str, bool]] = [
    {}, {"frozen": True}, {"slots": True}, {"frozen": True, "slots": True}, {"frozen": True, "slots": True, "eq": False},
    {"repr": False}, {"eq": False, "repr": False}, {"frozen": True, "slots": True, "repr": False},
]  # fmt: skip
QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "repr": lambda make: repr(make(3)).partition(" at 0x")[0],
    "equal": lambda make: [make(3) == make(5), make(3) == make(3), make(NAN) == make(NAN), make(3) == 3, make(3) != make(3)],
    "hash": lambda make: [hash(make(3)) == hash(make(3)), len({make(3), make(3), make(5)})],
    "set": lambda make: setattr(make(3), "a", 17),
    "set another": lambda make: setattr(make(3), "no_field", 17),
    "delete": lambda make: delattr(make(3), "a"),
    "set, then read": lambda make: [setattr(x := make(3), "a", 17), x.a],
    "copy": lambda make: _values(copy.copy(make(3))) + _values(copy.deepcopy(make(5))),
    "no arguments": lambda make: _values(make.cls()),
    "too many": lambda make: make.cls(*range(17)),
    "signature": lambda make: str(inspect.signature(make.cls)),
    "match": lambda make: make.cls.__match_args__,
    "fields": lambda make: [(f.name, f.type, f.init, f.compare) for f in dataclasses.fields(make.cls)],
    "values": lambda make: _values(make(3)),
    "replace": lambda make: _values(dataclasses.replace(make(3), **{f.name: 19 for f in dataclasses.fields(make.cls)[:1]})),
    "subclass": lambda make: _values(type("Sub", (make.cls,), {})(*make.given(3))),
    "subclass with attributes": lambda make: [setattr(x := type("Sub", (make.cls,), {})(*make.given(3)), "more", 5), x.more],
    "subclass is frozen": lambda make: setattr(type("Sub", (make.cls,), {})(*make.given(3)), "a", 5),
    "names": lambda make: [make.cls.__init__.__qualname__, make.cls.__init__.__module__, make.cls.__name__, make.cls.__doc__],
}  # fmt: skip


def _values(thing: Any) -> list[Any]:
    return [getattr(thing, f.name) for f in dataclasses.fields(thing)]


class _Maker:
    """Makes objects of a class, of one number."""

    def __init__(self, cls: Any) -> None:
        self.cls = cls

    def given(self, a: float) -> list[float]:
        return [a] * (len(dataclasses.fields(self.cls)) > 0)

    def __call__(self, a: float) -> Any:
        return self.cls(*self.given(a))

def _answer(question: Callable[[Any], Any], make: _Maker) -> Any:
    try:
        return question(make)
    except Exception as error:
        return type(error), str(error).replace("Sub.", "")


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("body", [_fields, _nothing, _one, _own])
def test_a_class_is_what_python_makes_of_it(body: Callable[[], dict[str, Any]], options: dict[str, bool]) -> None:
    ours, pythons = (_Maker(make(**options)(type("X", (), body()))) for make in (dataclass, dataclasses.dataclass))
    for name, question in QUESTIONS.items():
        theirs = _answer(question, pythons)
        if "super(type, obj)" not in str(theirs):  # Python's error of a frozen class with slots speaks of something else
            assert _answer(question, ours) == theirs, name


def test_fields_by_keyword() -> None:
    ours, pythons = (make(kw_only=True, frozen=True)(type("X", (), _keywords())) for make in (dataclass, dataclasses.dataclass))
    assert str(inspect.signature(ours)) == str(inspect.signature(pythons))
    assert repr(ours(b=5)) == repr(pythons(b=5)) == "Keywords(a=3, b=5)"


@dataclass(frozen=True, slots=True)
class Base:
    """A field that has a subclass."""

    a: int


@dataclass(frozen=True, slots=True)
class Derived(Base):
    """One more."""

    b: tuple[int, ...] = ()


def test_of_a_class_another_and_pickles() -> None:
    made = Derived(3, (5, 7))
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    assert repr(again) == "Derived(a=3, b=(5, 7))"
    assert Derived.__slots__ == ("b",)
    assert Base(3) != Derived(3)
    assert hash(Derived(3)) == hash((3, ()))
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.a = 5  # type: ignore[misc]


def test_what_holds_itself_is_written() -> None:
    @dataclass
    class Node:
        """Holds others."""

        inside: list[Any]

    node = Node([])
    node.inside.append(node)
    assert repr(node).endswith("Node(inside=[...])")


def test_all_classes_of_the_package_are_made_so() -> None:
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "dataclasses" and file.name != "dataclass.py":
                assert "dataclass" not in [alias.name for alias in node.names], f"{file}: from fxcount.dataclass"


def test_one_method_is_compiled_for_a_class() -> None:
    """What a class costs: Python's own are four to six calls of ``exec``."""
    code = (
        "import builtins, dataclasses, sys\nfrom fxcount.dataclass import dataclass\ncalls = []\n"
        "sys.setprofile(lambda f, event, what: calls.append(what) if event == 'c_call' and what is exec else None)\n"
        "for make in (dataclass, dataclasses.dataclass):\n"
        "    make(frozen=True, slots=True)(type('X', (), {'__annotations__': {'a': int}, '__doc__': 'x'}))\n"
        "    calls.append('|')\n"
        "sys.setprofile(None)\nprint(calls.index('|'), len(calls) - calls.index('|') - 2)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours, pythons = map(int, done.stdout.split())
    assert ours == 1 <= pythons
