"""Running sums, differences, integrals: against torch; work against plain loops that count."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops.reduction import cumulative
from tests.ops.cases import call, named, uncovered
from tests.ops.harness import SIZES, Counted, T, counted, rule_result, work

I64, I32, F64, BOOL = torch.int64, torch.int32, torch.float64, torch.bool
X = T("B,C,H")
NHWC = T("B,H,W,C", perm=(0, 3, 1, 2))
BN = T("B,N")

CASES = [
    *(call(named(name), x, 1) for name in ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp") for x in (X, NHWC)),
    *(call(named(name), T("B,C", I32), 0) for name in ("cumsum", "cumprod", "cummax")),
    call(torch.cumsum, T("B,C", BOOL), -1),
    call(torch.cumsum, T("B,C", I64), dim=1, dtype=torch.float32),
    call(torch.diff, X),
    call(torch.diff, NHWC, 1, 1),
    call(torch.diff, X, n=2, dim=1),
    call(torch.diff, X, prepend=T("B,C,K"), append=T("B,C,1")),
    call(torch.diff, T("B", BOOL)),
    call(torch.diff, T("4"), 6),
    call(torch.trapezoid, X),
    call(torch.trapz, X, dx=0.5, dim=1),
    call(torch.trapezoid, X, T("H")),
    call(torch.trapezoid, X, T("B,C,H", F64), dim=0),
    call(torch.cumulative_trapezoid, X, dim=1),
    call(torch.cumulative_trapezoid, X, T("H")),
    call(torch.trapezoid, T("B,C", I64)),
]


@pytest.mark.parametrize("case", CASES)
def test_as_torch(case) -> None:
    case.check()


def test_every_name_has_a_case() -> None:
    assert uncovered(cumulative.OPS, CASES) == set()


def _scan(row: list[Counted], step) -> list[Counted]:
    result = [row[0]]
    for v in row[1:]:
        result.append(step(result[-1], v))
    return result


def _logaddexp(a: Counted, b: Counted) -> Counted:
    larger = b if b > a else a
    return larger + (-abs(a - b)).call("exp").call("log1p")


def _fold(row: list[Counted]) -> Counted:
    return _scan(row, lambda a, b: a + b)[-1]


def _trapezoid(row: list[Counted]) -> None:
    _ = (_fold(row) - (row[0] + row[-1]) * 0.5) * 0.25


def _areas(row: list[Counted], points: list[Counted] | None) -> list[Counted]:
    if points is None:
        return [(a + b) * 0.125 for a, b in pairwise(row)]
    steps = pairwise(points)
    return [(a + b) * (q - p) for a, b, (p, q) in zip(row, row[1:], steps, strict=False)]


DEFINITIONS = [
    (torch.cumsum, lambda row: _scan(row, lambda a, b: a + b)),
    (torch.cumprod, lambda row: _scan(row, lambda a, b: a * b)),
    (torch.cummax, lambda row: _scan(row, lambda a, b: b if b > a else a)),
    (torch.cummin, lambda row: _scan(row, lambda a, b: b if b < a else a)),
    (torch.logcumsumexp, lambda row: _scan(row, _logaddexp)),
    (torch.trapezoid, _trapezoid),
    (torch.cumulative_trapezoid, lambda row: _scan(_areas(row, None), lambda a, b: a + b)),
]


def _wanted(definition, rows: int, size: int) -> dict[str, int]:
    tally: Counter[str] = Counter()
    for row in counted(tally, rows, size):
        definition(row)
    return {k: tally[k] for k in ("macs", "flops", "transcendentals")}


@pytest.mark.parametrize(("func", "definition"), DEFINITIONS)
def test_work_by_definition(func, definition) -> None:
    assert work(func, BN, dim=1) == _wanted(definition, 3, 11)
    assert work(func, BN, dim=0) == _wanted(definition, 11, 3)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_differences_of_differences(order: int) -> None:
    def definition(row: list[Counted]) -> None:
        for _ in range(order):
            row = [b - a for a, b in pairwise(row)]

    assert work(torch.diff, BN, order) == _wanted(definition, 3, 11)


def test_differences_past_the_end_are_none() -> None:
    assert work(torch.diff, T("3"), 7)["flops"] == 2 + 1


def test_differences_of_joined_tensors() -> None:
    assert work(torch.diff, BN, prepend=T("B,2"))["flops"] == 3 * 12


def test_integrals_between_points() -> None:
    tally: Counter[str] = Counter()
    points = counted(tally, 11)
    steps = [b - a for a, b in pairwise(points)]
    for row in counted(tally, 3, 11):
        _ = _fold([(a + b) * s for a, b, s in zip(row, row[1:], steps, strict=False)]) / 2
    assert work(torch.trapezoid, BN, T("N"))["flops"] == tally["flops"]

    tally.clear()
    for row, at in zip(counted(tally, 3, 11), counted(tally, 3, 11), strict=True):
        _ = [v / 2 for v in _scan(_areas(row, at), lambda a, b: a + b)]
    assert work(torch.cumulative_trapezoid, BN, T("B,N"))["flops"] == tally["flops"]


HELD = [
    call(torch.cumsum, X, 1), call(torch.cummax, X, 1), call(torch.logcumsumexp, X, 1), call(torch.diff, X),
    call(torch.diff, X, 2), call(torch.diff, X, 4), call(torch.diff, X, prepend=T("B,C,K")),
    call(torch.diff, X, 2, append=T("B,C,K")), call(torch.trapezoid, X),
    call(torch.trapezoid, X, T("H")), call(torch.trapezoid, X, T("B,C,H")), call(torch.cumulative_trapezoid, X),
    call(torch.cumulative_trapezoid, X, T("H")),
]  # fmt: skip


@pytest.mark.parametrize("case", HELD)
def test_temporaries_as_eager(case) -> None:
    case.assert_held()


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (torch.cumsum, (X, 3)),
        (torch.diff, (T(""),)),
        (torch.trapezoid, (X, T("5"))),
        (torch.logcumsumexp, (T("B", I64), 0)),
    ],
)
def test_refuses_as_torch(func, args) -> None:
    with pytest.raises((RuntimeError, NotImplementedError, IndexError)):
        func(*(a.real(SIZES[0], "cpu") if isinstance(a, T) else a for a in args))
    with pytest.raises(ShapeError):
        rule_result(func, *args)
