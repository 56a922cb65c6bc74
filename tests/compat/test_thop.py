"""The drop-in for thop beside thop itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fxcount import InputError
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
