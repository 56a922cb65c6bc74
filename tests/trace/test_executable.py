"""The trace is the model: its graph, run on real inputs, gives the model's own outputs, at the hint and elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

import fxcount
from tests.oracles import unfused
from tests.zoo import CASES, inputs

# Sizes other than the hint, inside the domain of the formulas.
SIZES = {
    "resnet18": {"B": 3, "H": 61, "W": 97},
    "mobilenet_v3_small": {"B": 3, "H": 67, "W": 101},
    "shufflenet_v2_x0_5": {"B": 3, "H": 61, "W": 97},
    "swin_t": {"B": 1, "H": 127, "W": 118},
    "timm_vit": {"B": 3},
    "timm_mobilevit": {"B": 3, "H": 96, "W": 160},
    "timm_poolformer": {"B": 3, "H": 67, "W": 101},
    "timm_ghostnet": {"B": 3, "H": 67, "W": 101},
    "llama": {"B": 3, "S": 77},
    "bert": {"B": 3, "S": 77},
    "gpt2": {"B": 3, "S": 77},
    "t5": {"B": 3, "S": 77, "T": 19},
    "whisper": {"B": 3, "T": 19},
}


def tensors(result: Any) -> list[torch.Tensor]:
    return [t for t in tree_leaves(result) if isinstance(t, torch.Tensor)]


def same_outputs(report: fxcount.Report, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    given = [a for a in tree_leaves((args, kwargs)) if isinstance(a, torch.Tensor)]
    with torch.no_grad(), unfused():
        expected = model(*args, **kwargs)
    with torch.no_grad():
        found = report.graph_module(*given)
    if isinstance(expected, dict):  # entries of a class of their own (a cache) are left out
        expected = {k: v for k, v in expected.items() if isinstance(v, torch.Tensor)}
        found = {k: found[k] for k in expected}
    assert tensors(expected)
    for a, b in zip(tensors(found), tensors(expected), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", SIZES)
def test_real_models(name: str) -> None:
    case = CASES[name]
    model = case.on("cpu")
    report = case.analyse(model)
    report.graph_module.graph.lint()
    values = SIZES[name]
    same_outputs(report, model, inputs(case.args, values), dict(inputs(case.kwargs, values)))


class Function(nn.Module):
    def __init__(self, body: Callable[..., Any]) -> None:
        super().__init__()
        self.body = body
        self.weight = nn.Parameter(torch.randn(7, 5))
        self.lstm = nn.LSTM(5, 3, batch_first=True, bidirectional=True)
        self.register_buffer("table", torch.arange(7))

    def forward(self, x: torch.Tensor) -> Any:
        return self.body(self, x)


def in_place(self: Any, x: torch.Tensor) -> Any:
    y = x.clone()
    y[:, 1] += 2
    y[:, 0, :2] = x[:, 2, :2] * 3
    return y.relu_().mul_(0.5), y.sum()


def sizes(self: Any, x: torch.Tensor) -> Any:
    b, s, e = x.shape
    mask = torch.ones(s, s, dtype=torch.bool).tril()
    places = torch.arange(s) * 2 // 3
    return x.masked_fill(~mask[:, :e], -1.0), x[:, places], torch.zeros(b, s // 2 + 1), torch.full((), s), x.new_ones(b)


def literals(self: Any, x: torch.Tensor) -> Any:
    picked = [int(i) for i in torch.tensor([0, 2, 4])]
    return x[..., picked] + torch.tensor([1.0, 2.0, 3.0]), torch.tensor(x.shape[1]) + 1


def pieces(self: Any, x: torch.Tensor) -> Any:
    first, rest = x.split([2, 3], dim=-1)
    values, places = rest.max(dim=-1)
    return torch.einsum("bse,fe->bsf", x, self.weight), first.unbind(-1), values, places, torch.stack(x.chunk(1, 0))


def state(self: Any, x: torch.Tensor) -> Any:
    y, (h, c) = self.lstm(x)
    return y, h, c, self.table[self.table > 3], self.weight[self.table] @ x.mT


def spectra(self: Any, x: torch.Tensor) -> Any:
    y = torch.fft.rfft(x)
    return y.real + y.imag, y.abs(), torch.polar(x, x).conj().imag


@pytest.mark.parametrize("body", [in_place, sizes, literals, pieces, state, spectra], ids=lambda f: f.__name__)
def test_small_models(body: Callable[..., Any]) -> None:
    model = Function(body).eval()
    report = fxcount.analyze(model, "B,S,5", hints={"S": 7})
    same_outputs(report, model, (torch.randn(2, 7, 5),), {})
    same_outputs(report, model, (torch.randn(3, 11, 5),), {})


def test_packed_sequences() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(5, 3, batch_first=True)

        def forward(self, x: torch.Tensor) -> Any:
            packed = nn.utils.rnn.pack_padded_sequence(x, [3, 7, 5], batch_first=True, enforce_sorted=False)
            return nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], batch_first=True)

    model, x = Packed(), torch.randn(3, 7, 5)
    report = fxcount.analyze(model, x)
    same_outputs(report, model, (x,), {})
    assert report.macs == (3 + 7 + 5) * (5 + 3) * 3 * 3  # steps, inputs and states, hidden, gates


def test_nodes_carry_facts() -> None:
    graph = fxcount.analyze(Function(pieces), "B,S,5").graph_module.graph
    (node,) = [n for n in graph.nodes if "einsum" in n.name]
    assert [str(s) for s in node.meta["fact"].shape] == ["B", "S", "7"]
    assert node.meta["module"] == ("", 1)
    path, _, line = node.meta["source"].rpartition(":")
    assert path == __file__
    assert int(line) == pieces.__code__.co_firstlineno + 3
