"""Models without inputs: those that the library knows, a guess that says so, and parameters without a trace."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import fxcount
from fxcount.adapters.guess import guessed
from fxcount.passes.untraced import parameters
from tests.cli.conftest import Shell


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(3, 5, 1), "B,3,L"), (nn.Conv2d(3, 5, 1), "B,3,H,W"), (nn.Conv3d(3, 5, 1), "B,3,T,H,W"),
        (nn.Linear(3, 5), "B,3"),
        (nn.Embedding(7, 5), "i64[B,S]"), (nn.LSTM(3, 5), "S,B,3"), (nn.GRU(3, 5, batch_first=True), "B,S,3"),
    ],
)  # fmt: skip
def test_the_first_layer_tells(layer: nn.Module, shape: str) -> None:
    """And the model takes what is guessed."""
    found = guessed(nn.Sequential(nn.Identity(), layer))
    assert found is not None
    assert found.inputs == (shape,)
    assert fxcount.analyze(layer, *found.inputs).params.total == sum(p.numel() for p in layer.parameters())


def test_nothing_is_guessed_where_nothing_tells() -> None:
    assert guessed(nn.Bilinear(3, 4, 5)) is None
    assert guessed(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 5, 1))) is None
    assert guessed(nn.ReLU()) is None
    assert guessed(lambda x: x) is None
    assert guessed(nn.MultiheadAttention(4, 2)) is None


def test_a_guess_is_marked(shell: Shell) -> None:
    done = shell("user_nets.py:Small")
    assert done.status == 0
    assert done.err == "fxcount: no inputs were given: B,3 is guessed from the first layer, inner: Linear\n"
    assert "25*B" in done.out
    assert shell("user_nets.py:Small", "B,3").err == ""
    assert shell("demo").err == ""


def test_parameters_without_a_trace(shell: Shell) -> None:
    done = shell("params", "torch.nn:Bilinear(3,4,5)")
    assert done.status == 0
    assert "nothing was traced" in done.err
    assert "65 parameters" in done.out  # 5*3*4 + 5
    assert "dead:" not in done.out
    for question in (["--state", "dead"], ["--fail-on", "dead"], ["--outputs", "0"], ["--modes"]):
        assert shell("params", "torch.nn:Bilinear(3,4,5)", *question).status == 2
    found = json.loads(shell("params", "torch.nn:Bilinear(3,4,5)", "--json").out)
    assert (found["total"], found["dead"]) == (65, 0)
    assert shell("params", "user_nets.py:Small").status == 0


def test_what_a_model_holds_is_what_a_trace_says_it_holds() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.norm = nn.Linear(6, 6), nn.Linear(6, 6), nn.BatchNorm1d(6)
            self.b.weight = self.a.weight
            self.small = nn.Parameter(torch.ones(7, dtype=torch.float16), requires_grad=False)

        def forward(self, x):
            return self.norm(self.b(self.a(x))) * self.small.float().sum()

    net = Net()
    held, traced = parameters(net), fxcount.analyze(net, "B,6").params
    for name in ("total", "trainable", "frozen", "shared", "bytes", "bytes_by_dtype", "buffers", "buffer_bytes"):
        assert getattr(held, name) == getattr(traced, name), name
    assert [g.names for g in held.groups] == [g.names for g in traced.groups]
    assert [r.name for r in held.rows("shared")] == ["a.weight"]
