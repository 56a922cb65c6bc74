"""The roofline by hand: intensity, the size at which an op turns, seconds of a step, and the part of a peak it reaches."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import nn

import fxcount
from fxcount.errors import InputError, SizeError
from fxcount.report.data.devices import DEVICES, device_of
from fxcount.report.data.roofline import Machine

SLOW = Machine("slow", 1000.0, {torch.float32: 6000.0, torch.float16: 24000.0})


def test_a_product_by_hand() -> None:
    """B x 500 times 500 x 30: 2*B*500*30 FLOPs, 4 bytes for each of B*500 + 500*30 + B*30 numbers; 6 FLOPs a byte are even."""
    model = nn.Linear(500, 30, bias=False)
    report = fxcount.analyze(model, "B,500")
    (row,) = report.roofline(SLOW).rows
    first = next(n for n in range(1, 1000) if 2 * n * 500 * 30 >= 6 * 4 * (n * 500 + 500 * 30 + n * 30))
    assert row.turns("B") == first
    assert [bool(row.compute_bound.subs(report.symbol("B"), n)) for n in (first - 1, first)] == [False, True]
    (at,) = report.at(B=7).roofline(SLOW).rows
    assert at.intensity == Fraction(2 * 7 * 500 * 30, 4 * (7 * 500 + 500 * 30 + 7 * 30))
    assert (report.at(B=2).roofline(SLOW).rows[0].compute_bound, report.at(B=90).roofline(SLOW).rows[0].compute_bound) == (
        first <= 2, first <= 90
    )  # fmt: skip


def test_seconds_are_the_longer_of_two() -> None:
    model = nn.Sequential(nn.Linear(500, 30, bias=False), nn.ReLU())
    report = fxcount.analyze(model, "B,500").at(B=7)
    linear, relu = max(2 * 7 * 500 * 30 / 6000, 4 * (7 * 500 + 500 * 30 + 7 * 30) / 1000), max(210 / 6000, 4 * 2 * 210 / 1000)
    assert report.roofline(SLOW).total_seconds == pytest.approx(linear + relu)
    half = report.roofline(SLOW, efficiency=0.25, bandwidth=0.5).total_seconds
    assert half == pytest.approx(max(4 * 2 * 7 * 500 * 30 / 6000, 8 * (7 * 500 + 500 * 30 + 7 * 30) / 1000) + 2 * relu)
    quick = report.roofline(SLOW, dtype=torch.float16).total_seconds
    assert quick == pytest.approx(max(2 * 7 * 500 * 30 / 24000, 4 * (7 * 500 + 500 * 30 + 7 * 30) / 1000) + relu)
    assert "traffic" in str(report.roofline(SLOW))


def test_what_never_turns() -> None:
    (row,) = fxcount.analyze(nn.ReLU(), "B,7").roofline("H100").rows
    assert row.turns("B") is None


def test_devices_have_their_sources() -> None:
    for name, machine in DEVICES.items():
        assert machine.source
        assert device_of(name.lower()) is machine
        assert machine.flops_per_second[torch.float32] > machine.bytes_per_second
    with pytest.raises(InputError, match="did you mean 'H100'"):
        device_of("H10")


def test_utilisation_by_hand() -> None:
    """Forward and the gradient of the weight: 2 * 2 * 8192 * 4096 * 4096 FLOPs, the input needs none."""
    model = nn.Linear(4096, 4096, bias=False)
    step = fxcount.training_step(model, "B,4096")
    expected = 4 * 8192 * 4096 * 4096 / (0.002 * 2 * 989e12)
    assert step.at(B=8192).utilisation(0.002, "H100", dtype=torch.bfloat16, devices=2) == pytest.approx(expected)
    with pytest.raises(InputError, match="no rate of NVIDIA A100"):
        step.utilisation(0.1, "A100", dtype=torch.float8_e4m3fn)
    with pytest.raises(InputError, match="no measurement"):
        step.utilisation(0.0, "A100", dtype=torch.float16)
    with pytest.raises(SizeError, match="B have no value"):
        step.utilisation(0.1, "A100", dtype=torch.float16)


def test_what_is_no_roofline() -> None:
    report = fxcount.analyze(nn.Linear(3, 5), "B,3")
    with pytest.raises(SizeError, match="seconds are of numbers"):
        _ = report.roofline("A100").total_seconds
    with pytest.raises(InputError, match="no part of a peak"):
        report.roofline("A100", efficiency=1.5)
    with pytest.raises(InputError, match="no rate of Apple"):
        report.roofline("M1 Max", dtype=torch.bfloat16)
