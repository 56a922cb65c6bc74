"""Linear systems and least squares: shapes and layouts against torch; work against the loops of the textbook algorithms."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops.linalg import solvers
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import T, rule_result, work

linalg, aten = torch.linalg, torch.ops.aten
i32, f64 = torch.int32, torch.float64
A, TALL, WIDE, B = T("B,7,7", tied="square"), T("B,11,5"), T("B,5,11"), T("B,7,3")
PIVOTS = T("B,7", i32)

CASES = [
    call(linalg.solve_triangular, A, B, upper=True),
    call(torch.triangular_solve, B, A),
    call(torch.cholesky_solve, B, A),
    call(linalg.lu_solve, A, PIVOTS, B),
    call(linalg.ldl_solve, A, PIVOTS, B),
    call(torch.lu_solve, B, A, PIVOTS),
    call(linalg.lstsq, TALL, T("B,11,3"), on="cpu"),
    call(linalg.lstsq, TALL, T("B,11"), on="cpu"),
    call(linalg.lstsq, WIDE, T("B,5,3"), on="cpu"),
    call(torch.ormqr, TALL, T("B,5"), T("B,11,3")),
    call(torch.ormqr, TALL, T("B,5"), T("B,3,11"), False),
    call(linalg.matrix_power, T("B,N,N"), 5),
    call(linalg.matrix_power, T("N,N"), 0),
    call(linalg.matrix_exp, T("B,N,N")),
]  # fmt: skip
INVERTIBLE = ["linalg.solve", "_linalg_solve_ex", "linalg.solve_ex", "matrix_power"]  # in test_linalg
SAME = ["matrix_exp"]


@pytest.mark.filterwarnings("ignore:torch.lu_solve is deprecated", "ignore:torch.triangular_solve is deprecated")
@pytest.mark.parametrize("case", CASES)
def test_shape_and_layout(case: Case) -> None:
    case.check()


def test_every_op_has_a_case() -> None:
    assert not uncovered(solvers.OPS, CASES, INVERTIBLE + SAME)


def _triangular(n: int) -> int:
    """Row k: a product and a difference for each known, a division."""
    return sum(2 * k + 1 for k in range(n))


def _reflected(m: int, k: int) -> int:
    """One vector of length m met by k reflectors, each shorter than the last: 4 per element."""
    return sum(4 * (m - i) for i in range(k))


def _least_squares(m: int, n: int, right: int) -> int:
    """QR of m rows and n columns, Q^T on the right-hand sides, back substitution."""
    factored = sum(4 * (m - k) * (n - k) for k in range(n))
    return factored + right * (_reflected(m, n) + _triangular(n))


N600, RIGHT = T("600,600", tied="square"), T("600,40")


@pytest.mark.parametrize(
    ("func", "args", "loops"),
    [
        (torch.triangular_solve, (RIGHT, N600), 40 * _triangular(600)),
        (torch.cholesky_solve, (RIGHT, N600), 2 * 40 * _triangular(600)),
        (linalg.lu_solve, (N600, T("600", i32), RIGHT), 2 * 40 * _triangular(600)),
        (linalg.ldl_solve, (N600, T("600", i32), RIGHT), 2 * 40 * _triangular(600)),
        (torch.lu_solve, (RIGHT, N600, T("600", i32)), 2 * 40 * _triangular(600)),
        (torch.ormqr, (T("900,600"), T("600"), T("900,40")), 40 * _reflected(900, 600)),
        (torch.ormqr, (T("900,600"), T("600"), T("40,900"), False), 40 * _reflected(900, 600)),
        (linalg.lstsq, (T("900,600"), T("900,40")), _least_squares(900, 600, 40)),
        (linalg.lstsq, (T("900,600"), T("900,1")), _least_squares(900, 600, 1)),
        # the minimum-norm solution: QR of the transpose, forward substitution, Q on the result
        (linalg.lstsq, (T("600,900"), T("600,40")), _least_squares(900, 600, 40)),
    ],
)
def test_flops_are_the_leading_terms(func: Any, args: Any, loops: int) -> None:
    got = work(func, *args, values={})
    assert got["flops"] == pytest.approx(loops, rel=0.01)
    assert got["macs"] == 0


def test_each_vector_is_a_right_hand_side() -> None:
    vector = work(linalg.lstsq, T("3,9,6"), T("3,9"), values={})
    matrix = work(linalg.lstsq, T("3,9,6"), T("3,9,1"), values={})
    assert vector == matrix


def test_the_drivers_find_different_things() -> None:
    """Of a full-rank system with more rows than columns; the results of the documentation of torch.linalg.lstsq."""
    a, b = torch.randn(2, 11, 5), torch.randn(2, 11, 3)
    for driver in ("gels", "gelsy", "gelsd", "gelss"):
        result, _ = rule_result(linalg.lstsq, T("2,11,5"), T("2,11,3"), driver=driver)
        assert [f.shape for f in result] == [tuple(t.shape) for t in linalg.lstsq(a, b, driver=driver)]


def test_the_exponential_is_a_polynomial() -> None:
    """The products of a real run of matrices of 1-norm 2, which is as large as takes no squarings."""
    a = torch.randn(2, 7, 7)
    a = 2 * a / torch.linalg.matrix_norm(a, 1)[:, None, None]
    with torch.profiler.profile(record_shapes=True, acc_events=True) as profile:
        torch.linalg.matrix_exp(a)
    products = sum(event.count for event in profile.key_averages() if event.key == "aten::bmm")
    assert products == 5
    counted = work(torch.matrix_exp, A, values={"B": 2})
    assert counted["macs"] == products * 2 * 7**3
    assert counted["flops"] == 2 * counted["macs"] + (5 * 9 + 3) * 2 * 7**2  # 5 of 5 weighted matrices, and 3 sums


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (linalg.lstsq, (TALL, T("B,7,3"))),
        (linalg.lstsq, (TALL, T("B,11,3", f64))),
        (linalg.lu_solve, (A, T("B,5", i32), B)),
        (torch.cholesky_solve, (T("B,5,3"), A)),
        (torch.ormqr, (TALL, T("B,4"), T("B,11,3"))),
        (torch.matrix_exp, (TALL,)),
    ],
)
def test_errors(func: Any, args: Any) -> None:
    with pytest.raises(ShapeError):
        rule_result(func, *args)
