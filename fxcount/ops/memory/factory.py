"""Tensors from sizes and numbers alone: constants, ranges, windows, identity, triangle indices.

Shapes:  as the arguments say; ``arange`` has ceil((end - start)/step) elements. Without a dtype: the default float
         dtype, int64 for ranges and fills of integers, bool for fills of booleans; ``*_like`` and ``new_*`` take x's
Counts:  constants 0. Per element, in floating point only: ``arange`` and ``linspace`` ``start + i*step`` 2;
         ``logspace`` a power more, 3. Windows by their definitions, with c = 2*pi/(n - 1):
         hann ``0.5*(1 - cos(c*i))`` and hamming ``a - b*cos(c*i)`` 4; blackman ``a - b*cos(c*i) + d*cos(2c*i)`` 8;
         bartlett ``1 - |2*i/(n - 1) - 1|`` 4; kaiser ``i0(b*sqrt(1 - ((i - m)/m)**2))/i0(b)`` 8; cos, i0 and powers are
         transcendental. ``fftfreq`` is a product.
         Only the result is written; ``*_like`` reads nothing, ``empty`` writes nothing.
Raises:  ShapeError: a range that runs the wrong way, negative sizes; DataDependentError: a bound that is a tensor
Source:  ATen/native/TensorFactories.cpp

>>> scope = Scope({"S": 128})
>>> arange(scope, end=scope.symbols["S"], step=2).shape
(ceil(S/2),)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch

from fxcount.errors import DataDependentError, ShapeError
from fxcount.ops.core.arguments import Device, Dtype, Format, Real, Scalar, Sizes
from fxcount.ops.core.binding import Overloads
from fxcount.ops.core.common import promote, shape_text
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import dense_like
from fxcount.ops.core.registry import CostRule, Op, ShapeRule, Zero, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.core.striding import channels_last_layout, strided
from fxcount.symbolic import Expr, Scope, Size, ceildiv, floordiv, min_, prod
from fxcount.symbolic.floats import EXACT, Claim, nearest

__all__ = ["OPS", "made"]

Bound = Real | TensorFact
"""Of a range; a tensor is refused."""

_CHANNELS_LAST = (torch.channels_last, torch.channels_last_3d)


def made(scope: Scope, what: str, shape: Sequence[Size], dtype: Dtype, device: Device) -> TensorFact:
    """A row-major tensor of sizes that the model gives, with torch's default dtype and device."""
    for n in shape:
        if not scope.decide(">=", n, 0, f"{what} size"):
            raise ShapeError(f"{what}: negative size {n} in {shape_text(shape)}")
    return _sized(shape, dtype, device)


def _sized(shape: Sequence[Size], dtype: Dtype, device: Device) -> TensorFact:
    return TensorFact(tuple(shape), dtype or torch.get_default_dtype(), torch.device(device or "cpu"))


def _in_format(y: TensorFact, memory_format: Format) -> TensorFact:
    if memory_format in _CHANNELS_LAST:
        return TensorFact(y.shape, y.dtype, y.device, channels_last_layout(y.shape))
    return y


# --- constants -------------------------------------------------------------------------------------------------------


def _filled(what: str) -> ShapeRule:
    def make(
        scope: Scope, size: Sizes, *, dtype: Dtype = None, device: Device = None, memory_format: Format = None, **_: object
    ) -> TensorFact:
        sizes = size if isinstance(size, (list, tuple)) else (size,)
        return _in_format(made(scope, what, sizes, dtype, device), memory_format)

    return make


def full(scope: Scope, size: Sizes, fill_value: Scalar, *, dtype: Dtype = None, device: Device = None) -> TensorFact:
    sizes = size if isinstance(size, (list, tuple)) else (size,)
    return made(scope, "full", sizes, dtype or promote(fill_value), device)


def scalar_tensor(scope: Scope, s: Any, *, dtype: Dtype = None, device: Device = None) -> TensorFact:
    return made(scope, "scalar_tensor", (), dtype, device)


def _like(
    scope: Scope, x: TensorFact, *_: object, dtype: Dtype = None, device: Device = None, memory_format: Format = None,
    **__: object,
) -> TensorFact:
    y = TensorFact(x.shape, dtype or x.dtype, torch.device(device) if device else x.device, x.strides)
    if memory_format in (None, torch.preserve_format):
        return dense_like(y)
    return _in_format(y.new(y.shape), memory_format)


def _new(
    scope: Scope, x: TensorFact, size: Sizes = (0,), *_: object, dtype: Dtype = None, device: Device = None, **__: object
) -> TensorFact:
    sizes = size if isinstance(size, (list, tuple)) else (size,)
    return made(scope, "new", sizes, dtype or x.dtype, device or x.device)


def new_tensor(scope: Scope, x: TensorFact, data: Any, *, dtype: Dtype = None, device: Device = None) -> TensorFact:
    shape: list[Size] = []
    while isinstance(data, (list, tuple)):
        shape.append(len(data))
        data = data[0] if data else 0
    own = data.shape if isinstance(data, TensorFact) else ()
    return made(scope, "new_tensor", (*shape, *own), dtype or x.dtype, device or x.device)


def empty_strided(
    scope: Scope, size: Sequence[Size], stride: Sequence[Size], *, dtype: Dtype = None, device: Device = None
) -> TensorFact:
    y = made(scope, "empty_strided", size, dtype, device)
    return strided(y, y.shape, tuple(stride))


def new_empty_strided(
    scope: Scope, x: TensorFact, size: Sequence[Size], stride: Sequence[Size], *, dtype: Dtype = None, device: Device = None
) -> TensorFact:
    return empty_strided(scope, size, stride, dtype=dtype or x.dtype, device=device or x.device)


def empty_permuted(
    scope: Scope, size: Sequence[Size], physical_layout: Sequence[int], *, dtype: Dtype = None, device: Device = None
) -> TensorFact:
    y = made(scope, "empty_permuted", size, dtype, device)
    strides: list[Size] = [1] * y.ndim
    for i, d in enumerate(physical_layout):
        strides[d] = prod(y.shape[k] for k in physical_layout[i + 1 :])
    return strided(y, y.shape, tuple(strides))


# --- ranges and windows ----------------------------------------------------------------------------------------------


def _count(scope: Scope, what: str, start: Bound, end: Bound, step: Bound, *, closed: bool) -> Size:
    """Elements of a range; sizes exactly, floats as torch's double arithmetic has it."""
    if isinstance(start, TensorFact) or isinstance(end, TensorFact) or isinstance(step, TensorFact):
        raise DataDependentError(
            f"{what}: a bound is a tensor, whose value no analysis knows", hint="use a size or a number"
        )
    if step == 0:
        raise ShapeError(f"{what}: the step is 0")
    if isinstance(start, (int, float)) and isinstance(end, (int, float)) and isinstance(step, (int, float)):
        if (end - start) * step < 0:
            raise ShapeError(f"{what}: {start} to {end} is not the direction of the step {step}")
        if closed:
            return math.floor(float(end - start) / float(step)) + 1
        if isinstance(start, int) and isinstance(end, int) and isinstance(step, int):
            return -((start - end) // step)
        return math.ceil(float(end - start) / float(step))
    if isinstance(step, Expr):
        if not closed and not isinstance(start, float) and not isinstance(end, float):
            return _steps_of_a_size(scope, what, start, end, step)
        step = scope.pin(step, f"{what} step")
    by, level = nearest(float(step))
    sign = 1 if by > 0 else -1
    whole = max(Fraction(v).denominator if isinstance(v, float) else 1 for v in (start, end))  # powers of two
    span = sign * (_size(end, whole) - _size(start, whole)) * by.denominator
    if not scope.decide(">=", span, 0, f"{what} direction"):
        raise ShapeError(f"{what}: {start} to {end} is not the direction of the step {step}")
    length = abs(by.numerator) * whole
    count = floordiv(span, length) if closed else ceildiv(span, length)
    level = max(level, *[nearest(v)[1] if isinstance(v, float) else EXACT for v in (start, end)])
    if level != EXACT:  # the quotient of the doubles may round to another side of an integer
        claim = Claim("floor" if closed else "ceil", ("/", ("-", end, start), float(step)), count)
        if claim.holds(scope.hints):
            scope.claim(claim, f"{what}: the number of steps of a float")
        else:
            low, high = (scope.pin(v, f"{what} bound") if isinstance(v, Expr) else v for v in (start, end))
            return _count(scope, what, low, high, step, closed=closed)
    return count + 1 if closed else count


def _steps_of_a_size(scope: Scope, what: str, start: Size, end: Size, step: Size) -> Size:
    """Elements of a range in steps that are a size: ``range(0, n*n, n + 1)``."""
    sign = 1 if scope.decide(">=", step, 1, f"{what} step") else -1
    span = sign * (end - start)
    if not scope.decide(">=", span, 0, f"{what} direction"):
        raise ShapeError(f"{what}: {start} to {end} is not the direction of the step {step}")
    return ceildiv(span, sign * step)


def _size(bound: Real, scale: int) -> Size:
    """A bound in units of ``1/scale``, of which a float is a multiple."""
    return int(bound * scale) if isinstance(bound, float) else bound * scale


def arange(
    scope: Scope, *, start: Bound = 0, end: Bound, step: Bound = 1, dtype: Dtype = None, device: Device = None, **_: object
) -> TensorFact:
    if dtype is torch.int64:  # which torch counts with from the start
        start, end, step = (int(v) if isinstance(v, float) else v for v in (start, end, step))
    count = _count(scope, "arange", start, end, step, closed=False)
    whole = not any(isinstance(v, float) for v in (start, end, step))
    return _sized((count,), dtype or (torch.int64 if whole else None), device)


def range_(
    scope: Scope, start: Bound = 0, end: Bound = 0, step: Bound = 1, *, dtype: Dtype = None, device: Device = None
) -> TensorFact:
    return _sized((_count(scope, "range", start, end, step, closed=True),), dtype, device)


def _spaced(what: str) -> ShapeRule:
    def spaced(
        scope: Scope, start: Scalar, end: Scalar, steps: Size, base: float = 10.0, *, dtype: Dtype = None, device: Device = None
    ) -> TensorFact:
        return made(scope, what, (steps,), dtype, device)

    return spaced


def _window(what: str) -> ShapeRule:
    def window(
        scope: Scope, window_length: Size, *_: object, dtype: Dtype = None, device: Device = None, **__: object
    ) -> TensorFact:
        return made(scope, what, (window_length,), dtype, device)

    return window


def _last_of_a_period(y: TensorFact, window_length: Size, periodic: bool = True, *_: object, **__: object) -> Size:
    """A periodic window is a symmetric one without its last element, whose memory it keeps."""
    return y.itemsize if periodic else 0


def _frequencies(halved: bool) -> ShapeRule:
    def frequencies(scope: Scope, n: Size, d: float = 1.0, *, dtype: Dtype = None, device: Device = None) -> TensorFact:
        return made(scope, "fftfreq", (floordiv(n, 2) + 1 if halved else n,), dtype, device)

    return frequencies


# --- matrices --------------------------------------------------------------------------------------------------------


def eye(scope: Scope, n: Size, m: Any = None, *, dtype: Dtype = None, device: Device = None) -> TensorFact:
    return made(scope, "eye", (n, n if m is None else m), dtype, device)


def _lower_elements(scope: Scope, rows: Size, columns: Size, offset: Size) -> Size:
    """Elements of a matrix on and below a diagonal: ``sum(clip(i + 1 + offset, 0, columns) for i in range(rows))``."""
    if not scope.decide(">", rows + offset, 0, "tril_indices"):
        return 0
    first = min_(columns, 1 + offset) if scope.decide(">=", offset, 0, "tril_indices") else 1
    last = min_(columns, rows + offset)  # elements of the last row; rows in between grow by one
    sloped = last - first + 1
    whole = min_(rows, rows + offset) - sloped  # rows of full width
    return floordiv((first + last) * sloped, 2) + whole * columns


def _triangle_indices(lower: bool) -> ShapeRule:
    def indices(
        scope: Scope, row: Size, col: Size, offset: Size = 0, *, dtype: Dtype = None, device: Device = None
    ) -> TensorFact:
        count = _lower_elements(scope, row, col, offset if lower else offset - 1)
        if not lower:
            count = row * col - count
        return _sized((2, count), dtype or torch.int64, device)

    return indices


def _per_element(scalars: Scalars) -> CostRule:
    """The result is computed from its position, and nothing is read."""

    def cost(y: TensorFact, *_: object, **__: object) -> Work:
        done = scalars.work(y.numel, y.dtype)
        return Work(0, done.flops, done.transcendentals, read_bytes=0)

    return cost


_CONSTANT = _per_element(Scalars())
_EMPTY, _LINE = Zero("memory that is not written"), _per_element(Scalars(add=1, mul=1))
_WINDOWS = {
    "hann_window": Scalars(add=1, mul=2, fn=1),
    "hamming_window": Scalars(add=1, mul=2, fn=1),
    "blackman_window": Scalars(add=2, mul=4, fn=2),
    "bartlett_window": Scalars(add=3, mul=1),
    "kaiser_window": Scalars(add=2, mul=2, div=2, root=1, fn=1),
}

_MADE_OF = {"zeros": 0, "ones": 1}

OPS: tuple[Op, ...] = (
    *(op(name, shape=_filled(name), cost=_CONSTANT, sizes_at=0, made_of=number) for name, number in _MADE_OF.items()),
    op("empty", shape=_filled("empty"), cost=_EMPTY, sizes_at=0, random=True),
    op("full", shape=full, cost=_CONSTANT, takes_values=True, made_of=(1, "fill_value")),
    op("scalar_tensor", shape=scalar_tensor, cost=_CONSTANT),
    *(
        op(f"{name}_like", shape=_like, cost=_CONSTANT, differentiable=False, shape_only=(0,), made_of=number)
        for name, number in _MADE_OF.items()
    ),
    op(
        "full_like", shape=_like, cost=_CONSTANT, differentiable=False, shape_only=(0,), takes_values=True,
        made_of=(1, "fill_value"),
    ),
    op("empty_like", shape=_like, cost=_EMPTY, differentiable=False, shape_only=(0,), random=True),
    *(
        op(f"new_{name}", shape=_new, cost=_CONSTANT, sizes_at=1, differentiable=False, shape_only=(0,), made_of=number)
        for name, number in _MADE_OF.items()
    ),
    op(
        "new_full", shape=_new, cost=_CONSTANT, differentiable=False, shape_only=(0,), takes_values=True,
        made_of=(2, "fill_value"),
    ),
    op("new_empty", "new", shape=_new, cost=_EMPTY, sizes_at=1, differentiable=False, shape_only=(0,), random=True),
    op("new_tensor", shape=new_tensor, cost=_CONSTANT, shape_only=(0,)),
    op("empty_strided", shape=empty_strided, cost=_EMPTY, random=True),
    op("new_empty_strided", shape=new_empty_strided, cost=_EMPTY, differentiable=False, shape_only=(0,), random=True),
    op("empty_permuted", shape=empty_permuted, cost=_EMPTY, random=True),
    op("arange", shape=arange, cost=_LINE, overloads=Overloads(operand=False)),
    op("range", shape=range_, cost=_LINE),
    op("linspace", shape=_spaced("linspace"), cost=_LINE, takes_values=True),
    op("logspace", shape=_spaced("logspace"), cost=_per_element(Scalars(add=1, mul=1, fn=1))),
    *(
        op(name, shape=_window(name), cost=_per_element(scalars), temporaries=_last_of_a_period, unshrunk=True)
        for name, scalars in _WINDOWS.items()
    ),
    op("fft.fftfreq", shape=_frequencies(False), cost=_per_element(Scalars(mul=1))),
    op("fft.rfftfreq", shape=_frequencies(True), cost=_per_element(Scalars(mul=1))),
    op("eye", shape=eye, cost=_CONSTANT),
    op("tril_indices", shape=_triangle_indices(True), cost=_CONSTANT),
    op("triu_indices", shape=_triangle_indices(False), cost=_CONSTANT),
)
