"""Small nets that train in ways of their own, at the sizes of the table of steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

__all__ = ["NETS"]


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 24)
        self.cells = nn.LSTM(24, 20, 2, batch_first=True, bidirectional=True, dropout=0.1)
        self.out = nn.Linear(40, 7)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.out(self.cells(self.embed(tokens))[0])


class LastOfGRU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells, self.out = nn.GRU(12, 20), nn.Linear(20, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.cells(x)
        return self.out(y[-1])


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


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(10, 64), nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        y += 1
        y.relu_()
        z = y[:, ::2]
        z = z * 2
        y = y.clone()
        y[:, :32] = z
        return self.out(y.mul_(0.3))


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


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(20, 80), nn.GELU(), nn.Linear(80, 20)) for _ in range(4))

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


class Quantised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.table = nn.Linear(16, 40), nn.Linear(40, 8), nn.Parameter(torch.randn(13, 40))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.a(x))
        d = (h.detach().unsqueeze(1) - self.table).pow(2).sum(-1)
        i = d.argmin(-1)
        q = self.table[i]
        q = h + (q - h).detach()
        return self.b(q)


class Frozen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        first = (nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.body = nn.Sequential(*first, nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()).requires_grad_(False)
        self.head = nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean((2, 3)))


class LowRank(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.base = nn.ModuleList(nn.Linear(64, 64) for _ in range(3)).requires_grad_(False)
        self.down = nn.ParameterList(torch.randn(64, 4) for _ in range(3))
        self.up = nn.ParameterList(torch.zeros(4, 64) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for base, down, up in zip(self.base, self.down, self.up):
            x = F.gelu(base(x) + x @ down @ up)
        return x


class Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        first = (nn.Linear(100, 400), nn.ReLU(), nn.Dropout(0.2))
        self.layers = nn.Sequential(*first, nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.norm = nn.Embedding(97, 32), nn.Linear(32, 32), nn.LayerNorm(32)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        h = self.embed(tokens)
        for _ in range(3):
            h = h + self.norm(F.silu(self.mix(h)))
        return h @ self.embed.weight.t()


class Normalised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.group, self.act = nn.Conv2d(3, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.PReLU()
        self.instance, self.up = nn.InstanceNorm2d(16, affine=True), nn.Upsample(scale_factor=2, mode="bilinear")
        self.out = nn.Conv2d(16, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.up(self.act(self.instance(self.group(self.conv(x))))))


class Convolved(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 16, 7, padding=3))
        self.b, self.out = nn.Conv1d(16, 16, 3, padding=2, dilation=2, groups=4), nn.ConvTranspose1d(16, 1, 4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gated = F.glu(F.leaky_relu(self.a(x)).repeat(1, 2, 1), 1)
        return self.out(gated + F.elu(self.b(F.softplus(self.a(x)))))


NETS: dict[str, tuple[Any, str, dict[str, int]]] = {
    "own_lstm": (Tagger, "i64[B,T]", {"B": 3, "T": 17}), "own_gru": (LastOfGRU, "T,B,12", {"B": 3, "T": 9}),
    "own_unet": (UNet, "B,3,H,W", {"B": 2, "H": 48, "W": 80}), "own_dict": (DictNet, "B,9", {"B": 7}),
    "own_recursive": (Recursive, "B,16", {"B": 7}), "own_inplace": (InPlace, "B,10", {"B": 7}),
    "own_generator": (Generating, "B,12", {"B": 7}), "own_ckpt": (Checkpointed, "B,20", {"B": 7}),
    "own_ckpt_reentrant": (Reentrant, "B,20", {"B": 7}), "own_list": (Listing, "B,3,H,W", {"B": 2, "H": 20, "W": 28}),
    "own_views": (Views, "B,T,32", {"B": 3, "T": 11}), "own_mha": (Encoder, "B,T,32", {"B": 3, "T": 11}),
    "own_sdpa": (Fused, "B,T,32", {"B": 3, "T": 11}), "own_vq_detach": (Quantised, "B,16", {"B": 7}),
    "own_frozen": (Frozen, "B,3,H,W", {"B": 2, "H": 40, "W": 56}), "own_lora": (LowRank, "B,T,64", {"B": 3, "T": 11}),
    "own_mlp": (Perceptron, "B,100", {"B": 33}), "own_tied": (Tied, "i64[B,T]", {"B": 3, "T": 11}),
    "own_gn": (Normalised, "B,3,H,W", {"B": 2, "H": 20, "W": 28}), "own_conv1d": (Convolved, "B,4,T", {"B": 3, "T": 64}),
}  # fmt: skip
"""Name -> class, input and sizes."""
