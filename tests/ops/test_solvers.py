"""Linear systems and least squares: shapes and layouts against torch; work against the loops of the textbook algorithms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from fxcount.errors import ShapeError, UncountedError
from fxcount.ops import solvers
from tests.ops.cases import Case, call, uncovered
from tests.ops.contractions import torch_flops
from tests.ops.harness import SIZES, T, rule_result, work
from tests.ops.tracker import held, ruled

linalg, aten = torch.linalg, torch.ops.aten
c64, i32 = torch.complex64, torch.int32
A, TALL, WIDE, B = T("B,7,7"), T("B,11,5"), T("B,5,11"), T("B,7,3")
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
    call(linalg.lstsq, WIDE, T("B,5,3", c64), on="cpu") if False else call(linalg.lstsq, WIDE, T("B,5,3"), on="cpu"),
    call(linalg.lstsq, TALL, T("B,11,3"), driver="gelsd", on="cpu"),
    call(torch.ormqr, TALL, T("B,5"), T("B,11,3")),
    call(torch.ormqr, TALL, T("B,5"), T("B,3,11"), False),
    call(linalg.matrix_power, T("B,N,N"), 5),
    call(linalg.matrix_power, T("N,N"), 0),
    call(linalg.matrix_exp, T("B,N,N")),
]  # fmt: skip
INVERTIBLE = ["linalg.solve", "_linalg_solve_ex", "linalg.solve_ex", "matrix_power"]  # in test_linalg


@pytest.mark.parametrize("case", CASES)
def test_shape_and_layout(case: Case) -> None:
    case.check()


def test_every_op_has_a_case() -> None:
    assert not uncovered(solvers.OPS, CASES, INVERTIBLE)
