"""The float a model sees for a quotient of sizes: a `torch.SymFloat` that stays an exact fraction.

``math.ceil(n / 2)`` and ``int(n * 0.5)`` come out as sizes. A quotient is exact as long as only sizes and short
binary fractions (0.5, 0.125, 3.0) take part. What is not exact keeps its Python value at the sample values and pins
the sizes it was made of as soon as that value decides anything.

>>> import math
>>> from fxcount.symbolic.scope import Scope
>>> from fxcount.symbolic.symint import to_sym
>>> scope = Scope({"H": 225, "W": 50})
>>> H, W = (to_sym(size, scope) for size in scope.symbols.values())
>>> math.ceil(H / 2), math.floor(H * 0.25 + 0.5), math.floor(H / W), scope.assumptions
(ceil(H/2), floor((H + 2)/4), floor(H/W), [])
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from numbers import Integral
from typing import Any, NoReturn, TypeAlias

import torch

from fxcount.symbolic.expr import Expr, Size
from fxcount.symbolic.floor import floordiv
from fxcount.symbolic.fraction import holds, reduced, simplest
from fxcount.symbolic.root import exact_root
from fxcount.symbolic.scope import Comparison, Scope
from fxcount.symbolic.symint import SymSize, nonzero_hint, to_sym

__all__ = ["SymRatio"]

SHORT = 1 << 10  # largest denominator of a float that is kept exact: then float arithmetic is exact for sizes below 2**43
Parts: TypeAlias = tuple[Size, Size, float, bool]  # numerator, denominator, value at the hints, exact?


class SymRatio(torch.SymFloat):
    """``num / den``, its Python float ``value`` at the sample values, and whether it is ``exact``."""

    __slots__ = ("den", "exact", "num", "scope", "value")
    __array_ufunc__ = None  # numpy's numbers leave the arithmetic to this class

    def __init__(self, num: Size, den: Size, value: float, exact: bool, scope: Scope) -> None:
        self.num, self.den, self.value, self.exact, self.scope = num, den, value, exact, scope

    @property
    def node(self) -> NoReturn:
        raise AttributeError(f"the symbolic quotient {self} has no SymNode; use float(quotient) to pin it to its sample value")

    def __repr__(self) -> str:
        if isinstance(self.den, int) and self.den == 1:
            return f"float({self.num})"
        return f"({self.num})/({self.den})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(float(self), spec) if spec else str(self)

    def __hash__(self) -> int:
        return hash((self.num, self.den) if self.den != 1 else self.num)

    def __reduce__(self) -> tuple[Any, ...]:
        return SymRatio, (self.num, self.den, self.value, self.exact, self.scope)

    def __copy__(self) -> SymRatio:
        return self

    def __deepcopy__(self, memo: object) -> SymRatio:
        return self

    def _parts(self, other: Any) -> Parts | None:
        if isinstance(other, SymRatio):
            return other.num, other.den, other.value, other.exact
        if isinstance(other, SymSize):
            return other.expr, 1, float(other.hint), True
        if isinstance(other, (int, Integral)):
            return int(other), 1, float(other), True
        if isinstance(other, float) and math.isfinite(other):
            fraction = Fraction(other)
            return fraction.numerator, fraction.denominator, other, fraction.denominator <= SHORT
        return None

    def _make(self, num: Size, den: Size, value: float, exact: bool) -> Any:
        num, den = reduced(num, den)
        if isinstance(num, int) and isinstance(den, int):
            return value
        return SymRatio(num, den, value, exact, self.scope)

    def _apply(self, op: Callable[[Any, Any], Any], other: Any, swapped: bool = False) -> Any:
        parts = self._parts(other)
        if parts is None:
            if isinstance(other, float):  # infinities and nan
                return op(other, float(self)) if swapped else op(float(self), other)
            return NotImplemented
        left: Parts = (self.num, self.den, self.value, self.exact)
        (a, b, x, exact), (c, d, y, also) = (parts, left) if swapped else (left, parts)
        exact = exact and also
        if op is operator.add:
            return self._make(a * d + c * b, b * d, x + y, exact)
        if op is operator.sub:
            return self._make(a * d - c * b, b * d, x - y, exact)
        if op is operator.mul:
            return self._make(a * c, b * d, x * y, exact)
        nonzero_hint(c, self.scope, "/")
        return self._make(a * d, b * c, x / y, exact)

    def __add__(self, other: Any) -> Any:
        return self._apply(operator.add, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self._apply(operator.sub, other)

    def __rsub__(self, other: Any) -> Any:
        return self._apply(operator.sub, other, swapped=True)

    def __mul__(self, other: Any) -> Any:
        return self._apply(operator.mul, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self._apply(operator.truediv, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._apply(operator.truediv, other, swapped=True)

    def __floordiv__(self, other: Any) -> Any:
        parts = self._parts(other)
        return NotImplemented if parts is None else self._floored(self / other, self.value // parts[2])

    def __rfloordiv__(self, other: Any) -> Any:
        parts = self._parts(other)
        return NotImplemented if parts is None else self._floored(other / self, parts[2] // self.value)

    def _floored(self, ratio: Any, expected: float) -> Any:
        if isinstance(ratio, SymRatio):
            return _sym_float(ratio._integer(ratio._floor, int(expected)))
        return expected

    def __mod__(self, other: Any) -> Any:
        parts = self._parts(other)
        return NotImplemented if parts is None else _with_value(self - self // other * other, self.value % parts[2])

    def __rmod__(self, other: Any) -> Any:
        parts = self._parts(other)
        return NotImplemented if parts is None else _with_value(other - other // self * self, parts[2] % self.value)

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, (SymSize, SymRatio)):
            other = float(other)
        if not isinstance(other, (int, float)):
            return NotImplemented
        if other == int(other) and 0 <= other <= 64:
            k = int(other)
            return self._make(self.num**k, self.den**k, self.value**k, self.exact)
        if other == int(other) and other < 0:
            return 1.0 / self ** int(-other)
        if other == 0.5 and self.exact:
            p, q = exact_root(self.num), exact_root(self.den)
            if p is not None and q is not None:
                return self._make(p, q, math.sqrt(self.value), True)
        return float(self) ** other

    def __rpow__(self, other: Any) -> Any:
        return other ** float(self) if isinstance(other, (int, float)) else NotImplemented

    def __neg__(self) -> Any:
        return self._make(-self.num, self.den, -self.value, self.exact)

    def __pos__(self) -> SymRatio:
        return self

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def _integer(self, rounded: Callable[[], Size], expected: int) -> Any:
        """The size ``rounded()`` if this is exact and Python's floats come to the same at the sample values."""
        if self.exact:
            size = rounded()
            if self.scope.hint(size) == expected:
                return to_sym(size, self.scope)
        self._pin("a rounded float")
        return expected

    def _floor(self) -> Size:
        return floordiv(self.num, self.den, nonzero=True)

    def __floor__(self) -> Any:
        return self._integer(self._floor, math.floor(self.value))

    def __ceil__(self) -> Any:
        return self._integer(lambda: -floordiv(-self.num, self.den, nonzero=True), math.ceil(self.value))

    def __trunc__(self) -> Any:
        return self.__floor__() if self >= 0 else self.__ceil__()

    def __sym_int__(self) -> Any:
        return self.__trunc__()

    def __round__(self, ndigits: int | None = None) -> Any:
        if ndigits is not None:
            return round(float(self), ndigits)
        p, q = 2 * self.num + self.den, 2 * self.den
        if not (self.exact and isinstance(q, int)) or (q % 4 == 0 and self.scope.divisible(p, q, "round() of a half")):
            return round(float(self))  # a half goes to the even neighbour: that needs the number
        return self._integer(lambda: p // q, round(self.value))

    def _compare(self, relation: Comparison, op: Callable[[Any, Any], bool], other: Any) -> Any:
        parts = self._parts(other)
        if parts is None:
            return op(float(self), other) if isinstance(other, float) else NotImplemented
        c, d, y, exact = parts
        expected = op(self.value, y)
        exact = self.exact and (exact or isinstance(c, int))
        if exact:
            a, b = self.num, self.den
            for den in (b, d):
                if self.scope.decide("<", den, 0, "sign of a denominator"):
                    a, c = -a, -c
            left, right = a * d, c * b
            if isinstance(right, int) and isinstance(left, Expr):
                left, right = simplest(left, right, relation)
            if holds(relation, self.scope.hint(left), self.scope.hint(right)) == expected:
                return self.scope.decide(relation, left, right, f"the model compares {relation}")
        self._pin("a comparison of floats")
        if isinstance(other, SymRatio):
            other._pin("a comparison of floats")
        return expected

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
        return bool(self != 0)

    def _pin(self, reason: str) -> None:
        for size in (self.num, self.den):
            self.scope.pin(size, f"the model needs the value of {reason}")

    def __float__(self) -> float:
        self._pin("a float made of sizes")
        return self.value

    def __int__(self) -> int:
        self._pin("an int made of sizes")
        return int(self.value)

    def is_integer(self) -> bool:
        """Whether the denominator divides the numerator."""
        if isinstance(self.den, int) and self.exact:
            return self.scope.divisible(self.num, self.den, "is_integer()")
        return float(self).is_integer()

    def __sym_float__(self) -> SymRatio:
        return self

    def __sym_max__(self, other: Any) -> Any:
        return _sym_float(max(self, other))

    def __sym_min__(self, other: Any) -> Any:
        return _sym_float(min(self, other))

    def __sym_sqrt__(self) -> Any:
        return self**0.5


def _with_value(result: Any, value: float) -> Any:
    """The result with the value that Python's own operation has, which rounds only once."""
    if isinstance(result, SymRatio):
        result.value = value
        return result
    return value


def _sym_float(value: Any) -> Any:
    return value.__sym_float__() if isinstance(value, (SymSize, SymRatio)) else float(value)
