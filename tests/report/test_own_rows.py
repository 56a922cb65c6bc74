"""Tables of what modules do by themselves, and rows chosen and sorted."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import fxcount
from fxcount.errors import InputError
from fxcount.report.data.rows import COUNTS


class Net(nn.Module):
    """A block that is called twice, additions of the model's own, a view."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 5, 3, padding=1)
        self.block = nn.Sequential(nn.Conv2d(5, 5, 1), nn.ReLU())

    def forward(self, x):
        x = self.stem(x)
        return (x + self.block(self.block(x))).flatten(1)


REPORT = fxcount.analyze(Net(), "B,3,H,W")
AT = REPORT.at(B=2, H=7, W=11)


def _rows(report: fxcount.Report, rows: str, **chosen: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(report.to_csv(rows, **chosen))))  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", ["layers", "classes"])
def test_own_work_adds_up_to_the_totals(rows: str) -> None:
    found = _rows(AT, rows)
    for count in COUNTS:
        assert sum(int(r[count]) for r in found) == getattr(AT, count)
    assert sum(int(r["params"]) for r in found) == AT.params.total
    assert sum(int(r["activation_bytes"]) for r in found) == AT.memory.activations


def test_activation_bytes_are_those_of_results() -> None:
    """A map of 5 channels of 2x7x11 floats for each convolution, relu and sum; flatten is a view."""
    each = 2 * 5 * 7 * 11 * 4
    found = {(r["path"], r["number"]): int(r["activation_bytes"]) for r in _rows(AT, "layers")}
    assert found == {
        ("", "1"): each, ("stem", "1"): each, ("block.0", "1"): each, ("block.1", "1"): each, ("block.0", "2"): each,
        ("block.1", "2"): each,
    }  # fmt: skip
    assert [(r["class_name"], r["calls"]) for r in _rows(AT, "classes")] == [("Conv2d", "3"), ("ReLU", "2"), ("Net", "1")]
    frame = REPORT.to_pandas("classes")
    assert str(frame.loc[0, "activation_bytes"]) == "60*B*H*W"


def test_rows_are_chosen_and_sorted() -> None:
    largest = _rows(REPORT, "ops", sort="macs", top=2)
    assert [r["module"] for r in largest] == ["stem", "block.0"]
    assert [r["path"] for r in _rows(REPORT, "layers", only="block*")] == ["block.0", "block.1", "block.0", "block.1"]
    assert {r["class_name"] for r in _rows(REPORT, "modules", only="Conv2d")} == {"Conv2d"}
    assert [r["name"] for r in _rows(REPORT, "params", sort="elements", top=1)] == ["stem.weight"]
    assert _rows(REPORT, "ops", only="nothing") == []
    for text in (REPORT.to_markdown("layers", sort="flops", top=1), REPORT.to_latex("layers", sort="flops", top=1)):
        assert "stem" in text
        assert "block" not in text
    assert list(REPORT.to_pandas("kinds", sort="flops", top=1)["op"]) == ["conv2d"]
    with pytest.raises(InputError, match="cannot be sorted by 'time'"):
        REPORT.to_csv("ops", sort="time")


def test_on_the_command_line(tmp_path: Path) -> None:
    from fxcount.cli.main import main

    path = tmp_path / "net.csv"
    words = ["demo", "2,3,32,32", "-o", str(path), "--rows", "layers", "--sort", "macs", "--top", "3", "--only", "Linear"]
    assert main(words) == 0
    found = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
    assert len(found) == 3
    assert {r["class_name"] for r in found} == {"Linear"}
    assert [int(r["macs"]) for r in found] == sorted([int(r["macs"]) for r in found], reverse=True)
