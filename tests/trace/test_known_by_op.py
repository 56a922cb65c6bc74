"""What is known of data is known of torch's own functions: an op of the user's is not torch's because it is named alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.ops import REGISTRY


@pytest.fixture(scope="module")
def mine() -> Iterator[Any]:
    """Ops of a library whose names torch has too, each another function: three times the sum, odd positions, the sum of all."""
    with torch.library._scoped_library("mine", "DEF") as library, torch.library._scoped_library("linalg", "DEF") as other:
        library.define("add(Tensor a, Tensor b) -> Tensor")
        library.define("arange(Tensor like) -> Tensor")
        library.define("fill_(Tensor(a!) x, Tensor b) -> Tensor(a!)")
        other.define("det(Tensor a) -> Tensor")
        library.impl("add", lambda a, b: 3 * (a + b), "CPU")
        library.impl("arange", lambda like: torch.arange(like.shape[0]) * 2 + 1, "CPU")
        library.impl("fill_", lambda x, b: x.add_(b), "CPU")
        library.impl("add", lambda a, b: torch.empty_like(a), "Meta")
        library.impl("arange", lambda like: torch.empty_like(like), "Meta")
        library.impl("fill_", lambda x, b: x, "Meta")
        other.impl("det", lambda a: torch.empty_like(a), "Meta")
        yield torch.ops.mine


Model = Callable[[Any, torch.Tensor], torch.Tensor]
MODELS: dict[str, Model] = {
    "add": lambda ops, p: ops.add(p, p),
    "add after a write": lambda ops, p: ops.add(p.add_(1), p),
    "add of fills": lambda ops, p: ops.add(torch.full_like(p, 2), torch.ones_like(p)),
    "arange": lambda ops, p: ops.arange(p),
    "sum of its arange": lambda ops, p: ops.arange(p) + ops.add(p, p),
}


class Net(nn.Module):
    """Makes as many numbers as the last element of what an op of the user's makes of positions."""

    def __init__(self, ops: Any, made: Model) -> None:
        super().__init__()
        self.ops, self.made = ops, made

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        positions = torch.arange(x.shape[0])
        return torch.zeros(int(self.made(self.ops, positions)[-1]))


def _rules(ops: Any) -> list[Any]:
    return [
        fxcount.rule(ops.add.default, ops.add, shape=lambda scope, a, b: a, zero="mine", follows="mapped"),
        fxcount.rule(ops.arange.default, ops.arange, shape=lambda scope, like: like, zero="mine"),
    ]


@pytest.mark.parametrize("ruled", [False, True], ids=["by its fake", "by a rule"])
@pytest.mark.parametrize("name", MODELS)
def test_a_users_op_is_asked_itself(mine: Any, name: str, ruled: bool) -> None:
    """The size is what the model makes when it is run, at the size asked for."""
    net = Net(mine, MODELS[name])
    rules = _rules(mine) if ruled else []
    for size in (5, 7, 11):
        expected = net(torch.zeros(size, 2)).shape
        report = fxcount.analyze(net, "S,2", hints={"S": size}, rules=rules)
        found = report.trace.values_out()[0].fact.shape
        at = tuple(n if isinstance(n, int) else n.subs({"S": size}) for n in found)
        assert at == tuple(expected)


def test_an_op_in_a_namespace_that_reads_like_a_name_of_torchs(mine: Any) -> None:
    """``linalg::det`` of a library is not ``aten::linalg_det``."""
    assert REGISTRY.get(torch.ops.linalg.det) is None
    assert REGISTRY.get(torch.ops.linalg.det.default) is None
    assert REGISTRY[torch.ops.aten.linalg_det.default] is REGISTRY[torch.linalg.det]

    class Two(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.linalg.det(x)

    report = fxcount.analyze(Two(), "3,3")  # torch's would give one number
    assert report.trace.values_out()[0].fact.shape == (3, 3)


def test_torchs_own_are_known_by_every_way_in() -> None:
    """Methods, functions, operators, overloads and variants in place of torch's are followed: the sizes stay formulas."""

    class Ways(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            p = torch.arange(x.shape[0])
            aten = torch.ops.aten
            table = torch.tensor([1, x.shape[0]])
            ways = [
                p + 1, 1 + p, p.add(1), torch.add(p, 1), aten.add.Tensor(p, 1), 0 - (-p - 1), p.clone() + 1,
                table + 0, 0 + table, (table.clone() - 1).add_(1), aten.sub.Tensor(table, 0), 0 - (-table),
                table.clone().mul_(1),
            ]  # fmt: skip
            return [torch.zeros(way[-1].item()) for way in ways]

    report = fxcount.analyze(Ways(), "S,2", hints={"S": 7})
    assert {str(v.fact.shape[0]) for v in report.trace.values_out()} == {"S"}
