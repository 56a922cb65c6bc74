"""Exact integer sizes: polynomials with integer coefficients over symbols and integer-valued atoms.

An `Expr` maps monomials to integer coefficients. A monomial is the sorted tuple of its factors, a repeated factor
written as often as its power: ``("B", "H", "H")`` is ``B*H**2`` and ``()`` is the constant term. A factor is a symbol
(a plain ``str``) or an `Atom`, a ``str`` whose text is its canonical form or, where that is long, a digest of it. Strings
hash and compare in C and sort the same in every process, which makes this form both deterministic and fast.

Formulas are a directed graph: an atom names the atoms inside of it by their texts and is interned, so that whatever is
kept or done once for each atom costs as much as there are distinct ones, however long the formula would be if it were
spelled out.

A result that is constant is always a plain ``int``, so ``type(size) is int`` tells whether a size is concrete.

>>> B, h = symbol("B"), symbol("h")
>>> (B + 1) * (B - 1) - B * B
-1
>>> 2 * B * h + B * h
3*B*h
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NoReturn, TypeAlias

from fxcount.errors import SizeError

__all__ = [
    "DEEP", "Atom", "Expr", "Hooks", "Monomial", "Size", "SymbolicError", "atoms_of", "combination", "halves_in", "make",
    "monomial_order", "prod", "sum_", "symbol", "terms_of", "wrap",
]  # fmt: skip

Monomial: TypeAlias = tuple[str, ...]

MEMO = 1 << 14  # entries of each memo: far more than one model's distinct sizes, a few MB when full


SPELLED = 160  # longest text of an atom that is its canonical form; a longer one is a digest


class Atom(str):
    """An integer-valued factor that is not a symbol: ``kind`` is "floor", "max" or "min".

    A floor has the two arguments ``(numerator, denominator)``; it is ``paired`` if the denominator is an even number, so
    that it adds up with other floors to a simpler size (see pairs.py). ``names`` are the symbols in it, ``depth`` how deep
    atoms are nested in it, itself included, ``degree`` the most factors any product in its first argument would have if
    floors were taken apart. ``text`` is the canonical form, in which the atoms inside are named by their own texts.
    """

    __slots__ = ("args", "degree", "depth", "kind", "names", "paired")
    kind: str
    args: tuple[Size, ...]
    paired: bool
    names: frozenset[str]
    depth: int
    degree: int

    def __new__(cls, text: str, kind: str = "", args: tuple[Size, ...] = (), paired: bool = False) -> Atom:
        if len(text) > SPELLED:
            text = f"{kind}#{blake2b(text.encode(), digest_size=20).hexdigest()}"
        return _interned(text, kind, args, paired)

    def __reduce__(self) -> tuple[type[Atom], tuple[str, str, tuple[Size, ...], bool]]:
        return Atom, (str(self), self.kind, self.args, self.paired)

    def __copy__(self) -> Atom:
        return self

    def __deepcopy__(self, memo: object) -> Atom:
        return self

    def __str__(self) -> str:  # a plain str, so that it cannot be taken for an atom
        return "".join(self)


@lru_cache(MEMO)
def _interned(text: str, kind: str, args: tuple[Size, ...], paired: bool) -> Atom:
    self = str.__new__(Atom, text)
    self.kind, self.args, self.paired = kind, args, paired
    self.names, self.depth, self.degree = _measured(args)
    return self


def _measured(args: tuple[Size, ...]) -> tuple[frozenset[str], int, int]:
    """``names``, ``depth`` and ``degree`` of an atom with these arguments."""
    names: set[str] = set()
    depth = degree = 0
    for i, size in enumerate(args):
        for m in size.terms if isinstance(size, Expr) else ():
            n = 0
            for factor in m:
                if type(factor) is Atom:
                    names |= factor.names
                    depth = max(depth, factor.depth)
                    n += factor.degree + 1
                else:
                    names.add(factor)
                    n += 1
            if not i:
                degree = max(degree, n)
    return frozenset(names), depth + 1, degree


class Hooks:
    """Operations of later modules that `Expr` needs; filled in when the package is imported."""

    floordiv: Callable[[Size, Size], Size]
    floordiv_int: Callable[[Expr, int], Size]
    covers: Callable[[Size], bool]
    settle_halves: Callable[[dict[Monomial, int]], None]
    text: Callable[[Size], str]


def monomial_order(m: Monomial) -> tuple[int, Monomial]:
    """Sort key of monomials: higher degree first, then by name.

    >>> sorted([(), ("h",), ("B", "h"), ("B",)], key=monomial_order)
    [('B', 'h'), ('B',), ('h',), ()]
    """
    return -len(m), m



class SymbolicError(TypeError):
    """A size that is not one number is used as if it were."""


class Expr:
    """An immutable size that depends on at least one symbol. ``==`` is structural equality and never a guard.

    Its operators ask for the type of the other operand, not with isinstance(): a `SymSize` passes for an int there."""

    __slots__ = ("__weakref__", "_hash", "halves", "terms")
    terms: dict[Monomial, int]
    halves: bool  # whether a floor that adds up with others may be a term of its own: `n - floor(n/2)`, see pairs.py
    _hash: int  # 0 as long as nobody has asked

    def __init__(self, *args: object) -> None:
        raise TypeError("build sizes with symbol(name) and arithmetic, not with Expr(...)")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("sizes are immutable")

    def __hash__(self) -> int:
        return self._hash or self._hashed()

    def _hashed(self) -> int:
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
            return _add_int(self, other) if other else self
        return NotImplemented

    __radd__ = __add__

    def __sub__(self, other: Size) -> Size:
        if type(other) is Expr:
            return _sub(self, other)
        if issubclass(type(other), int):
            return _add_int(self, -other) if other else self
        return NotImplemented

    def __rsub__(self, other: int) -> Size:
        return _scale(self, -1) + other if issubclass(type(other), int) else NotImplemented

    def __neg__(self) -> Expr:
        return _scale(self, -1)

    def __pos__(self) -> Expr:
        return self

    def __mul__(self, other: Size) -> Size:
        if type(other) is Expr:
            return _mul(self, other)
        if issubclass(type(other), int):
            return self if other == 1 else _scale(self, other) if other else 0
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
        raise SymbolicError(f"the size {self} is symbolic and {what}; use Scope.decide(...), Scope.same(...) or Scope.pin(...)")

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
_set_hash: Callable[[Expr, int], None] = _slots["_hash"].__set__
_new = object.__new__


def wrap(terms: dict[Monomial, int], halves: bool) -> Expr:
    """An `Expr` of terms as they are: for terms that are known to be canonical and not constant.

    >>> wrap({("B",): 2}, False)
    2*B
    """
    self = _new(Expr)
    _set_terms(self, terms)
    _set_halves(self, halves)
    _set_hash(self, 0)
    return self


def make(terms: dict[Monomial, int], halves: bool | None = None) -> Size:
    """The size with these terms, which must have sorted monomials and no zero coefficient; the dict is taken over. ``halves``:
    whether floors in it may add up to a simpler size, if that is known.

    >>> make({("B", "h"): 2, (): 1})
    2*B*h + 1
    >>> make({})
    0
    """
    return _sum(terms, halves_in(terms) if halves is None else halves)


def halves_in(terms: Iterable[Monomial]) -> bool:
    """Whether one of the terms is a floor that adds up with others, and nothing else.

    >>> H = symbol("H")
    >>> halves_in([("H",), ()]), make({("H",): 2}).halves
    (False, False)
    """
    return any([len(m) == 1 and type(m[0]) is Atom and m[0].paired for m in terms])


def _sum(terms: dict[Monomial, int], halves: bool) -> Size:
    if halves and len(terms) > 1:
        Hooks.settle_halves(terms)
    if len(terms) < 2:
        if not terms:
            return 0
        if () in terms:
            return terms[()]
    return wrap(terms, halves)


@lru_cache(MEMO)
def _scale(a: Expr, k: int) -> Expr:
    return wrap({m: c * k for m, c in a.terms.items()}, a.halves)


@lru_cache(MEMO)
def _add_int(a: Expr, k: int) -> Expr:
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
    return _plus(a.terms.copy(), b.terms, 1, a.halves or b.halves)


@lru_cache(MEMO)
def _sub(a: Expr, b: Expr) -> Size:
    halves = a.halves or b.halves
    if len(a.terms) < len(b.terms):
        return _plus({m: -c for m, c in b.terms.items()}, a.terms, 1, halves)
    return _plus(a.terms.copy(), b.terms, -1, halves)


def _plus(terms: dict[Monomial, int], more: dict[Monomial, int], times: int, halves: bool) -> Size:
    """The terms, which are taken over, and so many times as many of ``more``."""
    for m, c in more.items():
        value = terms.get(m, 0) + times * c
        if value:
            terms[m] = value
        else:
            del terms[m]
    return _sum(terms, halves)


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
    return _sum(terms, (a.halves and () in b.terms) or (b.halves and () in a.terms))  # in other products no floor stands alone


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
    number = 1
    product: Size | None = None
    for size in sizes:
        if type(size) is not Expr:
            number *= size  # type: ignore[assignment]
        elif product is None:
            product = size
        else:
            product = _mul(product, size)
    return number if product is None else product if number == 1 else product * number


def sum_(sizes: Iterable[Size]) -> Size:
    """The sum, in time linear in the number of terms.

    >>> sum_([symbol("B"), 3, symbol("B")])
    2*B + 3
    """
    number = 0
    found: list[Expr] = []
    for size in sizes:
        if type(size) is Expr:
            found.append(size)
        else:
            number += int(size)
    if len(found) < 2:
        return found[0] + number if found else number
    terms = found[0].terms.copy()
    for size in found[1:]:
        for m, c in size.terms.items():
            terms[m] = terms.get(m, 0) + c
    if number:
        terms[()] = terms.get((), 0) + number
    return _sum(terms if all(terms.values()) else {m: c for m, c in terms.items() if c}, any([s.halves for s in found]))


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
            if size:
                constant += times * int(size)
        elif times:
            halves = halves or size.halves
            for m, c in size.terms.items():
                terms[m] = terms.get(m, 0) + times * c
    if constant:
        terms[()] = terms.get((), 0) + constant
    return _sum({m: c for m, c in terms.items() if c}, halves)


DEEP = 64
"""Atoms nested deeper are done from the inside out, so that Python's stack is not used up."""


def atoms_of(*sizes: Size, known: Container[str] = ()) -> Iterator[Atom]:
    """Every distinct atom of these sizes once, those inside of another before it, without those ``known``. It goes no deeper
    on the stack for atoms nested deeper.

    >>> from fxcount.symbolic.floor import floordiv
    >>> third = floordiv(symbol("H") + 1, 3)
    >>> [str(a) for a in atoms_of(third * floordiv(2 * third, 7) + third)]
    ['floor((1*H+1*)/(3))', 'floor((2*floor((1*H+1*)/(3)))/(7))']
    """
    seen: set[str] = set()
    for size in sizes:
        stack: list[tuple[Atom, bool]] = [(atom, False) for atom in reversed(_own_atoms(size))]
        while stack:
            atom, ready = stack.pop()
            if ready:
                yield atom
            elif atom not in seen and atom not in known:
                seen.add(atom)
                stack.append((atom, True))
                if atom.depth > 1:
                    stack += [(inner, False) for a in reversed(atom.args) for inner in reversed(_own_atoms(a))]


def _own_atoms(size: Size) -> list[Atom]:
    return [f for m in size.terms for f in m if type(f) is Atom] if type(size) is Expr else []
