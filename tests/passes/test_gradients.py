"""Which parameters get a gradient, against autograd itself: a real backward from a scalar of the outputs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

import fxcount
from tests.oracles import unfused
from tests.passes.gradient_zoo import MODELS, Model
from tests.zoo import inputs


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Such small kernels lose more by waiting for each other than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def with_gradient(model: nn.Module, result: Any) -> set[str]:
    """Names of the parameters whose grad is not None after a backward from the sum of the floating outputs."""
    leaves = [t for t in tree_leaves(result) if isinstance(t, torch.Tensor) and t.is_floating_point()]
    loss = sum(t.sum() for t in leaves if t.requires_grad)
    if isinstance(loss, torch.Tensor):
        loss.backward()
    return {n for n, p in model.named_parameters() if p.grad is not None}


def predicted(report: fxcount.Report) -> set[str]:
    return {r.name for r in report.params.rows() if r.gets_gradient}


@pytest.mark.parametrize("case", MODELS, ids=str)
def test_real_models(case: Model) -> None:
    """Parameter by parameter, in training and in eval mode."""
    torch.manual_seed(7)
    model = case.build()
    for training in case.modes:
        model.train(training).zero_grad()
        found = predicted(case.analyse(model))
        with unfused():
            result = model(*inputs(case.args, case.sizes), **inputs(case.kwargs, case.sizes))
        if isinstance(result, dict):  # a cache is no container that a loss would look into
            result = {k: v for k, v in result.items() if isinstance(v, (torch.Tensor, tuple, list))}
        assert found == with_gradient(model, result), "training" if training else "evaluation"


def test_there_are_enough_models() -> None:
    assert len({case.name for case in MODELS}) == len(MODELS) >= 60


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


def only_the_places(n: Any, x: torch.Tensor) -> Any:
    _, places = (x @ n.a).topk(2)
    biggest = (x @ n.b).max(-1).indices
    return (x @ n.c).gather(-1, places), n.d[biggest], torch.sort(x @ n.e).values


def as_a_shape(n: Any, x: torch.Tensor) -> Any:
    y = torch.zeros_like(n.a) + n.b.new_ones(5) + torch.empty_like(n.c * 2).fill_(1)
    return y.sum() * x, x[:1].expand_as(n.d), x[0].type_as(n.e).view_as(n.e[0])


def base_used_after_a_write_through_a_view(n: Any, x: torch.Tensor) -> Any:
    """The base has a history once its row has been written with one, and not before."""
    base = torch.zeros(5, 5)
    before = base @ n.cold
    row = base[2]
    row.add_(n.a[0])
    return x @ base, before.detach() @ n.b


def view_read_after_its_base_was_written(n: Any, x: torch.Tensor) -> Any:
    base = x.clone()
    view = base[:, :2]
    base.mul_(n.a.sum())
    return (view * 2).t()


def written_behind_autograds_back(n: Any, x: torch.Tensor) -> Any:
    """Writes to a detached alias change the data and leave no trace in the graph."""
    y, z = x @ n.a, x @ n.b
    y.detach().mul_((x @ n.c).sum())
    z.data.copy_(x @ n.d)
    return y, z


def overwritten_wholly(n: Any, x: torch.Tensor) -> Any:
    """What a write replaces still gets a gradient, of zeros."""
    y = x @ n.a
    y.copy_(x @ n.b)
    z = (x @ n.c).clone().zero_()
    return y, z, (x @ n.d).masked_fill(x > 0, 0.0)


def many_to_many(n: Any, x: torch.Tensor) -> Any:
    """Results that depend on one operand each; only the first of each is returned."""
    first, _ = torch.broadcast_tensors(n.a[0], n.b)
    rows, _ = torch.meshgrid(n.c[0], n.d[0], indexing="ij")
    return first, rows * x.sum()


class Rounds(torch.autograd.Function):
    """A straight-through estimator."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return grad


class Scales(torch.autograd.Function):
    """The newer form, with two results, the second declared not differentiable; an input is returned as it is."""

    @staticmethod
    def forward(x: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x.detach() * scale

    @staticmethod
    def setup_context(ctx: Any, given: Any, output: Any) -> None:
        ctx.save_for_backward(given[1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return grad, torch.zeros_like(ctx.saved_tensors[0])


def custom_functions(n: Any, x: torch.Tensor) -> Any:
    same, plain = Scales.apply(x @ n.b, n.c[0])
    return Rounds.apply(x @ n.a), same, plain @ n.d


def custom_function_without_its_main_result(n: Any, x: torch.Tensor) -> Any:
    _, plain = Scales.apply(x @ n.a, n.b[0])
    with torch.no_grad():
        rounded = Rounds.apply(x @ n.c)
    return plain, rounded, Rounds.apply(n.cold) @ n.d


def checkpointed(n: Any, x: torch.Tensor) -> Any:
    kept = checkpoint(lambda y: y @ n.a, x, use_reentrant=False)
    again = checkpoint(lambda y: y @ n.b, kept, use_reentrant=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "None of the inputs have requires_grad")
        lost = checkpoint(lambda y: y @ n.c, x, use_reentrant=True)
    return again, lost


def of_every_kind(n: Any, x: torch.Tensor) -> Any:
    """A complex result, a nested container, a parameter returned as it is, one that comes back through itself."""
    spectrum = torch.fft.rfft(x @ n.a)
    return {"deep": [{"c": torch.view_as_real(spectrum)}], "raw": n.b, "detached": n.c.detach(), "copy": (n.d.clone(),)}


BODIES = [
    detached, under_no_grad, thrown_away, integers, overwritten, through_views, selected, only_the_places, as_a_shape,
    base_used_after_a_write_through_a_view, view_read_after_its_base_was_written, written_behind_autograds_back,
    overwritten_wholly, many_to_many, custom_functions, custom_function_without_its_main_result, checkpointed, of_every_kind,
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=lambda f: f.__name__)
def test_hand_made_models(body: Callable[..., Any]) -> None:
    model = Net(body)
    report = fxcount.analyze(model, "B,5", hints={"B": 7})
    assert predicted(report) == with_gradient(model, model(torch.randn(7, 5)))
    unused = fxcount.find_unused_parameters(model, "B,5")
    assert set(unused) == set("abcde") - predicted(report)
    assert set(unused) <= {r.name for r in report.params.rows("dead")}


def test_functions_of_autograd_are_themselves_again() -> None:
    """Also after an error inside one."""
    before = vars(torch.autograd.Function)["apply"]
    fxcount.analyze(Net(custom_functions), "B,5")
    assert vars(torch.autograd.Function)["apply"] is before
    with pytest.raises(TypeError, match="forward"):
        fxcount.analyze(Net(lambda n, x: Rounds.apply(x @ n.a, 3)), "B,5")
    assert vars(torch.autograd.Function)["apply"] is before
    x = torch.randn(3, requires_grad=True)
    Rounds.apply(x).sum().backward()
    assert x.grad is not None


def test_the_callers_no_grad_does_not_make_all_unused() -> None:
    model = Net(detached)
    with torch.no_grad():
        assert fxcount.find_unused_parameters(model, "B,5") == ["b", "c", "d", "e"]
        assert [r.name for r in fxcount.analyze(model, "B,5").params.rows("dead")] == ["d", "e", "cold"]


class Heads(nn.Module):
    """A trunk with two heads, and a list of both results."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.left, self.right = nn.Linear(3, 3), nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        y = self.trunk(x)
        left, right = self.left(y), self.right(y)
        return {"logits": left, "aux": right, "all": [{"x.y": left}, right]}


def test_outputs_can_be_chosen() -> None:
    right, left = ["right.weight", "right.bias"], ["left.weight", "left.bias"]
    report = fxcount.analyze(Heads(), "B,3")
    for outputs, unused in {
        None: [], "logits": right, "aux": left, "all": [], "all.0": right, "all.0.x.y": right, "all.1": left,
        ("logits", "aux"): [],
    }.items():  # fmt: skip
        assert fxcount.find_unused_parameters(Heads(), "B,3", outputs=outputs) == unused
        params = report.params if outputs is None else report.params_for(outputs)
        assert [r.name for r in params.rows("dead")] == unused
    for missing, known in {"loss": "logits, aux, all", "all.2": "0, 1"}.items():
        with pytest.raises(fxcount.InputError, match=f"(?s)no output .*its outputs are {known}"):
            fxcount.find_unused_parameters(Heads(), "B,3", outputs=missing)


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
