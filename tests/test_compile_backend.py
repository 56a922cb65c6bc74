"""``torch.compile`` with fxcount as its backend: a report for each graph, and the model computes what it did."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fxcount

pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "FutureWarning")] + [
    pytest.mark.filterwarnings("ignore:The .grad attribute")  # dynamo's own look at what it resumes with
] + [pytest.mark.usefixtures("fresh_dynamo")]


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(6, 6)
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.mix(x).transpose(1, 2)).transpose(1, 2)


class Net(nn.Module):
    def __init__(self, broken: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(6, 3)
        self.broken = broken

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks[0](x)
        if self.broken:
            torch._dynamo.graph_break()
        return self.head(self.blocks[1](x))  # type: ignore[no-any-return]


@pytest.mark.parametrize("broken", [False, True], ids=["whole", "graph break"])
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_graphs_add_up_to_the_model(broken: bool, dynamic: bool) -> None:
    net, reports = Net(broken).eval(), fxcount.CompileReports()
    x = torch.randn(3, 5, 6)
    found = torch.compile(net, backend=reports, dynamic=dynamic)(x)
    torch.testing.assert_close(found, net(x))
    whole = fxcount.analyze(net, "B,S,6")
    assert len(reports) == 1 + broken
    for values in ({"B": 3, "S": 5}, {"B": 7, "S": 11}) if dynamic else ({"B": 3, "S": 5},):
        by_hint = {3: values["B"], 5: values["S"]}
        parts = [r.at(**{name: by_hint[hint] for name, hint in r.symbols.items()}) for r in reports]
        assert sum(r.macs for r in parts) == whole.at(**values).macs
        assert sum(r.flops for r in parts) == whole.at(**values).flops
    assert all(len(r.symbols) == 2 * dynamic and r.uncounted == () and r.frontend == "graph" for r in reports)
    assert [n for r in reports for p in r.params.all_rows for n in p.names] == [n for n, _ in net.named_parameters()]
    paths = [m.path for r in reports for m in r.by_module() if m.path]
    assert paths == [m.path for m in whole.by_module() if m.path]


def test_another_shape_is_another_report() -> None:
    reports = fxcount.CompileReports()
    compiled = torch.compile(nn.Linear(5, 7), backend=reports)
    compiled(torch.zeros(3, 5))
    compiled(torch.zeros(11, 5))
    first, second = reports[:2]
    assert first.macs == 105
    assert second.at(**dict.fromkeys(second.symbols, 11)).macs == 11 * 35
    assert str(reports).startswith("graph 1 of 2\n")


def test_backend_by_name_collects_into_the_context() -> None:
    with fxcount.CompileReports() as outer:
        torch.compile(nn.Linear(5, 7), backend=fxcount.backend)(torch.zeros(3, 5))
        torch._dynamo.reset()
        with fxcount.CompileReports() as inner:
            torch.compile(nn.Linear(5, 2), backend=fxcount.backend)(torch.zeros(3, 5))
    assert [r.macs for r in outer] == [105]
    assert [r.macs for r in inner] == [30]
    torch._dynamo.reset()
    with pytest.raises(Exception, match="nowhere to put its reports"):
        torch.compile(nn.Linear(5, 7), backend=fxcount.backend)(torch.zeros(3, 5))


def test_gradients_flow_through_the_graph_that_was_counted() -> None:
    net, reports = nn.Linear(5, 7), fxcount.CompileReports()
    torch.compile(net, backend=reports)(torch.ones(3, 5)).sum().backward()
    assert net.weight.grad is not None
    assert torch.equal(net.weight.grad, torch.full((7, 5), 3.0))
    assert torch.is_grad_enabled()
