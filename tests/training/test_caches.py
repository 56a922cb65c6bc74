"""What a module makes for itself in its first forward and keeps is there before the steps that count."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fxcount
from tests.training import real


class _Attribute(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(5, 7)
        self.table: Any = None

    def forward(self, x: Tensor) -> Tensor:
        if self.table is None or self.table.shape[0] != x.shape[1]:
            at = torch.arange(x.shape[1]).float()
            self.table = torch.outer(at, torch.ones(7)).sin()
        return (self.line(x) * self.table).tanh()


class _Buffer(_Attribute):
    def __init__(self) -> None:
        super().__init__()
        del self.table
        self.register_buffer("table", torch.zeros(1, 7), persistent=False)


class _Dictionary(_Attribute):
    """One for each length, as rotations of positions are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[int, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] not in self.tables:
            table = torch.zeros(x.shape[1], 7)
            table[:, 1] = torch.arange(x.shape[1])
            self.tables[x.shape[1]] = table
        return (self.line(x) + self.tables[x.shape[1]]).tanh()


class _Statistics(_Attribute):
    """Not a cache: what is kept is made of the input in each step."""

    def forward(self, x: Tensor) -> Tensor:
        self.table = x.detach().mean(0)
        return self.line(x).tanh()


@pytest.mark.parametrize("build", [_Attribute, _Buffer, _Dictionary])
def test_a_cache_is_no_part_of_the_peak(build: Any) -> None:
    model = build()
    step = fxcount.training_step(model, "B,S,5")
    at = step.at(B=3, S=11)
    assert at.peak == real.plain_peak(model, torch.rand(3, 11, 5))
    assert at.total_peak == at.peak + at.parameter_bytes + at.buffer_bytes + 11 * 7 * 4
    assert at.held()["constants"] == 11 * 7 * 4


def test_what_depends_on_the_input_is_none() -> None:
    at = fxcount.training_step(_Statistics(), "B,S,5").at(B=3, S=11)
    assert "constants" not in at.held()
