"""What differs between two models: numbers from derivations, rows that add up, names that move."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import nn

import fxcount
from fxcount.errors import InputError
from fxcount.report.data.rows import COUNTS
from tests.cli.conftest import Shell, shell  # noqa: F401


class Net(nn.Module):
    def __init__(self, width: int, name: str = "inner", bias: bool = True, depth: int = 1) -> None:
        super().__init__()
        self.chosen = name
        setattr(self, name, nn.Sequential(*[nn.Linear(width if i else 3, width, bias=bias) for i in range(depth)]))
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        return self.head(getattr(self, self.chosen)(x).relu())


def test_totals_and_modules_as_formulas() -> None:
    """A linear layer of n inputs and m outputs: n*m macs for each row."""
    found = fxcount.compare(Net(5), Net(7), "B,3")
    assert found.totals["macs"].formulas == (fxcount.analyze(Net(5), "B,3").macs, fxcount.analyze(Net(7), "B,3").macs)
    assert found.totals["macs"].numbers == (2 * 25, 2 * 35)
    by_path = {m.path: m for m in found.modules}
    assert by_path["inner.0"].what == "weight (5, 3) -> (7, 3), bias (5) -> (7)"
    assert by_path["inner.0"].changes["macs"].numbers == (2 * 15, 2 * 21)
    assert by_path["head"].changes["params"].difference == 2 * 7 - 2 * 5
    assert not found.same


@pytest.mark.parametrize("other", [Net(7), Net(5, bias=False), Net(5, depth=3), Net(5, "outer"), nn.Linear(3, 2)])
def test_rows_add_up_to_the_totals(other: nn.Module) -> None:
    found = fxcount.compare(Net(5), other, "B,3", B=11)
    for name in ("params", *COUNTS):
        for side in (0, 1):
            assert sum(m.changes[name].numbers[side] for m in found.modules) == found.totals[name].numbers[side]
    for name in COUNTS:
        assert sum(r.changes[name].difference for r in found.lines) == found.totals[name].difference


def test_equal_models_and_moved_modules() -> None:
    assert fxcount.compare(Net(5), Net(5), "B,3").same
    moved = fxcount.compare(Net(5), Net(5, "outer"), "B,3")
    assert moved.same
    assert [(m.before.path, m.path) for m in moved.modules if m.status == "moved" and m.before] == [
        ("inner", "outer"), ("inner.0", "outer.0")
    ]
    deeper = fxcount.compare(Net(5), Net(5, depth=3), "B,3")
    assert {m.path for m in deeper.modules if m.status == "added"} == {"inner.1", "inner.2"}
    assert {m.path for m in fxcount.compare(Net(5, depth=3), Net(5), "B,3").modules if m.status == "removed"} == {
        "inner.1", "inner.2"
    }


def test_reports_saved_reports_and_models_with_inputs_of_their_own(tmp_path: Path) -> None:
    model = Net(5)
    report = fxcount.analyze(model, "B,3")
    path = tmp_path / "net.json"
    path.write_text(report.to_graph_json())
    assert fxcount.compare(report, path).same
    assert fxcount.compare(str(path), (Net(5), "B,3")).same
    other = fxcount.compare(report, (Net(5), "N,3"))
    assert other.totals["macs"].numbers[0] == other.totals["macs"].numbers[1]
    assert not other.same  # other names of sizes are other formulas
    with pytest.raises(InputError):
        fxcount.compare(report, ())


def test_lines_that_cost_more_name_the_function_and_its_modules() -> None:
    found = fxcount.compare(Net(5), Net(5, depth=2), "B,3", B=1)
    line, = found.added_lines()
    assert (line.op, line.changes["macs"].difference, line.modules) == ("linear", 25, ("inner.0", "inner.1", "head"))


def test_one_screen_for_resnets() -> None:
    """torchvision's own documentation: 25,557,032 and 25,028,904 parameters, 4.09 and 4.23 GMACs."""
    pytest.importorskip("torchvision")
    a, b = (fxcount.load_model(f"torchvision:{name}") for name in ("resnet50", "resnext50_32x4d"))
    found = fxcount.compare(a, b, "1,3,224,224")
    assert found.totals["params"].numbers == (25_557_032, 25_028_904)
    assert [round(n / 1e9, 2) for n in found.totals["macs"].numbers] == [4.09, 4.23]
    lines = found.table().splitlines()
    assert len(lines) < 40
    assert max(map(len, lines)) <= 120
    assert "layer1.*.conv2: Conv2d x3" in found.table()
    assert max(map(len, found.table(width=80).splitlines())) <= 80


def test_on_the_command_line(shell: Shell, tmp_path: Path) -> None:  # noqa: F811
    words = ["compare", "user_nets.py:Small", "user_nets.py:Small", "B,3"]
    done = shell(*words)
    assert done.status == 0
    assert "nothing differs" in done.out
    done = shell(*words, "--arg-b", "width=7", "--at", "B=1", "--fail-on-change")
    assert done.status == 1
    assert "user_nets.py:Small -> user_nets.py:Small width=7   at B=1" in done.out
    assert "weight (5, 3) -> (7, 3)" in done.out
    done = shell(*words, "--arg-b", "width=7", "--json", "--at", "B=1")
    assert json.loads(done.out)["totals"]["macs"]["numbers"] == [25, 35]
    done = shell(*words, "--arg-b", "width=7", "--markdown")
    assert "<details>" in done.out
    assert shell("graph", "user_nets.py:Small", "B,3", "-o", "old.json").status == 0
    done = shell("compare", "old.json", "user_nets.py:Small(7)", "B,3")
    assert "+10" in done.out or "10" in done.out
    assert shell("compare", "old.json", "none.json").status == 2
    assert shell("compare", "old.json").status == 2
    assert "not compared by 'mcas'" in shell(*words, "--arg-b", "width=7", "--by", "mcas").err
