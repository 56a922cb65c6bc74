"""How large a formula may become when it is read from text or from rows: what a stranger writes must not fill the memory.

Formulas of real models have a few hundred terms. ``(a + b + c + d)**64`` has 47,905, and ``2**(2**40)`` a terabyte of digits.
"""

from __future__ import annotations

from math import comb, prod

from fxcount.errors import SizeError
from fxcount.symbolic.expr import Atom, Expr, Size

__all__ = ["MAX_OPERANDS", "check_power", "check_product", "check_sum"]

MAX_TERMS = 20_000
MAX_DEGREE = 1_024
MAX_BITS = 1 << 14
MAX_OPERANDS = 512
"""Operands of one Max or Min, nested ones counted: each is compared with each."""


def check_product(*sizes: Size) -> None:
    """Raise :class:`~fxcount.errors.SizeError` if the product would be larger than any formula of a model.

    >>> from fxcount.symbolic.expr import symbol
    >>> check_product(symbol("B") + 1, 2**40)
    """
    _check(prod([_terms(s) for s in sizes]), sum([_degree(s) for s in sizes]), sum([_bits(s) for s in sizes]))


def check_power(base: Size, exponent: int) -> None:
    """The same for a power.

    >>> check_power(2, 1 << 40)
    Traceback (most recent call last):
    fxcount.errors.SizeError: a formula of 1 terms, degree 0 and numbers of 2199023255552 bits is larger than any model's
      to fix: check where it comes from
    """
    n = max(exponent, 0)
    terms = _terms(base)
    grown = 1 if terms <= 1 else comb(terms + n - 1, n) if n <= MAX_DEGREE else MAX_TERMS + 1
    _check(grown, n * _degree(base), n * (_bits(base) + (terms > 1) * terms.bit_length()))


def check_sum(*sizes: Size) -> None:
    """The same for a sum."""
    _check(sum([_terms(s) for s in sizes]), 0, 0)


def _check(terms: int, degree: int, bits: int) -> None:
    if terms > MAX_TERMS or degree > MAX_DEGREE or bits > MAX_BITS:
        raise SizeError(
            f"a formula of {terms} terms, degree {degree} and numbers of {bits} bits is larger than any model's",
            hint="check where it comes from",
        )


def _terms(size: Size) -> int:
    return len(size.terms) if isinstance(size, Expr) else 1


def _degree(size: Size) -> int:
    """Factors of its longest product; those inside of a floor count too, as that may be taken apart."""
    if isinstance(size, int):
        return 0
    return max([sum([f.degree + 1 if isinstance(f, Atom) else 1 for f in m]) for m in size.terms], default=0)


def _bits(size: Size) -> int:
    return size.bit_length() if isinstance(size, int) else max([c.bit_length() for c in size.terms.values()], default=0)
