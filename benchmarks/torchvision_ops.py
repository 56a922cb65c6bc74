"""torchvision, also where its wheel was built for another device than torch's.

torchvision's compiled operators do not load beside a torch of another build, and its Python part then stops at the
first operator it looks for. Analysis needs the operators' signatures only, so these are declared here, without kernels,
and only if the plain import fails.

>>> from benchmarks.torchvision_ops import torchvision
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import torch

__all__ = ["torchvision"]

_ROI = "Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_ROI_GRAD = "Tensor grad, Tensor rois, {}float spatial_scale, SymInt pooled_height, SymInt pooled_width, {}"
_SIZES = "SymInt batch_size, SymInt channels, SymInt height, SymInt width"
_DEFORM = "Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, " + ", ".join(
    f"SymInt {name}"
    for name in "stride_h stride_w pad_h pad_w dilation_h dilation_w groups offset_groups".split()
) + ", bool use_mask"  # fmt: skip
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    f"roi_align({_ROI}, int sampling_ratio, bool aligned) -> Tensor",
    f"roi_pool({_ROI}) -> (Tensor, Tensor)",
    f"ps_roi_align({_ROI}, int sampling_ratio) -> (Tensor, Tensor)",
    f"ps_roi_pool({_ROI}) -> (Tensor, Tensor)",
    f"deform_conv2d({_DEFORM}) -> Tensor",
    f"_roi_align_backward({_ROI_GRAD.format('', _SIZES)}, int sampling_ratio, bool aligned) -> Tensor",
    f"_roi_pool_backward({_ROI_GRAD.format('Tensor argmax, ', _SIZES)}) -> Tensor",
    "_ps_roi_align_backward("
    f"{_ROI_GRAD.format('Tensor channel_mapping, ', 'int sampling_ratio, ' + _SIZES)}) -> Tensor",
    f"_ps_roi_pool_backward({_ROI_GRAD.format('Tensor channel_mapping, ', _SIZES)}) -> Tensor",
    f"_deform_conv2d_backward(Tensor grad, {_DEFORM}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)
_libraries: list[torch.library.Library] = []  # an operator lives as long as its library object


def _import() -> ModuleType:
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    _libraries.append(library)
    return importlib.import_module("torchvision")


torchvision = _import()
