"""The report's views: rows, numbers at sizes, plain data, the text table; and a user's own op."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest
import sympy
import torch
from torch import nn

import fxcount
from fxcount.demo import INPUT, Demo
from fxcount.ops import Work
from fxcount.report import Report
from fxcount.symbolic import eval_rows, evaluate, parse
from tests.zoo import CASES, analysed

VALUES = {"B": 3, "H": 97, "W": 163}
QUANTITIES = ("macs", "flops", "transcendentals", "read_bytes", "write_bytes")


@pytest.fixture(scope="module")
def demo() -> Report:
    return fxcount.analyze(Demo(), INPUT)


def test_totals_are_sympy_with_symbols_and_int_without(demo: Report) -> None:
    at = demo.at(B=3, H=20, W=28)
    for name in QUANTITIES:
        assert isinstance(getattr(demo, name), sympy.Expr)
        assert type(getattr(at, name)) is int
    assert all(s.is_integer and s.is_positive for s in demo.macs.free_symbols)
    assert (demo.symbols, at.symbols) == ({"B": 2, "H": 224, "W": 224}, {})


@pytest.mark.parametrize("name", ["resnet18", "llama", "timm_mobilevit"])
def test_at_is_the_value_of_the_formula(name: str) -> None:
    """sympy's own substitution agrees with the numbers."""
    report, values = analysed(name), CASES[name].sizes[0]
    for quantity in QUANTITIES:
        formula = sympy.sympify(getattr(report, quantity))  # an int where nothing depends on a size
        assert formula.subs({s: values[s.name] for s in formula.free_symbols}) == getattr(report.at(**values), quantity)


def test_work_of_modules_is_that_of_their_own_ops_and_their_children(demo: Report) -> None:
    """Every module call: its ops outside of any child, plus the children's totals."""
    report = demo.at(B=3, H=20, W=28)
    trace, rows = report.trace, report.by_module()
    assert len(rows) == len(trace.modules)
    for quantity in QUANTITIES:
        own = dict.fromkeys(range(len(rows)), 0)
        for op in report.ops:
            own[trace.calls[op.index].module] += getattr(op.cost, quantity)
        for index, row in enumerate(rows):
            children = [i for i, m in enumerate(trace.modules) if m.parent == index]
            parts = own[index] + sum(getattr(rows[i].cost, quantity) for i in children)
            assert parts == getattr(row.cost, quantity), (row.path, quantity)
        assert sum(own.values()) == getattr(report, quantity)


@pytest.mark.parametrize("depth", [0, 1, 2, None])
def test_depth_of_module_rows(demo: Report, depth: int | None) -> None:
    rows = demo.by_module(depth)
    assert max(r.depth for r in rows) == (3 if depth is None else depth)
    assert {r.path.count(".") + 1 if r.path else 0 for r in rows} == {r.depth for r in rows}


def test_module_rows_of_the_demo(demo: Report) -> None:
    rows = {(r.path, r.number): r for r in demo.at(B=3, H=20, W=28).by_module()}
    assert rows["block", 1].cost == rows["block", 2].cost
    stem = rows["stem.0", 1]
    assert stem.output_shapes == ((3, 32, 10, 14),)
    assert stem.params == 3 * 32 * 9
    assert stem.cost.macs == 3 * 32 * 10 * 14 * 27
    assert rows["", 1].params == demo.params.total


def test_by_op_is_sorted_by_work(demo: Report) -> None:
    macs = [evaluate(r.cost.macs, demo.symbols) for r in demo.by_op()]
    assert macs == sorted(macs, reverse=True)
    assert len({r.op for r in demo.by_op()}) == len(demo.by_op())


# -- plain data -------------------------------------------------------------------------------------------------------
def _leaves(data: Any) -> list[Any]:
    if isinstance(data, dict):
        assert all(isinstance(k, str) for k in data)
        return [x for v in data.values() for x in _leaves(v)]
    if isinstance(data, list):
        return [x for v in data for x in _leaves(v)]
    return [data]


@pytest.mark.parametrize("at", [False, True])
def test_json_is_the_dict(demo: Report, at: bool) -> None:
    report = demo.at(B=3, H=20, W=28) if at else demo
    data = report.to_dict()
    assert json.loads(report.to_json()).items() >= data.items()  # and the whole report, that it can be read back
    assert {type(x) for x in _leaves(data)} <= {str, int, float, bool, type(None)}


def test_formulas_in_plain_data_can_be_read_back() -> None:
    """As text, and as straight-line programs."""
    report = analysed("resnet18")
    data, at = report.to_dict(), report.at(**VALUES).to_dict()
    for quantity in QUANTITIES:
        assert evaluate(parse(str(data["totals"][quantity])), VALUES) == at["totals"][quantity]
    for quantity, program in data["programs"].items():
        assert eval_rows([tuple(row) for row in program], VALUES) == at["totals"][quantity]
    assert at["programs"] == {}
    assert at["at"] == VALUES


def test_plain_data_partition_the_totals(demo: Report) -> None:
    data = demo.at(B=3, H=20, W=28).to_dict()
    assert sum(op["macs"] for op in data["ops"]) == data["totals"]["macs"]
    assert data["modules"][0]["flops"] == data["totals"]["flops"]
    assert data["params"]["total"] == sum(row["numel"] for row in data["params"]["rows"])


def test_assumptions_in_plain_data() -> None:
    data = analysed("densenet121").to_dict()
    assert {a["kind"] for a in data["assumptions"]} == {"guard"}
    assert all(re.search(r"\.py:\d+ \(", a["where"]) and a["text"] and a["reason"] for a in data["assumptions"])


# -- the table --------------------------------------------------------------------------------------------------------
def test_table_says_all(demo: Report) -> None:
    text = str(demo)
    for part in (
        "Demo(x: float32[B, 3, H, W])", "rows at B=2, H=224, W=224", "stem: Sequential", "block: Block",
        "(call 2)", "shared", "unused.weight", "is never called", f"{demo.params.total:,}", "macs", "flops", "peak at",
    ):  # fmt: skip
        assert part in text, part
    total = evaluate(demo.costs.total.macs, demo.symbols)
    assert f"{total:,}" in text


def test_table_at_sizes_has_numbers_only(demo: Report) -> None:
    text = str(demo.at(B=3, H=20, W=28))
    assert "float32[3, 3, 20, 28]" in text
    assert f"{demo.at(B=3, H=20, W=28).macs:,}" in text
    assert "*B" not in text


def test_table_lists_assumptions_and_stays_within_its_columns() -> None:
    report = analysed("densenet121")
    text = report.table(2)
    assert all(str(a) in text for a in report.assumptions)
    rows = [line.index("%") for line in text.splitlines() if re.search(r"\d\.\d%", line)]
    assert len(rows) >= len(report.by_module(2))  # and rows for ops outside of any child
    assert len(set(rows)) == 1


def test_a_model_without_work_has_a_table() -> None:
    class Nothing(nn.Module):
        def forward(self, x: torch.Tensor) -> None:
            return None

    report = fxcount.analyze(Nothing(), "B,5")
    assert (report.macs, report.flops, report.params.total) == (0, 0, 0)
    assert "Nothing(x: float32[B, 5])" in str(report)
    assert report.at(B=3).memory.peak == 60  # the input


def test_the_work_for_a_table_grows_with_its_rows() -> None:
    """Rows are differences of prefix sums: not rows times ops."""

    def calls(layers: int) -> int:
        report = fxcount.analyze(nn.Sequential(*[nn.Sequential(nn.Linear(3, 3), nn.ReLU()) for _ in range(layers)]), "B,3")
        count = 0

        def note(*_: Any) -> None:
            nonlocal count
            count += 1

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            report.table(None)
        finally:
            sys.setprofile(before)
        return count

    assert calls(1600) < 9 * calls(200)


# -- a user's own op -----------------------------------------------------------------------------------------------------
class Calls(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def test_a_rule_replaces_and_extends() -> None:
    """For a function torch knows and for one of the user's own library."""
    library = torch.library.Library("fxcount_report_tests", "DEF")
    library.define("cube(Tensor x) -> Tensor")
    cube = torch.ops.fxcount_report_tests.cube
    rules = [
        fxcount.rule(torch.relu, shape=lambda scope, x: x, cost=lambda y, x: Work(flops=3 * x.numel)),
        fxcount.rule(cube, cube.default, shape=lambda scope, x: x, cost=lambda y, x: Work(flops=2 * x.numel)),
    ]
    assert fxcount.analyze(Calls(torch.relu), "B,5", rules=rules).at(B=7).flops == 105
    report = fxcount.analyze(Calls(cube), "B,5", rules=rules, strict=True).at(B=7)
    assert (report.flops, report.read_bytes, report.write_bytes) == (70, 140, 140)
    assert fxcount.analyze(Calls(torch.relu), "B,5").at(B=7).flops == 35  # torch's own again


@pytest.mark.parametrize(
    "wrong", [{"cost": None, "zero": ""}, {"cost": lambda y, x: Work(), "zero": "no work"}], ids=["neither", "both"]
)
def test_a_rule_needs_a_cost_or_a_reason(wrong: dict[str, Any]) -> None:
    with pytest.raises(fxcount.InputError, match="either a cost or"):
        fxcount.rule(torch.relu, shape=lambda scope, x: x, **wrong)


def test_progress_is_told_of_every_op() -> None:
    told: list[int] = []
    report = fxcount.analyze(Demo(), INPUT, progress=told.append)
    assert told == list(range(len(report.ops)))
