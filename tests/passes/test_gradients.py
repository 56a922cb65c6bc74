"""Which parameters get a gradient, against autograd itself: a real backward from a scalar of the outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

import fxcount
from tests.oracles import as_traced
from tests.zoo import CASES, inputs

SIZES = {
    "resnet18": {"B": 2, "H": 61, "W": 67},
    "mobilenet_v3_small": {"B": 2, "H": 61, "W": 67},
    "shufflenet_v2_x0_5": {"B": 2, "H": 61, "W": 67},
    "googlenet": {"B": 2, "H": 61, "W": 67},
    "swin_t": {"B": 1, "H": 127, "W": 118},
    "timm_vit": {"B": 2},
    "timm_mobilevit": {"B": 2, "H": 96, "W": 64},
    "timm_ghostnet": {"B": 2, "H": 61, "W": 67},
    "timm_poolformer": {"B": 2, "H": 61, "W": 67},
    "llama": {"B": 2, "S": 17},
    "llama_cached": {"B": 2, "S": 17},
    "bert": {"B": 2, "S": 17},
    "gpt2": {"B": 2, "S": 17},
    "t5": {"B": 2, "S": 17, "T": 11},
    "whisper": {"B": 2, "T": 11},
}


def with_gradient(model: nn.Module, result: Any) -> set[str]:
    """Names of the parameters whose grad is not None after a backward from the sum of the floating outputs."""
    leaves = [t for t in tree_leaves(result) if isinstance(t, torch.Tensor) and t.is_floating_point()]
    loss = sum(t.sum() for t in leaves if t.requires_grad)
    if isinstance(loss, torch.Tensor):
        loss.backward()
    return {n for n, p in model.named_parameters() if p.grad is not None}


def predicted(report: fxcount.Report) -> set[str]:
    return {r.name for r in report.params.rows() if r.gets_gradient}


@pytest.mark.parametrize("name", SIZES)
def test_real_models(name: str) -> None:
    case = CASES[name]
    model = case.on("cpu").train() if name != "swin_t" else case.on("cpu")
    report = case.analyse(model)
    args, kwargs = inputs(case.args, SIZES[name]), dict(inputs(case.kwargs, SIZES[name]))
    with as_traced():
        result = model(*args, **kwargs)
    if isinstance(result, dict):  # a cache holds no output of its own
        result = {k: v for k, v in result.items() if isinstance(v, torch.Tensor)}
    assert predicted(report) == with_gradient(model, result)


class Net(nn.Module):
    """Parameters a to e and whatever ``body`` does with them."""

    def __init__(self, body: Callable[..., Any]) -> None:
        super().__init__()
        for name in "abcde":
            self.register_parameter(name, nn.Parameter(torch.randn(5, 5)))
        self.cold = nn.Parameter(torch.randn(5, 5), requires_grad=False)
        self.body = body

    def forward(self, x: torch.Tensor) -> Any:
        return self.body(self, x)


def detached(n: Any, x: torch.Tensor) -> Any:
    return x @ n.a + (x @ n.b).detach() + n.c.data.sum()


def under_no_grad(n: Any, x: torch.Tensor) -> Any:
    with torch.no_grad():
        y = x @ n.a
        with torch.enable_grad():
            z = y @ n.b
    return z + y


def thrown_away(n: Any, x: torch.Tensor) -> Any:
    x @ n.a
    y = x @ n.b
    return y * 0 + torch.zeros(n.c.shape[0])


def integers(n: Any, x: torch.Tensor) -> Any:
    places = (x @ n.a).argmax(-1)
    return n.b[places], (x @ n.c > 0).float(), (x @ n.d).long(), torch.floor(x @ n.e)


def overwritten(n: Any, x: torch.Tensor) -> Any:
    y = torch.zeros(x.shape[0], 5)
    y[:, 1] = (x @ n.a)[:, 0]
    y.view(-1)[:3] += n.b.sum()
    z = x.clone()
    z.copy_(x @ n.c)
    return y, z.t()


def through_views(n: Any, x: torch.Tensor) -> Any:
    first, _ = (x @ n.a).chunk(2, -1)
    base = torch.zeros(5, 5)
    row = base[2]
    row.add_(n.b[0])
    return first, base, n.c.t()[1:].expand(2, 4, 5), n.cold @ n.d


def selected(n: Any, x: torch.Tensor) -> Any:
    values, places = (x @ n.a).topk(2)
    weights = (x @ n.b).softmax(-1).gather(-1, places)
    return values.detach() * weights, torch.where(x > 0, x @ n.c, x @ n.d), (x @ n.e).sign()


BODIES = [detached, under_no_grad, thrown_away, integers, overwritten, through_views, selected]


@pytest.mark.parametrize("body", BODIES, ids=lambda f: f.__name__)
def test_hand_made_models(body: Callable[..., Any]) -> None:
    model = Net(body)
    report = fxcount.analyze(model, "B,5", hints={"B": 7})
    assert predicted(report) == with_gradient(model, model(torch.randn(7, 5)))
    unused = fxcount.find_unused_parameters(model, "B,5")
    assert set(unused) == set("abcde") - predicted(report)
    assert set(unused) <= {r.name for r in report.params.rows("dead")}


@pytest.mark.parametrize(
    ("body", "name", "reason"),
    [
        (thrown_away, "a", "what is computed from it does not reach an output"),
        (thrown_away, "c", "no op uses it"),
        (detached, "b", "detach passes none on at "),
        (under_no_grad, "a", "under no_grad at "),
        (integers, "a", "argmax passes none on at "),
        (integers, "c", "gt passes none on at "),
    ],
)
def test_reasons(body: Callable[..., Any], name: str, reason: str) -> None:
    (row,) = [r for r in fxcount.analyze(Net(body), "B,5").params.rows("dead") if r.name == name]
    assert reason in row.reason
    if " at " in reason:
        path, _, line = row.reason.rpartition(" at ")[2].rpartition(":")
        assert path == __file__
        assert body.__code__.co_firstlineno < int(line) <= body.__code__.co_firstlineno + 6


def test_the_callers_no_grad_does_not_make_all_unused() -> None:
    model = Net(detached)
    with torch.no_grad():
        assert fxcount.find_unused_parameters(model, "B,5") == ["b", "c", "d", "e"]
        assert [r.name for r in fxcount.analyze(model, "B,5").params.rows("dead")] == ["d", "e", "cold"]


def test_outputs_can_be_chosen() -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.left, self.right = nn.Linear(3, 3), nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            y = self.trunk(x)
            return {"logits": self.left(y), "aux": self.right(y)}

    assert fxcount.find_unused_parameters(Heads(), "B,3") == []
    assert fxcount.find_unused_parameters(Heads(), "B,3", outputs="logits") == ["right.weight", "right.bias"]
    with pytest.raises(fxcount.InputError, match="its outputs are logits, aux"):
        fxcount.find_unused_parameters(Heads(), "B,3", outputs="loss")


def test_a_model_without_gradients_is_judged_by_its_data() -> None:
    class Predicts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(3, 5), nn.Linear(3, 5)

        @torch.no_grad()
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.idle(x)
            return self.used(x).argmax(-1)

    report = fxcount.analyze(Predicts(), "B,3")
    assert [r.name for r in report.params.rows("dead")] == ["idle.weight", "idle.bias"]
    assert report.params.dead == 20
