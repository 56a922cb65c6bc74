"""What the user's Python modules see while a model is traced: an ``int``, a ``float`` and a ``math`` that keep symbols.

Python insists that ``int(n)`` is a plain int and ``math.sqrt(n)`` a plain float, which would pin a symbolic size. Code that
asks for them is found as it asks (:meth:`~fxcount.trace.tracer.answers.Answers.note_number`), and sees ours, as globals of
its module, when the model runs again. Ours are what the builtins are for everything but symbolic numbers; ``x is int`` alone
tells them apart, so a module that asks so keeps the builtins.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

from fxcount.symbolic import SymRatio, SymSize
from fxcount.symbolic.messages import source_tree
from fxcount.trace.tracer.standin import StandIn

__all__ = ["FLOAT", "INT", "number_functions"]


class _Builtin:
    """A class of numbers of Python's, which keeps symbolic numbers symbolic when it is called."""

    def __init__(self, plain: type, kept: Callable[[Any], Any]) -> None:
        self._plain = plain
        self._kept = kept

    def __call__(self, *given: Any, **named: Any) -> Any:
        if len(given) == 1 and not named:
            (x,) = given
            if type(x) is StandIn:
                x = x._owner.scalar(x, f"{self._plain.__name__}()")
            if type(x) is SymSize or type(x) is SymRatio:
                return self._kept(x)
            return self._plain(x)
        return self._plain(*given, **named)

    def __instancecheck__(self, x: Any) -> bool:
        return isinstance(x, self._plain)

    def __subclasscheck__(self, kind: Any) -> bool:
        return kind is self or issubclass(kind, self._plain)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def __eq__(self, other: object) -> Any:
        return other is self or other is self._plain

    def __hash__(self) -> int:
        return hash(self._plain)

    def __or__(self, other: Any) -> Any:
        return self._plain | other

    def __ror__(self, other: Any) -> Any:
        return other | self._plain

    def __repr__(self) -> str:
        return repr(self._plain)

    def __reduce__(self) -> Any:
        return self._plain.__name__


INT = _Builtin(int, lambda x: x.__sym_int__())
FLOAT = _Builtin(float, lambda x: x.__sym_float__())


def _number(x: Any) -> Any:
    """The argument of a function of ``math``: a symbolic one as the float that Python would make of it."""
    return FLOAT(x) if type(x) in _SYMBOLIC else x


def _of_one(original: Callable[[Any], float]) -> Callable[..., Any]:
    """A function of ``math`` of one number."""

    @functools.wraps(original)
    def function(x: Any, *rest: Any) -> Any:
        number = _number(x)
        if type(number) is not SymRatio or rest or not _is_defined(original.__name__, number):
            return original(x, *rest)
        return number.of_function(original.__name__)

    return function


def _is_defined(name: str, x: SymRatio) -> bool:
    """Whether Python's function of this name raises no error for the number; where it may, that is decided."""
    if name == "exp":
        return bool(x < _OVERFLOWS)
    return bool(x >= 0 if name == "sqrt" else x > (-1 if name == "log1p" else 0))


_OVERFLOWS = 709.0
"""From a little above it ``math.exp`` raises OverflowError."""


def _log(x: Any, *base: Any) -> Any:
    """``math.log``, which divides the logarithms of the number and of the base."""
    number = _number(x)
    if type(number) is not SymRatio or any([type(b) in _SYMBOLIC for b in base]) or not _is_defined("log", number):
        return math.log(x, *base)
    found = number.of_function("log")
    return found / math.log(*base) if base else found


def _sqrt(x: Any) -> Any:
    number = _number(x)
    if type(number) is not SymRatio or not _is_defined("sqrt", number):
        return math.sqrt(x)
    found = number.__sym_sqrt__()
    return number.of_function("sqrt") if type(found) is SymRatio and found.curved else found


def _isqrt(n: Any) -> Any:
    return math.floor(_sqrt(n)) if type(n) is SymSize else math.isqrt(n)


def _pow(x: Any, y: Any) -> Any:
    """``math.pow``, which knows no complex numbers, and another error than ``**`` for zero to a negative power."""
    return FLOAT(x) ** y if (type(x) is SymSize or type(x) is SymRatio) and x > 0 else math.pow(x, y)


def _fabs(x: Any) -> Any:
    return FLOAT(abs(x)) if type(x) in _SYMBOLIC else math.fabs(x)


_SYMBOLIC = (SymSize, SymRatio, StandIn)
_OURS: dict[Callable[..., Any], Callable[..., Any]] = {
    **{f: _of_one(f) for f in (math.log2, math.log10, math.log1p, math.exp)},
    math.log: _log, math.sqrt: _sqrt, math.isqrt: _isqrt, math.pow: _pow, math.fabs: _fabs,
}  # fmt: skip
_BY_ID = {id(original): ours for original, ours in _OURS.items()}


class _Math(ModuleType):
    """The module, with functions that keep symbols."""

    def __getattr__(self, name: str) -> Any:
        return getattr(math, name)


_MATH = _Math("math")
vars(_MATH).update({original.__name__: ours for original, ours in _OURS.items()})


def number_functions(namespace: dict[str, Any]) -> dict[str, Any]:
    """What code with these globals sees under its names for classes and functions of numbers.

    >>> seen = number_functions({"__name__": "net", "root": math.sqrt, "math": math})
    >>> sorted(seen), seen["math"].sqrt(9), seen["math"].pi == math.pi
    (['float', 'int', 'math', 'root'], 3.0, True)
    """
    found: dict[str, Any] = {}
    for name, there in namespace.items():
        if there is math:
            found[name] = _MATH
        elif id(there) in _BY_ID:
            found[name] = _BY_ID[id(there)]
    wanted = [name for name in ("int", "float") if name not in namespace]
    if wanted and not _asks_identity(namespace):
        found.update({name: ours for name, ours in (("int", INT), ("float", FLOAT)) if name in wanted})
    return found


def _asks_identity(namespace: dict[str, Any]) -> bool:
    """Whether code with these globals asks what *is* ``int`` or ``float``, or cannot be read."""
    files = {code.co_filename for code in _codes(namespace)}
    return any([_compares_identity(file) for file in files])


def _codes(namespace: dict[str, Any]) -> Iterator[Any]:
    home = namespace.get("__name__")
    for thing in list(namespace.values()):
        inner = vars(thing).values() if isinstance(thing, type) and thing.__module__ == home else (thing,)
        for function in inner:
            if isinstance(function, FunctionType) and function.__globals__ is namespace:
                yield function.__code__


@functools.lru_cache(maxsize=256)
def _compares_identity(file: str) -> bool:
    tree = source_tree(file)
    if tree is None:
        return True
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(isinstance(o, (ast.Is, ast.IsNot)) for o in node.ops):
            sides = (node.left, *node.comparators)
            if any(isinstance(side, ast.Name) and side.id in ("int", "float") for side in sides):
                return True
    return False

