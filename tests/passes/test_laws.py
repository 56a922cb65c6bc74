"""Laws that hold for every report: parts add up, numbers are the formulas' values, and analysing changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.passes import CallCost
from fxcount.symbolic import evaluate
from tests.zoo import CASES, analysed

# Swin is not among them: where a dimension has only one window, a reshape that copies at the hint is a view, and its
# read and written bytes with it.
NAMES = ["resnet18", "mobilenet_v3_small", "timm_ghostnet", "timm_mobilevit", "llama", "t5"]
QUANTITIES = ["macs", "flops", "transcendentals", "read_bytes", "write_bytes"]


def added(parts: list[CallCost], quantity: str) -> int:
    return sum(getattr(p, quantity) for p in parts)


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("name", NAMES)
def test_parts_add_up(name: str, quantity: str) -> None:
    report = analysed(name).at(**CASES[name].sizes[0])
    total = getattr(report, quantity)
    assert added([r.cost for r in report.ops], quantity) == total
    assert added([r.cost for r in report.by_op()], quantity) == total
    assert added([r.cost for r in report.by_module(0)], quantity) == total
    assert sum(r.calls for r in report.by_op()) == len(report.ops)


@pytest.mark.parametrize("name", NAMES)
def test_symbols_give_what_numbers_give(name: str) -> None:
    """An analysis of that very size, without a symbol, agrees with the formulas evaluated there."""
    case, values = CASES[name], CASES[name].sizes[0]

    def concrete(spec: Any) -> Any:
        if not isinstance(spec, str):
            return spec
        dtype, _, sizes = spec.rpartition("[")
        numbers = ",".join(str(values.get(s.strip("]"), s.strip("]"))) for s in sizes.split(","))
        return f"{dtype}[{numbers}]" if dtype else numbers

    numeric = fxcount.analyze(
        case.on("meta"), *map(concrete, case.args), **{k: concrete(v) for k, v in case.kwargs.items()}
    )
    symbolic = analysed(name).at(**values)
    for quantity in QUANTITIES:
        assert getattr(numeric, quantity) == getattr(symbolic, quantity), quantity
    assert numeric.memory.peak == symbolic.memory.peak
    assert numeric.params.total == symbolic.params.total
    assert numeric.symbols == {}


@pytest.mark.parametrize("name", ["resnet18", "llama"])
def test_a_second_analysis_finds_the_same(name: str) -> None:
    first, second = (CASES[name].analyse().to_dict() for _ in range(2))
    assert first == second


def test_equal_hints_are_not_equal_sizes() -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x.mT @ y

    report = fxcount.analyze(Two(), "B,5,H", "B,5,W", hints={"H": 11, "W": 11, "B": 11})
    assert report.assumptions == []
    assert report.at(B=2, H=3, W=7).macs == 2 * 5 * 3 * 7


def test_bytes_of_each_op() -> None:
    report = fxcount.analyze(nn.Linear(3, 5), "f32[B,3]")
    (row,) = report.ops
    assert evaluate(row.cost.read_bytes, {"B": 7}) == 4 * (7 * 3 + 5 * 3 + 5)
    assert evaluate(row.cost.write_bytes, {"B": 7}) == 4 * 7 * 5


class Shared(nn.Module):
    """One weight under two names, a frozen one, a dead one, a view of the first, buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(7, 7, bias=False)
        self.b = nn.Linear(7, 7, bias=False)
        self.b.weight = self.a.weight
        self.view = nn.Parameter(self.a.weight.data[:2])
        self.cold = nn.Parameter(torch.zeros(11), requires_grad=False)
        self.dead = nn.Linear(3, 5)
        self.register_buffer("table", torch.zeros(13))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(x)) @ self.view.mT + self.cold.sum()


def test_parameters_are_counted_by_storage() -> None:
    p = fxcount.analyze(Shared(), "B,7").params
    assert p.total == 49 + 11 + 3 * 5 + 5  # the view lies inside the shared weight
    assert (p.frozen, p.shared, p.dead) == (11, 49, 20)
    assert p.trainable == p.total - 11
    assert p.bytes == 4 * p.total
    assert (p.buffers, p.buffer_bytes) == (13, 52)
    view, tied = p.rows("shared")
    assert (tied.names, view.names) == (("a.weight", "b.weight"), ("view",))
    assert (tied.uses, view.uses) == (2, 1)
    assert {r.reason for r in p.rows("dead")} == {"module dead is never called"}


def test_unknown_ops_are_listed_and_refused_when_strict() -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.fxcount_tests.odd(x) @ x.mT

    library = torch.library.Library("fxcount_tests", "DEF")
    library.define("odd(Tensor x) -> Tensor")
    torch.library.register_fake("fxcount_tests::odd", torch.empty_like, lib=library)
    report = fxcount.analyze(Odd(), "B,5")
    assert [c.op.name for c in report.uncounted] == ["odd.default"] or [c.op.name for c in report.uncounted] == ["odd"]
    assert "lower bounds" in str(report)
    assert report.at(B=3).macs == 45
    with pytest.raises(fxcount.UncountedError, match="odd"):
        fxcount.analyze(Odd(), "B,5", strict=True)
