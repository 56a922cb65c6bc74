"""Condition numbers, ranks, inverses of tensors, Vandermonde matrices: against torch; work against loops and their parts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops.linalg import derived
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import T, counted, rule_result, work

linalg = torch.linalg
f64, i32, c64 = torch.float64, torch.int32, torch.complex64
TALL, SQUARE = T("B,11,5"), T("B,7,7", tied="square")

CASES = [
    *(call(linalg.cond, TALL, p, on="cpu") for p in (None, 2, -2)),
    *(call(linalg.cond, SQUARE, p, on="cpu") for p in ("fro", "nuc", 1, float("-inf"))),
    call(linalg.cond, T("B,C,5,5", c64, tied="square"), on="cpu"),
    call(linalg.matrix_rank, TALL, on="cpu"),
    call(linalg.matrix_rank, SQUARE, hermitian=True, on="cpu"),
    call(linalg.matrix_rank, T("B,C,5,3"), atol=T("C"), on="cpu"),
    call(linalg.tensorinv, T("2,3,6")),
    call(linalg.tensorinv, T("4,6,8,3", f64)),
    call(linalg.tensorinv, T("15,3,5"), ind=1),
    call(linalg.tensorsolve, T("2,3,6"), T("2,3")),
    call(linalg.tensorsolve, T("2,6,3"), T("2,3"), (1,)),
    call(linalg.vander, T("B,N"), on="cpu", assumes=1),
    call(linalg.vander, T("N", i32), N=4, on="cpu"),
]


@pytest.mark.parametrize("case", CASES)
def test_as_torch(case: Case) -> None:
    case.check()


def test_every_op_has_a_case() -> None:
    assert not uncovered(derived.OPS, CASES)


def _flops(func: Any, *args: Any, **kwargs: Any) -> int:
    return work(func, *args, values={}, **kwargs)["flops"]


def test_a_condition_number_is_that_of_its_parts() -> None:
    """What the documentation of torch.linalg.cond says it is, counted part for part."""
    tall, square = T("3,11,5"), T("3,7,7", tied="square")
    assert _flops(linalg.cond, tall) == _flops(linalg.svdvals, tall) + 3  # a quotient each
    for p in ("fro", "nuc", 1):
        norms = 2 * _flops(linalg.matrix_norm, square, p)
        assert _flops(linalg.cond, square, p) == _flops(linalg.inv, square) + norms + 3  # a product each


def test_a_rank_compares_the_values_with_a_tolerance() -> None:
    """rtol times the largest against atol; each of 5 singular values against that."""
    assert _flops(linalg.matrix_rank, T("3,11,5")) == _flops(linalg.svdvals, T("3,11,5")) + 3 * (2 + 5)
    square = T("3,7,7", tied="square")
    largest = 7 + 6  # magnitudes, and comparisons of them
    assert _flops(linalg.matrix_rank, square, hermitian=True) == _flops(linalg.eigvalsh, square) + 3 * (largest + 2 + 7)


def test_a_tensor_is_a_matrix() -> None:
    assert _flops(linalg.tensorinv, T("4,6,8,3")) == _flops(linalg.inv, T("24,24", tied="square"))
    matrix, vector = T("30,30", tied="square"), T("30")
    assert _flops(linalg.tensorsolve, T("5,6,2,15"), T("5,6")) == _flops(linalg.solve, matrix, vector)


@pytest.mark.parametrize("n", [2, 5])
def test_work_of_vander(n: int) -> None:
    """Columns 1, x, x*x ...: the first two are no work."""
    tally: Counter[str] = Counter()
    for x in counted(tally, 3 * 7):
        power = x
        for _ in range(2, n):
            power = power * x
    assert _flops(linalg.vander, T("3,7"), N=n) == tally["flops"]
    assert _flops(linalg.vander, T("3,7", i32), N=n) == 0


@pytest.mark.parametrize(
    ("func", "args", "says"),
    [
        (linalg.cond, (T("3,5"), "fro"), "square"),
        (linalg.tensorinv, (T("2,3,5"),), "square"),
        (linalg.tensorinv, (T("4,4", tied="square"), 0), "positive"),
        (linalg.tensorsolve, (T("2,3,5"), T("2,3")), "as many equations"),
        (linalg.vander, (T(""),), "at least 2"),
    ],
)
def test_errors(func: Any, args: Any, says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        rule_result(func, *args)
