"""A text made of a tensor that is made of sizes: where it may be compared it pins, in a message it does not."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import torch
from torch import nn

import fxcount


class Net(nn.Module):
    def __init__(self, asks: Callable[[Any], Any]) -> None:
        super().__init__()
        self.asks = asks

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.exp() if self.asks(x.shape[0]) else x


ASKS: dict[str, Callable[[Any], Any]] = {
    "f-string": lambda n: f"{torch.tensor(n)}" == "7",
    "spec": lambda n: f"{torch.tensor(n):04d}" == "0007",
    "percent": lambda n: "%d" % torch.tensor(n) == "7",  # noqa: UP031
    "repr": lambda n: repr(torch.tensor(n)) == "tensor(7)",
    "str": lambda n: str(torch.tensor([n, 3])) == "tensor([7, 3])",
    "of a list": lambda n: str([torch.tensor(n)]) == "[tensor(7)]",
    "Decimal over it": lambda n: Decimal(14) / n == 2,
    "Decimal times it": lambda n: Decimal("0.5") * n == Decimal("3.5"),
    "Decimal less it": lambda n: n - Decimal(6) == 1,
    "Decimal equal": lambda n: Decimal(7) == n,
    "below zero": lambda n: len(torch.randperm(n - 7) if n > 6 else ()) == 0,
}


@pytest.mark.parametrize("name", ASKS)
def test_what_is_compared(name: str) -> None:
    net = Net(ASKS[name])
    report = fxcount.analyze(net, "H,3", hints={"H": 7})
    assert report.frontend == "trace"
    admitted = 0
    for h in (7, 8, 64):
        try:
            found = report.at(H=h, extend=False).transcendentals
        except fxcount.AssumptionError:
            continue
        admitted += 1
        assert found == (3 * h if ASKS[name](h) else 0)
    assert admitted


def _says(x: torch.Tensor) -> torch.Tensor:
    sizes = torch.tensor([x.shape[0], 3])
    assert x.shape[1] == 3, f"sizes {sizes} of {x}"
    print(sizes)
    return x.exp()


class Says(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _says(x)


def test_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    report = fxcount.analyze(Says(), "H,3", hints={"H": 7})
    assert not report.assumptions
    assert capsys.readouterr().out
    assert str(report.transcendentals) == "3*H"


def test_what_is_asked_of_a_random_number() -> None:
    """torch refuses ``low >= high`` and fewer than no numbers: so do the formulas."""
    for make in (lambda n: torch.randint(0, n - 5, (2,)), lambda n: torch.randperm(n - 5)):
        net = Net(lambda n, make=make: make(n).shape[0] >= 0)
        report = fxcount.analyze(net, "H,3", hints={"H": 7})
        assert report.at(H=64, extend=False).transcendentals == 192
        with pytest.raises(fxcount.AssumptionError):
            report.at(H=4, extend=False)
        with pytest.raises(RuntimeError):
            make(4)
        with pytest.raises(fxcount.ShapeError):
            fxcount.analyze(net, (4, 3))
