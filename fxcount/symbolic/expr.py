"""Exact integer sizes: polynomials with integer coefficients over symbols and integer-valued atoms.

An `Expr` maps monomials to integer coefficients. A monomial is the sorted tuple of its factors, a repeated factor
written as often as its power: ``("B", "H", "H")`` is ``B*H**2`` and ``()`` is the constant term. A factor is a symbol
(a plain ``str``) or an `Atom`, a ``str`` whose text is its canonical form. Strings hash and compare in C and sort the
same in every process, which makes this form both deterministic and fast.

A result that is constant is always a plain ``int``, so ``type(size) is int`` tells whether a size is concrete.

>>> B, h = symbol("B"), symbol("h")
>>> (B + 1) * (B - 1) - B * B
-1
>>> 2 * B * h + B * h
3*B*h
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NoReturn, TypeAlias

from fxcount.errors import SizeError

__all__ = [
    "Atom", "Expr", "Hooks", "Monomial", "Size", "combination", "make", "monomial_order", "prod", "sum_", "symbol",
    "terms_of", "wrap",
]  # fmt: skip

Monomial: TypeAlias = tuple[str, ...]

MEMO = 1 << 14  # entries of each memo: far more than one model's distinct sizes, a few MB when full


class Atom(str):
    """An integer-valued factor that is not a symbol: ``kind`` is "floor", "max" or "min".

    A floor has the two arguments ``(numerator, denominator)``; it is ``paired`` if the denominator is an even number, so
    that it adds up with other floors to a simpler size (see pairs.py).
    """

    __slots__ = ("args", "kind", "paired")
    kind: str
    args: tuple[Size, ...]
    paired: bool

    def __new__(cls, text: str, kind: str = "", args: tuple[Size, ...] = (), paired: bool = False) -> Atom:
        self = super().__new__(cls, text)
        self.kind, self.args, self.paired = kind, args, paired
        return self

    def __reduce__(self) -> tuple[type[Atom], tuple[str, str, tuple[Size, ...], bool]]:
        return Atom, (str(self), self.kind, self.args, self.paired)

    def __str__(self) -> str:  # a plain str, so that it cannot be taken for an atom
        return "".join(self)


class Hooks:
    """Operations of later modules that `Expr` needs; filled in when the package is imported."""

    floordiv: Callable[[Size, Size], Size]
    floordiv_int: Callable[[Expr, int], Size]
    settle_halves: Callable[[dict[Monomial, int]], None]
    text: Callable[[Size], str]


def monomial_order(m: Monomial) -> tuple[int, Monomial]:
    """Sort key of monomials: higher degree first, then by name.

    >>> sorted([(), ("h",), ("B", "h"), ("B",)], key=monomial_order)
    [('B', 'h'), ('B',), ('h',), ()]
    """
    return -len(m), m



class Expr:
    """An immutable size that depends on at least one symbol. ``==`` is structural equality and never a guard.

    Its operators ask for the type of the other operand, not with isinstance(): a `SymSize` passes for an int there."""

    __slots__ = ("__weakref__", "_hash", "halves", "terms")
    terms: dict[Monomial, int]
    halves: bool  # whether a sum must be checked for `n - floor(n/2)`, see pairs.py
    _hash: int | None

    def __init__(self, *args: object) -> None:
        raise TypeError("build sizes with symbol(name) and arithmetic, not with Expr(...)")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("sizes are immutable")

    def __hash__(self) -> int:
        value = self._hash
        if value is None:
            value = hash(frozenset(self.terms.items()))
            _set_hash(self, value)
        return value

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(other) is not Expr:
            return False
        return self.terms == other.terms

    def __reduce__(self) -> tuple[Callable[[dict[Monomial, int]], Size], tuple[dict[Monomial, int]]]:
        return make, (self.terms,)

    def __copy__(self) -> Expr:
        return self

    def __deepcopy__(self, memo: object) -> Expr:
        return self

    def __repr__(self) -> str:
        return Hooks.text(self)

    def __add__(self, other: Size) -> Size:
        if type(other) is Expr:
            return _add(self, other)
        if issubclass(type(other), int):
            return _add_int(self, other)
        return NotImplemented

    __radd__ = __add__

    def __sub__(self, other: Size) -> Size:
        if type(other) is Expr:
            return _sub(self, other)
        if issubclass(type(other), int):
            return _add_int(self, -other)
        return NotImplemented

    def __rsub__(self, other: int) -> Size:
        return _add_int(_scale(self, -1), other) if issubclass(type(other), int) else NotImplemented

    def __neg__(self) -> Expr:
        return _scale(self, -1)

    def __pos__(self) -> Expr:
        return self

    def __mul__(self, other: Size) -> Size:
        if type(other) is Expr:
            return _mul(self, other)
        if issubclass(type(other), int):
            return _scale(self, other) if other else 0
        return NotImplemented

    __rmul__ = __mul__

    def __floordiv__(self, other: Size) -> Size:
        if type(other) is int:
            return Hooks.floordiv_int(self, other)
        if type(other) is Expr or issubclass(type(other), int):
            return Hooks.floordiv(self, other)
        return NotImplemented

    def __rfloordiv__(self, other: int) -> Size:
        return Hooks.floordiv(int(other), self) if issubclass(type(other), int) else NotImplemented

    def __mod__(self, other: Size) -> Size:
        if type(other) is Expr or issubclass(type(other), int):
            return self - other * Hooks.floordiv(self, other)
        return NotImplemented

    def __rmod__(self, other: int) -> Size:
        return other - self * Hooks.floordiv(int(other), self) if issubclass(type(other), int) else NotImplemented

    def __divmod__(self, other: Size) -> tuple[Size, Size]:
        return self // other, self % other

    def __rdivmod__(self, other: int) -> tuple[Size, Size]:
        return other // self, other % self

    def __pow__(self, power: int) -> Size:
        if not issubclass(type(power), int):
            return NotImplemented
        if power < 0:
            raise SizeError(f"cannot raise the size {self} to the power {power}: a size is an integer")
        result: Size = 1
        for bit in bin(power)[2:]:  # square and multiply
            result = result * result
            if bit == "1":
                result = result * self
        return result

    def _refuse(self, what: str) -> NoReturn:
        raise TypeError(f"the size {self} is symbolic and {what}; use Scope.decide(...), Scope.same(...) or Scope.pin(...)")

    def __bool__(self) -> NoReturn:
        self._refuse("has no truth value")

    def __int__(self) -> NoReturn:
        self._refuse("is not one number")

    __index__ = __float__ = __int__

    def __lt__(self, other: object) -> NoReturn:
        self._refuse("has no order")

    __le__ = __gt__ = __ge__ = __lt__


Size: TypeAlias = int | Expr

_slots: dict[str, Any] = dict(Expr.__dict__)
_set_terms: Callable[[Expr, dict[Monomial, int]], None] = _slots["terms"].__set__
_set_halves: Callable[[Expr, bool], None] = _slots["halves"].__set__
_set_hash: Callable[[Expr, int | None], None] = _slots["_hash"].__set__
_new = object.__new__


def wrap(terms: dict[Monomial, int], halves: bool) -> Expr:
    """An `Expr` of terms as they are: for terms that are known to be canonical and not constant.

    >>> wrap({("B",): 2}, False)
    2*B
    """
    self = _new(Expr)
    _set_terms(self, terms)
    _set_halves(self, halves)
    _set_hash(self, None)
    return self


def make(terms: dict[Monomial, int]) -> Size:
    """The size with these terms, which must have sorted monomials and no zero coefficient; the dict is taken over.

    >>> make({("B", "h"): 2, (): 1})
    2*B*h + 1
    >>> make({})
    0
    """
    return _sum(terms, any(type(f) is Atom and f.paired for m in terms for f in m))


def _sum(terms: dict[Monomial, int], halves: bool) -> Size:
    if halves:
        Hooks.settle_halves(terms)
    if len(terms) < 2:
        if not terms:
            return 0
        if () in terms:
            return terms[()]
    return wrap(terms, halves)


@lru_cache(MEMO)
def _scale(a: Expr, k: int) -> Expr:
    return wrap({m: c * k for m, c in a.terms.items()}, a.halves) if k != 1 else a


@lru_cache(MEMO)
def _add_int(a: Expr, k: int) -> Expr:
    if not k:
        return a
    terms = a.terms.copy()
    k += terms.get((), 0)
    if k:
        terms[()] = int(k)
    else:
        del terms[()]
    return wrap(terms, a.halves)  # a size has a term that is not constant, and keeps it


@lru_cache(MEMO)
def _add(a: Expr, b: Expr) -> Size:
    if len(a.terms) < len(b.terms):
        a, b = b, a
    terms = a.terms.copy()
    for m, c in b.terms.items():
        if m in terms:
            c += terms[m]
            if c:
                terms[m] = c
            else:
                del terms[m]
        else:
            terms[m] = c
    return _sum(terms, a.halves or b.halves)


@lru_cache(MEMO)
def _sub(a: Expr, b: Expr) -> Size:
    return _add(a, _scale(b, -1))


@lru_cache(MEMO)
def _mul(a: Expr, b: Expr) -> Size:
    terms: dict[Monomial, int] = {}
    for m, c in a.terms.items():
        for n, d in b.terms.items():
            key = tuple(sorted(m + n)) if m and n else m + n
            value = terms.get(key, 0) + c * d
            if value:
                terms[key] = value
            else:
                del terms[key]
    return _sum(terms, a.halves or b.halves)


@lru_cache(MEMO)
def symbol(name: str) -> Expr:
    """The symbol of this name, an integer of at least 1.

    >>> symbol("B") == symbol("B")
    True
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise SizeError(f"{name!r} is not a name for a size", hint="use letters, digits and underscores: 'seq_len'")
    return wrap({(sys.intern(str(name)),): 1}, False)


def terms_of(size: Size) -> dict[Monomial, int]:
    """The terms of any size, also of a number; not to be changed.

    >>> terms_of(3), terms_of(2 * symbol("h"))
    ({(): 3}, {('h',): 2})
    """
    if isinstance(size, Expr):
        return size.terms
    return {(): int(size)} if size else {}


def prod(sizes: Iterable[Size]) -> Size:
    """The product.

    >>> prod([symbol("B"), 3, symbol("h")])
    3*B*h
    """
    result: Size = 1
    for size in sizes:
        result = result * size
    return result


def sum_(sizes: Iterable[Size]) -> Size:
    """The sum, in time linear in the number of terms.

    >>> sum_([symbol("B"), 3, symbol("B")])
    2*B + 3
    """
    return combination([(size, 1) for size in sizes])


def combination(parts: Iterable[tuple[Size, int]]) -> Size:
    """The sum of sizes, each times a number, in time linear in the number of terms.

    >>> combination([(symbol("B"), 3), (2, 2), (symbol("h"), 0)])
    3*B + 4
    """
    terms: dict[Monomial, int] = {}
    halves = False
    constant = 0
    for size, times in parts:
        if type(size) is not Expr:
            constant += times * int(size)
        elif times:
            halves = halves or size.halves
            for m, c in size.terms.items():
                terms[m] = terms.get(m, 0) + times * c
    if constant:
        terms[()] = terms.get((), 0) + constant
    return _sum({m: c for m, c in terms.items() if c}, halves)
