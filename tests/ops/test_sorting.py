"""Sorting and searching: against torch; why they count nothing; what depends on data says so."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops import REGISTRY, Zero
from fxcount.ops.reduction import sorting
from tests.ops.cases import call, uncovered
from tests.ops.harness import SIZES, Counted, N, T, counted, rule_result, work

I64, F64 = torch.int64, torch.float64
X = T("B,C,H")
NHWC = T("B,H,W,C", perm=(0, 3, 1, 2))

CASES = [
    call(torch.sort, X),
    call(torch.sort, NHWC, 1, True),
    call(torch.sort, X, dim=0, stable=True),
    call(torch.argsort, X, -1, True),
    call(torch.msort, X),
    call(torch.topk, T("B,12"), 5),
    call(torch.topk, T("B,12,H", I64), 3, 1, False),
    call(torch.topk, T("B,H"), N("H//2"), assumes=0),
    call(torch.topk, T("B,H"), 3, assumes=1),  # H >= 3
    call(torch.kthvalue, T("B,12,H"), 4, 1, on="cpu"),
    call(torch.kthvalue, T("B,12"), 4, keepdim=True, on="cpu"),
    call(torch.searchsorted, T("K"), X),
    call(torch.searchsorted, T("B,K"), T("B,H"), out_int32=True, right=True),
    call(torch.searchsorted, T("K"), 0.5),
    call(torch.bucketize, X, T("K")),
    call(torch.bucketize, X, T("K"), out_int32=True),
    call(torch.histc, X, 10, on="cpu"),
    call(torch.histogram, X, 10, on="cpu"),
    call(torch.histogram, X, T("K"), on="cpu"),
    call(torch.histc, T("B", F64), bins=N("K"), min=0, max=3, on="cpu"),
]


@pytest.mark.parametrize("case", CASES)
def test_as_torch(case) -> None:
    case.check()


def test_every_name_has_a_case() -> None:
    assert uncovered(sorting.OPS, CASES) == set()


@pytest.mark.parametrize("func", [torch.sort, torch.topk, torch.argsort, torch.searchsorted])
def test_says_why_it_counts_nothing(func) -> None:
    cost = REGISTRY[func].cost
    assert isinstance(cost, Zero)
    assert cost.moves
    assert "comparisons" in cost.reason


def test_histogram_work() -> None:
    tally: Counter[str] = Counter()

    def binned(v: Counted, low: float, high: float) -> None:
        if not v < low and not v > high:
            _ = (v - low) * 10 / (high - low)

    row = counted(tally, 33)
    for v in row:
        binned(v, 0.0, 3.0)
    fixed = tally["flops"]
    assert work(torch.histc, T("B,N"), 10, 0, 3)["flops"] == fixed
    assert work(torch.histogram, T("B,N"), 10, range=(0.0, 3.0))["flops"] == fixed
    assert work(torch.histogram, T("B,N"), T("K"))["flops"] == 0
    for v in row[1:]:
        _ = (v < 0, v > 0)  # the running minimum and maximum
    assert work(torch.histc, T("B,N"), 10)["flops"] == tally["flops"]


@pytest.mark.parametrize("case", [call(torch.sort, X), call(torch.argsort, X), call(torch.msort, X),
                                  call(torch.topk, T("B,12"), 5), call(torch.bucketize, X, T("K"))])  # fmt: skip
def test_temporaries_as_eager(case) -> None:
    case.assert_held()


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (torch.sort, (X, 3)),
        (torch.topk, (T("B,12"), 13)),
        (torch.kthvalue, (T("B,12"), 13)),
        (torch.searchsorted, (T("B,K"), T("5,H"))),
        (torch.bucketize, (X, T("B,K"))),
    ],
)
def test_refuses_as_torch(func, args) -> None:
    with pytest.raises((RuntimeError, IndexError)):
        func(*(a.real(SIZES[0], "cpu") if isinstance(a, T) else a for a in args))
    with pytest.raises(ShapeError):
        rule_result(func, *args)
