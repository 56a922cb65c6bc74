"""einx computes with plain numbers and writes them into programs; under a trace they stand for sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.symbolic import Scope, to_sym
from fxcount.trace.torch_patch.labels import Labels

einx: Any = pytest.importorskip("einx")


class Net(nn.Module):
    def __init__(self, forward: Callable[[Any, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 3))
        self.does = forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.does(self, x)


def distances(net: Any, x: torch.Tensor) -> torch.Tensor:
    places = torch.arange(x.shape[1], dtype=x.dtype)
    return x.sum(2)[:, :, None] * einx.subtract("j, i -> i j", places, places)[None]


NETS: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
    "composed": lambda net, x: einx.multiply("b s d, d -> (b s) d", x, net.weight.sum(1)) * 2,
    "repeated": lambda net, x: einx.id("b s d -> b (s 7) d", x) * 2,
    "product": lambda net, x: einx.dot("b s d, d k -> b s k", x, net.weight),
    "pairs": lambda net, x: einx.dot("b i d, b j d -> b i j", x, x),
    "summed": lambda net, x: einx.sum("b [s] d -> b d", x),
    "placed": lambda net, x: einx.add("b s d, s -> b s d", x, torch.arange(x.shape[1])),
    "given": lambda net, x: einx.id("(b s) d -> b d s", x.flatten(0, 1), b=x.shape[0]) * 2,
    "distances": distances,
}


@pytest.mark.skipif(not hasattr(einx, "id"), reason="an older einx")
@pytest.mark.parametrize("name", NETS)
def test_a_program_of_einx_holds_at_all_sizes(name: str) -> None:
    model = Net(NETS[name])
    report = fxcount.analyze(model, "B,S,5", hints={"B": 2, "S": 7})
    assert not [a for a in report.assumptions if a.kind == "pin"]
    for shape in ((2, 7, 5), (3, 11, 5), (1, 2, 5)):
        x = torch.randn(shape)
        report.at(B=shape[0], S=shape[1], extend=False)
        torch.testing.assert_close(report.graph_module(x), model(x))


@pytest.mark.skipif(not hasattr(einx, "id"), reason="an older einx")
def test_a_program_that_einx_keeps_is_as_good_for_plain_tensors() -> None:
    model = Net(NETS["composed"])
    fxcount.analyze(model, "B,S,5", hints={"B": 2, "S": 7})
    labels = Labels()
    scope = Scope({"B": 2, "S": 7})
    shape = [labels.of(to_sym(size, scope)) for size in scope.symbols.values()]
    x = torch.randn(*shape, 5)
    torch.testing.assert_close(model(x), (x * model.weight.sum(1) * 2).flatten(0, 1))
