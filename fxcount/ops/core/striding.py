"""Strides of views, as eager torch computes them: they decide whether a later ``reshape`` or ``contiguous`` copies."""

from __future__ import annotations

from fxcount.ops.core.fact import TensorFact, contiguous_strides
from fxcount.symbolic import Scope, Size, prod

__all__ = ["channels_last_strides", "strided", "view_strides"]


def strided(x: TensorFact, shape: tuple[Size, ...], strides: tuple[Size, ...]) -> TensorFact:
    """``x`` seen with other sizes and strides; row-major strides are recognised (sizes of 1 have none)."""
    row_major = contiguous_strides(shape)
    same = all(a == b or n == 1 for a, b, n in zip(strides, row_major, shape, strict=True))
    return TensorFact(shape, x.dtype, x.device, None if same else strides)


def channels_last_strides(shape: tuple[Size, ...]) -> tuple[Size, ...]:
    """Strides of ``torch.channels_last`` (or ``channels_last_3d``) for N, C, *I.

    >>> channels_last_strides((2, 3, 5, 7))
    (105, 1, 21, 3)
    """
    spatial = contiguous_strides((*shape[2:], shape[1]))
    return (prod(shape[1:]), 1, *spatial[:-1])


def channels_last_layout(shape: tuple[Size, ...]) -> tuple[Size, ...] | None:
    """The same as a layout: ``None`` where channels-last coincides with row-major.

    >>> channels_last_layout((2, 3, 5, 7)), channels_last_layout((2, 1, 5, 7))
    ((105, 1, 21, 3), None)
    """
    if shape[1] == 1 or all(n == 1 for n in shape[2:]):
        return None
    return channels_last_strides(shape)


def view_strides(
    scope: Scope, old: tuple[Size, ...], strides: tuple[Size, ...], new: tuple[Size, ...]
) -> tuple[Size, ...] | None:
    """Strides under which ``old``/``strides`` can be seen as ``new``; ``None`` if it takes a copy."""
    if not old:
        return (1,) * len(new)
    result: list[Size] = [0] * len(new)
    base = strides[-1]
    v = len(new) - 1
    old_numel: Size = 1
    new_numel: Size = 1
    for d in reversed(range(len(old))):
        old_numel = old_numel * old[d]
        joined = d > 0 and (old[d - 1] == 1 or scope.equal(strides[d - 1], old_numel * base))
        if joined:
            continue
        while v >= 0 and (_below(scope, new_numel, old_numel) or new[v] == 1):
            result[v] = new_numel * base
            new_numel = new_numel * new[v]
            v -= 1
        if not scope.equal(new_numel, old_numel) and scope.hint(new_numel) != scope.hint(old_numel):
            return None
        if d > 0:
            base = strides[d - 1]
            old_numel = new_numel = 1
    return tuple(result) if v == -1 else None


def _below(scope: Scope, a: Size, b: Size) -> bool:
    # only steers the walk over the dimensions: the equality that matters is tested after it
    return not scope.equal(a, b) and scope.hint(a) < scope.hint(b)
