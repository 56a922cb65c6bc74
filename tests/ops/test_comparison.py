"""Comparisons, tests, logic and selections: against torch; work against scalar definitions that count."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

import fxcount
from fxcount.errors import DataDependentError, ShapeError
from fxcount.ops.elementwise import comparison
from tests.ops.cases import call, named, uncovered
from tests.ops.harness import SIZES, Counted, N, T, check, rule_result, work

I64, F16, F64, C64, BOOL = torch.int64, torch.float16, torch.float64, torch.complex64, torch.bool
X, ROW, MASK = T("B,C,H"), T("H"), T("B,C,H", BOOL)
NHWC = T("B,H,W,C", perm=(0, 3, 1, 2))
COMPARISONS = [name for names in comparison._COMPARISONS for name in names.split()]
LOGICAL = ["logical_and", "logical_or", "logical_xor"]
TESTS = [*comparison._TESTS, "isfinite", "logical_not"]


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparison_as_torch(name: str) -> None:
    check(named(name), X, T("C,1"))
    check(named(name), T("B,C", I64), N("B"))
    check(named(name), NHWC, 0.5)
    assert work(named(name), T("B,N"), T("N"))["flops"] == 33
    assert work(named(name), T("B,N", I64), 0)["flops"] == 0


@pytest.mark.parametrize("name", ["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"])
def test_operator_as_torch(name: str) -> None:
    check(getattr(torch.Tensor, name), X, 0)


@pytest.mark.parametrize("name", TESTS)
def test_test_as_torch(name: str) -> None:
    check(named(name), X)
    check(named(name), NHWC, device="cpu")
    check(named(name), T("B,C", I64))


@pytest.mark.parametrize("name", LOGICAL)
def test_logic_as_torch(name: str) -> None:
    check(named(name), X, T("C,1", I64))
    check(named(name), T("B", BOOL), T("B", BOOL))


CASES = [
    call(torch.isclose, X, ROW),
    call(torch.isin, X, T("K"), on="cpu"),
    call(torch.isin, X, 0.5, on="cpu"),
    call(torch.isin, 1, T("B", I64), on="cpu"),
    call(torch.where, MASK, X, 0.0),
    call(torch.where, T("B,1", BOOL), T("C", I64), 2.5),
    call(torch.where, MASK, T("H", F16), T("", F64)),
    call(torch.where, T("B", BOOL), 1, 0),
    call(torch.where, T("B", BOOL), N("B"), 1.0),
    call(torch.Tensor.where, X, MASK, -1.0),
    call(torch.Tensor.where, X, MASK, ROW),
    call(torch.masked_fill, X, MASK, float("-inf")),
    call(torch.masked_fill, T("B,C,H", F16), T("C,1", BOOL), 1),
    call(torch.masked_fill, T("H"), MASK, T("")),
    call(torch.masked_fill, NHWC, T("B,H,W,C", BOOL, perm=(0, 3, 1, 2)), 0),
    call(torch.Tensor.masked_fill, T("B", I64), T("B", BOOL), 1),
]


@pytest.mark.parametrize("case", CASES)
def test_as_torch(case) -> None:
    case.check()


def test_every_name_has_a_case() -> None:
    covered = {*COMPARISONS, *LOGICAL, *TESTS, "equal", "allclose", "is_nonzero"}
    assert uncovered(comparison.OPS, CASES, covered) == set()


WORK = [
    (torch.isnan, 1, lambda a: a > a),
    (torch.isinf, 1, lambda a: abs(a) > 1e300),
    (torch.isfinite, 1, lambda a: (a - a) > 0),
    (torch.signbit, 1, lambda a: a < 0),
    (torch.logical_not, 1, lambda a: a > 0),
    (torch.logical_and, 2, lambda a, b: (a > 0, b > 0)),
    (torch.isclose, 2, lambda a, b: abs(a - b) < 1e-8 + 1e-5 * abs(b)),
]


@pytest.mark.parametrize(("func", "operands", "definition"), WORK)
def test_work_by_definition(func, operands: int, definition) -> None:
    tally: Counter[str] = Counter()
    for i in range(33):
        definition(*(Counted(0.1 + i, tally) for _ in range(operands)))
    x = T("B,N")
    assert work(func, *[x] * operands)["flops"] == tally["flops"]


def test_membership_compares_with_every_candidate() -> None:
    assert work(torch.isin, T("B,N"), T("K"))["flops"] == 33 * 19
    assert work(torch.isin, T("B,N"), 0.5)["flops"] == 33


@pytest.mark.parametrize("case", [call(torch.isfinite, X), call(torch.isclose, X, T("B,C,H")), call(torch.isinf, X),
                                  call(torch.where, MASK, X, 0.0), call(torch.where, MASK, 1, 0),
                                  call(torch.masked_fill, X, MASK, 0.0), call(torch.eq, X, 1)])  # fmt: skip
def test_temporaries_as_eager(case) -> None:
    case.assert_held()


@pytest.mark.parametrize("func", [torch.equal, torch.allclose])
def test_a_python_bool_depends_on_data(func) -> None:
    with pytest.raises(DataDependentError, match="depends on the values"):
        rule_result(func, X, X)
    with pytest.raises(DataDependentError):
        rule_result(torch.Tensor.is_nonzero, T(""))
    with pytest.raises(DataDependentError):
        rule_result(torch.where, MASK)


def test_a_question_compares_as_isclose_does() -> None:
    """Of operands that broadcast; whichever the answer is, the model goes on alike."""
    asked = fxcount.analyze(torch.allclose, "B,1,5", "7,5")
    assert asked.flops == fxcount.analyze(torch.isclose, "B,1,5", "7,5").flops
    assert asked.at(B=11).flops == 6 * 11 * 7 * 5


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (torch.lt, (T("B", C64), 1)),
        (torch.eq, (T("B,3"), T("B,5"))),
        (torch.where, (T("B"), T("B"), T("B"))),
        (torch.masked_fill, (T("B"), T("B", I64), 0)),
        (torch.masked_fill, (T("B"), T("B", BOOL), T("B"))),
        (torch.isclose, (T("B"), T("B", F64))),
        (torch.allclose, (T("B"), T("B", F64))),
        (torch.allclose, (T("B,3"), T("B,5"))),
    ],
)
def test_refuses_as_torch(func, args) -> None:
    with pytest.raises((RuntimeError, NotImplementedError, ValueError)):
        func(*(a.real(SIZES[0], "cpu") if isinstance(a, T) else a for a in args))
    with pytest.raises(ShapeError):
        rule_result(func, *args)
