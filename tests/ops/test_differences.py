"""torch.gradient: results against torch; work against plain loops that count."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops.reduction import differences
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import Counted, T, counted, rule_result, work

X = T("B,C,H")
NHWC = T("B,H,W,C", perm=(0, 3, 1, 2))

CASES = [
    call(torch.gradient, X, on="cpu", assumes=3),
    call(torch.gradient, X, spacing=2.0, dim=1, on="cpu", assumes=1),
    call(torch.gradient, NHWC, dim=(1, -1), edge_order=2, on="cpu", assumes=2),
    call(torch.gradient, NHWC, dim=2, on="cpu", assumes=1),
    call(torch.gradient, T("B,C", torch.int32), spacing=(2.0, 3.0), on="cpu", assumes=2),
    call(torch.gradient, X, spacing=[T("H")], dim=2, on="cpu", assumes=1),
    call(torch.gradient, T("B,C", torch.float64), spacing=[T("B"), T("C")], on="cpu", assumes=2),
]


@pytest.mark.parametrize("case", CASES)
def test_as_torch(case: Case) -> None:
    case.check()


def test_every_op_has_a_case() -> None:
    assert not uncovered(differences.OPS, CASES)


def _evenly(line: list[Counted], order: int) -> None:
    """The formulas of the documentation of torch.gradient, at spacing 0.5."""
    for before, after in zip(line, line[2:]):
        _ = (after - before) / 1.0
    for a, b, c in ((line[0], line[1], line[2]), (line[-1], line[-2], line[-3])):
        _ = (b - a) / 0.5 if order == 1 else (a * -1.5 + b * 2.0 + c * -0.5) / 0.5


def _weighted(weights: tuple[Counted, ...], values: tuple[Counted, ...]) -> None:
    (p, q, r), (a, b, c) = weights, values
    _ = p * a + q * b + r * c


def _at_coordinates(lines: list[list[Counted]], points: list[Counted], order: int) -> None:
    """Through three points each: the derivative of the parabola through them."""
    steps = [q - p for p, q in pairwise(points)]
    for k, (d, e) in enumerate(pairwise(steps)):
        weights = -e / (d * (d + e)), (e - d) / (d * e), d / (e * (d + e))
        for line in lines:
            _weighted(weights, (line[k], line[k + 1], line[k + 2]))
    if order == 1:
        for line in lines:
            _ = (line[1] - line[0]) / steps[0], (line[-1] - line[-2]) / steps[-1]
        return
    d, e = steps[:2]
    first = -(d * 2.0 + e) / (d * (d + e)), (d + e) / (d * e), -d / (e * (d + e))
    d, e = steps[-2:]
    last = e / (d * (d + e)), -(d + e) / (d * e), (e * 2.0 + d) / (e * (d + e))
    for line in lines:
        _weighted(first, (line[0], line[1], line[2]))
        _weighted(last, (line[-3], line[-2], line[-1]))


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("n", [3, 7])
def test_work(n: int, order: int) -> None:
    for points in (None, T(str(n))):
        tally: Counter[str] = Counter()
        lines = [list(counted(tally, n)) for _ in range(5)]
        if points is None:
            for line in lines:
                _evenly(line, order)
        else:
            _at_coordinates(lines, list(counted(tally, n)), order)
        spacing: Any = 0.5 if points is None else [points]
        assert work(torch.gradient, T(f"5,{n}"), spacing=spacing, dim=1, edge_order=order, values={})["flops"] == tally["flops"]


def test_errors() -> None:
    with pytest.raises(ShapeError, match="an edge of order 2 takes 3"):
        rule_result(torch.gradient, T("5,2"), dim=1, edge_order=2)
    with pytest.raises(ShapeError, match="coordinates"):
        rule_result(torch.gradient, T("5,7"), spacing=[T("5")], dim=1)
