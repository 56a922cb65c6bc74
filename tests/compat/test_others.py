"""The drop-ins for ptflops and calflops beside the tools themselves."""

from __future__ import annotations

import importlib
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount import InputError
from fxcount.compat.calflops import calculate_flops, calculate_flops_hf
from fxcount.compat.calflops.utils import generate_transformer_input
from fxcount.compat.ptflops import FLOPS_BACKEND, flops_to_string, get_model_complexity_info, params_to_string
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
    with pytest.raises(ValueError, match="backend"):
        get_model_complexity_info(Digits(), (1, 28, 28), backend="other")


class Scaled(nn.Module):
    """A module of a class no tool knows, with one inside that it does."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(5, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.mul(self.inner(x), 3)


class Mixed(nn.Module):
    """Convolution, activation, functions and an attention layer, which has modules of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.scaled = nn.Conv1d(3, 5, 2), nn.ReLU(), Scaled()
        self.attention = nn.MultiheadAttention(7, 1, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.scaled(torch.nn.functional.relu(self.act(self.conv(x))).transpose(1, 2))
        return torch.matmul(self.attention(x, x, x)[0], x.transpose(1, 2))


def hooked(module: Any, x: tuple[torch.Tensor, ...], y: torch.Tensor) -> None:
    module.__flops__ += 1000 * y.numel() + x[0].numel()


def batch_of_three(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.zeros(3, *shape)


@pytest.mark.parametrize(
    "options",
    [
        {}, {"backend_specific_config": {"count_functional": False}}, {"input_constructor": batch_of_three},
        {"ignore_modules": [nn.Conv1d, nn.MultiheadAttention]}, {"custom_modules_hooks": {Scaled: hooked}},
        {"custom_modules_hooks": {Scaled: hooked, nn.Conv1d: hooked}, "ignore_modules": [nn.Conv1d]},
        {"custom_modules_hooks": {Mixed: hooked}}, {"input_constructor": lambda shape: {"x": torch.zeros(1, *shape)}},
        {"backend": "aten"}, {"backend": "aten", "input_constructor": batch_of_three},
        {"backend": "aten", "ignore_modules": [torch.ops.aten.addmm]},
        {"backend": "aten", "custom_modules_hooks": {torch.ops.aten.addmm: lambda x, y: x[1].shape[0] + y[0].numel()}},
        {
            "backend": "aten", "custom_modules_hooks": {torch.ops.aten.relu: lambda x, y: 7},
            "ignore_modules": [torch.ops.aten.mm],
        },
    ],
)  # fmt: skip
def test_options_of_ptflops(options: dict[str, Any]) -> None:
    ptflops = peer("ptflops")
    asked: dict[str, Any] = {"as_strings": False, "print_per_layer_stat": False, **options}
    model = Mixed().eval()
    expected = ptflops.get_model_complexity_info(model, (3, 11), **asked)
    assert get_model_complexity_info(model, (3, 11), **asked) == expected
    assert not hasattr(model.conv, "__flops__")


def test_ptflops_arguments_by_position() -> None:
    out = io.StringIO()
    found = get_model_complexity_info(
        nn.Linear(3, 5), (3,), True, True, batch_of_three, out, False, [], {}, FLOPS_BACKEND.ATEN, "KMac", "K", 4
    )  # fmt: skip
    assert found == (f"{3 * 20 / 1000} KMac", "0.02 K")  # 15 products and 5 additions for each of three samples
    assert "Linear(" in out.getvalue()


def test_kernels_are_not_asked_about_symbols() -> None:
    with pytest.raises(InputError, match="the size B"):
        get_model_complexity_info(
            nn.Linear(3, 5), ("B", 3), False, backend="aten", custom_modules_hooks={torch.ops.aten.mm: lambda x, y: 1}
        )  # fmt: skip


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


class Words:
    """A tokenizer that frames a text by two tokens, as BERT's does; what calflops asks of it."""

    pad_token_id = 3

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [101, 102], "token_type_ids": [0, 0], "attention_mask": [1, 1]}

    def encode_plus(self, text: str, **options: Any) -> dict[str, list[int]]:
        return self(text)


def small_bert(attention: str = "eager") -> Any:
    transformers = peer("transformers")
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40, "vocab_size": 107}
    return transformers.BertModel(transformers.BertConfig(**sizes, attn_implementation=attention)).eval()


def test_the_tokenizer_of_calflops() -> None:
    calflops, theirs = peer("calflops"), importlib.import_module("calflops.utils")
    made = generate_transformer_input(Words(), (3, 7))
    expected = theirs.generate_transformer_input(Words(), (3, 7), "cpu")
    assert made.keys() == expected.keys()
    assert all(torch.equal(made[name], expected[name]) for name in made)
    asked: dict[str, Any] = {"transformer_tokenizer": Words(), "print_results": False, "output_as_string": False}
    for shape in ((3, 7), None):
        flops, macs, params = calflops.calculate_flops(small_bert(), input_shape=shape, **asked)
        batch, length = shape or (1, 128)
        gelu = 2 * batch * length * 40  # transformers keeps F.gelu by reference, so calflops does not see it
        assert calculate_flops(small_bert(), shape, **asked) == (flops + gelu, macs, params)
    for wrong in ({"input_shape": (3, 7, 2)}, {"input_shape": (1, 1)}, {"args": [torch.zeros(1, 7)]}):
        with pytest.raises(InputError):
            calculate_flops(small_bert(), **{**asked, **wrong})


def test_a_local_configuration_as_in_calculate_flops_hf(tmp_path: Path) -> None:
    model = small_bert("sdpa")  # what a configuration says nothing of
    model.config.save_pretrained(tmp_path)
    asked: dict[str, Any] = {"print_results": False, "output_as_string": False}
    ids = {name: torch.ones(2, 11, dtype=torch.long) for name in ("input_ids", "attention_mask")}
    expected = calculate_flops(model, kwargs=ids, **asked)
    for name in (str(tmp_path), str(tmp_path / "config.json")):
        assert calculate_flops_hf(name, input_shape=(2, 11), **asked) == expected
    *found, table = calculate_flops_hf(str(tmp_path), empty_model=model, input_shape=(2, 11), return_results=True, **asked)
    assert tuple(found) == expected
    assert "BertModel" in table
    with pytest.raises(InputError, match="nothing is downloaded"):
        calculate_flops_hf("bert-base-uncased", input_shape=(1, 3))


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
