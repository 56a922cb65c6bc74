"""Sizes as straight-line programs, for JSON and other runtimes.

A program is a list of rows ``[op, a, b]``; the last row is the result.

========== ============================ =========================================
op         a                            b
========== ============================ =========================================
int        the number as a string       null
sym        the name                     null
add mul    row of the left operand      row of the right operand
floordiv   row of the numerator         row of the denominator, rounding down
max min    row of the left operand      row of the right operand
pow        row of the base              the exponent, a positive number
========== ============================ =========================================

Numbers are strings because they may pass 2**63, which JSON readers do not agree on.

>>> from fxcount.symbolic.expr import symbol
>>> for row in to_rows(64 * symbol("B") * (symbol("H") // 2)):
...     print(row)
['int', '64', None]
['sym', 'B', None]
['mul', 0, 1]
['sym', 'H', None]
['int', '2', None]
['floordiv', 3, 4]
['mul', 2, 5]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias, TypeVar

from fxcount.errors import SizeError
from fxcount.symbolic.expr import Atom, Monomial, Size, symbol
from fxcount.symbolic.extrema import max_, min_
from fxcount.symbolic.floor import floordiv
from fxcount.symbolic.guard import check_power, check_product, check_sum
from fxcount.symbolic.text import factors_of, in_reading_order

__all__ = ["Program", "Row", "eval_rows", "from_rows", "to_rows"]

Row: TypeAlias = list[str | int | None]
Value = TypeVar("Value", int, Size)


def to_rows(size: Size) -> list[Row]:
    """The program that computes the size; equal parts are computed once.

    >>> from fxcount.symbolic.expr import symbol
    >>> to_rows(symbol("B") ** 2 + 1)
    [['sym', 'B', None], ['pow', 0, 2], ['int', '1', None], ['add', 1, 2]]
    """
    program = Program()
    result = program.size(size)
    if result != len(program.rows) - 1:  # cannot happen for a canonical size: its last row is its last operation
        raise SizeError(f"no program for the size {size}")
    return program.rows


class Program:
    """One program of many sizes: what they have in common is computed once; each is known by the number of its row.

    >>> from fxcount.symbolic.expr import symbol
    >>> program = Program()
    >>> program.size(2 * symbol("B")), program.size(2 * symbol("B") + 1), program.size(7)
    (2, 4, 5)
    >>> program.rows[4]
    ['add', 2, 3]
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._sizes: dict[Size, int] = {}
        self.index: dict[tuple[str | int | None, ...], int] = {}
        self.atoms: dict[str, int] = {}  # rows of atoms

    def row(self, op: str, a: str | int, b: int | None = None) -> int:
        key = (op, a, b)
        if key not in self.index:
            self.index[key] = len(self.rows)
            self.rows.append([op, a, b])
        return self.index[key]

    def size(self, size: Size) -> int:
        """The number of the row that has the size; rows it needs are added."""
        known = self._sizes.get(size)
        if known is None:
            known = self._sizes[size] = self._size(size)
        return known

    def _size(self, size: Size) -> int:
        if isinstance(size, int):
            return self.row("int", str(int(size)))
        return self.chain("add", (self.term(m, c) for m, c in in_reading_order(size.terms)))

    def term(self, m: Monomial, c: int) -> int:
        return self.chain("mul", self.factors(m, c))

    def factors(self, m: Monomial, c: int) -> Iterator[int]:
        if c != 1 or not m:
            yield self.row("int", str(c))
        for factor, group in groupby(factors_of(m)):
            power = len(list(group))
            base = self.atom(factor) if isinstance(factor, Atom) else self.row("sym", factor)
            yield base if power == 1 else self.row("pow", base, power)

    def atom(self, atom: Atom) -> int:
        row = self.atoms.get(atom)
        if row is None:
            op = "floordiv" if atom.kind == "floor" else atom.kind
            row = self.atoms[atom] = self.chain(op, map(self.size, atom.args))
        return row

    def chain(self, op: str, parts: Iterable[int]) -> int:
        result = -1
        for part in parts:  # lazily: a program reads best when each row follows its operands
            result = part if result < 0 else self.row(op, result, part)
        return result


def from_rows(rows: Iterable[Sequence[str | int | None]]) -> Size:
    """The size a program computes.

    >>> from fxcount.symbolic.expr import symbol
    >>> size = 3 * symbol("B") // 2 + 2**70
    >>> from_rows(to_rows(size)) == size
    True
    """
    return _run(rows, _named, _number, floordiv, max_, min_)


def eval_rows(rows: Iterable[Sequence[str | int | None]], values: Mapping[str, int]) -> int:
    """The value a program computes for these numbers; needs nothing but Python's integers.

    >>> eval_rows([["sym", "B", None], ["pow", 0, 2]], {"B": 10**12})
    1000000000000000000000000
    """

    def number(name: str) -> int:
        if name not in values:
            raise SizeError(f"no value for the symbol {name!r}", hint="give one for each symbol")
        return values[name]

    def divide(a: int, b: int) -> int:
        return a // b

    return _run(rows, number, _number, divide, max, min)


def _power(base: Value, exponent: int) -> Value:
    if exponent < 1:
        raise SizeError(f"the exponent {exponent} is no positive number")
    check_power(base, exponent)
    result = base
    for _ in range(exponent - 1):
        result = result * base
    return result


def _parts(i: int, row: Any) -> tuple[Any, Any, Any]:
    if not isinstance(row, (list, tuple)) or len(row) != 3 or any(isinstance(x, bool) for x in row):
        raise SizeError(f"row {i} is malformed: {str(row)[:80]}", hint="a row is [op, a, b]")
    op, a, b = row
    return op, a, b


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise SizeError(f"{text[:40]!r} is no number") from None


def _named(name: str) -> Size:
    if not name.isidentifier():
        raise SizeError(f"{name[:40]!r} is no name of a symbol")
    return symbol(name)


def _run(
    rows: Iterable[Sequence[str | int | None]],
    name: Callable[[str], Value],
    number: Callable[[str], Value],
    divide: Callable[[Value, Value], Value],
    largest: Callable[[Value, Value], Value],
    smallest: Callable[[Value, Value], Value],
) -> Value:
    done: list[Value] = []
    for i, row in enumerate(rows):
        op, a, b = _parts(i, row)
        if op in ("sym", "int") and isinstance(a, (str, int)):
            done.append(name(str(a)) if op == "sym" else number(str(a)))
        elif not (isinstance(a, int) and isinstance(b, int) and 0 <= a < i and (op == "pow" or 0 <= b < i)):
            raise SizeError(f"row {i} is malformed: {[op, a, b]}", hint="operands are numbers of earlier rows")
        elif op == "add":
            check_sum(done[a], done[b])
            done.append(done[a] + done[b])
        elif op == "mul":
            check_product(done[a], done[b])
            done.append(done[a] * done[b])
        elif op == "pow":
            done.append(_power(done[a], b))
        elif op == "floordiv" and done[b] == 0:
            raise SizeError(f"row {i} divides by zero")
        elif op in ("floordiv", "max", "min"):
            done.append({"floordiv": divide, "max": largest, "min": smallest}[op](done[a], done[b]))
        else:
            raise SizeError(f"row {i} has the unknown op {op!r}")
    if not done:
        raise SizeError("a program of no rows has no result")
    return done[-1]
