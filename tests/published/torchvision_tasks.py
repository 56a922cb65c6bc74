"""What torchvision publishes with the weights of its other tasks' models, read from the installed library.

Its ``_ops`` were measured on what the weights' own transforms make of a random 512 x 512 image (of 16 of them for video), and
of a detector on the boxes that it found there: that number cannot be known without the image, so a detector's formula has to
give the published number at some number of proposals and detections.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

import fxcount
from tests.published.check import Check, exact, printed
from tests.published.torchvision_rows import build

__all__ = ["TASKS", "checks", "listed"]

TASKS = ("segmentation", "video", "optical_flow", "quantization", "detection")
_PROPOSALS = (0, 1000)  # none passes (the picture is noise), or as many as the detectors look at
_DETECTIONS = range(101)  # they keep 100 of a picture


def listed(task: str) -> list[tuple[str, str]]:
    """Names of the models of a task, each with the names of its weights."""
    from torchvision import models

    part = getattr(models, task)
    return [(name, w.name) for name in models.list_models(module=part) for w in models.get_model_weights(name)]


def checks(task: str, name: str, weights_name: str) -> Iterator[Check]:
    """A model's two numbers. A quantised one is built in its float form."""
    from torchvision import models

    weights = models.get_model_weights(name)[weights_name]
    model = build(name, **_options(task, name, weights.meta))
    if task == "detection" and name.endswith("_fpn"):
        _freeze_norms(model)
    # at 1, Mask R-CNN pastes its masks into the image one by one
    report = fxcount.analyze(model, *_inputs(task, weights), hints={"branch": 1} if name.startswith("maskrcnn") else None)
    table, row, ops = f"torchvision, {task}", f"{name} {weights_name}", str(weights.meta["_ops"])
    yield exact(table, row, "parameters", str(weights.meta["num_params"]), report.params.total)
    yield _closest(ops, [printed(table, f"{row}{at}", "GMACs", ops, n, 1e9, 3) for at, n in _counts(report)])


def _options(task: str, name: str, meta: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if "categories" in meta:
        options["num_classes"] = len(meta["categories"])
    if task in ("segmentation", "detection"):
        options["weights_backbone"] = None
    if task == "segmentation" and not name.startswith("lraspp"):
        options["aux_loss"] = True
    if "keypoint_names" in meta:
        options["num_keypoints"] = len(meta["keypoint_names"])
    return options


def _freeze_norms(model: nn.Module) -> None:
    """As the builders do where they load weights: the batch norms of a first-generation backbone are buffers."""
    from torchvision.ops import FrozenBatchNorm2d

    for owner in list(model.modules()):
        for name, layer in list(owner.named_children()):
            if isinstance(layer, nn.BatchNorm2d):
                setattr(owner, name, FrozenBatchNorm2d(layer.num_features).to("meta"))


def _inputs(task: str, weights: Any) -> tuple[Any, ...]:
    image = torch.zeros(1, 3, 512, 512)
    if task == "detection":
        return ([(3, 512, 512)],)
    if task == "video":
        image = torch.zeros(1, 16, 3, 512, 512)
    made = weights.transforms()(image, image) if task == "optical_flow" else (weights.transforms()(image),)
    return tuple(tuple(tensor.shape) for tensor in made)


def _counts(report: fxcount.Report) -> Iterator[tuple[str, int]]:
    """The number, or, where the data decide on sizes, the numbers it can be; and at what."""
    found = report.count("torchvision")
    if isinstance(found, int) or not found.free_symbols:
        yield "", int(found)
        return
    proposals, *detections = sorted(found.free_symbols, key=lambda s: s.name != "kept_1")
    for kept in _PROPOSALS:
        for detected in _DETECTIONS if detections else (0,):
            at = f" at {kept} proposals" + (f", {detected} detections" if detections else "")
            yield at, int(found.subs({proposals: kept, **dict.fromkeys(detections, detected)}))


def _closest(published: str, candidates: list[Check]) -> Check:
    return min(candidates, key=lambda check: abs(float(check.found) - float(published)))
