"""A step done otherwise against real steps of models that are so: checkpoints, frozen modules, dtypes, optimizers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import fxcount
from fxcount.adapters import torchvision_ops
from fxcount.errors import AssumptionError, InputError
from fxcount.report.data.changes import chosen
from tests.training import real

os.environ.setdefault("HF_HUB_OFFLINE", "1")


class Again(nn.Module):
    """A module that is computed again in the backward, as one writes it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return checkpoint(self.inner, *args, use_reentrant=False, **kwargs)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(3 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = x + self.down(F.gelu(self.up(self.norm(x))))
        return found


class Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(11) for _ in range(5)])
        self.head = nn.Linear(11, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        found: torch.Tensor = self.head(x)
        return found


def _resnet() -> nn.Module:
    return torchvision_ops.torchvision.models.resnet18(weights=None)


def _gpt2() -> nn.Module:
    from transformers import GPT2Config, GPT2Model

    return GPT2Model(GPT2Config(vocab_size=97, n_embd=32, n_layer=3, n_head=4, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0))


def _bert() -> nn.Module:
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig(
        vocab_size=97, hidden_size=32, num_attention_heads=4, intermediate_size=48, num_hidden_layers=3,
        hidden_dropout_prob=0, attention_probs_dropout_prob=0,
    ))  # fmt: skip


MODELS: dict[str, tuple[Callable[[], nn.Module], str, dict[str, int], str, dict[str, Any]]] = {
    "stack": (Stack, "B,7,11", {"B": 13}, "blocks", {}),
    "some": (Stack, "B,7,11", {"B": 13}, "blocks.[13]", {}),
    "convolutions": (
        lambda: nn.Sequential(*[nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU()) for _ in range(4)]),
        "B,3,H,W", {"B": 2, "H": 17, "W": 11}, "[0-2]", {},
    ),
    "gpt2": (_gpt2, "i64[B,S]", {"B": 3, "S": 19}, "h", {"use_cache": False}),
    "bert": (_bert, "i64[B,S]", {"B": 3, "S": 19}, "encoder.layer", {}),
}  # fmt: skip


def _filled(spec: str, sizes: dict[str, int]) -> torch.Tensor:
    body = spec[spec.find("[") + 1 :].rstrip("]")
    shape = [sizes[n] if n in sizes else int(n) for n in body.split(",")]
    return torch.randint(5, 90, shape) if spec.startswith("i64") else torch.randn(shape)


def _wrapped(model: nn.Module, paths: tuple[str, ...]) -> nn.Module:
    for path in paths:
        above, _, name = path.rpartition(".")
        parent = model.get_submodule(above)
        parent._modules[name] = Again(model.get_submodule(path))
    return model


@pytest.mark.parametrize("name", MODELS)
def test_checkpoints_are_what_a_real_step_holds(name: str) -> None:
    build, spec, sizes, names, kwargs = MODELS[name]
    torch.manual_seed(0)
    model = build().train()
    before = {n: (p.dtype, p.requires_grad, p.data_ptr()) for n, p in model.named_parameters()}
    step = fxcount.training_step(model, spec, kwargs=kwargs)
    found = step.what_if(checkpoint=names)
    x = _filled(spec, sizes)
    assert step.at(**sizes).peak == real.plain_peak(model, x, kwargs=kwargs)
    assert {n: (p.dtype, p.requires_grad, p.data_ptr()) for n, p in model.named_parameters()} == before
    assert not [m for m in model.modules() if "forward" in m.__dict__]
    tracked = fxcount.training_step(model, spec, kwargs=kwargs, tracker=True).what_if(checkpoint=names).at(**sizes).report
    changed = _wrapped(model, found.change.checkpoint)
    assert (tracked.forward_peak, tracked.peak) == real.tracked(changed, x, kwargs=kwargs)[:2]
    if name != "bert":  # in its layers a norm is last: what is computed again ends in the middle of it, before we look
        assert found.at(**sizes).report.peak == real.plain_peak(changed, x, kwargs=kwargs)
    assert found.at(**sizes).flops_paid == sum(row.flops for row in found.at(**sizes).rows)


def test_what_modules_hold_is_what_is_saved() -> None:
    """Two saved numbers each LayerNorm has beside its input; 33 twice of the inner width: before and after the gelu."""
    model = Stack().train()
    found = fxcount.training_step(model, "B,7,11").what_if(checkpoint="blocks").at(B=13)
    rows, tokens = found.rows, 7 * 13
    assert [row.path for row in rows] == [f"blocks.{i}" for i in range(5)]
    assert rows[0].saved_bytes == 4 * tokens * (2 + 11 + 2 * 33)
    assert rows[0].flops == 2 * tokens * 11 * 33  # the last product is not wanted again


def test_a_plan_takes_the_fewest_modules() -> None:
    model = Stack().train()
    found = fxcount.training_step(model, "B,7,11", optimizer="adamw").what_if(checkpoint="blocks").at(B=64)
    curve = found.curve(6)
    assert [len(point.recompute) for point in curve] == [0, 1, 2, 3, 4, 5]
    assert curve[0].peak == found.base.total_peak
    assert curve[-1].peak == found.report.total_peak
    assert [point.flops_paid for point in curve] == sorted(point.flops_paid for point in curve)
    for budget in (curve[1].peak, curve[2].peak, curve[3].peak):
        plan = found.plan(budget)
        assert plan is not None
        assert plan.peak <= budget
        assert plan == next(point for point in curve if point.peak <= budget)
    assert found.plan(1000) is None
    assert "instead of" in str(found)


def test_a_plan_is_found_where_all_modules_together_need_more_than_none() -> None:
    """Of a net whose whole body is one module, all that is held is held again while it is computed again."""
    model = nn.Sequential(nn.Sequential(nn.Linear(29, 101), nn.ReLU(), nn.Linear(101, 101), nn.ReLU(), nn.Linear(101, 5)))
    found = fxcount.training_step(model.train(), "B,29").what_if(checkpoint="*").at(B=7)
    without = sum(4 * p.numel() for p in model.parameters()) + real.plain_peak(model, torch.randn(7, 29))
    assert found.report.total_peak > without
    plan = found.plan(without)
    assert plan is not None
    assert (plan.recompute, plan.peak) == ((), without)
    assert found.plan(without - 1) is None


def test_other_changes_are_those_of_real_steps() -> None:
    sizes, x = {"B": 13}, torch.randn(13, 7, 11)
    model = Stack().train()
    step = fxcount.training_step(model, "B,7,11", optimizer="adamw")
    frozen = step.what_if(freeze=["blocks.0", "blocks.1"]).at(**sizes)
    half = step.what_if(dtype=torch.bfloat16).at(**sizes)
    plain = step.what_if(optimizer="sgd").at(**sizes)
    twice = step.what_if(accumulate=2).at(**sizes)
    assert plain.report.total_peak == fxcount.training_step(model, "B,7,11", optimizer="sgd").at(**sizes).total_peak
    assert plain.peak_saved > 0 == plain.flops_paid
    grads = sum(4 * p.numel() for p in model.parameters())

    def accumulated() -> torch.Tensor:
        for _ in range(2):
            loss = model(x).sum()
            loss.backward()
        return loss

    assert twice.report.peak == real.allocated_at_most(accumulated, lambda: model.zero_grad()) + x.nbytes
    assert twice.flops_paid == 0
    assert twice.report.gradient_bytes == grads
    for block in (model.blocks[0], model.blocks[1]):
        block.requires_grad_(False)
    assert frozen.report.peak == real.plain_peak(model, x)
    assert frozen.flops_paid < 0
    model.requires_grad_(True)
    assert half.report.peak == real.plain_peak(model.to(torch.bfloat16), x.to(torch.bfloat16))


def test_what_cannot_be() -> None:
    model = Stack().train()
    step = fxcount.training_step(model, "B,7,11")
    with pytest.raises(InputError, match="did you mean 'blocks'"):
        step.what_if(checkpoint="block")
    with pytest.raises(InputError, match="no number of forwards"):
        step.what_if(accumulate=0)
    own = fxcount.training_step(model, "B,7,11", step=lambda model, x: model(x).sum().backward())
    with pytest.raises(InputError, match="a step of your own"):
        own.what_if(optimizer="sgd")
    assert chosen(model, ["blocks.0", "blocks"]) == tuple(f"blocks.{i}" for i in range(5))
    del model
    with pytest.raises(AssumptionError, match="is gone"):
        step.what_if(checkpoint="blocks")


def test_sizes_that_are_fixed_are_those_that_are_shown() -> None:
    """And the others the sample sizes: of a step, and of what a change makes of it."""
    model = nn.Sequential(nn.Linear(7, 11), nn.ReLU(), nn.Linear(11, 3))
    step = fxcount.training_step(model, "B,S,7", hints={"B": 2, "S": 5}).at(B=13)
    whole = fxcount.training_step(model, "B,S,7").at(B=13, S=5)
    assert step.table() == whole.table()
    assert "at B=13, S=5" in step.table()
    assert f"{whole.total_peak:,}" in step.table()
    found, there = (base.what_if(checkpoint="0") for base in (step, whole))
    assert str(found) == str(there)
