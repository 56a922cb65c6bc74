"""Rows as tables: each column adds up to the report's own total, and every format can be read back."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
import torch
from torch import nn

import fxcount
from fxcount.errors import InputError
from fxcount.report.data.rows import COUNTS
from fxcount.report.views.tables import ROWS
from fxcount.symbolic import parse, to_sympy
from tests.zoo import analysed

pd = pytest.importorskip("pandas")


@pytest.mark.parametrize("rows", ["ops", "kinds"])
@pytest.mark.parametrize("symbolic", [True, False])
def test_columns_add_up(rows: str, symbolic: bool) -> None:
    report = analysed("timm_ghostnet") if symbolic else analysed("timm_ghostnet").at(B=3, H=64, W=96)
    frame = report.to_pandas(rows)
    for count in COUNTS:
        assert sum(frame[count]) - getattr(report, count) == 0, count
    assert len(frame) == len(report.ops if rows == "ops" else report.by_op())


def test_modules_and_parameters() -> None:
    report = analysed("t5")
    modules, params = report.to_pandas("modules"), report.to_pandas("params")
    (whole,) = modules[modules.depth == 0].to_dict("records")
    assert (whole["macs"], whole["params"]) == (report.macs, report.params.total)
    assert params.unique_elements.sum() == report.params.total
    assert params.elements[params.trainable].sum() >= report.params.trainable
    assert set(params.name[params.dead]) == {r.name for r in report.params.rows("dead")}


@pytest.mark.parametrize("rows", ROWS)
def test_csv_is_read_back(rows: str, tmp_path: Path) -> None:
    report = analysed("t5")
    text = report.to_csv(rows, path=tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text("utf-8") == text
    read = list(csv.DictReader(io.StringIO(text)))
    frame = report.to_pandas(rows)
    assert list(read[0]) == list(frame.columns)
    assert len(read) == len(frame)
    if rows != "params":
        assert [to_sympy(parse(line["macs"])) for line in read] == list(frame["macs"])


class Odd(nn.Module):
    """A name that is special in every format."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module("a|b_&%\\", nn.Linear(3, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return next(iter(self.children()))(x)


def test_special_characters_are_escaped() -> None:
    report = fxcount.analyze(Odd(), (7, 3))
    lines = report.to_markdown("modules").splitlines()
    assert r"a\|b_&%" + "\\\\" in lines[-1]
    assert len({len(line) for line in lines}) == 1
    assert r"a|b\_\&\%\textbackslash{}" in report.to_latex("modules")
    assert list(csv.DictReader(io.StringIO(report.to_csv("modules"))))[-1]["path"] == "a|b_&%\\"


def test_empty_columns_are_left_out_where_people_read() -> None:
    report = fxcount.analyze(nn.Linear(3, 5), "B,3")
    assert "guesses" not in report.to_markdown("kinds")
    assert "guesses" in report.to_csv("kinds")


def test_unknown_rows_are_named() -> None:
    for name in ("to_pandas", "to_csv", "to_markdown", "to_latex"):
        with pytest.raises(InputError, match=r"no rows 'op'.*\n.*'ops', 'modules', 'kinds', 'params'"):
            getattr(fxcount.analyze(nn.Linear(3, 5), "B,3"), name)("op")
