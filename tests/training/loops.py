"""Training steps as people write them: each with its models, its optimizers, and what a real one holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._pytree import tree_leaves

from tests.oracles import StorageTracker
from tests.training import real

__all__ = ["LOOPS", "Loop", "total_peaks"]

_adam = partial(torch.optim.Adam, lr=1e-3)


@dataclass
class Loop:
    """``step(model, *inputs)`` with what it needs; ``specs`` describe the inputs at ``sizes``."""

    model: Any
    step: Callable[..., Any]
    specs: tuple[str, ...]
    sizes: Mapping[str, int]
    held: Callable[[], list[Any]]  # models, optimizers, and tensors that live as long as the loop

    def inputs(self) -> list[torch.Tensor]:
        found = []
        for spec in self.specs:
            kind, _, rest = spec.rpartition("[")
            shape = [self.sizes[n] if n in self.sizes else int(n) for n in rest.rstrip("]").split(",")]
            found.append(torch.ones(shape, dtype=torch.int64) if kind == "i64" else torch.full(shape, 0.5))
        return found

    def alive(self) -> list[torch.Tensor]:
        """All tensors that live between two steps."""
        found: list[Any] = []
        for thing in self.held():
            if isinstance(thing, nn.Module):
                found += [*thing.parameters(), *thing.buffers(), *[p.grad for p in thing.parameters()]]
            elif isinstance(thing, torch.optim.Optimizer):
                found += tree_leaves([list(s.values()) for s in thing.state.values()])
            else:
                found.append(thing)
        return [t for t in found if isinstance(t, torch.Tensor)]


def total_peaks(loop: Loop) -> tuple[int, int]:
    """Bytes alive at most in a later step, plain and to a tracker: parameters, buffers, states and inputs included."""
    inputs = loop.inputs()

    def step() -> None:
        loop.step(loop.model, *inputs)

    step()
    plain: list[int] = []

    def before() -> int:
        return sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in (*loop.alive(), *inputs)}.values())

    for _ in range(2):
        base = before()
        plain.append(base + real.allocated_at_most(step, lambda: None, warm=0))
    with StorageTracker(set()) as tracker:
        for t in (*loop.alive(), *inputs):
            tracker.watch(t)
        tracker.peak = tracker.now
        step()
        tracked = tracker.peak
    return plain[-1], tracked


def _net() -> nn.Module:
    return nn.Sequential(nn.Linear(11, 23), nn.Tanh(), nn.Linear(23, 19), nn.GELU(), nn.Linear(19, 5))


def _usual() -> Loop:
    net = _net()
    optimizer = _adam(net.parameters())

    def step(model: Any, x: torch.Tensor, y: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()

    return Loop(net, step, ("f32[B,11]", "i64[B]"), {"B": 7}, lambda: [net, optimizer])


def _kept_gradients() -> Loop:
    """``zero_grad(set_to_none=False)``: gradients live on."""
    net = _net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

    def step(model: Any, x: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=False)
        model(x).square().mean().backward()
        optimizer.step()

    return Loop(net, step, ("f32[B,11]",), {"B": 7}, lambda: [net, optimizer])


def _clipped() -> Loop:
    net = _net()
    optimizer = torch.optim.AdamW(net.parameters(), foreach=True)

    def step(model: Any, x: torch.Tensor) -> None:
        model(x).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return Loop(net, step, ("f32[B,11]",), {"B": 7}, lambda: [net, optimizer])


def _clipped_values() -> Loop:
    net = _net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def step(model: Any, x: torch.Tensor) -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        torch.nn.utils.clip_grad_value_(model.parameters(), 0.5)
        optimizer.step()

    return Loop(net, step, ("f32[B,11]",), {"B": 7}, lambda: [net, optimizer])


def _accumulated() -> Loop:
    net = _net()
    optimizer = _adam(net.parameters())

    def step(model: Any, x: torch.Tensor) -> None:
        optimizer.zero_grad()
        for part in x.unbind(0):
            (model(part).square().mean() / 3).backward()
        optimizer.step()

    return Loop(net, step, ("f32[3,B,11]",), {"B": 7}, lambda: [net, optimizer])


def _scaled() -> Loop:
    net = _net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu")

    def step(model: Any, x: torch.Tensor) -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(x).float().square().mean()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()

    return Loop(net, step, ("f32[B,11]",), {"B": 7}, lambda: [net, optimizer, scaler._scale, scaler._growth_tracker])


def _averaged() -> Loop:
    net = _net()
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99))
    optimizer = _adam(net.parameters())

    def step(model: Any, x: torch.Tensor) -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        average.update_parameters(model)

    return Loop(net, step, ("f32[B,11]",), {"B": 7}, lambda: [net, average, optimizer])


class _Trainer:
    """A step that is a method: models and optimizers are attributes."""

    def __init__(self) -> None:
        self.maker = nn.Sequential(nn.Linear(6, 17), nn.LeakyReLU(), nn.Linear(17, 11))
        self.critic = nn.Sequential(nn.Linear(11, 13), nn.LeakyReLU(), nn.Linear(13, 1))
        self.optimizers = {"maker": _adam(self.maker.parameters()), "critic": _adam(self.critic.parameters())}

    def step(self, models: Any, real_ones: torch.Tensor, z: torch.Tensor) -> None:
        self.optimizers["critic"].zero_grad()
        fake = self.maker(z)
        loss = F.softplus(-self.critic(real_ones)).mean() + F.softplus(self.critic(fake.detach())).mean()
        loss.backward()
        self.optimizers["critic"].step()
        self.optimizers["maker"].zero_grad()
        F.softplus(-self.critic(fake)).mean().backward()
        self.optimizers["maker"].step()


def _two_models() -> Loop:
    trainer = _Trainer()
    models = [trainer.maker, trainer.critic]
    held = [*models, *trainer.optimizers.values()]
    return Loop(models, trainer.step, ("f32[B,11]", "f32[B,6]"), {"B": 7}, lambda: held)


def _penalised() -> Loop:
    """A critic with a gradient penalty."""
    critic = nn.Sequential(nn.Linear(11, 13), nn.Softplus(), nn.Linear(13, 1))
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)

    def step(model: Any, x: torch.Tensor) -> None:
        optimizer.zero_grad()
        x = x.detach().requires_grad_(True)
        y = model(x)
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        (y.mean() + 10 * (g.norm(2, dim=1) - 1).square().mean()).backward()
        optimizer.step()

    return Loop(critic, step, ("f32[B,11]",), {"B": 7}, lambda: [critic, optimizer])


def _two_losses() -> Loop:
    net = _net()
    optimizer = torch.optim.RMSprop(net.parameters())

    def step(model: Any, x: torch.Tensor) -> None:
        optimizer.zero_grad()
        y = model(x)
        y.square().mean().backward(retain_graph=True)
        y.abs().mean().backward()
        optimizer.step()

    return Loop(net, step, ("f32[B,11]",), {"B": 7}, lambda: [net, optimizer])


class _Lion(torch.optim.Optimizer):
    """Signs of a running mean."""

    def __init__(self, params: Any, lr: float = 1e-3) -> None:
        super().__init__(params, {"lr": lr, "betas": (0.9, 0.99), "weight_decay": 0.01})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if len(state) == 0:
                    state["exp_avg"] = torch.zeros_like(p)
                p.data.mul_(1 - group["lr"] * group["weight_decay"])
                update = state["exp_avg"].clone().mul_(b1).add(p.grad, alpha=1 - b1).sign_()
                p.add_(update, alpha=-group["lr"])
                state["exp_avg"].mul_(b2).add_(p.grad, alpha=1 - b2)


class _EightBit(torch.optim.Optimizer):
    """States as bytes, by blocks."""

    def __init__(self, params: Any, lr: float = 1e-3) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if len(state) == 0:
                    state["code"] = torch.zeros_like(p, dtype=torch.int8)
                    state["scale"] = torch.ones((), dtype=p.dtype)
                moment = state["code"].to(p.dtype) * state["scale"] * 0.9 + p.grad * 0.1
                state["scale"] = moment.abs().max() / 127
                state["code"].copy_((moment / state["scale"]).round())
                p.add_(moment, alpha=-group["lr"])


def _with(make: Callable[[Any], Any]) -> Loop:
    net = _net()
    optimizer = make(net.parameters())

    def step(model: Any, x: torch.Tensor) -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    return Loop(net, step, ("f32[B,11]",), {"B": 7}, lambda: [net, optimizer])


def _stepping_in_the_backward() -> Loop:
    """An optimizer for each parameter, which steps as soon as the gradient is there, and drops it."""
    net = _net()
    optimizers = {p: torch.optim.AdamW([p]) for p in net.parameters()}

    def done(p: torch.Tensor) -> None:
        optimizers[p].step()
        optimizers[p].zero_grad()

    for p in net.parameters():
        p.register_post_accumulate_grad_hook(done)

    def step(model: Any, x: torch.Tensor) -> None:
        model(x).square().mean().backward()

    return Loop(net, step, ("f32[B,11]",), {"B": 7}, lambda: [net, *optimizers.values()])


def _hooked_parameters() -> Loop:
    """Hooks that parameters had before: here they add noise."""
    net = _net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for p in net.parameters():
        p.register_hook(lambda g: g + 0.01 * torch.randn_like(g))

    def step(model: Any, x: torch.Tensor) -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    return Loop(net, step, ("f32[B,11]",), {"B": 7}, lambda: [net, optimizer])


def _averages_in_a_list() -> Loop:
    net = _net()
    averages = [p.detach().clone() for p in net.parameters()]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def step(model: Any, x: torch.Tensor) -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        torch._foreach_mul_(averages, 0.99)
        torch._foreach_add_(averages, [p.detach() for p in model.parameters()], alpha=0.01)

    return Loop(net, step, ("f32[B,11]",), {"B": 7}, lambda: [net, optimizer, *averages])


def _gradients_by_themselves() -> Loop:
    """``autograd.grad`` is the backward where there is no other."""
    net = _net()

    def step(model: Any, x: torch.Tensor) -> None:
        parameters = list(model.parameters())
        gradients = torch.autograd.grad(model(x).square().mean(), parameters)
        with torch.no_grad():
            for p, g in zip(parameters, gradients):
                p -= 0.1 * g

    return Loop(net, step, ("f32[B,11]",), {"B": 7}, lambda: [net])


def _learning_to_learn() -> Loop:
    """A step of a step, differentiated."""
    net = _net()
    optimizer = _adam(net.parameters())

    def step(model: Any, x: torch.Tensor, y: torch.Tensor) -> None:
        own = dict(model.named_parameters())
        inner = torch.func.functional_call(model, own, (x,)).square().mean()
        gradients = torch.autograd.grad(inner, list(own.values()), create_graph=True)
        fast = {name: p - 0.1 * g for (name, p), g in zip(own.items(), gradients)}
        optimizer.zero_grad()
        torch.func.functional_call(model, fast, (y,)).square().mean().backward()
        optimizer.step()

    return Loop(net, step, ("f32[B,11]", "f32[B,11]"), {"B": 7}, lambda: [net, optimizer])


def _sharpness() -> Loop:
    """Two backwards a step, the second where the loss is worst nearby."""
    net = _net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

    def step(model: Any, x: torch.Tensor) -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        moved = []
        with torch.no_grad():
            norm = torch.stack([p.grad.norm(2) for p in model.parameters()]).norm(2)
            for p in model.parameters():
                moved.append(p.grad * (0.05 / (norm + 1e-12)))
                p.add_(moved[-1])
        optimizer.zero_grad()
        model(x).square().mean().backward()
        with torch.no_grad():
            for p, e in zip(model.parameters(), moved):
                p.sub_(e)
        optimizer.step()

    return Loop(net, step, ("f32[B,11]",), {"B": 7}, lambda: [net, optimizer])


def _diffusion() -> Loop:
    """Noise of a step drawn for each sample, from a schedule that is a tensor of the loop's."""
    net = nn.Sequential(nn.Linear(12, 23), nn.SiLU(), nn.Linear(23, 11))
    optimizer = torch.optim.AdamW(net.parameters())
    schedule = torch.linspace(1, 0.01, 1000).cumprod(0)

    def step(model: Any, x: torch.Tensor) -> None:
        t = torch.randint(0, 1000, (x.shape[0],))
        noise, kept = torch.randn_like(x), schedule[t].unsqueeze(1)
        mixed = kept.sqrt() * x + (1 - kept).sqrt() * noise
        optimizer.zero_grad()
        F.mse_loss(model(torch.cat([mixed, t.unsqueeze(1).float() / 1000], 1)), noise).backward()
        optimizer.step()

    return Loop(net, step, ("f32[B,11]",), {"B": 7}, lambda: [net, optimizer, schedule])


LOOPS: Mapping[str, Callable[[], Loop]] = {
    "usual": _usual, "kept gradients": _kept_gradients, "clipped": _clipped, "clipped values": _clipped_values,
    "accumulated": _accumulated, "scaled": _scaled, "averaged": _averaged, "two models": _two_models,
    "penalised": _penalised, "two losses": _two_losses, "lion": partial(_with, _Lion), "8 bit": partial(_with, _EightBit),
    "optimizers in the backward": _stepping_in_the_backward, "hooked parameters": _hooked_parameters,
    "averages in a list": _averages_in_a_list, "gradients by themselves": _gradients_by_themselves,
    "learning to learn": _learning_to_learn, "sharpness": _sharpness, "diffusion": _diffusion,
}  # fmt: skip
