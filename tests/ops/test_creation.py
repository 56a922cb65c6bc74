"""Triangles, diagonals, grids and products: shapes, layouts and shared storage against torch."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.fact import Alias
from fxcount.ops.memory.creation import OPS
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import SIZES, N, T, _map, counted, real, rule_result, work

i64, f64 = torch.int64, torch.float64
A, B, C = T("S"), T("N"), T("M,2", perm=(1, 0))

CASES = [
    call(torch.tril, T("B,S,T")),
    call(torch.tril, T("B,T,S", perm=(0, 2, 1)), -1, on="cpu"),
    call(torch.triu, T("S,S", torch.bool), N("S-1")),
    call(torch._VF.meshgrid, [A, B], indexing="ij", on="cpu"),
    call(torch._VF.meshgrid, [A, B, T("")], indexing="xy", on="cpu"),
    call(torch._VF.meshgrid, [A], indexing="xy", on="cpu"),
    call(torch.diag, A, 2),
    call(torch.diag, T("S,S+3")),
    call(torch.diag, T("S,S+3"), -1),
    call(torch.diag_embed, T("B,S"), 1, 0, 2),
    call(torch.diag_embed, T("B,S"), -2),
    call(torch.diagflat, T("B,S"), 1),
    call(torch._VF.block_diag, [T("B,S"), T("N"), T("", f64)], on="cpu"),
    call(torch.vander, A, on="cpu"),
    call(torch.vander, A, 6, True, on="cpu"),
    call(torch._VF.cartesian_prod, [A, B], on="cpu"),
    call(torch._VF.cartesian_prod, [A], on="cpu"),
    call(torch.combinations, A, on="cpu"),
    call(torch.combinations, A, 3, True, on="cpu"),
]


@pytest.mark.parametrize("case", CASES)
def test_shapes(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("case", [c for c in CASES if c.values[0].func is not torch.combinations])
def test_what_torch_holds(case: Case) -> None:
    case.assert_held()


def test_what_combinations_hold() -> None:
    next(c for c in CASES if c.values[0].func is torch.combinations).values[0].assert_held()


@pytest.mark.parametrize("indexing", ["ij", "xy"])
def test_grids_are_views_of_their_axes(indexing: str) -> None:
    args = [A, B, T("M")]
    grids, _ = rule_result(torch._VF.meshgrid, args, indexing=indexing)
    axes = _map(args, lambda a: real(a, SIZES[0], "cpu"))
    for k, (grid, wanted) in enumerate(zip(grids, torch.meshgrid(*axes, indexing=indexing))):
        assert isinstance(grid, Alias)
        assert grid.of == k
        assert wanted.data_ptr() == axes[k].data_ptr()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_work_of_vander(n: int) -> None:
    """Columns 1, x, x*x, (x*x)*x ...: the first two are no work."""
    tally: Counter[str] = Counter()
    for x in counted(tally, 7):
        power = x
        for _ in range(2, n):
            power = power * x
    assert work(torch.vander, T("7"), n)["flops"] == tally["flops"]
    assert work(torch.vander, T("7", i64), n)["flops"] == 0


def test_every_name_has_a_case() -> None:
    assert not uncovered(OPS, CASES)


@pytest.mark.parametrize(
    ("func", "args", "says"),
    [
        (torch.tril, (A,), "expected a matrix"),
        (torch._VF.meshgrid, ([C, A],), "at most one"),
        (torch.diag, (T("2,2,2", tied="a cube"),), "vector or a matrix"),
        (torch.vander, (C,), "one dimension"),
        (torch._VF.block_diag, ([T("2,2,2", tied="a cube")],), "at most two"),
        (torch._VF.cartesian_prod, ([C, A],), "one dimension"),
        (torch.combinations, (C,), "one dimension"),
    ],
)
def test_errors(func: Any, args: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        rule_result(func, *args)
