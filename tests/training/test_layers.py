"""Equal layers whose backward is that of another one: the trace is that of a step in which the engine runs all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import fxcount
from fxcount.training import layers
from tests.training import real
from tests.training.told import told


class Block(nn.Module):
    def __init__(self, slope: float = 0.1) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(7), nn.Linear(7, 11), nn.Linear(11, 7, bias=False)
        self.slope = slope

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(nn.functional.leaky_relu(self.up(self.norm(x)), self.slope))


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.of_all, self.out, self.norm = nn.Linear(8, 24), nn.Linear(8, 8), nn.LayerNorm(8)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        q, k, v = [t.unflatten(-1, (2, 4)).transpose(1, 2) for t in self.of_all(self.norm(x)).chunk(3, -1)]
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, dropout_p=0.1, is_causal=True)
        return nn.functional.dropout(x + self.out(mixed.transpose(1, 2).flatten(2)), 0.1, self.training), None


class Convolving(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(5, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.conv(x))
        y += x
        return self.act(y)


class Stack(nn.Module):
    """Layers in a row, between others."""

    def __init__(self, row: list[nn.Module], before: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.before, self.row, self.after = before, nn.ModuleList(row), after

    def through(self, x: torch.Tensor, number: int) -> torch.Tensor:
        found = self.row[number](x)
        return found[0] if isinstance(found, tuple) else found

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        for number in range(len(self.row)):
            x = self.through(x, number)
        return self.after(x)


def _stack(row: list[nn.Module] | None = None, kind: type[Stack] = Stack) -> Stack:
    return kind([Block() for _ in range(7)] if row is None else row, nn.Linear(3, 7), nn.Linear(7, 5))


def _frozen(stack: Stack) -> Stack:
    for block in stack.row:
        block.up.bias.requires_grad_(False)  # type: ignore[union-attr]
    return stack


Pair = tuple[Any, Any, int]


def _both(monkeypatch: pytest.MonkeyPatch, model: nn.Module, spec: str = "B,3", **options: Any) -> Pair:
    """The step as it is, the step with each backward run, and how many were written once more."""
    written = []
    copied = layers.Layers._copied
    with monkeypatch.context() as patch:
        patch.setattr(layers.Layers, "_copied", lambda *args: (written.append(1), copied(*args))[1])
        mine = fxcount.training_step(model.train(), spec, **options)
    with monkeypatch.context() as patch:
        patch.setattr(layers.Layers, "of", lambda tracer, model: None)
        whole = fxcount.training_step(model.train(), spec, **options)
    return mine, whole, sum(written)


def _differs(mine: Any, whole: Any) -> Any:
    pairs = zip(told(mine.step), told(whole.step), strict=True)
    return next(((a, b) for a, b in pairs if a != b), None)


ALIKE: dict[str, tuple[Callable[[], nn.Module], str, int]] = {
    "blocks": (_stack, "B,3", 4),
    "two kinds in turn": (lambda: _stack([Block(0.1 + i % 2) for i in range(9)]), "B,3", 3),
    "frozen parts": (lambda: _frozen(_stack()), "B,3", 4),
    "one that differs": (lambda: _stack([Block(0.5 if i == 4 else 0.1) for i in range(9)]), "B,3", 4),
    "attention and dropout": (
        lambda: Stack([Attending() for _ in range(6)], nn.Linear(3, 8), nn.Linear(8, 5)), "B,S,3", 3
    ),
    "convolutions in place": (
        lambda: Stack([Convolving() for _ in range(6)], nn.Conv2d(3, 5, 3), nn.Conv2d(5, 2, 1)), "B,3,H,W", 3
    ),
    "in a sequence": (lambda: nn.Sequential(nn.Linear(3, 7), *[Block() for _ in range(7)], nn.Linear(7, 5)), "B,3", 4),
}  # fmt: skip


@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.parametrize("optimizer", [None, "adamw"])
def test_the_trace_is_that_of_the_whole_step(monkeypatch: pytest.MonkeyPatch, name: str, optimizer: str | None) -> None:
    build, spec, times = ALIKE[name]
    mine, whole, written = _both(monkeypatch, build(), spec, optimizer=optimizer)
    assert written == times
    assert _differs(mine, whole) is None
    assert mine.to_json() == whole.to_json()


def test_a_deep_model_is_what_a_real_step_of_it_is() -> None:
    """At a size that is not the hint."""
    model = _stack([Block() for _ in range(13)]).train()
    found = fxcount.training_step(model, "B,3", tracker=False).at(B=29)
    truth = real.run(model, torch.zeros(29, 3))
    assert (found.forward_flops, found.backward_flops) == (truth.forward_flops, truth.backward_flops)
    assert (found.saved_bytes, found.gradient_bytes) == (truth.saved, truth.gradients)
    assert found.peak == real.plain_peak(model, torch.zeros(29, 3))


# -- what looks alike and is not ---------------------------------------------------------------------------------------
class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return g * 2 + 1


class Own(Block):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(Doubled.apply(x))


class Hooking(Block):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        y.register_hook(lambda g: g * 2)
        return y


class Partly(Block):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = super().forward
        return checkpoint(inner, x, use_reentrant=False)  # type: ignore[no-any-return]


class Leaving(Block):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left = self.up(x)
        return super().forward(x)


class Hooked(Stack):
    def through(self, x: torch.Tensor, number: int) -> torch.Tensor:
        x = super().through(x, number)
        if number == 3:
            x.register_hook(lambda g: g * 3)
        return x


class Checkpointed(Stack):
    def through(self, x: torch.Tensor, number: int) -> torch.Tensor:
        return checkpoint(self.row[number], x, use_reentrant=False)  # type: ignore[no-any-return]


class Skipping(Stack):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = early = self.before(x)
        for number in range(len(self.row)):
            x = self.through(x, number)
            early = x if number == 2 else early
        return self.after(x + early)


class Twice(Stack):
    def through(self, x: torch.Tensor, number: int) -> torch.Tensor:
        return super().through(super().through(x, number), number)


class Between(Stack):
    def through(self, x: torch.Tensor, number: int) -> torch.Tensor:
        return torch.tanh(super().through(x, number))


class Writing(Stack):
    def through(self, x: torch.Tensor, number: int) -> torch.Tensor:
        return super().through(x, number).mul_(2)


class Detached(Stack):
    """The graph of the first layers ends with the forward, before the loss."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        found = [x]
        for number in range(len(self.row)):
            x = self.through(x.detach() if number == 4 else x, number)
            found.append(x)
        return self.after(x)


class Unused(Stack):
    """Layers whose results nothing takes: their graph is gone in the forward."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = y = self.before(x)
        for number in range(len(self.row)):
            y = self.through(y, number)
        del y
        return torch.tanh(self.after(x)) + 1


class Added(Stack):
    """The gradient of a parameter comes from two places."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + self.row[3].down.weight.sum()  # type: ignore[union-attr]


class Reading(Stack):
    """What a layer has left behind is part of the loss."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + self.row[2].left.sum()  # type: ignore[union-attr]


def _tied() -> Stack:
    made = _stack()
    made.row[4].down.weight = made.row[1].down.weight  # type: ignore[union-attr]
    return made


def _hooked_parameter() -> Stack:
    made = _stack()
    made.row[2].down.weight.register_hook(lambda g: g * 2)  # type: ignore[union-attr]
    return made


def _hooked_module() -> Stack:
    made = _stack()
    made.row[2].register_full_backward_hook(lambda *_: None)
    return made


UNLIKE: dict[str, Callable[[], nn.Module]] = {
    "a function of its own": lambda: _stack([Own() for _ in range(7)]),
    "a hook in a layer": lambda: _stack([Hooking() for _ in range(7)]),
    "a checkpoint in a layer": lambda: _stack([Partly() for _ in range(7)]),
    "a hook on a result": lambda: _stack(kind=Hooked),
    "checkpoints": lambda: _stack(kind=Checkpointed),
    "a result used twice": lambda: _stack(kind=Skipping),
    "layers called twice": lambda: _stack(kind=Twice),
    "ops between layers": lambda: _stack(kind=Between),
    "results written to": lambda: _stack(kind=Writing),
    "results let go": lambda: _stack([Block() for _ in range(9)], Detached),
    "results that nothing takes": lambda: _stack(kind=Unused),
    "a parameter used elsewhere": lambda: _stack(kind=Added),
    "an inner tensor used elsewhere": lambda: _stack([Leaving() for _ in range(7)], Reading),
    "tied": _tied,
    "a hook on a parameter": _hooked_parameter,
    "a hook on a module": _hooked_module,
}


@pytest.mark.parametrize("name", UNLIKE)
def test_what_is_not_alike_is_run(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    mine, whole, _ = _both(monkeypatch, UNLIKE[name](), optimizer="sgd")
    assert _differs(mine, whole) is None
    assert mine.to_json() == whole.to_json()


def test_a_loss_that_takes_all_results(monkeypatch: pytest.MonkeyPatch) -> None:
    class All(Stack):
        def forward(self, x: torch.Tensor) -> Any:
            found = [self.before(x)]
            for number in range(len(self.row)):
                found.append(self.through(found[-1], number))
            return found

    mine, whole, _ = _both(monkeypatch, _stack(kind=All))
    assert _differs(mine, whole) is None


def test_a_tracker_and_gradients_that_add_up_run_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _both(monkeypatch, _stack(), tracker=True)[2] == 0
    mine, whole, _ = _both(monkeypatch, _stack())
    assert mine.at(B=31).peak == whole.at(B=31).peak
