"""Padding by a constant, by reflection, by repeating the border, and around the circle.

Shapes:  ``pad`` lists (before, after), the last dimension first: y[d] = x[d] + before + after; negative amounts crop
Counts:  0: values are copied; y is always new storage, also if all amounts are 0
Raises:  ShapeError: more amounts than dimensions, a negative result, a reflection longer than the tensor
Source:  ATen/native/PadNd.cpp

>>> import torch
>>> pad(Scope({}), TensorFact((2, 3, 8), torch.float32), (1, 2)).shape
(2, 3, 11)
"""

from __future__ import annotations

from collections.abc import Sequence

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Scalar
from fxcount.ops.core.common import shape_text
from fxcount.ops.core.fact import TensorFact
from fxcount.ops.core.iterator import channels_last_or_dense, dense_like
from fxcount.ops.core.registry import Op, ShapeRule, Zero, op
from fxcount.symbolic import Scope, Size, is_nonnegative

__all__ = ["OPS"]

_MODES = ("reflect", "replicate", "circular", "constant")  # in the order of at::padding_mode


def pad(scope: Scope, x: TensorFact, pad: Sequence[Size], mode: str = "constant", value: Scalar | None = None) -> TensorFact:
    amounts = tuple(pad)
    if len(amounts) % 2 or len(amounts) > 2 * x.ndim:
        raise ShapeError(
            f"pad: {len(amounts)} amounts for x of shape {shape_text(x.shape)}",
            hint="give (before, after) for the last dimension, then the one before it, ...",
        )
    if mode not in _MODES:
        raise ShapeError(f"pad: mode={mode!r} is not one of {', '.join(_MODES)}")
    pairs = list(zip(amounts[::2], amounts[1::2], strict=True))
    if mode != "constant" and not len(pairs) < x.ndim <= len(pairs) + 2:
        raise ShapeError(f"pad: mode {mode!r} pads the last {x.ndim - 2} or {x.ndim - 1} dimensions of {x.ndim}")
    shape = list(x.shape)
    for back, (before, after) in enumerate(pairs, 1):
        n = x.shape[-back]
        _check_amounts(scope, mode, n, before, after)
        shape[-back] = n + before + after
    if mode == "circular":
        return x.new(tuple(shape))
    if mode == "constant" and not any(_may_grow(amount) for amount in amounts):  # torch crops, then clones
        return dense_like(TensorFact(tuple(shape), x.dtype, x.device, x.strides))
    return channels_last_or_dense(x, shape)


def _check_amounts(scope: Scope, mode: str, n: Size, before: Size, after: Size) -> None:
    if not scope.decide(">=", n + before + after, 0, "pad leaves a size"):
        raise ShapeError(f"pad: a size of {n} padded by ({before}, {after}) is negative")
    most = {"reflect": n - 1, "circular": n}.get(mode)
    if most is None:
        return
    for amount in (before, after):
        if not scope.decide("<=", amount, most, f"pad {mode}"):
            raise ShapeError(f"pad: mode {mode!r} cannot pad a size of {n} by {amount}", hint=f"pad by at most {most}")


def _may_grow(amount: Size) -> bool:
    return not is_nonnegative(-amount)


def constant_pad_nd(scope: Scope, x: TensorFact, pad: Sequence[Size], value: Scalar = 0) -> TensorFact:
    return _pad(scope, x, pad)


def _pad_enum(scope: Scope, x: TensorFact, pad: Sequence[Size], mode: int, value: Scalar | None = None) -> TensorFact:
    return _pad(scope, x, pad, _MODES[mode])


def _in_mode(mode: str) -> ShapeRule:
    def fixed(scope: Scope, x: TensorFact, padding: Sequence[Size]) -> TensorFact:
        return _pad(scope, x, padding, mode)

    return fixed


_pad = pad  # the rules' own parameter is called ``pad`` too
_COPY = Zero("copies into a larger tensor", moves=True)

OPS: tuple[Op, ...] = (
    op("pad", shape=pad, cost=_COPY),
    op("_pad_enum", shape=_pad_enum, cost=_COPY),
    op("constant_pad_nd", shape=constant_pad_nd, cost=_COPY),
    op("_pad_circular", shape=_in_mode("circular"), cost=_COPY),
    *(
        op(f"{name}_pad{n}d", shape=_in_mode(mode), cost=_COPY)
        for name, mode in (("reflection", "reflect"), ("replication", "replicate"))
        for n in (1, 2, 3)
    ),
)
