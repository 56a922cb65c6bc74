"""sympy's floor, ceiling, Max, Min and Piecewise as formulas hand them out: equal to sympy's own, with the same hash.

* One fraction in a floor: ``floor((H + 28)/32)``, where sympy prints ``floor(H/32 + 7/8)``.
* ``lambdify`` divides integers: exact for Python's of any length, and for arrays of integers within their type.
* A Max of formulas is not compared pair by pair once more, which takes sympy seconds; given numbers, it is a number.
* A Piecewise on numpy's arrays gives Python's integers, and None where no piece is: beside a NaN there numpy would make floats.

The classes have sympy's names, as by these its hashes and its printers go. Import this file only where sympy is needed.
"""

from __future__ import annotations

from typing import Any

import sympy

__all__ = ["Max", "Min", "Piecewise", "ceiling", "floor"]


def _fraction(e: Any) -> tuple[Any, Any]:
    """Numerator and denominator of what is rounded."""
    terms = [t.as_coeff_Mul() for t in sympy.Add.make_args(e)]
    if not all(c.is_Rational for c, _ in terms):
        return e.as_numer_denom()  # type: ignore[no-any-return]
    common = sympy.ilcm(1, *[c.q for c, _ in terms])
    if common == 1:
        return e.as_numer_denom()  # type: ignore[no-any-return]
    return sympy.Add(*[sympy.Mul(c * common, rest) for c, rest in terms]), sympy.Integer(common)


class _Shared:
    """Symbols are looked for once: formulas share what they are made of, and sympy would spell it out."""

    @property
    def free_symbols(self: Any) -> Any:
        if "_symbols" not in self.__dict__:
            self.__dict__["_symbols"] = frozenset().union(*[a.free_symbols for a in self.args])
        return set(self.__dict__["_symbols"])

    def __ne__(self, other: object) -> bool:
        return not self == other


class _InOrder(_Shared):
    """Equal to sympy's own of the same arguments, in this order."""

    def __eq__(self: Any, other: object) -> Any:
        if isinstance(other, self.plain):
            return bool(self.args == other.args)
        return self.plain.__eq__(self, other)


class _Rounding(_InOrder):
    """What both have besides sympy's own."""

    def _as_written(self: Any) -> Any:
        n, d = _fraction(self.args[0])
        written = self.args[0] if d == 1 or not n.is_Add else sympy.Mul(n, sympy.Pow(d, -1, evaluate=False), evaluate=False)
        return self.plain(written, evaluate=False)

    def _sympystr(self, printer: Any) -> str:
        return str(printer._print(self._as_written()))

    def _sympyrepr(self: Any, printer: Any) -> str:
        return f"{type(self).__name__}({printer._print(self.args[0])})"

    def _latex(self, printer: Any, exp: Any = None) -> str:
        text = str(printer._print(self._as_written()))
        return text if exp is None else f"{text}^{{{exp}}}"

    def _pretty(self, printer: Any) -> Any:
        return printer._print(self._as_written())

    def _pythoncode(self: Any, printer: Any) -> str:
        n, d = _fraction(self.args[0])
        sign = "-" if self.plain is sympy.ceiling else ""
        text = f"({sign}({printer._print(n)})//({printer._print(d)}))"
        return f"(-{text})" if sign else text

    _numpycode = _scipycode = _lambdacode = _mpmathcode = _pythoncode


class floor(_Rounding, sympy.floor):  # type: ignore[misc]
    plain = sympy.floor
    __hash__ = sympy.floor.__hash__


class ceiling(_Rounding, sympy.ceiling):  # type: ignore[misc]
    plain = sympy.ceiling
    __hash__ = sympy.ceiling.__hash__


class _Extremum(_Shared):
    def __new__(cls: Any, *args: Any, **options: Any) -> Any:
        args = tuple(map(sympy.sympify, args))
        if all(a.is_number for a in args):
            return cls.plain(*args, **options)
        return cls.plain.__new__(cls, *args, evaluate=False)

    def __eq__(self: Any, other: object) -> Any:
        if isinstance(other, self.plain):
            return bool(set(self.args) == set(other.args))
        return self.plain.__eq__(self, other)


class Max(_Extremum, sympy.Max):  # type: ignore[misc]
    plain = sympy.Max
    __hash__ = sympy.Max.__hash__


class Min(_Extremum, sympy.Min):  # type: ignore[misc]
    plain = sympy.Min
    __hash__ = sympy.Min.__hash__


class Piecewise(_InOrder, sympy.Piecewise):  # type: ignore[misc]
    plain = sympy.Piecewise
    __hash__ = sympy.Piecewise.__hash__

    def _numpycode(self: Any, printer: Any) -> str:
        head, _, _ = str(printer._print(self.plain(*self.args, evaluate=False))).rpartition("default=")
        return f"{head}default=None)"  # numpy.select(..., default=nan) is of floats

    _scipycode = _numpycode
