"""Nets that keep tables under texts of sizes."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import pad


class Padded(nn.Module):
    """A table under the text of a shape, looked up first."""

    def __init__(self) -> None:
        super().__init__()
        self.table: dict[str, Any] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        resolution = x.shape[2:]
        try:
            return pad(x, self.table[f"{resolution}"]) * 2
        except KeyError:
            self.table[f"{resolution}"] = [resolution[0] // 2, 0]
            return pad(x, self.table[f"{resolution}"]) * 2


class Named(nn.Module):
    """A name for the text, asked with ``in``."""

    def __init__(self, kept: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.table: dict[str, Any] = kept or {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for n in x.shape[1:]:
            key = "n" + str(n)
            if key not in self.table:
                self.table[key] = torch.ones(n).sum()
            x = x * self.table[key]
        return x


class Elsewhere(nn.Module):
    """A text that is a key and more."""

    def __init__(self) -> None:
        super().__init__()
        self.table: dict[str, int] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        key = f"{x.shape[1]}"
        self.table[key] = 3
        return x[:, : len(key)] * self.table[key]
