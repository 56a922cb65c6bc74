"""Curves: every point exact against torch's counter or a derivation, from few analyses; refused points stay."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import fxcount
from fxcount.errors import SizeError
from tests.zoo import CASES

WIDTH = 5


class Net(nn.Module):
    """Above 8 tokens S*S*WIDTH per batch, up to 8 nothing but an addition; multiples of 7 above 8 it does not take."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] > 8:
            if x.shape[1] % 7 == 0:
                raise ValueError("no multiples of seven")
            return x @ x.mT
        return x + 1


def macs(batch: int, tokens: int) -> int | None:
    return None if tokens > 8 and tokens % 7 == 0 else batch * tokens * tokens * WIDTH if tokens > 8 else 0


@pytest.fixture
def model() -> Net:
    return Net()


@pytest.fixture
def report(model: Net) -> fxcount.Report:
    return fxcount.analyze(model, f"B,S,{WIDTH}", hints={"S": 16})


def test_every_point_is_there(model: Net, report: fxcount.Report, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    forward = Net.forward
    monkeypatch.setattr(Net, "forward", lambda self, x: (calls.append(1), forward(self, x))[1])
    curve = report.curve(B=3, S=range(1, 61))
    assert [row.macs for row in curve] == [macs(3, s) for s in range(1, 61)]
    assert [row.sizes for row in curve.rows] == [{"B": 3, "S": s} for s in range(1, 61)]
    assert len(curve.pieces) == 2
    assert sum(p.points for p in curve.pieces) + sum(map(bool, curve.refused)) == len(curve) == 60
    for row in curve.rows:
        assert bool(row.refused) == (row.macs is None) == (row.piece is None) == (row.peak_bytes is None)
        assert not row.refused or row.refused.startswith("ValueError: no multiples of seven at ")
    # one analysis up to 8, and one attempt (with what is tried after it fails) for all multiples of 7 together
    refusing = [s for s in range(9, 61) if s % 7 == 0]
    assert len(refusing) == 7
    assert len(calls) <= 1 + 4


def test_grids_and_ties(model: Net) -> None:
    report = fxcount.analyze(nn.Conv2d(3, 5, 3, padding=1), "B,3,H,W")
    curve = report.curve(H=[7, 11], W="2*H", B=(1, 3))
    assert curve.free == ("H", "B")
    points = [(1, 7, 14), (3, 7, 14), (1, 11, 22), (3, 11, 22)]
    assert [(r.sizes["B"], r.sizes["H"], r.sizes["W"]) for r in curve.rows] == points
    assert [r.macs for r in curve.rows] == [b * h * w * 3 * 5 * 9 for b, h, w in points]
    assert [r.params for r in curve.rows] == [3 * 5 * 9 + 5] * 4


def test_other_quantities_are_those_of_at(model: Net, report: fxcount.Report) -> None:
    for row in report.curve(S=(3, 11), B=7).rows:
        at = report.at(**row.sizes)
        assert (row.flops, row.read_bytes, row.write_bytes) == (at.flops, at.read_bytes, at.write_bytes)
        assert (row.peak_bytes, row.params) == (at.memory.peak, at.params.total)
        assert all(type(v) is int for v in (row.macs, row.flops, row.peak_bytes, row.params))


def test_integers_of_any_length(model: Net, report: fxcount.Report) -> None:
    (row,) = report.curve(B=10**30, S=11).rows
    assert row.macs == macs(10**30, 11)


def test_what_is_fixed_need_not_be_said(model: Net, report: fxcount.Report) -> None:
    assert [r.macs for r in report.at(B=3).curve(S=(11, 12))] == [macs(3, 11), macs(3, 12)]


def test_without_the_model_points_outside_say_so(report: fxcount.Report) -> None:
    loaded = fxcount.load(report.to_graph_json())
    rows = loaded.curve(B=1, S=range(7, 12)).rows
    assert [r.macs for r in rows] == [None, None, *[macs(1, s) for s in (9, 10, 11)]]
    assert "read from a file" in rows[0].refused
    assert "S >= 9" in report.curve(B=1, S=7, extend=False).rows[0].refused


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"S": 3}, "needs a value, a range or a tie for B"), ({"B": 1, "S": 3, "Q": 1}, "got 'Q'; the symbols are B, S"),
        ({"B": 0, "S": 3}, "at least 1"), ({"B": 2.5, "S": 3}, "at least 1"), ({"B": [], "S": 3}, "at least 1"),
        ({"B": "S", "S": "B"}, "tied to one another"), ({"B": "Q", "S": 3}, "names Q"),
    ],
)  # fmt: skip
def test_what_is_no_range(report: fxcount.Report, sizes: dict[str, object], said: str) -> None:
    with pytest.raises(SizeError, match=said):
        report.curve(**sizes)


def test_a_tie_below_one_is_a_refused_point(model: Net, report: fxcount.Report) -> None:
    rows = report.curve(B="S - 10", S=(9, 10, 11)).rows
    assert [r.macs for r in rows] == [None, None, macs(1, 11)]
    assert "at least 1" in rows[0].refused


# -- views ----------------------------------------------------------------------------------------------------------------
def test_tables(model: Net, report: fxcount.Report, tmp_path: Path) -> None:
    curve = report.curve(B=1, S=range(7, 16))
    text = curve.to_csv(tmp_path / "curve.csv")
    assert (tmp_path / "curve.csv").read_text() == text
    again = pd.read_csv(io.StringIO(text))
    assert again["macs"].dropna().astype(int).tolist() == [m for s in range(7, 16) if (m := macs(1, s)) is not None]
    frame = curve.to_pandas()
    assert frame["S"].tolist() == list(range(7, 16))
    assert frame["macs"].tolist() == [macs(1, s) for s in range(7, 16)]
    assert "no multiples of seven" in curve.to_markdown()
    assert "9 points, 2 pieces, 1 refused" in str(curve)
    assert "refused" not in report.curve(B=1, S=3).to_markdown()


def test_plots(model: Net, report: fxcount.Report, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    curve = report.curve(B=(1, 2), S=range(7, 16))
    axes = curve.plot(tmp_path / "curve.svg", "flops")
    assert (tmp_path / "curve.svg").stat().st_size
    assert [line.get_label() for line in axes.lines] == ["S=7", "S=8", *[f"S={s}" for s in range(9, 16)]]
    wide = report.curve(S=range(7, 16), B=(1, 2)).plot(quantity=["macs", "flops"])
    assert len(wide.lines) == 4
    assert wide.get_xlabel() == "S"
    with pytest.raises(fxcount.InputError, match="no 'speed'"):
        curve.plot(quantity="speed")


# -- real models ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "most"), [("swin_t", 5), ("resnet50", 1)])
def test_real_models_against_torch_s_counter(name: str, most: int) -> None:
    case = CASES[name]
    model = case.on("meta")
    curve = case.analyse(model).curve(H=range(96, 545, 64), W="H", B=1)
    assert len(curve.pieces) <= most
    for row in curve.rows:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, 3, row.sizes["H"], row.sizes["W"], device="meta"))
        assert row.macs is not None
        assert 2 * row.macs == counter.get_total_flops(), row.sizes


def test_words_of_the_model_are_said_to_be_of_another_size(model: Net) -> None:
    """They may name its sizes, and hold for all that are refused alike."""

    class Fixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[0] != 24:
                raise ValueError(f"{int(x.shape[0])} is not 24")
            return x + 1

    fixed = Fixed()
    rows = fxcount.analyze(fixed, "S,", hints={"S": 24}).curve(S=[24, 30, 31]).rows
    line = Fixed.forward.__code__.co_firstlineno + 2
    assert rows[1].refused.startswith("ValueError: 30 is not 24 at ")
    assert rows[1].refused.endswith(f"test_curve.py:{line} (Fixed)")
    assert rows[2].refused in (rows[1].refused + ", said at S=30", rows[1].refused.replace("30", "31"))
