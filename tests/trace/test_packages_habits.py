"""Habits of packages outside the zoos, in the smallest nets that have them."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import fxcount
from fxcount.ops.core.fact import probe
from fxcount.symbolic import floordiv, symbol


class Net(nn.Module):
    """A layer of 3 features, and what the forward does."""

    def __init__(self, forward: Any, **state: Any) -> None:
        super().__init__()
        self.layer, self.does = nn.Linear(3, 3), forward
        for name, value in state.items():
            setattr(self, name, value)

    def forward(self, *inputs: Any) -> Any:
        return self.does(self, *inputs)


def counted(model: nn.Module, *inputs: torch.Tensor) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(*inputs)
    return int(counter.get_total_flops()) // 2


# -- data that the forward makes itself are known wherever the model is ------------------------------------------------
def to_the_device(net: Any, x: torch.Tensor) -> torch.Tensor:
    for _ in range(int(torch.linspace(0, 4, 5).to(x.device).sum())):
        x = net.layer(x)
    return x


def to_the_named_device(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.layer(x) if torch.arange(3).to(str(x.device))[2] == 2 else x


def like_another(net: Any, x: torch.Tensor) -> torch.Tensor:
    steps = torch.arange(1, 3, device=x.device)
    for _ in range(int(steps.to(x).sum()) + int(steps.type_as(x)[0])):
        x = net.layer(x)
    return x


@pytest.mark.parametrize("does", [to_the_device, to_the_named_device, like_another])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_tables_of_the_forward_are_known(does: Any, device: str) -> None:
    report = fxcount.analyze(Net(does).to(device), "B,3")
    assert not report.assumptions
    assert all(report.at(B=n).macs == counted(Net(does), torch.zeros(n, 3)) for n in (5, 11))


def test_data_of_the_input_stay_unknown() -> None:
    def does(net: Any, x: torch.Tensor) -> torch.Tensor:
        return net.layer(x) if x.to(torch.zeros(2))[0, 0] > 0 else x

    with pytest.raises(fxcount.DataDependentError):
        fxcount.analyze(Net(does).to("meta"), "B,3")


class Remembers(nn.Module):
    """Whether it has been set up is a buffer of its own, as the codebooks of quantisers remember it."""

    def __init__(self, matters: bool) -> None:
        super().__init__()
        self.layer, self.matters = nn.Linear(3, 3), matters
        self.register_buffer("ready", torch.tensor(True))
        self.register_buffer("steps", torch.tensor(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.ready:
            return self.layer(x) if self.matters else x[:0]
        if self.ready.item() and bool(self.ready):
            return self.layer(self.layer(x))
        return self.layer(self.layer(x))


def test_state_of_a_model_on_meta_is_data_that_nobody_knows() -> None:
    assert fxcount.analyze(Remembers(True), "B,3").at(B=5).macs == 90  # its data are there
    on_meta = Remembers(True).to("meta")
    with pytest.raises(fxcount.DataDependentError, match="branch"):
        fxcount.analyze(on_meta, "B,3")
    assert [fxcount.analyze(on_meta, "B,3", hints={"branch": way}).at(B=5).macs for way in (0, 1)] == [45, 90]


# -- autocast of the device the model is on ----------------------------------------------------------------------------
@pytest.mark.parametrize("options", [{"enabled": False}, {"dtype": torch.bfloat16}, {}])
def test_autocast_of_meta_is_that_of_the_cpu(options: Any) -> None:
    def does(net: Any, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, **options):
            return net.layer(x)

    on_meta, on_cpu = (fxcount.analyze(Net(does).to(device), "B,3") for device in ("meta", "cpu"))
    assert on_meta.macs == on_cpu.macs
    assert on_meta.trace.values_out()[0].fact.dtype is Net(does)(torch.zeros(2, 3)).dtype
    with pytest.raises(RuntimeError):  # and torch is as it was
        torch.autocast("meta")


# -- torch.equal of what is computed alike -----------------------------------------------------------------------------
def branch(net: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return net.layer(a) if torch.equal(a, b) else net.layer(a) + net.layer(b)


def alike(net: Any, x: torch.Tensor) -> torch.Tensor:
    return branch(net, x.div(2.0) - x.mean(0), x.div(2.0) - x.mean(0))


def the_same(net: Any, x: torch.Tensor) -> torch.Tensor:
    return branch(net, x, x)


def of_other_numbers(net: Any, x: torch.Tensor) -> torch.Tensor:
    return branch(net, x.div(2.0), x.div(3.0))


def by_other_ops(net: Any, x: torch.Tensor) -> torch.Tensor:
    return branch(net, x.exp(), x.sin())


def drawn(net: Any, x: torch.Tensor) -> torch.Tensor:
    return branch(net, torch.rand_like(x), torch.rand_like(x))


def written_to(net: Any, x: torch.Tensor) -> torch.Tensor:
    a, b = x.exp(), x.exp()
    a.add_(1)
    return branch(net, a, b)


@pytest.mark.parametrize("does", [alike, the_same])
def test_equal_of_what_is_computed_alike(does: Any) -> None:
    report = fxcount.analyze(Net(does), "B,3")
    assert all(report.at(B=n).macs == counted(Net(does), torch.randn(n, 3)) for n in (5, 11))


@pytest.mark.parametrize("does", [of_other_numbers, by_other_ops, drawn, written_to])
def test_equal_of_others_is_a_decision_on_data(does: Any) -> None:
    with pytest.raises(fxcount.DataDependentError, match="branch"):
        fxcount.analyze(Net(does), "B,3")
    ways = [fxcount.analyze(Net(does), "B,3", hints={"branch": way}).at(B=5).macs for way in (0, 1)]
    assert ways == [counted(Net(does), torch.randn(5, 3)), 45]  # random data differ; else one layer of 9 macs for 5 rows


# -- orders of contractions remembered under texts of shapes -----------------------------------------------------------
_PLUGIN = """
CACHE = OPT_EINSUM_PATH_CACHE = {}
def cached_einsum(equation, *args):
    import torch
    shapes = [tl.shape(arg) for arg in args]
    key = equation + "," + ",".join(f"{s}" for s in shapes)
    if key not in OPT_EINSUM_PATH_CACHE:
        OPT_EINSUM_PATH_CACHE[key] = shapes
    assert [tuple(s) for s in OPT_EINSUM_PATH_CACHE[key]] == [tuple(s) for s in shapes]
    return torch.einsum(equation, *args)
"""


def test_shapes_as_keys_of_a_table_of_contractions_keep_their_symbols(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin: Any = types.ModuleType("tensorly.plugins")
    exec(_PLUGIN, vars(plugin))
    plugin.tl = types.SimpleNamespace(shape=lambda x: tuple(x.shape))
    monkeypatch.setitem(sys.modules, "tensorly.plugins", plugin)

    def does(net: Any, x: torch.Tensor) -> torch.Tensor:
        y = plugin.cached_einsum("bi,io->bo", x, net.layer.weight)
        return plugin.cached_einsum("bi,io->bo", torch.cat([x, y]), net.layer.weight)  # type: ignore[no-any-return]

    library = plugin.tl
    report = fxcount.analyze(Net(does), "B,3")
    assert not report.assumptions
    assert plugin.CACHE == {}  # nothing of the trace stays in a table of the library's
    assert plugin.tl is library
    assert all(report.at(B=n).macs == counted(Net(does), torch.zeros(n, 3)) for n in (5, 11))


# -- layouts of formulas that no large size fits -----------------------------------------------------------------------
def test_the_order_of_strides_is_told_where_large_sizes_divide_by_zero() -> None:
    h = symbol("H")
    size = floordiv(64, floordiv(200, h), nonzero=True)
    assert probe(size) >= 1
