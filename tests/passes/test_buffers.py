"""Buffers: what a forward updates, what it reads, what is dead; compared with the buffers after a real forward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import fxcount


class Buffers(nn.Module):
    """Every way to treat a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("read", torch.ones(5))
        self.register_buffer("idle", torch.ones(7, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64), persistent=False)
        self.register_buffer("average", torch.zeros(5))
        self.register_buffer("replaced", torch.zeros(5))
        self.register_buffer("filled", torch.zeros(2, 5))
        self.register_buffer("lost", torch.ones(3))
        self.register_buffer("asked", torch.ones(5))
        self.register_buffer("sized", torch.ones(5))
        self.register_buffer("other_name", self.read)
        self.never = nn.BatchNorm1d(5)
        self.norm = nn.BatchNorm1d(5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            self.count += 1
            self.average.data.mul_(0.9).add_(x.mean(0))
            self.filled[1] = x[0]
        self.replaced = self.replaced + x.mean(0).detach()
        self.lost * 2
        y = self.norm(x) * self.read + torch.zeros_like(self.asked)
        return y + torch.zeros(self.sized.shape[0])


@pytest.mark.parametrize("training", [True, False])
def test_updated_is_what_a_real_forward_changes(training: bool) -> None:
    model = Buffers().train(training)
    rows = {b.name: b for b in fxcount.analyze(model, "B,5").params.buffer_rows}
    before = {n: b.clone() for n, b in model.named_buffers()}
    model(torch.randn(7, 5))
    changed = {n for n, b in model.named_buffers() if not torch.equal(b, before[n])}
    assert {n for n, b in rows.items() if b.state == "updated"} == changed
    assert ("norm.running_mean" in changed) == training
    assert {"count", "average", "replaced", "filled"} <= changed


def test_rows() -> None:
    rows = {b.name: b for b in fxcount.analyze(Buffers(), "B,5").params.buffer_rows}
    assert rows["read"].names == ("read", "other_name")
    assert {n: (b.state, b.reason) for n, b in rows.items() if b.state == "dead"}.keys() == {
        "idle", "lost", "asked", "sized", "never.running_mean", "never.running_var", "never.num_batches_tracked"
    }  # fmt: skip
    assert rows["idle"].reason == "module Buffers is called, but no op uses it"
    assert rows["never.running_mean"].reason == "module never is never called"
    assert "last used by mul at" in rows["lost"].reason
    assert "zeros_like asks it for no more" in rows["asked"].reason
    assert "only its shape is read at" in rows["sized"].reason
    assert (rows["idle"].nbytes, rows["idle"].shape, rows["idle"].numel) == (56, (7,), 7)
    assert [b.name for b in rows.values() if not b.persistent] == ["count"]
    assert [(u.module, u.op, u.argument) for u in rows["norm.running_var"].used_by] == [("norm", "batch_norm", "running_var")]


def test_a_model_without_gradients_reads_its_buffers() -> None:
    """Frozen, or under no_grad: then it is the data alone that are followed."""
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            report = fxcount.analyze(nn.BatchNorm1d(5).eval().requires_grad_(False), "B,5")
        assert [b.state for b in report.params.buffer_rows] == ["read", "read", "dead"]  # num_batches_tracked


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_running_statistics(device: str) -> None:
    with torch.device(device):
        model: Any = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5))
    states = {
        mode: [b.state for b in fxcount.analyze(model.train(mode), "B,3,H,W").params.buffer_rows] for mode in (True, False)
    }
    assert states == {True: ["updated"] * 3, False: ["read", "read", "dead"]}
