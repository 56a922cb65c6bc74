"""An analysis leaves the model, torch and Python's state as it found them, after success and after every kind of error."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fxcount
from fxcount.trace.tracer.standin import StandIn


class Busy(nn.Module):
    """Does to itself, in forward, what models do: stores tensors, counts, appends, draws, adds modules and hooks."""

    def __init__(self, ending: str) -> None:
        super().__init__()
        self.ending = ending
        self.conv = nn.Conv2d(3, 5, 3)
        self.norm = nn.BatchNorm2d(5)
        self.drop = nn.Dropout(0.3)
        self.seen: list[Any] = [17]
        self.cache: dict[str, Any] = {"old": 19}
        self.kept = None
        self.calls = 0
        self.register_buffer("steps", torch.tensor(23))
        self.register_buffer("table", torch.arange(29.0))
        self.names = {"first"}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        y = self.drop(self.norm(self.conv(x)))
        self.kept = y
        self.seen.append(y)
        self.cache["new"] = y
        self.names.add("second")
        self.steps += 1
        self.table = self.table * 2
        self.table.mul_(3)
        self.late = nn.Parameter(torch.zeros(3))
        self.add_module("extra", nn.Linear(2, 2))
        self.conv.register_forward_hook(lambda *_: None)
        self.conv.weight.requires_grad_(False)
        self.eval()
        random.random()
        np.random.rand()
        torch.rand(3)
        if self.ending == "raise":
            raise KeyError("in the middle")
        if self.ending == "data":
            return y if y.sum() > 0 else -y
        if self.ending == "shape":
            return y @ x.flatten()
        if self.ending == "interrupt":
            raise KeyboardInterrupt
        if self.ending == "unsupported":
            y.clone().set_()  # what follows is for torch.export, which is asked next
            return y if y.sum() > 0 else x
        return y


ENDINGS: dict[str, type[BaseException] | None] = {
    "return": None, "raise": KeyError, "data": fxcount.DataDependentError, "shape": fxcount.ShapeError,
    "interrupt": KeyboardInterrupt, "unsupported": fxcount.UnsupportedError,
}  # fmt: skip


@contextmanager
def ends_with(kind: type[BaseException] | None) -> Iterator[None]:
    if kind is None:
        yield
    else:
        with pytest.raises(kind):
            yield


def _frozen(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return id(value), value._version, value.requires_grad, value.grad, value.tolist()
    if isinstance(value, dict):
        return [(k, _frozen(v)) for k, v in value.items()]
    if isinstance(value, (list, set)):
        return [_frozen(v) for v in value]
    return value if isinstance(value, (int, float, str, bool, type(None))) else id(value)


def state_of(model: nn.Module) -> dict[str, Any]:
    """Everything in every module's attributes, by its place."""
    return {f"{path}.{k}": _frozen(v) for path, m in model.named_modules() for k, v in vars(m).items()}


def state_of_torch() -> Any:
    modules = (torch.nn.functional, torch.functional, torch._tensor, torch.nn.init)
    checks = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    return [
        nn.Module.__call__, torch.vmap, torch.compiler.is_compiling(), getattr(torch.compiler, "is_exporting", bool)(),
        torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.get_default_dtype(), torch.get_default_device(),
        torch.backends.mha.get_fastpath_enabled(), torch._C._len_torch_function_stack(), gc.isenabled(),
        *[vars(m).get(c) for m in modules for c in checks],
        *[vars(torch.Tensor)[name] for name in sorted(vars(torch.Tensor))],
    ]  # fmt: skip


def state_of_chance() -> Any:
    kind, keys, *rest = np.random.get_state()
    return random.getstate(), torch.get_rng_state().tolist(), kind, keys.tolist(), rest


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("ending", "kind"), ENDINGS.items(), ids=ENDINGS)
def test_the_model_is_left_as_found(ending: str, kind: type[BaseException] | None, training: bool) -> None:
    model = Busy(ending).train(training)
    model.conv.weight.grad = torch.ones_like(model.conv.weight)
    model.norm.eval()
    before = state_of(model)
    with ends_with(kind):
        fxcount.analyze(model, "B,3,H,W")
    after = state_of(model)
    assert {k: v for k, v in after.items() if v != before.get(k)} == {}
    assert list(after) == list(before)


@pytest.mark.parametrize(("ending", "kind"), ENDINGS.items(), ids=ENDINGS)
def test_torch_and_chance_are_left_as_found(ending: str, kind: type[BaseException] | None) -> None:
    model = Busy(ending)
    torch_before, chance_before = state_of_torch(), state_of_chance()
    with ends_with(kind):
        fxcount.analyze(model, "B,3,H,W")
    assert state_of_torch() == torch_before
    assert state_of_chance() == chance_before


def test_after_an_error_the_model_still_runs_and_is_analysed() -> None:
    model = Busy("shape").eval()
    with pytest.raises(fxcount.ShapeError):
        fxcount.analyze(model, "B,3,H,W")
    model.ending = "return"
    assert model(torch.zeros(1, 3, 5, 7)).shape == (1, 5, 3, 5)
    assert str(fxcount.analyze(nn.Linear(5, 7), "B,5").macs) == "35*B"


@pytest.mark.parametrize("where", ["before", "inside"])
def test_modes_of_the_caller_go_on(where: str) -> None:
    """``no_grad`` and autocast around the analysis hold inside and after it; those in the model end with it."""

    class Modes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if where == "inside":
                with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                    raise KeyError
            assert not torch.is_grad_enabled()
            return x

    if where == "inside":
        with pytest.raises(KeyError):
            fxcount.analyze(Modes(), "B,3")
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")
    else:
        with torch.no_grad():
            fxcount.analyze(Modes(), "B,3")
            assert not torch.is_grad_enabled()


def test_running_statistics_do_not_move() -> None:
    """Torch's own training step moves them; an analysis in training mode does not."""
    model = nn.BatchNorm2d(3).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    fxcount.analyze(model, "B,3,H,W")
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def stand_ins_alive() -> int:
    gc.collect()
    return sum(type(o) is StandIn for o in gc.get_objects())


class Keeps(nn.Module):
    """Puts its results where they stay: an attribute, a global list, a closure."""

    def __init__(self, where: list[Any]) -> None:
        super().__init__()
        self.where = where
        self.linear = nn.Linear(5, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x)
        self.last = y
        return y.relu()


def test_no_stand_in_outlives_the_analysis() -> None:
    """Neither the report nor the model nor the tracer holds one, on any path to the results."""
    before = stand_ins_alive()
    model = Keeps([])
    report = fxcount.analyze(model, "B,5")
    assert report.to_dict()
    assert report.graph_module
    assert str(report)
    assert stand_ins_alive() == before


@pytest.mark.parametrize("ending", ["raise", "data", "shape"])
def test_no_stand_in_outlives_an_error(ending: str) -> None:
    before = stand_ins_alive()
    with ends_with(ENDINGS[ending]):
        fxcount.analyze(Busy(ending), "B,3,H,W")
    assert stand_ins_alive() == before


def test_results_die_where_the_model_drops_them() -> None:
    """Nothing in the tracer holds what the model itself no longer does, not even for one op."""
    seen: list[bool] = []

    class Watches(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x * 2
            watch = weakref.ref(y)
            y = y + 1
            seen.append(watch() is None)
            watch = weakref.ref(y)
            del y
            seen.append(watch() is None)
            return x

    fxcount.analyze(Watches(), "B,5")
    assert seen == [True, True]


def test_a_kept_stand_in_is_taken_back() -> None:
    """What the model smuggles out is gone from where it put it; one that someone still holds says what it is."""
    smuggled: list[torch.Tensor] = []

    class Leaks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            smuggled.append(x * 2)
            return x

    def later() -> Iterator[torch.Tensor]:
        yield smuggled[0]

    class Hides(Leaks):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = super().forward(x)
            kept.append(next(later()))
            hidden.send(kept.pop())
            return y

    def holds() -> Generator[None, Any, None]:
        found = yield
        while True:
            found = yield found

    kept: list[torch.Tensor] = []
    hidden: Generator[Any, Any, None] = holds()
    next(hidden)
    fxcount.analyze(Hides(), "B,5")
    assert smuggled == []
    with pytest.raises(fxcount.UnsupportedError, match="kept"):
        hidden.gi_frame.f_locals["found"] + 1


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_analysis_allocates_no_weights_and_reads_no_data(device: str) -> None:
    """Inputs given as tensors of not-a-numbers and a model on meta do as well as any."""
    with torch.device(device):
        model = nn.Sequential(nn.Linear(5, 7), nn.ReLU()).eval()
    x = torch.full((3, 5), float("nan"))
    x = x.to(device)
    version = x._version
    report = fxcount.analyze(model, x)
    assert report.macs == 3 * 5 * 7
    assert x._version == version
    assert {p.device.type for p in model.parameters()} == {device}


def _hooked(model: nn.Module, called: list[str]) -> Callable[[], None]:
    handle = model.register_forward_hook(lambda *_: called.append("after"))
    first = model.register_forward_pre_hook(lambda *_: called.append("before"))
    return lambda: (handle.remove(), first.remove())  # type: ignore[return-value]


def test_the_users_hooks_run_as_in_a_call_and_stay() -> None:
    model, called = nn.Linear(5, 7), list[str]()
    remove = _hooked(model, called)
    fxcount.analyze(model, "B,5")
    assert called == ["before", "after"]
    model(torch.zeros(1, 5))
    assert called == ["before", "after"] * 2
    remove()


class StartsWithItsBatch(nn.Module):
    """A normalisation that takes the statistics of its first batch for its parameters, as those of flows do."""

    def __init__(self) -> None:
        super().__init__()
        self.shift, self.scale = nn.Parameter(torch.zeros(1, 5)), nn.Parameter(torch.ones(1, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.shift.data = -x.mean(0, keepdim=True).data
        self.scale.data = (1 / x.std(0, keepdim=True)).data
        return (x + self.shift) * self.scale


def test_parameters_that_get_other_data_in_the_forward() -> None:
    """They are still the parameters: with a gradient, and afterwards with the data they had."""
    model = StartsWithItsBatch()
    report = fxcount.analyze(model, "B,5", hints={"B": 3})
    assert (report.params.total, report.params.dead) == (10, 0)
    assert any("replaces the data" in note for note in report.trace.notes)
    torch.testing.assert_close((model.shift.data, model.scale.data), (torch.zeros(1, 5), torch.ones(1, 5)))
    x = torch.randn(7, 5)
    expected = StartsWithItsBatch()(x)
    with torch.no_grad():  # it writes to the parameters, as the model does
        torch.testing.assert_close(fxcount.analyze(model, (7, 5)).graph_module(x), expected)


class Reshaped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.weight.data = x.data
        return x * self.weight


def test_data_of_another_form_are_refused() -> None:
    with pytest.raises(fxcount.UnsupportedError, match="of another form"):
        fxcount.analyze(Reshaped(), "B,5", frontend="trace")


def test_a_layer_brought_in_forward_to_the_dtype_it_has_is_left_as_it_is() -> None:
    """As routers of mixtures of experts do, so that they compute in float32 whatever the model does."""

    class Router(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(5, 7)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.layer = self.layer.to(torch.float32)
            return self.layer(x)

    model = Router()
    weight = model.layer.weight
    report = fxcount.analyze(model, "B,5")
    plain = fxcount.analyze(nn.Linear(5, 7), "B,5")
    assert model.layer.weight is weight
    assert report.uncounted == ()
    for b in (3, 11):
        at, other = report.at(B=b), plain.at(B=b)
        assert (at.macs, at.read_bytes, at.write_bytes) == (other.macs, other.read_bytes, other.write_bytes)
        x = torch.randn(b, 5)
        torch.testing.assert_close(report.graph_module(x), model(x))
