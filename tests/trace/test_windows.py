"""Windows as long as a size: numbers like pi in them are values of tensors, and pin nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.signal import windows

import fxcount

WINDOWS: dict[str, dict[str, Any]] = {
    "exponential": {"tau": 2.0}, "cosine": {}, "gaussian": {"std": 3.0}, "kaiser": {"beta": 9.0}, "hamming": {}, "hann": {},
    "blackman": {}, "bartlett": {}, "general_cosine": {"a": [0.5, 0.3, 0.2]}, "general_hamming": {}, "nuttall": {},
}  # fmt: skip


class Windowed(nn.Module):
    def __init__(self, name: str, options: dict[str, Any]) -> None:
        super().__init__()
        self.name, self.options = name, options

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        window: torch.Tensor = getattr(windows, self.name)(x.shape[-1], device=x.device, **self.options)
        return x * window


@pytest.mark.parametrize("sym", [True, False])
@pytest.mark.parametrize("name", WINDOWS)
def test_a_window(name: str, sym: bool) -> None:
    model = Windowed(name, {**WINDOWS[name], "sym": sym})
    report = fxcount.analyze(model, "B,S", hints={"S": 24})
    assert set(report.symbols) == {"B", "S"}
    assert not [a for a in report.assumptions if a.kind == "pin"]
    for at in ({"B": 2, "S": 24}, {"B": 3, "S": 37}):
        x = torch.rand(at["B"], at["S"])
        assert report.at(**at, extend=False).flops == fxcount.analyze(model, tuple(x.shape)).flops
    torch.testing.assert_close(report.graph_module(x), model(x))


class Scales(nn.Module):
    """What is decided on a tensor made of pi and a size is decided as torch's floats say, and pins the size."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        grid = torch.full((), math.pi * x.shape[0])
        return x @ x.mT if bool(grid > 10) else x


def test_a_decision_on_such_a_value_is_no_guess() -> None:
    model = Scales()
    report = fxcount.analyze(model, "B,3", hints={"B": 3})
    assert [report.at(B=n).macs for n in (3, 4, 7)] == [0, 48, 147]
    with pytest.raises(fxcount.AssumptionError):
        report.at(B=4, extend=False)
