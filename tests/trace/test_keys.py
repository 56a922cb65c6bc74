"""Texts of sizes that are keys of the model's own tables keep symbols; the truth is a plain run."""

from __future__ import annotations

import pytest
import torch

import fxcount
from fxcount.errors import AssumptionError
from tests.trace import key_nets

AT, OTHER = {"B": 2, "S": 6, "D": 10}, {"B": 3, "S": 4, "D": 22}


def _flops(report: fxcount.Report, **sizes: int) -> int:
    return int(report.at(**sizes, extend=False).flops)


def test_a_shape_as_a_key() -> None:
    model = key_nets.Padded()
    report = fxcount.analyze(model, "B,3,S", hints={"B": 2, "S": 6})
    assert not report.assumptions
    assert model.table == {}
    for sizes in ({"B": 2, "S": 6}, {"B": 3, "S": 11}):
        x = torch.randn(sizes["B"], 3, sizes["S"])
        torch.testing.assert_close(report.graph_module(x), key_nets.Padded()(x))
        assert _flops(report, **sizes) == sizes["B"] * 3 * (sizes["S"] + sizes["S"] // 2)


def test_sizes_that_are_equal_have_one_key() -> None:
    """Which sizes share an entry is assumed: a sum less is computed where they do."""
    different = fxcount.analyze(key_nets.Named(), "B,S,D", hints=AT)
    equal = fxcount.analyze(key_nets.Named(), "B,S,D", hints={"B": 2, "S": 6, "D": 6})
    assert [a.kind for a in (*different.assumptions, *equal.assumptions)] == ["guard", "guard"]
    assert _flops(different, **OTHER) == 2 * 3 * 4 * 22 + (4 - 1) + (22 - 1)
    assert _flops(equal, B=3, S=5, D=5) == 2 * 3 * 5 * 5 + (5 - 1)
    with pytest.raises(AssumptionError):
        different.at(B=3, S=5, D=5, extend=False)
    with pytest.raises(AssumptionError):
        equal.at(**OTHER, extend=False)


def test_a_table_that_holds_other_texts_pins() -> None:
    report = fxcount.analyze(key_nets.Named({"n6": torch.tensor(2.0)}), "B,S,10", hints={"B": 2, "S": 6})
    assert [a.kind for a in report.assumptions] == ["pin"]
    assert _flops(report, B=3, S=6) == 2 * 3 * 6 * 10 + (10 - 1)


def test_a_text_that_is_more_than_a_key_pins() -> None:
    report = fxcount.analyze(key_nets.Elsewhere(), "B,S,5", hints={"B": 2, "S": 11})
    assert [a.kind for a in report.assumptions] == ["pin"]
    assert _flops(report, B=3, S=11) == 3 * 2 * 5
