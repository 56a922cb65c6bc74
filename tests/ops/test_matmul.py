"""Matrix products: shapes against torch, macs against torch's counter, held bytes against a storage tracker, work
against loops that count."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from fxcount.errors import ShapeError, UncountedError
from fxcount.ops.contraction import matmul, products
from tests.ops.cases import Case, call, overload, uncovered
from tests.ops.contractions import torch_flops
from tests.ops.harness import SIZES, Counted, T, check, counted, real, rule_result, work
from tests.ops.tracker import held, ruled

aten = torch.ops.aten
f64, bf16, f16, i64, i32, i8, c64 = (
    torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.int32, torch.int8, torch.complex64,
)  # fmt: skip
SWAP = (0, 2, 1, 3)

GROUPED = overload("_grouped_mm")
NEEDS_GROUPED = pytest.mark.skipif(GROUPED is None, reason="this torch has no grouped products")

PRODUCTS = [
    call(torch.mm, T("N,K"), T("K,M")),
    call(torch.mm, T("K,N", perm=(1, 0)), T("M,K", perm=(1, 0))),
    call(torch.bmm, T("B,N,K"), T("B,K,M")),
    call(torch.bmm, T("B,K,N", perm=(0, 2, 1)), T("B,K,M")),
    call(torch.matmul, T("B,S,K"), T("K,M")),
    call(torch.matmul, T("B,H,S,K"), T("B,H,K,T")),
    call(torch.matmul, T("B,S,H,K", perm=SWAP), T("B,T,H,K", perm=(0, 2, 3, 1))),
    call(torch.matmul, T("B,S,H,K", perm=SWAP), T("K,M")),
    call(torch.matmul, T("B,K,S", perm=(0, 2, 1)), T("K,M")),
    call(torch.matmul, T("M,K"), T("B,S,K,N")),
    call(torch.matmul, T("B,1,S,K"), T("H,K,M")),
    call(torch.matmul, T("S,K"), T("K,M")),
    call(torch.matmul, T("3,5,7"), T("3,7,11")),
    call(torch.Tensor.__matmul__, T("B,K,M", f64), T("B,M,N", f64)),
    call(torch.linalg.matmul, T("N,K"), T("K,M")),
    call(F.linear, T("B,K"), T("M,K"), T("M")),
    call(F.linear, T("B,S,K"), T("M,K"), T("M")),
    call(F.linear, T("B,S,T,K"), T("M,K")),
    call(F.linear, T("B,K,S", perm=(0, 2, 1)), T("M,K"), T("M")),
    call(F.linear, T("B,S,K"), T("M,K"), T("1")),
    call(F.linear, T("K"), T("M,K"), T("M")),
    call(F.linear, T("B,K", bf16), T("M,K", bf16), bias=T("M", bf16)),
    call(torch.addmm, T("M"), T("N,K"), T("K,M")),
    call(torch.addmm, T("N,1"), mat1=T("N,K"), mat2=T("K,M"), beta=2, alpha=0.5),
    call(torch.baddbmm, T("N,M"), T("B,N,K"), T("B,K,M"), beta=0),
    call(GROUPED, T("64,32", bf16), T("3,32,16", bf16), T("3", i32)),
    call(GROUPED, T("3,64,32", bf16), T("3,32,16", bf16)),
    call(GROUPED, T("64,32", bf16), T("32,16", bf16), T("3", i32)),
    call(GROUPED, T("3,64,32", bf16), T("32,16", bf16), T("3", i32)),
]
VECTORS = [  # torch's counter knows matrices only
    call(torch.matmul, T("K"), T("K")),
    call(torch.matmul, T("B,S,K"), T("K")),
    call(torch.matmul, T("B,S,H,K", perm=SWAP), T("K")),
    call(torch.matmul, T("K"), T("B,S,K,M")),
    call(torch.matmul, T("N,K"), T("K")),
    call(F.linear, T("B,K"), T("K")),
    call(torch.mv, T("N,K"), T("K")),
    call(torch.dot, T("K"), T("K")),
    call(torch.vdot, T("K", c64), T("K", c64)),
    call(torch.addmv, T("N"), T("N,K"), T("K")),
    call(torch.addbmm, T("N,M"), T("B,N,K"), T("B,K,M")),
    call(torch.outer, T("N"), T("M", i64)),
    call(torch.ger, T("N"), T("M")),
    call(torch.addr, T("N,M"), T("N"), T("M"), beta=3),
    call(torch.cross, T("B,3,M"), T("B,3,M"), 1),
    call(torch.linalg.cross, T("B,3"), T("1,3")),
    call(torch.linalg.cross, T("3,B", f64), T("3,B", f64), dim=0),
    call(torch.linalg.vecdot, T("B,S,K"), T("S,K")),
    call(torch.linalg.vecdot, T("B,1"), T("B,S")),
    call(torch.linalg.vecdot, T("K"), T("K")),
    call(torch.linalg.vecdot, T("B,S,K", c64), T("B,S,K", c64), dim=1),
    call(torch.kron, T("N,M"), T("2,K")),
    call(torch.kron, T("N"), T("M,K", i64)),
    call(torch.linalg.multi_dot, [T("N,K"), T("K,M"), T("M,3")]),
    call(torch.linalg.multi_dot, [T("K"), T("K,M"), T("M,3"), T("3")]),
    call(F.bilinear, T("B,S,K"), T("B,S,M"), T("N,K,M"), T("N")),
    call(aten._trilinear.default, T("B,K"), T("N,K,M"), T("B,M"), [1, 3], [0], [1, 2], [2, 3]),
    call(torch._addmm_activation, T("M"), T("N,K"), T("K,M"), use_gelu=True),
    call(torch.mm, T("N,K", i64), T("K,M", i64)),
    call(torch._int_mm, T("32,32", i8, tied="of 16"), T("32,64", i8)),
]
NAMES = ["chain_matmul", "_scaled_mm", "_scaled_mm_v2", "transformers.grouped_mm_fallback"]


@pytest.mark.parametrize("case", PRODUCTS + VECTORS)
def test_shape(case: Case) -> None:
    check(case.func, *case.args, device="cpu", assumes=case.assumes, **case.kwargs)


@pytest.mark.parametrize("case", [p for p in PRODUCTS if "grouped" not in p.id])
def test_macs_are_torchs(case: Case) -> None:
    assert 2 * case.work()["macs"] == torch_flops(case)


@pytest.mark.parametrize("case", [p for p in PRODUCTS + VECTORS if p.id not in ("linear", "linalg_multi_dot")])
def test_bytes_held(case: Case) -> None:
    case.assert_held()


@pytest.mark.parametrize("case", [p for p in PRODUCTS + VECTORS if p.id == "linear"])
def test_bytes_held_by_a_module_that_trains(case: Case) -> None:
    def linear(x: torch.Tensor, weight: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        return F.linear(x, weight.requires_grad_(), *args, **kwargs)

    values = SIZES[1]
    assert ruled(F.linear, case.args, case.kwargs, values) == held(linear, case.args, case.kwargs, values)


def test_every_op_has_a_case() -> None:
    assert not uncovered((*matmul.OPS, *products.OPS), PRODUCTS + VECTORS, NAMES)


def _matrix_product(n: int, k: int, m: int, then: Callable[..., Any] = lambda total, i, j: total) -> Counter[str]:
    tally: Counter[str] = Counter()
    a, b = counted(tally, n, k), counted(tally, k, m)
    for i, j in itertools.product(range(n), range(m)):
        total = Counted(0, tally)
        for s in range(k):
            total = total.fma(a[i][s], b[s][j])
        then(total, i, j)
    return tally


SMALL = {"N": 3, "K": 5, "M": 4}


def _expect(got: dict[str, int], tally: Counter[str]) -> None:
    assert got == {name: tally[name] for name in ("macs", "flops", "transcendentals")}


def test_work_of_matrix_products() -> None:
    _expect(work(torch.mm, T("N,K"), T("K,M"), values=SMALL), _matrix_product(3, 5, 4))
    with_bias = _matrix_product(3, 5, 4, lambda total, i, j: total + 1.0)
    _expect(work(F.linear, T("N,K"), T("M,K"), T("M"), values=SMALL), with_bias)
    _expect(work(torch.addmm, T("M"), T("N,K"), T("K,M"), values=SMALL), with_bias)
    scaled = _matrix_product(3, 5, 4, lambda total, i, j: total * 0.5 + Counted(1.0, total.tally) * 2.0)
    _expect(work(torch.addmm, T("M"), T("N,K"), T("K,M"), beta=2, alpha=0.5, values=SMALL), scaled)
    activated = _matrix_product(3, 5, 4, lambda total, i, j: total + 1.0 > 0.0)
    _expect(work(torch._addmm_activation, T("M"), T("N,K"), T("K,M"), values=SMALL), activated)
    _expect(work(torch.addmm, T("M"), T("N,K"), T("K,M"), beta=0, values=SMALL), _matrix_product(3, 5, 4))


def test_work_of_a_sum_over_the_batch() -> None:
    tally: Counter[str] = Counter()
    added, a, b = counted(tally, 3, 4), counted(tally, 2, 3, 5), counted(tally, 2, 5, 4)
    for i, j in itertools.product(range(3), range(4)):
        total = Counted(0, tally)
        for n, s in itertools.product(range(2), range(5)):
            total = total.fma(a[n][i][s], b[n][s][j])
        total + added[i][j]
    _expect(work(torch.addbmm, T("N,M"), T("B,N,K"), T("B,K,M"), values={**SMALL, "B": 2}), tally)


def test_work_of_outer_products_and_cross() -> None:
    tally: Counter[str] = Counter()
    a, b = counted(tally, 3), counted(tally, 4)
    for i, j in itertools.product(range(3), range(4)):
        a[i] * b[j]
    _expect(work(torch.outer, T("N"), T("M"), values=SMALL), tally)
    _expect(work(torch.kron, T("N"), T("M"), values=SMALL), tally)
    for _ in range(12):  # addr: plus the scaled matrix
        a[0] * 3.0 + b[0]
    _expect(work(torch.addr, T("N,M"), T("N"), T("M"), beta=3, values=SMALL), tally)
    tally.clear()
    x, y = counted(tally, 4, 3), counted(tally, 4, 3)
    for (x0, x1, x2), (y0, y1, y2) in zip(x, y, strict=True):
        x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0
    _expect(work(torch.linalg.cross, T("M,3"), T("M,3"), values=SMALL), tally)


def test_work_of_bilinear() -> None:
    """x @ weight first, then with input2; torch too has the weight meet x only once."""
    tally: Counter[str] = Counter()
    x, y, w, b = counted(tally, 2, 5), counted(tally, 2, 4), counted(tally, 3, 5, 4), counted(tally, 3)
    for n, o in itertools.product(range(2), range(3)):
        total = Counted(0, tally)
        for j in range(4):
            inner = Counted(0, tally)
            for i in range(5):
                inner = inner.fma(x[n][i], w[o][i][j])
            total = total.fma(inner, y[n][j])
        total + b[o]
    values = {**SMALL, "B": 2}
    _expect(work(F.bilinear, T("B,K"), T("B,M"), T("N,K,M"), T("N"), values=values), tally)
    got = work(aten._trilinear.default, T("B,K"), T("N,K,M"), T("B,M"), [1, 3], [0], [1, 2], [2, 3], values=values)
    assert got["macs"] == tally["macs"]


def test_chain_takes_the_cheapest_order() -> None:
    """(2x3)(3x5)(5x7): from the left 2*3*5 + 2*5*7 = 100, from the right 3*5*7 + 2*3*7 = 147."""
    chain = [T("B,3"), T("3,5"), T("5,M")]
    assert work(torch.linalg.multi_dot, chain, values={"B": 2, "M": 7})["macs"] == 100
    # with 200 rows and 1 column from the right: 3*5*1 + 200*3*1
    assert work(torch.linalg.multi_dot, chain, values={"B": 200, "M": 1})["macs"] == 615
    assert work(torch._C._VariableFunctions.chain_matmul, chain, values={"B": 2, "M": 7})["macs"] == 100


@NEEDS_GROUPED
def test_grouped_products() -> None:
    """Each of 64 rows meets one of the three matrices; inner slices are shared out over the groups."""
    rows = work(GROUPED, T("64,32", bf16), T("3,32,16", bf16), T("3", i32))
    inner = work(GROUPED, T("64,32", bf16), T("32,16", bf16), T("3", i32))
    each = work(GROUPED, T("3,64,32", bf16), T("3,32,16", bf16))
    assert (rows["macs"], inner["macs"], each["macs"]) == (64 * 32 * 16, 64 * 32 * 16, 3 * 64 * 32 * 16)


@pytest.mark.filterwarnings("ignore:Using torch.cross without specifying:UserWarning")
def test_cross_takes_the_first_dimension_of_size_3() -> None:
    check(torch.cross, T("B,3,3", tied="of 16"), T("B,3,3", tied="of 16"))
    with pytest.raises(ShapeError, match="size 3"):
        rule_result(torch.cross, T("N,M"), T("N,M"))


F8 = torch.float8_e4m3fn
SCALED = (T("32,64", F8), T("16,64", F8, perm=(1, 0)), T(""), T(""), T("16", bf16), None, bf16)


def test_scaled_product() -> None:
    check(aten._scaled_mm.default, *SCALED)
    # two scales and a bias for each of 32*16 numbers
    assert work(aten._scaled_mm.default, *SCALED) == {
        "macs": 32 * 64 * 16, "flops": 2 * 32 * 64 * 16 + 3 * 32 * 16, "transcendentals": 0,
    }  # fmt: skip


@pytest.mark.skipif(overload("_scaled_mm_v2") is None, reason="this torch has no such op")
def test_scaled_product_of_recipes() -> None:
    """The later form, whose scales come in lists with what they scale: the same product, or uncounted blocks."""
    args = (*SCALED[:2], [T("")], [0], [0], [T("")], [0], [0])
    later = overload("_scaled_mm_v2")
    assert rule_result(later, *args, SCALED[4], bf16)[0] == rule_result(aten._scaled_mm.default, *SCALED)[0]
    assert work(later, *args, SCALED[4], bf16) == work(aten._scaled_mm.default, *SCALED)
    with pytest.raises(UncountedError, match="blocks"):
        work(later, *SCALED[:2], [T("")], [3], [0], [T("")], [0], [0], None, bf16)


def test_complex_and_integer_work() -> None:
    plain = work(torch.mm, T("N,K"), T("K,M"))
    assert work(torch.mm, T("N,K", c64), T("K,M", c64))["flops"] == 4 * plain["flops"]
    assert work(torch.mm, T("N,K", i64), T("K,M", i64)) == {**plain, "flops": 0}
    assert work(torch.vdot, T("K", c64), T("K", c64), values=SMALL)["macs"] == 20
    assert work(torch.linalg.vecdot, T("N,1"), T("N,K"), values=SMALL)["macs"] == 15
    assert work(torch.linalg.vecdot, T("N,K"), T("N,K"), values=SMALL) == work(torch.mv, T("N,K"), T("K"), values=SMALL)


@pytest.mark.parametrize(
    ("func", "args", "kwargs", "message"),
    [
        (torch.mm, (T("N,K"), T("M,K")), {}, "inner sizes"),
        (torch.mm, (T("N,K"), T("K")), {}, "2 dimensions"),
        (torch.mm, (T("N,K"), T("K,M", f64)), {}, "one dtype"),
        (torch.mm, (T("N,K", torch.bool), T("K,M", torch.bool)), {}, "bool"),
        (torch.bmm, (T("B,N,K"), T("N,K,M")), {}, "batch sizes"),
        (torch.matmul, (T("B,N,K"), T("C,K,M")), {}, "broadcast"),
        (torch.matmul, (T(""), T("K,M")), {}, "scalar"),
        (F.linear, (T("B,K"), T("M,N")), {}, "features"),
        (F.linear, (T("B,K"), T("M,K"), T("K")), {}, "broadcast|expand"),
        (torch.addmm, (T("K"), T("N,K"), T("K,M")), {}, "broadcast|expand"),
        (torch.outer, (T("N,K"), T("M")), {}, "1 dimensions"),
        (torch.linalg.cross, (T("N,K"), T("N,K")), {}, "size 3"),
        (torch.linalg.cross, (T("N,3"), T("3")), {}, "rank"),
        (F.bilinear, (T("B,K"), T("B,M"), T("N,M,K")), {}, "bilinear"),
        (torch.linalg.vecdot, (T("N,K"), T("N,M")), {}, "broadcast"),
        pytest.param(GROUPED, (T("64,32", bf16), T("3,32,16", bf16)), {}, "offs", marks=NEEDS_GROUPED),
        (torch._int_mm, (T("32,32", i64, tied="of 16"), T("32,32", i64, tied="of 16")), {}, "int8"),
    ],
)
def test_errors_are_torchs(func: Any, args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        rule_result(func, *args, **kwargs)
    with pytest.raises((RuntimeError, ValueError)):
        func(*[real(a, SIZES[0], "cpu") for a in args], **kwargs)
