"""The drop-ins for ptflops and calflops beside the tools themselves."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount import InputError
from fxcount.compat.calflops import calculate_flops
from fxcount.compat.ptflops import flops_to_string, get_model_complexity_info, params_to_string
from tests.compat.peers import Digits, Two, peer, printed, torchvision_model


@pytest.mark.parametrize("backend", ["pytorch", "aten"])
def test_ptflops(backend: str) -> None:
    ptflops = peer("ptflops")
    model = torchvision_model("resnet18").eval()
    options: dict[str, Any] = {"print_per_layer_stat": False, "backend": backend}
    expected = ptflops.get_model_complexity_info(model, (3, 64, 96), **options)
    assert get_model_complexity_info(model, (3, 64, 96), **options) == expected
    numbers = get_model_complexity_info(model, (3, 64, 96), as_strings=False, **options)
    assert (flops_to_string(numbers[0]), params_to_string(numbers[1])) == expected
    utils = importlib.import_module("ptflops.utils")
    for n in (17, 1_700, 25_557_032, 4_133_742_592):
        for unit in (None, "GMac", "MMac", "KMac", "Mac"):
            assert flops_to_string(n, unit, 3) == utils.flops_to_string(n, unit, 3)
        for unit in (None, "B", "M", "K", "x"):
            assert params_to_string(n, unit, 3) == utils.params_to_string(n, unit, 3)


def test_ptflops_inputs_and_refusals() -> None:
    def inputs(shape: tuple[int, ...]) -> dict[str, Any]:
        return {"x1": torch.zeros(1, *shape), "x2": torch.zeros(1, *shape, dtype=torch.long)}

    found = get_model_complexity_info(
        Two(), (300,), print_per_layer_stat=False, as_strings=False, input_constructor=inputs, backend="aten"
    )  # fmt: skip
    assert found == (2 * (300 * 50 + 50 + 50 * 10 + 10),) * 2
    assert "Two(" in printed(lambda: get_model_complexity_info(Two(), (300,), input_constructor=inputs))
    with pytest.raises(InputError, match="ignore_modules"):
        get_model_complexity_info(Digits(), (1, 28, 28), ignore_modules=[nn.Linear])
    with pytest.raises(ValueError, match="backend"):
        get_model_complexity_info(Digits(), (1, 28, 28), backend="other")


def test_calflops() -> None:
    calflops = peer("calflops")
    model = torchvision_model("resnet18").eval()
    for options in ({}, {"output_precision": 4}, {"output_unit": "M"}, {"include_backPropagation": True}):
        asked: dict[str, Any] = {"input_shape": (1, 3, 64, 96), "print_results": False, **options}
        assert calculate_flops(model, **asked) == calflops.calculate_flops(model, **asked)


def test_calflops_inputs_and_refusals() -> None:
    args = [torch.zeros(3, 300), torch.zeros(3, 300)]
    flops, macs, params = calculate_flops(Two(), args=args, output_as_string=False, print_results=False)
    assert (macs, params) == (3 * 2 * (300 * 50 + 50 * 10), 2 * (300 * 50 + 50 + 50 * 10 + 10))
    assert flops > 2 * macs  # activations, but no biases
    assert "Digits(" in printed(lambda: calculate_flops(Digits(), (1, 1, 28, 28)))
    for wrong in ({"input_shape": (1, 1, 28, 28), "forward_mode": "generate"}, {}):
        with pytest.raises(InputError):
            calculate_flops(Digits(), **wrong)


def test_the_models_own_train_is_never_called() -> None:
    """Adapters merge weights in it."""

    class Merges(nn.Linear):
        def train(self, mode: bool = True) -> nn.Module:
            if not mode:
                self.weight.data.add_(1)
            return super().train(mode)

    model = Merges(3, 5)
    before = model.weight.detach().clone()
    fxcount.summary(model, input_size=(2, 3), verbose=0)
    assert torch.equal(model.weight, before)
    assert model.training
