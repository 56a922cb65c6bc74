"""Resampling: interpolation to a size or by a factor, sampling at a grid, and shuffles between channels and space.

Shapes:  interpolation x (N, C, *I) -> (N, C, *O), O given or floor(I * factor), which torch computes in doubles: for
         it 100 * 0.29 is 28.99..., 28. For factors that some size makes round so, the formula holds where the
         doubles come to the same, which is recorded and computed again for every size asked.
         grid_sampler  x (N, C, *I), grid (N, *O, n) -> (N, C, *O);  pixel_shuffle (*, C*r*r, H, W) -> (*, C, H*r, W*r)
Counts:  linear (t = 2 taps) and cubic (t = 4) interpolation weigh t values per dimension, one dimension after the
         other: f(n) = t*f(n - 1) + 2t - 1 flops per element, so 3, 9, 21 for linear in 1, 2, 3 dimensions and 35 for
         bicubic. Positions and weights depend on the output coordinate alone and are tables: not counted.
         Antialiased, a line of I -> O elements has t*max(I, O) taps, those beyond the border included (their number is
         exact: the windows' ends telescope); the last dimension is resampled first.
         grid_sampler computes positions and weights for each grid point, then each channel takes 2*2**n - 1 flops
         (bicubic 35, nearest 0); see `_grid_point`.
         Nearest interpolation and shuffles copy. affine_grid_generator is a matrix product with a constant grid.
Raises:  ShapeError: rank, channels that are not a multiple
Source:  ATen/native/UpSample.h, GridSampler.cpp, PixelShuffle.cpp

>>> import torch
>>> x = TensorFact((2, 3, 8, 8), torch.float32)
>>> y = _interpolation("upsample_bilinear2d", 2)(Scope({}), x, output_size=(16, 16))
>>> y.shape, _taps_cost(2, 2)(y, x, output_size=(16, 16)).flops
((2, 3, 16, 16), 13824)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from typing import Any

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Sizes
from fxcount.ops.core.binding import Overloads
from fxcount.ops.core.common import as_tuple, shape_text
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import channels_last_or_dense
from fxcount.ops.core.registry import CostRule, Op, ShapeRule, Zero, op
from fxcount.ops.core.scalars import Scalars
from fxcount.symbolic import Expr, Scope, Size, SymSize, floordiv, max_, min_, prod, to_sym
from fxcount.symbolic.floats import ODD, Claim, nearest

__all__ = ["OPS", "scaled"]

# --- interpolation ---------------------------------------------------------------------------------------------------


def scaled(scope: Scope, n: Size, factor: Any) -> Size:
    """``int(n * factor)`` in torch's double arithmetic; a symbolic size is pinned where no formula gives that.

    >>> from fxcount.symbolic import symbol
    >>> scaled(Scope({"H": 10}), symbol("H"), 1.5), scaled(Scope({}), 100, 0.29)
    (H + floor(H/2), 28)
    """
    if hasattr(factor, "num"):  # a quotient of sizes, of which Python's floor says what it assumes of the rounding
        num, den, size = (to_sym(part, scope) for part in (factor.num, factor.den, n))
        whole = math.floor(size * (num / den))
        return whole.expr if isinstance(whole, SymSize) else int(whole)
    if not isinstance(n, int):
        fraction = _never_rounded_down(float(factor))
        if fraction is not None:
            return floordiv(n * fraction.numerator, fraction.denominator)
        fraction, level = nearest(float(factor))
        size = floordiv(n * fraction.numerator, fraction.denominator)
        claim = Claim("trunc", ("*", n, float(factor)), size)
        if level < ODD and claim.holds(scope.hints):
            scope.claim(claim, f"interpolation by {factor}")
            return size
    return int(scope.pin(n, f"interpolation by {factor}") * float(factor))


def _never_rounded_down(factor: float) -> Fraction | None:
    """The fraction p/q with ``int(n * factor) == floor(n*p/q)`` for every size n, if there is a short one.

    They can only differ where q divides n*p =: q*k, and the double product falls below k. It does not if the double is
    at least p/q, or short of it by a relative 2**-54 at most: half the distance of k to the double below it.
    """
    exact = Fraction(factor)
    simple = exact.limit_denominator(1 << 10)
    return simple if float(simple) == factor and simple - exact <= simple / (1 << 54) else None


def _interpolated(
    scope: Scope, what: str, x: TensorFact, n: int, output_size: Sizes | None, factors: list[float] | tuple[float, ...] | None
) -> TensorFact:
    if x.ndim != n + 2:
        raise ShapeError(f"{what}: x has shape {shape_text(x.shape)}, expected {n + 2} dimensions (N, C, ...)")
    if output_size is None:
        if factors is None:
            raise ShapeError(f"{what}: needs output_size or scale_factors")
        sizes: Sequence[Size] = [scaled(scope, i, f) for i, f in zip(x.shape[2:], as_tuple(factors, n), strict=True)]
    else:
        sizes = as_tuple(output_size, n)
    for i, o in zip(x.shape[2:], sizes, strict=True):
        if not scope.decide(">", o, 0, f"{what}: a size of the result must be at least 1"):
            raise ShapeError(f"{what}: a size of {i} would become {o}", hint="every output size is at least 1")
    return channels_last_or_dense(x, (*x.shape[:2], *sizes))


def _interpolation(what: str, n: int) -> ShapeRule:
    """With ``scale_factors`` for the sizes, or an output size: what scales go with that are not asked."""

    def interpolation(
        scope: Scope, x: TensorFact, *, output_size: Sizes | None = None,
        scale_factors: list[float] | tuple[float, ...] | None = None, **_: object,
    ) -> TensorFact:  # fmt: skip
        return _interpolated(scope, what, x, n, output_size, scale_factors)

    return interpolation


def _positions_read(i: Size, o: Size) -> Size:
    """How many of ``i`` positions are looked at for ``o`` results: all of them if each is repeated.

    >>> from fxcount.symbolic import symbol
    >>> H, W = symbol("H"), symbol("W")
    >>> _positions_read(H - W, 2 * (H - W)), _positions_read(H, H // 2)
    (H - W, floor(H/2))
    """
    if isinstance(i, Expr) and isinstance(o, Expr):
        m, c = next(iter(i.terms.items()))
        times = o.terms.get(m, 0) // c
        if times >= 1 and o == times * i:
            return i
    return min_(i, o)


def _nearest_cost(y: TensorFact, x: TensorFact, **_: object) -> Work:
    picked = prod(_positions_read(i, o) for i, o in zip(x.shape[2:], y.shape[2:], strict=True))
    return Work(read_bytes=prod(x.shape[:2]) * picked * x.itemsize)


def _taps_flops(n: int, taps: int) -> int:
    """Flops to weigh ``taps`` values in each of ``n`` dimensions, one dimension after the other.

    >>> [_taps_flops(n, 2) for n in (1, 2, 3)], _taps_flops(2, 4)
    ([3, 9, 21], 35)
    """
    return (2 * taps - 1) * sum(d for d in (1, taps, taps * taps)[:n])


def _taps_cost(n: int, taps: int) -> CostRule:
    def cost(y: TensorFact, x: TensorFact, **_: object) -> Work:
        return Scalars(add=_taps_flops(n, taps)).work(y.numel, x.dtype)

    return cost


def _antialias_cost(taps: int) -> CostRule:
    def cost(y: TensorFact, x: TensorFact, **_: object) -> Work:
        n, c, rows, columns = x.shape
        out_rows, out_columns = y.shape[2:]
        across = _line(columns, out_columns, taps) * rows
        down = _line(rows, out_rows, taps) * out_columns
        return Scalars(add=1).work(n * c * (across + down), x.dtype)

    return cost


def _line(i: Size, o: Size, taps: int) -> Size:
    """Flops of one resampled line: a product for each tap, the additions between those of one output."""
    return 2 * taps * max_(i, o) - o


# --- sampling at a grid ----------------------------------------------------------------------------------------------


def grid_sampler(
    scope: Scope,
    x: TensorFact,
    grid: TensorFact,
    interpolation_mode: int = 0,
    padding_mode: int = 0,
    align_corners: bool | None = None,
) -> TensorFact:
    n = x.ndim - 2
    if n not in (2, 3) or grid.ndim != x.ndim or not scope.same(grid.shape[-1], n, "grid_sampler coordinates"):
        raise ShapeError(
            f"grid_sampler: x {shape_text(x.shape)} and grid {shape_text(grid.shape)} do not fit",
            hint="x is (N, C, H, W) and grid (N, H_out, W_out, 2), or both with a depth and 3 coordinates",
        )
    if not scope.same(x.shape[0], grid.shape[0], "grid_sampler batch"):
        raise ShapeError(f"grid_sampler: x has a batch of {x.shape[0]}, grid of {grid.shape[0]}")
    if x.dtype is not grid.dtype:
        raise ShapeError(f"grid_sampler: x is {x.dtype}, grid {grid.dtype}", hint="give both one dtype")
    if interpolation_mode == 2 and n == 3:
        raise ShapeError("grid_sampler: bicubic interpolation is for 4-d x")
    return x.new((*x.shape[:2], *grid.shape[1:-1]))


def _grid_point(n: int, mode: int, padding: int, align_corners: bool) -> Scalars:
    """Positions and weights of one grid point, shared by the channels.

    A position is ``(x + 1)/2*(I - 1)`` with aligned corners, else ``((x + 1)*I - 1)/2``. Border padding clips it (2
    comparisons); reflection takes 7 operations (subtract, abs, fmod, divide, floor, subtract, add) and clips; for
    bicubic this is done for each of the 4 taps. Linear weights: the floor, ``t = x - floor(x)``, ``1 - t``, and the
    2**n products of n factors. Cubic: floor, t, and 4 coefficients of 6, 5, 5 and 6 operations, with 3 shifts of their
    argument.
    """
    position = Scalars(add=1, mul=1, div=1) if align_corners else Scalars(add=2, mul=1, div=1)
    into_range = (Scalars(), Scalars(add=2), Scalars(add=9))[padding]
    if mode == 2:
        return (position + Scalars(add=27) + into_range * 4) * n
    if mode == 1:
        return (position + into_range + Scalars(add=1)) * n  # rounding
    return (position + into_range + Scalars(add=3)) * n + Scalars(mul=(n - 1) * 2**n)


def _grid_cost(
    y: TensorFact,
    x: TensorFact,
    grid: TensorFact,
    interpolation_mode: int = 0,
    padding_mode: int = 0,
    align_corners: bool | None = None,
) -> Work:
    n = x.ndim - 2
    point = _grid_point(n, interpolation_mode, padding_mode, bool(align_corners))
    channel = (2 * 2**n - 1, 0, _taps_flops(2, 4))[interpolation_mode]
    points = y.shape[0] * prod(y.shape[2:])
    return (point * points + Scalars(add=channel) * y.numel).work(1, x.dtype)


def affine_grid_generator(scope: Scope, theta: TensorFact, size: Sequence[Size], align_corners: bool) -> TensorFact:
    n = len(size) - 2
    if n not in (2, 3) or theta.ndim != 3 or theta.shape[1:] != (n, n + 1):
        raise ShapeError(
            f"affine_grid_generator: theta {shape_text(theta.shape)} does not fit the size {shape_text(size)}",
            hint="theta is (N, 2, 3) for a size (N, C, H, W), (N, 3, 4) for (N, C, D, H, W)",
        )
    if not scope.same(theta.shape[0], size[0], "affine_grid batch"):
        raise ShapeError(f"affine_grid_generator: theta has a batch of {theta.shape[0]}, the size of {size[0]}")
    return theta.new((size[0], *size[2:], n))


def _affine_cost(y: TensorFact, theta: TensorFact, size: Sequence[Size], align_corners: bool) -> Work:
    macs = y.numel * (len(size) - 1)
    return Work(macs=macs, flops=2 * macs)


# --- shuffles --------------------------------------------------------------------------------------------------------


def _image(what: str, x: TensorFact) -> tuple[tuple[Size, ...], Size, Size, Size]:
    if x.ndim < 3:
        raise ShapeError(f"{what}: x has shape {shape_text(x.shape)}, expected (*, C, H, W)")
    *lead, c, h, w = x.shape
    return tuple(lead), c, h, w


def _multiple(scope: Scope, what: str, name: str, n: Size, of: Size) -> None:
    if not scope.same(n % of, 0, f"{what} {name}"):
        raise ShapeError(f"{what}: {name} {n} is not a multiple of {of}")


def pixel_shuffle(scope: Scope, x: TensorFact, upscale_factor: Size) -> TensorFact:
    (lead, c, h, w), r = _image("pixel_shuffle", x), upscale_factor
    _multiple(scope, "pixel_shuffle", "channels", c, r * r)
    return channels_last_or_dense(x, (*lead, floordiv(c, r * r), h * r, w * r))


def pixel_unshuffle(scope: Scope, x: TensorFact, downscale_factor: Size) -> TensorFact:
    (lead, c, h, w), r = _image("pixel_unshuffle", x), downscale_factor
    _multiple(scope, "pixel_unshuffle", "height", h, r)
    _multiple(scope, "pixel_unshuffle", "width", w, r)
    return channels_last_or_dense(x, (*lead, c * r * r, floordiv(h, r), floordiv(w, r)))


def channel_shuffle(scope: Scope, x: TensorFact, groups: Size) -> TensorFact:
    if x.ndim < 3:
        raise ShapeError(f"channel_shuffle: x has shape {shape_text(x.shape)}, expected (N, C, ...)")
    _multiple(scope, "channel_shuffle", "channels", x.shape[1], groups)
    return channels_last_or_dense(x, x.shape)


_MOVED = Zero("permutes elements", moves=True)
_LINEAR, _CUBIC = 2, 4
_NEAREST = [(f"{name}{n}d", n) for name in ("upsample_nearest", "_upsample_nearest_exact") for n in (1, 2, 3)]
_WEIGHTED = (
    ("upsample_linear1d", 1, _LINEAR),
    ("upsample_bilinear2d", 2, _LINEAR),
    ("upsample_bicubic2d", 2, _CUBIC),
    ("upsample_trilinear3d", 3, _LINEAR),
)
_SMOOTH = (("_upsample_bilinear2d_aa", _LINEAR), ("_upsample_bicubic2d_aa", _CUBIC))

RESIZERS = tuple([name for name, _ in _NEAREST])
"""Ops that take an output size and scale factors."""
ALIGNED_RESIZERS = tuple([name for name, *_ in (*_WEIGHTED, *_SMOOTH)])
"""Those that are also told whether corners are aligned."""

_resizing = partial(op, overloads=Overloads(), takes_scales=True)

OPS: tuple[Op, ...] = (
    *(_resizing(name, shape=_interpolation(name, n), cost=_nearest_cost, follows="moved") for name, n in _NEAREST),
    *(_resizing(name, shape=_interpolation(name, n), cost=_taps_cost(n, taps)) for name, n, taps in _WEIGHTED),
    *(_resizing(name, shape=_interpolation(name, 2), cost=_antialias_cost(taps)) for name, taps in _SMOOTH),
    op("grid_sampler", "grid_sampler_2d", "grid_sampler_3d", shape=grid_sampler, cost=_grid_cost),
    op("affine_grid_generator", shape=affine_grid_generator, cost=_affine_cost),
    op("pixel_shuffle", shape=pixel_shuffle, cost=_MOVED),
    op("pixel_unshuffle", shape=pixel_unshuffle, cost=_MOVED),
    op("channel_shuffle", "native_channel_shuffle", shape=channel_shuffle, cost=_MOVED),
)
