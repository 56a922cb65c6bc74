"""What monomials are made of, and the operations that later modules hand to `Expr`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from fxcount.symbolic.expr import Expr, Size

__all__ = ["Atom", "Hooks", "Monomial", "monomial_order"]

Monomial: TypeAlias = tuple[str, ...]


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
