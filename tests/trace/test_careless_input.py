"""Specifications, hints and sizes that are none: only fxcount's errors come out, and they say what to write."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fxcount
from benchmarks.fuzz import at_arguments, outcome, spec_strings
from fxcount.errors import FxcountError, InputError, SizeError
from fxcount.symbolic import parse


def test_spec_strings() -> None:
    """A seeded sample of what ``benchmarks/fuzz.py`` does 100,000 times."""
    model = nn.Identity()
    outcomes = [outcome(lambda: fxcount.analyze(model, text)) for text in spec_strings(600, seed=5)]  # noqa: B023
    assert set(outcomes) == {"ok", "refused"}


def test_sizes_given_to_at() -> None:
    report = fxcount.analyze(nn.Conv2d(3, 5, 3, stride=2), "B,3,H,W")
    outcomes = [outcome(lambda: report.at(**given)) for given in at_arguments(["B", "H", "W"], 500, seed=5)]  # noqa: B023
    assert set(outcomes) == {"ok", "refused"}


@pytest.mark.parametrize(
    "spec",
    [
        "f32[" + "9" * 5000 + "]", "f32[" + "9" * 30 + ",3]", "f32[10**9,10**9,10**9]", "(a+b+c+d+e+f)**60,3",
        "2**2**40,3", "2h,3", "B,3\x00", "\ud800,3", "B,,3", "f33[B]",
        "[" * 300 + ",", "H-300,3", "B//(H-224),3", "B,0", "B,-3", "B,1.5", "B,'a'", "B;3,",
    ],
    ids=lambda spec: spec[:12].encode("unicode_escape").decode(),
)  # fmt: skip
def test_specifications_that_are_none(spec: str) -> None:
    with pytest.raises(FxcountError) as found:
        fxcount.analyze(nn.Identity(), spec)
    assert len(str(found.value)) < 1000


def test_a_lone_number_is_no_shape() -> None:
    with pytest.raises(InputError, match='write "7,"'):
        fxcount.analyze(nn.Identity(), "7")
    assert fxcount.analyze(nn.Linear(7, 3), "7,").macs == 21


@pytest.mark.parametrize("name", ["self", "extend", "guess"])
def test_reserved_names(name: str) -> None:
    with pytest.raises(SizeError, match="reserved"):
        parse(f"2*{name}")
    with pytest.raises(InputError, match="reserved"):
        fxcount.analyze(nn.Linear(3, 5), f"{name},3")


@pytest.mark.parametrize(
    "hints",
    [{"B": 10**40}, {"B": 0}, {"B": True}, {"B": 2.0}, {"B": "2"}, {1: 2}, {"Q": 2}, 5, [("B", 2)], {"B": None}, {"\ud800": 3}],
)  # fmt: skip
def test_hints_that_are_none(hints: Any) -> None:
    with pytest.raises(InputError):
        fxcount.analyze(nn.Linear(3, 5), "B,3", hints=hints)


@pytest.mark.parametrize(
    "values", [{"self": 3}, {"B": 3, "self": 3}, {"B": True}, {"B": 10**4000}, {"B": np.float64(3)}, {"B": 3, "\x00": 1}]
)
def test_at_says_what_is_wrong(values: dict[str, Any]) -> None:
    with pytest.raises(SizeError):
        fxcount.analyze(nn.Linear(3, 5), "B,3").at(**values)


def test_integers_of_numpy_are_integers() -> None:
    report = fxcount.analyze(nn.Linear(3, 5), ("B", np.int64(3)), hints={"B": np.int32(7)})
    assert report.symbols == {"B": 7}
    assert type(report.symbols["B"]) is int
    assert report.at(B=np.int64(11)).macs == 165
    assert fxcount.analyze(nn.Linear(3, 5), (np.int64(7), 3)).macs == 105


def test_large_sizes_are_exact() -> None:
    report = fxcount.analyze(nn.Linear(3, 5), "B,3", hints={"B": 10**11})
    assert report.at(B=10**11 + 7).macs == 15 * (10**11 + 7)
    assert fxcount.analyze(nn.Linear(3, 5), (10**11, 3)).macs == 15 * 10**11


def test_commas_inside_of_brackets() -> None:
    report = fxcount.analyze(nn.Linear(3, 5), "Max(B, 7),3")
    assert (report.at(B=3).macs, report.at(B=11).macs) == (105, 165)


def test_text_that_is_no_shape_is_text() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor, how: str) -> torch.Tensor:
            return getattr(x, how)(0)

    assert fxcount.analyze(Net(), "B,3", "sum").flops is not None
