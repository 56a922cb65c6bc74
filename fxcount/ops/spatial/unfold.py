"""Sliding windows: blocks as columns and back (``F.unfold``, ``F.fold``), short-time Fourier transforms.

Shapes:  im2col  x (N, C, H, W) -> (N, C*prod(K), L), L = prod(O), O = floor((I + 2p - d*(K - 1) - 1)/s) + 1
         col2im  x (N, C*prod(K), L) -> (N, C, *output_size); both also without N
         stft    x (B, L) -> (B, n_fft/2 + 1, 1 + floor((L - n_fft)/hop)), which ``torch.stft`` has padded before
         istft   x (B, n_fft/2 + 1, T) -> (B, n_fft + hop*(T - 1)), less n_fft if centred, or ``length``
Counts:  im2col copies; col2im adds every element of every column once onto an image of zeros: flops = numel(x),
         elements that fall into the padding included.
         stft: a transform per frame (see fft.py), n_fft products with the window, and a product per real number of the
         result if normalized. istft: a transform per frame and 3*n_fft for scale, window and overlap-add; once
         n_fft + n_fft*T for the envelope of squared windows; a division for each sample.
Raises:  ShapeError: rank, columns that do not match the blocks
Source:  ATen/native/Im2Col.cpp, Col2Im.cpp, SpectralOps.cpp

>>> import torch
>>> im2col(Scope({}), TensorFact((2, 3, 9, 9), torch.float32), (3, 3), 1, 0, 2).shape
(2, 27, 16)
"""

from __future__ import annotations

from typing import Any

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Sizes
from fxcount.ops.core.common import as_tuple, shape_text
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.registry import Op, Zero, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.core.striding import strided
from fxcount.ops.spatial.fft import log2_ceil
from fxcount.symbolic import Scope, Size, floordiv, max_, prod

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
    scope: Scope, x: TensorFact, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> TensorFact:
    if x.ndim not in (3, 4):
        raise ShapeError(f"im2col: x has shape {shape_text(x.shape)}, expected (N, C, H, W) or (C, H, W)")
    blocks = _blocks(scope, "im2col", x.shape[-2:], kernel_size, dilation, padding, stride)
    return x.new((*x.shape[:-3], x.shape[-3] * prod(as_tuple(kernel_size, 2)), blocks))


def col2im(
    scope: Scope,
    x: TensorFact,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
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


def _hop(n_fft: Size, hop_length: Size | None) -> Size:
    hop: Size = floordiv(n_fft, 4) if hop_length is None else hop_length
    return hop


def _check_window(scope: Scope, what: str, n_fft: Size, win_length: Size | None, window: TensorFact | None) -> None:
    wanted = n_fft if win_length is None else win_length
    if window is not None and not scope.same(window.numel, wanted, f"{what} window"):
        raise ShapeError(f"{what}: the window has {window.numel} elements, expected {wanted}")


def stft(
    scope: Scope,
    x: TensorFact,
    n_fft: Size,
    hop_length: Size | None = None,
    win_length: Size | None = None,
    window: TensorFact | None = None,
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> TensorFact:
    if x.ndim not in (1, 2):
        raise ShapeError(f"stft: x has shape {shape_text(x.shape)}, expected (L,) or (B, L)")
    _check_window(scope, "stft", n_fft, win_length, window)
    *batch, length = x.shape
    if not scope.decide(">=", length, n_fft, "stft has a frame"):
        raise ShapeError(f"stft: {length} samples are fewer than n_fft={n_fft}")
    frames = floordiv(length - n_fft, _hop(n_fft, hop_length)) + 1
    rows = floordiv(n_fft, 2) + 1 if onesided is not False and not x.dtype.is_complex else n_fft
    spectrum = x.dtype if x.dtype.is_complex else x.dtype.to_complex()
    shape = (*batch, rows, frames)
    outer: tuple[Size, ...] = (rows * frames,) if batch else ()
    if return_complex is False:
        return TensorFact((*shape, 2), spectrum.to_real(), x.device, (*(2 * s for s in outer), 2, 2 * rows, 1))
    return strided(TensorFact(shape, spectrum, x.device), shape, (*outer, 1, rows))


def _line_flops(n: Size, real: bool) -> Size:
    return floordiv(5 * n * log2_ceil(n), 2) if real else 5 * n * log2_ceil(n)


def _options(
    hop_length: Size | None = None, win_length: Size | None = None, window: TensorFact | None = None, normalized: bool = False,
    *_: object, **__: object,
) -> tuple[TensorFact | None, bool]:  # fmt: skip
    """What matters to the work among the arguments of ``stft`` after n_fft, however they were passed."""
    return window, normalized


def _frames(y: TensorFact, x: TensorFact) -> Size:
    """Frames of all signals."""
    return (y.shape[-1] if y.dtype.is_complex else y.shape[-2]) * prod(x.shape[:-1])


def _stft_cost(y: TensorFact, x: TensorFact, n_fft: Size, *args: Any, **kwargs: Any) -> Work:
    window, normalized = _options(*args, **kwargs)
    frames = _frames(y, x)
    windowed = n_fft * (2 if x.dtype.is_complex else 1) if window is not None else 0
    scale = y.numel * (2 if y.dtype.is_complex else 1) if normalized else 0
    return Work(flops=frames * (windowed + _line_flops(n_fft, not x.dtype.is_complex)) + scale)


def istft(
    scope: Scope,
    x: TensorFact,
    n_fft: Size,
    hop_length: Size | None = None,
    win_length: Size | None = None,
    window: TensorFact | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: Size | None = None,
    return_complex: bool = False,
) -> TensorFact:
    if not x.dtype.is_complex or x.ndim not in (2, 3):
        raise ShapeError(f"istft: x is {x.dtype} of shape {shape_text(x.shape)}, expected complex (B, F, T) or (F, T)")
    if onesided is None:  # as many rows as n_fft has are a two-sided spectrum
        onesided = not scope.decide("==", x.shape[-2], n_fft, "istft rows")
    if not scope.same(x.shape[-2], floordiv(n_fft, 2) + 1 if onesided else n_fft, "istft rows"):
        raise ShapeError(f"istft: x has {x.shape[-2]} rows, which does not match n_fft={n_fft}")
    _check_window(scope, "istft", n_fft, win_length, window)
    samples = n_fft + _hop(n_fft, hop_length) * (x.shape[-1] - 1) - (2 * floordiv(n_fft, 2) if center else 0)
    dtype = x.dtype if return_complex else x.dtype.to_real()
    return x.new((*x.shape[:-2], samples if length is None else length), dtype)


def _istft_cost(y: TensorFact, x: TensorFact, n_fft: Size, *_: object, **__: object) -> Work:
    per_value = 2 if y.dtype.is_complex else 1
    frames = x.shape[-1]
    lines = frames * prod(x.shape[:-2])
    envelope = n_fft + n_fft * frames
    per_line = 3 * n_fft * per_value + _line_flops(n_fft, not y.dtype.is_complex)
    return Work(flops=lines * per_line + envelope + y.numel * per_value)


def _oversized(y: TensorFact, x: TensorFact, *_: object, **__: object) -> Size:
    """torch shrinks a tensor like ``x`` to the image, and the result keeps that storage."""
    return max_(x.nbytes - y.nbytes, 0)


def _windowed(y: TensorFact, x: TensorFact, n_fft: Size, *args: Any, **kwargs: Any) -> Size:
    """The frames times the window."""
    window, _ = _options(*args, **kwargs)
    return 0 if window is None else _frames(y, x) * n_fft * x.itemsize


def _overlapped(y: TensorFact, x: TensorFact, n_fft: Size, hop_length: Size | None = None, *_: object, **__: object) -> Size:
    """Frames before and after the window, their sum, the squared window, its sum, and the test of that for zeros."""
    batch, frames = prod(x.shape[:-2]), x.shape[-1]
    samples = n_fft + _hop(n_fft, hop_length) * (frames - 1)
    return (2 * batch * frames * n_fft + batch * samples + n_fft + samples) * y.itemsize + 1


OPS: tuple[Op, ...] = (
    op("im2col", shape=im2col, cost=Zero("copies blocks", moves=True)),
    op("col2im", shape=col2im, cost=_fold_cost, temporaries=_oversized, unshrunk=True),
    op("stft", shape=stft, cost=_stft_cost, temporaries=_windowed),
    op("istft", shape=istft, cost=_istft_cost, temporaries=_overlapped),
)
