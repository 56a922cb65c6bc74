"""Jagged nested tensors made in a forward, against torch's own run and the work of each sample by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fxcount

pytestmark = pytest.mark.filterwarnings("ignore")


class Net(nn.Module):
    """A linear layer over samples of different lengths."""

    def __init__(self, does: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.layer, self.norm, self.wide = nn.Linear(7, 5), nn.LayerNorm(7), nn.Linear(7, 24)
        self.does = does

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> Any:
        return self.does(self, torch.nested.as_nested_tensor([a, b], layout=torch.jagged))


def _attention(net: Net, nt: Any) -> Any:
    q, k, v = net.wide(nt).chunk(3, -1)
    heads = [x.unflatten(-1, [2, 4]).transpose(1, 2) for x in (q, k, v)]
    return F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(-2).values()


# what is done, macs at lengths 3 and 5
CASES: dict[str, tuple[Callable[[Any, Any], Any], int]] = {
    "a linear layer": (lambda s, nt: s.layer(nt).values(), 8 * 35),
    "norms and activations": (lambda s, nt: s.layer(F.gelu(s.norm(nt)) * 2 + nt).relu().values(), 8 * 35),
    "sums over the width": (lambda s, nt: s.layer(nt).sum(-1, keepdim=True).values(), 8 * 35),
    "samples": (lambda s, nt: [s.layer(x).mean(0) for x in nt.unbind()], 8 * 35),
    "padded": (lambda s, nt: s.layer(nt.to_padded_tensor(0.0)), 2 * 5 * 35),
    "the mean of each sample": (lambda s, nt: s.layer(nt.mean(dim=1)), 2 * 35),
    "its sum, kept": (lambda s, nt: s.layer(torch.sum(nt, 1, keepdim=True)), 2 * 35),
    "a softmax over its positions": (lambda s, nt: s.layer(nt.softmax(dim=1)).values(), 8 * 35),
    "dimensions from the front": (lambda s, nt: s.layer(nt.softmax(dim=2)).sum(2).values(), 8 * 35),
    "a part of the width": (lambda s, nt: s.layer(torch.cat([nt, nt], -1)[..., :7]).values(), 8 * 35),
    "one sample": (lambda s, nt: s.layer(nt[1]), 5 * 35),
    "where it is positive": (lambda s, nt: s.layer(torch.where(nt > 0, nt, 0.5)).values(), 8 * 35),
    "what C++ would take for a number": (
        lambda s, nt: s.layer(torch.pow(nt, 2) + torch.remainder(nt, 2) + torch.special.xlog1py(nt.exp(), 2.0)).values(), 8 * 35
    ),
    "as a mask": (lambda s, nt: s.layer(nt * ((nt <= 1) & (nt != 0))).values(), 8 * 35),
    "attention": (_attention, 8 * 7 * 24 + (9 + 25) * 2 * 4 * 2),
}


@pytest.mark.parametrize("name", CASES)
def test_made_inside(name: str) -> None:
    does, macs = CASES[name]
    net = Net(does).eval()
    a, b = torch.randn(3, 7), torch.randn(5, 7)
    report = fxcount.analyze(net, "M,7", "N,7", hints={"M": 2, "N": 11})
    assert report.frontend == "trace"
    if name != "padded":
        assert report.at(M=3, N=5, extend=False).macs == macs
    assert fxcount.analyze(net, a, b).macs == macs
    if name == "attention":  # torch's own run wants a fused kernel, which a processor may not have
        return
    with torch.no_grad():
        run = net(a, b)
        found = fxcount.analyze(net, a, b).graph_module(a, b)
    for x, y in zip(torch.utils._pytree.tree_leaves(found), torch.utils._pytree.tree_leaves(run), strict=True):
        torch.testing.assert_close(x, y)


def test_what_is_not_followed_says_so() -> None:
    with pytest.raises(fxcount.UnsupportedError, match="nested"):
        fxcount.analyze(Net(lambda s, nt: s.layer(nt).softmax(dim=0)), "3,7", "5,7")
    with pytest.raises(fxcount.UnsupportedError, match="nested"):
        fxcount.analyze(Net(lambda s, nt: nt[:, 1:]), "3,7", "5,7")
