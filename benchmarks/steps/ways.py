"""Ways to train: checkpointing, autocast, accumulation, adapters, two models at once, gradients of gradients.

Each is run by fxcount at hints of its own and for real at other sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import fxcount
from benchmarks.steps.nets import UNet, Views
from benchmarks.zoo.entry import tensors
from tests.training import loops, nets, real

__all__ = ["WAYS", "LoopWay", "Way"]

Context = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Way:
    """A model trained on ``spec`` at ``sizes`` under a context."""

    build: Callable[[], nn.Module]
    spec: str
    sizes: Mapping[str, int]
    under: Context = nullcontext
    options: Mapping[str, Any] = field(default_factory=dict)

    def compared(self) -> dict[str, list[int]]:
        """Peaks and saved bytes: ours, and those of a real step."""
        model = _Under(self.build().train(), self.under)
        plain = fxcount.training_step(model, self.spec).at(**self.sizes)
        tracked = fxcount.training_step(model, self.spec, tracker=True).at(**self.sizes)
        x = tensors(self.spec, self.sizes, "cpu", 7)
        forward_peak, peak, gradients = real.tracked(model, x)
        return {
            "peak": [plain.peak, real.plain_peak(model, x)], "tracker_peak": [tracked.peak, peak],
            "forward_peak": [tracked.forward_peak, forward_peak], "gradients": [plain.gradient_bytes, gradients],
        }  # fmt: skip


@dataclass(frozen=True)
class LoopWay:
    """A step as people write it, done a second time."""

    make: Callable[[], loops.Loop]

    def compared(self) -> dict[str, list[int]]:
        """Everything alive at most: ours, and that of a real step."""
        loop = self.make()
        plain, tracked = (
            fxcount.training_step(loop.model, *loop.specs, step=loop.step, tracker=flag).at(**loop.sizes).total_peak
            for flag in (False, True)
        )
        total, by_tracker = loops.total_peaks(loop)
        return {"total_peak": [plain, total], "tracker_total_peak": [tracked, by_tracker]}


class _Under(nn.Module):
    """A model whose forward runs under a context."""

    def __init__(self, model: nn.Module, under: Context) -> None:
        super().__init__()
        self.model = model
        self._under = under

    def forward(self, *args: Any) -> Any:
        with self._under():
            return self.model(*args)


class Selective(nets.Checkpointed):
    """Products are kept, what is cheap is made again."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        from torch.utils.checkpoint import create_selective_checkpoint_contexts

        kept = [torch.ops.aten.addmm.default, torch.ops.aten.mm.default]
        for block in self.blocks:
            x = x + checkpoint(block, x, use_reentrant=False, context_fn=partial(create_selective_checkpoint_contexts, kept))
        return x


class Dropping(nets.Checkpointed):
    """A checkpoint keeps the state of the generator."""

    def block(self, width: int, hidden: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(0.2), nn.Linear(hidden, width))


class WithoutState(nets.Checkpointed):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + checkpoint(block, x, use_reentrant=False, preserve_rng_state=False)
        return x


class Penalised(nn.Module):
    """A gradient penalty: a gradient of a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(9, 33), nn.Tanh(), nn.Linear(33, 21), nn.Softplus(), nn.Linear(21, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.detach().requires_grad_(True)
        y = self.layers(x)
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return y.mean() + (g.norm(2, dim=1) - 1).square().mean()


class Forces(nn.Module):
    """An energy, and its gradient by positions: a force field."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 31), nn.SiLU(), nn.Linear(31, 1))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = x.clone().requires_grad_(True)
        energy = self.layers(x).sum()
        force = -torch.autograd.grad(energy, x, create_graph=self.training)[0]
        return {"energy": energy, "force": force}


class Functional(nn.Module):
    """The same by ``torch.func``."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 31), nn.SiLU(), nn.Linear(31, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.func.grad(lambda z: self.layers(z).sum())(x)


class Offloading(nn.Module):
    """What is saved goes elsewhere: here, to a copy."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(17, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t):
            return self.layers(x)


class Hooked(nn.Module):
    """Hooks of tensors, modules and parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.out = nn.Sequential(nn.Linear(9, 13), nn.Tanh(), nn.Linear(13, 13)), nn.Linear(13, 4)
        self.layers[0].register_forward_hook(lambda module, given, result: result * 1.5)
        self.layers[1].register_full_backward_hook(lambda module, given, result: (given[0] * 2,))
        for p in self.out.parameters():
            p.register_post_accumulate_grad_hook(lambda p: None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x)
        y.register_hook(lambda g: g * 0.5)
        return self.out(y)


class OnTheCPU(Offloading):
    """The way torch has for it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autograd.graph.save_on_cpu():
            return self.layers(x)


class Equation(Penalised):
    """A second derivative by the inputs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.detach().requires_grad_(True)
        u = self.layers(x)
        (g,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        (h,) = torch.autograd.grad(g[:, 0].sum(), x, create_graph=True)
        return (h[:, 0] - u[:, 0]).square().mean()


class Mapped(Functional):
    """A gradient, a value and a Jacobian of each sample."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        g, value = torch.func.grad_and_value(lambda z: self.layers(z).sum())(x)
        return g.sum() + value + torch.func.vmap(torch.func.jacrev(self.layers))(x).sum()


class Twice(nn.Module):
    """Weights are cast once for both calls."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(9, 13), nn.LayerNorm(13), nn.Linear(13, 13), nn.Softmax(-1), nn.Linear(13, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x) + self.layers(x * 2)


class Stopped(nn.Module):
    """Parts that nothing is differentiated by."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(9, 13), nn.Linear(13, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            y = torch.tanh(self.a(x))
        return self.b(y) + self.b(torch.relu(self.a(x)).detach())


def _adapted() -> nn.Module:
    """A small encoder with adapters of peft."""
    from peft import LoraConfig, get_peft_model

    class Base(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.value, self.out = nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 7)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(F.gelu(self.query(x)) * torch.tanh(self.value(x)))

    return get_peft_model(Base(), LoraConfig(r=4, target_modules=["query", "value"], lora_dropout=0.0))  # type: ignore[arg-type]


def _autocast(dtype: torch.dtype) -> Context:
    return partial(torch.autocast, "cpu", dtype=dtype)


_IMAGE = {"B": 2, "H": 20, "W": 28}
_BF16, _FP16 = torch.bfloat16, torch.float16
WAYS: Mapping[str, Way | LoopWay] = {
    "checkpoint": Way(nets.Checkpointed, "f32[B,6]", {"B": 7}),
    "checkpoint reentrant": Way(nets.Reentrant, "f32[B,6]", {"B": 7}),
    "checkpoint selective": Way(Selective, "f32[B,6]", {"B": 7}),
    "checkpoint dropout": Way(Dropping, "f32[B,6]", {"B": 7}),
    "checkpoint without state": Way(WithoutState, "f32[B,6]", {"B": 7}),
    "autocast bf16 mlp": Way(nets.Perceptron, "f32[B,11]", {"B": 33}, _autocast(_BF16)),
    "autocast bf16 conv": Way(UNet, "f32[B,3,H,W]", {"B": 2, "H": 48, "W": 80}, _autocast(_BF16)),
    "autocast bf16 attention": Way(Views, "f32[B,T,32]", {"B": 3, "T": 11}, _autocast(_BF16)),
    "autocast bf16 tied": Way(nets.Tied, "i64[B,T]", {"B": 3, "T": 11}, _autocast(_BF16)),
    "autocast fp16 mlp": Way(nets.Perceptron, "f32[B,11]", {"B": 33}, _autocast(_FP16)),
    "autocast fp16 views": Way(Views, "f32[B,T,32]", {"B": 3, "T": 11}, _autocast(_FP16)),
    "low rank": Way(nets.LowRank, "f32[B,T,12]", {"B": 3, "T": 11}),
    "peft lora": Way(_adapted, "f32[B,T,32]", {"B": 3, "T": 11}),
    "tied": Way(nets.Tied, "i64[B,T]", {"B": 3, "T": 11}),
    "frozen": Way(nets.Frozen, "f32[B,3,H,W]", _IMAGE),
    "gradient penalty": Way(Penalised, "f32[B,9]", {"B": 13}),
    "forces": Way(Forces, "f32[B,3]", {"B": 13}),
    "torch.func.grad": Way(Functional, "f32[B,3]", {"B": 13}),
    "saved tensors elsewhere": Way(Offloading, "f32[B,17]", {"B": 13}),
    "saved on the CPU": Way(OnTheCPU, "f32[B,17]", {"B": 13}),
    "hooks": Way(Hooked, "f32[B,9]", {"B": 13}),
    "equation": Way(Equation, "f32[B,9]", {"B": 13}),
    "torch.func of each": Way(Mapped, "f32[B,3]", {"B": 13}),
    "autocast bf16 twice": Way(Twice, "f32[B,9]", {"B": 13}, _autocast(_BF16)),
    "stopped": Way(Stopped, "f32[B,9]", {"B": 13}),
    "lstm": Way(nets.Tagger, "i64[B,T]", {"B": 3, "T": 17}),
    "gru": Way(nets.Recurrent, "f32[T,B,5]", {"B": 3, "T": 9}),
    **{f"loop {name}": LoopWay(make) for name, make in loops.LOOPS.items()},
}  # fmt: skip
"""Name -> the way."""
