"""A small model for ``fxcount demo``: convolutions, attention, a shared block, a dead layer. Needs nothing but torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["INPUT", "Block", "Demo"]

INPUT = "B,3,H,W"


class Block(nn.Module):
    """Pre-norm self-attention and MLP on tokens of shape (B, S, E)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, s, e = x.shape
        q, k, v = self.qkv(self.norm(x)).view(b, s, 3, self.heads, e // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(q, k, v)
        x = x + self.proj(attended.transpose(1, 2).reshape(b, s, e))
        hidden: torch.Tensor = self.mlp(x)
        return x + hidden


class Demo(nn.Module):
    """A stem of two strided convolutions, two rounds through one shared block, a classifier; one layer is never called.

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
        self.block = Block(width, heads)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)
        self.unused = nn.Linear(width, width)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of shape (B, classes) for images of shape (B, 3, H, W)."""
        tokens = self.stem(x).flatten(2).transpose(1, 2)
        for _ in range(2):
            tokens = self.block(tokens)
        logits: torch.Tensor = self.head(self.norm(tokens).mean(dim=1))
        return logits
