"""The integer a model sees for a symbolic size: a `torch.SymInt` that computes with `Expr` and decides with `Scope`.

torch's argument parser and libraries accept it where they accept an int. Nothing of torch's own symbolic machinery
(SymNode, ShapeEnv) is used: ``x.shape[1] // 2 + 1`` is arithmetic of this package, and a comparison is a plain
``bool``.

>>> from fxcount.symbolic.scope import Scope
>>> scope = Scope({"H": 224}, where=lambda: "net.py:7")
>>> n = to_sym(scope.symbols["H"], scope)
>>> 2 * n + 1, n // 2 - n // 2, torch.Size((n, 3)), isinstance(n, torch.SymInt)
(2*H + 1, 0, torch.Size([H, 3]), True)
>>> n > 32, list(range(n))[-1], [str(a) for a in scope.assumptions]
(True, 223, ['H == 224 (pinned at net.py:7)'])
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from numbers import Integral
from typing import TYPE_CHECKING, Any, NoReturn

import torch

from fxcount.symbolic.expr import Expr, Size
from fxcount.symbolic.extrema import max_, min_
from fxcount.symbolic.floor import floordiv
from fxcount.symbolic.scope import Comparison, Scope
from fxcount.symbolic.symbits import Bits

if TYPE_CHECKING:
    from fxcount.symbolic.symratio import SymRatio

__all__ = ["SymSize", "to_size", "to_sym"]

_new = object.__new__


class SymSize(Bits, torch.SymInt):
    """A size that is not one number: ``expr``, its value ``hint`` at the sample values, and its ``scope``."""

    __slots__ = ("expr", "hint", "scope")
    __array_ufunc__ = None  # numpy's numbers leave the arithmetic to this class
    expr: Expr
    hint: int
    scope: Scope

    def __init__(self, expr: Expr, hint: int, scope: Scope) -> None:
        self.expr = expr
        self.hint = hint
        self.scope = scope

    @property
    def node(self) -> NoReturn:
        raise AttributeError(
            f"the symbolic size {self} has no SymNode: it reached torch code that runs outside the trace; "
            "use int(size) to pin it to its sample value"
        )

    def __repr__(self) -> str:
        return repr(self.expr)

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        try:
            return format(str(self), spec)  # a text for people; nothing is decided by it
        except ValueError:  # a format of numbers
            return format(int(self), spec)

    def __hash__(self) -> int:
        return hash(self.expr)

    def __reduce__(self) -> tuple[Any, ...]:
        return SymSize, (self.expr, self.hint, self.scope)

    def __copy__(self) -> SymSize:
        return self

    def __deepcopy__(self, memo: object) -> SymSize:
        return self

    def _sympy_(self) -> Any:
        from fxcount.symbolic.sympy_ import to_sympy

        return to_sympy(self.expr)

    # -- arithmetic: int or SymSize gives int or SymSize -------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        if type(other) is int:
            return _sym(self.expr + other, self.hint + other, self.scope)
        if type(other) is SymSize:
            return _sym(self.expr + other.expr, self.hint + other.hint, self.scope)
        return self._other(operator.add, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if type(other) is int:
            return _sym(self.expr - other, self.hint - other, self.scope)
        if type(other) is SymSize:
            return _sym(self.expr - other.expr, self.hint - other.hint, self.scope)
        return self._other(operator.sub, other)

    def __rsub__(self, other: Any) -> Any:
        if type(other) is int:
            return _sym(other - self.expr, other - self.hint, self.scope)
        return self._other(lambda a, b: b - a, other)

    def __mul__(self, other: Any) -> Any:
        if type(other) is int:
            return _sym(self.expr * other, self.hint * other, self.scope)
        if type(other) is SymSize:
            return _sym(self.expr * other.expr, self.hint * other.hint, self.scope)
        return self._other(operator.mul, other)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        if type(other) is int:
            return _sym(self.expr // other, self.hint // other, self.scope)
        return self._floordiv(self, other, operator.floordiv)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._floordiv(other, self, lambda a, b: b // a)

    def _floordiv(self, a: Any, b: Any, float_op: Callable[[Any, Any], Any]) -> Any:
        p, q = size_of(a), size_of(b)
        if p is None or q is None:
            return self._other(float_op, b if a is self else a)
        hint = self.scope.hint(p) // nonzero_hint(q, self.scope, "//")
        return _sym(floordiv(p, q, nonzero=True), hint, self.scope)

    def __mod__(self, other: Any) -> Any:
        if isinstance(other, (int, SymSize)):
            return self - self // other * other
        return self._other(operator.mod, other)

    def __rmod__(self, other: Any) -> Any:
        if isinstance(other, int):
            return other - other // self * self
        return self._other(lambda a, b: b % a, other)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, SymSize):
            other = int(other)
        if isinstance(other, int) and other >= 0:
            return _sym(self.expr**other, self.hint**other, self.scope)
        return self._other(operator.pow, other)

    def __rpow__(self, other: Any) -> Any:
        return other ** int(self) if isinstance(other, (int, float)) else NotImplemented

    def __truediv__(self, other: Any) -> Any:
        return self._other(operator.truediv, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._other(lambda a, b: b / a, other)

    def _other(self, op: Callable[[Any, Any], Any], other: Any) -> Any:
        """Arithmetic with bools, numpy's integers, floats and fractions."""
        if type(other) is not int and isinstance(other, Integral):
            return op(self, int(other))
        if isinstance(other, (int, float, torch.SymInt, torch.SymFloat)):
            return op(self.__sym_float__(), other)
        return NotImplemented

    def __neg__(self) -> Any:
        return SymSize(-self.expr, -self.hint, self.scope)

    def __pos__(self) -> SymSize:
        return self

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def __round__(self, ndigits: int | None = None) -> Any:
        return self if ndigits is None or ndigits >= 0 else round(int(self), ndigits)

    def __trunc__(self) -> SymSize:
        return self

    __floor__ = __ceil__ = __trunc__

    # -- comparisons: a plain bool, decided in the scope -------------------------------------------------------------

    def _compare(self, relation: Comparison, op: Callable[[Any, Any], bool], other: Any) -> Any:
        size = size_of(other)
        if size is not None:
            return self.scope.decide(relation, self.expr, size, f"the model compares {relation}")
        if isinstance(other, (float, torch.SymFloat)):
            return op(self.__sym_float__(), other)
        return NotImplemented

    def __eq__(self, other: object) -> Any:
        return self._compare("==", operator.eq, other)

    def __ne__(self, other: object) -> Any:
        return self._compare("!=", operator.ne, other)

    def __lt__(self, other: Any) -> Any:
        return self._compare("<", operator.lt, other)

    def __le__(self, other: Any) -> Any:
        return self._compare("<=", operator.le, other)

    def __gt__(self, other: Any) -> Any:
        return self._compare(">", operator.gt, other)

    def __ge__(self, other: Any) -> Any:
        return self._compare(">=", operator.ge, other)

    def __bool__(self) -> bool:
        return self.scope.decide("!=", self.expr, 0, "the model tests whether the size is 0")

    # -- numbers: these pin ------------------------------------------------------------------------------------------

    def __index__(self) -> int:
        return self.scope.pin(self.expr, "the model uses the size as a plain int")

    __int__ = __index__

    def __float__(self) -> float:
        return float(self.scope.pin(self.expr, "the model uses the size as a float"))

    # -- what torch.sym_max and friends call -------------------------------------------------------------------------

    def __sym_max__(self, other: Any) -> Any:
        return self._sym_extremum(max_, max, other)

    def __sym_min__(self, other: Any) -> Any:
        return self._sym_extremum(min_, min, other)

    def _sym_extremum(self, symbolic: Callable[[Size, Size], Size], plain: Callable[..., Any], other: Any) -> Any:
        size = size_of(other)
        if size is None:  # as torch.sym_max: a float among the arguments makes the result a float
            return plain(self.__sym_float__(), other)
        return _sym(symbolic(self.expr, size), plain(self.hint, self.scope.hint(size)), self.scope)

    def __sym_int__(self) -> SymSize:
        return self

    def __sym_float__(self) -> SymRatio:
        from fxcount.symbolic.symratio import SymRatio

        return SymRatio(self.expr, 1, float(self.hint), True, self.scope)


def _sym(size: Size, hint: int, scope: Scope) -> Any:
    if type(size) is int:
        return size
    self = _new(SymSize)
    self.expr = size  # type: ignore[assignment]
    self.hint = hint
    self.scope = scope
    return self


def size_of(value: Any) -> Size | None:
    if type(value) is SymSize:
        return value.expr
    # numpy's integers are Integral; a tensor is not, although it has an __index__
    return int(value) if isinstance(value, (int, Integral)) else None


def nonzero_hint(divisor: Size, scope: Scope, what: str) -> int:
    """The hint of a divisor, which is then assumed not to be 0, as Python would raise an error otherwise.

    >>> scope = Scope({"H": 14})
    >>> nonzero_hint(scope.symbols["H"] // 7, scope, "//"), [str(a) for a in scope.assumptions]
    (2, ['H >= 7'])
    """
    if not scope.decide("!=", divisor, 0, f"the model divides by the size ({what})"):
        raise ZeroDivisionError(f"division of sizes by zero: {divisor} is 0 here")
    return scope.hint(divisor)


def to_sym(size: Size, scope: Scope) -> Any:
    """What the model sees for a size: an int, or a `SymSize`.

    >>> to_sym(3, Scope({})), to_sym(Scope({"B": 2}).symbols["B"], Scope({"B": 2})).hint
    (3, 2)
    """
    return int(size) if isinstance(size, int) else SymSize(size, scope.hint(size), scope)


def to_size(value: Any) -> Size:
    """The size behind what the model holds: an int, a bool or a `SymSize`.

    >>> scope = Scope({"B": 2})
    >>> to_size(to_sym(scope.symbols["B"], scope)) == scope.symbols["B"], to_size(3)
    (True, 3)
    """
    size = size_of(value)
    return operator.index(value) if size is None else size
