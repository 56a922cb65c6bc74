"""Covariance, correlation, distances within a set, histograms: against torch; work against definitions that count."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops.reduction import statistics
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import Counted, T, counted, rule_result, work

F64 = torch.float64
X = T("C,H")

CASES = [
    call(torch.cov, X, on="cpu", assumes=None),
    call(torch.cov, T("H"), on="cpu"),
    call(torch.cov, T("1,H"), on="cpu"),
    call(torch.cov, T("C,H", torch.int64), on="cpu", assumes=None),
    call(torch.corrcoef, X, on="cpu", assumes=None),
    call(torch.histogramdd, T("B,2"), (3, 5), on="cpu"),
    call(torch.histogramdd, T("B,H,3"), 5, on="cpu"),
]


@pytest.mark.parametrize("case", CASES)
def test_shape(case: Case) -> None:
    case.check()


def test_every_op_has_a_case() -> None:
    assert not uncovered(statistics.OPS, CASES)


def _sum(items: list[Counted]) -> Counted:
    total = items[0]
    for item in items[1:]:
        total = total + item
    return total


def _covariance(v: int, o: int, weighted: bool) -> tuple[Counter[str], list[list[Counted]], Any, Any]:
    tally: Counter[str] = Counter()
    x, w = counted(tally, v, o), counted(tally, o)
    values = torch.tensor([[c.value for c in row] for row in x], dtype=F64)
    weights = torch.tensor([c.value for c in w], dtype=F64)
    norm = float(weights.sum() - weights.square().sum() / weights.sum()) if weighted else o - 1
    total = Counted(float(weights.sum()) if weighted else o, tally)
    rows = [[a * b for a, b in zip(row, w, strict=True)] if weighted else row for row in x]
    centred = [[a - m for a in row] for row, m in zip(x, [_sum(row) / total for row in rows], strict=True)]
    scaled = [[a * b for a, b in zip(row, w, strict=True)] if weighted else row for row in centred]
    result = []
    for a in centred:
        line = []
        for b in scaled:
            entry = Counted(0.0, tally)
            for p, q in zip(a, b, strict=True):
                entry = entry.fma(p, q)
            line.append(entry / norm)
        result.append(line)
    return tally, result, values, weights


@pytest.mark.parametrize("weighted", [False, True])
def test_covariance(weighted: bool) -> None:
    tally, result, values, weights = _covariance(3, 5, weighted)
    real = torch.cov(values, aweights=weights) if weighted else torch.cov(values)
    torch.testing.assert_close(torch.tensor([[c.value for c in line] for line in result], dtype=F64), real)
    options = {"aweights": T("5")} if weighted else {}
    found = work(torch.cov, T("3,5"), values={}, **options)
    assert (found["macs"], found["flops"]) == (tally["macs"], tally["flops"])


def test_both_weights_are_multiplied_once() -> None:
    one = work(torch.cov, T("3,5"), values={}, aweights=T("5"))
    two = work(torch.cov, T("3,5"), values={}, aweights=T("5"), fweights=T("5", torch.int64))
    assert two["flops"] - one["flops"] == 5


def test_correlation() -> None:
    tally, result, values, _ = _covariance(3, 5, False)
    deviation = [result[i][i].call("sqrt") for i in range(3)]
    for i, line in enumerate(result):
        for j, c in enumerate(line):
            line[j] = c / deviation[i] / deviation[j]
            _ = line[j] < -1, line[j] > 1
    torch.testing.assert_close(torch.tensor([[c.value for c in line] for line in result], dtype=F64), torch.corrcoef(values))
    assert work(torch.corrcoef, T("3,5"), values={})["flops"] == tally["flops"]
    tally, *_ = _covariance(1, 5, False)
    assert work(torch.corrcoef, T("5"), values={})["flops"] == tally["flops"] + 1


@pytest.mark.parametrize(
    ("func", "args", "kwargs"),
    [
        (torch.cov, (T("B,C,H"),), {}),
        (torch.cov, (X,), {"aweights": T("C")}),
        (torch.histogramdd, (T("B,2"), (3, 5)), {"weight": T("H")}),
    ],
)
def test_errors(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with pytest.raises(ShapeError):
        rule_result(func, *args, **kwargs)
