"""Orders of contractions that opt_einsum chooses by sizes: formulas of an order, and the sizes at which it is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from tests.oracles import counted_flops

opt_einsum = pytest.importorskip("opt_einsum")


class Net(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: torch.Tensor) -> Any:
        return self.function(*args)


NETS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "three": (lambda x, w, v: torch.einsum("bnc,cd,de->bne", x, w, v), ("B,S,8", "8,16", "16,4")),
    "chain": (lambda x, y, z: torch.einsum("ab,bc,cd->ad", x, y, z), ("A,B", "B,C", "C,D")),
    "tucker": (lambda x, g, a, b: torch.einsum("bix,rs,ir,os->box", x, g, a, b), ("B,4,S", "3,2", "4,3", "5,2")),
    "contract": (lambda x, w: opt_einsum.contract("bis,ios->bos", x, w), ("B,4,S", "4,5,S")),
    "contract three": (lambda x, w: opt_einsum.contract("bnc,cd,de->bne", x, w, w), ("B,S,8", "8,8")),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_an_order_of_contractions(name: str) -> None:
    function, specs = NETS[name]
    model = Net(function)
    report = fxcount.analyze(model, *specs)
    assert report.frontend == "trace"
    assert not any("pinned" in str(a) for a in report.assumptions)
    for at in ({"A": 11, "B": 3, "C": 7, "D": 5, "S": 13}, {"A": 2, "B": 17, "C": 3, "D": 29, "S": 2}):
        values = {s: n for s, n in at.items() if s in report.symbols}
        tensors = [torch.zeros([at[n] if n in at else int(n) for n in spec.split(",")]) for spec in specs]
        assert 2 * report.at(**values).macs == counted_flops(model, *tensors)


def test_where_the_order_is_chosen() -> None:
    """(8, 16) by (16, 4) first costs 512 and 32 for each row, the rows first 192 each: as one from 4 rows on."""
    model = Net(NETS["three"][0])
    report = fxcount.analyze(model, *NETS["three"][1])
    assert str(report.macs) == "32*B*S + 512"
    assert report.at(B=1, S=2).macs == 2 * 192
