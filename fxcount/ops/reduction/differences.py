"""Gradients of a sampled function, by finite differences along its dimensions.

Letters: n = samples along a dimension, r = lines along it = numel / n
Counts:  at even spacing, inside: a difference and a quotient, 2*(n - 2)*r; an edge of order 1: 2*r; of order 2 (three samples
         with weights -3/2, 2, -1/2): 3 products, 2 sums, a quotient: 6*r
         at coordinates: n - 1 steps of them; inside three weights, which take 10, of three samples: 10*(n - 2) + 5*(n - 2)*r;
         an edge of order 1: 2*r; of order 2 three weights too, 13 for the first and 12 for the last: 25 + 10*r for both
Raises:  ShapeError: fewer samples than an edge takes, coordinates that do not match
Source:  Fornberg, Generation of finite difference formulas on arbitrarily spaced grids, 1988; what torch.gradient documents

>>> x = TensorFact((3, 5), torch.float32)
>>> [y.shape for y in gradient(Scope({}), x)], _gradient_cost((x,), x, dim=1).flops
([(3, 5), (3, 5)], 30)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Dims
from fxcount.ops.core.common import shape_text, wrap_dims
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import dense_like
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import is_arithmetic
from fxcount.ops.memory.joining import cat
from fxcount.symbolic import Scope, Size

__all__ = ["OPS", "gradient"]

_WEIGHTS, _EDGES, _WEIGHTED = 10, 13 + 12, 5


def _axes(x: TensorFact, spacing: Any, dim: Dims) -> list[int]:
    """The dimensions, in the order of the results: without any named the first, as many as there are spacings."""
    if dim is not None:
        return list(wrap_dims(dim, x.ndim))
    return list(range(len(spacing) if isinstance(spacing, (list, tuple)) else x.ndim))


def _spacings(spacing: Any, axes: Sequence[int]) -> list[Any]:
    return list(spacing) if isinstance(spacing, (list, tuple)) else [spacing] * len(axes)


def gradient(
    scope: Scope, x: TensorFact, *, spacing: Any = None, dim: Dims = None, edge_order: int = 1
) -> tuple[TensorFact, ...]:
    """One tensor for each dimension."""
    axes = _axes(x, spacing, dim)
    for d, points in zip(axes, _spacings(spacing, axes), strict=True):
        n = x.shape[d]
        if not scope.decide(">=", n, edge_order + 1, "gradient: samples for an edge"):
            raise ShapeError(f"gradient: {n} samples along dimension {d}; an edge of order {edge_order} takes {edge_order + 1}")
        if isinstance(points, TensorFact) and not scope.same(points.numel, n, "gradient: a coordinate for each sample"):
            raise ShapeError(f"gradient: coordinates {shape_text(points.shape)} for {n} samples")
    dtype = x.dtype if is_arithmetic(x.dtype) else torch.get_default_dtype()
    return tuple([_joined(scope, TensorFact(x.shape, dtype, x.device, x.strides), d) for d in axes])


def _joined(scope: Scope, x: TensorFact, dim: int) -> TensorFact:
    """The edges and what is between them, each dense as a slice of ``x``, put together."""
    sizes: list[Size] = [1, x.shape[dim] - 2, 1]
    parts = [TensorFact((*x.shape[:dim], n, *x.shape[dim + 1 :]), x.dtype, x.device, x.stride()) for n in sizes]
    return cat(scope, list(map(dense_like, parts)), dim)


def _gradient_cost(
    y: Any, x: TensorFact, *, spacing: Any = None, dim: Dims = None, edge_order: int = 1
) -> Work:
    """At even spacing a difference and a quotient; at coordinates three weights, and three samples with them."""
    axes = _axes(x, spacing, dim)
    flops: Size = 0
    for d, points in zip(axes, _spacings(spacing, axes)):
        n, rows = x.shape[d], x.numel // x.shape[d]
        flops = flops + (_at_coordinates if isinstance(points, TensorFact) else _evenly)(n, rows, edge_order)
    return Work(flops=flops * (2 if x.dtype.is_complex else 1))


def _evenly(n: Size, rows: Size, edge_order: int) -> Size:
    return rows * (2 * (n - 2) + 2 * (2 if edge_order == 1 else 6))


def _at_coordinates(n: Size, rows: Size, edge_order: int) -> Size:
    edges = 4 * rows if edge_order == 1 else _EDGES + 2 * _WEIGHTED * rows
    return n - 1 + (n - 2) * (_WEIGHTS + _WEIGHTED * rows) + edges


OPS: tuple[Op, ...] = (op("gradient", shape=gradient, cost=_gradient_cost),)
