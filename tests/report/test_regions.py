"""Which moment is the peak where: regions against the peak of a fresh analysis at every size, and symbols by name."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
import torch
from torch import nn

import fxcount
from fxcount.report.data.peaks import _region, _Winner
from fxcount.symbolic import evaluate


class Turns(nn.Module):
    """Scores of S*S, or eight numbers for each of 8 channels of a token; 31 tokens and more are cut in half, 61 refused."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if x.shape[1] > 60:
            raise ValueError("at most 60 tokens")
        if x.shape[1] > 30:
            x = x[:, : x.shape[1] // 2]
        return (x @ x.mT).sum(), x.repeat(1, 1, 8)


def test_regions_are_the_peaks_of_fresh_analyses_also_across_pieces() -> None:
    model = Turns()
    report = fxcount.analyze(model, "B,S,5", hints={"S": 7})
    regions = report.memory.regions(S=(1, 70), B=[1, 3])
    assert regions.refused == 20
    assert sum(region.points for region in regions) == 2 * 60
    for batch in (1, 3):
        for length in range(1, 61):
            sizes = {"B": batch, "S": length}
            met = [r for r in regions if r.condition.subs({report.symbol(n): v for n, v in sizes.items()}) == sympy.true]
            assert len(met) == 1, (sizes, met)
            fresh = fxcount.analyze(model, f"{batch},{length},5")
            assert evaluate(met[0].nbytes, sizes) == fresh.memory.peak
            assert met[0].place == fresh.memory.peak_op
            assert "test_regions.py" in met[0].source


def test_ties_and_sizes_that_are_known_leave_what_runs() -> None:
    model = Turns()
    report = fxcount.analyze(model, "B,S,5", hints={"S": 7}).at(B=3)
    (first, *_) = report.memory.regions(S=range(1, 30))
    assert {str(s) for s in first.formula.free_symbols} == {"S"}
    assert report.at(S=7).memory.regions()[0].nbytes == report.at(S=7).memory.peak
    with pytest.raises(fxcount.SizeError, match="regions"):
        report.memory.regions(S=(5, 4))
    with pytest.raises(fxcount.SizeError, match="needs a value, a range or a tie for S"):
        report.memory.regions()


def test_a_region_of_many_parts_is_told_by_what_it_lies_in() -> None:
    axes = {"H": np.arange(1, 21), "W": np.arange(1, 21)}
    below = axes["H"][:, None] < axes["W"][None, :]
    region = _region(_Winner(7, "relu in net", ""), below, axes)
    assert (region.domain, region.condition, region.points) == ("part of 1 <= H <= 19, 2 <= W <= 20", None, 190)
    assert str(region) == "part of 1 <= H <= 19, 2 <= W <= 20: 7, relu in net"


def test_the_table_has_the_formula_of_the_moment_that_is_the_peak() -> None:
    report = fxcount.analyze(Turns(), "B,S,5", hints={"B": 2, "S": 7})
    (line,) = [text for text in report.table().splitlines() if "moments" in text]
    assert line == "        = 180*B*S + 4 here; the largest of 2 moments, see memory.regions(...)"  # 4*(5 + 40)*B*S, and a sum
    assert "moments" not in report.at(B=2, S=7).table()


def test_symbols_by_name() -> None:
    report = fxcount.analyze(nn.Linear(3, 5), "B,S,3")
    assert report.macs.subs({"B": 1}) == report.macs  # sympy's "B" may be any complex number: another symbol
    assert report.macs.subs(report.symbol("B"), 7) == report.subs(B=7).macs == 105 * report.symbol("S")
    with pytest.raises(fxcount.SizeError, match="it is 7 here"):
        report.subs(B=7).symbol("B")
    with pytest.raises(fxcount.SizeError, match="the symbols are B, S"):
        report.symbol("H")
