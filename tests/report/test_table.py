"""The text table: equal siblings folded, columns, order, lines that fit a terminal."""

from __future__ import annotations

import itertools
import json
import re

import pytest
import torch
from torch import nn

import fxcount
from fxcount.errors import InputError


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(3 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(self.up(self.norm(x)).relu())


class Stack(nn.Module):
    """Seven equal blocks, a wider pair between maps, and one block called three times."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(11) for _ in range(7)])
        self.widen = nn.Linear(11, 13)
        self.pair = nn.Sequential(Block(13), Block(13))
        self.same = Block(13)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        x = self.pair(self.widen(x))
        for _ in range(3):
            x = self.same(x)
        return x


@pytest.fixture(scope="module")
def report() -> fxcount.Report:
    return fxcount.analyze(Stack(), "B,11", hints={"B": 5})


def _rows(text: str) -> list[str]:
    lines = text.splitlines()
    rules = [i for i, line in enumerate(lines) if line and set(line) == {"─"}]
    return lines[rules[1] + 1 : rules[2]]


def _number(cell: str) -> int:
    return int(cell.replace(",", "")) if cell != "-" else 0


def test_equal_siblings_are_one_row_that_adds_them_up(report: fxcount.Report) -> None:
    lines = _rows(report.table(2, columns="params"))
    rows = [[cell.strip("│├└─ ") for cell in re.split(r" {2,}(?=[^ ]+$)", line)] for line in lines]
    at = next(i for i, (label, _) in enumerate(rows) if label == "0 .. 6: Block x7")
    held = [p.numel() for n, p in Stack().named_parameters() if n.startswith("blocks")]
    assert _number(rows[at][1]) == sum(held)
    assert rows[at + 2][0] == "up: Linear"
    assert _number(rows[at + 2][1]) == 7 * (33 * 11 + 33)
    assert ["same: Block (calls 2 .. 3) x2", "shared"] in rows


def test_nothing_is_lost_by_folding(report: fxcount.Report) -> None:
    """The leaves of both tables add up to the same."""

    def leaves(fold: bool) -> int:
        rows = _rows(report.at(B=5).table(None, columns="flops", fold=fold))
        levels = [len(re.match(r"[│├└─ ]*", line)[0]) for line in rows]  # type: ignore[index]
        units = {"": 1, "k": 10**3, "M": 10**6}
        found = 0.0
        for i, line in enumerate(rows):
            if i + 1 == len(rows) or levels[i + 1] <= levels[i]:
                match = re.search(r"  ([\d.]+) ?([kM]?)$", line)
                found += float(match[1]) * units[match[2]] if match else 0
        return round(found)

    exact = report.at(B=5).flops
    assert leaves(True) == pytest.approx(exact, rel=1e-3)
    assert leaves(False) == pytest.approx(exact, rel=1e-3)
    assert len(_rows(report.table(None))) < len(_rows(report.table(None, fold=False)))


def test_what_differs_is_not_folded() -> None:
    widths = (5, 5, 5, 7, 5, 5, 5)
    net = nn.Sequential(*[nn.Linear(a, b) for a, b in itertools.pairwise(widths)])
    names = [line.split("  ")[0].strip("│├└─ ") for line in _rows(fxcount.analyze(net, (3, 5)).table())]
    assert names == ["Sequential", "0: Linear", "1: Linear", "2: Linear", "3: Linear", "4: Linear", "5: Linear"]
    frozen = nn.Sequential(*[nn.Linear(5, 5) for _ in range(6)])
    assert "0 .. 5: Linear x6" in fxcount.analyze(frozen, (3, 5)).table()


def test_a_module_called_again_and_again() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = Block(5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for _ in range(9):
                x = self.cell(x)
            return x

    rows = _rows(fxcount.analyze(Recurrent(), (3, 5)).table(1, columns="params"))
    assert [" ".join(row.split()) for row in rows[1:]] == ["├─ cell: Block 180", "└─ cell: Block (calls 2 .. 9) x8 shared"]


def test_sorted_by_what_is_asked(report: fxcount.Report) -> None:
    by_params = [line.strip("│├└─ ").split(":")[0] for line in _rows(report.table(1, sort="params"))[1:]]
    assert by_params == ["0 .. 6", "pair", "same", "same", "same", "widen"]  # two lines are not worth a fold
    for bad in ("params,nonsense", ["macs", "x"]):
        with pytest.raises(InputError, match="no column"):
            report.table(columns=bad)
    with pytest.raises(InputError, match="cannot be sorted"):
        report.table(sort="name")


@pytest.mark.parametrize("width", [60, 72, 80, 100])
def test_lines_fit(report: fxcount.Report, width: int) -> None:
    lines = report.table(None, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert any("x7" in line for line in lines)


def test_colour_changes_no_letter(report: fxcount.Report) -> None:
    coloured = report.table(None, width=90, colour=True)
    assert re.sub(r"\x1b\[\d+m", "", coloured) == report.table(None, width=90)
    assert "\x1b" in coloured


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_said(training: bool) -> None:
    report = fxcount.analyze(Stack().train(training), "B,11")
    assert f"in {'training' if training else 'eval'} mode" in report.table().splitlines()[0]
    again = fxcount.load(json.loads(report.to_graph_json()))
    assert again.table() == report.table()
