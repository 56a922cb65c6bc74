"""A small model for ``fxcount demo``: convolutions, attention over patches, a shared layer, a dead one. Torch only."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["Demo", "INPUT"]

INPUT = "B,3,H,W"


class Demo(nn.Module):
    """A stem of two strided convolutions, two rounds through one shared encoder layer, a classifier.

    >>> import fxcount
    >>> fxcount.analyze(Demo(), INPUT).params.rows("dead")[0].name
    'unused.weight'
    """

    def __init__(self, width: int = 64, heads: int = 4, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width // 2), nn.ReLU(),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1),
        )  # fmt: skip
        self.encoder = nn.TransformerEncoderLayer(width, heads, 4 * width, batch_first=True, activation="gelu")
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)
        self.unused = nn.Linear(width, width)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of shape (B, classes) for images of shape (B, 3, H, W)."""
        tokens = self.stem(x).flatten(2).transpose(1, 2)
        for _ in range(2):
            tokens = self.encoder(tokens)
        return self.head(self.norm(tokens).mean(dim=1))
