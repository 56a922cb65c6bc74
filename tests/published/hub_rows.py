"""Parameter counts of Hugging Face models, each built on meta from its configuration and traced."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

import fxcount
from fxcount.adapters import torchvision_ops as torchvision_ops  # before torchvision, which transformers imports
from tests.published.check import Check, rows

__all__ = ["EXACT", "ROUNDED", "ROWS", "TABLE", "build", "check", "inputs"]

ROWS = rows("hf_known")
EXACT = [row for row in ROWS if row["kind"] == "exact"]
ROUNDED = [row for row in ROWS if row["kind"] != "exact"]
TABLE = "Hugging Face"
# What a source prints that is not the rounded number, by its own words.
_TRUNCATED = ("llama-65b",)


def build(model_class: str, config_class: str, overrides: Mapping[str, Any], **options: Any) -> nn.Module:
    """A model on meta, in eval mode."""
    import transformers

    config = getattr(transformers, config_class)(**overrides)
    with torch.device("meta"):
        model: nn.Module = getattr(transformers, model_class)._from_config(config, **options)
    return model.eval()


def inputs(model: Any, length: int = 8) -> dict[str, Any]:
    """What the model's ``forward`` takes, by shape: a batch of 1, ``length`` tokens, images of the configured size."""
    found: dict[str, Any] = {}
    vision = getattr(model.config, "vision_config", model.config)
    if hasattr(vision, "num_channels"):
        size = getattr(vision, "image_size", 224)
        found["pixel_values"] = f"f32[1,{vision.num_channels},{size},{size}]"
    if hasattr(getattr(model.config, "text_config", model.config), "vocab_size"):
        found["input_ids"] = f"i64[1,{length}]"
    if hasattr(model.config, "use_cache"):
        found["use_cache"] = False
    return found


def check(row: dict[str, str]) -> Check:
    """A row of the table: equal to the last unit, or to the last figure its source prints."""
    model = build(row["model_class"], row["config_class"], json.loads(row["config_overrides"]))
    total = fxcount.analyze(model, **inputs(model)).params.total
    expected = int(row["expected_params"]) + int(row["tf5_23_delta"])
    if row["kind"] == "exact":
        return Check(TABLE, row["id"], "parameters", str(expected), str(total), total == expected)
    unit = int(float(re.findall(r"rounded (1e\d+)", row["kind"])[0]))
    figure = total // unit * unit if row["id"] in _TRUNCATED else round(total / unit) * unit
    return Check(TABLE, row["id"], "parameters", str(expected), str(figure), figure == expected)
