"""The drop-in for thop beside thop itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fxcount import InputError
from fxcount.compat import ultralytics_thop
from fxcount.compat.thop import clever_format, profile
from tests.compat.peers import Digits, peer, printed, torchvision_model


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "squeezenet1_0"])
def test_profile_equals_thops(name: str) -> None:
    thop = peer("thop")
    model = torchvision_model(name)
    x = torch.zeros(1, 3, 64, 96)
    assert profile(model, inputs=(x,), verbose=False) == thop.profile(model, inputs=(x,), verbose=False)


class Scaled(nn.Module):
    """A layer thop has no rule for, with a submodule that it has one for."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(5, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * self.inner(x)


def count_scaled(module: Any, x: tuple[torch.Tensor, ...], y: torch.Tensor) -> None:
    """The custom rule of thop's README."""
    module.total_ops += torch.DoubleTensor([x[0].numel() + 100 * y.numel()])


def test_custom_rules_as_in_the_readme() -> None:
    thop = peer("thop")
    model = nn.Sequential(nn.Linear(3, 5), Scaled(), nn.ReLU())
    options: dict[str, Any] = {"inputs": (torch.zeros(2, 3),), "custom_ops": {Scaled: count_scaled}, "verbose": False}
    macs, params = profile(model, **options)
    assert macs == thop.profile(model, **options)[0] == 2 * 5 * 3 + (2 * 5 + 100 * 2 * 7)
    assert params == sum(p.numel() for p in model.parameters())
    assert not [name for name, _ in model.named_buffers()]
    assert "count_scaled" in printed(lambda: profile(model, **{**options, "verbose": True}))
    with pytest.raises(InputError, match="cannot be asked about the size B"):
        profile(model, **{**options, "inputs": ("B,3",)})


def test_the_models_own_rule_adds_to_those_inside() -> None:
    thop = peer("thop")
    options: dict[str, Any] = {"inputs": (torch.zeros(2, 5),), "custom_ops": {Scaled: count_scaled}, "verbose": False}
    assert profile(Scaled(), **options)[0] == thop.profile(Scaled(), **options)[0] == 2 * 5 * 7 + (2 * 5 + 100 * 2 * 7)


def test_a_tensor_alone_is_the_only_input() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(15, 7))
    assert profile(model, torch.zeros(2, 3, 5)) == profile(model, "2,3,5") == (2 * 15 * 7, 15 * 7 + 7)
    assert str(profile(model, "B,3,5")[0]) == f"{15 * 7}*B"


class Gram(nn.Module):
    """A product that no module computes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ x.transpose(-2, -1)


def test_the_successor_of_thop() -> None:
    """Its numbers by hand: it is imported under thop's name, so both cannot be installed."""
    x = torch.zeros(2, 3, 9, 7)
    conv = nn.ConvTranspose2d(3, 8, 2, stride=2)
    assert ultralytics_thop.profile(conv, (x,), verbose=False) == (x.numel() * 8 * 4, 3 * 8 * 4 + 8)  # at its inputs
    assert profile(conv, (x,), verbose=False)[0] == 2 * 8 * 18 * 14 * 3 * 4  # thop: at its outputs
    # a rule adds to what is inside, and hides functions there
    options: dict[str, Any] = {"custom_ops": {Scaled: count_scaled}, "verbose": False}
    both = nn.Sequential(nn.Linear(3, 5), Scaled())
    assert ultralytics_thop.profile(both, (torch.zeros(2, 3),), **options)[0] == 2 * 5 * 3 + 2 * 5 * 7 + (2 * 5 + 100 * 2 * 7)
    assert ultralytics_thop.profile(Gram(), (torch.zeros(2, 8, 16),), verbose=False)[0] == 2 * 8 * 8 * 16
    silent = {Gram: lambda module, x, y: None}
    assert ultralytics_thop.profile(nn.Sequential(Gram()), (torch.zeros(2, 8, 16),), silent, False)[0] == 0
    image, whole = torch.zeros(1, 3, 320, 320), nn.Conv2d(3, 4, 3, padding=1, bias=False)
    assert ultralytics_thop.profile(whole, (image,), verbose=False, stride=32, min_cells=6)[0] == 320 * 320 * 4 * 27
    assert ultralytics_thop.clever_format([1000.0, 999.0]) == ("1.00K", "999.00B")


def test_layers_and_missing_rules() -> None:
    thop = peer("thop")
    model = nn.Sequential(nn.Sequential(nn.Linear(3, 5)), nn.Linear(5, 7), nn.GELU())
    x = torch.zeros(2, 3)
    ours, theirs = (f(model, inputs=(x,), verbose=False, ret_layer_info=True) for f in (profile, thop.profile))
    assert ours[:2] == theirs[:2]
    assert ours[2]["0"] == theirs[2]["0"]
    assert ours[2]["1"][:2] == theirs[2]["1"][:2] == (2 * 5 * 7, 5 * 7 + 7)
    assert "Cannot find rule for GELU" in printed(lambda: profile(model, inputs=(x,), report_missing=True))


def test_formulas_and_formats() -> None:
    thop = peer("thop")
    macs, _ = profile(Digits(), inputs=("B,1,28,28",))
    assert float(macs.subs(macs.free_symbols.pop(), 3)) == profile(Digits(), inputs=(torch.zeros(3, 1, 28, 28),))[0]
    for numbers in ([4133742592.0, 25557032.0], [1e12, 1.5e12, 999.0, 1000.0], 17.0):
        for style in ("%.2f", "%.3f"):
            assert clever_format(numbers, style) == thop.clever_format(numbers, style)
