"""Composite functions whose C++ asks a tensor for plain sizes, in Python: the same ops in the same order, so that what
autograd saves is what it saves of torch's own.

What they allocate on the way is gone when the function is done, and of no matter to plain eager; a tracker sees most of it.

Source: Sorting.cpp (quantiles), TensorAdvancedIndexing.cpp, LinearAlgebra.cpp (chains, Kronecker products), Correlation.cpp,
ReduceOps.cpp (gradient), SpectralOps.cpp and AffineGridGenerator.cpp of ATen's native.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from types import MappingProxyType
from typing import Any

import torch

from fxcount import torch_private
from fxcount.symbolic import SymSize
from fxcount.training.sizes import is_symbolic

__all__ = ["COMPOSED", "SPELLED"]

_T = torch.Tensor


# --- statistics ------------------------------------------------------------------------------------------------------------


def _quantile(
    func: Any, ignores_nan: bool, tracer: Any, input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *,
    interpolation: str = "linear", out: Any = None,
) -> Any:  # fmt: skip
    if out is not None or not is_symbolic(input) or input.dim() == 0:
        return func(input, q, dim, keepdim, interpolation=interpolation, out=out)
    if not isinstance(q, torch.Tensor):
        q = torch.scalar_tensor(q, dtype=input.dtype, device=input.device)
    found, kept = _sorted_last(input, dim, keepdim)
    n = found.shape[-1]
    rows = _T.view(found, [*kept, n])
    if ignores_nan:
        there = _T.logical_not_(torch.isnan(rows))
        counts = torch.sum(there, -1, True)
        last = torch.sub(counts, 1)
        ranks = torch.mul(q, last)
        del there, counts, last  # not before
        _T.masked_fill_(ranks, torch.lt(ranks, 0), 0)
    else:
        broadcast: Any = torch.broadcast_tensors
        spread, missing = broadcast(torch.mul(q, n - 1), torch.any(torch.isnan(rows), -1, True))
        ranks = torch.masked_fill(spread, missing, n - 1)
        del spread, missing
    values = _interpolated(rows, ranks, interpolation)
    if q.dim() == 0:
        return _T.squeeze_(values, -1)
    return _T.squeeze_(_T.transpose_(_T.unsqueeze_(values, 0), 0, -1), -1)


def _sorted_last(x: Any, dim: int | None, keepdim: bool) -> tuple[Any, list[Any]]:
    """Sorted along what is reduced, which comes last; and the sizes that are left of the others."""
    if dim is None:
        return torch.sort(torch.flatten(x))[0], [1] * x.dim() if keepdim else []
    at = dim % x.dim()
    kept = [n for i, n in enumerate(x.shape) if i != at]
    if keepdim:
        kept.insert(at, 1)
    if at == x.dim() - 1:
        return torch.sort(x)[0], kept
    return torch.sort(torch.transpose(torch.unsqueeze(x, -1), at, -1))[0], kept


def _interpolated(rows: Any, ranks: Any, how: str) -> Any:
    rounding = {"lower": _T.floor_, "higher": _T.ceil_, "nearest": _T.round_}.get(how)
    if rounding is not None:
        rounding(ranks)
    below = _T.to(ranks, torch.int64)
    values = torch.gather(rows, -1, below)
    if how in ("linear", "midpoint"):
        weights = torch.full_like(ranks, 0.5) if how == "midpoint" else torch.sub(ranks, below)
        above = _T.to(_T.ceil_(ranks), torch.int64)
        _T.lerp_(values, torch.gather(rows, -1, above), weights)
    return values


def _cov(tracer: Any, input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    if not is_symbolic(input) or input.dim() not in (1, 2) or fweights is not None or aweights is not None:
        return torch.cov(input, correction=correction, fweights=fweights, aweights=aweights)
    rows = _T.view(input, [1, -1]) if input.dim() < 2 else input
    n = rows.shape[1]
    mean = torch.div(torch.sum(rows, 1), tracer.literal(n))
    divisor = tracer.literal(n - correction)
    centred = torch.sub(rows, torch.unsqueeze(mean, 1))
    product = torch.mm(centred, torch.t(centred))
    return torch.squeeze(torch.div(product, divisor))


def _corrcoef(tracer: Any, input: Any) -> Any:
    if not is_symbolic(input) or input.dim() not in (1, 2) or input.is_complex():
        return torch.corrcoef(input)
    found = _cov(tracer, input)
    if found.dim() == 0:
        return torch.div(found, found)
    deviation = torch.sqrt(torch.diagonal(found))
    found = torch.div(found, _T.view(deviation, [-1, 1]))
    found = torch.div(found, _T.view(deviation, [1, -1]))
    return torch.clip(found, -1, 1)


def _gradient(tracer: Any, input: Any, *, spacing: Any = None, dim: Any = None, edge_order: int = 1) -> Any:
    """Differences of neighbours, at the ends of one side."""
    plain = edge_order == 1 and (spacing is None or isinstance(spacing, (int, float)))
    if not plain or not is_symbolic(input) or input.is_complex():
        options = {"spacing": spacing, "dim": dim, "edge_order": edge_order}
        return torch.gradient(input, **{name: value for name, value in options.items() if value is not None})
    step = 1 if spacing is None else spacing
    dims = range(input.dim()) if dim is None else [dim] if isinstance(dim, int) else dim
    return tuple([_differences(input, d % input.dim(), step) for d in dims])


def _differences(x: Any, dim: int, step: float) -> Any:
    n = x.shape[dim]
    cuts = (((2, n), (0, n - 2)), ((1, 2), (0, 1)), ((n - 1, n), (n - 2, n - 1)))
    over, part = torch.ops.aten.div.Scalar, torch.ops.aten.slice.Tensor
    centre, first, last = [over(torch.sub(*[part(x, dim, *cut) for cut in pair]), step) for pair in cuts]
    return torch.cat([first, over(centre, 2), last], dim)


# --- indices, products -----------------------------------------------------------------------------------------------------


def _take_along_dim(func: Any, tracer: Any, input: Any, indices: Any, dim: int | None = None, *, out: Any = None) -> Any:
    fits = dim is not None and isinstance(indices, torch.Tensor) and input.dim() == indices.dim()
    if dim is None or not fits or out is not None or not is_symbolic(input, indices):
        return func(input, indices, dim) if out is None else func(input, indices, dim, out=out)
    at = dim % input.dim()
    places, elements = _both(input.shape, indices.shape, at), _both(indices.shape, input.shape, at)
    chosen = torch.broadcast_to(indices, places)
    spread = torch.broadcast_to(input, elements)
    return torch.gather(spread, at, torch.remainder(chosen, input.shape[at]) if _wraps_around() else chosen)


def _both(shape: Sequence[Any], other: Sequence[Any], dim: int) -> Any:
    """The sizes of both, but ``other``'s at one dimension."""
    mine = [n if i != dim else m for i, (n, m) in enumerate(zip(shape, other))]
    shapes: Any = torch.broadcast_shapes
    return shapes(mine, tuple(other))


@cache
def _wraps_around() -> bool:
    """Whether this torch takes indices from the end."""
    try:
        torch.take_along_dim(torch.zeros(2), torch.tensor([-1]), 0)
    except (RuntimeError, IndexError):
        return False
    return True


def _multi_dot(tracer: Any, tensors: Any, *, out: Any = None) -> Any:
    """Products in the order that needs the fewest multiplications, which the sample sizes decide."""
    if out is not None or len(tensors) < 2 or not is_symbolic(*tensors):
        return torch.linalg.multi_dot(tensors, out=out)
    first, last = tensors[0], tensors[-1]
    matrices = [
        torch.unsqueeze(first, 0) if first.dim() == 1 else first, *tensors[1:-1],
        torch.unsqueeze(last, -1) if last.dim() == 1 else last,
    ]  # fmt: skip
    sizes = [m.shape[0] for m in matrices] + [matrices[-1].shape[1]]
    shape = [*([sizes[0]] if first.dim() == 2 else []), *([sizes[-1]] if last.dim() == 2 else [])]
    product = _in_order(matrices, 0, len(matrices) - 1, _splits(sizes))
    return _T.view(product, shape)


def _splits(sizes: list[Any]) -> dict[tuple[int, int], int]:
    """Where each stretch of the chain is split in two."""
    n = len(sizes) - 1
    if n == 3:
        a, b, c, d = sizes
        return {(0, 2): 0 if a * c * (b + d) > b * d * (a + c) else 1, (0, 1): 0, (1, 2): 1}
    cost: dict[tuple[int, int], Any] = {(i, i): 0 for i in range(n)}
    splits: dict[tuple[int, int], int] = {}
    for i, j in [(i, i + length) for length in range(1, n) for i in range(n - length)]:
        for k in range(i, j):
            tried = cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1]
            if (i, j) not in cost or tried < cost[i, j]:
                cost[i, j], splits[i, j] = tried, k
    return splits


def _in_order(matrices: list[Any], i: int, j: int, splits: Mapping[tuple[int, int], int]) -> Any:
    if i == j:
        return matrices[i]
    k = splits[i, j]
    right = _in_order(matrices, k + 1, j, splits)
    return torch.mm(_in_order(matrices, i, k, splits), right)


def _kron(func: Any, tracer: Any, input: Any, other: Any, *, out: Any = None) -> Any:
    if out is not None or not is_symbolic(input, other):
        return func(input, other) if out is None else func(input, other, out=out)
    rank = max(input.dim(), other.dim())
    mine, theirs = ([1] * (rank - t.dim()) + list(t.shape) for t in (input, other))
    left = torch.ops.aten._unsafe_view(input, [n for m in mine for n in (m, 1)])
    right = torch.ops.aten._unsafe_view(other, [n for m in theirs for n in (1, m)])
    return torch.ops.aten._unsafe_view(torch.mul(left, right), [a * b for a, b in zip(mine, theirs)])


# --- spectra ---------------------------------------------------------------------------------------------------------------

_NO_SCALE, _BY_ROOT, _BY_N = 0, 1, 2  # numbers that ATen gives the ways to scale a transform


def _stft(
    func: Any, tracer: Any, x: Any, n_fft: Any, hop_length: Any = None, win_length: Any = None, window: Any = None,
    normalized: bool = False, onesided: bool | None = None, return_complex: bool | None = None, *rest: Any,
) -> Any:  # fmt: skip
    """Of what Python has padded: frames, a window, a transform of each."""
    if not is_symbolic(x) or any(rest) or x.is_complex() or not isinstance(n_fft, int):
        return func(x, n_fft, hop_length, win_length, window, normalized, onesided, return_complex, *rest)
    hop = n_fft // 4 if hop_length is None else hop_length
    width = n_fft if win_length is None else win_length
    is_one = x.dim() == 1
    signals = torch.unsqueeze(x, 0) if is_one else x
    length = signals.shape[1]
    if width < n_fft:
        window = _padded_window(window, n_fft, width, signals)
    frames = _framed(signals, 1 + (length - n_fft) // hop, n_fft, hop)
    if window is not None:
        frames = torch.mul(frames, window)
    found = torch.ops.aten._fft_r2c(frames, [2], _BY_ROOT if normalized else _NO_SCALE, onesided is not False)
    del frames
    _T.transpose_(found, 1, 2)
    if is_one:
        _T.squeeze_(found, 0)
    return torch.view_as_real(found) if return_complex is False else found


def _framed(signals: Any, count: Any, width: int, hop: Any) -> Any:
    outer, inner = signals.stride()
    sizes, strides = [signals.shape[0], count, width], [outer, hop * inner, inner]
    if hop < width and signals.requires_grad and torch.is_grad_enabled():
        return _Frames.apply(signals, sizes, strides)  # type: ignore[no-untyped-call]
    return torch.as_strided(signals, sizes, strides)


class _Frames(torch.autograd.Function):
    """A view of frames that overlap: its backward adds what falls on one element. Source: ``as_strided_backward`` of
    FunctionsManual.cpp."""

    @staticmethod
    def forward(ctx: Any, x: Any, sizes: Any, strides: Any) -> Any:
        ctx.geometry = tuple(x.shape), x.stride(), sizes, strides
        return torch.as_strided(x, sizes, strides)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        shape, steps, sizes, strides = ctx.geometry
        length = 1
        for n, step in zip(shape, steps):
            length = length + (n - 1) * step
        found = _T.new_zeros(grad, length)
        places = torch.as_strided(torch.arange(0, length, device=grad.device), sizes, strides)
        _T.index_add_(found, 0, torch.reshape(places, (-1,)), torch.reshape(grad, (-1,)))
        return torch.as_strided(found, shape, steps), None, None


def _padded_window(window: Any, n_fft: int, width: int, x: Any) -> Any:
    """A window in the middle of a frame that is wider."""
    whole = torch.zeros(n_fft, dtype=x.dtype if window is None else window.dtype, device=x.device)
    middle = torch.narrow(whole, 0, (n_fft - width) // 2, width)
    if window is None:
        _T.fill_(middle, 1)
    else:
        _T.copy_(middle, window)
    return whole


def _istft(
    func: Any, tracer: Any, input: Any, n_fft: Any, hop_length: Any = None, win_length: Any = None, window: Any = None,
    center: bool = True, normalized: bool = False, onesided: bool | None = None, length: Any = None,
    return_complex: bool = False,
) -> Any:  # fmt: skip
    """Transforms back, added up where they overlap, over the sum of the squared windows."""
    if not is_symbolic(input) or return_complex or not isinstance(n_fft, int):
        return func(input, n_fft, hop_length, win_length, window, center, normalized, onesided, length, return_complex)
    hop = n_fft // 4 if hop_length is None else hop_length
    width = n_fft if win_length is None else win_length
    parts = torch.view_as_real(input)
    is_one = parts.dim() == 3
    count = input.shape[-1]
    expected = n_fft + hop * (count - 1)
    if window is None:
        window = torch.ones(width, dtype=parts.dtype, device=input.device)
    if width != n_fft:
        left = (n_fft - width) // 2
        window = torch.constant_pad_nd(window, [left, n_fft - width - left], 0)
    if is_one:
        parts = torch.unsqueeze(parts, 0)
    spectrum = torch.view_as_complex(torch.transpose(parts, 1, 2))
    rows = n_fft // 2 + 1
    if onesided is False or (onesided is None and bool(input.shape[-2] != rows)):
        spectrum = torch.ops.aten.slice.Tensor(spectrum, -1, 0, rows)
    waves = torch.ops.aten._fft_c2r(spectrum, [2], _BY_ROOT if normalized else _BY_N, n_fft)
    frames = torch.mul(waves, _T.view(window, [1, 1, n_fft]))
    added = torch.ops.aten.unfold_backward(frames, [frames.shape[0], expected], 1, n_fft, hop)
    squares = torch.pow(window, 2).expand(1, count, n_fft)
    envelope = torch.ops.aten.unfold_backward(squares, [1, expected], 1, n_fft, hop)
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else expected - n_fft // 2 if center else expected
    added, envelope = [torch.ops.aten.slice.Tensor(t, 1, start, end) for t in (added, envelope)]
    _look_at(envelope)
    found = torch.div(added, envelope)
    if is_one:
        found = torch.squeeze(found, 0)
    if length is not None and end > expected:
        found = torch.constant_pad_nd(found, [0, end - expected], 0)
    return found


def _look_at(envelope: Any) -> None:
    """What torch makes while it checks that no sample is outside of all windows."""
    sizes = torch.abs(envelope)
    least = torch.min(sizes)
    is_none = torch.lt(least, 1e-11)
    _T.new_ones(is_none, ())


# --- grids -----------------------------------------------------------------------------------------------------------------


class _AffineGrid(torch.autograd.Function):
    """Its backward makes the grid of places again."""

    @staticmethod
    def forward(ctx: Any, tracer: Any, theta: Any, size: Any, align_corners: bool) -> Any:
        ctx.tracer, ctx.size, ctx.aligned = tracer, size, align_corners
        return torch.affine_grid_generator(theta, size, align_corners)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        tracer = ctx.tracer
        start = len(tracer.ledger.log)
        found = _grid_backward(tracer, grad, ctx.size, ctx.aligned)
        tracer.within.append((start, len(tracer.ledger.log)))  # an op of ATen's own
        return None, found, None, None


def _grid_backward(tracer: Any, grad: Any, size: Sequence[Any], aligned: bool) -> Any:
    n, _, *image = size
    rank = len(image)
    places = torch.empty([n, *image, rank + 1], dtype=grad.dtype, device=grad.device)
    for i, count in enumerate(reversed(image)):
        line = tracer.made(torch.linspace, -1, 1, count, dtype=grad.dtype, device=grad.device)
        if not aligned:
            line = torch.div(torch.mul(line, count - 1), count)
        for _ in range(i):
            _T.unsqueeze_(line, -1)
        _T.copy_(torch.select(places, -1, i), line)
    _T.fill_(torch.select(places, -1, rank), 1)
    count = 1
    for m in image:
        count = count * m
    flat = torch.transpose(_T.view(places, [n, count, rank + 1]), 1, 2)
    return torch.transpose(torch.bmm(flat, torch.reshape(grad, [n, count, rank])), 1, 2)


def _affine_grid(tracer: Any, theta: Any, size: Any, align_corners: bool) -> Any:
    symbolic = any(type(n) is SymSize for n in size) or is_symbolic(theta)
    if not symbolic or not theta.requires_grad or not torch.is_grad_enabled():
        return torch.affine_grid_generator(theta, size, align_corners)
    return _AffineGrid.apply(tracer, theta, tuple(size), align_corners)  # type: ignore[no-untyped-call]


SPELLED: Mapping[Any, Callable[..., Any]] = MappingProxyType({
    **{f: partial(_quantile, f, False) for f in (torch.quantile, torch.Tensor.quantile)},
    **{f: partial(_quantile, f, True) for f in (torch.nanquantile, torch.Tensor.nanquantile)},
    torch.cov: _cov, torch.Tensor.cov: _cov, torch.corrcoef: _corrcoef, torch.Tensor.corrcoef: _corrcoef,
    torch.gradient: _gradient,
    **{f: partial(_take_along_dim, f) for f in (torch.take_along_dim, torch.Tensor.take_along_dim)},
    **{f: partial(_kron, f) for f in (torch.kron, torch.Tensor.kron)},
    **{f: partial(_istft, f) for f in (torch.istft, torch.Tensor.istft)},
    torch.linalg.multi_dot: _multi_dot, torch.affine_grid_generator: _affine_grid,
})  # fmt: skip
"""Those that people call, by the names that torch's arguments have: ``form(tracer, *args, **kwargs)``."""

COMPOSED: Mapping[Any, Callable[..., Any]] = MappingProxyType({
    **SPELLED,
    torch_private.VF.stft: partial(_stft, torch_private.VF.stft),  # what the function of Python calls
})
"""For each function its form."""
