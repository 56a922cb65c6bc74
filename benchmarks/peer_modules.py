"""The modules of peer_nets.py: each has one thing in it that a counting tool may overlook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

__all__ = [
    "Beside", "Frozen", "FusedAttention", "HalfUsed", "LeftFactor", "NoGrad", "OnlyShape", "OwnWeight", "RunningMean",
    "SelfAttention", "Thrown", "TiedByFunction", "TiedHead", "Twice", "TwoPaths", "Unused", "Views", "alone", "lora",
    "spectrally_normalised", "weight_normalised",
]  # fmt: skip


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.layer(x))


class TwoPaths(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.second = self.first

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle = nn.Linear(8, 8), nn.Linear(8, 16)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


class HalfUsed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[2](self.layers[0](x))


class Thrown(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        self.a(x)
        return self.b(x)


class NoGrad(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.learned, self.constant = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            target = self.constant(x)
        return self.learned(x) + target


class OnlyShape(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.like = nn.Linear(8, 8), nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + torch.zeros_like(self.like)


class Frozen(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(8, 8), nn.Linear(8, 4))
        self[0].requires_grad_(False)


class TiedHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(100, 16), nn.Linear(16, 100, bias=False)
        self.head.weight = self.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.table(ids))


class TiedByFunction(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(100, 16)

    def forward(self, ids: Tensor) -> Tensor:
        return F.linear(self.table(ids), self.table.weight)


class OwnWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.ones(16, 8))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.kernel)


class Beside(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale, self.layer = nn.Parameter(torch.ones(8)), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x * self.scale)


class Views(nn.Module):
    """Two 8 x 8 matrices in a storage of 96 elements: the middle 32 are in both."""

    def __init__(self) -> None:
        super().__init__()
        flat = torch.randn(96)
        self.a, self.b = nn.Parameter(flat[:64].view(8, 8)), nn.Parameter(flat[32:].view(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, self.a), self.b)


class LowRank(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Parameter(torch.zeros(16, 2)), nn.Parameter(torch.randn(2, 8))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.up @ self.down


def lora() -> nn.Module:
    """A frozen Linear whose weight gets a trained correction of rank 2."""
    layer = nn.Linear(8, 16).requires_grad_(False)
    return nn.Sequential(parametrize.register_parametrization(layer, "weight", LowRank()))


def alone(kind: type[nn.Module], *sizes: int, **options: Any) -> Callable[[], nn.Module]:
    """One layer in a container: several tools do not look at a model that is itself a layer."""
    return lambda: nn.Sequential(kind(*sizes, **options))


class RunningMean(nn.Module):
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        self.mean.lerp_(x.detach().mean(0), 0.1)
        return self.layer(x - self.mean)


class LeftFactor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.randn(16, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.mix @ x


class FusedAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(16, 48)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (t.unflatten(-1, (4, 4)).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        return F.scaled_dot_product_attention(q, k, v)


class SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x)[0]


def weight_normalised() -> nn.Module:
    return nn.Sequential(parametrizations.weight_norm(nn.Linear(8, 16)))


def spectrally_normalised() -> nn.Module:
    return nn.Sequential(parametrizations.spectral_norm(nn.Linear(8, 16)))
