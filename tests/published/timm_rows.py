"""timm's benchmark tables: GMACs and activations by fvcore at batch 1, and parameters, each to two decimals.

fvcore counts no fused attention, so the models are built with the unfused one, as for timm's measurement.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

import fxcount
from fxcount.adapters import torchvision_ops as torchvision_ops  # before torchvision, which timm imports
from tests.published.check import Check, printed, rows

__all__ = ["ROWS", "SAMPLE", "TABLE", "build", "checks"]

ROWS = rows("timm_gmacs")
SAMPLE = ROWS[::21]  # 41 of them, spread over the alphabet and so over the architectures
TABLE = "timm"


@contextmanager
def _unfused() -> Iterator[None]:
    from timm.layers import config

    before = config._USE_FUSED_ATTN
    config.set_fused_attn(False)
    try:
        yield
    finally:
        config._USE_FUSED_ATTN = before


def build(name: str) -> nn.Module:
    """A timm model on meta, in eval mode."""
    import timm

    with _unfused(), torch.device("meta"):
        model: nn.Module = timm.create_model(name, pretrained=False)
    return model.eval()


def checks(row: dict[str, str]) -> list[Check]:
    """A row of the table."""
    size = int(row["img_size"])
    report = fxcount.analyze(build(row["model"]), (1, 3, size, size))
    name = f"{row['model']} {size}"
    flops, activations = (int(report.count(c)) for c in ("fvcore", "fvcore-activations"))
    return [
        printed(TABLE, name, "parameters (M)", row["param_count_M"], report.params.total, 1e6, 2),
        printed(TABLE, name, "GMACs", row["infer_gmacs"], flops, 1e9, 2),
        printed(TABLE, name, "activations (M)", row["infer_macts"], activations, 1e6, 2),
    ]
