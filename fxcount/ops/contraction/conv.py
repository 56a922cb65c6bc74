"""Convolution and transposed convolution, 1-3 d, also without a batch dimension.

Shapes:  x (N, C_in, *I), weight (C_out, C_in/G, *K) -> y (N, C_out, *O); transposed: weight (C_in, C_out/G, *K)
Counts:  macs = numel(weight) * N * prod(O), transposed: numel(weight) * N * prod(I)
         flops = 2*macs, + numel(y) with a bias; complex: 4 macs, 8 flops for each product that is added
Raises:  ShapeError: ranks, channels, groups or dtypes do not match; the kernel is larger than the padded input
Source:  definition of cross-correlation; products with padding zeros are counted, as torch's own counter counts them

>>> from fxcount.symbolic import Scope
>>> x, w = TensorFact((1, 3, 32, 32), torch.float32), TensorFact((8, 3, 3, 3), torch.float32)
>>> y = _conv(2)(Scope({}), x, w, padding=1)
>>> y.shape, _conv_cost(y, x, w).macs
((1, 8, 32, 32), 221184)
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import torch

from fxcount.errors import ShapeError
from fxcount.ops.contraction.matmul import added, contraction, require, require_dtype, require_rank
from fxcount.ops.core.arguments import Given, Sizes
from fxcount.ops.core.common import as_tuple, shape_text
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import is_channels_last
from fxcount.ops.core.registry import Op, ShapeRule, op
from fxcount.ops.core.striding import channels_last_layout
from fxcount.symbolic import Scope, Size, max_, mod, prod
from fxcount.torch_private import onednn_takes

__all__ = ["OPS"]

# --- layout ---------------------------------------------------------------------------------------


def _laid_out(y: TensorFact, x: TensorFact, weight: TensorFact) -> TensorFact:
    # Eager writes channels-last if x or the weight is; 1-d convolutions and unbatched x are always row-major. On a CPU
    # only oneDNN writes 3-d results so, and whether it takes a dtype is the processor's to say.
    spatial = weight.ndim - 2
    if spatial not in (2, 3) or not (is_channels_last(x) or is_channels_last(weight)):
        return y
    if spatial == 3 and not _writes_channels_last_3d(x):
        return y
    if y.ndim == weight.ndim:
        return TensorFact(y.shape, y.dtype, y.device, channels_last_layout(y.shape))
    strides = channels_last_layout((1, *y.shape))
    return TensorFact(y.shape, y.dtype, y.device, strides and strides[1:])


def _writes_channels_last_3d(x: TensorFact) -> bool:
    if x.device.type == "cuda":  # cuDNN: all but double precision
        return x.dtype in (torch.float32, torch.bfloat16, torch.float16)
    return onednn_takes(x.dtype)


# --- shapes ---------------------------------------------------------------------------------------


def _check(scope: Scope, what: str, spatial: int, x: TensorFact, w: TensorFact, bias: Given, groups: Size, in_dim: int) -> None:
    require_dtype(what, x, w, bias)
    if w.ndim != spatial + 2 or x.ndim not in (spatial + 1, spatial + 2) or spatial < 1:
        raise ShapeError(
            f"{what}: x {shape_text(x.shape)} must have {spatial + 1} or {spatial + 2} dimensions and weight "
            f"{shape_text(w.shape)} {spatial + 2}"
        )
    channels = x.shape[-spatial - 1]
    wanted = w.shape[in_dim] * (groups if in_dim == 1 else 1)
    if channels != wanted and not scope.same(channels, wanted, f"{what}: channels"):
        raise ShapeError(
            f"{what}: x {shape_text(x.shape)} has {channels} channels, weight {shape_text(w.shape)} with "
            f"groups={groups} wants {wanted}",
            hint="check in_channels, groups, and that channels come before the spatial dimensions",
        )
    if not scope.same(mod(w.shape[0], groups), 0, f"{what}: groups"):
        raise ShapeError(f"{what}: groups={groups} does not divide the {w.shape[0]} channels of weight {shape_text(w.shape)}")
    out_channels = w.shape[0] if in_dim == 1 else w.shape[1] * groups
    if bias is not None:
        require_rank(what, bias=(bias, 1))
        require(scope, bias.shape[0], out_channels, f"{what}: bias must have one number per output channel", bias.shape)


def _tuples(what: str, spatial: int, **values: Any) -> list[tuple[Any, ...]]:
    found = []
    for name, value in values.items():
        if isinstance(value, (list, tuple)) and len(value) not in (1, spatial):
            raise ShapeError(f"{what}: {name}={tuple(value)} must be one number or {spatial}")
        found.append(as_tuple(value, spatial))
    return found


def _convolved(
    scope: Scope,
    what: str,
    x: TensorFact,
    weight: TensorFact,
    bias: Given,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: Size,
) -> TensorFact:
    spatial = weight.ndim - 2
    _check(scope, what, spatial, x, weight, bias, groups, in_dim=1)
    sizes, kernel = x.shape[-spatial:], weight.shape[2:]
    strides, dilations = _tuples(what, spatial, stride=stride, dilation=dilation)
    reach = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
    if padding == "same":
        if any(s != 1 for s in strides):
            raise ShapeError(f"{what}: padding='same' needs stride 1, not {strides}")
        return _laid_out(x.new((*x.shape[: -spatial - 1], weight.shape[0], *sizes)), x, weight)
    if isinstance(padding, str) and padding != "valid":
        raise ShapeError(f"{what}: padding={padding!r} must be numbers, 'same' or 'valid'")
    (pads,) = _tuples(what, spatial, padding=0 if padding == "valid" else padding)
    out: list[Size] = []
    for n, p, r, s in zip(sizes, pads, reach, strides, strict=True):
        room = n + (2 * p - r - 1)
        if not scope.decide(">=", room, 0, f"{what}: the kernel must fit into the padded input"):
            raise ShapeError(
                f"{what}: kernel {shape_text(kernel)} with dilation {dilations} is larger than the padded input: "
                f"x {shape_text(x.shape)}, padding {pads}"
            )
        out.append(scope.steps(room, s))
    return _laid_out(x.new((*x.shape[: -spatial - 1], weight.shape[0], *out)), x, weight)


def _transposed(
    scope: Scope, what: str, x: TensorFact, weight: TensorFact, bias: Given, stride: Sizes, padding: Sizes,
    output_padding: Sizes, groups: Size, dilation: Sizes,
) -> TensorFact:  # fmt: skip
    spatial = weight.ndim - 2
    _check(scope, what, spatial, x, weight, bias, groups, in_dim=0)
    settings = _tuples(what, spatial, stride=stride, padding=padding, extra=output_padding, dilation=dilation)
    out: list[Size] = []
    for n, k, s, p, extra, d in zip(x.shape[-spatial:], weight.shape[2:], *settings, strict=True):
        fits = f"{what}: output_padding is smaller than the stride or the dilation"
        if not (scope.decide(">=", extra, 0, fits) and scope.decide("<", extra, max_(s, d), fits)):
            raise ShapeError(f"{what}: output_padding {extra} must be smaller than the stride {s} or the dilation {d}")
        size = (n - 1) * s - 2 * p + d * (k - 1) + extra + 1
        if not scope.decide(">=", size, 0, f"{what}: the padding must leave something"):
            raise ShapeError(f"{what}: x {shape_text(x.shape)}, padding {settings[1]}: no output, of size {size}")
        out.append(size)
    return _laid_out(x.new((*x.shape[: -spatial - 1], weight.shape[1] * groups, *out)), x, weight)


def _conv(spatial: int) -> ShapeRule:
    what = f"conv{spatial}d"

    def shape(
        scope: Scope, x: TensorFact, weight: TensorFact, bias: Given = None, stride: Sizes = 1, padding: Sizes = 0,
        dilation: Sizes = 1, groups: Size = 1,
    ) -> TensorFact:  # fmt: skip
        require_rank(what, weight=(weight, spatial + 2))
        return _convolved(scope, what, x, weight, bias, stride, padding, dilation, groups)

    return shape


def _conv_transpose(spatial: int) -> ShapeRule:
    what = f"conv_transpose{spatial}d"

    def shape(
        scope: Scope, x: TensorFact, weight: TensorFact, bias: Given = None, stride: Sizes = 1, padding: Sizes = 0,
        output_padding: Sizes = 0, groups: Size = 1, dilation: Sizes = 1,
    ) -> TensorFact:  # fmt: skip
        require_rank(what, weight=(weight, spatial + 2))
        return _transposed(scope, what, x, weight, bias, stride, padding, output_padding, groups, dilation)

    return shape


def _convolution_shape(
    scope: Scope, x: TensorFact, weight: TensorFact, bias: Given, stride: Sizes, padding: Sizes, dilation: Sizes,
    transposed: bool, output_padding: Sizes, groups: Size, *_: object, **__: object,
) -> TensorFact:  # fmt: skip
    """ATen's one convolution, which both kinds come down to."""
    what = "convolution"
    if transposed:
        return _transposed(scope, what, x, weight, bias, stride, padding, output_padding, groups, dilation)
    return _convolved(scope, what, x, weight, bias, stride, padding, dilation, groups)


def _convolution_mode_shape(
    scope: Scope, x: TensorFact, weight: TensorFact, bias: Given, stride: Sizes, padding: Sizes, dilation: Sizes, groups: Size
) -> TensorFact:
    return _convolved(scope, "convolution", x, weight, bias, stride, padding, dilation, groups)


def _conv_tbc_shape(scope: Scope, x: TensorFact, weight: TensorFact, bias: TensorFact, pad: Any = 0) -> TensorFact:
    """Time, batch, channels: x (T, N, C_in), weight (K, C_in, C_out) -> y (T + 2*pad - K + 1, N, C_out)."""
    require_dtype("conv_tbc", x, weight, bias)
    require_rank("conv_tbc", x=(x, 3), weight=(weight, 3), bias=(bias, 1))
    require(scope, x.shape[2], weight.shape[1], "conv_tbc: channels must match", x.shape, weight.shape)
    require(scope, bias.shape[0], weight.shape[2], "conv_tbc: bias must match", bias.shape, weight.shape)
    steps = x.shape[0] + 2 * pad - weight.shape[0] + 1
    if not scope.decide(">=", steps, 1, "conv_tbc: the kernel must fit into the padded input"):
        raise ShapeError(f"conv_tbc: weight {shape_text(weight.shape)} is longer than x {shape_text(x.shape)} with pad={pad}")
    return x.new((steps, x.shape[1], weight.shape[2]))


# --- work -----------------------------------------------------------------------------------------


def _positions(t: TensorFact, weight: TensorFact) -> Size:
    """Batch times spatial positions."""
    spatial = weight.ndim - 2
    return prod(t.shape[: -spatial - 1]) * prod(t.shape[-spatial:])


def _conv_cost(y: TensorFact, x: TensorFact, weight: TensorFact, bias: Given = None, *_: object, **__: object) -> Work:
    """Every output position meets the whole weight."""
    return contraction(y.dtype, weight.numel * _positions(y, weight), added(y, bias))


def _transpose_cost(y: TensorFact, x: TensorFact, weight: TensorFact, bias: Given = None, *_: object, **__: object) -> Work:
    """Every input position meets the whole weight."""
    return contraction(y.dtype, weight.numel * _positions(x, weight), added(y, bias))


def _convolution_cost(
    y: TensorFact, x: TensorFact, weight: TensorFact, bias: Given, stride: Sizes, padding: Sizes, dilation: Sizes,
    transposed: bool, *_: object, **__: object,
) -> Work:  # fmt: skip
    return (_transpose_cost if transposed else _conv_cost)(y, x, weight, bias)


def _conv_tbc_cost(y: TensorFact, x: TensorFact, weight: TensorFact, bias: TensorFact, pad: Any = 0) -> Work:
    return contraction(y.dtype, y.numel * prod(weight.shape[:2]), added(y, bias))


def _padded_copy(
    y: TensorFact, x: TensorFact, weight: TensorFact, bias: Given = None, stride: Sizes = 1, padding: Sizes = 0,
    dilation: Sizes = 1, groups: Size = 1,
) -> Size:  # fmt: skip
    """Bytes of x padded by one where 'same' needs an odd number of zeros: the two ends then differ."""
    if padding != "same":
        return 0
    spatial = weight.ndim - 2
    kernel = weight.shape[2:]
    odd = [mod(d * (k - 1), 2) for d, k in zip(as_tuple(dilation, spatial), kernel, strict=True)]
    if all(o == 0 for o in odd):
        return 0
    padded = prod(n + o for n, o in zip(x.shape[-spatial:], odd, strict=True))
    return prod(x.shape[:-spatial]) * padded * x.itemsize


_layer = partial(op, kind="convolution", activations=True)


def _named(spatial: int) -> tuple[Op, Op]:
    return (
        _layer(f"conv{spatial}d", shape=_conv(spatial), cost=_conv_cost, temporaries=_padded_copy, window=spatial),
        _layer(f"conv_transpose{spatial}d", shape=_conv_transpose(spatial), cost=_transpose_cost, window=spatial),
    )


OPS: tuple[Op, ...] = (
    *_named(1),
    *_named(2),
    *_named(3),
    _layer(
        "convolution",
        "_convolution",
        "convolution_overrideable",
        shape=cast(ShapeRule, _convolution_shape),
        cost=_convolution_cost,
    ),
    _layer("_convolution_mode", shape=_convolution_mode_shape, cost=_conv_cost, temporaries=_padded_copy),
    op("conv_tbc", shape=_conv_tbc_shape, cost=_conv_tbc_cost),
)
