"""What torchvision publishes with its weights: ``num_params`` and ``_ops``, 1e9 multiply-accumulates to three decimals."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

import fxcount
from fxcount.adapters import torchvision_ops as torchvision_ops  # before torchvision
from tests.published.check import Check, exact, printed, rows

__all__ = ["ROWS", "TABLE", "build", "checks", "report_of"]

ROWS = rows("torchvision")
TABLE = "torchvision"
_OWN_INIT = ("googlenet", "inception_v3")  # theirs needs scipy


class EmptyOnMeta(TorchFunctionMode):
    """What layers hold is on meta; the RegNets compute their widths with other, real tensors."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        on_meta = {"device": "meta"} if func in (torch.empty, torch.zeros, torch.ones) else {}
        return func(*args, **{**(kwargs or {}), **on_meta})


def build(name: str, **options: Any) -> nn.Module:
    """A torchvision model on meta, in eval mode."""
    from torchvision import models

    plain = name.removeprefix("quantized_")
    if plain in _OWN_INIT:
        options["init_weights"] = False
    if plain == "googlenet":
        options.setdefault("aux_logits", False)  # its weights come without the auxiliary heads
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
    name = f"{row['model']} {row['weights']}"
    return [
        exact(TABLE, name, "parameters", row["num_params"], report.params.total),
        printed(TABLE, name, "GMACs", row["gmacs_ops"], int(report.count("torchvision")), 1e9, 3),
    ]
