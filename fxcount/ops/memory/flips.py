"""Elements in another order: flips, rolls, quarter turns. Data movement, no arithmetic."""

from __future__ import annotations

from typing import Any

from fxcount.ops.core.common import wrap_dim
from fxcount.ops.core.fact import TensorFact
from fxcount.ops.core.iterator import dense_like
from fxcount.ops.core.registry import Op, Zero, op
from fxcount.ops.core.striding import channels_last_strides, is_channels_last, strided
from fxcount.symbolic import Scope, mod

__all__ = ["OPS"]

COPY = Zero("copy", moves=True)


def flip(scope: Scope, x: TensorFact, dims: Any) -> TensorFact:
    for d in dims if isinstance(dims, (list, tuple)) else (dims,):
        wrap_dim(d, x.ndim)
    return dense_like(x)


def fliplr(scope: Scope, x: TensorFact) -> TensorFact:
    return flip(scope, x, (1,))


def flipud(scope: Scope, x: TensorFact) -> TensorFact:
    return flip(scope, x, (0,))


def roll(scope: Scope, x: TensorFact, shifts: Any, dims: Any = ()) -> TensorFact:
    """Not by a CUDA kernel, a roll along one dimension joins two slices, which keeps channels-last as ``cat`` does."""
    ways, over = (part if isinstance(part, (list, tuple)) else (part,) for part in (shifts, dims))
    if not over or x.device.type == "cuda" or not is_channels_last(x):
        return x.new(x.shape)
    for shift, d in zip(ways, over, strict=True):
        if scope.decide("==", mod(shift, x.shape[wrap_dim(d, x.ndim)]), 0, "roll by the whole"):  # one of the slices is empty
            return x.new(x.shape)
    return TensorFact(x.shape, x.dtype, x.device, channels_last_strides(x.shape))


def rot90(scope: Scope, x: TensorFact, k: int = 1, dims: Any = (0, 1)) -> TensorFact:
    """A quarter turn is a flip of one dimension, seen with the two exchanged; half a turn flips both, and none copies."""
    a, b = (wrap_dim(d, x.ndim) for d in dims)
    if k % 4 == 0:
        return x.new(x.shape)
    turned = dense_like(x)
    if k % 2 == 0:
        return turned
    order = list(range(x.ndim))
    order[a], order[b] = b, a
    return strided(turned, tuple(turned.shape[d] for d in order), tuple(turned.stride()[d] for d in order))


OPS: tuple[Op, ...] = (
    op("flip", shape=flip, cost=COPY, sizes_at=1, follows="moved"),
    op("fliplr", shape=fliplr, cost=COPY, follows="moved"),
    op("flipud", shape=flipud, cost=COPY, follows="moved"),
    op("roll", shape=roll, cost=COPY, follows="moved"),
    op("rot90", shape=rot90, cost=COPY, follows="moved"),
)
