"""Small nets that train in ways of their own, at the widths and sizes of the table of steps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from tests.training import nets

__all__ = ["NETS"]


class UNet(nn.Module):
    def __init__(self, c: int = 8, n: int = 3) -> None:
        super().__init__()

        def block(i: int, o: int) -> nn.Module:
            first = (nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True))
            return nn.Sequential(*first, nn.Conv2d(o, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True))

        self.down = nn.ModuleList([block(3 if i == 0 else c * 2 ** (i - 1), c * 2**i) for i in range(n)])
        self.mid = block(c * 2 ** (n - 1), c * 2**n)
        self.up = nn.ModuleList([nn.ConvTranspose2d(c * 2 ** (i + 1), c * 2**i, 2, 2) for i in reversed(range(n))])
        self.dec = nn.ModuleList([block(c * 2 ** (i + 1), c * 2**i) for i in reversed(range(n))])
        self.out = nn.Conv2d(c, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.mid(x)
        for up, dec in zip(self.up, self.dec):
            x = dec(torch.cat([up(x), skips.pop()], 1))
        return self.out(x)


class DictNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(9, 30), nn.Linear(30, 30), nn.Linear(60, 4)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        d = {"a": torch.relu(self.a(x))}
        d["b"] = torch.tanh(self.b(d["a"]))
        d["a"] = d["a"] * 2
        return {"y": self.c(torch.cat([d.pop("a"), d["b"]], -1)), "aux": d["b"].mean(-1)}


class Recursive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.leaf, self.join = nn.Linear(16, 16), nn.Linear(32, 16)

    def down(self, x: torch.Tensor, k: int) -> torch.Tensor:
        if k == 0:
            return torch.sigmoid(self.leaf(x))
        return self.join(torch.cat([self.down(x, k - 1), self.down(x * 0.5, k - 1)], -1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(x, 3)


class Generating(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(12, 12) for _ in range(4))

    def features(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        for layer in self.layers:
            x = F.gelu(layer(x))
            yield x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack(list(self.features(x))).mean(0)


class Listing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3 if i == 0 else 8, 8, 3, padding=1) for i in range(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outs = []
        for i, conv in enumerate(self.convs):
            x = F.silu(conv(x))
            outs.append(F.adaptive_avg_pool2d(x, 1))
            if i % 2:
                outs[-1] = outs[-1].expand_as(x).mean((2, 3), keepdim=True)
        return torch.cat(outs, 1).flatten(1)


class Views(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(32, 96), nn.Linear(32, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, c = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, 4, 8).permute(2, 0, 3, 1, 4).unbind(0)
        a = (q @ k.transpose(-1, -2) / 8**0.5).softmax(-1)
        return self.out((a @ v).transpose(1, 2).reshape(b, t, c))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, dropout=0.1), 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Fused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(32, 96)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, c = x.shape
        q, k, v = (z.view(b, t, 4, 8).transpose(1, 2) for z in self.qkv(x).chunk(3, -1))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, c)


NETS: dict[str, tuple[Any, str, dict[str, int]]] = {
    "own_lstm": (partial(nets.Tagger, 50, 24, 20, 7), "i64[B,T]", {"B": 3, "T": 17}),
    "own_gru": (partial(nets.Recurrent, 12, 20), "T,B,12", {"B": 3, "T": 9}),
    "own_unet": (UNet, "B,3,H,W", {"B": 2, "H": 48, "W": 80}),
    "own_dict": (DictNet, "B,9", {"B": 7}),
    "own_recursive": (Recursive, "B,16", {"B": 7}),
    "own_inplace": (partial(nets.InPlace, 64), "B,10", {"B": 7}),
    "own_generator": (Generating, "B,12", {"B": 7}),
    "own_ckpt": (partial(nets.Checkpointed, 20, 80, 4), "B,20", {"B": 7}),
    "own_ckpt_reentrant": (partial(nets.Reentrant, 20, 80, 4), "B,20", {"B": 7}),
    "own_list": (Listing, "B,3,H,W", {"B": 2, "H": 20, "W": 28}),
    "own_views": (Views, "B,T,32", {"B": 3, "T": 11}),
    "own_mha": (Encoder, "B,T,32", {"B": 3, "T": 11}),
    "own_sdpa": (Fused, "B,T,32", {"B": 3, "T": 11}),
    "own_vq_detach": (partial(nets.Quantised, 16, 40, 8, 13), "B,16", {"B": 7}),
    "own_frozen": (partial(nets.Frozen, 16, 32), "B,3,H,W", {"B": 2, "H": 40, "W": 56}),
    "own_lora": (partial(nets.LowRank, 64, 4, 3), "B,T,64", {"B": 3, "T": 11}),
    "own_mlp": (partial(nets.Perceptron, (100, 400, 400, 10), 0.2, nn.ReLU), "B,100", {"B": 33}),
    "own_tied": (partial(nets.Tied, 97, 32, 3), "i64[B,T]", {"B": 3, "T": 11}),
    "own_gn": (partial(nets.Normalised, 16, 4, False), "B,3,H,W", {"B": 2, "H": 20, "W": 28}),
    "own_conv1d": (partial(nets.Convolved, 16, 4), "B,4,T", {"B": 3, "T": 64}),
}  # fmt: skip
"""Name -> class, input and sizes."""
