"""Reductions and norms: against torch; work against plain loops that count."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops import REGISTRY, Zero
from fxcount.ops.reduction import reduction
from tests.ops.cases import call, named, uncovered
from tests.ops.harness import SIZES, Counted, N, T, counted, rule_result, work

I64, I32, U8, F16, F64, C64, BOOL = (
    torch.int64, torch.int32, torch.uint8, torch.float16, torch.float64, torch.complex64, torch.bool,
)  # fmt: skip
X = T("B,C,H")
NHWC = T("B,H,W,C", perm=(0, 3, 1, 2))
BN, Z = T("B,N"), T("B,N", C64)
aten, linalg, inf = torch.ops.aten, torch.linalg, float("inf")
ARG = ["argmax", "argmin"]
VALUE_AND_INDEX = ["max", "min", "median", "nanmedian"]
TESTS = ["any", "all"]
SPREAD = ["var", "std", "var_mean", "std_mean"]

CASES = [
    *(call(named(name), x, *args) for name in ("sum", "nansum", "mean", "nanmean")
      for x, args in ((X, ()), (X, (1,)), (NHWC, ((2, 3), True)), (X, ((0, -1),)), (X, (None,)), (T(""), ()))),
    *(call(named(name), T("B,C", I32), 1) for name in ("sum", "nansum")),
    call(torch.sum, T("B,C", BOOL)),
    call(torch.Tensor.sum_to_size, T("B,C,H"), (1, N("H"))),
    call(torch.Tensor.sum_to_size, T("B,C"), (N("B"), N("C"))),
    call(torch.sum, T("B,C", BOOL), dtype=torch.float32),
    call(torch.sum, X, (1, 2), dtype=F64),
    call(torch.mean, T("B,C", I64), 1, dtype=torch.float32),
    call(torch.Tensor.mean, X, dim=(1, 2), keepdim=True),
    call(torch.prod, X),
    call(torch.prod, X, 1, True),
    call(torch.prod, T("B", U8)),
    *(call(named(name), NHWC, *args) for name in ("amax", "amin") for args in ((), (1,), ((2, 3), True))),
    *(call(named(name), X, *args) for name in (*VALUE_AND_INDEX, *ARG) for args in ((), (1,), (-1, True))),
    *(call(named(name), NHWC, 1) for name in (*VALUE_AND_INDEX, *ARG)),
    *(call(named(name), X, dim=0, keepdim=True) for name in (*VALUE_AND_INDEX, *ARG)),
    call(torch.max, X, T("C,1", F64)),
    call(torch.min, NHWC, other=T("C,1,1")),
    call(torch.mode, X, on="cpu"),
    call(torch.mode, X, 1, True, on="cpu"),
    call(torch.aminmax, X),
    call(torch.aminmax, X, dim=1, keepdim=True),
    *(call(named(name), x, *args) for name in TESTS for x in (X, T("B,C", U8), T("B,C", BOOL)) for args in ((), (1,))),
    call(torch.any, X, (0, 1), True),
    call(torch.count_nonzero, X),
    call(torch.count_nonzero, X, (0, 2)),
    call(getattr(torch, "hash_tensor", None), X),
    call(getattr(torch, "hash_tensor", None), X, (0, 2), keepdim=True),
    *(call(named(name), x, *args) for name in SPREAD
      for x, args in ((X, ()), (X, (1,)), (NHWC, ((2, 3), False, True)), (X, (False,)), (Z, (1,)))),
    *(call(named(name), X, dim=1, correction=0, keepdim=True) for name in SPREAD),
    call(torch.std, X, None, correction=0),
    call(aten.var_mean.correction, X, [1], correction=0, keepdim=True),
    call(torch.trace, T("B,C", I32)),
    call(torch.trace, T("H,W")),
    *(call(named(name), X, *args, on="cpu") for name in ("quantile", "nanquantile")
      for args in ((0.5,), (0.5, 1), (T("K"), 1, True), (T("K"),), (T(""), -1), (0.5, None, True))),
    call(linalg.vector_norm, NHWC),
    call(linalg.vector_norm, Z, inf, 1, True),
    call(linalg.vector_norm, X, 3, (0, 1), dtype=F64),
    call(linalg.matrix_norm, X),
    call(linalg.matrix_norm, X, 1, (0, 1), True),
    call(linalg.matrix_norm, X, "nuc"),
    call(linalg.matrix_norm, Z, -2),
    call(linalg.norm, X),
    call(linalg.norm, BN, 2),
    call(linalg.norm, X, inf, 1),
    call(linalg.norm, X, "fro", (0, 1), True),
    call(torch.norm, X),
    call(torch.norm, X, 2, 1),
    call(torch.norm, X, p=1, dim=(0, 1), keepdim=True),
    call(torch.norm, BN, "nuc"),
    call(torch.norm, BN, dtype=F64),
    call(torch.Tensor.norm, X, dim=-1, keepdim=True),
    call(aten.norm.ScalarOpt_dim, X, 2, [1], True),
    call(torch.frobenius_norm, X, (0, 1), True),
    call(torch._C._VariableFunctions.nuclear_norm, BN),
    call(torch._C._VariableFunctions.nuclear_norm, X, (0, 1), True),
    call(torch.dist, X, T("H")),
    call(torch.dist, X, X, 1),
    call(torch.renorm, X, 2, 1, 1.0),
    call(torch.renorm, NHWC, 1, 0, 1.0),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:at..(frobenius|nuclear)_norm is deprecated")
@pytest.mark.parametrize("case", CASES)
def test_as_torch(case) -> None:
    case.check()


def test_every_name_has_a_case() -> None:
    assert uncovered(reduction.OPS, CASES) == set()


def test_several_results_are_torchs_named_tuple() -> None:
    result, _ = rule_result(torch.max, X, 1)
    assert isinstance(result, torch.return_types.max)
    assert result.indices.dtype is I64
    assert result.values.dtype is torch.float32


# One row of values, reduced as the definition says.
def _fold(row: list, step):
    result = row[0]
    for v in row[1:]:
        result = step(result, v)
    return result


def _add(a: Counted, b: Counted) -> Counted:
    return a + b


def _mean(row: list[Counted]) -> Counted:
    return _fold(row, _add) / len(row)


def _var(row: list[Counted]) -> Counted:
    mean = _mean(row)
    return _mean([(d := v - mean) * d for v in row])


def _largest(row: list[Counted]) -> Counted:
    return _fold(row, lambda a, b: b if b > a else a)


def _p_norm(row: list[Counted], p: float) -> None:
    powers = [pair(abs(v), "pow") for v in row]
    pair(_fold(powers, _add), "pow")


def pair(a: Counted, name: str) -> Counted:
    """A function of ``a`` and another operand, counted once."""
    return a._do(name, a.value)


def _two_norm(row: list[Counted]) -> Counted:
    return _fold([v * v for v in row], _add).call("sqrt")


def _nansum(row: list[Counted]) -> Counted:
    for v in row:
        _ = v > v  # the test for nan
    return _fold(row, _add)


DEFINITIONS = [
    (torch.sum, (), lambda row: _fold(row, _add)),
    (torch.prod, (), lambda row: _fold(row, lambda a, b: a * b)),
    (torch.mean, (), _mean),
    (torch.nansum, (), _nansum),
    (torch.nanmean, (), lambda row: _nansum(row) / 3),
    (torch.amax, (), _largest),
    (torch.max, (), _largest),
    (torch.argmin, (), _largest),
    (torch.aminmax, (), lambda row: (_largest(row), _largest(row))),
    (torch.any, (), lambda row: [v > 0 for v in row]),
    (torch.count_nonzero, (), lambda row: [v > 0 for v in row]),
    (torch.var, (), _var),
    (torch.std, (), lambda row: _var(row).call("sqrt")),
    (torch.var_mean, (), _var),
    (torch.std_mean, (), lambda row: _var(row).call("sqrt")),
    (linalg.vector_norm, (2,), _two_norm),
    (linalg.vector_norm, (1,), lambda row: _fold([abs(v) for v in row], _add)),
    (linalg.vector_norm, (inf,), lambda row: _largest([abs(v) for v in row])),
    (linalg.vector_norm, (0,), lambda row: ([v > 0 for v in row], _fold(row, _add))),
    (linalg.vector_norm, (3,), lambda row: _p_norm(row, 3)),
    (torch.norm, (2,), _two_norm),
]


def _wanted(definition, rows: int, size: int) -> dict[str, int]:
    tally: Counter[str] = Counter()
    for row in counted(tally, rows, size):
        definition(row)
    return {k: tally[k] for k in ("macs", "flops", "transcendentals")}


@pytest.mark.parametrize(("func", "args", "definition"), DEFINITIONS)
def test_work_by_definition(func, args, definition) -> None:
    assert work(func, BN, *args, dim=1) == _wanted(definition, 3, 11)
    assert work(func, BN, *args, dim=0) == _wanted(definition, 11, 3)


@pytest.mark.parametrize(
    ("func", "args", "definition"), [d for d in DEFINITIONS if d[0] not in (torch.any, torch.count_nonzero)]
)
def test_work_of_everything_at_once(func, args, definition) -> None:
    assert work(func, BN, *args) == _wanted(definition, 1, 33)


def test_larger_of_two_tensors_is_one_comparison_each() -> None:
    assert work(torch.max, BN, T("N"))["flops"] == 33
    assert work(torch.min, BN, other=T("N"))["flops"] == 33


def test_integers_count_nothing() -> None:
    for func in (torch.sum, torch.prod, torch.amax, torch.argmax, torch.any, torch.trace):
        assert work(func, T("B,N", I64))["flops"] == 0
    assert work(torch.sum, T("B,N", BOOL), dtype=torch.float32)["flops"] == 32
    assert work(torch.mean, T("B,N", I64), dtype=torch.float32)["flops"] == 33


def test_matrix_norms() -> None:
    columns = _wanted(lambda column: _fold([abs(v) for v in column], _add), 11, 3)["flops"]
    assert work(linalg.matrix_norm, BN, 1)["flops"] == columns + 10  # and the largest of 11 sums
    rows = _wanted(lambda row: _fold([abs(v) for v in row], _add), 3, 11)["flops"]
    assert work(linalg.matrix_norm, BN, inf)["flops"] == rows + 2
    assert work(linalg.matrix_norm, BN)["flops"] == _wanted(_two_norm, 1, 33)["flops"]
    # Golub and Van Loan: 4*m*n**2 - 4*n**3/3 with m = 11, n = 3, and 2 additions
    assert work(torch.norm, BN, "nuc")["flops"] == 4 * 11 * 9 - 36 + 2
    nuclear = torch._C._VariableFunctions.nuclear_norm
    assert work(nuclear, BN) == work(torch.norm, BN, "nuc") == work(linalg.norm, BN, "nuc")
    assert work(torch.frobenius_norm, BN, (0, 1), False) == work(linalg.norm, BN) == work(torch.norm, BN)


def test_distances() -> None:
    difference = 33
    assert work(torch.dist, BN, T("N"))["flops"] == difference + _wanted(_two_norm, 1, 33)["flops"]
    norms = _wanted(_two_norm, 3, 11)["flops"]
    assert work(torch.renorm, BN, 2, 0, 1.0)["flops"] == norms + 3 * 3 + 33  # compare, add, divide; scale


def test_trace_adds_the_diagonal() -> None:
    assert work(torch.trace, BN)["flops"] == 2
    assert work(torch.trace, T("N,B"))["flops"] == 2


def test_quantile_interpolates() -> None:
    # rank = q * (n - 1) for each q; low + weight * (high - low) for each result
    assert work(torch.quantile, BN, T("K"), 1)["flops"] == 19 + 3 * 19 * 3
    assert work(torch.nanquantile, BN, 0.5)["flops"] == 1 + 3


def test_complex_reductions_count_as_pairs_of_reals() -> None:
    assert work(torch.sum, Z, 1)["flops"] == 2 * 3 * 10
    assert work(torch.var, Z, 1)["flops"] == 2 * _wanted(_var, 3, 11)["flops"] + 2 * 3 - 2 * 3
    assert work(linalg.vector_norm, Z, 2, 1)["flops"] == 3 * 33 + 3 * 10 + 3  # |z|**2, sums, roots


@pytest.mark.parametrize("name", ["median", "nanmedian", "mode"])
def test_selection_says_why_it_counts_nothing(name: str) -> None:
    cost = REGISTRY[named(name)].cost
    assert isinstance(cost, Zero)
    assert "data" in cost.reason


HELD = [
    call(torch.sum, X, 1), call(torch.nansum, X, 1), call(torch.mean, NHWC, (2, 3)), call(torch.max, X, 1),
    call(torch.var, X, 1), call(torch.std, X), call(torch.nanmean, X, 1), call(torch.nanmean, T("B,C,H", F64)),
    call(torch.quantile, X, 0.5), call(torch.quantile, X, 0.5, 1), call(torch.quantile, X, T("K"), -1),
    call(torch.median, X, 1), call(torch.any, X, 1), call(torch.norm, X, 2, 1), call(linalg.matrix_norm, X),
    call(linalg.matrix_norm, X, 1), call(linalg.matrix_norm, X, inf), call(linalg.matrix_norm, X, -1),
    call(linalg.matrix_norm, X, -inf), call(linalg.norm, BN, 2),
    call(linalg.matrix_norm, BN, "nuc"), call(torch.dist, X, X), call(torch.renorm, X, 2, 1, 1.0),
    call(torch.count_nonzero, X), call(torch.aminmax, X), call(torch.trace, BN),
]  # fmt: skip


@pytest.mark.parametrize("case", HELD)
def test_temporaries_as_eager(case) -> None:
    case.assert_held()


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (torch.mean, (T("B", I64),)),
        (torch.var, (T("B", I64),)),
        (torch.amax, (T("0,B"), 0)),
        (torch.max, (T("0"),)),
        (torch.max, (T("B", C64),)),
        (torch.argmax, (T("B,0"), 1)),
        (torch.sum, (X, 3)),
        (torch.sum, (X, (1, 1))),
        (torch.trace, (X,)),
        (torch.quantile, (T("B", I64), 0.5)),
        (torch.quantile, (T("B"), T("K", F64))),
        (linalg.vector_norm, (T("B", I64),)),
        (linalg.matrix_norm, (T("B"),)),
        (linalg.matrix_norm, (X, 3)),
    ],
)
def test_refuses_as_torch(func, args) -> None:
    with pytest.raises((RuntimeError, NotImplementedError, IndexError)):
        func(*(a.real(SIZES[0], "cpu") if isinstance(a, T) else a for a in args))
    with pytest.raises(ShapeError):
        rule_result(func, *args)
