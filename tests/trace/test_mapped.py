"""``torch.vmap`` and what is made of it, in sizes that are formulas: against plain runs and fresh analyses in numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, linearize, stack_module_state, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import fxcount
from fxcount.torch_private import VERSION
from tests.oracles import counted_flops

pytestmark = [
    pytest.mark.skipif(VERSION < (2, 13), reason="functions of several dimensions are mapped since torch 2.13"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated"),  # torch's own, the first time jvp runs
    pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning"),  # of torch's, where it runs sample by sample
]

TOKENS = ("E,B,8", {"E": 3, "B": 4}, {"E": 5, "B": 7})
IMAGES = ("E,B,4,H,W", {"E": 3, "B": 2, "H": 8, "W": 9}, {"E": 2, "B": 3, "H": 12, "W": 10})
HEADS = ("E,B,2,S,4", {"E": 3, "B": 2, "S": 5}, {"E": 2, "B": 3, "S": 7})


class Mapped(nn.Module):
    def __init__(self, function: Callable[..., Any], layer: nn.Module | None = None) -> None:
        super().__init__()
        self.layer, self.function = layer, function

    def forward(self, x: torch.Tensor) -> Any:
        return vmap(lambda y: self.function(y) if self.layer is None else self.layer(y))(x)


CASES: dict[str, tuple[nn.Module | Callable[..., Any], tuple[str, dict[str, int], dict[str, int]]]] = {
    "layer_norm": (nn.LayerNorm(8), TOKENS),
    "batch_norm": (nn.BatchNorm2d(4).eval(), IMAGES),
    "group_norm": (nn.GroupNorm(2, 4), IMAGES),
    "max_pool": (lambda y: F.max_pool2d(y, 2), IMAGES),
    "max_pool_with_indices": (lambda y: F.max_pool2d(y, 2, return_indices=True), IMAGES),
    "avg_pool": (lambda y: F.avg_pool2d(y, 2), IMAGES),
    "avg_pool_of_one_image": (lambda y: F.avg_pool2d(y[0], 2), IMAGES),
    "adaptive_pool": (lambda y: F.adaptive_avg_pool2d(y, 3), IMAGES),
    "conv": (nn.Conv2d(4, 6, 3), IMAGES),
    "conv_transpose": (nn.ConvTranspose2d(4, 6, 3, 2), IMAGES),
    "nearest": (lambda y: F.interpolate(y, scale_factor=2), IMAGES),
    "bilinear": (lambda y: F.interpolate(y, scale_factor=2, mode="bilinear"), IMAGES),
    "reflected": (lambda y: F.pad(y, (1, 2, 1, 1), mode="reflect"), IMAGES),
    "unfold": (lambda y: F.unfold(y, 3), IMAGES),
    "gather": (lambda y: torch.gather(y, -1, y.argsort(-1)[:, :2]), TOKENS),
    "attention": (lambda y: F.scaled_dot_product_attention(y, y, y, is_causal=True), HEADS),
    "linear_of_rows": (nn.Linear(4, 5), HEADS),
}


@pytest.mark.parametrize("name", CASES)
def test_a_layer_of_each_sample(name: str) -> None:
    made, (spec, hints, other) = CASES[name]
    model = Mapped(made, made if isinstance(made, nn.Module) else None)
    model.requires_grad_(False)
    report = fxcount.analyze(model, spec, hints=hints)
    assert (report.uncounted, set(report.symbols)) == ((), set(hints))
    for at in (hints, other):
        x = torch.randn([at.get(part) or int(part) for part in spec.split(",")])
        fresh, found = fxcount.analyze(model, tuple(x.shape)), report.at(**at, extend=False)
        assert (found.macs, found.flops) == (fresh.macs, fresh.flops)
        with sdpa_kernel(SDPBackend.MATH):
            assert 2 * found.macs == counted_flops(model, x)
        torch.testing.assert_close(fresh.graph_module(x), model(x), rtol=1e-4, atol=1e-5)


class Ensemble(nn.Module):
    """Models of one kind, in one run by ``functional_call`` of their stacked parameters."""

    def __init__(self, make: Callable[[], nn.Module], each_its_own: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.members = nn.ModuleList([make().eval() for _ in range(3)])
        self.each_its_own = each_its_own
        self.blank = [make().eval().to("meta")]

    def forward(self, x: torch.Tensor) -> Any:
        params, buffers = stack_module_state(list(self.members))

        def run(params: Any, buffers: Any, x: torch.Tensor) -> Any:
            return functional_call(self.blank[0], (params, buffers), (x,))

        return vmap(run, in_dims=(0, 0, 0 if self.each_its_own else None))(params, buffers, x)


ENSEMBLES: dict[str, tuple[Callable[[], nn.Module], bool, tuple[str, dict[str, int], dict[str, int]]]] = {
    "perceptrons": (
        lambda: nn.Sequential(nn.Linear(8, 5), nn.LayerNorm(5), nn.GELU(), nn.Linear(5, 2)), False,
        ("B,8", {"B": 3}, {"B": 7}),
    ),
    "perceptrons, each with its own input": (
        lambda: nn.Sequential(nn.Linear(8, 5), nn.LayerNorm(5), nn.Linear(5, 2)), True, ("3,B,8", {"B": 3}, {"B": 7}),
    ),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 2)
        ), False, ("B,4,H,W", {"B": 2, "H": 8, "W": 9}, {"B": 3, "H": 12, "W": 10}),
    ),
    "convolutions with groups": (
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.GroupNorm(2, 6), nn.MaxPool2d(2)),
        False, ("B,4,H,W", {"B": 2, "H": 8, "W": 9}, {"B": 3, "H": 12, "W": 10}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENSEMBLES)
def test_an_ensemble(name: str) -> None:
    """Its macs are those of its members, one after the other."""
    make, each_its_own, (spec, hints, other) = ENSEMBLES[name]
    model = Ensemble(make, each_its_own)
    model.requires_grad_(False)
    report = fxcount.analyze(model, spec, hints=hints)
    assert (report.uncounted, set(report.symbols)) == ((), set(hints))
    for at in (hints, other):
        x = torch.randn([at.get(part) or int(part) for part in spec.split(",")])
        found = report.at(**at, extend=False)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            wanted = torch.stack([m(x[i] if each_its_own else x) for i, m in enumerate(model.members)])
        assert 2 * found.macs == counter.get_total_flops()
        fresh = fxcount.analyze(model, tuple(x.shape))
        assert (found.flops, found.memory.activations) == (fresh.flops, fresh.memory.activations)
        torch.testing.assert_close(fresh.graph_module(x), wanted, rtol=1e-4, atol=1e-5)


def test_a_function_that_was_mapped_before() -> None:
    def scores(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return torch.relu(x @ w).sum(-1)

    report = fxcount.analyze(vmap(scores, (0, None)), "B,S,4", "4,K")
    assert str(report.macs) == "4*B*K*S"
    x, w = torch.randn(3, 5, 4), torch.randn(4, 7)
    with FlopCounterMode(display=False) as counter:
        vmap(scores, (0, None))(x, w)
    assert 2 * report.at(B=3, S=5, K=7).macs == counter.get_total_flops()


class Linearised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> Any:
        y, product = linearize(self.net, x)
        return y, product(t)


def test_linearize() -> None:
    """A forward of 4*8 + 8*2 for each row, and a ``jvp``: the forward again, and a product with each weight beside it."""
    model = Linearised()
    report = fxcount.analyze(model, "B,4", "B,4")
    (note,) = [n for n in report.trace.notes if "linearize" in n]
    assert "jvp" in note
    x, t = torch.randn(5, 4), torch.randn(5, 4)
    with FlopCounterMode(display=False) as counter:
        wanted = model.net(x), torch.func.jvp(model.net, (x,), (t,))[1]
    assert 2 * report.at(B=5).macs == counter.get_total_flops()
    torch.testing.assert_close(fxcount.analyze(model, (5, 4), (5, 4)).graph_module(x, t), wanted)


class Scorer:
    """No module, but called like a function."""

    def __init__(self) -> None:
        self.layer = nn.Linear(4, 5)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(x).softmax(-1)
        return result


def test_an_object_that_is_called_like_a_function() -> None:
    report = fxcount.analyze(Scorer(), "B,4")
    assert (report.trace.model_name, str(report.macs), report.params.total) == ("Scorer", "20*B", 25)
    with pytest.raises(fxcount.InputError, match="not its class"):
        fxcount.analyze(Scorer, "B,4")


Specs = tuple[str, ...]
_AT, _OTHER = {"E": 3, "B": 4, "S": 7}, {"E": 5, "B": 2, "S": 11}
FUNCTIONS: dict[str, tuple[Callable[..., Any], Specs]] = {
    "cat": (lambda x, y: torch.cat([x, y, x * 2]), ("E,S,5", "E,B,5")),
    "cat with what is not mapped": (lambda x: torch.cat([x, torch.ones(x.shape[0], 2)], -1), ("E,S,5",)),
    "solve": (torch.linalg.solve, ("E,5,5", "E,5,B")),
    "solve of a vector": (torch.linalg.solve, ("E,5,5", "E,5")),
    "index_add": (lambda x, i, y: x.index_add(0, i, y), ("E,9,B", "i64[E,S]", "E,S,B")),
    "index_add along another": (lambda x, i, y: torch.index_add(x, -1, i, y, alpha=2), ("E,B,9", "i64[E,S]", "E,B,S")),
    "cross_entropy": (F.cross_entropy, ("E,S,9", "i64[E,S]")),
    "cross_entropy of images": (lambda x, t: F.cross_entropy(x, t, reduction="sum"), ("E,B,9,S", "i64[E,B,S]")),
    "cross_entropy of each": (lambda x, t: F.cross_entropy(x, t, reduction="none"), ("E,S,9", "i64[E,S]")),
    "nll_loss": (F.nll_loss, ("E,S,9", "i64[E,S]")),
    "nll_loss without a class": (lambda x, t: F.nll_loss(x, t, ignore_index=1), ("E,S,9", "i64[E,S]")),
    "instance_norm": (F.instance_norm, ("E,B,3,S,4",)),
    "instance_norm with weights": (lambda x, w, b: F.instance_norm(x, None, None, w, b), ("E,B,3,S,4", "E,3", "E,3")),
    "gru_cell": (torch.gru_cell, ("E,B,5", "E,B,3", "E,9,5", "E,9,3", "E,9", "E,9")),
    "gru_cell without biases": (torch.gru_cell, ("E,B,5", "E,B,3", "E,9,5", "E,9,3")),
    "rnn_relu_cell": (torch.rnn_relu_cell, ("E,B,5", "E,B,3", "E,3,5", "E,3,3", "E,3", "E,3")),
    "rnn_tanh_cell": (torch.rnn_tanh_cell, ("E,B,5", "E,B,3", "E,3,5", "E,3,3", "E,3", "E,3")),
    "bilinear": (lambda x, y: F.bilinear(x, y, torch.ones(7, 3, 5), torch.ones(7)), ("E,B,3", "E,B,5")),
    "bilinear of vectors": (lambda x, y: F.bilinear(x, y, torch.ones(7, 3, 5)), ("E,3", "E,5")),
    "embedding": (lambda w, i: F.embedding(i, w), ("E,9,5", "i64[E,S]")),
    "embedding of a table": (lambda w, i: F.embedding(i, w), ("E,9,5", "i64[E,B,S]")),
}  # fmt: skip


class Of(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> Any:
        return vmap(self.function)(*inputs)


def _random(spec: str, at: dict[str, int]) -> torch.Tensor:
    shape = [at.get(part) or int(part) for part in spec.removeprefix("i64[").removesuffix("]").split(",")]
    return torch.randint(0, 9, shape) if spec.startswith("i64") else torch.randn(shape)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_each_of_several(name: str) -> None:
    """What is counted in formulas is what is counted in numbers, where torch's own rules are at work."""
    function, specs = FUNCTIONS[name]
    model = Of(function)
    names = {n for n in "EBS" if any(n in spec.removeprefix("i64[").removesuffix("]").split(",") for spec in specs)}
    report = fxcount.analyze(model, *specs, hints={n: _AT[n] for n in names})
    assert report.uncounted == ()
    assert not [a for a in report.assumptions if a.kind == "pin"]
    for sizes in (_AT, _OTHER):
        at = {n: sizes[n] for n in names}
        inputs = [_random(spec, at) for spec in specs]
        found = report.at(**at, extend=False)
        shapes = [tuple(x.shape) if x.is_floating_point() else f"i64[{','.join(map(str, x.shape))}]" for x in inputs]
        fresh = fxcount.analyze(model, *shapes)
        assert (found.macs, found.flops) == (fresh.macs, fresh.flops)
        torch.testing.assert_close(report.graph_module(*inputs), model(*inputs), rtol=1e-4, atol=1e-4)
