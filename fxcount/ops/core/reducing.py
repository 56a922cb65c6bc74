"""The ``reduction`` argument of losses: what it makes of the shape and of the work."""

from __future__ import annotations

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Reduction
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.scalars import Scalars
from fxcount.symbolic import Size

__all__ = ["combined", "reduced", "reducing"]

_CODES = {"none": 0, "mean": 1, "sum": 2}


def reducing(reduction: Reduction) -> int:
    """ATen's code of a reduction: 0 none, 1 mean, 2 sum.

    >>> reducing("sum")
    2
    """
    code = _CODES.get(reduction) if isinstance(reduction, str) else reduction
    if code not in (0, 1, 2):
        raise ShapeError(f"loss: {reduction!r} is not a reduction", hint="use 'none', 'mean' or 'sum'")
    return int(code)


def reduced(y: TensorFact, reduction: Reduction) -> TensorFact:
    """The loss of elements ``y`` after the reduction."""
    return y.new(()) if reducing(reduction) else y


def combined(y: TensorFact, n: Size, before: Scalars, reduction: Reduction) -> Work:
    """All operations ``before`` and those of reducing ``n`` losses: n-1 additions, and a division for the mean."""
    code = reducing(reduction)
    after = Scalars(add=n - 1 if code else 0, div=1 if code == 1 else 0)
    return (before + after).work(1, y.dtype)
