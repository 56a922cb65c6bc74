"""Rules for classes of modules: a call is one op, its forward is not looked into, and all else is as with any module."""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

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


# -- layers that are kernels, in all that is asked of a model -------------------------------------------------------------
class Scan(torch.autograd.Function):
    """A kernel with a backward of its own, as state-space layers have."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, decay: torch.Tensor) -> torch.Tensor:
        assert x.data_ptr() > 0
        ctx.save_for_backward(x, decay)
        return x * decay

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, decay = ctx.saved_tensors
        return grad * decay, (grad * x).sum((0, 1))


class Mixer(nn.Module):
    """Two projections and a scan over S steps of a state of N numbers for each of D channels."""

    def __init__(self, width: int = 7, state: int = 3) -> None:
        super().__init__()
        self.width, self.state = width, state
        self.project = nn.Linear(width, 2 * width, bias=False)
        self.decay, self.skip = nn.Parameter(torch.ones(width)), nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        y, z = self.project(x).chunk(2, -1)
        return Scan.apply(y, self.decay) + self.skip * z  # type: ignore[no-any-return]


def _mixed(y: Any, layer: ModuleFact, x: Any, mask: Any = None) -> Work:
    macs = x.numel * (2 * layer.width + 3 * layer.state)
    return Work(macs=macs, flops=2 * macs)


def _twice(y: Any, layer: ModuleFact, x: Any, mask: Any = None) -> Work:
    return Work(macs=2 * x.numel * (2 * layer.width + 3 * layer.state))


MIXER = fxcount.rule(Mixer, shape=lambda scope, layer, x, mask=None: x.new(x.shape), cost=_mixed, backward=_twice)
UNKNOWN = fxcount.rule(Mixer, shape=lambda scope, layer, x, mask=None: x.new(x.shape), cost=_mixed)
EACH = 7 * (2 * 7 + 3 * 3)
"""Macs of one token in one mixer."""


class Language(nn.Module):
    """One mixer twice, another that shares its projection, and a head tied to the table."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(11, 7), nn.Linear(7, 11, bias=False)
        self.twice, self.once = Mixer(), Mixer()
        self.once.project.weight = self.twice.project.weight
        self.head.weight = self.table.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.once(self.twice(self.twice(self.table(ids)))))  # type: ignore[no-any-return]


def test_a_layer_called_twice_with_shared_parameters() -> None:
    report = fxcount.analyze(Language(), "i64[B,S]", rules=[MIXER])
    assert str(report.macs) == f"{3 * EACH + 7 * 11}*B*S"
    assert report.at(B=2, S=5).macs == 10 * (3 * EACH + 77)
    assert set(report.symbols) == {"B", "S"}
    assert report.params.total == 77 + 14 * 7 + 4 * 7
    assert report.params.shared == 77 + 98
    assert report.params.dead == 0
    assert [g.kind for g in report.params.groups].count("same parameter") == 2
    assert report.at(B=2, S=5) == fxcount.load(report.to_json()).at(B=2, S=5)


def _step(rule: Any) -> fxcount.TrainingReport:
    return fxcount.training_step(Language(), "i64[B,S]", rules=[rule], optimizer="adamw")


def test_a_gradient_passes_in_a_training_step() -> None:
    """Every parameter gets one, and the states of an optimizer: as many bytes as the layer itself has, followed in torch."""
    step, plain = _step(MIXER), fxcount.training_step(Language(), "i64[B,S]", optimizer="adamw")
    assert step.gradient_bytes == plain.gradient_bytes == 4 * (77 + 98 + 28)
    assert step.optimizer_bytes == plain.optimizer_bytes
    assert step.params.dead == 0
    assert str(step.forward_flops) == f"{2 * (3 * EACH + 77)}*B*S"
    assert str(step.backward_flops) == f"{2 * (2 * 3 * EACH + 2 * 77)}*B*S"  # the head: for its weight, and for its input
    assert step.uncounted == ()
    backward = [c.index for c in step.trace.calls if c.op.name == "Mixer_backward"]
    assert [step.trace.calls[step.step.backward_of[i]].op.name for i in backward] == ["Mixer"] * 3
    assert [m.path for i in backward for m in [step.trace.modules[step.trace.calls[i].module]]] == ["once", "twice", "twice"]
    rows = {row.path: row for row in step.by_module()}
    assert str(rows["twice"].backward_flops) == f"{2 * 2 * 2 * EACH}*B*S"
    assert str(rows["once"].saved_bytes) == "28*B*S"  # its input
    assert any("what Mixer saves" in note for note in step.notes)
    assert fxcount.load(step.to_json()) == step


def test_a_backward_that_nobody_counts_is_not_zero_without_a_word() -> None:
    step = _step(UNKNOWN)
    assert [c.op.name for c in step.uncounted] == ["Mixer_backward"] * 3
    assert "FLOPs are lower bounds: 3 calls have no cost rule" in str(step)
    assert step.gradient_bytes == _step(MIXER).gradient_bytes


def test_frozen_layers_and_inputs_get_no_gradient() -> None:
    model = Language()
    model.requires_grad_(False)
    model.once.skip.requires_grad_(True)
    step = fxcount.training_step(model, "i64[B,S]", rules=[MIXER])
    assert step.gradient_bytes == 4 * 7
    assert [c.op.name for c in step.trace.calls].count("Mixer_backward") == 1


def test_a_checkpoint_runs_the_layer_again() -> None:
    class Again(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mixer = Mixer()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.utils.checkpoint.checkpoint(self.mixer, x, use_reentrant=False)  # type: ignore[no-any-return]

    step = fxcount.training_step(Again(), "B,S,7", rules=[MIXER])
    names = [c.op.name for c in step.trace.calls]
    assert (names.count("Mixer"), names.count("Mixer_backward")) == (2, 1)
    assert str(step.backward_flops) == f"{2 * (1 + 2) * EACH}*B*S"


def test_an_offset_is_asked_for_in_a_step() -> None:
    """``data_ptr()`` of a part of a tensor, in a custom function: it is worked out on no tensor of the step's."""
    step = fxcount.training_step(nn.Sequential(nn.Linear(3, 7), Mixer()), "B,5,3")
    assert step.gradient_bytes == 4 * (28 + 98 + 14)


class Several(nn.Module):
    """A kernel whose results lie in a dict and a named tuple."""

    def forward(self, x: torch.Tensor) -> Any:
        raise AssertionError("the forward is not looked into")


class Found(NamedTuple):
    out: Any
    rest: Any


def test_results_in_dicts_and_named_tuples() -> None:
    class Uses(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel, self.first, self.second = Several(), nn.Linear(3, 2), nn.Linear(5, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found = self.kernel(x)
            return self.first(found.out) + self.second(found.rest["wide"])  # type: ignore[no-any-return]

    rule = fxcount.rule(
        Several, shape=lambda scope, layer, x: Found(x.new(x.shape), {"wide": x.new((x.shape[0], 5)), "count": 3}),
        cost=lambda y, layer, x: Work(macs=x.numel), backward=lambda y, layer, x: Work(macs=y[1]["wide"].numel),
    )  # fmt: skip
    report = fxcount.analyze(Uses(), "B,3", rules=[rule])
    assert str(report.macs) == f"{3 + 6 + 10}*B"
    assert fxcount.load(report.to_json()) == report
    given = torch.ones(4, 3, requires_grad=True)
    step = fxcount.training_step(Uses(), given, rules=[rule])
    assert step.backward_flops == 2 * 4 * (5 + 2 * (6 + 10))


def test_a_rule_for_a_function_of_torch_is_said_not_to_hold_in_a_step() -> None:
    own = fxcount.rule(torch.relu, shape=lambda scope, x: x, cost=lambda y, x: Work(flops=17 * x.numel))

    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x)

    step = fxcount.training_step(Net(), torch.ones(2, 3, requires_grad=True), rules=[own])
    assert any("not by the rule that was given" in note for note in step.notes)
