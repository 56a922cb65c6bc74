"""How analysis and text grow with depth: strided convolutions (2 and 3) with nearest and bilinear resizes, H and W free.

    python benchmarks/depth.py

CPU milliseconds of the analysis and of ``str(report)``, and characters of the text; the first row warms up.
"""

from __future__ import annotations

import time

import torch
from torch import nn
from torch.nn import functional

import fxcount

__all__ = ["Resized", "main"]


class Resized(nn.Module):
    """Convolutions of stride 2 and 3 in turn, each followed by a resize by ``scale``, bilinear and nearest in turn."""

    def __init__(self, depth: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.convs = nn.ModuleList([nn.Conv2d(3, 3, 3, stride=2 + i % 2, padding=1) for i in range(depth)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for i, conv in enumerate(self.convs):
            x = functional.interpolate(conv(x), scale_factor=self.scale, mode="nearest" if i % 2 else "bilinear")
        return x


def main() -> None:
    """Print a row for each net."""
    print(f"{'scale':>5} {'depth':>5} {'analysis':>9} {'text':>7} {'characters':>10}")
    for scale, depth in ((2, 4), *[(s, d) for s in (2, 3) for d in (8, 16, 24)]):
        model = Resized(depth, scale)
        start = time.process_time()
        report = fxcount.analyze(model, "B,3,H,W", hints={"H": 1021, "W": 1019})
        analysed = time.process_time()
        text = str(report)
        done = time.process_time()
        print(f"{scale:5} {depth:5} {1e3 * (analysed - start):9.1f} {1e3 * (done - analysed):7.1f} {len(text):10,}")


if __name__ == "__main__":
    main()
