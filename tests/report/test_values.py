"""Reports as values: pickled, compared, with sympy at every boundary; and numbers that rest on a guess."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import Any

import pytest
import sympy
import torch
from torch import nn

import fxcount
from fxcount.errors import SizeError
from fxcount.symbolic import Expr
from tests.zoo import analysed

B, ITEM = (sympy.Symbol(name, integer=True, positive=True) for name in ("B", "item_1"))
COUNTS = ("macs", "flops", "transcendentals", "read_bytes", "write_bytes")


class Cut(nn.Module):
    """A layer of 7*5 on all rows, and on as many as a tensor says."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(7, 5)

    def forward(self, x: torch.Tensor, n: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rows = n.sum().item()
        return self.linear(x), self.linear(x.new_zeros(rows, 7))


class Decided(nn.Module):
    """A branch on what a tensor says; no formula has it."""

    def forward(self, x: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
        return x.exp() if n.item() > 5 else x


def _cut(**hints: int) -> fxcount.Report:
    return fxcount.analyze(Cut(), "B,7", "i64[3]", hints=hints or None)


# -- values -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["resnet18", "timm_mobilevit", "t5"])
def test_a_pickled_report_is_the_same(name: str) -> None:
    report = analysed(name)
    loaded = pickle.loads(pickle.dumps(report))
    assert loaded == report
    assert hash(loaded) == hash(report)
    assert loaded.to_dict() == report.to_dict()
    assert type(loaded) is fxcount.Report
    assert pickle.loads(pickle.dumps(loaded)) == report


def test_equal_is_what_was_recorded_alike() -> None:
    def net(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(3, width), nn.ReLU())

    first = fxcount.analyze(net(5), "B,3")
    assert first == fxcount.analyze(net(5), "B,3")
    assert first != fxcount.analyze(net(7), "B,3")
    assert first != fxcount.analyze(net(5), "C,3")
    assert first.at(B=3) == first.at(B=3)
    assert first.at(B=3) != first.at(B=5)
    assert first != first.at(B=3)
    assert first != 15
    assert len({first, fxcount.analyze(net(5), "B,3"), first.at(B=3)}) == 2


def test_a_copy_keeps_the_graph_module() -> None:
    report = fxcount.analyze(nn.Linear(3, 5), "B,3")
    for twin in (copy.copy(report), copy.deepcopy(report)):
        assert twin.graph_module is report.graph_module


def test_what_a_row_says_is_sympy() -> None:
    report = analysed("timm_mobilevit")
    rows: list[Any] = [*report.ops, *report.by_op(), *report.by_module()]
    assert {type(row).__name__ for row in rows} == {"OpRow", "KindRow", "ModuleRow"}
    found = [getattr(row, count) for row in rows for count in COUNTS]
    found += [size for row in rows for shape in getattr(row, "output_shapes", ()) for size in shape]
    found += [n for row in report.conventions() for n in (row.number, row.exact, *(d.amount for d in row.differences))]
    found += dataclasses.astuple(report.memory)[:-1]
    assert {isinstance(size, (int, sympy.Expr)) for size in found} == {True}
    assert any(isinstance(size, sympy.Expr) for size in found)
    for row in rows:
        assert row.cost.macs == row.macs
        with pytest.raises(dataclasses.FrozenInstanceError):
            row.macs = 0


def test_rows_are_substituted_as_any_formula() -> None:
    (row,) = fxcount.analyze(nn.Linear(3, 5), "B,3").by_op()
    assert row.macs.subs(B, 7) == row.cost.macs.subs(B, 7) == 105
    assert fxcount.symbolic.evaluate(row.macs, {"B": 7}) == 105


def test_the_algebra_mixes_with_sympy() -> None:
    internal = fxcount.analyze(nn.Linear(3, 5), "B,3").costs.total.macs
    assert isinstance(internal, Expr)
    assert sympy.sympify(internal) == 15 * B
    assert sympy.Integer(2) * sympy.sympify(internal) - internal == 15 * B


# -- guesses ----------------------------------------------------------------------------------------------------------
def test_a_guess_is_never_an_answer() -> None:
    report = _cut()
    assert [u.name for u in report.guesses] == ["item_1"]
    with pytest.raises(SizeError, match=r"needs a value for item_1") as caught:
        report.at(B=3)
    assert f"test_values.py:{Cut.forward.__code__.co_firstlineno + 1}" in caught.value.where
    assert "guess=True" in caught.value.hint
    assert report.at(B=3, item_1=2).macs == 35 * 3 + 35 * 2
    assert report.at(B=3, item_1=2).guesses == []
    guessed = report.at(B=3, guess=True)
    assert guessed.macs == 35 * 3 + 35 * report.symbols["item_1"]
    assert [u.name for u in guessed.guesses] == ["item_1"]


def test_numbers_on_a_guess_are_marked() -> None:
    report = _cut()
    assert [row.guesses for row in report.by_module()] == [("item_1",), (), ("item_1",)]
    assert [row.guesses for row in report.by_op() if row.op == "linear"] == [("item_1",)]
    for seen in (report, report.at(B=3, guess=True)):
        data = json.loads(seen.to_json())
        assert [g["name"] for g in data["guesses"]] == ["item_1"]
        assert data["guesses"][0]["taken_as"] == report.symbols["item_1"]
        assert data["totals"]["guesses"] == ["item_1"]
        assert [m["guesses"] for m in data["modules"]] == [["item_1"], [], ["item_1"]]
        lines = str(seen).splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("macs"))
        assert any(line.endswith("?") for line in lines[at : at + 2])
        assert any(line.startswith("guessed item_1 = ") for line in lines)
    known = report.at(B=3, item_1=2)
    assert "?" not in str(known)
    assert json.loads(known.to_json())["guesses"] == []


def test_a_guess_survives_a_file() -> None:
    guessed = _cut().at(B=3, guess=True)
    loaded = fxcount.load(guessed.to_graph_json())
    assert loaded == guessed
    assert [u.name for u in loaded.guesses] == ["item_1"]
    with pytest.raises(SizeError, match="needs a value for item_1"):
        fxcount.load(_cut().to_graph_json()).at(B=3)


def test_a_hint_for_it_is_an_answer() -> None:
    report = _cut(item=13)
    assert report.guesses == []
    assert report.at(B=3).macs == 35 * 3 + 35 * 13
    assert "?" not in str(report)


def test_a_branch_on_a_guess_is_one() -> None:
    report = fxcount.analyze(Decided(), "B,3", "i64[]")
    assert [u.name for u in report.guesses] == ["item_1"]
    with pytest.raises(SizeError, match="needs a value for item_1"):
        report.at(B=3)
    assert report.at(B=3, item_1=7).flops == 9


def test_bounds_are_defaults_without_being_guesses() -> None:
    class Masked(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[x > 0].exp()

    report = fxcount.analyze(Masked(), "B,3")
    assert report.guesses == []
    assert report.at(B=5).transcendentals == 15


def test_reserved_words_of_at() -> None:
    report = fxcount.analyze(nn.Linear(3, 5), "B,3")
    assert report.at(B=7, extend=False).macs == report.at(B=7, extend=True).macs == 105
    with pytest.raises(SizeError, match=r"at\(\) got .?self"):
        report.at(B=7, self=3)


# -- one report, one answer -------------------------------------------------------------------------------------------
class Tied(nn.Module):
    """Parameters that share elements: two names, a strided view, a frozen overlap, a module under two paths, one never called.

    19*5 of the base, 11*5 of the table, 5*5 + 5 of the layer called twice, 5*7 + 7 of the idle one: 95 + 55 + 30 + 42.
    """

    def __init__(self) -> None:
        super().__init__()
        base = torch.zeros(19, 5)
        self.table, self.head = nn.Embedding(11, 5), nn.Linear(5, 11, bias=False)
        self.head.weight = self.table.weight
        self.whole = nn.Parameter(base)
        self.odd = nn.Parameter(base[1::2].detach())
        self.frozen = nn.Parameter(base[:, 2:].detach(), requires_grad=False)
        self.once, self.idle = nn.Sequential(nn.Linear(5, 5)), nn.Linear(5, 7)
        self.again = nn.Sequential(self.once[0], nn.ReLU())

    def forward(self, ids: torch.Tensor) -> Any:
        x = self.again(self.once(self.table(ids)))
        return self.head(x), x @ self.whole.mT, x @ self.odd.mT, x[..., :3] @ self.frozen.mT


def test_every_field_agrees_with_the_others() -> None:
    report = fxcount.analyze(Tied(), "i64[4,3]")
    total = 95 + 55 + 30 + 42
    summary = fxcount.summary(Tied(), input_size=(4, 3), dtypes=[torch.long], verbose=0)
    data = report.to_dict()
    graph = report.to_networkx().graph
    assert {
        report.params.total, report.params.trainable + report.params.frozen, sum(r.unique for r in report.params.rows()),
        report.by_module(0)[0].params, data["params"]["total"], data["modules"][0]["params"], graph["parameters"],
        summary.total_params, int(report.to_pandas("params").unique_elements.sum()),
    } == {total}  # fmt: skip
    assert {report.params.bytes, report.memory.parameters, summary.total_param_bytes, graph["parameter_bytes"]} == {4 * total}
    for count in COUNTS:
        assert sum(getattr(row, count) for row in report.ops) == getattr(report, count) == data["totals"][count] == graph[count]
