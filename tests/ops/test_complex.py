"""Complex numbers: shapes, dtypes, layouts and shared storage against torch."""

from __future__ import annotations

import cmath
from collections import Counter
from typing import Any

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops import REGISTRY
from fxcount.ops.core.fact import Alias
from fxcount.ops.elementwise.complex import OPS
from fxcount.symbolic import evaluate
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import SIZES, T, counted, real, rule_result, work

c64, c128 = torch.complex64, torch.complex128
SWAP = (1, 0)

CASES = [
    call(torch.complex, T("B,S"), T("B,S")),
    call(torch.complex, T("S,B", torch.float64, perm=SWAP), T("S", torch.float64), on="cpu"),
    call(torch.polar, T("B,S"), T("S")),
    call(torch.real, T("B,S", c64)),
    call(torch.real, T("B,S")),
    call(torch.imag, T("S,B", c128, perm=SWAP)),
    call(torch.view_as_real, T("S,B", c64, perm=SWAP)),
    call(torch.view_as_complex, T("B,S,2")),
    call(torch.view_as_complex, T("S,B,2", torch.float64, perm=(1, 0, 2))),
    call(torch.conj, T("B,S", c64)),
    call(torch._conj, T("B,S", c64)),
    call(torch.resolve_conj, T("B,S", c64)),
    call(torch.resolve_neg, T("B,S", c64)),
    call(torch.conj_physical, T("S,B", c64, perm=SWAP), on="cpu"),
    call(torch._conj_physical, T("B,S", c64)),
    call(torch.angle, T("B,S", c64)),
    call(torch.angle, T("S,B", c64, perm=SWAP), on="cpu"),
    call(torch.angle, T("S,B", perm=SWAP)),
    call(torch.angle, T("B,S", torch.int64)),
]


@pytest.mark.parametrize("case", CASES)
def test_shapes(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("case", CASES)
def test_what_torch_holds(case: Case) -> None:
    case.assert_held()


@pytest.mark.parametrize("case", CASES)
def test_storage_is_shared_as_torch_shares_it(case: Case) -> None:
    result, _ = rule_result(case.func, *case.args)
    args = [real(a, SIZES[0], "cpu") for a in case.args]
    shared = case.func(*args).untyped_storage().data_ptr() == args[0].untyped_storage().data_ptr()
    assert isinstance(result, Alias) == shared


def test_parts_are_reached_as_attributes() -> None:
    part: Any = torch.Tensor.real
    assert REGISTRY[part.__get__] is REGISTRY[torch.real]


def test_work() -> None:
    n = evaluate(T("B,S").sizes()[0] * T("B,S").sizes()[1], SIZES[1])
    tally: Counter[str] = Counter()
    for radius, angle in zip(counted(tally, n), counted(tally, n)):
        radius * angle.call("cos"), radius * angle.call("sin")
    done = work(torch.polar, T("B,S"), T("B,S"))
    assert (done["flops"], done["transcendentals"]) == (tally["flops"], tally["transcendentals"])
    # a conjugate negates the imaginary part of each number, and nothing of a real one
    assert cmath.sqrt(-1).conjugate().imag == -1
    assert work(torch.conj_physical, T("B,S", c64))["flops"] == n
    assert work(torch.conj_physical, T("B,S"))["flops"] == 0
    assert work(torch.angle, T("B,S"))["flops"] == n
    assert work(torch.angle, T("B,S", c64)) == {"macs": 0, "flops": n, "transcendentals": n}


def test_every_name_has_a_case() -> None:
    assert not uncovered(OPS, CASES)


@pytest.mark.parametrize(
    ("func", "args", "says"),
    [
        (torch.complex, (T("B"), T("B", torch.float64)), "cannot combine"),
        (torch.polar, (T("B", torch.int64), T("B", torch.int64)), "cannot combine"),
        (torch.imag, (T("B"),), "expected a complex tensor"),
        (torch.view_as_real, (T("B"),), "expected a complex tensor"),
        (torch.view_as_complex, (T("B,3"),), "ends in 2"),
        (torch.view_as_complex, (T("2,B", perm=SWAP),), "side by side"),
    ],
)
def test_errors(func: Any, args: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        rule_result(func, *args)
