"""Nested tensors as inputs: ``"jagged f32[L1,L2;7]"``, or one that is there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import fxcount

pytestmark = pytest.mark.filterwarnings("ignore:.*prototype.*", "ignore:.*nested.*")


def nested(*lengths: int, width: int = 7) -> torch.Tensor:
    return torch.nested.nested_tensor([torch.randn(n, width) for n in lengths], layout=torch.jagged)


class Net(nn.Module):
    def __init__(self, forward: Any, **layers: nn.Module) -> None:
        super().__init__()
        self.does = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: torch.Tensor) -> Any:
        return self.does(self, x)


def test_a_layer_on_samples_of_3_and_5() -> None:
    """7*5 macs for each of 8 rows."""
    assert fxcount.analyze(nn.Linear(7, 5), nested(3, 5)).macs == 280
    report = fxcount.analyze(nn.Linear(7, 5), "jagged f32[L1,L2;7]")
    assert str(report.macs) == "35*L1 + 35*L2"
    assert not report.assumptions
    for lengths in ((3, 5), (11, 2)):
        at = report.at(L1=lengths[0], L2=lengths[1])
        assert at.macs == fxcount.analyze(nn.Linear(7, 5), nested(*lengths)).macs == 35 * sum(lengths)
        assert at.flops == 2 * 35 * sum(lengths) + 5 * sum(lengths)


def attention(net: Any, x: torch.Tensor) -> torch.Tensor:
    q, k, v = (layer(x).unflatten(-1, [2, 4]).transpose(1, 2) for layer in (net.q, net.k, net.v))
    return net.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2))  # type: ignore[no-any-return]


def test_attention_within_samples() -> None:
    """Products of rows with 4 weight matrices, and of each sample with itself: two of L*L*8."""
    net = Net(attention, q=nn.Linear(7, 8), k=nn.Linear(7, 8), v=nn.Linear(7, 8), out=nn.Linear(8, 6))
    report = fxcount.analyze(net, "jagged f32[L1,L2,L3;7]")
    rows = 3 * 7 * 8 + 8 * 6
    for lengths in ((3, 5, 2), (11, 7, 13)):
        expected = rows * sum(lengths) + sum(16 * n * n for n in lengths)
        assert report.at(**{f"L{i}": n for i, n in enumerate(lengths, 1)}).macs == expected
        assert fxcount.analyze(net, nested(*lengths)).macs == expected
        net(nested(*lengths))  # torch takes it


def test_padded_and_back() -> None:
    def does(net: Any, x: torch.Tensor) -> torch.Tensor:
        padded = net.layer(x).to_padded_tensor(0.0)
        return padded @ padded.mT

    report = fxcount.analyze(Net(does, layer=nn.Linear(7, 5)), "jagged f32[L1,L2;7]")
    assert report.at(L1=3, L2=11).macs == 35 * 14 + 2 * 11 * 11 * 5
    assert report.at(L1=11, L2=3).macs == report.at(L1=3, L2=11).macs


def test_what_is_no_nested_input_is_said() -> None:
    with pytest.raises(fxcount.InputError, match="lengths of samples"):
        fxcount.analyze(nn.Linear(7, 5), "jagged f32[3,7]")
    with pytest.raises(fxcount.InputError, match="swapped"):
        fxcount.analyze(nn.Identity(), nested(3, 5).transpose(1, 2))


def test_a_hint_for_a_length() -> None:
    report = fxcount.analyze(nn.Linear(7, 5), "jagged f32[L1,2*L1;7]", hints={"L1": 4})
    assert report.symbols == {"L1": 4}
    assert str(report.macs) == "105*L1"


def test_a_piece_of_the_jagged_dimension_is_refused() -> None:
    """Dimension 1 of a nested tensor is another in each sample; of a dense one its values have the same number."""
    x = torch.nested.nested_tensor([torch.randn(n, 8) for n in (3, 5)], layout=torch.jagged)
    for function in (lambda t: t.chunk(2, 1)[0], lambda t: t.flatten(1, 2), lambda t: t.transpose(0, 1)):
        with pytest.raises(fxcount.UnsupportedError, match="nested"):
            fxcount.analyze(function, x, frontend="trace")


def test_what_goes_over_the_jagged_dimension_goes_over_each_sample() -> None:
    """A mean of n rows of 8 is n - 1 sums and a quotient for each column; a sum has no quotient."""
    x = torch.nested.nested_tensor([torch.randn(n, 8) for n in (3, 5)], layout=torch.jagged)
    mean, total = (fxcount.analyze(f, x, frontend="trace").flops for f in (lambda t: t.mean(1), lambda t: torch.sum(t, 1)))
    assert (mean, total) == ((3 + 5) * 8, (2 + 4) * 8)


def test_padded_by_the_function() -> None:
    x = torch.nested.nested_tensor([torch.randn(n, 8) for n in (3, 5)], layout=torch.jagged)
    report = fxcount.analyze(lambda t: torch.nested.to_padded_tensor(t, 0.0) @ torch.ones(8, 7), x)
    assert report.at(**report.symbols).macs == 2 * 5 * 8 * 7
