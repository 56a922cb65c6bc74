"""The numbers a model sees for sizes that are not one number: a `torch.SymInt` and a `torch.SymFloat` that compute with
`Expr` and decide with `Scope`.

torch's argument parser and libraries accept them where they accept numbers. Nothing of torch's own symbolic machinery
(SymNode, ShapeEnv) is used: ``x.shape[1] // 2 + 1`` is arithmetic of this package, and a comparison is a plain ``bool``.
Whatever Python can ask of an ``int`` is answered by a formula, or by the sample value, which is then assumed: "pinned".
docs/sizes.md lists which is which.

`SymRatio` is a quotient of sizes that stays a fraction: ``math.ceil(n / 2)`` comes out as a size. Python rounds its floats;
where that could matter, what was concluded is assumed to come out alike at other sizes (see floats.py).

>>> import math
>>> from fxcount.symbolic.scope import Scope
>>> scope = Scope({"H": 224, "W": 50}, where=lambda: "net.py:7")
>>> H, W = (to_sym(size, scope) for size in scope.symbols.values())
>>> (2 * H + 1).expr, H // 2 - H // 2, isinstance(H, int), isinstance(H, torch.SymInt)
(2*H + 1, 0, True, True)
>>> [n.expr for n in (math.ceil(H / 2), math.floor(H * 0.25 + 0.5), math.floor(H / W))], scope.assumptions
([ceil(H/2), floor((H + 2)/4), floor(H/W)], [])
>>> H > 32, list(range(H))[-1], [str(a) for a in scope.assumptions]
(True, 223, ['H == 224 (pinned at net.py:7)'])
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable
from fractions import Fraction
from numbers import Integral, Number, Real
from types import FrameType
from typing import Any, NamedTuple

import torch

from fxcount.symbolic.expr import Expr, Size
from fxcount.symbolic.extrema import max_, min_
from fxcount.symbolic.floats import (
    EXACT,
    ODD,
    ONCE,
    ROUGH,
    SAFE,
    UNARY,
    Claim,
    Program,
    level_of,
    nearest,
    sizes_in,
    thresholds,
)
from fxcount.symbolic.floor import floordiv
from fxcount.symbolic.fraction import holds, reduced, simplest
from fxcount.symbolic.messages import SPELLED, asserted, calls_cache, formats_number, in_message, keys_own_table, tells
from fxcount.symbolic.root import exact_root, root_of_equals
from fxcount.symbolic.scope import ASKED, Comparison, Scope
from fxcount.symbolic.symbits import Bits
from fxcount.symbolic.symnumpy import NumpyProtocol
from fxcount.symbolic.whole import FloatProtocol, IntProtocol

__all__ = ["SymRatio", "SymSize", "to_size", "to_sym"]

_new = object.__new__
_frame = sys._getframe


class SymSize(Bits, IntProtocol, NumpyProtocol, torch.SymInt):
    """A size that is not one number: ``expr``, its value ``hint`` at the sample values, and its ``scope``."""

    __slots__ = ("expr", "hint", "scope")
    expr: Expr
    hint: int
    scope: Scope

    def __init__(self, expr: Expr, hint: int, scope: Scope) -> None:
        self.expr = expr
        self.hint = hint
        self.scope = scope

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return int  # what isinstance() believes; type() knows better, and Python has no way to tell it

    @property
    def node(self) -> Any:
        """What torch's C++ asks of the size; only there while its autograd engine runs on stand-ins."""
        make = self.scope.node
        if make is None:
            raise AttributeError(
                f"the symbolic size {self.expr} has no SymNode: it reached torch code that runs outside the trace; "
                "use int(size) to pin it to its sample value"
            )
        return make(self)

    # -- text: a message shows the sample value, any other text pins it -----------------------------------------------

    def _shown(self, what: str) -> int:
        if self.scope.closed or in_message(_frame(2)):
            return self.hint
        return self.scope.pin(self.expr, f"the model makes a text of the size ({what})")

    def _key(self, frame: FrameType) -> str:
        """The formula, for the key of a table that the model fills as it runs; empty where the text is for anything else."""
        if self.scope.closed or in_message(frame) or not keys_own_table(frame):
            return ""
        return f"{SPELLED}{self.scope.spelled(self.expr)}\u27e9"

    def __repr__(self) -> str:
        return self._key(_frame(1)) or repr(self._shown("repr"))

    def __str__(self) -> str:
        return self._key(_frame(1)) or str(self._shown("str"))

    def __format__(self, spec: str) -> str:
        return self._key(_frame(1)) or format(self._shown("format"), spec)

    def __hash__(self) -> int:
        """That of the number, so that a dict finds what it would find for the int. A function cache is told sizes apart by
        comparison alone: they are formulas to it, and what it returns for them is."""
        if self.scope.closed or tells(_frame(1)):
            return hash(self.hint)
        cached, guarded = calls_cache(_frame(1))
        if cached and guarded:
            raise TypeError("unhashable type: a symbolic size")  # the model computes without its cache then
        if cached:
            return hash(("fxcount size", id(self.scope)))
        return hash(self.scope.pin(self.expr, "the model hashes the size: a dict key, a set"))

    def __reduce__(self) -> tuple[Any, ...]:
        return int, (self.__index__(),)

    __reduce_ex__ = lambda self, protocol: self.__reduce__()  # noqa: E731

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
        if type(other) is int or type(other) is SymSize:
            return self - self // other * other
        return self._other(operator.mod, other)

    def __rmod__(self, other: Any) -> Any:
        if type(other) is int:
            return other - other // self * self
        return self._other(lambda a, b: b % a, other)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __pow__(self, other: Any, modulus: Any = None) -> Any:
        if type(other) is SymSize:
            other = int(other)
        if modulus is not None:
            whole = isinstance(other, int) and other >= 0 and size_of(modulus) is not None
            return self**other % modulus if whole else pow(int(self), other, modulus)
        if isinstance(other, int) and other >= 0:
            return _sym(self.expr**other, self.hint**other, self.scope)
        return self._other(operator.pow, other)

    def __rpow__(self, other: Any, modulus: Any = None) -> Any:
        if not isinstance(other, (int, float, complex, Real)):
            return NotImplemented
        return pow(other, int(self), modulus)

    def __truediv__(self, other: Any) -> Any:
        return self._other(operator.truediv, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._other(lambda a, b: b / a, other)

    def _other(self, op: Callable[[Any, Any], Any], other: Any) -> Any:
        """Arithmetic with bools, numpy's integers, floats and fractions."""
        if type(other) is SymSize or type(other) is SymRatio or type(other) is int:
            return op(self.__sym_float__(), other)
        if isinstance(other, Integral):
            return op(self, int(other))
        if isinstance(other, float):
            return op(self.__sym_float__(), float(other))
        if isinstance(other, Number):  # complex, Fraction, Decimal
            return op(int(self), other)
        return NotImplemented

    def __neg__(self) -> Any:
        return SymSize(-self.expr, -self.hint, self.scope)

    def __pos__(self) -> SymSize:
        return self

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def __round__(self, ndigits: int | None = None) -> Any:
        if ndigits is not None:
            ndigits = operator.index(ndigits)
        return self if ndigits is None or ndigits >= 0 else round(int(self), ndigits)

    def __trunc__(self) -> SymSize:
        return self

    __floor__ = __ceil__ = __trunc__

    # -- comparisons: a plain bool, decided in the scope -------------------------------------------------------------

    def _compare(self, relation: Comparison, op: Callable[[Any, Any], bool], other: Any) -> Any:
        if self.scope.closed:
            return op(self.hint, other.hint if type(other) is SymSize else other)
        if type(other) is SymSize and other.scope is not self.scope:
            return NotImplemented  # of an analysis that ended: not even the same by name
        size = size_of(other)
        if size is not None:
            unbacked = self.scope.unbacked
            if unbacked.by_name and unbacked.is_guess(self.expr - size) and asserted(_frame(2)):
                return True  # what the model states of data that nobody knows: else it raises an error of its own
            self.scope.question = (relation, self.expr, size)
            return self.scope.decide(relation, self.expr, size, ASKED)
        if isinstance(other, float):
            return op(self.__sym_float__(), other)
        if isinstance(other, (complex, Fraction)):
            return op(int(self), other)
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
        if self.scope.closed or formats_number(_frame(1)):
            return self.hint
        if "isqrt" in _frame(1).f_code.co_names:  # the one function of math that asks so and has a formula
            self.scope.taken(_frame(1))
        return self.scope.pin(self.expr, "the model uses the size as a plain int")

    def __int__(self) -> int:
        if self.scope.closed or formats_number(_frame(1)):
            return self.hint
        self.scope.taken(_frame(1))
        return self.scope.pin(self.expr, "the model uses the size as a plain int")

    def __float__(self) -> float:
        if self.scope.closed or formats_number(_frame(1)):
            return float(self.hint)
        self.scope.taken(_frame(1))
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
        return SymRatio(self.expr, 1, _double(self.hint), EXACT, self.expr, self.scope)


class _Parts(NamedTuple):
    """An operand: numerator, denominator, value at the sample values, level, and how Python computed it."""

    num: Size
    den: Size
    value: float
    level: int
    program: Program


class SymRatio(FloatProtocol, NumpyProtocol, torch.SymFloat):
    """``num / den``, its Python float ``value`` at the sample values, its level of exactness and how it was computed.

    A square root or a logarithm is no fraction: it is *curved*, ``den`` is 0, and there is only the program. What the model
    concludes from one is assumed as the claim that it comes out like this: ``ceil(log2(S)) == 5`` holds for S from 17 to 32.
    """

    __slots__ = ("den", "level", "num", "program", "scope", "value")
    num: Size
    den: Size
    value: float
    level: int
    program: Program
    scope: Scope

    def __init__(self, num: Size, den: Size, value: float, level: int, program: Program, scope: Scope) -> None:
        self.num, self.den, self.value, self.level, self.program, self.scope = num, den, value, level, program, scope

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return float

    @property
    def node(self) -> Any:
        """What torch's C++ asks of the quotient; only there while its autograd engine runs on stand-ins."""
        make = self.scope.node
        if make is None:
            raise AttributeError("a symbolic quotient has no SymNode; use float(quotient) to pin it to its sample value")
        return make(self)

    @property
    def exact(self) -> bool:
        """Whether the fraction is what Python computes but for rounding: nothing took part but sizes and short fractions."""
        return self.level < ODD

    @property
    def curved(self) -> bool:
        """Whether no fraction stands for it."""
        return type(self.den) is int and self.den == 0

    def _curve(self, value: float, program: Program) -> SymRatio:
        return SymRatio(1, 0, value, ODD, program, self.scope)

    def of_function(self, name: str) -> SymRatio:
        """``math.sqrt``, ``math.log2`` and others of it, by their name in `UNARY`; they raise what Python's raise."""
        return self._curve(UNARY[name](self.value), (name, self.program, 0))

    def _shown(self, what: str) -> float:
        if self.scope.closed or in_message(_frame(2)):
            return self.value
        self._pin(f"a text made of sizes ({what})")
        return self.value

    def __repr__(self) -> str:
        return repr(self._shown("repr"))

    def __str__(self) -> str:
        return str(self._shown("str"))

    def __format__(self, spec: str) -> str:
        return format(self._shown("format"), spec)

    def __hash__(self) -> int:
        if not (self.scope.closed or tells(_frame(1))):
            self._pin("a hashed float")
        return hash(self.value)

    def __reduce__(self) -> tuple[Any, ...]:
        return float, (self.__float__(),)

    __reduce_ex__ = lambda self, protocol: self.__reduce__()  # noqa: E731

    def __copy__(self) -> SymRatio:
        return self

    def __deepcopy__(self, memo: object) -> SymRatio:
        return self

    def _parts(self, other: Any) -> _Parts | None:
        kind = type(other)
        if kind is SymRatio:
            return _Parts(other.num, other.den, other.value, other.level, other.program)
        if kind is SymSize:
            return _Parts(other.expr, 1, _double(other.hint), EXACT, other.expr)
        if isinstance(other, (int, Integral)):
            return _Parts(int(other), 1, _double(int(other)), EXACT, int(other))
        if isinstance(other, float) and math.isfinite(other):
            fraction, level = nearest(float(other))
            return _Parts(fraction.numerator, fraction.denominator, float(other), level, float(other))
        return None

    def _unlike(self, op: Callable[[Any, Any], Any], other: Any, swapped: bool = False) -> Any:
        """Arithmetic with infinities, nan, complex numbers and fractions."""
        if isinstance(other, (float, complex, Fraction)):
            return op(other, float(self)) if swapped else op(float(self), other)
        return NotImplemented

    def _make(self, num: Size, den: Size, value: float, level: int, program: Program) -> Any:
        num, den = reduced(num, den)
        if level <= ONCE and isinstance(num, int) and isinstance(den, int):
            return value
        return SymRatio(num, den, value, level, program, self.scope)

    def _apply(self, op: str, other: Any, swapped: bool = False) -> Any:
        there = self._parts(other)
        function = _FUNCTIONS[op]
        if there is None:
            return self._unlike(function, other, swapped)
        here = _Parts(self.num, self.den, self.value, self.level, self.program)
        left, right = (there, here) if swapped else (here, there)
        (a, b, x, _, _), (c, d, y, _, _) = left, right
        program: Program = (op, left.program, right.program)
        if _is_curved(left) or _is_curved(right):
            return self._curve(function(x, y), program)
        shift = _is_power_of_two(right) or (op == "*" and _is_power_of_two(left))
        level = level_of(op, left.level, right.level, shift)
        if op == "/":
            nonzero_hint(c, self.scope, "/")
            return self._make(a * d, b * c, x / y, level, program)
        if op == "*":
            return self._make(a * c, b * d, x * y, level, program)
        return self._make(a * d + c * b if op == "+" else a * d - c * b, b * d, function(x, y), level, program)

    def __add__(self, other: Any) -> Any:
        return self._apply("+", other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self._apply("-", other)

    def __rsub__(self, other: Any) -> Any:
        return self._apply("-", other, swapped=True)

    def __mul__(self, other: Any) -> Any:
        return self._apply("*", other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self._apply("/", other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._apply("/", other, swapped=True)

    def __floordiv__(self, other: Any) -> Any:
        return self._floored("//", other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._floored("//", other, swapped=True)

    def __mod__(self, other: Any) -> Any:
        return self._floored("%", other)

    def __rmod__(self, other: Any) -> Any:
        return self._floored("%", other, swapped=True)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def _floored(self, op: str, other: Any, swapped: bool = False) -> Any:
        """``//`` and ``%``: Python takes the floor of the quotient of the two doubles as they are, unrounded."""
        there = self._parts(other)
        if there is None:
            return self._unlike(_FUNCTIONS[op], other, swapped)
        here = _Parts(self.num, self.den, self.value, self.level, self.program)
        left, right = (there, here) if swapped else (here, there)
        (a, b, x, _, _), (c, d, y, _, _) = left, right
        nonzero_hint(c, self.scope, op)
        whole = x // y
        fractions = max(self.level, there.level) < ODD
        size = floordiv(a * d, b * c, nonzero=True) if fractions else 0
        if not fractions or not math.isfinite(whole) or self.scope.hint(size) != whole:
            self._pin("a floor of a float")
            if type(other) is SymRatio:
                other._pin("a floor of a float")
            return _FUNCTIONS[op](x, y)
        self._hold(left.level <= SAFE and right.level == EXACT, Claim("==", ("//", left.program, right.program), size), size)
        if op == "//":
            return self._make(size, 1, whole, EXACT, size)
        level = ROUGH if right.level != EXACT else SAFE if left.level == ONCE else left.level
        return self._make(a * d - b * c * size, b * d, x % y, level, (op, left.program, right.program))

    def __pow__(self, other: Any, modulus: Any = None) -> Any:
        if type(other) is SymSize or type(other) is SymRatio:
            other = float(other)
        if modulus is not None or not isinstance(other, (int, float)):
            return NotImplemented
        if other == 1:
            return self
        if other == 0:
            return 1.0
        if not abs(other) <= _LARGEST_POWER:  # soon beyond all floats, or nan
            return float(self) ** other
        program: Program = ("**", self.program, other)
        if other >= _LARGE_POWER:
            self.scope.claim(Claim("<=", program, sys.float_info.max), "Python raises OverflowError for a larger power")
        if self.curved:
            return self._curve(self.value**other, program)
        if other == int(other) and other > 0:
            k, level = int(other), EXACT if self.level == EXACT else max(self.level, ROUGH)
            return self._make(self.num**k, self.den**k, self.value**k, level, program)
        if other == -1 and self.level == EXACT:
            return 1.0 / self
        if other == int(other) and other < 0:
            nonzero_hint(self.num, self.scope, "**")
            k = -int(other)
            return self._make(self.den**k, self.num**k, self.value**other, max(self.level, ROUGH), program)
        if other == 0.5 and self.level <= ONCE:
            p, q = exact_root(self.num), exact_root(self.den)
            if p is not None and q is not None:
                return self._make(p, q, math.sqrt(self.value), EXACT if q == 1 else SAFE, program)
        if isinstance(other, int) or not math.isfinite(other) or self.value < 0:
            return float(self) ** other
        return self._curve(self.value**other, program)

    def __rpow__(self, other: Any, modulus: Any = None) -> Any:
        return other ** float(self) if isinstance(other, (int, float, complex)) else NotImplemented

    def __neg__(self) -> Any:
        if self.curved:
            return self._curve(-self.value, ("*", -1, self.program))
        return self._make(-self.num, self.den, -self.value, self.level, ("*", -1, self.program))

    def __pos__(self) -> SymRatio:
        return self

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    # -- rounding and comparison --------------------------------------------------------------------------------------

    def _hold(self, proved: bool, claim: Claim, *sizes: Size) -> None:
        """Assume that floats come out alike at other sizes; what is proved holds for all sizes that are not astronomic."""
        if proved:
            self.scope.limit(*sizes, self.num, self.den)
        else:
            self.scope.claim(claim, "the model rounds floats made of sizes")

    def _integer(self, how: str, size: Size, expected: int) -> Any:
        """The size, if it is what Python's floats come to at the sample values."""
        if self.exact and self.scope.hint(size) == expected:
            self._hold(self.level <= SAFE, Claim(how, self.program, size), size)
            return to_sym(size, self.scope)
        self._pin("a rounded float")
        return expected

    def _concluded(self, how: str, expected: int) -> Any:
        """The integer a curved number is rounded to: the side of a square, if its area is one side times another that is as
        long at the sample values, and else a number, for all sizes that it comes out for."""
        area = _under_root(self.program)
        root = None if area is None or expected**2 != self.scope.hint(area) else root_of_equals(area, self.scope.hint)
        if root is None:
            self.scope.claim(Claim(how, self.program, expected), "the model rounds floats made of sizes")
            return expected
        for one, other in root.equal:
            self.scope.same(one, other, "the model takes the square root of their product")
        self.scope.limit(root.size * root.size)
        return to_sym(root.size, self.scope)

    def __floor__(self) -> Any:
        if self.curved:
            return self._concluded("floor", math.floor(self.value))
        return self._integer("floor", floordiv(self.num, self.den, nonzero=True), math.floor(self.value))

    def __ceil__(self) -> Any:
        if self.curved:
            return self._concluded("ceil", math.ceil(self.value))
        return self._integer("ceil", -floordiv(-self.num, self.den, nonzero=True), math.ceil(self.value))

    def __trunc__(self) -> Any:
        if self.curved:
            return self._concluded("trunc", math.trunc(self.value))
        down = self.value >= 0 if self.level == ROUGH else self >= 0
        size = floordiv(self.num if down else -self.num, self.den, nonzero=True)
        return self._integer("trunc", size if down else -size, math.trunc(self.value))

    def __sym_int__(self) -> Any:
        return self.__trunc__()

    def __round__(self, ndigits: int | None = None) -> Any:
        if ndigits is not None:
            value = self.value if formats_number(_frame(1)) else float(self)
            return round(value, operator.index(ndigits))
        if self.curved:
            return self._concluded("round", round(self.value))
        p, q = 2 * self.num + self.den, 2 * self.den
        if not (self.exact and isinstance(q, int)):
            return round(float(self))  # a half goes to the even neighbour: whether it is one needs the number
        size = floordiv(p, q)
        divisible = self.scope.divisible
        if q % 4 == 0 and divisible(p, q, "round() of a half") and not divisible(size, 2, "round() of a half"):
            size = size - 1
        return self._integer("round", size, round(self.value))

    def _compare(self, relation: Comparison, op: Callable[[Any, Any], bool], other: Any) -> Any:
        if self.scope.closed:
            return op(self.value, getattr(other, "value", other))
        there = self._parts(other)
        if there is None:
            if isinstance(other, float):  # infinite or nan: the same for every size
                return op(self.value, other)
            return op(float(self), other) if isinstance(other, (complex, Fraction)) else NotImplemented
        expected = op(self.value, there.value)
        if self._decided(relation, there, expected):
            return expected
        self._pin("a comparison of floats")
        if type(other) is SymRatio:
            other._pin("a comparison of floats")
        return expected

    def _decided(self, relation: Comparison, there: _Parts, expected: bool) -> bool:
        """Whether the fractions decide as Python did at the sample values; then that is assumed."""
        if self.curved or _is_curved(there):
            self.scope.claim(Claim.comparison(relation, self.program, there.program, expected), "the model compares floats")
            return True
        if there.level == ODD and isinstance(there.program, float) and self.level <= ONCE:
            return self._decided_exactly(relation, there.program, expected)
        low, high = sorted((self.level, there.level))
        if high == ODD:
            return False
        left, right = self._crossed(there.num, there.den)
        if holds(relation, self.scope.hint(left), self.scope.hint(right)) != expected:
            return False
        proved = high <= ONCE or (high == SAFE and low == EXACT)
        self._hold(proved, Claim.comparison(relation, self.program, there.program, expected), left, right)
        self._assume(relation, left, right)
        return True

    def _decided_exactly(self, relation: Comparison, value: float, expected: bool) -> bool:
        """A comparison with a float that is no short fraction: where the doubles next to it end decides."""
        conditions = [(relation, Fraction(value))] if self.level == EXACT else thresholds(relation, value)
        crossed = [(how, *self._crossed(limit.numerator, limit.denominator)) for how, limit in conditions]
        hint = self.scope.hint
        truths = [holds(how, hint(left), hint(right)) for how, left, right in crossed]
        within = all(truths)
        inverted = relation == "!=" and self.level != EXACT
        if (within != inverted) != expected:
            return False
        for (how, left, right), truth in zip(crossed, truths, strict=True):
            if within or not truth:
                self._assume(how, left, right)
                if not within:
                    break
        self.scope.limit(self.num, self.den)
        return True

    def _crossed(self, c: Size, d: Size) -> tuple[Size, Size]:
        """``num/den`` against ``c/d`` as two sizes, multiplied by the denominators."""
        a, b = self.num, self.den
        for den in (b, d):
            if self.scope.decide("<", den, 0, "sign of a denominator"):
                a, c = -a, -c
        return a * d, c * b

    def _assume(self, relation: Comparison, left: Size, right: Size) -> None:
        if isinstance(right, int) and isinstance(left, Expr):
            if relation in ("==", "!=") and right % math.gcd(*left.terms.values()):
                return  # never equal
            left, right = simplest(left, right, relation)
        self.scope.question = (relation, left, right)
        self.scope.decide(relation, left, right, ASKED)

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

    # -- numbers: these pin -------------------------------------------------------------------------------------------

    def _pin(self, reason: str) -> None:
        for size in (self.num, self.den) if self.level <= ONCE else sizes_in(self.program):
            self.scope.pin(size, f"the model needs the value of {reason}")

    def __float__(self) -> float:
        if not (self.scope.closed or formats_number(_frame(1))):
            self.scope.taken(_frame(1))
            self._pin("a float made of sizes")
        return self.value

    def __int__(self) -> int:
        if not (self.scope.closed or formats_number(_frame(1))):
            self.scope.taken(_frame(1))
            self._pin("an int made of sizes")
        return int(self.value)

    def is_integer(self) -> bool:
        """Whether the denominator divides the numerator."""
        if isinstance(self.den, int) and self.exact and self.level <= SAFE:
            self.scope.limit(self.num)
            return self.scope.divisible(self.num, self.den, "is_integer()")
        return float(self).is_integer()

    # -- what torch.sym_max and friends call --------------------------------------------------------------------------

    def __sym_float__(self) -> SymRatio:
        return self

    def __sym_max__(self, other: Any) -> Any:
        return _sym_float(max(self, other))

    def __sym_min__(self, other: Any) -> Any:
        return _sym_float(min(self, other))

    def __sym_sqrt__(self) -> Any:
        return self**0.5


_LARGEST_POWER = 64
_LARGE_POWER = 16
"""A float of fewer factors overflows for sizes beyond 2**63 alone."""
_FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod,
}  # fmt: skip


def _is_curved(x: _Parts) -> bool:
    return type(x.den) is int and x.den == 0


def _under_root(program: Program) -> Expr | None:
    """The size that this is the square root of."""
    if not isinstance(program, tuple) or not isinstance(program[1], Expr):
        return None
    return program[1] if program[0] == "sqrt" or program[::2] == ("**", 0.5) else None


def _is_power_of_two(x: _Parts) -> bool:
    return all(isinstance(n, int) and n > 0 and n & (n - 1) == 0 for n in (x.num, x.den))


def _sym_float(value: Any) -> Any:
    return value.__sym_float__() if type(value) in (SymSize, SymRatio) else float(value)


def _double(value: int) -> float:
    """The value as a float; infinite beyond their range, where Python's own conversion fails."""
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


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
    return int(size) if isinstance(size, int) else _sym(size, scope.hint(size), scope)


def to_size(value: Any) -> Size:
    """The size behind what the model holds: an int, a bool or a `SymSize`.

    >>> scope = Scope({"B": 2})
    >>> to_size(to_sym(scope.symbols["B"], scope)) == scope.symbols["B"], to_size(3)
    (True, 3)
    """
    size = size_of(value)
    return operator.index(value) if size is None else size
