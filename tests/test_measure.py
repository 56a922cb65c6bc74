"""Measured time: every call has its row, the model is as it was; how long anything takes is not a test's business."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

import fxcount


class Sleeper(nn.Module):
    """Waits, and doubles."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(0.02)
        return 2 * x


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 5)
        self.slow = Sleeper()
        self.norm = nn.BatchNorm1d(5)
        self.idle = nn.Linear(5, 5)

    def forward(self, ids: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return self.norm(self.slow(self.slow(self.embedding(ids)))) * scale


def test_every_call_has_a_row() -> None:
    found = fxcount.measure(Net(), "i64[B]", scale=3.0, hints={"B": 4}, repeat=3)
    calls = [(row.path, row.class_name, row.depth, row.number) for row in found.rows]
    traced = fxcount.analyze(Net(), "i64[B]").by_module()
    assert calls == [(row.path, row.class_name, row.depth, row.number) for row in traced]
    assert [c[0] for c in calls] == ["", "embedding", "slow", "slow", "norm"]
    assert found.runs == 3
    assert all(row.seconds >= row.own_seconds >= 0 for row in found.rows)
    assert sum(row.share for row in found.rows) == pytest.approx(1)
    # sleep() never returns early: a lower bound that holds on any machine
    assert all(row.seconds >= 0.02 for row in found.rows if row.path == "slow")
    assert found.seconds >= 0.04
    assert "slow: Sleeper (call 2)" in str(found)


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_as_it_was(fails: bool) -> None:
    model = Net().train()
    hooks: list[object] = []
    model.norm.register_forward_hook(lambda *_: hooks.append(1))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.random.get_rng_state()
    if fails:
        with pytest.raises(RuntimeError):
            fxcount.measure(model, torch.zeros(3, 5))
    else:
        fxcount.measure(model, torch.tensor([1, 2, 3, 6]), repeat=2)
        assert len(hooks) == 3  # a warm-up and two runs: it really ran
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert torch.equal(torch.random.get_rng_state(), random)
    assert all(m.training and len(m._forward_hooks) == (m is model.norm) for m in model.modules())
    assert all(not m._forward_pre_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())


def test_inputs_that_cannot_be_run() -> None:
    with torch.device("meta"):
        model = nn.Linear(3, 5)
    with pytest.raises(fxcount.InputError, match="meta"):
        fxcount.measure(model, "B,3")
    with pytest.raises(fxcount.InputError, match="repeat=0"):
        fxcount.measure(nn.Linear(3, 5), "B,3", repeat=0)


def test_nested_inputs() -> None:
    class Pair(nn.Module):
        def forward(self, pair: tuple[torch.Tensor, torch.Tensor], names: dict[str, torch.Tensor]) -> torch.Tensor:
            assert pair[0].shape == (2, 3)
            assert pair[1].dtype is torch.bool
            return pair[0] + names["bias"]

    bias = torch.ones(3)
    found = fxcount.measure(Pair(), ("2,3", "bool[4]"), {"bias": bias}, repeat=1, warmup=0)
    assert [row.class_name for row in found.rows] == ["Pair"]


@pytest.mark.parametrize("training", [True, False])
def test_counters_and_attributes_are_as_before(training: bool) -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("written", torch.zeros(()))
            self.register_buffer("replaced", torch.zeros(()))
            self.calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.written.add_(1)
            self.replaced = self.replaced + 1
            self.calls += 1
            return x * self.written

    model = Counts().train(training)
    fxcount.measure(model, torch.randn(3))
    assert (model.written.item(), model.replaced.item(), model.calls) == (0, 0, 0)
