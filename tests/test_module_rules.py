"""Rules for classes of modules: a call is one op, its forward is not looked into, and all else is as with any module."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.errors import InputError, ShapeError
from fxcount.ops import ModuleFact, Work


class Extension(nn.Module):
    """A layer whose forward is a kernel no tracer can follow: it wants numbers, and memory to read."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.inner, self.outer = inner, outer
        self.weight = nn.Parameter(torch.ones(outer, inner))
        self.norm = nn.LayerNorm(outer)
        self.register_buffer("scale", torch.ones(outer))

    def forward(self, x: torch.Tensor, factor: float = 1.0) -> torch.Tensor:
        address = x.data_ptr()
        assert address > 0, "no memory"
        return torch.from_numpy(x.detach().numpy() @ self.weight.detach().numpy().T * factor)


def _shape(scope: Any, layer: ModuleFact, x: Any, factor: float = 1.0) -> Any:
    if not scope.same(x.shape[-1], layer.inner, "extension: width"):
        raise ShapeError(f"extension: {x.shape[-1]} features, {layer.inner} wanted")
    return x.new((*x.shape[:-1], layer.weight.shape[0]))


def _cost(y: Any, layer: ModuleFact, x: Any, factor: float = 1.0) -> Work:
    macs = y.numel * layer.inner
    return Work(macs=macs, flops=2 * macs + (0 if factor == 1.0 else y.numel))


EXTENSION = fxcount.rule(Extension, shape=_shape, cost=_cost, kind="linear")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Extension(3, 5), Extension(5, 7)
        self.idle = Extension(3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(x=self.first(x).relu(), factor=2.0)


def test_a_call_is_one_op() -> None:
    net = Net()
    forward, before = Extension.forward, dict(vars(Extension))
    report = fxcount.analyze(net, "B,3", rules=[EXTENSION])
    assert str(report.macs) == "50*B"  # 3*5 + 5*7
    assert str(report.flops) == "112*B"  # twice that, 5 comparisons, 7 products with the factor
    assert [call.op.name for call in report.trace.calls] == ["Extension", "relu", "Extension"]
    assert [m.path for m in report.trace.modules] == ["", "first", "second"]
    assert report.trace.values_out()[0].fact.shape[1:] == (7,)
    assert Extension.forward is forward
    assert dict(vars(Extension)) == before
    assert net(torch.ones(2, 3)).shape == (2, 7)
    assert report.at(B=11).macs == 550


def test_parameters_are_used_and_gradients_pass() -> None:
    report = fxcount.analyze(Net(), "B,3", rules=[EXTENSION])
    per_layer = 3 * 5 + 2 * 5, 5 * 7 + 2 * 7, 3 * 5 + 2 * 5
    assert report.params.total == sum(per_layer)
    assert report.params.dead == per_layer[2]
    names = {row.name for row in report.params.rows("dead")}
    assert names == {"idle.weight", "idle.norm.weight", "idle.norm.bias"}


def test_gradients_reach_what_is_before_it() -> None:
    class Behind(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.layer = nn.Linear(2, 3), Extension(3, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(self.before(x))

    report = fxcount.analyze(Behind(), "B,2", rules=[EXTENSION])
    reached = {row.name for row in report.params.rows() if row.gets_gradient}
    assert reached == {"before.weight", "before.bias", "layer.weight", "layer.norm.weight", "layer.norm.bias"}
    stopped = fxcount.rule(Extension, shape=_shape, cost=_cost, differentiable=False)
    assert not any(row.gets_gradient for row in fxcount.analyze(Behind(), "B,2", rules=[stopped]).params.rows())


def test_the_very_class_and_no_subclass() -> None:
    class Doubled(Extension):
        def forward(self, x: torch.Tensor, factor: float = 1.0) -> torch.Tensor:
            return x @ self.weight.T

    class Inherits(nn.Linear):
        pass

    linear = fxcount.rule(Inherits, shape=lambda scope, layer, x: x.new((7,)), cost=lambda y, layer, x: Work(macs=1))
    report = fxcount.analyze(nn.Sequential(Doubled(3, 5)), "B,3", rules=[EXTENSION])
    assert [call.op.name for call in report.trace.calls][-1] == "matmul"
    both = fxcount.analyze(nn.Sequential(nn.Linear(3, 5), Inherits(5, 7)), "B,3", rules=[linear])
    assert [call.op.name for call in both.trace.calls] == ["linear", "Inherits"]
    assert "forward" not in vars(Inherits)


def test_equal_layers_are_asked_once_and_hooks_run() -> None:
    asked: list[ModuleFact] = []

    def shape(scope: Any, layer: ModuleFact, x: Any) -> Any:
        asked.append(layer)
        return _shape(scope, layer, x)

    rule = fxcount.rule(Extension, shape=shape, cost=_cost)
    net = nn.Sequential(Extension(3, 3), Extension(3, 3), Extension(3, 5))
    net[1].register_forward_hook(lambda module, args, result: result.exp())
    report = fxcount.analyze(net, "B,3", rules=[rule])
    assert [layer.outer for layer in asked] == [3, 5]
    assert [call.op.name for call in report.trace.calls] == ["Extension", "Extension", "exp", "Extension"]
    assert asked[0]["norm.weight"].shape == (3,)
    assert asked[0].scale.shape == (3,)
    assert asked[0].training is True
    with pytest.raises(AttributeError, match="Extension has no plain attribute, parameter or buffer 'bias', but training"):
        _ = asked[0].bias


def test_reports_keep_it() -> None:
    net = Net()
    report = fxcount.analyze(net, "B,3", rules=[EXTENSION])
    copied = pickle.loads(pickle.dumps(report))
    assert copied.macs == report.macs
    assert report.verify(n=2)
    loaded = fxcount.load(report.to_graph_json())
    assert str(loaded.macs) == "50*B"
    assert loaded.params.dead == report.params.dead


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((Extension(3, 5),), "given a module, Extension"),
        ((nn.Module,), "nn.Module itself"),
        ((Extension, torch.relu), "functions and classes of modules together"),
        ((3,), "which nothing can call"),
        ((), "needs the callable"),
    ],
)
def test_refuses(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fxcount.rule(*given, shape=_shape, cost=_cost)


def test_a_misfit_is_told_with_its_place() -> None:
    with pytest.raises(ShapeError, match="extension: 4 features, 3 wanted") as raised:
        fxcount.analyze(Net(), "B,4", rules=[EXTENSION])
    assert "first" in str(raised.value)
