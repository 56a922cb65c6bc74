"""All pieces over a range: every size of it exact, neighbours that count the same are one, what is refused says so."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import fxcount
from fxcount.errors import FxcountError, SizeError
from fxcount.report.data.regions import Progression, Side, joined, products, progressions, side, text
from tests.zoo import CASES

WIDTH = 5


class Net(nn.Module):
    """Above 8 tokens S*S*WIDTH macs per batch, up to 8 none; multiples of 7 above 8 it does not take."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] > 8:
            if x.shape[1] % 7 == 0:
                raise ValueError("no multiples of seven")
            return x @ x.mT
        return x + 1


def met(condition: Any, **sizes: int) -> bool:
    return condition == True or condition.subs({s: sizes[s.name] for s in condition.free_symbols}) == True  # noqa: E712


def value(formula: Any, **sizes: int) -> int | None:
    """A Piecewise at these sizes; ``None`` where it has no piece."""
    given = {s: sizes[s.name] for s in formula.free_symbols}
    return next((int(expr.subs(given)) for expr, condition in formula.args if met(condition, **sizes)), None)


def test_every_size_of_the_range() -> None:
    model = Net()
    pieces = fxcount.analyze(model, f"B,S,{WIDTH}").pieces(B=(1, 64), S=(1, 99))
    assert [row.domain for row in pieces] == [
        "1 <= B <= 64, 1 <= S <= 8", "1 <= B <= 64, 9 <= S <= 99 without S = 14, 21, ..., 98"
    ]  # fmt: skip
    (refused,) = pieces.refused
    assert refused.domain == "1 <= B <= 64, S = 14, 21, ..., 98"
    assert refused.said == "ValueError: no multiples of seven"
    for batch in (1, 3, 64):
        for s in range(1, 100):
            wanted = None if s > 8 and s % 7 == 0 else batch * s * s * WIDTH if s > 8 else 0
            assert value(pieces.macs, B=batch, S=s) == wanted
            assert met(refused.condition, B=batch, S=s) == (wanted is None)
    first = Net.forward.__code__.co_firstlineno
    assert [str(a) for a in pieces.rows[1].assumptions] == ["S >= 9", "S % 7 != 0"]
    assert f"test_pieces.py:{first + 1}" in pieces.to_markdown()
    assert "2, 1 regions refused" in repr(pieces)


def test_what_counts_the_same_is_one_piece() -> None:
    class Mask(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2 if x.shape[0] >= 2 else x * 3  # a decision that changes nothing that is counted

    model = Mask()
    report = fxcount.analyze(model, "B,3")
    assert [str(a) for a in report.assumptions] == ["B >= 2"]
    pieces = report.pieces(B=(1, 64))
    (row,) = pieces.rows
    assert (row.domain, row.assumptions, str(row.flops)) == ("1 <= B <= 64", [], "3*B")


def test_conditions_on_several_symbols_keep_the_rest_apart() -> None:
    class Area(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.relu() if x.shape[2] * x.shape[3] > 100 else x
            return y.exp() if x.shape[0] > 7 else y

    model = Area()
    pieces = fxcount.analyze(model, "B,3,H,W").pieces(B=(1, 10**6), H=(5, 20), W=(5, 20))
    for b, h, w in ((1, 5, 20), (1, 5, 5), (8, 10, 10), (8, 10, 11), (7, 20, 20)):
        wanted = (h * w > 100) + (b > 7)
        assert value(pieces.flops, B=b, H=h, W=w) == wanted * b * 3 * h * w, (b, h, w)


def test_ties_ranges_and_numbers() -> None:
    model = Net()
    report = fxcount.analyze(model, f"B,S,{WIDTH}")
    pieces = report.pieces(B="S - 3", S=range(2, 30, 2))
    assert [value(pieces.macs, S=s) for s in (2, 4, 8, 10, 14)] == [None, 0, 0, 7 * 100 * WIDTH, None]
    assert {r.said for r in pieces.refused} == {"a size must be at least 1", "ValueError: no multiples of seven"}
    assert value(report.at(B=3).pieces(S=(9, 13)).macs, S=11) == 3 * 121 * WIDTH
    (row,) = report.pieces(B=3, S=11).rows
    assert (row.domain, row.macs) == ("everywhere", 3 * 121 * WIDTH)


def test_other_totals_are_those_of_at() -> None:
    model = Net()
    report = fxcount.analyze(model, f"B,S,{WIDTH}")
    pieces = report.pieces(B=(1, 8), S=(1, 13))
    for sizes in ({"B": 3, "S": 7}, {"B": 8, "S": 11}):
        at = report.at(**sizes)
        assert value(pieces.flops, **sizes) == at.flops
        assert value(pieces.read_bytes, **sizes) == at.read_bytes
        assert value(pieces.write_bytes, **sizes) == at.write_bytes
        assert value(pieces.peak_bytes, **sizes) == at.memory.peak


def test_a_report_without_its_model_says_what_it_cannot_answer() -> None:
    model = Net()
    report = fxcount.analyze(model, f"B,S,{WIDTH}")
    pieces = fxcount.load(report.to_graph_json()).pieces(B=1, S=(1, 20))
    assert [row.domain for row in pieces] == ["9 <= S <= 13 or 15 <= S <= 20"]
    assert "read from a file" in pieces.refused[0].said


def test_there_is_an_end_to_it() -> None:
    class Pins(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.new_zeros(int(str(x.shape[0]))) + x.exp().sum()

    model = Pins()
    report = fxcount.analyze(model, "B,3")
    assert value(report.pieces(B=(1, 9)).flops, B=7) == (
        report.at(B=7).flops
    )
    with pytest.raises(FxcountError, match="takes B as a number, so that each size of it is a piece of its own; 590 are left"):
        report.pieces(B=(1, 600))


@pytest.mark.parametrize(
    ("sizes", "said"),
    [({"S": (1, 9)}, "needs a value, a range or a tie for B"), ({"B": (9, 3), "S": 1}, "no sizes"),
     ({"B": (1, 10**30), "S": 1}, "at most 10,000,000 sizes"),
     ({"B": 1, "S": 0}, "at least 1"),
     ({"B": "S", "S": "B"}, "tied to one another"), ({"B": 1, "S": 2, "Q": 3}, "got 'Q'")],
)  # fmt: skip
def test_what_is_no_range(sizes: dict[str, Any], said: str) -> None:
    model = Net()
    with pytest.raises(SizeError, match=said):
        fxcount.analyze(model, f"B,S,{WIDTH}").pieces(**sizes)


# -- sets of sizes in words ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(20))
def test_progressions_are_the_set(seed: int) -> None:
    draw = np.random.default_rng(seed)
    values = list(range(3, 200))
    periods = draw.integers(2, 40, size=2)
    chosen = [v % int(periods[0]) == 1 or v > 150 or v % int(periods[1]) == 0 for v in values]
    said = side("S", values, chosen)
    inside = {v for p in said.progressions for v in range(p.first, p.last + 1, p.step)}
    inside -= {v for p in said.left_out for v in range(p.first, p.last + 1, p.step)}
    assert inside == {v for v, c in zip(values, chosen) if c}
    assert progressions([7], [True]) == [Progression(7, 7, 1)]
    assert "S" in text([[said]])


@pytest.mark.parametrize("seed", range(20))
def test_alternatives_that_are_joined_are_the_same_sizes(seed: int) -> None:
    """Boxes of two symbols, cut along lines: what is left covers the same, and of a whole one, in order, one is left."""
    draw = np.random.default_rng(seed)

    def box(s: tuple[int, int], t: tuple[int, int]) -> tuple[Side, ...]:
        return tuple([Side((n,), (Progression(*ends, 1),)) for n, ends in (("S", s), ("T", t))])

    def members(alternatives: list[tuple[Side, ...]]) -> set[tuple[int, ...]]:
        axes = [[[v for p in s.progressions for v in range(p.first, p.last + 1)] for s in sides] for sides in alternatives]
        return {point for one in axes for point in product(*one)}

    edges = [[0, *sorted(draw.choice(np.arange(1, 20), 3, replace=False).tolist()), 20] for _ in "ST"]
    stretches = [[(low + 1, high) for low, high in pairwise(e)] for e in edges]
    boxes = [box(s, t) for s, t in product(*stretches)]
    some = [b for b in boxes if draw.random() < 0.6]
    assert members(joined(some)) == members(some)
    assert joined(boxes) == [box((1, 20), (1, 20))]
    every_third = (Side(("S",), (Progression(3, 9, 3),)), boxes[0][1])
    assert every_third in joined([every_third, *boxes[:1]])


@pytest.mark.parametrize("seed", range(10))
def test_products_are_the_cells(seed: int) -> None:
    cells = np.random.default_rng(seed).random((3, 4, 2)) > 0.5
    again = np.zeros_like(cells)
    for parts in products(cells):
        assert not again[np.ix_(*parts)].any()  # no cell twice
        again[np.ix_(*parts)] = True
    assert (again == cells).all()


# -- real models --------------------------------------------------------------------------------------------------------
def test_swin_against_torch_s_counter() -> None:
    case = CASES["swin_t"]
    model = case.on("meta")
    pieces = case.analyse(model).pieces(H=(32, 1024), W="H", B=1)
    assert [row.domain for row in pieces] == ["32 <= H <= 59", "60 <= H <= 115", "116 <= H <= 227", "228 <= H <= 1024"]
    assert isinstance(pieces.macs, sympy.Piecewise)
    for size in (32, 59, 60, 101, 115, 116, 227, 228, 331):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, 3, size, size, device="meta"))
        assert 2 * (value(pieces.macs, H=size) or 0) == counter.get_total_flops(), size


def test_of_symbols_that_decisions_bring_together_the_domain_is_told_in_those_that_run() -> None:
    class Together(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            B, H, W = x.shape
            return x @ x if B * H >= 12 and W % 3 == 0 else x + 1

    model = Together()
    pieces = fxcount.analyze(model, "B,H,W", hints={"B": 3, "H": 6, "W": 6}).pieces(B=(1, 5), H=(1, 9), W="H")
    assert {s.name for s in pieces.macs.free_symbols} == {"B", "H"}
    assert not any("W" in row.domain for row in pieces)
    for batch, height in product(range(1, 6), range(1, 10)):
        values = {s: {"B": batch, "H": height}[s.name] for s in pieces.macs.free_symbols}
        assert pieces.macs.subs(values) == (batch * height**3 if batch * height >= 12 and height % 3 == 0 else 0)


def test_sizes_of_a_condition_on_several_symbols_are_told_one_by_one_where_they_can_be() -> None:
    """A claim on a quotient of sizes with the batch in it, which is one on the resolution alone."""

    class Windows(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            batch, length = x.shape
            if batch * length != batch * 7 * (length // 7):
                raise ValueError("windows of 7")
            return x.view(batch * (length // 7), 7) * 2

    model = Windows()
    pieces = fxcount.analyze(model, "B,S", hints={"S": 28}).pieces(B=(1, 5), S=(1, 40))
    assert [row.domain for row in pieces] == ["1 <= B <= 5, S = 7, 14, ..., 35"]
    for b, s in product(range(1, 6), range(1, 41)):
        assert met(pieces.rows[0].condition, B=b, S=s) == (s % 7 == 0)
        assert any(met(region.condition, B=b, S=s) for region in pieces.refused) == (s % 7 != 0)


def test_a_total_that_is_the_same_in_several_pieces_has_one_condition() -> None:
    class Steps(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x @ x.mT
            return y + 1 if x.shape[1] > 8 else y

    model = Steps()
    pieces = fxcount.analyze(model, "B,S,5").pieces(B=(1, 4), S=(1, 20))
    assert len(pieces) == len(pieces.flops.args) == 2
    ((formula, condition),) = pieces.macs.args
    assert str(formula) == "5*B*S**2"
    assert str(condition) == "(B <= 4) & (S <= 20)"


def test_loops_are_told_before_hundreds_of_analyses(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loop(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for _ in range(x.shape[1]):
                x = x + 1
            return x

    model, calls, forward = Loop(), [], Loop.forward
    monkeypatch.setattr(Loop, "forward", lambda self, x: (calls.append(1), forward(self, x))[1])
    report = fxcount.analyze(model, "B,S", hints={"S": 11})
    with pytest.raises(FxcountError, match=r"takes S as a number.*991 are left") as caught:
        report.pieces(B=(1, 4), S=(1, 999))
    assert len(calls) < 20
    assert f"test_pieces.py:{forward.__code__.co_firstlineno + 1}" in caught.value.where
    assert "report.fit().curve(...)" in str(caught.value)
    assert len(report.pieces(B=(1, 4), S=(1, 30))) == 30  # fewer sizes than analyses are allowed


def test_a_piecewise_in_python_and_numpy_is_exact() -> None:
    """Beyond 2**53 a float would not be; where no piece is there is no number."""

    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(10**6 + 3, 10**6 + 3, device="meta")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x) if x.shape[1] > 8 else x + 1

    model, width = Wide(), 10**6 + 3
    found = fxcount.analyze(model, f"B,S,{width}").pieces(B=(1, 64), S=(1, 9999)).macs
    plain = sympy.Piecewise(*found.args, evaluate=False)
    assert found == plain
    assert plain == found
    assert hash(found) == hash(plain)
    assert isinstance(found, sympy.Piecewise)
    symbols = sorted(found.free_symbols, key=str)
    large = 63 * 9997 * width**2
    assert int(float(large)) != large
    for modules in ("math", "numpy", None):
        assert int(sympy.lambdify(symbols, found, modules)(63, 9997)) == large
    values = sympy.lambdify(symbols, found)(np.array([63, 2, 3, 7]), np.array([9997, 8, 9, 10**4]))
    assert values[:3].tolist() == [large, 0, 3 * 9 * width**2]
    assert values[3] is None
    assert found.subs(dict(zip(symbols, (63, 9997)))) == large
