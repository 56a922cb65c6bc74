"""The largest size that fits: a search that is checked against trying all, and reports against what they say themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import fxcount
from fxcount.cli.main import main
from fxcount.errors import InputError, SizeError
from fxcount.report.largest import Need, budget, largest
from fxcount.report.views.units import bytes_text
from tests.training import real


@given(
    start=st.integers(1, 90),
    held=st.integers(0, 500), each=st.integers(1, 60), step=st.sampled_from([1, 2, 3, 7]),
    most=st.none() | st.integers(1, 50), memory=st.integers(1, 3000),
)  # fmt: skip
def test_the_search_finds_what_trying_all_finds(
    start: int, held: int, each: int, step: int, most: int | None, memory: int
) -> None:
    def need(n: int) -> Need | None:
        refused = n % step or (most is not None and n > most)
        return None if refused else Need(held, each * n, "here")

    accepted = {n: found for n in range(1, 3100) if (found := need(n)) is not None}
    fitting = [n for n, found in accepted.items() if found.nbytes <= memory]
    answer = largest("B", memory, need, start)
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
    assert str(found).splitlines()[0] == f"B = {found.value:,} is the largest that fits into {bytes_text(memory)}"
    assert "exp" in str(found)
    assert f"{Path(__file__).name}:" in found.need.place
    assert dict(found.need.parts) == {
        "parameters": 112, "buffers": 0, "inputs": 12 * found.value, "activations": 56 * found.value
    }  # fmt: skip


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


# -- a training step --------------------------------------------------------------------------------------------------------
class Scores(nn.Module):
    """Memory that grows with the square of the length, and a norm in the backward."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.norm, self.out = nn.Linear(5, 22), nn.LayerNorm(11), nn.Linear(11, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, v = self.into(x).chunk(2, -1)
        found: torch.Tensor = self.out(self.norm((q @ v.mT).softmax(-1) @ v))
        return found


def step_for_real(model: nn.Module, make: Callable[[list[nn.Parameter]], torch.optim.Optimizer] | None, x: torch.Tensor) -> int:
    """Bytes alive at most in a step in the steady state: everything, measured."""
    torch.manual_seed(0)
    held = sum(t.nbytes for t in (*model.parameters(), *model.buffers()))
    running = real.plain_peak(model, x)
    if make is None:
        return held + running
    _, later, states = real.optimizer_peaks(model, make)
    return held + max(running + states, later + x.nbytes + 4)  # the inputs and the loss are alive then, too


@pytest.mark.parametrize("optimizer", [None, "adamw", "momentum"])
@pytest.mark.parametrize("memory", [41_007, 200_003])
def test_a_step_agrees_with_bisection_by_real_steps(memory: int, optimizer: str | None) -> None:
    from fxcount.training.optimizers import maker_of

    model = Scores()
    make = maker_of(optimizer) if optimizer else None
    found = fxcount.training_step(model, "B,S,5", optimizer=optimizer).largest("S", memory=memory, B=3)
    low, high = 0, 512
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if step_for_real(model, make, torch.zeros(3, middle, 5)) <= memory else (low, middle)
    assert found.value == low > 1
    assert found.need is not None
    assert found.need.nbytes == step_for_real(model, make, torch.zeros(3, low, 5))
    assert sum(n for _, n in found.need.parts) == found.need.nbytes
    assert found.beyond is not None
    assert found.beyond[1].nbytes > memory


def test_the_command_answers_in_its_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "demo", "B,3,32,32", "--memory", "4MB", "--train", "adamw"]) == 0
    first, why, beyond, *held = capsys.readouterr().out.splitlines()
    assert first.startswith("B = ")
    assert first.endswith("is the largest that fits into 4.000 MB")
    assert " in the " in why
    assert beyond.startswith("B = ")
    assert any("states" in line for line in held)
    assert main(["fit", "demo", "B,3,32,32", "--memory", "4MB", "--over", "B"]) == 0
    more = capsys.readouterr().out
    assert int(more.split()[2].replace(",", "")) > int(first.split()[2].replace(",", ""))
    assert main(["fit", "demo", "B,3,32,32", "--memory", "1kB"]) == 1
    assert capsys.readouterr().out.startswith("no B fits into 1.000 kB\n")
    assert main(["fit", "demo", "B,3,H,W", "--memory", "4MB"]) == 2
    assert "--over is needed: B, H, W" in capsys.readouterr().err
    assert main(["fit", "demo", "B,3,H,W", "--memory", "4MB", "--over", "B", "--at", "B=3,H=32,W=32"]) == 2
    assert "is asked for" in capsys.readouterr().err


def test_sizes_without_a_value_are_asked_for() -> None:
    """Of a forward and of a step; once they are given, or fixed, the answer is that of the model with numbers there."""
    model = nn.Sequential(nn.Linear(7, 11), nn.ReLU(), nn.Linear(11, 3))
    for report, whole in (
        (fxcount.analyze(model, "B,S,7"), fxcount.analyze(model, "B,5,7")),
        (fxcount.training_step(model, "B,S,7"), fxcount.training_step(model, "B,5,7")),
    ):
        with pytest.raises(SizeError, match="depends on S as well") as raised:
            report.largest("B", 10_000)
        assert "--at S=..." in str(raised.value)
        expected = whole.largest("B", 10_000)
        assert report.largest("B", 10_000, S=5).value == expected.value > 3
        assert report.at(S=5).largest("B", 10_000).value == expected.value
