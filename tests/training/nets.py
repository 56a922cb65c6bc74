"""Small nets that train in ways of their own: each with an input specification, and sizes that are not the hints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

__all__ = [
    "CASES", "Case", "Checkpointed", "Convolved", "Frozen", "InPlace", "LowRank", "Normalised", "Perceptron", "Quantised",
    "Recurrent", "Reentrant", "Residual", "Tagger", "Tied",
]  # fmt: skip


class Perceptron(nn.Module):
    def __init__(
        self, widths: tuple[int, int, int, int] = (11, 23, 19, 5), dropout: float = 0.3, act: Callable[[], nn.Module] = nn.GELU
    ) -> None:
        super().__init__()
        a, b, c, d = widths
        first = nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Dropout(dropout))
        self.layers = nn.Sequential(first, nn.Linear(b, c), act(), nn.Linear(c, d))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Residual(nn.Module):
    """Gradients meet where branches split: the engine adds them up."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1, groups=g) for g in (1, 4, 8))
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(3))
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for conv, norm in zip(self.convs, self.norms):
            x = x + F.relu(norm(conv(x)))
        return self.head(x.mean((2, 3)))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out, self.norm = nn.Linear(12, 36), nn.Linear(12, 12), nn.LayerNorm(12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, s, _ = x.shape
        q, k, v = self.qkv(self.norm(x)).view(b, s, 3, 2, 6).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q @ k.transpose(-1, -2) / 6**0.5).softmax(-1)
        return x + self.out((weights @ v).transpose(1, 2).reshape(b, s, 12))


class Fused(Attention):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, s, _ = x.shape
        q, k, v = (t.view(b, s, 2, 6).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(b, s, 12))


class InPlace(nn.Module):
    def __init__(self, width: int = 14) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(10, width), nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        y += 1
        y.relu_()
        z = y[:, ::2]
        z = z * 2
        y = y.clone()
        y[:, : z.shape[1]] = z
        return self.out(y.mul_(0.3))


class Checkpointed(nn.Module):
    def __init__(self, width: int = 6, hidden: int = 20, depth: int = 3) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(self.block(width, hidden) for _ in range(depth))

    def block(self, width: int, hidden: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + checkpoint(block, x, use_reentrant=False)
        return x


class Reentrant(Checkpointed):
    """The first block is not checkpointed: the reentrant kind wants an input that has a gradient."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.blocks[0](x)
        for block in self.blocks[1:]:
            x = x + checkpoint(block, x, use_reentrant=True)
        return x


class Frozen(nn.Module):
    def __init__(self, first: int = 7, second: int = 9) -> None:
        super().__init__()
        stem = (nn.Conv2d(3, first, 3, 2, 1), nn.BatchNorm2d(first), nn.ReLU())
        self.body = nn.Sequential(*stem, nn.Conv2d(first, second, 3, 2, 1), nn.ReLU()).requires_grad_(False)
        self.head = nn.Linear(second, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean((2, 3)))


class Tied(nn.Module):
    def __init__(self, words: int = 17, width: int = 6, depth: int = 2) -> None:
        super().__init__()
        self.table, self.mix, self.norm = nn.Embedding(words, width), nn.Linear(width, width), nn.LayerNorm(width)
        self.depth = depth

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        h = self.table(tokens)
        for _ in range(self.depth):
            h = h + self.norm(F.silu(self.mix(h)))
        return h @ self.table.weight.t()


class Normalised(nn.Module):
    """Composites whose C++ wants numbers."""

    def __init__(self, width: int = 8, groups: int = 2, tracked: bool = True) -> None:
        super().__init__()
        self.conv, self.group, self.act = nn.Conv2d(3, width, 3, padding=1), nn.GroupNorm(groups, width), nn.PReLU()
        self.instance = nn.InstanceNorm2d(width, affine=True, track_running_stats=tracked)
        self.up, self.out = nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(width, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.up(self.act(self.instance(self.group(self.conv(x))))))


class Resized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        near = F.interpolate(y, scale_factor=1.5)
        return F.interpolate(y, size=x.shape[-2:], mode="bicubic").mean() + near.square().mean()


class _Arithmetic(torch.autograd.Function):
    """Its backward adds numbers and its own temporaries, which Python does not do in place."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x * torch.tanh(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        both = (grad * x) + (x * x)
        return grad * (1 + 0.5 * x * x) + both * (0.5 * x)


class Arithmetic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(7, 11), nn.Linear(11, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(_Arithmetic.apply(self.up(x)))


class _Doubling(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return x * weight * 2

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        x, weight = ctx.saved_tensors
        return grad * weight * 2, (grad * x * 2).sum(0)


_DOUBLE = _Doubling.apply  # bound long before the analysis


class Custom(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.line, self.scale = nn.Linear(7, 9), nn.Parameter(torch.ones(9))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _DOUBLE(self.line(x), self.scale).tanh()


class Several(nn.Module):
    """A dict of results, one of them an input of the other's."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(9, 13), nn.Linear(13, 13), nn.Linear(26, 4)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        a = torch.relu(self.a(x))
        b = torch.tanh(self.b(a))
        return {"y": self.c(torch.cat([a * 2, b], -1)), "aux": b.mean(-1)}


class Quantised(nn.Module):
    """A gradient that goes straight through a look-up."""

    def __init__(self, inputs: int = 8, width: int = 6, outputs: int = 3, entries: int = 5) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(inputs, width), nn.Linear(width, outputs)
        self.table = nn.Parameter(torch.randn(entries, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.a(x))
        distances = (h.detach().unsqueeze(1) - self.table).pow(2).sum(-1)
        nearest = distances.argmin(-1)
        found = self.table[nearest]
        found = h + (found - h).detach()
        return self.b(found)


class LowRank(nn.Module):
    def __init__(self, width: int = 12, rank: int = 2, depth: int = 2) -> None:
        super().__init__()
        self.base = nn.ModuleList(nn.Linear(width, width) for _ in range(depth)).requires_grad_(False)
        self.down = nn.ParameterList(torch.randn(width, rank) for _ in range(depth))
        self.up = nn.ParameterList(torch.zeros(rank, width) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for base, down, up in zip(self.base, self.down, self.up):
            x = F.gelu(base(x) + x @ down @ up)
        return x


class Recurrent(nn.Module):
    def __init__(self, inputs: int = 5, width: int = 7) -> None:
        super().__init__()
        self.cells, self.out = nn.GRU(inputs, width), nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.cells(x)
        return self.out(y[-1])


class Tagger(nn.Module):
    """oneDNN runs an LSTM, and keeps a workspace for its backward."""

    def __init__(self, words: int = 17, inputs: int = 10, width: int = 7, tags: int = 3) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, inputs)
        self.cells = nn.LSTM(inputs, width, 2, batch_first=True, bidirectional=True, dropout=0.1)
        self.out = nn.Linear(2 * width, tags)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.out(self.cells(self.embed(tokens))[0])


class Convolved(nn.Module):
    def __init__(self, width: int = 6, groups: int = 3) -> None:
        super().__init__()
        self.a = nn.utils.parametrizations.weight_norm(nn.Conv1d(4, width, 7, padding=3))
        self.b = nn.Conv1d(width, width, 3, padding=2, dilation=2, groups=groups)
        self.out = nn.ConvTranspose1d(width, 1, 4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gated = F.glu(F.leaky_relu(self.a(x)).repeat(1, 2, 1), 1)
        return self.out(gated + F.elu(self.b(F.softplus(self.a(x)))))


@dataclass(frozen=True)
class Case:
    """``build()`` makes the net; ``spec`` describes its input at ``sizes``, which are not the hints."""

    build: Callable[[], nn.Module]
    spec: str
    sizes: Mapping[str, int]

    def inputs(self) -> torch.Tensor:
        kind, _, rest = self.spec.rpartition("[")
        shape = [self.sizes[n] if n in self.sizes else int(n) for n in rest.rstrip("]").split(",")]
        return torch.ones(shape, dtype=torch.int64) if kind else torch.full(shape, 0.5)


_IMAGE = {"B": 3, "H": 18, "W": 22}
CASES: Mapping[str, Case] = {
    "perceptron": Case(Perceptron, "B,11", {"B": 7}),
    "residual": Case(Residual, "B,3,H,W", _IMAGE),
    "attention": Case(Attention, "B,S,12", {"B": 3, "S": 13}),
    "fused": Case(Fused, "B,S,12", {"B": 3, "S": 13}),
    "in place": Case(InPlace, "B,10", {"B": 7}),
    "checkpointed": Case(Checkpointed, "B,6", {"B": 7}),
    "reentrant": Case(Reentrant, "B,6", {"B": 7}),
    "frozen": Case(Frozen, "B,3,H,W", _IMAGE),
    "tied": Case(Tied, "i64[B,S]", {"B": 3, "S": 13}),
    "normalised": Case(Normalised, "B,3,H,W", _IMAGE),
    "resized": Case(Resized, "B,3,H,W", _IMAGE),
    "custom": Case(Custom, "B,7", {"B": 5}),
    "arithmetic": Case(Arithmetic, "B,7", {"B": 53}),
    "several": Case(Several, "B,9", {"B": 5}),
    "quantised": Case(Quantised, "B,8", {"B": 7}),
    "low rank": Case(LowRank, "B,S,12", {"B": 3, "S": 13}),
    "recurrent": Case(Recurrent, "S,B,5", {"B": 3, "S": 6}),
    "tagger": Case(Tagger, "i64[B,S]", {"B": 3, "S": 13}),
    "convolved": Case(Convolved, "B,4,S", {"B": 3, "S": 26}),
}
