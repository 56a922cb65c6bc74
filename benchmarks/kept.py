"""Symbols that models keep: those that check or print their sizes lose none of them by it.

    python -m benchmarks.kept

One line for each model: the symbols that an analysis pins, of B, H and W. The exit status is 1 if there are any.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from os import devnull
from typing import Any

import torch
from torch import nn

import fxcount
from benchmarks.torchvision_ops import torchvision
from fxcount.symbolic import free_symbols

__all__ = ["main", "models", "pinned"]

_TIMM: tuple[tuple[str, dict[str, Any]], ...] = (
    ("vit_tiny_patch16_224", {"dynamic_img_size": True}), ("vit_small_patch14_dinov2", {"dynamic_img_size": True}),
    ("eva02_tiny_patch14_224", {"dynamic_img_size": True}), ("deit3_small_patch16_224", {"dynamic_img_size": True}),
    ("swin_tiny_patch4_window7_224", {"strict_img_size": False}), ("maxvit_nano_rw_256", {}), ("maxvit_rmlp_nano_rw_256", {}),
)  # fmt: skip


class Prints(nn.Module):
    """A model that says what it is given."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        print("given", x.shape, f"of {x.shape[2]} x {x.shape[3]}")
        return x.relu()


def models() -> Iterator[tuple[str, nn.Module, str, int]]:
    """Names, models on the meta device, what they take, and the side of the image."""
    import timm

    yield "print(x.shape)", Prints(), "B,3,H,W", 224
    with torch.device("meta"):
        yield "torchvision vit_b_16", torchvision.models.vit_b_16().eval(), "B,3,224,224", 224  # takes no other image
        for name, arguments in _TIMM:
            model = timm.create_model(name, pretrained=False, **arguments).eval()
            yield f"timm {name} {arguments or ''}".strip(), model, "B,3,H,W", model.default_cfg["input_size"][-1]


def pinned(model: nn.Module, spec: str, side: int) -> list[str]:
    """The symbols that are one number."""
    with open(devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        report = fxcount.analyze(model, spec, hints={"H": side, "W": side} if "H" in spec else {})
    return sorted({name for a in report.assumptions if a.kind == "pin" for name in free_symbols(a.expr)})


def main() -> int:
    """Print the table."""
    lost = 0
    for name, model, spec, side in models():
        found = pinned(model, spec, side)
        lost += bool(found)
        print(f"{name:<66} {', '.join(found) or 'none pinned'}", flush=True)
    return int(bool(lost))


if __name__ == "__main__":
    sys.exit(main())
