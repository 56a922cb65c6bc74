"""Sliding blocks as columns, and back: ``F.unfold`` (im2col) and ``F.fold`` (col2im).

Shapes:  im2col  x (N, C, H, W) -> (N, C*prod(K), L), L = prod(O), O = floor((I + 2p - d*(K - 1) - 1)/s) + 1
         col2im  x (N, C*prod(K), L) -> (N, C, *output_size); both also without N
Counts:  im2col copies; col2im adds every element of every column once onto an image of zeros: flops = numel(x),
         elements that fall into the padding included
Raises:  ShapeError: rank, columns that do not match the blocks
Source:  ATen/native/Im2Col.cpp, Col2Im.cpp

>>> import torch
>>> im2col(Scope({}), TensorFact((2, 3, 9, 9), torch.float32), (3, 3), 1, 0, 2).shape
(2, 27, 16)
"""

from __future__ import annotations

from typing import Any

from fxcount.errors import ShapeError
from fxcount.ops.common import as_tuple, shape_text
from fxcount.ops.fact import TensorFact, Work
from fxcount.ops.registry import Op, Zero, op
from fxcount.ops.scalars import Scalars
from fxcount.symbolic import Scope, Size, floordiv, prod

__all__ = ["OPS"]


def _blocks(scope: Scope, what: str, image: tuple[Size, ...], *window: Any) -> Size:
    """Number of blocks L of an image; ``window`` is kernel, dilation, padding, stride."""
    count: list[Size] = []
    for n, k, d, p, s in zip(image, *(as_tuple(value, 2) for value in window), strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        if not scope.decide(">=", room, 0, f"{what} has a block"):
            raise ShapeError(f"{what}: a size of {n} with padding {p} holds no block of {k} (dilation {d})")
        count.append(floordiv(room, s) + 1)
    return prod(count)


def im2col(
    scope: Scope, x: TensorFact, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> TensorFact:
    if x.ndim not in (3, 4):
        raise ShapeError(f"im2col: x has shape {shape_text(x.shape)}, expected (N, C, H, W) or (C, H, W)")
    blocks = _blocks(scope, "im2col", x.shape[-2:], kernel_size, dilation, padding, stride)
    return x.new((*x.shape[:-3], x.shape[-3] * prod(as_tuple(kernel_size, 2)), blocks))


def col2im(
    scope: Scope,
    x: TensorFact,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> TensorFact:
    if x.ndim not in (2, 3):
        raise ShapeError(f"col2im: x has shape {shape_text(x.shape)}, expected (N, C*K, L) or (C*K, L)")
    *lead, rows, length = x.shape
    image, kernel = as_tuple(output_size, 2), prod(as_tuple(kernel_size, 2))
    blocks = _blocks(scope, "col2im", image, kernel_size, dilation, padding, stride)
    if not scope.same(length, blocks, "col2im blocks"):
        raise ShapeError(f"col2im: x has {length} columns, an image of {shape_text(image)} has {blocks} blocks")
    if not scope.same(rows % kernel, 0, "col2im channels"):
        raise ShapeError(f"col2im: {rows} rows are not a multiple of the {kernel} elements of a block")
    return x.new((*lead, floordiv(rows, kernel), *image))


def _fold_cost(y: TensorFact, x: TensorFact, *args: Any, **kwargs: Any) -> Work:
    return Scalars(add=1).work(x.numel, x.dtype)


OPS: tuple[Op, ...] = (
    op("im2col", shape=im2col, cost=Zero("copies blocks", moves=True)),
    op("col2im", shape=col2im, cost=_fold_cost),
)
