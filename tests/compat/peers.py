"""The tools the drop-ins stand for, and small nets from their own READMEs and tests."""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["Blocks", "Digits", "Sentences", "Thrice", "Tied", "Two", "peer", "printed", "torchvision_model"]


def peer(name: str) -> Any:
    """The tool itself, or skip; what it warns of on import is not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ImportError:
            pytest.skip(f"{name} is not installed")


def printed(call: Callable[[], object]) -> str:
    """What a call prints, without the line end."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        call()
    return out.getvalue().rstrip("\n")


def torchvision_model(name: str, **options: Any) -> nn.Module:
    """A model on the CPU in training mode, all its numbers zero: drawing random weights would take most of a test."""
    with torch.device("meta"):
        model: nn.Module = importlib.import_module("torchvision").models.get_model(name, weights=None, **options)
    model = model.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.zero_()
    return model


class Digits(nn.Module):
    """The net of torchinfo's and torchsummary's READMEs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 10, 5), nn.Conv2d(10, 20, 5)
        self.conv2_drop = nn.Dropout2d()
        self.fc1, self.fc2 = nn.Linear(320, 50), nn.Linear(50, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2))
        x = F.relu(self.fc1(x.view(-1, 320)))
        return F.log_softmax(self.fc2(x), dim=1)


class Sentences(nn.Module):
    """The LSTM of torchinfo's README, smaller."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 30)
        self.encoder = nn.LSTM(30, 13, num_layers=2, batch_first=True)
        self.decoder = nn.Linear(13, 20)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Any]:
        out, hidden = self.encoder(self.embedding(x))
        return self.decoder(out), hidden


class Thrice(nn.Module):
    """torchinfo's RecursiveNet."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv1(self.conv1(self.conv1(x)))


class Two(nn.Module):
    """Two inputs of different dtypes, as in torchinfo's README."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1a, self.fc1b = nn.Linear(300, 50), nn.Linear(50, 10)
        self.fc2a, self.fc2b = nn.Linear(300, 50), nn.Linear(50, 10)

    def forward(self, x1: torch.Tensor, x2: torch.Tensor) -> torch.Tensor:
        x1 = F.relu(self.fc1b(F.relu(self.fc1a(x1))))
        x2 = F.relu(self.fc2b(F.relu(self.fc2a(x2.to(torch.float)))))
        return F.log_softmax(torch.cat((x1, x2), 0), dim=1)


class Blocks(nn.Module):
    """Containers that are never called, a parameter beside submodules, and a frozen layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(5, 7), nn.Sequential(nn.Linear(7, 7), nn.ReLU(), nn.LayerNorm(7))])
        self.heads = nn.ModuleDict({"a": nn.Linear(7, 3), "b": nn.Linear(7, 2)})
        self.scale = nn.Parameter(torch.ones(7))
        self.heads["a"].requires_grad_(False)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.layers[1](self.layers[0](x)) * self.scale
        return {name: head(x) for name, head in self.heads.items()}


class Tied(nn.Module):
    """A language model's head that is its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(31, 11)
        self.head = nn.Linear(11, 31, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.embedding(x))
