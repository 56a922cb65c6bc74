"""Passes on foreign graphs: what they write on nodes, and that it follows a transformation."""

from __future__ import annotations

import operator

import pytest
import torch
from torch import nn
from torch.fx.passes.infra.pass_base import PassBase, PassResult
from torch.fx.passes.infra.pass_manager import PassManager
from torch.fx.passes.shape_prop import ShapeProp

import fxcount
from fxcount.passes.infra import CostPass, ShapePass, total_cost
from fxcount.symbolic import evaluate, to_sympy
from tests.trace.frontend_zoo import unlifted


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, bias=False)
        self.relu = nn.ReLU()
        self.gain = nn.Parameter(torch.ones(5, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.relu(self.conv(x)))
        return (x * self.gain).mean((2, 3)).reshape(x.size(0), -1)


class DropSecondRelu(PassBase):
    """A transformation of a user's: relu(relu(x)) is relu(x)."""

    def call(self, graph_module: torch.fx.GraphModule) -> PassResult:
        second = [n for n in graph_module.graph.nodes if n.target == "relu"][1]
        second.replace_all_uses_with(second.args[0])
        graph_module.graph.erase_node(second)
        graph_module.recompile()
        return PassResult(graph_module, True)


def graph_of(model: nn.Module) -> torch.fx.GraphModule:
    return torch.fx.symbolic_trace(model)


def test_shapes_are_those_of_torchs_own_shape_pass() -> None:
    graph = graph_of(Net())
    ShapePass("B,3,H,W", hints={"H": 11, "W": 13})(graph)
    ShapeProp(graph).propagate(torch.zeros(7, 3, 17, 19))
    compared = 0
    for node in graph.graph.nodes:
        known = node.meta.get("tensor_meta")
        if known is not None and node.op != "output":
            fact = node.meta["fact"]
            assert tuple(evaluate(s, {"B": 7, "H": 17, "W": 19}) for s in fact.shape) == tuple(known.shape), node
            assert fact.dtype is known.dtype
            compared += 1
    assert compared >= 8


def test_nodes_add_up_to_the_report() -> None:
    model = Net()
    graph = graph_of(model)
    result = CostPass("B,3,H,W")(graph)
    report = fxcount.analyze(model, "B,3,H,W")
    assert result is not None
    assert not result.modified
    total = total_cost(graph)
    assert [to_sympy(s) for s in (total.macs, total.flops, total.read_bytes)] == [
        report.macs, report.flops, report.read_bytes
    ]  # fmt: skip
    conv = next(n for n in graph.graph.nodes if n.target == "conv")
    # 27 multiply-accumulates for each of the 5 channels of 10*11 pixels of 7 images
    assert evaluate(conv.meta["fxcount"].macs, {"B": 7, "H": 12, "W": 13}) == 7 * 10 * 11 * 5 * 27


def test_before_and_after_a_transformation() -> None:
    graph = graph_of(Net())
    CostPass("2,3,12,13")(graph)
    before = total_cost(graph).flops
    PassManager(passes=[DropSecondRelu(), CostPass()])(graph)  # the placeholders know their shapes by now
    # one comparison less for each of the 2*5*10*11 elements
    assert before - total_cost(graph).flops == 2 * 5 * 10 * 11


def test_work_of_a_graph_inside_a_node_is_the_nodes() -> None:
    class Region(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                y = x @ x
            return y + 1

    graph = unlifted(torch.export.export(Region(), (torch.zeros(5, 5),)))
    CostPass("5,5")(graph)
    assert total_cost(graph).macs == 125
    assert [n.meta["fxcount"].macs for n in graph.graph.nodes if "set_grad_enabled" in str(n.target)] == [125]
    assert [n.meta["fxcount"].macs for n in graph.graph.nodes if n.target is operator.getitem] == [0]


def test_unknown_shapes_are_asked_for() -> None:
    with pytest.raises(fxcount.InputError, match="do not say their shapes"):
        CostPass()(graph_of(Net()))
