"""The largest size that fits: a search that is checked against trying all, and reports against what they say themselves."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import fxcount
from fxcount.errors import InputError, SizeError
from fxcount.report.largest import Need, budget, largest


@given(
    held=st.integers(0, 500), each=st.integers(1, 60), step=st.sampled_from([1, 2, 3, 7]),
    most=st.none() | st.integers(1, 50), memory=st.integers(1, 3000),
)  # fmt: skip
def test_the_search_finds_what_trying_all_finds(held: int, each: int, step: int, most: int | None, memory: int) -> None:
    def need(n: int) -> Need | None:
        refused = n % step or (most is not None and n > most)
        return None if refused else Need(held, each * n, "here")

    accepted = {n: found for n in range(1, 3100) if (found := need(n)) is not None}
    fitting = [n for n, found in accepted.items() if found.nbytes <= memory]
    answer = largest("B", memory, need)
    assert answer.value == max(fitting, default=0)
    assert bool(answer) == bool(fitting)
    beyond = next((n for n in accepted if n > answer.value), None)
    assert (answer.beyond[0] if answer.beyond else None) == beyond
    assert answer.need == (accepted[answer.value] if answer.value else None)


class Wide(nn.Module):
    """Bytes by hand: 4*(3*7 + 7) of parameters; of B rows the inputs, 12*B, and two results of 28*B each, at once."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(3, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.up(x).exp()


@pytest.mark.parametrize("memory", [112 + 68, 112 + 69, 112 + 67 + 68, 112 + 68 * 1009 + 5])
def test_by_hand(memory: int) -> None:
    found = fxcount.analyze(Wide(), "B,3").largest("B", memory)
    assert found.value == (memory - 112) // 68
    assert found.need is not None
    assert found.need.held == 112
    assert found.need.running == 68 * found.value
    assert found.beyond is not None
    assert found.beyond[1].nbytes == 112 + 68 * (found.value + 1) > memory
    assert "exp" in str(found)


def test_nothing_fits_and_everything_does() -> None:
    report = fxcount.analyze(Wide(), "B,3")
    nothing = report.largest("B", 179)
    assert not nothing
    assert str(nothing).startswith("no B fits into 179 B\nB = 1 would take 180 B")
    model = Wide()
    with pytest.raises(SizeError, match="there is no limit"):
        fxcount.analyze(model, "B,3").largest("B", 10**15)


def test_positions_end() -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(97, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.table(torch.arange(x.shape[0]))

    model = Positions()
    found = fxcount.analyze(model, "S,5", hints={"S": 10}).largest("S", "1GB")
    assert (found.value, found.beyond) == (97, None)
    assert str(found).endswith("the model accepts no larger one")


def test_patches_of_sixteen() -> None:
    class Patches(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(-1, 16, 3).exp()

    model = Patches()
    found = fxcount.analyze(model, "S,3", hints={"S": 32}).largest("S", 24 * 1000)
    assert (found.value, found.beyond[0] if found.beyond else 0) == (992, 1008)


@pytest.mark.parametrize("bad", ["", "many", "12 parsecs", "-3GB", "1e9", "GB", None])
def test_what_is_no_memory(bad: str) -> None:
    with pytest.raises(InputError, match="no amount of memory"):
        budget(bad)
