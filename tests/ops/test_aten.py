"""Ops of decomposed graphs, against torch and against the op they came from."""

from __future__ import annotations

import pytest
import torch

from fxcount.ops.normalise.functional import OPS
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import T, work

aten = torch.ops.aten
X, C = T("B,C,H,W"), T("C")
CASES = [
    call(aten._native_batch_norm_legit_functional.default, X, C, C, C, C, True, 0.1, 1e-5, on="cpu"),
    call(aten._native_batch_norm_legit_functional.default, X, None, None, C, C, False, 0.1, 1e-5, on="cpu"),
]


@pytest.mark.parametrize("case", CASES)
def test_shapes(case: Case) -> None:
    case.check()


def test_every_op_has_a_case() -> None:
    assert not uncovered(OPS, CASES)


def test_functional_batch_norm_works_as_batch_norm() -> None:
    functional = work(aten._native_batch_norm_legit_functional.default, X, C, C, C, C, True, 0.1, 1e-5)
    plain = work(torch.batch_norm, X, C, C, C, C, True, 0.1, 1e-5, True)
    assert functional["flops"] == plain["flops"]
