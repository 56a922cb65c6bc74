"""TorchScript modules give what the Python modules they were made of give."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from tests.zoo import CASES

# since 2.14 torch tells whoever makes or loads a script, here the tests, that TorchScript is deprecated
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning", "ignore:.torch.jit.[a-z_]+. is deprecated:FutureWarning"
)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(6, 6)
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        y = self.norm(self.mix(x))
        if x.shape[0] > 3:
            y = torch.relu(y)
        for i in range(2):
            y = y + float(i)
        parts = [y[:, :3], y[:, 3:]]
        return torch.cat(parts, dim=-1).view(y.size(0), -1), parts


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Block()
        self.tied = nn.Linear(6, 6)
        self.tied.weight = self.block.mix.weight
        self.conv = nn.Conv1d(1, 4, 3, padding=1)

    def forward(self, x: torch.Tensor, scale: float = 2.0) -> dict[str, torch.Tensor]:
        y, parts = self.block(x)
        z = self.conv(self.tied(y).unsqueeze(1)) * scale
        return {"z": z.flatten(1), "first": parts[0]}


def rows(report: fxcount.Report) -> list[tuple[Any, ...]]:
    return [(m.path, m.class_name, m.number, m.params, m.cost.macs, m.cost.flops) for m in report.by_module()]


def loaded(script: Any) -> Any:
    file = io.BytesIO()
    torch.jit.save(script, file)
    file.seek(0)
    return torch.jit.load(file)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return Net().eval()


@pytest.mark.parametrize("ways", [(torch.jit.script,), (torch.jit.script, loaded)], ids=["scripted", "loaded"])
@pytest.mark.parametrize("hint", [2, 5])
def test_scripted(net: nn.Module, ways: tuple[Callable[[Any], Any], ...], hint: int) -> None:
    script: Any = net
    for way in ways:
        script = way(script)
    report, plain = (fxcount.analyze(m, "B,6", hints={"B": hint}) for m in (script, net))
    assert rows(report) == rows(plain)
    assert str(report.macs) == "144*B"  # two linears of 6*6, and 6 positions * 4 channels * 3 taps of the convolution
    assert [str(a) for a in report.assumptions] == [str(a) for a in plain.assumptions] == [["B <= 3"], ["B >= 4"]][hint > 3]
    assert report.assumptions[0].where == plain.assumptions[0].where
    assert {op.source for op in report.ops if op.module in ("", "block")} <= {op.source for op in plain.ops} | {""}
    assert [r.names for r in report.params.rows("shared")] == [("block.mix.weight", "tied.weight")]


def test_traced(net: nn.Module) -> None:
    script = torch.jit.trace(net, torch.zeros(5, 6), strict=False)
    report, plain = fxcount.analyze(script, "B,6"), fxcount.analyze(net, "B,6", hints={"B": 5})
    assert (report.macs, report.flops) == (plain.macs, plain.flops)
    assert [r[:3] for r in rows(report)] == [r[:3] for r in rows(plain)]
    assert report.assumptions == []  # tracing left no decision in the graph


def test_frozen(net: nn.Module) -> None:
    """Freezing makes constants of the parameters and folds the norm away."""
    report = fxcount.analyze(torch.jit.freeze(torch.jit.script(net)), "B,6")
    assert report.macs == fxcount.analyze(net, "B,6").macs
    assert report.params.total == 0


def test_script_inside_a_model(net: nn.Module) -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.script = torch.jit.script(net)
            self.head = nn.Linear(24, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.script(x)["z"])  # type: ignore[no-any-return]

    outer = Outer()
    script = outer.script
    report = fxcount.analyze(outer, "B,6")
    assert outer.script is script
    assert report.macs == fxcount.analyze(net, "B,6").macs + 24 * 5 * report.macs.free_symbols.pop()
    assert ("script.block.norm", "BatchNorm1d") in [(m.path, m.class_name) for m in report.by_module()]
    assert {n for n, _ in outer.named_parameters(remove_duplicate=False)} == {
        n for r in report.params.all_rows for n in r.names
    }  # fmt: skip


class Named(nn.Module):
    """Inputs by name, one of them with a default."""

    def forward(self, left: torch.Tensor, right: torch.Tensor, scale: float = 2.0) -> torch.Tensor:
        return left @ right * scale


@pytest.mark.parametrize("ways", [(torch.jit.script,), (torch.jit.script, loaded)], ids=["scripted", "loaded"])
def test_inputs_have_the_names_of_the_script(ways: tuple[Callable[[Any], Any], ...]) -> None:
    script: Any = Named()
    for way in ways:
        script = way(script)
    report = fxcount.analyze(script, "B,5", right="5,3")
    assert [v.name for v in report.trace.inputs] == ["left", "right"]
    assert str(report.macs) == "15*B"
    with pytest.raises(fxcount.InputError, match=r"forward\(left, right, scale=2.0\) .* missing a required argument: 'right'"):
        fxcount.analyze(script, "B,5")


def test_the_graph_computes_the_script(net: nn.Module) -> None:
    script = torch.jit.script(net)
    x = torch.randn(7, 6)
    report = fxcount.analyze(script, "B,6", hints={"B": 5})
    found, expected = report.graph_module(x), script(x)
    for key in expected:
        torch.testing.assert_close(found[key], expected[key])


@pytest.mark.parametrize("name", ["mobilenet_v3_small"])
def test_real_models(name: str) -> None:
    case = CASES[name]
    model = case.on("cpu")
    plain = case.analyse(model)
    script = torch.jit.script(model)
    report = fxcount.analyze(script, *case.args)
    assert rows(report) == rows(plain)
    assert report.params.total == plain.params.total
    assert report.memory.peak == plain.memory.peak


def test_a_node_without_meaning_names_its_line() -> None:
    class Forks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.jit.wait(torch.jit.fork(torch.relu, x))  # type: ignore[no-any-return]

    with pytest.raises(fxcount.UnsupportedError, match="prim::fork") as caught:
        fxcount.analyze(torch.jit.script(Forks()), "B,6", frontend="trace")
    assert __file__ in caught.value.where


def test_parameters_tied_across_script_children_stay_one() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
            self.b.weight = self.a.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x))

    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(Pair()), buffer)
    buffer.seek(0)
    loaded = torch.jit.load(buffer)

    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = loaded.a, loaded.b

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(x))

    params = fxcount.analyze(Holder(), "B,3").params
    assert params.total == 9 + 3 + 3
    (group,) = params.groups
    assert (group.kind, group.names) == ("same parameter", ("first.weight", "second.weight"))
