"""Pooling, 1-3 d: maximum and average, by windows or to a given output size, and the inverse of maximum pooling.

Shapes:  x (N, C, *I) or (C, *I), kernel K, stride s, padding p, dilation d -> y (..., *O) with
         O = floor((I + 2p - d*(K - 1) - 1)/s) + 1; with ``ceil_mode`` the quotient is rounded up, but no window starts
         in the padding behind I.
Counts:  a maximum of n elements is n - 1 comparisons, a mean n - 1 additions and a division: with n = prod(K),
         max  flops = numel(y) * (n - 1);  avg  flops = numel(y) * n.
         Windows that reach into the padding count in full, as those of a convolution do.
         Adaptive pooling of I to O elements has overlapping windows; together they hold I + O - gcd(I, O) elements in
         each dimension (the ends ``ceil((i + 1)*I/O) - floor(i*I/O)`` summed), so with W = N*C*prod(I + O - gcd(I, O)):
         max  flops = W - numel(y);  avg  flops = W.
         Of a symbolic gcd one side must be a number or divide the other; else the output size is pinned, and recorded.
Raises:  ShapeError: rank, padding beyond half the kernel, an empty output
Source:  ATen/native/Pool.h (``pooling_output_shape``), ATen/native/AdaptivePooling.h

>>> x = TensorFact((2, 3, 7, 7), torch.float32)
>>> y = _window_shape("max_pool2d", 2)(Scope({}), x, 3, 2, 1)
>>> y.shape, _max_cost(2)(y, x, 3, 2, 1).flops
((2, 3, 4, 4), 768)
"""

from __future__ import annotations

from math import gcd
from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Results, Sizes
from fxcount.ops.core.common import as_tuple, same_shape, shape_text
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import channels_last_or_dense, is_channels_last
from fxcount.ops.core.registry import CostRule, Op, ShapeRule, Zero, op
from fxcount.ops.core.scalars import Scalars, fact_of
from fxcount.symbolic import Scope, Size, ceildiv, floordiv, min_, mod, prod, sum_

__all__ = ["OPS", "adaptive_elements", "gcd_size"]


def _split(what: str, x: TensorFact, n: int) -> tuple[tuple[Size, ...], tuple[Size, ...]]:
    """Leading and spatial sizes of a batched or unbatched operand."""
    if x.ndim not in (n + 1, n + 2):
        raise ShapeError(
            f"{what}: x has shape {shape_text(x.shape)}, expected {n + 1} or {n + 2} dimensions",
            hint="x is (N, C, ...) or (C, ...)",
        )
    return x.shape[:-n], x.shape[-n:]


def _windows(scope: Scope, what: str, n: Size, k: Size, s: Size, p: Size, d: Size, ceil_mode: bool) -> Size:
    """Number of windows along one dimension."""
    fits = f"{what}: the padding is at most half the kernel"
    if not all([scope.decide(">=", room, 0, fits) for room in (k - 1, p, d * (k - 1) + 1 - 2 * p)]):
        raise ShapeError(
            f"{what}: padding {p} does not fit the kernel {k} (dilation {d})",
            hint="padding is at least 0 and at most half the effective kernel",
        )
    if not scope.decide(">=", s, 1, f"{what}: the stride is positive"):
        raise ShapeError(f"{what}: stride {s} is not positive")
    span = d * (k - 1) + 1
    room = n + 2 * p - span + (s - 1 if ceil_mode else 0)
    if not scope.decide(">=", room, 0, f"{what}: a window must fit into the padded input"):
        raise ShapeError(f"{what}: a size of {n} with padding {p} is smaller than the kernel, which spans {span}")
    if ceil_mode:  # at most ceil((n + 2p - span)/s) + 1 windows, and ceil((n + p)/s) of them start before n + p
        return ceildiv(n + p + min_(p + s - span, 0), s)
    return scope.steps(n + 2 * p - span, s)


def _window_shape(what: str, n: int, *, average: bool = False) -> ShapeRule:
    def pool(
        scope: Scope,
        x: TensorFact,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> TensorFact:
        lead, spatial = _split(what, x, n)
        _not_empty(scope, what, x.shape[len(lead) - 1 :])
        kernel = as_tuple(kernel_size, n)
        strides = kernel if stride is None or stride == () or stride == [] else as_tuple(stride, n)
        out = [
            _windows(scope, what, *dim, ceil_mode)
            for dim in zip(spatial, kernel, strides, as_tuple(padding, n), as_tuple(dilation, n), strict=True)
        ]
        return _laid_out(what, x, n, (*lead, *out))

    def average_pool(
        scope: Scope,
        x: TensorFact,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: Size | None = None,
    ) -> TensorFact:
        if divisor_override == 0:
            raise ShapeError(f"{what}: divisor_override is 0")
        return pool(scope, x, kernel_size, stride, padding, 1, ceil_mode)

    return average_pool if average else pool


def _not_empty(scope: Scope, what: str, sizes: tuple[Size, ...]) -> None:
    """torch pools an empty batch, but no empty channels, rows or columns."""
    for size in sizes:
        if not scope.decide(">=", size, 1, f"{what} of something"):
            raise ShapeError(f"{what}: a size of {size} leaves nothing to pool", hint="only the batch may be empty")


def _laid_out(what: str, x: TensorFact, n: int, shape: tuple[Size, ...]) -> TensorFact:
    if n == 1 and x.ndim == 3 and x.strides is not None:
        # torch pools one dimension as (N, C, 1, L), which a transposed (N, L, C) is channels-last for
        (b, c, length), (sb, sc, sl) = x.shape, x.strides
        flat = TensorFact((b, c, 1, length), x.dtype, x.device, (sb, sc, sl * length, sl))
        if is_channels_last(flat):
            return TensorFact(shape, x.dtype, x.device, (shape[1] * shape[2], 1, shape[1]))
    if what in ("avg_pool3d", "fractional_max_pool2d", "fractional_max_pool3d") or (n == 3 and "adaptive" in what):
        return x.new(shape)
    return channels_last_or_dense(x, shape)


def _indexed(shape_rule: ShapeRule) -> ShapeRule:
    """The rule of the variant that also returns the positions of the maxima."""

    def pool(scope: Scope, *args: Any, **kwargs: Any) -> tuple[TensorFact, TensorFact]:
        y = fact_of(shape_rule(scope, *args, **kwargs))
        return y, TensorFact(y.shape, torch.int64, y.device, y.strides)

    return pool


def _max_cost(n: int) -> CostRule:
    def cost(y: Results, x: TensorFact, kernel_size: Sizes, *_: object, **__: object) -> Work:
        compares = prod(as_tuple(kernel_size, n)) - 1
        return Scalars(add=compares).work(fact_of(y).numel, x.dtype)

    return cost


def _avg_cost(n: int) -> CostRule:
    def cost(y: TensorFact, x: TensorFact, kernel_size: Sizes, *_: object, **__: object) -> Work:
        adds = prod(as_tuple(kernel_size, n)) - 1
        return Scalars(add=adds, div=1).work(y.numel, x.dtype)

    return cost


_Adaptive = Size | list[Size | None] | tuple[Size | None, ...] | None  # None: the size of x


def _adaptive_shape(what: str, n: int) -> ShapeRule:
    def pool(scope: Scope, x: TensorFact, output_size: _Adaptive) -> TensorFact:
        lead, spatial = _split(what, x, n)
        sizes = list(output_size) if isinstance(output_size, (list, tuple)) else [output_size] * n
        if len(sizes) != n:
            raise ShapeError(f"{what}: output_size={tuple(sizes)} needs {n} sizes")
        _not_empty(scope, what, x.shape[1:] if "max" in what else spatial)
        wanted = [i if o is None else o for i, o in zip(spatial, sizes, strict=True)]
        out: list[Size] = []
        for i, o in zip(spatial, wanted, strict=True):
            known = gcd_size(i, o) is not None
            out.append(o if known else scope.pin(o, f"{what}: windows of {i} elements pooled to {o}"))
        return _laid_out(what, x, n, (*lead, *out))

    return pool


def gcd_size(a: Size, b: Size) -> Size | None:
    """The greatest common divisor as a formula, ``None`` if neither is a number nor divides the other.

    With a number m it is ``sum(phi(d) for d dividing both)``, and "d divides n" is ``floor(n/d) - floor((n - 1)/d)``.

    >>> from fxcount.symbolic import evaluate, symbol
    >>> gcd_size(12, 18), gcd_size(7 * symbol("h"), 7), gcd_size(symbol("h"), 1)
    (6, 7, 1)
    >>> [evaluate(gcd_size(symbol("n"), 6), {"n": n}) for n in (5, 8, 9, 12)]
    [1, 2, 3, 6]
    """
    for m, n in ((a, b), (b, a)):
        if isinstance(m, int):
            divisors = [d for d in range(1, m + 1) if m % d == 0]
            return sum_(_totient(d) * (floordiv(n, d) - floordiv(n - 1, d)) for d in divisors)
    for m, n in ((a, b), (b, a)):
        if mod(n, m) == 0:
            return m
    return None


def _totient(d: int) -> int:
    """Euler's phi of a divisor of an output size, hence of a small number."""
    return sum(1 for i in range(1, d + 1) if gcd(i, d) == 1)


def adaptive_elements(y: TensorFact, x: TensorFact, n: int) -> Size:
    """Elements of all windows together."""
    per_dim: list[Size] = []
    for i, o in zip(x.shape[-n:], y.shape[-n:], strict=True):
        common = gcd_size(i, o)
        assert common is not None, "the shape rule pins an output size without a formula"
        per_dim.append(i + o - common)
    return prod(y.shape[:-n]) * prod(per_dim)


def _adaptive_avg_cost(n: int) -> CostRule:
    def cost(y: TensorFact, x: TensorFact, output_size: object) -> Work:
        return Scalars(add=1).work(adaptive_elements(y, x, n), x.dtype)  # n - 1 additions and a division: n

    return cost


def _adaptive_max_cost(n: int) -> CostRule:
    def cost(y: Results, x: TensorFact, output_size: object) -> Work:
        y = fact_of(y)
        return Scalars(add=1).work(adaptive_elements(y, x, n) - y.numel, x.dtype)

    return cost


def _fractional_shape(what: str, n: int) -> ShapeRule:
    def pool(
        scope: Scope, x: TensorFact, kernel_size: Sizes, output_size: Sizes, random_samples: TensorFact
    ) -> TensorFact:
        lead, spatial = _split(what, x, n)
        out = as_tuple(output_size, n)
        if not scope.same(random_samples.shape[-1], n, f"{what} draws a place in each dimension"):
            raise ShapeError(f"{what}: samples {shape_text(random_samples.shape)} for {n} dimensions")
        for i, k, o in zip(spatial, as_tuple(kernel_size, n), out, strict=True):
            if not scope.decide("<=", o + k - 1, i, f"{what} windows lie inside"):
                raise ShapeError(f"{what}: {o} windows of {k} elements do not fit a size of {i}")
        return _laid_out(what, x, n, (*lead, *out))

    return pool


def _unpool_shape(what: str, n: int) -> ShapeRule:
    def unpool(
        scope: Scope, x: TensorFact, indices: TensorFact, output_size: Sizes, *_: object
    ) -> TensorFact:
        lead, _ = _split(what, x, n)
        if not same_shape(scope, x.shape, indices.shape, what):
            raise ShapeError(f"{what}: indices {shape_text(indices.shape)} do not match x {shape_text(x.shape)}")
        shape = (*lead, *as_tuple(output_size, n))
        return channels_last_or_dense(x, shape) if n == 2 else x.new(shape)

    return unpool


def _dropped_indices(y: TensorFact, *_: object, **__: object) -> Size:
    """torch finds the positions of the maxima also where only the maxima were asked for."""
    return y.numel * torch.int64.itemsize


def _ops_of(n: int) -> list[Op]:
    max_name, avg_name = f"max_pool{n}d", f"avg_pool{n}d"
    max_shape, adaptive_max = _window_shape(max_name, n), _adaptive_shape(f"adaptive_max_pool{n}d", n)
    indexed = f"max_pool{n}d_with_indices"
    avg_names = (f"adaptive_avg_pool{n}d", *((f"_adaptive_avg_pool{n}d",) if n > 1 else ()))
    ops = [
        op(
            max_name, shape=max_shape, cost=_max_cost(n), temporaries=_dropped_indices, kind="pooling", window=n,
            follows="moved",
        ),
        op(indexed, shape=_indexed(_window_shape(indexed, n)), cost=_max_cost(n), kind="pooling", window=n),
        op(avg_name, shape=_window_shape(avg_name, n, average=True), cost=_avg_cost(n), kind="pooling", window=n),
        op(*avg_names, shape=_adaptive_shape(f"adaptive_avg_pool{n}d", n), cost=_adaptive_avg_cost(n)),
        op(f"adaptive_max_pool{n}d", shape=_indexed(adaptive_max), cost=_adaptive_max_cost(n)),
    ]  # fmt: skip
    if n > 1:
        fractional, unpool = f"fractional_max_pool{n}d", f"max_unpool{n}d"
        ops.append(op(fractional, shape=_indexed(_fractional_shape(fractional, n)), cost=_max_cost(n)))
        ops.append(op(unpool, shape=_unpool_shape(unpool, n), cost=Zero("copies maxima to their places", moves=True)))
    return ops


OPS: tuple[Op, ...] = tuple(entry for n in (1, 2, 3) for entry in _ops_of(n))
