"""Padding: shapes and layouts against torch in every mode."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops import REGISTRY
from fxcount.ops.core.registry import Zero
from fxcount.ops.spatial.padding import OPS
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import N, T, rule_result

nn = torch._C._nn
NHWC, NDHWC = (0, 3, 1, 2), (0, 4, 1, 2, 3)

CASES = [
    call(nn.pad, T("B,C,H,W"), (1, 2)),
    call(nn.pad, T("B,C,H,W"), (1, 2, 3, 0, 1, 1), "constant", 2.0),
    call(nn.pad, T("B,H,W,C", perm=NHWC), (1, 2, 0, 1)),
    call(nn.pad, T("B,H,W,C", perm=NHWC), (1, 2, 0, 1), "reflect", assumes=2, on="cpu"),
    call(nn.pad, T("B,H,W,C", perm=NHWC), (1, 2, 0, 1), "replicate", on="cpu"),
    call(nn.pad, T("B,H,W,C", perm=NHWC), (1, 2, 0, 1), "circular", assumes=1, on="cpu"),
    call(nn.pad, T("B,C,W,H", perm=(0, 1, 3, 2)), (0, 0, 0, 0), on="cpu"),
    call(nn.pad, T("B,C,W,H", perm=(0, 1, 3, 2)), (-1, 0, 0, -2), assumes=1, on="cpu"),
    call(nn.pad, T("B,C,W,H", perm=(0, 1, 3, 2)), (-1, 3), on="cpu"),
    call(nn.pad, T("B,S", torch.int64), (N("T"), N("2*T")), value=7),
    call(nn.pad, T("B,H,W,C"), (0, 0, 0, N("7*((W+6)//7)-W"), 0, N("7*((H+6)//7)-H"))),
    call(nn._pad_enum, T("B,C,H"), (2, 1), 0, None, assumes=1, on="cpu"),
    call(torch.constant_pad_nd, T("B,S", torch.bool), (1, 1), True),
    call(nn._pad_circular, T("B,C,L"), (1, 1), on="cpu"),
    call(nn.reflection_pad1d, T("C,L"), (1, 1), assumes=1, on="cpu"),
    call(nn.reflection_pad2d, T("B,H,W,C", perm=NHWC), (1, 1, 1, 1), assumes=2, on="cpu"),
    call(nn.reflection_pad3d, T("B,N,M,K,C", perm=NDHWC), (1, 1, 1, 1, 1, 1), assumes=3, on="cpu"),
    call(nn.replication_pad1d, T("B,C,L"), (1, 1), on="cpu"),
    call(nn.replication_pad2d, T("C,H,W"), (1, 1, 1, 1), on="cpu"),
    call(nn.replication_pad3d, T("B,N,M,K,C", perm=NDHWC), (1, 1, 1, 1, 1, 1), on="cpu"),
]


@pytest.mark.parametrize("case", CASES)
def test_shapes(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("case", CASES)
def test_what_torch_holds(case: Case) -> None:
    case.assert_held()


def test_padding_is_new_storage_and_no_arithmetic() -> None:
    y, _ = rule_result(nn.pad, T("B,C,H,W"), (0, 0))
    assert y == T("B,C,H,W").fact()  # a fact, not an Alias: torch clones
    assert all(isinstance(entry.cost, Zero) and entry.cost.moves for entry in OPS)


def test_every_name_has_a_case() -> None:
    assert not uncovered(OPS, CASES)
    assert REGISTRY[torch.ops.aten.reflection_pad2d.default] is REGISTRY[nn.reflection_pad2d]


@pytest.mark.parametrize(
    ("func", "args", "says"),
    [
        (nn.pad, (T("B,H"), (1,)), "1 amounts"),
        (nn.pad, (T("B,H"), (1, 1, 1, 1, 1, 1)), "6 amounts"),
        (nn.pad, (T("B,H"), (1, 1), "mirror"), "mode='mirror'"),
        (nn.pad, (T("B,C,8"), (-9, 0)), "negative"),
        (nn.pad, (T("B,C,8"), (8, 0), "reflect"), "by at most 7"),
        (nn.pad, (T("B,C,8"), (9, 0), "circular"), "by at most 8"),
        (nn.pad, (T("B,C,8,8,8,8", tied="a window"), (1, 0), "reflect"), "dimensions of 6"),
    ],
)
def test_errors(func: Any, args: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        rule_result(func, *args)
