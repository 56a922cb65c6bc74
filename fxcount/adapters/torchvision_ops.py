"""Lets ``import torchvision`` succeed where its compiled part does not load (a CUDA wheel beside a CPU build of torch).

torchvision registers shape functions for its ops when it is imported, so the ops must be declared by then. Only the
schemas are declared here, without kernels: an analysis never runs an op. Import this module before torchvision.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

__all__ = ["LIBRARY", "declare"]

_POOLED = "Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_INPUT = "SymInt batch_size, SymInt channels, SymInt height, SymInt width"
_DEFORM = (
    "Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, SymInt stride_h, SymInt stride_w, "
    "SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, SymInt groups, SymInt offset_groups, bool use_mask"
)
_TWO, _FIVE = "(Tensor, Tensor)", "(Tensor, Tensor, Tensor, Tensor, Tensor)"

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    f"roi_align(Tensor input, {_POOLED}, int sampling_ratio, bool aligned) -> Tensor",
    f"_roi_align_backward(Tensor grad, {_POOLED}, {_INPUT}, int sampling_ratio, bool aligned) -> Tensor",
    f"roi_pool(Tensor input, {_POOLED}) -> {_TWO}",
    f"_roi_pool_backward(Tensor grad, Tensor rois, Tensor argmax, {_POOLED.partition(', ')[2]}, {_INPUT}) -> Tensor",
    f"ps_roi_align(Tensor input, {_POOLED}, int sampling_ratio) -> {_TWO}",
    "_ps_roi_align_backward(Tensor grad, Tensor rois, Tensor channel_mapping, "
    f"{_POOLED.partition(', ')[2]}, int sampling_ratio, {_INPUT}) -> Tensor",
    f"ps_roi_pool(Tensor input, {_POOLED}) -> {_TWO}",
    "_ps_roi_pool_backward(Tensor grad, Tensor rois, Tensor channel_mapping, "
    f"{_POOLED.partition(', ')[2]}, {_INPUT}) -> Tensor",
    f"deform_conv2d({_DEFORM}) -> Tensor",
    f"_deform_conv2d_backward(Tensor grad, {_DEFORM}) -> {_FIVE}",
)


def _compiled_part_loads() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True  # no torchvision, nothing to declare
    for library in Path(spec.origin).parent.glob("_C*"):  # _C.so, _C.pyd, and _C_stable.so since 0.29
        if library.suffix not in (".so", ".pyd", ".dll", ".dylib"):
            continue
        try:
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
        except OSError:
            continue
        return True
    return False


def declare() -> torch.library.Library | None:
    """Declare the schemas, unless torchvision's own are there. The result must be kept: the schemas go with it."""
    if _compiled_part_loads():
        return None
    library: torch.library.Library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    return library


LIBRARY = declare()
