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

    A floor has the two arguments ``(numerator, denominator)``. Its ``half`` are the monomials whose coefficient is half
    the denominator: their sum is the floor plus its ``mirror`` image (see floor.py).
    """

    __slots__ = ("args", "half", "kind", "mirror")
    kind: str
    args: tuple[Size, ...]
    half: tuple[Monomial, ...]
    mirror: Atom | None

    def __new__(cls, text: str, kind: str = "", args: tuple[Size, ...] = (), half: tuple[Monomial, ...] = ()) -> Atom:
        self = super().__new__(cls, text)
        self.kind, self.args, self.half, self.mirror = kind, args, half, None
        return self

    def __reduce__(self) -> tuple[type[Atom], tuple[str, str, tuple[Size, ...], tuple[Monomial, ...]]]:
        return Atom, (str(self), self.kind, self.args, self.half)

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
