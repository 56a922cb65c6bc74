"""The drop-in for torchsummary beside torchsummary itself, and the right numbers where that is mistaken."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fxcount import InputError
from fxcount.compat.torchsummary import summary, summary_string
from tests.compat.peers import Digits, Two, peer, printed, torchvision_model


@pytest.mark.parametrize("batch", [-1, 5])
def test_text_of_the_readme_equals_torchsummarys(batch: int) -> None:
    torchsummary = peer("torchsummary")
    model = Digits()
    expected = printed(lambda: torchsummary.summary(model, (1, 28, 28), batch, "cpu"))
    assert printed(lambda: summary(model, (1, 28, 28), batch, "cpu")) == expected
    assert printed(lambda: summary(model, (1, 28, 28), batch)) == expected  # nothing runs, so "cuda" is no obstacle


@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
def test_text_of_torchvision_models_equals_torchsummarys(name: str) -> None:
    torchsummary = peer("torchsummary")
    options = {"init_weights": False} if name == "googlenet" else {}
    model = torchvision_model(name, **options)
    expected = printed(lambda: torchsummary.summary(model, (3, 64, 96), device="cpu"))
    assert summary_string(model, (3, 64, 96), device="cpu")[0] == expected


def test_a_shared_module_is_one() -> None:
    conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    text, counts = summary_string(nn.Sequential(conv, conv), (1, 512, 512), device="cpu")
    assert counts == (9, 9)
    assert text.count("Conv2d-") == 2
    assert "(shared)" in text.splitlines()[4]
    assert "Forward/backward pass size (MB): 4.00" in text


def test_several_inputs_are_added_and_all_parameters_counted() -> None:
    text, counts = summary_string(Two(), [(300,), (300,)], dtypes=[torch.float, torch.float], device="cpu")
    assert counts[0] == 2 * (300 * 50 + 50 + 50 * 10 + 10)
    assert "Input size (MB): 0.00" in text
    _, counts = summary_string(nn.Sequential(nn.LSTM(3, 5, batch_first=True)), (7, 3), device="cpu")
    assert counts[0] == 4 * 5 * (3 + 5) + 2 * 4 * 5  # torchsummary knows no weight_ih_l0


class Converts(Two):
    """Asks for a dtype by the old types of tensors."""

    def forward(self, x1: torch.Tensor, x2: torch.Tensor) -> torch.Tensor:
        return super().forward(x1, x2.type(torch.FloatTensor))


def test_old_types_of_tensors_are_dtypes() -> None:
    sizes, dtypes = [(300,), (300,)], [torch.FloatTensor, torch.LongTensor]
    text, counts = summary_string(Converts(), sizes, device="cpu", dtypes=dtypes)
    assert counts == (2 * (300 * 50 + 50 + 50 * 10 + 10),) * 2
    expected, _ = summary_string(Two(), sizes, device="cpu", dtypes=[torch.float, torch.long])
    assert text.splitlines()[3:8] == expected.splitlines()[3:8]
    assert "Input size (MB): 0.00" in text


def test_symbols_and_a_wrong_device() -> None:
    text, _ = summary_string(nn.Sequential(nn.Conv2d(3, 8, 3)), (3, "H", "W"), device="cpu")
    assert "[-1, 8, H - 2, W - 2]" in text
    with pytest.raises(InputError, match="neither cuda nor cpu"):
        summary_string(nn.ReLU(), (3,), device="meta")
