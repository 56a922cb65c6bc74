"""Factorizations, ``solve`` and powers: shapes and layouts against torch on the CPU; work against the sums over the loops
of the textbook algorithms, of which the formulas are the leading terms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.fact import TensorFact
from fxcount.ops.linalg import factorizations, svd
from fxcount.symbolic import evaluate
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import SIZES, T, real, rule_result, work
from tests.ops.tracker import held, ruled

linalg, aten = torch.linalg, torch.ops.aten
f64, c64, i64, i32 = torch.float64, torch.complex64, torch.int64, torch.int32
A, TALL, WIDE, B = T("B,7,7", tied="square"), T("B,11,5"), T("B,5,11"), T("B,7,3")
SMALL = ({"B": 2, "N": 5, "M": 7}, {"B": 3, "N": 3, "M": 11})

CASES = [
    call(linalg.det, A),
    call(torch.det, T("B,C,N,N")),
    call(torch.logdet, A),
    call(linalg.slogdet, T("B,N,N", c64)),
    call(torch.slogdet, A),
    call(aten._linalg_det.default, A),
    call(aten._linalg_slogdet.default, A),
    call(linalg.lu_factor_ex, A),
    call(linalg.inv_ex, A),
    call(linalg.cholesky_ex, T("B,C,N,N")),
    call(linalg.eigh, T("B,N,N", c64)),
    call(aten._linalg_eigh.default, A),
    call(linalg.eigvalsh, A),
    call(linalg.eig, A),
    call(linalg.eigvals, T("N,N")),
    call(linalg.svdvals, TALL),
    call(linalg.pinv, TALL),
    call(linalg.qr, TALL),
    call(linalg.qr, WIDE),
    call(linalg.qr, TALL, mode="complete"),
    call(linalg.qr, TALL, mode="r"),
    call(linalg.svd, TALL),
    call(linalg.svd, WIDE, full_matrices=False),
    call(aten._linalg_svd.default, TALL, False, False),
    call(torch.svd, TALL),
    call(torch.svd, WIDE, False),
    call(torch.svd, TALL, True, False),
    call(linalg.pinv, A, hermitian=True),
    call(torch.pinverse, WIDE),
    call(linalg.lu_factor_ex, TALL),
    call(linalg.lu, WIDE),
    call(linalg.ldl_factor_ex, A),
    call(torch.geqrf, TALL),
    call(linalg.householder_product, TALL, T("B,3")),
]
UNCHECKED = [  # which torch refuses for matrices of zeros, but not on meta
    call(torch.lu_unpack, TALL, T("B,5", i32)),
    call(torch.lu_unpack, WIDE, T("B,5", i32), False, True),
    call(linalg.ldl_factor, A),
]
INVERTIBLE = [  # of matrices that are not all zeros
    call(linalg.inv, A),
    call(torch.inverse, T("N,N")),
    call(linalg.lu_factor, T("B,N,N", f64)),
    call(linalg.cholesky, A),
    call(torch.cholesky_inverse, A),
    call(linalg.solve, A, B),
    call(linalg.solve_ex, A, B),
    call(linalg.solve, T("B,N,N"), T("B,N")),
    call(linalg.solve, T("N,N"), T("N")),
    call(linalg.solve, T("7,7", tied="square"), B),
    call(aten._linalg_solve_ex.default, A, B),
    call(linalg.matrix_power, A, -1),
    call(linalg.matrix_power, A, -3),
]


@pytest.mark.parametrize("case", CASES)
def test_shape_and_layout(case: Case) -> None:
    replace(case, on="cpu").check()


@pytest.mark.parametrize("case", UNCHECKED)
def test_shape_and_layout_on_meta(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("case", INVERTIBLE)
def test_shape_and_layout_of_invertible(case: Case) -> None:
    def as_identity(x: Any, values: dict[str, int]) -> Any:
        if not isinstance(x, T):
            return x
        t = real(x, values, "cpu")
        return t + torch.eye(t.shape[-1]) if x.sizes()[-1:] == x.sizes()[-2:-1] else t

    result, scope = rule_result(case.func, *case.args, hint=SMALL[0])
    facts = result if isinstance(result, tuple) else (result,)
    assert not scope.assumptions
    for values in SMALL:
        expected = case.func(*[as_identity(x, values) for x in case.args])
        tensors = expected if isinstance(expected, tuple) else (expected,)
        for fact, t in zip(facts, tensors, strict=True):
            mine = _evaluated(fact, values)
            assert (mine.shape, mine.dtype, mine.stride()) == (tuple(t.shape), t.dtype, t.stride())


def _evaluated(fact: TensorFact, values: dict[str, int]) -> TensorFact:
    strides = fact.strides and tuple(evaluate(s, values) for s in fact.strides)
    return TensorFact(tuple(evaluate(n, values) for n in fact.shape), fact.dtype, fact.device, strides)


def test_every_op_has_a_case() -> None:
    assert not uncovered((*factorizations.OPS, *svd.OPS), CASES + INVERTIBLE + UNCHECKED, ["qr", "orgqr", "cholesky"])


def _lu(n: int) -> int:
    """Each column: divisions below the pivot, then a product and a difference for the rest."""
    return sum((n - k) + 2 * (n - k) ** 2 for k in range(1, n + 1))


def _cholesky(n: int) -> int:
    return sum(1 + (n - k) + (n - k) * (n - k + 1) for k in range(1, n + 1))


def _triangular(n: int) -> int:
    return sum(2 * k + 1 for k in range(n))


def _inverse_of_lu(n: int) -> int:
    """Each unit vector: the zeros above its one stay in the first solve, the second one is full."""
    return sum(_triangular(n - k) + _triangular(n) for k in range(n))


def _householder(m: int, n: int) -> int:
    """A reflection of column k and of the columns to its right: 4 per element."""
    return sum(4 * (m - k) * (n - k) for k in range(min(m, n)))


def _thin_q(m: int, n: int) -> int:
    """Backward accumulation: reflection k meets only what lies below and to the right of it."""
    return sum(4 * (m - k) * (n - k) for k in reversed(range(n)))


def _lu_of_rectangle(large: int, small: int) -> int:
    return sum(2 * (large - k) * (small - k) for k in range(1, small + 1))


def _inverse_of_cholesky(n: int) -> int:
    """L^-1 column by column, then the lower half of L^-T * L^-1."""
    return sum(_triangular(n - k) for k in range(n)) + sum(2 * (n - i) for i in range(n) for j in range(i + 1))


def _q_of_reflectors(m: int, n: int, k: int) -> int:
    """The last reflector first, each meeting the columns that are no longer unit vectors."""
    return sum(4 * (m - i) * (n - i) for i in range(k))


def _square_q(m: int, n: int) -> int:
    return sum(4 * (m - k) * (m - k) for k in reversed(range(n)))


N600, M900 = T("600,600", tied="square"), T("900,600")


@pytest.mark.parametrize(
    ("func", "args", "kwargs", "loops"),
    [
        (linalg.lu_factor, (N600,), {}, _lu(600)),
        (linalg.det, (N600,), {}, _lu(600)),
        (linalg.lu, (M900,), {}, _lu_of_rectangle(900, 600)),
        (linalg.lu_factor, (T("600,900"),), {}, _lu_of_rectangle(900, 600)),
        (linalg.ldl_factor, (N600,), {}, _cholesky(600)),
        (torch.cholesky_inverse, (N600,), {}, _inverse_of_cholesky(600)),
        (torch.geqrf, (M900,), {}, _householder(900, 600)),
        (linalg.householder_product, (T("900,600"), T("400")), {}, _q_of_reflectors(900, 600, 400)),
        (linalg.cholesky, (N600,), {}, _cholesky(600)),
        (linalg.solve_triangular, (N600, T("600,40")), {"upper": True}, 40 * _triangular(600)),
        (linalg.solve, (N600, T("600,40")), {}, _lu(600) + 2 * 40 * _triangular(600)),
        (linalg.inv, (N600,), {}, _lu(600) + _inverse_of_lu(600)),
        (linalg.qr, (M900,), {"mode": "r"}, _householder(900, 600)),
        (linalg.qr, (M900,), {}, _householder(900, 600) + _thin_q(900, 600)),
        (linalg.qr, (M900,), {"mode": "complete"}, _householder(900, 600) + _square_q(900, 600)),
        (linalg.qr, (T("600,900"),), {"mode": "r"}, _householder(600, 900)),
    ],
)
def test_flops_are_the_leading_terms(func: Any, args: Any, kwargs: Any, loops: int) -> None:
    got = work(func, *args, **kwargs, values={})
    assert got["flops"] == pytest.approx(loops, rel=0.01)
    assert got["macs"] == 0


@pytest.mark.parametrize(
    ("func", "args", "kwargs", "flops"),
    [
        (linalg.cholesky, (T("B,6,6", tied="square"),), {}, 2 * 72),
        (linalg.cholesky, (T("B,6,6", c64, tied="square"),), {}, 4 * 2 * 72),
        (linalg.eigvalsh, (T("B,6,6", tied="square"),), {}, 2 * 288),
        (linalg.eigh, (T("B,6,6", tied="square"),), {}, 2 * 1944),
        (linalg.eigvals, (T("B,6,6", tied="square"),), {}, 2 * 2160),
        (linalg.eig, (T("B,6,6", tied="square"),), {}, 2 * 5400),
        (linalg.svdvals, (T("B,9,6"),), {}, 2 * (4 * 9 * 36 - 288)),
        (aten._linalg_svd.default, (T("B,9,6"), False, False), {}, 2 * (4 * 9 * 36 - 288)),
        (linalg.svd, (T("B,9,6"),), {"full_matrices": False}, 2 * (14 * 9 * 36 + 8 * 216)),
        (linalg.svd, (T("B,6,9"),), {}, 2 * (4 * 81 * 6 + 8 * 9 * 36 + 9 * 216)),
        # eigenvectors, scaled, and the product with their transpose
        (linalg.pinv, (T("B,6,6", tied="square"),), {"hermitian": True}, 2 * (9 * 216 + 2 * 216)),
        # by default the ATen form is thin, the Python one full
        (aten._linalg_svd.default, (T("B,9,6"),), {}, 2 * (14 * 9 * 36 + 8 * 216)),
        (torch.svd, (T("B,9,6"), True, False), {}, 2 * (4 * 9 * 36 - 288)),
        # the thin decomposition, then the product of its factors
        (linalg.pinv, (T("B,9,6"),), {}, 2 * (14 * 9 * 36 + 8 * 216 + 2 * 9 * 36)),
    ],
)
def test_flops_of_the_source(func: Any, args: Any, kwargs: Any, flops: int) -> None:
    """Golub & Van Loan, 4th edition, sections 8.3, 7.5, 8.6."""
    assert work(func, *args, **kwargs, values={"B": 2})["flops"] == flops


@pytest.mark.parametrize(
    ("n", "multiplications", "inverts"), [(0, 0, 0), (1, 0, 0), (2, 1, 0), (3, 2, 0), (5, 3, 0), (8, 3, 0), (-3, 2, 1)]
)
def test_powers(n: int, multiplications: int, inverts: int) -> None:
    got = work(linalg.matrix_power, T("B,N,N"), n, values={"B": 2, "N": 5})
    assert got["macs"] == multiplications * 2 * 125
    assert got["flops"] == 2 * got["macs"] + inverts * 2 * 2 * 125


def test_rules_of_other_names() -> None:
    assert rule_result(torch.orgqr, TALL, T("B,3"))[0] == rule_result(linalg.householder_product, TALL, T("B,3"))[0]
    assert rule_result(torch.qr, TALL)[0] == rule_result(linalg.qr, TALL)[0]
    assert rule_result(torch.qr, TALL, False)[0] == rule_result(linalg.qr, TALL, mode="complete")[0]
    assert rule_result(torch.matrix_power, A, 3)[0] == rule_result(linalg.matrix_power, A, 3)[0]
    assert rule_result(torch.cholesky, A)[0] == rule_result(linalg.cholesky, A)[0]


def test_bytes_held_by_solve() -> None:
    """The LU factors, the pivots (int32) and the info, as the ATen form returns them."""

    def solve(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return linalg.solve(a + torch.eye(7), b)

    values = SIZES[1]
    shifted = 4 * 3 * 49  # a + 1, the identity itself is gone by then
    assert held(solve, (A, B), {}, values) - shifted == ruled(linalg.solve, (A, B), {}, values)


@pytest.mark.parametrize(
    ("func", "args", "kwargs", "message"),
    [
        (linalg.det, (TALL,), {}, "square"),
        (linalg.inv, (T("N,M"),), {}, "square"),
        (linalg.cholesky, (T("N"),), {}, "matrices"),
        (linalg.det, (T("N,N", i64),), {}, "dtype"),
        (linalg.solve, (A, T("B,5,3")), {}, "sides"),
        (linalg.solve, (A, T("B,7,3", f64)), {}, "one dtype"),
        (linalg.qr, (A,), {"mode": "raw"}, "mode"),
    ],
)
def test_errors_are_torchs(func: Any, args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        rule_result(func, *args, **kwargs)
    with pytest.raises((RuntimeError, ValueError)):
        func(*[real(a, SIZES[0], "cpu") for a in args], **kwargs)
