"""Nets that take plain numbers of sizes, as code for models does."""

from __future__ import annotations

import json
import math
from math import ceil, log2, sqrt
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import pad


class Half(nn.Module):
    """``int`` of a float."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, : int(x.shape[1] * 0.5)] * 2


class Mapped(nn.Module):
    """``map(int, ...)``, classes asked for, and ``float``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, s, *_ = map(int, x.shape)
        assert isinstance(s, int)
        assert isinstance(s, (float, int))
        assert issubclass(int, int)
        assert type(s) in (int, float, type(s))
        return x.reshape(b * s, -1) * (float(s) / 3)


class Scaled(nn.Module):
    """Roots that only scale numbers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / math.sqrt(x.shape[1]) + sqrt(x.shape[1] * 3) - x.shape[1] ** -0.5 + math.log(x.shape[1], 2)


class Square(nn.Module):
    """Tokens seen as a square again."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        side = int(math.sqrt(tokens.shape[1]))
        return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, side, side) * 2


class Integers(nn.Module):
    """``math.isqrt`` of an area."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        side = math.isqrt(x.shape[2] * x.shape[3])
        return x.flatten(2).unflatten(2, (side, side)) * 2


class Powers(nn.Module):
    """Lengths up to the next power of two, and as many steps as it has halves."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = x.shape[1]
        whole = 2 ** ceil(log2(n))
        x = pad(x, (0, 0, 0, whole - n))
        for _ in range(int(math.log2(whole))):
            x = x * 2
        return x if n**0.5 > 4 else x + 1


class Arrays(nn.Module):
    """numpy's functions of a size."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = x.shape[1]
        whole = int(np.ceil(n / 7)) * 7
        return pad(x, (0, 0, 0, whole - n)) * float(np.sqrt(n)) + int(np.floor(np.log2(n)))


class Texts(nn.Module):
    """A number that C code wants to be one: it is left with Python's own ``int``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sizes = json.loads(json.dumps([int(x.shape[1])]))
        return x.expand(x.shape[0], sizes[0], x.shape[2]) * 2


class Fresh(nn.Module):
    """A class of numbers made where it is asked for."""

    def forward(self, x: torch.Tensor) -> Any:
        counted: dict[type, int] = {int: 3}
        return x * counted[int] + torch.zeros(int(x.shape[1]), 1).shape[0]
