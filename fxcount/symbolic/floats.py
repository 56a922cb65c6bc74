"""What Python's floats make of sizes: how exact a float is, and claims that at other sizes it comes out alike.

A quotient of sizes is a fraction to the algebra and a rounded double to Python. The *level* of a float says what may be
concluded from the fraction alone (for numerators and denominators below 2**43):

* ``EXACT``: the double is the fraction (an integer over a power of two).
* ``ONCE``: the double is the fraction, rounded once: ``H / 3``, ``0.1``. Order and equality of two such doubles are those of
  the fractions.
* ``SAFE``: rounded more often, but exact wherever the fraction is an integer over a power of two, so that ``floor``,
  ``ceil`` and ``round`` are those of the fraction: ``H / 3 + 1``.
* ``ROUGH``: anything else: ``64 / H * H`` is 63.99 for some ``H``. What is concluded is a formula together with a `Claim`,
  which is computed again, in floats, for every size asked.
* ``ODD``: a number took part that is no short fraction, such as pi: there is no formula.

>>> from fxcount.symbolic.expr import symbol
>>> H = symbol("H")
>>> claim = Claim("floor", ("*", ("/", 64, H), H), 64)
>>> str(claim), claim.holds({"H": 32}), claim.holds({"H": 49})
('floor(64/H*H) == 64 in floating point', True, False)
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from fxcount.dataclass import dataclass
from fxcount.symbolic.expr import Expr, Size
from fxcount.symbolic.text import to_text
from fxcount.symbolic.values import evaluate

__all__ = [
    "EXACT", "LARGEST", "ODD", "ONCE", "OPERATORS", "ROUGH", "SAFE", "UNARY", "Claim", "Comparison", "Program", "claim_from",
    "level_of", "nearest", "plain_claim", "run", "sizes_in", "thresholds",
]  # fmt: skip

EXACT, ONCE, SAFE, ROUGH, ODD = range(5)
SHORT = 1 << 10  # largest denominator of a float that is kept as a fraction
LARGEST = 1 << 43  # sizes up to here come out of floats of such fractions exactly

Comparison: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">="]

Program: TypeAlias = "int | float | Expr | tuple[str, Program, Program]"
"""How Python computed a float: numbers, sizes, ``(operator, left, right)``, and ``(function, operand, 0)`` (see `UNARY`)."""


def _numpys(name: str) -> Callable[[Any], float]:
    def function(x: Any) -> float:
        import numpy as np

        with np.errstate(all="ignore"):
            return float(getattr(np, name)(x))

    return function


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "**": operator.pow,
}  # fmt: skip
"""Arithmetic of two numbers."""
UNARY: dict[str, Callable[[Any], float]] = {
    **{name: getattr(math, name) for name in ("sqrt", "log", "log2", "log10", "log1p", "exp")},
    **{f"np.{name}": _numpys(name) for name in ("log", "log2", "log10", "log1p", "exp")},
}
"""Functions of one number that no fraction stands for, as Python or numpy computes them."""
_ROUNDINGS: dict[str, Callable[[Any], int]] = {"floor": math.floor, "ceil": math.ceil, "trunc": math.trunc, "round": round}
_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_BINDS = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2, "**": 3}


def run(program: Program, values: Mapping[str, int]) -> Any:
    """The number, computed as Python does.

    >>> from fxcount.symbolic.expr import symbol
    >>> run(("*", ("/", symbol("H"), 10), 3), {"H": 7})
    2.0999999999999996
    """
    if isinstance(program, tuple):
        op, left, right = program
        function = UNARY.get(op)
        if function is not None:
            return function(run(left, values))
        return OPERATORS[op](run(left, values), run(right, values))
    return evaluate(program, values) if isinstance(program, Expr) else program


def sizes_in(program: Program) -> Iterator[Expr]:
    """The sizes that take part."""
    if isinstance(program, tuple):
        yield from sizes_in(program[1])
        yield from sizes_in(program[2])
    elif isinstance(program, Expr):
        yield program


def _text(program: Program, binds: int = 0) -> str:
    if not isinstance(program, tuple):
        text = to_text(program) if isinstance(program, Expr) else str(program)
        return f"({text})" if isinstance(program, Expr) and binds and len(program.terms) > 1 else text
    op, left, right = program
    if op in UNARY:
        return f"{op}({_text(left)})"
    space = " " if op in "+-" else ""
    text = f"{_text(left, _BINDS[op])}{space}{op}{space}{_text(right, _BINDS[op] + 1)}"
    return f"({text})" if _BINDS[op] < binds else text


@dataclass(frozen=True, slots=True)
class Claim:
    """Python's floats come out like this: ``floor(left) == right`` (``ceil``, ``trunc``, ``round``), or ``left < right``."""

    how: str
    left: Program
    right: Program

    def holds(self, values: Mapping[str, int]) -> bool:
        """Whether they do at these sizes; where Python raises an error, they do not."""
        try:
            left, right = run(self.left, values), run(self.right, values)
            if self.how in _ROUNDINGS:
                return bool(_ROUNDINGS[self.how](left) == right)
            return _RELATIONS[self.how](left, right)
        except (ArithmeticError, ValueError, TypeError):  # TypeError: a negative number to a broken power is complex
            return False

    @property
    def sizes(self) -> tuple[Expr, ...]:
        """The sizes that take part."""
        return tuple(sizes_in((self.how, self.left, self.right)))

    def __str__(self) -> str:
        if self.how in _ROUNDINGS:
            return f"{self.how}({_text(self.left)}) == {_text(self.right)} in floating point"
        return f"{_text(self.left)} {self.how} {_text(self.right)} in floating point"

    @staticmethod
    def comparison(relation: str, left: Program, right: Program, truth: bool) -> Claim:
        """``left relation right`` is this ``truth``."""
        return Claim(relation if truth else _OPPOSITE[relation], left, right)


# -- plain data -------------------------------------------------------------------------------------------------------
def plain_claim(claim: Claim, write: Callable[[Size], Any]) -> list[Any]:
    """The claim as nested lists of texts and numbers; ``write`` gives the text of a size.

    >>> plain_claim(Claim("floor", ("*", 0.5, 7), 3), int)
    ['floor', ['*', 0.5, 7], 3]
    """

    def plain(program: Program) -> Any:
        if isinstance(program, tuple):
            return [program[0], plain(program[1]), plain(program[2])]
        return write(program) if isinstance(program, Expr) else program

    return [claim.how, plain(claim.left), plain(claim.right)]


def claim_from(row: Any, read: Callable[[str], Size]) -> Claim:
    """The inverse of :func:`plain_claim`; raises ValueError for what it does not write.

    >>> str(claim_from(["floor", ["*", 0.5, 7], 3], int))
    'floor(0.5*7) == 3 in floating point'
    """

    def program(plain: Any, depth: int = 0) -> Program:
        if isinstance(plain, str):
            return read(plain)
        if isinstance(plain, (int, float)):
            return plain
        if depth > 64 or not isinstance(plain, list) or len(plain) != 3 or plain[0] not in {**OPERATORS, **UNARY}:
            raise ValueError(f"no computation of a float: {str(plain)[:80]}")
        op, left, right = plain[0], program(plain[1], depth + 1), program(plain[2], depth + 1)
        if op == "**" and not (isinstance(right, (int, float)) and abs(right) <= 64):
            raise ValueError("a power that no analysis writes")
        return op, left, right

    if not isinstance(row, list) or len(row) != 3 or row[0] not in (*_ROUNDINGS, *_RELATIONS):
        raise ValueError(f"no claim about floats: {str(row)[:80]}")
    return Claim(row[0], program(row[1]), program(row[2]))


# -- levels -----------------------------------------------------------------------------------------------------------
def level_of(op: str, left: int, right: int, by_power_of_two: bool) -> int:
    """The level of a sum, difference, product or quotient of floats of these levels.

    ``SAFE`` stays ``SAFE`` where the operand can be had back from an exact result without rounding. ``by_power_of_two``: the
    right operand of ``/``, or either one of ``*``, is one.

    >>> level_of("/", EXACT, EXACT, False), level_of("+", ONCE, EXACT, False), level_of("*", ONCE, EXACT, False)
    (1, 2, 3)
    """
    if max(left, right) >= ROUGH:
        return max(left, right)
    if op in "+-":
        return EXACT if left == right == EXACT else SAFE if EXACT in (left, right) else ROUGH
    if op == "*":
        return max(left, right) if by_power_of_two or left == right == EXACT else ROUGH
    if right != EXACT:
        return ROUGH
    if by_power_of_two:
        return left
    return ONCE if left == EXACT else SAFE


def nearest(value: float) -> tuple[Fraction, int]:
    """The fraction a float stands for, and its level: 0.5 is 1/2 exactly, 0.1 is 1/10 rounded; else it is what it is: odd.

    >>> nearest(0.5)[1], nearest(0.1), nearest(2.5e-7)[1]
    (0, (Fraction(1, 10), 1), 4)
    """
    exact = Fraction(value)
    if exact.denominator <= SHORT:
        return exact, EXACT
    simple = exact.limit_denominator(SHORT)
    return (simple, ONCE) if float(simple) == value else (exact, ODD)


def thresholds(relation: Comparison, value: float) -> list[tuple[Comparison, Fraction]]:
    """Conditions on a real number that hold exactly if, rounded to a double, it has this relation to ``value``.

    >>> thresholds("<", 1.0)
    [('<', Fraction(18014398509481983, 18014398509481984))]
    """
    below, above = math.nextafter(value, -math.inf), math.nextafter(value, math.inf)
    low, high = (Fraction(below) + Fraction(value)) / 2, (Fraction(value) + Fraction(above)) / 2
    even = float(low) == value  # of two doubles equally near, the one with an even last bit
    if relation == "<":
        return [("<" if even else "<=", low)]
    if relation == ">=":
        return [(">=" if even else ">", low)]
    if relation == "<=":
        return [("<=" if even else "<", high)]
    if relation == ">":
        return [(">" if even else ">=", high)]
    return [*thresholds(">=", value), *thresholds("<=", value)]
