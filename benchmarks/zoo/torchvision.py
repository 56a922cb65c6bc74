"""torchvision: every model it lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from benchmarks.zoo.entry import Entry, Inputs, floats

__all__ = ["entries"]

# Sizes the models were trained at, where not 224.
_SIZE = {
    "inception_v3": 299, "quantized_inception_v3": 299, "efficientnet_b1": 240, "efficientnet_b2": 288,
    "efficientnet_b3": 300, "efficientnet_b4": 380, "efficientnet_b5": 456, "efficientnet_b6": 528, "efficientnet_b7": 600,
    "efficientnet_v2_s": 384, "efficientnet_v2_m": 480, "efficientnet_v2_l": 480,
    "swin_v2_t": 256, "swin_v2_s": 256, "swin_v2_b": 256, "vit_h_14": 224,
}  # fmt: skip
_WITHOUT_INIT = ("googlenet", "inception_v3", "quantized_googlenet", "quantized_inception_v3")  # theirs needs scipy


def entries() -> Iterator[Entry]:
    """All models, by task."""
    from fxcount.adapters import torchvision_ops  # noqa: F401  (before torchvision)

    import torchvision.models as zoo  # isort: skip

    def build(name: str, **options: Any) -> Callable[[], nn.Module]:
        if name in _WITHOUT_INIT:
            options["init_weights"] = False
        return lambda: zoo.get_model(name, weights=None, **options)

    for name in zoo.list_models(zoo):
        yield Entry("torchvision", name, "classification", build(name), _image(_SIZE.get(name, 224)))
    for name in zoo.list_models(zoo.segmentation):
        yield Entry("torchvision", name, "segmentation", build(name, weights_backbone=None), _image(224, 256))
    for name in zoo.list_models(zoo.video):
        yield Entry("torchvision", name, "video", build(name), _video(112 if name.endswith("_18") else 224))
    for name in zoo.list_models(zoo.optical_flow):
        yield Entry("torchvision", name, "optical_flow", build(name), _pair)
    for name in zoo.list_models(zoo.detection):
        size = 300 if name == "ssd300_vgg16" else 320 if "320" in name else 512
        yield Entry("torchvision", name, "detection", build(name, weights_backbone=None), _detection(size))
    for name in zoo.list_models(zoo.quantization):
        yield Entry("torchvision", name, "quantization", build(name, quantize=False), _image(_SIZE.get(name, 224)))


def _image(height: int, width: int | None = None) -> Callable[[nn.Module], Inputs]:
    hints = {"B": 2, "H": height, "W": width or height}
    return lambda model: Inputs((floats("B", 3, "H", "W"),), hints=hints)


def _video(size: int) -> Callable[[nn.Module], Inputs]:
    hints = {"B": 2, "F": 16, "H": size, "W": size}
    return lambda model: Inputs((floats("B", 3, "F", "H", "W"),), hints=hints)


def _pair(model: nn.Module) -> Inputs:
    return Inputs((floats("B", 3, "H", "W"),) * 2, hints={"B": 2, "H": 128, "W": 160})


def _detection(size: int) -> Callable[[nn.Module], Inputs]:
    return lambda model: Inputs(([floats(3, "H", "W")] * 2,), hints={"H": size, "W": size})
