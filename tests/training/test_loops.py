"""Steps as people write them, done twice: what is alive at most in the second one, byte for byte."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import nn

import fxcount
from fxcount.errors import InputError
from tests.training.loops import LOOPS, total_peaks

_LATE_CASTS = {"scaled": 4}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)
    gc.collect()


@pytest.mark.parametrize("name", LOOPS)
def test_the_total_is_that_of_a_later_real_step(name: str) -> None:
    loop = LOOPS[name]()
    plain, tracked = (
        fxcount.training_step(loop.model, *loop.specs, step=loop.step, tracker=flag).at(**loop.sizes).total_peak
        for flag in (False, True)
    )
    late = _LATE_CASTS.get(name, 0)
    assert (plain - late, tracked - late) == total_peaks(loop)


def test_phases_are_told_from_what_the_step_calls() -> None:
    loop = LOOPS["accumulated"]()
    step = fxcount.training_step(loop.model, *loop.specs, step=loop.step)
    names = [p.name for p in step.phases if p.round == 1 and p.calls]
    assert names == ["forward", "backward"] * 3 + ["optimizer"]
    net = fxcount.training_step(loop.model, "B,11", loss=lambda y: y.square().mean() / 3).at(B=7)
    at = step.at(B=7)
    assert (at.forward_flops, at.backward_flops) == (3 * net.forward_flops, 3 * net.backward_flops)
    assert (at.gradient_bytes, at.saved_bytes) == (net.gradient_bytes, net.saved_bytes)
    usual = LOOPS["usual"]()
    found = fxcount.training_step(usual.model, *usual.specs, step=usual.step).at(B=7)
    loss = nn.functional.cross_entropy
    own = fxcount.training_step(usual.model, "B,11", targets="i64[B]", loss=loss, optimizer="adam").at(B=7)
    for name in ("step_peak", "optimizer_bytes", "peak", "forward_peak", "saved_bytes", "total_peak", "flops"):
        assert getattr(found, name) == getattr(own, name), name


def test_models_and_optimizers_are_left_as_they_were() -> None:
    for name in ("usual", "two models", "scaled", "averaged"):
        loop = LOOPS[name]()
        before = [(id(t), t.clone(), t.grad) for t in loop.alive()]
        state = torch.get_rng_state()
        fxcount.training_step(loop.model, *loop.specs, step=loop.step)
        after = loop.alive()
        assert [id(t) for t in after] == [identity for identity, _, _ in before]
        assert all(torch.equal(t, copy) and t.grad is grad for t, (_, copy, grad) in zip(after, before, strict=True))
        assert torch.equal(torch.get_rng_state(), state)
        assert not any(o.state for o in loop.held() if isinstance(o, torch.optim.Optimizer))


def test_an_optimizer_that_has_run_keeps_its_states() -> None:
    loop = LOOPS["usual"]()
    loop.step(loop.model, *loop.inputs())
    optimizer = next(o for o in loop.held() if isinstance(o, torch.optim.Optimizer))
    before = {id(p): dict(state) for p, state in optimizer.state.items()}
    step = fxcount.training_step(loop.model, *loop.specs, step=loop.step).at(B=7)
    assert {id(p): dict(state) for p, state in optimizer.state.items()} == before
    assert step.optimizer_bytes == sum(t.nbytes for state in before.values() for t in state.values())


def test_what_is_no_step_says_so() -> None:
    net = nn.Linear(3, 4)
    with pytest.raises(InputError, match="not both"):
        fxcount.training_step(net, "B,3", step=lambda m, x: None, optimizer="sgd")
    with pytest.raises(InputError, match="no backward"):
        fxcount.training_step(net, "B,3", step=lambda m, x: m(x))
    with pytest.raises(InputError, match="cannot be called with"):
        fxcount.training_step(net, "B,3", "B,3", step=lambda m, x: m(x))
    with pytest.raises(InputError, match="no model"):
        fxcount.training_step(None, "B,3", step=lambda m, x: x.sum())


def test_the_places_of_peaks_and_what_is_held_there() -> None:
    loop = LOOPS["usual"]()
    step = fxcount.training_step(loop.model, *loop.specs, step=loop.step)
    at = step.at(B=7)
    assert sum(at.held().values()) == at.total_peak
    assert at.total_peak_place.phase == "optimizer"
    assert max(row.nbytes for row in at.timeline) == at.total_peak - at.parameter_bytes
    assert {row.phase for row in at.timeline} == {"forward", "backward", "optimizer"}
    large = step.at(B=1000)
    assert sum(large.held().values()) == large.total_peak
    assert large.total_peak_place.phase == "backward"
    assert large.total_peak_place.source.startswith(str(__file__).replace("test_loops", "loops"))
    assert step.at(B=7).forward_peak_place.phase == "forward"


class _Offloading(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(17, 29), nn.Tanh(), nn.Linear(29, 13), nn.Tanh(), nn.Linear(13, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autograd.graph.save_on_cpu():
            return self.layers(x)  # type: ignore[no-any-return]


def test_what_is_kept_on_the_cpu_is_counted_apart() -> None:
    with torch.device("meta"):
        elsewhere = _Offloading()
    found = fxcount.training_step(elsewhere, "B,17").at(B=7)
    packed: list[int] = []

    def pack(t: torch.Tensor) -> torch.Tensor:
        packed.append(t.nbytes)
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        _Offloading().layers(torch.rand(7, 17)).sum()
    assert (found.saved_bytes, found.offloaded_bytes) == (0, sum(packed))
    assert found.forward_peak == 4 * 7 * (17 + 29 + 29)  # the input, what tanh is given, and its result
    assert sum(found.held().values()) == found.total_peak
    assert "kept on the CPU" in found.table()
    here = fxcount.training_step(_Offloading(), "B,17").at(B=7)
    assert here.offloaded_bytes == 0 < here.saved_bytes
