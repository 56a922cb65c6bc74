"""Sizes as sympy expressions, and back. sympy is imported on use.

>>> from fxcount.symbolic.expr import symbol
>>> to_sympy(symbol("B") * (symbol("H") // 2)), to_sympy((symbol("H") + 31) // 32)
(B*floor(H/2), ceiling(H/32))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fxcount.errors import SizeError
from fxcount.symbolic.expr import Atom, Expr, Size, atoms_of, prod, sum_, symbol
from fxcount.symbolic.extrema import common_part, max_, min_
from fxcount.symbolic.floor import floordiv, mod
from fxcount.symbolic.text import as_ceil

__all__ = ["from_sympy", "largest_to_sympy", "to_sympy"]


def to_sympy(size: Size, made: dict[str, Any] | None = None) -> Any:
    """The size as a `sympy.Expr` over positive integer symbols; what is one already stays as it is. ``made``: symbols and atoms
    that were turned before, to which those of this size are added.

    >>> from fxcount.symbolic.expr import symbol
    >>> to_sympy(symbol("H") ** 2 - 1), to_sympy(2**70) == 2**70, to_sympy(symbol("B")).is_positive
    (H**2 - 1, True, True)
    """
    import sympy

    if not isinstance(size, Expr):
        return sympy.sympify(size)
    if made is None:
        made = {}
    for atom in atoms_of(size, known=made):
        made[atom] = _atom(atom, made)
    return _sum(size, made)


def _sum(size: Size, made: dict[str, Any]) -> Any:
    import sympy

    if isinstance(size, int):
        return sympy.Integer(size)
    for factor in {f for m in size.terms for f in m if f not in made}:
        made[factor] = sympy.Symbol(factor, integer=True, positive=True)
    return sympy.Add(*[sympy.Mul(sympy.Integer(c), *[made[factor] for factor in m]) for m, c in size.terms.items()])


# By this sympy converts what it is mixed with. It is set here, as the algebra itself knows nothing of sympy.
Expr._sympy_ = to_sympy  # type: ignore[attr-defined]


def _atom(atom: Atom, made: dict[str, Any]) -> Any:
    from fxcount.symbolic import rounding

    if atom.kind == "floor":
        name, p, q = as_ceil(atom)
        rounded = rounding.ceiling if name == "ceil" else rounding.floor
        return rounded(_sum(p, made) / _sum(q, made), evaluate=False)
    return (rounding.Max if atom.kind == "max" else rounding.Min)(*[_sum(a, made) for a in atom.args])


def largest_to_sympy(sizes: Sequence[Size]) -> Any:
    """The Max of sizes as a `sympy.Expr`, or the only one of them; they are not compared: that was done before.

    >>> H, W = symbol("H"), symbol("W")
    >>> largest_to_sympy([4 * H, 8 * W, 4 * H]), largest_to_sympy([7, 3]), largest_to_sympy([])
    (4*Max(H, 2*W), 7, 0)
    """
    from fxcount.symbolic import rounding

    numbers = [int(s) for s in sizes if not isinstance(s, Expr)]
    symbolic: list[Size] = list(dict.fromkeys([s for s in sizes if isinstance(s, Expr)]))
    if not symbolic:
        return max(numbers, default=0)
    candidates = [*symbolic, *([max(numbers)] if numbers and max(numbers) > 0 else [])]
    if len(candidates) == 1:
        return to_sympy(candidates[0])
    factor, kept = common_part(candidates)
    made: dict[str, Any] = {}
    for atom in atoms_of(factor, *kept):
        made[atom] = _atom(atom, made)
    return _sum(factor, made) * rounding.Max(*[_sum(size, made) for size in kept])


def from_sympy(expr: Any) -> Size:
    """The size a sympy expression stands for: polynomials, floor, ceiling, Mod, Max and Min.

    Raises:
        SizeError: the expression is not an integer made of these.

    >>> import sympy
    >>> n = sympy.Symbol("n", integer=True, positive=True)
    >>> from_sympy(sympy.floor((n + 1) / 2) * 3 + sympy.Mod(n, 4))
    n + 3*ceil(n/2) - 4*floor(n/4)
    """
    import sympy

    num, den = _fraction(sympy.sympify(expr), {})
    if isinstance(den, int):
        whole = floordiv(num, den)
        if whole * den == num:
            return whole
    raise SizeError(f"{expr} is not an integer size", hint="sizes are made of + - * // % floor, Max and Min")


def _fraction(e: Any, known: dict[Any, tuple[Size, Size]]) -> tuple[Size, Size]:
    """Numerator and denominator of a sympy expression with rational coefficients; what it is made of is read once."""
    found = known.get(e)
    if found is None:
        found = known[e] = _read(e, known)
    return found


def _read(e: Any, known: dict[Any, tuple[Size, Size]]) -> tuple[Size, Size]:
    import sympy

    if e.is_Rational:
        return int(e.p), int(e.q)
    if e.is_Symbol:
        return symbol(e.name), 1
    if e.is_Add or e.is_Mul:
        parts = [_fraction(a, known) for a in e.args]
        den = prod(q for _, q in parts)
        if e.is_Mul:
            return prod(p for p, _ in parts), den
        return sum_(p * prod(d for j, (_, d) in enumerate(parts) if j != i) for i, (p, _) in enumerate(parts)), den
    if e.is_Pow and e.exp.is_Integer:
        p, q = _fraction(e.base, known)
        k = int(e.exp)
        return (p**k, q**k) if k >= 0 else (q**-k, p**-k)
    if isinstance(e, sympy.floor):
        return floordiv(*_fraction(e.args[0], known)), 1
    if isinstance(e, sympy.ceiling):
        p, q = _fraction(e.args[0], known)
        return -floordiv(-p, q), 1
    name = type(e).__name__  # torch's own FloorDiv, Mod, Max and Min go by these names as well
    if name in ("Mod", "PythonMod", "FloorDiv", "CleanDiv", "Max", "Min"):
        sizes = [from_sympy(a) for a in e.args]
        if name in ("Max", "Min"):
            return (max_ if name == "Max" else min_)(*sizes), 1
        return (mod if name.endswith("Mod") else floordiv)(sizes[0], sizes[1]), 1
    raise SizeError(f"{e} is not made of integers", hint="sizes are made of + - * // % floor, Max and Min")
