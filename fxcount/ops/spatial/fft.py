"""Fourier transforms in one and more dimensions, complex, real and Hermitian.

Shapes:  the complex transform keeps the shape (``n``/``s`` pad or crop it first); the real one leaves
         floor(n/2) + 1 of the last dimension; its inverse makes 2*(n - 1), or what is asked for, of it.
Counts:  the field's convention for the fast transform, 5*n*log2(n) flops of a complex transform of n elements and half
         of it of a real one: exact for the radix-2 algorithm with every twiddle multiplied. log2 is rounded up for n
         that is no power of two. In several dimensions a real transform halves what the others work on.
         A factor other than 1 (``ifft``, ``norm="ortho"``) is one product per real number of the result.
Assumes: ceil(log2(n)) of a symbolic n is ``sum(Min(1, floor((n - 1)/2**j)) for j < 24)``: a long formula, but exact
         for every n up to 2**24, which is recorded.
Raises:  ShapeError: a real transform of complex numbers, a transform of no elements
Source:  Cooley and Tukey 1965; benchFFT's convention for counting; ATen/native/SpectralOps.cpp, mkl/SpectralOps.cpp

>>> x = TensorFact((3, 64), torch.complex64)
>>> y = _transform("fft", _complex)(Scope({}), x)
>>> y.shape, _cost("fft")(y, x).flops == 3 * 5 * 64 * 6
((3, 64), True)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from fxcount.errors import ShapeError, UnsupportedError
from fxcount.ops.core.arguments import Dims
from fxcount.ops.core.common import wrap_dim
from fxcount.ops.core.fact import TensorFact, Work, stride_order
from fxcount.ops.core.iterator import channels_last_or_dense, dense_like
from fxcount.ops.core.registry import CostRule, Op, ShapeRule, Zero, op
from fxcount.ops.core.striding import strided
from fxcount.symbolic import Scope, Size, floordiv, is_nonnegative, min_, prod, sum_

__all__ = ["OPS", "log2_ceil"]

MOST_BITS = 24  # of a symbolic transform's size


def log2_ceil(n: Size) -> Size:
    """``ceil(log2(n))``, for a symbolic n up to ``2**MOST_BITS``.

    >>> from fxcount.symbolic import evaluate, symbol
    >>> log2_ceil(64), log2_ceil(65), evaluate(log2_ceil(symbol("n")), {"n": 1000})
    (6, 7, 10)
    """
    if isinstance(n, int):
        return (n - 1).bit_length()
    return sum_(min_(1, floordiv(n - 1, 2**j)) for j in range(MOST_BITS))


def _bounded(scope: Scope, name: str, sizes: Sequence[Size]) -> None:
    """Every transformed size has elements, and no more than the formula of its logarithm holds for."""
    for n in sizes:
        if not scope.decide(">", n, 0, f"{name} has elements"):
            raise ShapeError(f"{name}: a transform of {n} elements", hint="transform at least one element")
        if not isinstance(n, int) and not scope.decide("<=", n, 2**MOST_BITS, f"{name}: log2 of its size"):
            raise UnsupportedError(
                f"{name}: the work of a transform of {n} elements has no formula beyond 2**{MOST_BITS}",
                hint="give this size as a number",
            )


# --- operands --------------------------------------------------------------------------------------------------------


def _resized(scope: Scope, x: TensorFact, dims: Sequence[int], sizes: Sequence[Any] | None) -> TensorFact:
    """``x`` cropped or padded with zeros to the sizes asked for."""
    shape, padded = list(x.shape), False
    for d, n in zip(dims, sizes or (), strict=False):
        if n is None or scope.same(n, shape[d], "transform size"):
            continue
        padded = padded or scope.decide(">", n, shape[d], "transform size")
        shape[d] = n
    if padded:
        return channels_last_or_dense(x, shape)
    return strided(x, tuple(shape), x.stride())


def _as_complex(x: TensorFact) -> TensorFact:
    return x if x.dtype.is_complex else dense_like(x, _float(x.dtype).to_complex())


def _float(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype.is_floating_point else torch.get_default_dtype()


def _written(x: TensorFact, shape: Sequence[Size], dims: Sequence[int], dtype: torch.dtype) -> TensorFact:
    """The layout of torch's CPU transforms: the other dimensions by stride, then the transformed ones as given."""
    others = [d for d in stride_order(x.shape, x.stride()) if d not in dims]
    strides: list[Size] = [1] * x.ndim
    running: Size = 1
    for d in reversed([*others, *dims]):
        strides[d] = running
        running = running * shape[d]
    return strided(TensorFact(tuple(shape), dtype, x.device), tuple(shape), tuple(strides))


def _by_stride(x: TensorFact, dims: Sequence[int]) -> list[int]:
    return [d for d in stride_order(x.shape, x.stride()) if d in dims]


def _c2c(x: TensorFact, dims: Sequence[int]) -> TensorFact:
    return _written(x, x.shape, _by_stride(x, dims), x.dtype) if dims else x


def _r2c(x: TensorFact, dims: Sequence[int], onesided: bool) -> TensorFact:
    shape, last = list(x.shape), dims[-1]
    if onesided:
        shape[last] = floordiv(shape[last], 2) + 1
    return _written(x, shape, [*_by_stride(x, dims[:-1]), last], _float(x.dtype).to_complex())


def _c2r(x: TensorFact, dims: Sequence[int], n: Size) -> TensorFact:
    half = _c2c(x, dims[:-1])
    shape = list(x.shape)
    shape[dims[-1]] = n
    return _written(half, shape, dims[-1:], x.dtype.to_real())


# --- the transforms of torch.fft -------------------------------------------------------------------------------------


Sizes = list[Any] | None
Transformed = tuple[TensorFact, list[Size]]


def _call(name: str, x: TensorFact, n: Any, dim: Dims) -> tuple[list[int], Sizes]:
    """Transformed dimensions, the halved one last, and the sizes asked for."""
    sizes = None if n is None else [None if m == -1 else m for m in (n if isinstance(n, (list, tuple)) else [n])]
    if dim is None:  # the last dimensions for which there are sizes, else all
        return list(range(x.ndim - len(sizes), x.ndim)) if sizes else list(range(x.ndim)), sizes
    dims = [wrap_dim(d, x.ndim) for d in (dim if isinstance(dim, (list, tuple)) else (dim,))]
    if sizes is not None and len(sizes) != len(dims):
        raise ShapeError(f"{name}: {len(sizes)} sizes for {len(dims)} dimensions")
    return dims, sizes


def _default_dim(name: str) -> Any:
    return {"2": (-2, -1), "n": None}.get(name[-1], -1)


def _complex(scope: Scope, name: str, x: TensorFact, dims: list[int], sizes: Sizes) -> Transformed:
    x = _resized(scope, x, dims, sizes)
    return _c2c(_as_complex(x), dims), [x.shape[d] for d in dims]


def _to_half(scope: Scope, name: str, x: TensorFact, dims: list[int], sizes: Sizes) -> Transformed:
    """rfft and ihfft: real numbers to half a spectrum."""
    if x.dtype.is_complex:
        raise ShapeError(f"{name}: x is {x.dtype}, expected real numbers", hint=f"use fft{name.lstrip('irhft')}")
    x = _resized(scope, x, dims, sizes)
    if name.startswith("ihfft"):  # torch transforms the last dimension first
        return _c2c(_r2c(x, dims[-1:], True), dims[:-1]), [x.shape[d] for d in dims]
    return _r2c(x, dims, True), [x.shape[d] for d in dims]


def _from_half(scope: Scope, name: str, x: TensorFact, dims: list[int], sizes: Sizes) -> Transformed:
    """irfft and hfft: half a spectrum to real numbers."""
    asked = sizes[-1] if sizes else None
    n: Size = 2 * (x.shape[dims[-1]] - 1) if asked is None else asked
    if sizes:
        x = _resized(scope, x, dims, [*sizes[:-1], None if asked is None else floordiv(n, 2) + 1])
    return _c2r(_as_complex(x), dims, n), [*(x.shape[d] for d in dims[:-1]), n]


def _transform(name: str, body: Callable[..., Transformed]) -> ShapeRule:
    default = _default_dim(name)

    def transform(
        scope: Scope, x: TensorFact, n: Any = None, dim: Dims = default, norm: str | None = None, s: Any = None
    ) -> TensorFact:
        dims, sizes = _call(name, x, s if n is None else n, dim)
        y, transformed = body(scope, name, x, dims, sizes)
        _bounded(scope, name, transformed)
        return y

    return transform


def _flops(y: TensorFact, dims: Sequence[int], last: Size | None, scaled: bool) -> Work:
    """``last`` is the number of real elements in the halved dimension, ``None`` of a complex transform."""
    transformed = [y.shape[d] for d in dims]
    scale = (2 if y.dtype.is_complex else 1) * y.numel if scaled else 0
    if last is None:
        return Work(flops=5 * y.numel * sum_(map(log2_ceil, transformed)) + scale)
    *depths, depth = map(log2_ceil, [*transformed[:-1], last])
    lines = prod(n for d, n in enumerate(y.shape) if d != dims[-1])
    half = lines * (floordiv(last, 2) + 1)
    return Work(flops=5 * half * sum_(depths) + floordiv(5 * lines * last * depth, 2) + scale)


def _cost(name: str) -> CostRule:
    inverse = name.startswith("i")
    default = _default_dim(name)

    def cost(y: TensorFact, x: TensorFact, n: Any = None, dim: Dims = default, norm: Any = None, s: Any = None) -> Work:
        dims, sizes = _call(name, x, s if n is None else n, dim)
        asked = sizes[-1] if sizes else None
        last: Size | None = y.shape[dims[-1]]
        if name.startswith(("rfft", "ihfft")):
            last = x.shape[dims[-1]] if asked is None else asked
        elif "r" not in name and "h" not in name and (x.dtype.is_complex or name[-1] in "2n"):
            last = None  # of real numbers in several dimensions torch makes complex ones first
        scaled = norm == "ortho" or (norm in (None, "backward")) == inverse
        return _flops(y, dims, last, scaled)

    return cost


def _copies(name: str) -> Callable[..., Size]:
    """Bytes of the operand's copies: made complex, padded, conjugated, transformed along the other dimensions."""
    default, multi = _default_dim(name), name[-1] in "2n"

    def temporaries(
        y: TensorFact, x: TensorFact, n: Any = None, dim: Dims = default, norm: str | None = None, s: Any = None
    ) -> Size:
        if name in ("ihfft2", "ihfftn"):
            return y.nbytes
        dims, sizes = _call(name, x, s if n is None else n, dim)
        shape = list(x.shape)
        for d, size in zip(dims, sizes or [], strict=False):
            shape[d] = shape[d] if size is None else size
        if name.startswith(("irfft", "hfft")) and sizes and sizes[-1] is not None:
            shape[dims[-1]] = floordiv(sizes[-1], 2) + 1
        complex_first = (multi or name in ("irfft", "hfft")) and not name.startswith("rfft")
        dtype = _as_complex(x).dtype if complex_first else _float(x.dtype) if not x.dtype.is_complex else x.dtype
        converted = x.numel if dtype is not x.dtype else 0
        copies = int(any(not is_nonnegative(old - new) for old, new in zip(x.shape, shape, strict=True)))
        if name.startswith("hfft"):
            copies = 1 + multi
        return (converted + copies * prod(shape)) * dtype.itemsize

    return temporaries


# --- ATen's own transforms -------------------------------------------------------------------------------------------


def _fft_c2c(scope: Scope, x: TensorFact, dim: Sequence[int], normalization: int, forward: bool) -> TensorFact:
    dims = [wrap_dim(d, x.ndim) for d in dim]
    _bounded(scope, "_fft_c2c", [x.shape[d] for d in dims])
    return _c2c(x, dims)


def _fft_r2c(scope: Scope, x: TensorFact, dim: Sequence[int], normalization: int, onesided: bool) -> TensorFact:
    dims = [wrap_dim(d, x.ndim) for d in dim]
    _bounded(scope, "_fft_r2c", [x.shape[d] for d in dims])
    return _r2c(x, dims, onesided)


def _fft_c2r(scope: Scope, x: TensorFact, dim: Sequence[int], normalization: int, last_dim_size: Size) -> TensorFact:
    dims = [wrap_dim(d, x.ndim) for d in dim]
    _bounded(scope, "_fft_c2r", [*(x.shape[d] for d in dims[:-1]), last_dim_size])
    return _c2r(x, dims, last_dim_size)


def _aten_cost(kind: str) -> CostRule:
    def cost(y: TensorFact, x: TensorFact, dim: Sequence[int], normalization: int, *_: object, **__: object) -> Work:
        dims = [wrap_dim(d, x.ndim) for d in dim]
        last = {"r2c": x.shape[dims[-1]], "c2r": y.shape[dims[-1]]}.get(kind)
        return _flops(y, dims, last, normalization != 0)

    return cost


def _shift(scope: Scope, x: TensorFact, dim: Dims = None) -> TensorFact:
    return x.new(x.shape)


_BODIES = {
    "fft": _complex,
    "ifft": _complex,
    "rfft": _to_half,
    "ihfft": _to_half,
    "irfft": _from_half,
    "hfft": _from_half,
}
_NAMES = [(base + suffix, body) for base, body in _BODIES.items() for suffix in ("", "2", "n")]

OPS: tuple[Op, ...] = (
    *(
        op(f"fft.{name}", shape=_transform(name, body), cost=_cost(name), temporaries=_copies(name))
        for name, body in _NAMES
    ),
    op("_fft_c2c", shape=_fft_c2c, cost=_aten_cost("c2c")),
    op("_fft_r2c", shape=_fft_r2c, cost=_aten_cost("r2c")),
    op("_fft_c2r", shape=_fft_c2r, cost=_aten_cost("c2r")),
    op("fft.fftshift", "fft.ifftshift", shape=_shift, cost=Zero("rotates elements", moves=True)),
)
