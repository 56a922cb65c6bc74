"""Why parameters are dead: one net for every cause, its place in this file, its bytes; and what only one mode uses."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.utils.checkpoint import checkpoint

import fxcount
from fxcount.passes import ParameterRow
from tests.passes.test_gradients import Net


def dead_rows(model: nn.Module, given: str = "B,5") -> dict[str, ParameterRow]:
    return {r.name: r for r in fxcount.analyze(model, given).params.rows("dead")}


class Unused(nn.Module):
    """Of three layers in a list the second runs; of two in a sequence none; one module runs without its bias."""

    def __init__(self) -> None:
        super().__init__()
        self.some = nn.ModuleList(nn.Linear(5, 5, bias=False) for _ in range(3))
        self.none = nn.Sequential(nn.Linear(5, 5, bias=False), nn.Sequential(nn.Linear(5, 7)))
        self.part = nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.some[1](x) + nn.functional.linear(x, self.part.weight)


def test_modules_never_called() -> None:
    """The outermost module of which nothing runs is named; a layer of which a weight is taken is not called either."""
    rows = dead_rows(Unused())
    assert {n: (r.cause, r.reason, r.nbytes) for n, r in rows.items()} == {
        "some.0.weight": ("module never called", "module some.0 is never called", 100),
        "some.2.weight": ("module never called", "module some.2 is never called", 100),
        "none.0.weight": ("module never called", "module none is never called", 100),
        "none.1.0.weight": ("module never called", "module none is never called", 140),
        "none.1.0.bias": ("module never called", "module none is never called", 28),
        "part.bias": ("module never called", "module part is never called", 20),
    }


def no_use(n: Any, x: torch.Tensor) -> Any:
    return x @ n.b


def no_path(n: Any, x: torch.Tensor) -> Any:
    (x @ n.a).relu().sum()
    return x @ n.b


def shape_read(n: Any, x: torch.Tensor) -> Any:
    return torch.zeros(n.a.shape[0]) + x @ n.b


def shape_of_copy(n: Any, x: torch.Tensor) -> Any:
    return torch.zeros_like(n.a * 2)[0] + x @ n.b


def expanded_to(n: Any, x: torch.Tensor) -> Any:
    return x[0].expand_as(n.a), x @ n.b


def detached(n: Any, x: torch.Tensor) -> Any:
    return (x @ n.a).detach() * 2 + x @ n.b


def grad_mode_off(n: Any, x: torch.Tensor) -> Any:
    with torch.no_grad():
        y = x @ n.a
    return (y * 2).relu() + x @ n.b


def largest(n: Any, x: torch.Tensor) -> Any:
    return n.b[(x @ n.a).argmax(-1)] * 2


def compared_with_zero(n: Any, x: torch.Tensor) -> Any:
    return (x @ n.a > 0).float() * (x @ n.b)


def cast_to_integer(n: Any, x: torch.Tensor) -> Any:
    return (x @ n.a).long().float() + x @ n.b


def places_of_the_best(n: Any, x: torch.Tensor) -> Any:
    return (x @ n.b).gather(-1, (x @ n.a).topk(2).indices)


def in_reentrant_checkpoint(n: Any, x: torch.Tensor) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "None of the inputs have requires_grad")
        return checkpoint(lambda y: y @ n.a, x, use_reentrant=True) + x @ n.b


def closed_over_by_a_function(n: Any, x: torch.Tensor) -> Any:
    class Closure(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, y: torch.Tensor) -> torch.Tensor:
            return y @ n.a

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
            return grad

    return Closure.apply(x @ n.b)


REASONS: list[tuple[Callable[..., Any], str, str, int]] = [
    # what becomes of a, the cause, what the reason says before its place, line of that place in the function
    (no_use, "never used", "module Net is called, but no op uses it", 0),
    (no_path, "no path to an output", "does not reach an output; last used by matmul at", 1),
    (shape_read, "shape only", "only its shape is read at", 1),
    (shape_of_copy, "shape only", "only as a shape: zeros_like asks it for no more at", 1),
    (expanded_to, "shape only", "only as a shape: expand_as asks it for no more at", 1),
    (detached, "no gradient", "without a gradient: detach passes none on at", 1),
    (grad_mode_off, "no gradient", "without a gradient: matmul runs under no_grad at", 2),
    (largest, "no gradient", "without a gradient: argmax passes none on at", 1),
    (compared_with_zero, "no gradient", "without a gradient: gt passes none on at", 1),
    (cast_to_integer, "no gradient", "without a gradient: long passes none on at", 1),
    (places_of_the_best, "no gradient", "without a gradient: topk passes none on at", 1),
    (in_reentrant_checkpoint, "no gradient", "matmul runs in a reentrant checkpoint, no input of which asks for one, at", 3),
    (closed_over_by_a_function, "no gradient", "matmul runs in Closure, whose backward gives it none, at", 4),
]


@pytest.mark.parametrize(("body", "cause", "says", "line"), REASONS, ids=[r[0].__name__ for r in REASONS])
def test_causes(body: Callable[..., Any], cause: str, says: str, line: int) -> None:
    """Each with its line; b is alive in all of them, and gets its gradient from a real backward too."""
    model = Net(body)
    result = model(torch.randn(7, 5))
    sum(t.sum() for t in (result if isinstance(result, tuple) else (result,))).backward()
    assert model.a.grad is None
    assert model.b.grad is not None
    rows = dead_rows(model)
    assert "b" not in rows
    row = rows["a"]
    assert (row.cause, row.nbytes) == (cause, 100)
    assert says in row.reason
    if line:
        path, found = re.search(r" at (\S+):(\d+)", row.reason).groups()  # type: ignore[union-attr]
        assert (path, int(found)) == (__file__, body.__code__.co_firstlineno + line)


def test_a_module_is_named_with_the_call() -> None:
    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(5, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x).detach()

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.rest, self.lost = Inner(), nn.Linear(5, 5), nn.Linear(5, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.lost(x)
            return self.inner(self.rest(x)) + self.rest(x)

    rows = dead_rows(Outer())
    assert "detach in inner passes none on at" in rows["inner.layer.weight"].reason
    assert "last used by linear in lost at" in rows["lost.bias"].reason
    assert set(rows) == {"inner.layer.weight", "inner.layer.bias", "lost.weight", "lost.bias"}


class ByAttribute(nn.Module):
    """A plain attribute of the name of the parameter is what ``self.scale`` finds."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(5))
        self.__dict__["scale"] = torch.ones(5)
        self.layer = nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) * self.scale


class Replaces(nn.Module):
    """A parametrization that puts its own weight in the place of the original."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.zeros(5, 5))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return self.own


def without_its_hook() -> nn.Module:
    """Weight normalisation whose weight is computed no more: the last one stays, as a plain attribute."""
    with pytest.warns(FutureWarning, match="weight_norm"):
        layer = nn.utils.weight_norm(nn.Linear(5, 5))
    layer._forward_pre_hooks.clear()
    layer.weight = torch.ones(5, 5)
    return layer


SHADOWED: dict[str, tuple[Callable[[], nn.Module], set[str], str]] = {
    "attribute": (ByAttribute, {"scale"}, "shadowed by the plain attribute scale, which"),
    "parametrization": (
        lambda: parametrize.register_parametrization(nn.Linear(5, 5), "weight", Replaces()),
        {"parametrizations.weight.original"}, "shadowed: weight is not computed from it by its parametrization",
    ),
    "hook": (without_its_hook, {"weight_g", "weight_v"}, "shadowed by the plain attribute weight, which"),
}  # fmt: skip


@pytest.mark.parametrize("name", SHADOWED)
def test_shadowed(name: str) -> None:
    """And autograd gives these no gradient."""
    build, names, says = SHADOWED[name]
    model = build()
    model(torch.randn(7, 5)).sum().backward()
    assert {n for n, p in model.named_parameters() if p.grad is None} == names
    rows = dead_rows(model)
    assert set(rows) == names
    assert all(r.cause == "shadowed" and says in r.reason for r in rows.values())


def test_a_parametrized_weight_is_not_shadowed() -> None:
    assert dead_rows(parametrizations.weight_norm(nn.Linear(5, 5))) == {}
    assert dead_rows(ByAttribute().layer) == {}


def test_frozen_is_not_dead() -> None:
    """What asks for no gradient is dead only if it has no effect."""
    model = Unused().requires_grad_(False)
    assert set(dead_rows(model)) == set(dead_rows(Unused()))
    p = fxcount.analyze(model, "B,5").params
    assert (p.trainable, p.frozen) == (0, p.total)


class Modes(nn.Module):
    """A head for training, one for evaluation, one for both and one for none."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.train_only, self.eval_only, self.never = (nn.Linear(5, 3, bias=False) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.both(x) + (self.train_only if self.training else self.eval_only)(x)


@pytest.mark.parametrize("training", [True, False])
def test_modes(training: bool) -> None:
    model = Modes().train(training)
    model.both.eval()
    rows = fxcount.compare_modes(model, "B,5")
    assert [(r.name, r.state, r.training, r.evaluation, r.nbytes) for r in rows] == [
        ("both.weight", "in both modes", "", "", 60),
        ("train_only.weight", "only in training", "", "module train_only is never called", 60),
        ("eval_only.weight", "only in evaluation", "module eval_only is never called", "", 60),
        ("never.weight", "in no mode", "module never is never called", "module never is never called", 60),
    ]
    assert (model.training, model.both.training, model.never.training) == (training, False, training)


def test_unused_parameters_are_those_of_training() -> None:
    """Whatever the mode the model is in, which it keeps, also after an error."""
    for model in (Modes(), Modes().eval()):
        before = [m.training for m in model.modules()]
        assert fxcount.find_unused_parameters(model, "B,5") == ["eval_only.weight", "never.weight"]
        with pytest.raises(fxcount.ShapeError):
            fxcount.find_unused_parameters(model, "B,7")
        assert [m.training for m in model.modules()] == before


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_heads(name: str) -> None:
    """They are what dies between training and evaluation."""
    import torchvision

    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None, init_weights=False, aux_logits=True)
    rows = fxcount.compare_modes(model, "B,3,299,299")
    alive = {r.name for r in rows if r.state == "in both modes"}
    assert {r.state for r in rows} == {"in both modes", "only in training"}
    assert alive == {n for n, _ in model.named_parameters() if not n.lower().startswith("aux")}


def test_dead_parameters_of_real_models_name_their_module() -> None:
    """The pooler of a BERT of which only the last hidden state is asked for."""
    from tests.zoo import analysed

    params = analysed("bert").params_for("last_hidden_state")
    assert {(r.name, r.cause) for r in params.rows("dead")} == {
        ("pooler.dense.weight", "no path to an output"), ("pooler.dense.bias", "no path to an output")
    }  # fmt: skip
    assert all("linear in pooler.dense at" in r.reason for r in params.rows("dead"))
