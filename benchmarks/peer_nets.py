"""Small nets on which counting tools disagree, each with its parameters and multiply-accumulates derived by hand.

``params`` are unique elements: what is reachable under two names, or twice in one storage, counts once. ``macs`` are the exact
multiply-accumulates of contractions for the whole batch, as a formula in the sizes of the input; additions of a bias are
none of them, and are given apart (``biases``) because several tools count them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks import peer_modules as m

__all__ = ["NETS", "PeerNet"]


@dataclass(frozen=True, slots=True)
class PeerNet:
    """``spec``: fxcount's input; ``sizes``: its symbols at which the tools run; ``dead``, ``frozen``, ``shared``: elements of
    these states; ``batched``: whether the first axis is a batch (or time)."""

    name: str
    build: Callable[[], nn.Module]
    spec: str
    sizes: Mapping[str, int]
    params: int
    macs: str
    biases: str = "0"
    dead: int = 0
    frozen: int = 0
    shared: int = 0
    batched: bool = True
    gradients: bool = True

    def model(self) -> nn.Module:
        """A fresh one, in eval mode, always with the same weights."""
        torch.manual_seed(3)
        return self.build().eval()

    @property
    def shape(self) -> tuple[int, ...]:
        """The input's shape at ``sizes``."""
        return tuple(self.sizes[s] if s in self.sizes else int(s) for s in re.sub(r"^\w+\[|\]$", "", self.spec).split(","))

    def example(self) -> Tensor:
        """An input at ``sizes``."""
        torch.manual_seed(5)
        return torch.randint(8, self.shape) if self.spec.startswith("i64") else torch.randn(self.shape)

    def number(self, formula: str) -> int:
        """A formula at ``sizes``."""
        return int(eval(formula, {"__builtins__": {}}, dict(self.sizes)))

    @contextmanager
    def mode(self) -> Iterator[None]:
        """The grad mode the net is asked about in."""
        with torch.set_grad_enabled(self.gradients):
            yield


B4, B2S5 = {"B": 4}, {"B": 2, "S": 5}

# A Linear(i, o) has i*o + o parameters, i*o macs and o bias additions a row.
NETS: tuple[PeerNet, ...] = (
    # 64 + 8 parameters, once; two calls of 64 macs a row
    PeerNet("Linear(8, 8) called twice", m.Twice, "B,8", B4, 72, "128*B", "16*B"),
    # the same, reachable as `first` and as `second`
    PeerNet("Linear(8, 8) under two paths, both called", m.TwoPaths, "B,8", B4, 72, "128*B", "16*B", shared=72),
    # 72 in use; 8*16 + 16 = 144 idle
    PeerNet("Linear(8, 8), and a Linear(8, 16) never called", m.Unused, "B,8", B4, 216, "64*B", "8*B", dead=144),
    # four of 72, two of them called
    PeerNet("ModuleList of 4 Linear(8, 8), 2 called", m.HalfUsed, "B,8", B4, 288, "128*B", "16*B", dead=144),
    # both run, one result is returned
    PeerNet("Linear(8, 8) computed and thrown away, another returned", m.Thrown, "B,8", B4, 144, "128*B", "16*B", dead=72),
    # both run and reach the output, one without a gradient
    PeerNet("Linear(8, 8) plus another under no_grad", m.NoGrad, "B,8", B4, 144, "128*B", "16*B", dead=72),
    # 72 + 8; the 8 are asked for their shape
    PeerNet("Linear(8, 8) plus zeros_like(Parameter(8))", m.OnlyShape, "B,8", B4, 80, "64*B", "8*B", dead=8),
    # 72 frozen, 8*4 + 4 = 36 trained
    PeerNet("frozen Linear(8, 8), then Linear(8, 4)", m.Frozen, "B,8", B4, 108, "96*B", "12*B", frozen=72),
    # a table of 100*16; each of B*S tokens is multiplied with it once
    PeerNet("Embedding(100, 16) tied to a head", m.TiedHead, "i64[B,S]", B2S5, 1600, "1600*B*S", shared=1600),
    PeerNet("Embedding(100, 16), F.linear with its weight", m.TiedByFunction, "i64[B,S]", B2S5, 1600, "1600*B*S"),
    # 8*16 + 16; B*S rows of 8*16 macs
    PeerNet("Linear(8, 16) on three axes", m.alone(nn.Linear, 8, 16), "B,S,8", {"B": 2, "S": 10}, 144, "128*B*S", "16*B*S"),
    # 16*8, no bias
    PeerNet("F.linear with a Parameter(16, 8)", m.OwnWeight, "B,8", B4, 128, "128*B"),
    # 8 + 72; the scaling is elementwise
    PeerNet("Parameter(8) beside a Linear(8, 8)", m.Beside, "B,8", B4, 80, "64*B", "8*B"),
    # 96 elements of one storage, of which 64 + 64 are used
    PeerNet("two 8 x 8 Parameters that overlap in one storage", m.Views, "B,8", B4, 96, "128*B", shared=96),
    # the weight 16*8, a magnitude for each of its 16 rows, the bias; norms are no contractions
    PeerNet("weight-normalised Linear(8, 16)", m.weight_normalised, "B,8", B4, 160, "128*B", "16*B"),
    # 16*8 + 16 (u, v are buffers); sigma = u . (W v): 16*8 + 16 macs besides the layer's
    PeerNet("spectrally normalised Linear(8, 16)", m.spectrally_normalised, "B,8", B4, 144, "128*B + 144", "16*B"),
    # frozen 16*8 + 16, trained 16*2 + 2*8; up @ down is 16*2*8 macs besides the layer's
    PeerNet("frozen Linear(8, 16) + LoRA of rank 2", m.lora, "B,8", B4, 192, "128*B + 256", "16*B", frozen=144),
    # 64 + 8; the mean is a buffer
    PeerNet("running mean updated, then Linear(8, 8)", m.RunningMean, "B,8", B4, 72, "64*B", "8*B"),
    # kernels of 3*3*3 for 6 channels and 6 biases; 27 macs for each of 6*H*W results
    PeerNet(
        "Conv2d(3, 6, 3, padding=1) without a batch axis",
        m.alone(nn.Conv2d, 3, 6, 3, padding=1), "3,H,W", {"H": 8, "W": 8}, 168, "162*H*W", "6*H*W", batched=False,
    ),
    PeerNet(
        "Conv2d(3, 6, 3, padding='same', bias=False)",
        m.alone(nn.Conv2d, 3, 6, 3, padding="same", bias=False), "B,3,8,8", {"B": 2}, 162, "10368*B",
    ),
    # each of 3*H*W inputs meets 5*2*2 weights
    PeerNet(
        "ConvTranspose2d(3, 5, 2, stride=2, bias=False)",
        m.alone(nn.ConvTranspose2d, 3, 5, 2, stride=2, bias=False), "B,3,H,W", {"B": 2, "H": 7, "W": 11}, 60, "60*B*H*W",
    ),
    # 16*8, for each of 5 columns of each sample
    PeerNet("Parameter(16, 8) @ x", m.LeftFactor, "B,8,5", B4, 128, "640*B"),
    # four gates of (8 + 12) * 12 weights and two biases of 12; the products once for each step of each sample
    PeerNet("LSTM(8, 12)", m.alone(nn.LSTM, 8, 12), "S,B,8", {"S": 7, "B": 3}, 1056, "960*S*B", "96*S*B"),
    # 16*48 + 48; then S*S scores and S*S weighted values, each of width 16
    PeerNet(
        "Linear(16, 48), then scaled_dot_product_attention",
        m.FusedAttention, "B,S,16", B2S5, 816, "768*B*S + 32*B*S*S", "48*B*S",
    ),
    # four projections of 16*16 + 16, and the attention above
    PeerNet(
        "MultiheadAttention(16, 4), under no_grad",
        m.SelfAttention, "B,S,16", B2S5, 1088, "1024*B*S + 32*B*S*S", "64*B*S", gradients=False,
    ),
)  # fmt: skip
