"""Functions of Python and TorchScript as models."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import fxcount

LAYER = nn.Linear(5, 3)


def with_global(x: torch.Tensor, scale: float = 2.0) -> torch.Tensor:
    return LAYER(x) * scale


def of_closure() -> Callable[..., Any]:
    inner, weight = nn.Linear(5, 7), nn.Parameter(torch.zeros(7, 3))
    return lambda x: inner(x) @ weight


class Holder:
    def __init__(self) -> None:
        self.head = nn.Linear(5, 3)

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.l, self.idle = nn.Linear(5, 3), nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return self.l(x)


HOLDER, NET = Holder(), Net()
MODELS: dict[str, tuple[Any, tuple[str, ...], str, list[str]]] = {
    "function": (with_global, ("B,5",), "15*B", ["LAYER.weight", "LAYER.bias"]),
    "closure": (of_closure(), ("B,5",), "56*B", ["inner.weight", "inner.bias", "weight"]),
    "partial": (functools.partial(with_global, scale=3.0), ("B,5",), "15*B", ["LAYER.weight", "LAYER.bias"]),
    "method": (HOLDER.predict, ("B,5",), "15*B", ["head.weight", "head.bias"]),
    "method of a module": (
        NET.features, ("B,5",), "15*B", ["self.l.weight", "self.l.bias", "self.idle.weight", "self.idle.bias"]
    ),
    "function of torch": (functools.partial(torch.einsum, "bi,oi->bo"), ("B,5", "3,5"), "15*B", []),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_function(name: str) -> None:
    model, specs, macs, parameters = MODELS[name]
    report = fxcount.analyze(model, *specs)
    assert (report.frontend, str(report.macs)) == ("trace", macs)
    assert sorted(row.name for row in report.params.rows()) == sorted(parameters)
    assert report.at(B=7, extend=False).macs == fxcount.analyze(model, *[s.replace("B", "7") for s in specs]).macs


def test_its_arguments_have_their_names() -> None:
    report = fxcount.analyze(with_global, x="B,5", scale=0.5)
    assert [v.name for v in report.trace.inputs] == ["x"]
    with pytest.raises(fxcount.InputError, match="with_global"):
        fxcount.analyze(with_global, "B,5", y="B,5")


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_functions_of_torchscript() -> None:
    def norm(x: torch.Tensor, n: int = 2) -> torch.Tensor:
        y = x @ x.t()
        return y.relu() * n

    for model in (torch.jit.script(norm), torch.jit.trace(norm, torch.zeros(3, 5))):
        report = fxcount.analyze(model, "B,5")
        assert str(report.macs) == "5*B**2"
        assert str(report.flops) == "12*B**2"


def test_a_class_is_no_model() -> None:
    with pytest.raises(fxcount.InputError, match="got type"):
        fxcount.analyze(nn.Linear, "B,5")  # type: ignore[arg-type]


@pytest.mark.parametrize(("spec", "sizes"), [("B,5,7", {"B": 11}), ("H,7", {"H": 13}), ("H,3", {"H": 17})])
@pytest.mark.parametrize("function", [torch.svd_lowrank, torch.pca_lowrank], ids=lambda f: f.__name__)
def test_functions_of_torch_written_in_python_fall_into_their_ops(
    function: Callable[..., Any], spec: str, sizes: dict[str, int]
) -> None:
    """Also where the function itself asks whether it is to be handed on; the products are those torch's counter sees."""
    report = fxcount.analyze(lambda x: function(x, q=2), spec)
    (size,) = sizes.values()
    with FlopCounterMode(display=False) as counter:
        function(torch.empty([size, *map(int, spec.split(",")[1:])], device="meta"), q=2)
    assert 2 * report.at(**sizes, extend=False).macs == counter.get_total_flops() > 0
    assert not report.uncounted


@pytest.mark.parametrize("function", [torch.relu, torch.Tensor.relu, torch.nn.functional.relu])
def test_functions_of_torch_are_models(function: Callable[..., Any]) -> None:
    report = fxcount.analyze(function, "B,5")
    assert report.flops == 5 * report.symbol("B")
    assert report.trace.model_name == "relu"
