"""Views as copies, against torch on meta."""

from __future__ import annotations

import pytest
import torch

from fxcount.ops import REGISTRY
from fxcount.ops.core.fact import Alias
from fxcount.ops.core.registry import Zero
from fxcount.ops.memory import viewcopy
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import N, T, rule_result

X = T("B,C,H")
TURNED = T("B,H,C", perm=(0, 2, 1))

CASES = [
    call(torch.alias_copy, TURNED),
    call(torch.detach_copy, TURNED),
    call(torch.ops.aten.lift_fresh_copy.default, TURNED),
    call(torch.as_strided_copy, X, (2, 3), (1, 2)),
    call(torch.diagonal_copy, X, 0, 1, 2),
    call(torch.expand_copy, T("B,1,H"), (N("B"), 5, N("H"))),
    call(torch.narrow_copy, X, 1, 2, 3, assumes=None),
    call(torch.permute_copy, X, (2, 0, 1)),
    call(torch.select_copy, X, 1, 2, assumes=None),
    call(torch.slice_copy, X, 1, 1, 4, assumes=None),
    call(torch.split_copy, X, 2, 1, assumes=None),
    call(torch.split_with_sizes_copy, T("B,6,H"), [2, 4], 1, assumes=None),
    call(torch.squeeze_copy, T("B,1,H"), 1),
    call(torch.t_copy, T("B,H")),
    call(torch.transpose_copy, X, 0, 2),
    call(torch.unbind_copy, X, 1, assumes=None),
    call(torch.unfold_copy, X, 2, 3, 2, assumes=None),
    call(torch.unsqueeze_copy, X, 1),
    call(torch.view_copy, T("B,6,H"), (N("B"), N("6*H")), assumes=None),
    call(torch.view_as_complex_copy, T("B,H,2")),
    call(torch.view_as_real_copy, T("B,H", torch.complex64)),
]


@pytest.mark.parametrize("case", CASES)
def test_shape_and_layout(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_shared_and_everything_moves(case: Case) -> None:
    result, _ = rule_result(case.func, *case.args)
    parts = result if isinstance(result, (tuple, list)) else [result]
    assert not any(isinstance(part, Alias) for part in parts)
    cost = REGISTRY[case.func].cost
    assert isinstance(cost, Zero)
    assert cost.moves


def test_every_op_has_a_case() -> None:
    assert not uncovered(viewcopy.OPS, CASES)
