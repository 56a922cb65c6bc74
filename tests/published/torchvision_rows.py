"""What torchvision publishes with its weights: ``num_params`` and ``_ops``, 1e9 multiply-accumulates to three decimals.

The classification rows are a table in tests/data; the other tasks' numbers are read from the installed library. ``_ops`` were
measured at batch 1 on what the weights' own transforms make of a 512 x 512 image (of 16 of them for video).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

import fxcount
from fxcount.adapters import torchvision_ops as torchvision_ops  # before torchvision
from tests.published.check import Check, exact, printed, rows

__all__ = ["CLASSIFICATION", "checks", "other_tasks", "report_of"]

CLASSIFICATION = rows("torchvision")
_TABLE = "torchvision"


class EmptyOnMeta(TorchFunctionMode):
    """Weights are made by ``torch.empty``; the RegNets compute their widths with other, real tensors."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **{**(kwargs or {}), "device": "meta"} if func is torch.empty else kwargs or {})


def build(name: str, **options: Any) -> nn.Module:
    """The model on meta, in eval mode."""
    from torchvision import models

    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    if name == "googlenet":
        options["aux_logits"] = False  # its weights come without the auxiliary heads
    with EmptyOnMeta():
        return models.get_model(name, weights=None, **options).to("meta").eval()


@cache
def report_of(name: str, size: int) -> fxcount.Report:
    """A classification model at batch 1 and a resolution."""
    options = {"image_size": size} if name.startswith("vit") else {}
    return fxcount.analyze(build(name, **options), (1, 3, size, size))


def checks(row: dict[str, str]) -> list[Check]:
    """A row of the table."""
    report = report_of(row["model"], int(row["eval_crop"]))
    return _both(f"{row['model']} {row['weights']}", row["num_params"], row["gmacs_ops"], report)


def _both(name: str, params: str, ops: str, report: fxcount.Report) -> list[Check]:
    return [
        exact(_TABLE, name, "parameters", params, report.params.total),
        printed(_TABLE, name, "GMACs", ops, int(report.count("torchvision")), 1e9, 3),
    ]


def other_tasks() -> list[tuple[str, str]]:
    """Names of models and weights of segmentation, video, optical flow, detection and quantised models."""
    from torchvision import models

    parts = (models.segmentation, models.video, models.optical_flow, models.detection, models.quantization)
    return [
        (name, weights.name)
        for part in parts
        for name in models.list_models(module=part)
        for weights in models.get_model_weights(name)
    ]


def check_other(name: str, weights_name: str) -> Iterator[Check]:
    """A model of another task, against the numbers its weights carry. A quantised one is built in its float form."""
    from torchvision import models

    weights = models.get_model_weights(name)[weights_name]
    options: dict[str, Any] = {"weights_backbone": None} if name in models.list_models(module=models.segmentation) else {}
    if name in models.list_models(module=models.detection):
        options = {"weights_backbone": None}
    if name in models.list_models(module=models.segmentation):
        options["aux_loss"] = "aux_classifier" in str(weights.meta) or not name.startswith("lraspp")
    if name.startswith("lraspp"):
        options.pop("aux_loss", None)
    if "num_classes" not in options and "categories" in weights.meta:
        options["num_classes"] = len(weights.meta["categories"])
    report = fxcount.analyze(build(name, **options), *_inputs(name, weights))
    yield from _both(f"{name} {weights_name}", str(weights.meta["num_params"]), str(weights.meta["_ops"]), report)


def _inputs(name: str, weights: Any) -> tuple[Any, ...]:
    """What the transforms of the weights make of a random image, by shape."""
    from torchvision import models

    if name in models.list_models(module=models.video):
        clip = weights.transforms()(torch.zeros(1, 16, 3, 512, 512))
        return (tuple(clip.shape),)
    image = torch.zeros(1, 3, 512, 512)
    if name in models.list_models(module=models.optical_flow):
        return tuple(tuple(t.shape) for t in weights.transforms()(image, image))
    if name in models.list_models(module=models.detection):
        return ([(3, 512, 512)],)
    return (tuple(weights.transforms()(image).shape),)
