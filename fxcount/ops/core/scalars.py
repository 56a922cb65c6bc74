"""How many scalar operations a formula takes per element, and what each counts by dtype.

Conventions: on real floating-point numbers every scalar operation counts 1 flop; ``fn`` (exp, log, tanh, erf, sin,
pow, ...) is also a transcendental. Where a definition has cases (``x if x > 0 else alpha * expm1(x)``) the choice is a
comparison and the costliest case is counted for every element. Integer and boolean work counts 0. A complex number is
a pair of reals: an addition or comparison counts 2, a multiplication 6, a division 11, a square root 9, an elementary
function 5 with 3 transcendentals (``exp(a+ib)``: exp, sin, cos and two multiplications).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from fxcount.dataclass import dataclass
from fxcount.ops.core.arguments import ShapeResult
from fxcount.ops.core.fact import Alias, Holding, TensorFact, Work
from fxcount.symbolic import Size, sum_

__all__ = ["QUANTISED", "Scalars", "fact_of", "is_arithmetic", "total"]


QUANTISED = frozenset({torch.qint8, torch.quint8, torch.qint32})
"""Integers with a scale: what is computed with them is integer work, and may be a mean."""


@dataclass(frozen=True, slots=True)
class Scalars:
    """Operations per element: ``add`` (also subtractions, negations, comparisons, roundings), ``mul``, ``div``,
    ``root`` (square roots), ``fn`` (transcendentals).

    >>> Scalars(add=1, fn=2).work(10, torch.float32)
    Work(macs=0, flops=30, transcendentals=20, read_bytes=None, write_bytes=None)
    """

    add: Size = 0
    mul: Size = 0
    div: Size = 0
    root: Size = 0
    fn: Size = 0

    def __add__(self, other: Scalars) -> Scalars:
        return Scalars(
            self.add + other.add,
            self.mul + other.mul,
            self.div + other.div,
            self.root + other.root,
            self.fn + other.fn,
        )

    def __mul__(self, times: Size) -> Scalars:
        if times == 1:
            return self
        counts = self.add, self.mul, self.div, self.root, self.fn
        return Scalars(*[0 if type(n) is int and not n else n * times for n in counts])

    def work(self, n: Size, dtype: torch.dtype) -> Work:
        """The work of ``n`` elements computed in ``dtype``."""
        if dtype.is_complex:
            flops = 2 * self.add + 6 * self.mul + 11 * self.div + 9 * self.root + 5 * self.fn
            return Work(flops=flops * n, transcendentals=3 * self.fn * n)
        if not dtype.is_floating_point:
            return Work()
        return Work(flops=sum_((self.add, self.mul, self.div, self.root, self.fn)) * n, transcendentals=self.fn * n)


def is_arithmetic(dtype: torch.dtype) -> bool:
    """Whether work in ``dtype`` is floating-point work."""
    return dtype.is_floating_point or dtype.is_complex


def total(parts: Iterable[tuple[Size, Scalars]], dtype: torch.dtype) -> Work:
    """The work of several loops: ``(number of elements, operations per element)``.

    >>> total([(10, Scalars(add=1)), (2, Scalars(div=1))], torch.float32).flops
    12
    """
    combined = Scalars()
    for n, scalars in parts:
        combined = combined + scalars * n
    return combined.work(1, dtype)


def fact_of(result: ShapeResult) -> TensorFact:
    """The first tensor of a rule's result."""
    if isinstance(result, (Alias, Holding)):
        return result.fact
    if isinstance(result, TensorFact):
        return result
    first = None if isinstance(result, torch.Tensor) else result[0]
    assert first is not None, "the first result is a fact"
    return fact_of(first)
