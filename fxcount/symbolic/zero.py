"""Whether a size is 0 for all values of its symbols, although its canonical form does not show it.

A size whose floors have integer divisors is a polynomial on every residue class of its symbols. So a size of few
symbols and small divisors is decided exactly: each class is substituted, and the floors vanish by themselves. Numbers
are tried first, because nearly every size asked about is not 0.

>>> from fxcount.symbolic.expr import symbol
>>> n = symbol("n")
>>> is_zero(n // 3 + (n + 1) // 3 + (n + 2) // 3 - n)
True
>>> is_zero(n // 3 + (n + 1) // 3 - n)
False
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import lcm, prod

from fxcount.symbolic.calc import substitute
from fxcount.symbolic.expr import MEMO, Atom, Expr, Size, atoms_of, symbol
from fxcount.symbolic.values import free_symbols
from fxcount.symbolic.witness import trials

__all__ = ["is_zero"]

MOST_CLASSES = 1024


def is_zero(size: Size) -> bool:
    """Whether the size is provably 0 whenever every symbol is at least 1; False may mean "not known".

    >>> from fxcount.symbolic.expr import symbol
    >>> H = symbol("H")
    >>> is_zero(3 * (H // 6) - (H // 2 - H // 2 % 3)), is_zero(0)
    (True, True)
    """
    return _is_zero(size) if isinstance(size, Expr) else size == 0


@lru_cache(MEMO)
def _is_zero(size: Expr) -> bool:
    if not any(isinstance(f, Atom) for m in size.terms for f in m):
        return False  # a polynomial is 0 only if it has no terms
    for trial in trials():
        if trial.at(size):
            return False
    names = sorted(free_symbols(size))
    periods = {name: _period(size, name) for name in names}
    if prod(periods.values()) > MOST_CLASSES:
        return False
    for residues in product(*(range(1, periods[name] + 1) for name in names)):
        # symbols start at 1, so period*t - period + r covers the class of r
        values = {
            name: symbol(name) * periods[name] + (r - periods[name]) if periods[name] > 1 else symbol(name)
            for name, r in zip(names, residues, strict=True)
        }
        try:
            rest = substitute(size, values)
        except ZeroDivisionError:  # a divisor is 0 on this class
            return False
        if isinstance(rest, Expr) or rest:
            return False
    return True


def _period(size: Size, name: str) -> int:
    """A number of steps of this symbol after which all floors with integer divisors repeat, up to a polynomial."""
    found: dict[str, int] = {}  # of each atom

    def inside(size: Size) -> int:
        return 1 if isinstance(size, int) else lcm(*[found[f] for m in size.terms for f in m if type(f) is Atom])

    for atom in atoms_of(size):
        if name not in free_symbols(atom.args[0]):
            found[atom] = 1
        elif atom.kind == "floor":
            p, q = atom.args
            found[atom] = inside(p) * (q if isinstance(q, int) else 1)
        else:
            found[atom] = lcm(*map(inside, atom.args))
    return inside(size)
