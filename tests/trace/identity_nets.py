"""A net in a module that asks what ``int`` is."""

from __future__ import annotations

import torch
from torch import nn


def is_plain(kind: type) -> bool:
    return kind is int


class Asks(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = int(x.shape[1])
        return x * 2 if is_plain(type(n)) else x[:, :1] * 2
