"""What a model returns: tensors in whatever container, its own parameters among them, each under a name of its own."""

from __future__ import annotations

from collections import OrderedDict, UserDict
from collections.abc import Callable
from typing import Any

import networkx as nx
import pytest
import torch
from torch import nn

import fxcount
from fxcount.report.views.graphs.outputs import named_outputs


class Net(nn.Module):
    """Returns what it is told to."""

    def __init__(self, returns: Callable[[Any, torch.Tensor], Any]) -> None:
        super().__init__()
        self.returns = returns
        self.weight = nn.Parameter(torch.ones(3, 5))
        self.register_buffer("seen", torch.ones(7, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> Any:
        return self.returns(self, x)


class Around(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> Any:
        return self.net(x)


def _overwritten(_: Any, x: torch.Tensor) -> dict[str, torch.Tensor]:
    out = {"a": x.exp(), "b": x.sum(1)}
    out["a"] = x[:, :2].relu()
    return out


RETURNS: dict[str, tuple[Callable[[Any, torch.Tensor], Any], list[str]]] = {
    "its parameter": (lambda net, x: net.weight, ["0"]),
    "its buffer": (lambda net, x: net.seen, ["0"]),
    "both, and its input": (lambda net, x: (net.weight, [net.seen], x), ["0", "1.0", "2"]),
    "in a dict": (lambda net, x: {"w": net.weight, "y": x.exp()}, ["w", "y"]),
    "a key written twice": (_overwritten, ["a", "b"]),
    "keys that read alike": (lambda net, x: {1: x.exp(), "1": x.sum(1), None: net.seen}, ["1", "str('1')", "None"]),
    "a mapping of its own": (lambda net, x: UserDict(a=x.exp(), b=net.seen), ["a", "b"]),
    "in order": (lambda net, x: OrderedDict(z=x.exp(), a=x.sum(1)), ["z", "a"]),
}


@pytest.mark.parametrize("name", RETURNS)
@pytest.mark.parametrize("inside", [False, True], ids=["itself", "around"])
def test_outputs_are_those_of_the_run(name: str, inside: bool) -> None:
    """Names, shapes, bytes and values against the model's own run."""
    returns, names = RETURNS[name]
    net = Around(Net(returns)) if inside else Net(returns)
    x = torch.arange(33.0).view(11, 3)
    run = net(x)
    tensors = list(torch.utils._pytree.tree_leaves(dict(run) if isinstance(run, UserDict) else run))
    report = fxcount.analyze(net, "B,3")
    found = list(named_outputs(report.trace.outputs))
    assert [n for n, _ in found] == names
    sizes = {"B": 11}
    expected = [tuple(t.shape) for t in tensors]
    assert [tuple(fxcount.symbolic.evaluate(s, sizes) for s in v.fact.shape) for _, v in found] == expected
    for module in report.trace.modules:
        assert [tuple(fxcount.symbolic.evaluate(s, sizes) for s in f.shape) for f in module.outputs] == expected
    numbers = report.at(B=11) if report.symbols else report
    assert numbers.memory.outputs == sum(t.nbytes for t in tensors)
    assert [n.removeprefix("output:") for n in report.to_networkx() if n.startswith("output:")] == names
    made = report.graph_module(x)
    assert [torch.equal(a, b) for a, b in zip(torch.utils._pytree.tree_leaves(made), tensors, strict=True)]
    if isinstance(run, dict):
        assert list(made) == list(run)


def test_a_loss_can_be_chosen_by_any_name() -> None:
    report = fxcount.analyze(Net(RETURNS["keys that read alike"][0]), "B,3")
    assert report.params_for("str('1')").dead == report.params_for("1").dead == 15
    assert fxcount.analyze(Net(RETURNS["in a dict"][0]), "B,3").params_for("w").dead == 0
    with pytest.raises(fxcount.InputError, match="no output 'v'"):
        report.params_for("v")


def test_a_returned_parameter_reaches_its_output() -> None:
    graph = fxcount.analyze(Net(RETURNS["its parameter"][0]), "B,3").to_networkx()
    assert nx.has_path(graph, "parameter:weight", "output:0")
