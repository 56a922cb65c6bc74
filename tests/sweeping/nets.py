"""Models that workers of a sweep build by name: good ones, and such as end their process or never end."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch
from torch import nn


def dense(width: int = 7) -> nn.Module:
    return nn.Sequential(nn.Linear(5, width), nn.ReLU(), nn.Linear(width, 3))


def convolution() -> nn.Module:
    return nn.Conv2d(3, 5, 3, padding=1)


def tied() -> nn.Module:
    layers = nn.Sequential(nn.Linear(5, 5, bias=False), nn.Linear(5, 5, bias=False))
    layers[1].weight = layers[0].weight
    return layers


def endless() -> nn.Module:
    while True:
        pass


def hanging() -> nn.Module:
    """In C: no exception can reach it."""
    time.sleep(600)
    return nn.Identity()


def slow(seconds: float = 0.3) -> nn.Module:
    time.sleep(seconds)
    return nn.Linear(5, int(seconds * 100))


def deadly(once: str = "") -> nn.Module:
    """Ends its process; if there is a file ``once``, only the first time."""
    if once:
        try:
            Path(once).unlink()
        except FileNotFoundError:
            return nn.Linear(5, 11)
    os.kill(os.getpid(), signal.SIGKILL)
    return nn.Identity()


class Wrong(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ x.new_zeros(x.shape[-1] + 1, 2)
