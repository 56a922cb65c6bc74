"""A sample of the random nets of benchmarks/random_nets.py, and that these can tell a difference."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from benchmarks.random_nets import OPS, PAIRS, Net, Step, differences, drawn

# what random nets have found, each as a net of its own
FOUND = {
    "a product with a vector, which torch's counter does not see": ("B,12", lambda x: F.linear(x, x[0])),
    "the largest of nothing at B = 1": ("B,12,W", lambda x: x[1:].argmax(0)),
    "slices joined in channels-last": ("B,12,H,W", lambda x: torch.cat([(y := _last(x)).narrow(1, 0, 1), y], 1)),
    "cropped to the whole at some sizes": ("B,H,12", lambda x: F.pad(x, (0, 0, 0, -x.shape[1] % 7))[:, : x.shape[1]]),
    "a norm of what lies otherwise": ("B,H,12", lambda x: F.rms_norm(x.movedim(0, 1), (12,))),
    "written to a column of 1": ("B,12", lambda x: torch.zeros_like(x[:, :1]).copy_(x[:, : (x.shape[0] + 1) // 2])),
}  # fmt: skip


def _last(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("start", range(1000, 1060, 10))
def test_random_nets_are_what_torch_says(start: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [differences(seed) for seed in range(start, start + 10)]
    assert [text for f in found for text in f.differences] == []
    assert sum(f.compared for f in found) > 2 * sum(f.refused for f in found)


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once_stays_right(name: str) -> None:
    spec, function = FOUND[name]
    assert differences(0, Net(spec, [Step(name, function, (0,))], [])).differences == []


def test_a_seed_is_a_net() -> None:
    assert repr(drawn(7)) == repr(drawn(7))
    assert repr(drawn(7)) != repr(drawn(8))


def test_most_of_the_table_is_drawn() -> None:
    names = {step.name.removesuffix(" of two") for seed in range(150) for step in drawn(seed).steps}
    assert len(names) > 0.8 * len({*OPS, *PAIRS})


def test_a_wrong_net_is_found() -> None:
    """A step that does something else once it runs for real differs in shape, in strides, in FLOP."""

    def other(change: Callable[[torch.Tensor], torch.Tensor]) -> str:
        def step(x: torch.Tensor) -> torch.Tensor:
            return change(x) if type(x) is torch.Tensor else x.contiguous()

        return " ".join(differences(0, Net("B,12,H,W", [Step("other", step, (0,))], [])).differences)

    assert "result 0 is" in other(lambda x: x.sum(0))
    assert "strides of result 0" in other(_last)
    assert "FLOP are" in other(lambda x: x + (x @ x.mT).sum())
