"""Softmax and its kin: against torch; work against plain loops that count."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops.reduction import softmax
from tests.ops.cases import call, uncovered
from tests.ops.harness import SIZES, Counted, T, counted, rule_result, work

I64, F16 = torch.int64, torch.float16
X = T("B,C,H")
NHWC = T("B,H,W,C", perm=(0, 3, 1, 2))
aten = torch.ops.aten

CASES = [
    call(torch.softmax, X, -1),
    call(torch.softmax, T("B,C,H", F16), 1, torch.float32),
    call(torch.softmax, T("B,C", I64), dim=0, dtype=torch.float32),
    call(torch.softmax, NHWC, 1),
    call(torch.softmax, T("H,C,B", perm=(2, 1, 0)), 1),
    call(torch.softmax, T(""), 0),
    call(torch.Tensor.softmax, X, dim=1),
    call(torch.special.softmax, X, 1),
    call(aten._softmax.default, X, -1, False),
    call(aten._safe_softmax.default, X, -1),
    call(torch.log_softmax, NHWC, 1),
    call(torch.special.log_softmax, X, 2),
    call(aten._log_softmax.default, X, 1, False),
    call(torch.logsumexp, X, 1),
    call(torch.logsumexp, X, (0, -1), keepdim=True),
    call(torch.logsumexp, T("B,C", I64), 1),
    call(torch.special.logsumexp, X, 1, True),
    call(aten._masked_softmax.default, X, T("B,C,H", torch.bool), -1, on="cpu"),
]


@pytest.mark.parametrize("case", CASES)
def test_as_torch(case) -> None:
    case.check()


def test_every_name_has_a_case() -> None:
    assert uncovered(softmax.OPS, CASES) == set()


def _maximum(row: list[Counted]) -> Counted:
    largest = row[0]
    for v in row[1:]:
        largest = v if v > largest else largest
    return largest


def _sum(row: list[Counted]) -> Counted:
    total = row[0]
    for v in row[1:]:
        total = total + v
    return total


def _softmax(row: list[Counted]) -> None:
    largest = _maximum(row)
    powers = [(v - largest).call("exp") for v in row]
    total = _sum(powers)
    _ = [p / total for p in powers]


def _log_softmax(row: list[Counted]) -> None:
    largest = _maximum(row)
    shifted = [v - largest for v in row]
    total = _sum([v.call("exp") for v in shifted]).call("log")
    _ = [v - total for v in shifted]


def _logsumexp(row: list[Counted]) -> None:
    largest = _maximum(row)
    _ = _sum([(v - largest).call("exp") for v in row]).call("log") + largest


@pytest.mark.parametrize(
    ("func", "definition"),
    [(torch.softmax, _softmax), (torch.log_softmax, _log_softmax), (torch.logsumexp, _logsumexp)],
)
def test_work_by_definition(func, definition) -> None:
    tally: Counter[str] = Counter()
    for row in counted(tally, 3, 11):
        definition(row)
    want = {k: tally[k] for k in ("macs", "flops", "transcendentals")}
    assert work(func, T("B,N"), 1) == want
    assert work(func, T("N,B"), 0) == want


def test_masked_softmax_is_counted_dense() -> None:
    mask = T("B,N", torch.bool)
    assert work(aten._masked_softmax.default, T("B,N"), mask, 1) == work(torch.softmax, T("B,N"), 1)


@pytest.mark.parametrize(
    "case",
    [
        call(torch.softmax, X, 1),
        call(torch.softmax, T("B,C", F16), 1, torch.float32),
        call(torch.log_softmax, T("B,C", I64), 1, torch.float64),
        call(torch.log_softmax, X, 1),
        call(torch.logsumexp, X, 1),
    ],
)
def test_temporaries_as_eager(case) -> None:
    case.assert_held()


@pytest.mark.parametrize(
    ("func", "args"), [(torch.softmax, (T("B", I64), 0)), (torch.log_softmax, (T("B"), 1)), (torch.logsumexp, (X, 3))]
)
def test_refuses_as_torch(func, args) -> None:
    with pytest.raises((RuntimeError, NotImplementedError, IndexError)):
        func(args[0].real(SIZES[0], "cpu"), *args[1:])
    with pytest.raises(ShapeError):
        rule_result(func, *args)
