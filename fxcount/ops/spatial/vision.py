"""torchvision's ops: regions of interest, deformable convolution, non-maximum suppression.

Shapes:  roi_align, roi_pool  x (N, C, H, W), rois (R, 5) -> (R, C, PH, PW); ps_roi_*  -> (R, C/(PH*PW), PH, PW) and the
         channel each bin took; deform_conv2d  x (N, C_in, H, W), weight (C_out, C_in/G, *K) -> (N, C_out, *O)
Counts:  a bilinear sample is 4 products and 3 additions per channel, 7. roi_align averages g*g samples per bin, with
         their positions and weights computed once for all channels: flops = R*PH*PW*g*g*(8*C + 22). Scaling the boxes
         and testing whether a point lies inside are not counted. ps_roi_align gives each channel its own bins: 30 per
         sample. For ``sampling_ratio <= 0`` g depends on the boxes, as the bins of roi_pool do: no count.
         deform_conv2d is a convolution of sampled values: macs = numel(y)*C_in/G*prod(K), flops = 2*macs + bias
         + N*prod(O)*prod(K)*(C_in*7 + (C_in with a mask) + 12 per offset group: position, floor, weights).
Raises:  UncountedError: bins whose size is data
Source:  torchvision/csrc/ops/cpu/{roi_align,ps_roi_align,deform_conv2d}_kernel.cpp

Nothing here imports torchvision: the rules are found by the names of its schemas, ``torchvision::roi_align``.

>>> x, rois = TensorFact((2, 8, 32, 32), torch.float32), TensorFact((5, 5), torch.float32)
>>> roi_align(Scope({}), x, rois, 0.25, 7, 7, 2, False).shape
(5, 8, 7, 7)
"""

from __future__ import annotations

from typing import Any

import torch

from fxcount.errors import ShapeError, UncountedError
from fxcount.ops.core.arguments import Results
from fxcount.ops.core.common import shape_text
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import Scalars, fact_of
from fxcount.symbolic import Scope, Size, floordiv, prod

__all__ = ["OPS"]

_BILINEAR = Scalars(mul=4, add=3)
# along both dimensions: start + i*bin + (s + 0.5)*bin/g, its floor, the fraction, its complement; then 4 weights
_SAMPLE_PLACE = Scalars(add=6, mul=4, div=2) + Scalars(add=6) + Scalars(mul=4)
_DEFORMED_PLACE = Scalars(add=2 + 2 + 4, mul=4)  # add the offset, round down, fractions and complements, 4 weights


def _check_rois(what: str, x: TensorFact, rois: TensorFact, scope: Scope) -> None:
    if x.ndim != 4 or rois.ndim != 2 or not scope.same(rois.shape[1], 5, f"{what} boxes"):
        raise ShapeError(
            f"{what}: x {shape_text(x.shape)}, rois {shape_text(rois.shape)}",
            hint="x is (N, C, H, W), rois (R, 5): image number and box",
        )


def roi_align(
    scope: Scope,
    x: TensorFact,
    rois: TensorFact,
    spatial_scale: float,
    pooled_height: Size,
    pooled_width: Size,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> TensorFact:
    _check_rois("roi_align", x, rois, scope)
    return x.new((rois.shape[0], x.shape[1], pooled_height, pooled_width))


def _align_cost(
    y: Results, x: TensorFact, rois: TensorFact, scale: float, height: Size, width: Size, sampling_ratio: int = -1, *_: object
) -> Work:
    out = fact_of(y)
    if sampling_ratio <= 0:
        raise UncountedError(
            "roi_align: with sampling_ratio <= 0 the number of samples depends on the boxes",
            hint="give RoIAlign a positive sampling_ratio",
        )
    samples = sampling_ratio * sampling_ratio
    per_value = (_BILINEAR + Scalars(add=1)) * samples  # g*g - 1 additions and a division besides
    places = out.numel if isinstance(y, tuple) else out.shape[0] * height * width
    return (per_value * out.numel + _SAMPLE_PLACE * (samples * places)).work(1, x.dtype)


def roi_pool(
    scope: Scope, x: TensorFact, rois: TensorFact, spatial_scale: float, pooled_height: Size, pooled_width: Size
) -> tuple[TensorFact, TensorFact]:
    _check_rois("roi_pool", x, rois, scope)
    y = x.new((rois.shape[0], x.shape[1], pooled_height, pooled_width))
    return y, y.new(y.shape, torch.int32)


def ps_roi(
    scope: Scope,
    x: TensorFact,
    rois: TensorFact,
    spatial_scale: float,
    pooled_height: Size,
    pooled_width: Size,
    sampling_ratio: int = -1,
) -> tuple[TensorFact, TensorFact]:
    _check_rois("ps_roi", x, rois, scope)
    bins = pooled_height * pooled_width
    if not scope.same(x.shape[1] % bins, 0, "ps_roi channels"):
        raise ShapeError(f"ps_roi: {x.shape[1]} channels are not a multiple of {bins} bins")
    y = x.new((rois.shape[0], floordiv(x.shape[1], bins), pooled_height, pooled_width))
    return y, y.new(y.shape, torch.int32)


def _bins_cost(y: Results, *_: object, **__: object) -> Work:
    raise UncountedError("roi_pool: the size of the bins depends on the boxes", hint="use roi_align, which samples")


def deform_conv2d(
    scope: Scope,
    x: TensorFact,
    weight: TensorFact,
    offset: TensorFact,
    mask: TensorFact,
    bias: TensorFact,
    stride_h: Size,
    stride_w: Size,
    pad_h: Size,
    pad_w: Size,
    dilation_h: Size,
    dilation_w: Size,
    groups: Size,
    offset_groups: Size,
    use_mask: bool,
) -> TensorFact:
    if x.ndim != 4 or weight.ndim != 4:
        raise ShapeError(f"deform_conv2d: x {shape_text(x.shape)}, weight {shape_text(weight.shape)}: expected 4-d")
    if not scope.same(x.shape[1], weight.shape[1] * groups, "deform_conv2d channels"):
        raise ShapeError(f"deform_conv2d: x has {x.shape[1]} channels, weight takes {weight.shape[1] * groups}")
    geometry = zip(
        x.shape[2:], weight.shape[2:], (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w), strict=True
    )
    out = tuple(floordiv(n + 2 * p - d * (k - 1) - 1, s) + 1 for n, k, s, p, d in geometry)
    wanted = (x.shape[0], 2 * offset_groups * prod(weight.shape[2:]), *out)
    if offset.ndim != 4 or not all(map(scope.same, offset.shape, wanted)):
        raise ShapeError(f"deform_conv2d: offset is {shape_text(offset.shape)}, expected {shape_text(wanted)}")
    return x.new((x.shape[0], weight.shape[0], *out))


def _deform_cost(
    y: TensorFact, x: TensorFact, weight: TensorFact, offset: TensorFact, mask: TensorFact, bias: TensorFact, *args: Any
) -> Work:
    *_, offset_groups, use_mask = args
    macs = y.numel * prod(weight.shape[1:])
    places = y.shape[0] * prod(y.shape[2:]) * prod(weight.shape[2:])
    sampled = _BILINEAR + Scalars(mul=1 if use_mask else 0)
    work = (sampled * (places * x.shape[1]) + _DEFORMED_PLACE * (places * offset_groups)).work(1, x.dtype)
    return Work(macs=macs, flops=2 * macs + y.numel + work.flops)  # torchvision always has a bias, of zeros if need be


OPS: tuple[Op, ...] = (
    op("torchvision.roi_align", shape=roi_align, cost=_align_cost),
    op("torchvision.ps_roi_align", shape=ps_roi, cost=_align_cost),
    op("torchvision.roi_pool", shape=roi_pool, cost=_bins_cost),
    op("torchvision.ps_roi_pool", shape=ps_roi, cost=_bins_cost),
    op("torchvision.deform_conv2d", shape=deform_conv2d, cost=_deform_cost),
)
