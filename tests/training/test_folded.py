"""Steps of an optimizer of which equal blocks are left out: the trace is that of all of them, entry by entry."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.training import folded
from fxcount.training.optimizers import OPTIMIZERS
from tests.training.told import told

SKIPPED = {"adafactor"}  # reads values of tensors in its step


class Block(nn.Module):
    def __init__(self, frozen: bool = False) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(7), nn.Linear(7, 11), nn.Linear(11, 7, bias=False)
        self.up.bias.requires_grad_(not frozen)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.relu(self.up(self.norm(x))))


def _stack(layers: int = 7, frozen: bool = False) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 7), *[Block(frozen) for _ in range(layers)], nn.Linear(7, 5), nn.ReLU())


def _both(monkeypatch: pytest.MonkeyPatch, model: nn.Module, optimizer: Any) -> tuple[Any, Any, int]:
    """The step as it is, as it is without blocks, and how many times what was recorded of a parameter was written once more."""
    written = []
    before = folded._Copier.write
    with monkeypatch.context() as patch:
        patch.setattr(folded._Copier, "write", lambda *args: (written.append(args[-1] > 0), before(*args)))
        mine = fxcount.training_step(model, "B,3", optimizer=optimizer)
    with monkeypatch.context() as patch:
        patch.setattr(folded.Folded, "of", lambda tracer, optimizer: None)
        whole = fxcount.training_step(model, "B,3", optimizer=optimizer)
    return mine, whole, sum(written)


def _differs(mine: Any, whole: Any) -> Any:
    pairs = zip(told(mine.step), told(whole.step), strict=True)
    return next(((a, b) for a, b in pairs if a != b), None)


@pytest.mark.parametrize(
    ("name", "frozen"), [*[(n, False) for n in sorted(set(OPTIMIZERS) - SKIPPED)], ("adamw", True), ("momentum", True)]
)
def test_the_trace_is_that_of_the_whole_step(monkeypatch: pytest.MonkeyPatch, name: str, frozen: bool) -> None:
    model = _stack(frozen=frozen)
    mine, whole, left_out = _both(monkeypatch, model, name)
    assert left_out >= 2 * 5 * 4  # two steps at least; of seven blocks of four or five parameters two are stepped
    assert _differs(mine, whole) is None
    at = {"B": 13}
    for field in ("step_peak", "total_peak", "optimizer_bytes", "peak"):
        assert getattr(mine.at(**at), field) == getattr(whole.at(**at), field)


MADE = {
    "weight decay": lambda p: torch.optim.AdamW(p, weight_decay=0.1, amsgrad=True),
    "no decay": lambda p: torch.optim.Adam(p, weight_decay=0.0, maximize=True),
    "rate in a tensor": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.01), foreach=False),
    "momentum in float32": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.1),
    "centered": lambda p: torch.optim.RMSprop(p, centered=True, momentum=0.9),
    "decoupled": lambda p: torch.optim.NAdam(p, decoupled_weight_decay=True, weight_decay=0.1),
}


@pytest.mark.parametrize("name", MADE)
def test_options_of_optimizers(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    mine, whole, left_out = _both(monkeypatch, _stack(), MADE[name])
    assert left_out >= 2 * 5 * 5
    assert _differs(mine, whole) is None


class Own(torch.optim.SGD):
    """One that is not torch's own is taken at its word."""


def test_what_is_stepped_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    for optimizer in (
        lambda p: Own(p, lr=0.1), lambda p: torch.optim.AdamW(p, foreach=True), lambda p: torch.optim.AdamW(p, fused=True),
        lambda p: torch.optim.SGD([{"params": p[:3], "lr": 0.1}, {"params": p[3:], "lr": 0.2}]),
    ):  # fmt: skip
        mine, whole, left_out = _both(monkeypatch, _stack(), optimizer)
        assert left_out == 0
        assert _differs(mine, whole) is None


def test_blocks_that_turn_out_to_differ_are_stepped_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    sgd = sys.modules["torch.optim.sgd"]
    single, short = sgd._single_tensor_sgd, []

    def odd(params: list[Any], *args: Any, **kwargs: Any) -> None:
        single(params, *args, **kwargs)
        if len(params) < 30:  # some were left out
            short.append(torch.add(params[9], 1).shape)

    monkeypatch.setattr(sgd, "_single_tensor_sgd", odd)
    mine, whole, left_out = _both(monkeypatch, _stack(), "sgd")
    assert short
    assert left_out == 0
    assert _differs(mine, whole) is None


def test_a_real_step_holds_as_much() -> None:
    """Momentum is one tensor for each parameter, and Adam's two and its count of steps."""
    model = _stack(12)
    size = sum([p.nbytes for p in model.parameters()])
    count = len(list(model.parameters()))
    assert fxcount.training_step(model, "B,3", optimizer="momentum").at(B=3).optimizer_bytes == size
    assert fxcount.training_step(model, "B,3", optimizer="adamw").at(B=3).optimizer_bytes == 2 * size + 4 * count
