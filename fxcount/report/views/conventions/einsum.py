"""The cost of an einsum as ``numpy.einsum_path`` prints it: what fvcore, calflops and DeepSpeed read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fxcount.ops.contraction.einsum import matrix_macs
from fxcount.ops.core.fact import TensorFact
from fxcount.ops.core.tree import mapped
from fxcount.report.views.conventions.convention import Evaluate
from fxcount.report.views.conventions.sites import Counted, Site
from fxcount.symbolic import Size, floordiv

__all__ = ["dispatched_macs", "equation_of", "numpy_cost", "printed_cost", "with_letters_in_order"]


def equation_of(site: Site) -> tuple[str, list[tuple[Size, ...]]]:
    """The equation with its letters renamed in order of appearance, and the operands' shapes."""
    equation, *operands = site.args
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = list(operands[0])
    return with_letters_in_order(equation), [t.shape for t in operands]


def with_letters_in_order(equation: str) -> str:
    """An equation with its letters renamed in order of appearance.

    >>> with_letters_in_order("bij, bjk -> bik")
    'abc,acd->abd'
    """
    plain = equation.replace(" ", "")
    letters = dict.fromkeys(c for c in plain if c.isalpha())
    return plain.translate({ord(c): 97 + i for i, c in enumerate(letters)})


def dispatched_macs(site: Site, at: Evaluate) -> int:
    """What reaches a bmm kernel at sizes that are numbers: nothing of a step that sums over subscripts of size 1."""

    def numbers(a: Any) -> Any:
        if isinstance(a, TensorFact):
            strides = None if a.strides is None else tuple(map(at, a.strides))
            return TensorFact(tuple(map(at, a.shape)), a.dtype, a.device, strides)
        return a

    return at(matrix_macs(*mapped(numbers, site.args), **site.kwargs))


def numpy_cost(site: Site, divisor: int) -> Counted:
    """numpy's "Optimized FLOP count" (2 per product that is summed, 1 otherwise, and 1 more), over ``divisor``.

    numpy prints four significant digits. As a formula the count is exact.
    """
    equation, shapes = equation_of(site)
    cost = 2 * site.macs + 1 if site.macs != 0 else site.out.numel + 1
    return Counted(
        floordiv(cost, divisor), "numpy.einsum_path's cost, of which four digits are read",
        lambda at: int(printed_cost(equation, [[at(n) for n in shape] for shape in shapes]) // divisor),
    )  # fmt: skip


def printed_cost(equation: str, shapes: Sequence[Sequence[int]]) -> float:
    """numpy's "Optimized FLOP count", as it prints it.

    >>> printed_cost("ab,bc->ac", [(101, 103), (103, 107)])
    2226000.0
    """
    import numpy

    operands = [numpy.broadcast_to(0.0, shape) for shape in shapes]
    report = str(numpy.einsum_path(equation, *operands, optimize="optimal")[1])
    line = next(line for line in report.splitlines() if "optimized flop" in line.lower())
    return float(line.split(":")[-1])
