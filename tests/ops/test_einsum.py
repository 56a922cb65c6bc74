"""einsum, tensordot, inner: shapes, strides and held bytes against torch on the CPU, macs against torch's counter, and
work against the definition written as loops."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops import REGISTRY
from fxcount.ops.contraction import einsum as contractions
from fxcount.ops.contraction import tensordot as pairings
from fxcount.ops.core.fact import Alias
from tests.ops.cases import Case, call, uncovered
from tests.ops.contractions import torch_flops
from tests.ops.harness import SIZES, Counted, T, check, real, rule_result, work

einsum = torch._C._VariableFunctions.einsum
tensordot = torch._C._VariableFunctions.tensordot
f64, i64, c64 = torch.float64, torch.int64, torch.complex64

EQUATIONS = [
    call(einsum, "bhqd,bhkd->bhqk", [T("B,H,S,K"), T("B,H,T,K")]),
    call(einsum, "bqhd,bkhd->bhqk", [T("B,S,H,K"), T("B,T,H,K")]),
    call(einsum, "bhqk,bkhd->bqhd", [T("B,H,S,T"), T("B,T,H,K")]),
    call(einsum, "ij,jk->ik", [T("N,K"), T("K,M")]),
    call(einsum, "ij,jk->ki", [T("N,K"), T("K,M")]),
    call(einsum, "bij,jk", [T("B,N,K"), T("K,M")]),
    call(einsum, "...ij,jk->...ik", [T("B,C,N,K"), T("K,M")]),
    call(einsum, "...ij,...jk", [T("B,1,N,K"), T("C,K,M")]),
    call(einsum, "i...,i...->...", [T("N,K"), T("N,K")]),
    call(einsum, "bhwc,hkc->bhwk", [T("B,H,W,5"), T("H,S,5")]),
    call(einsum, "nkctv,kvw->nctw", [T("B,3,C,T,5"), T("3,5,M")]),
    call(einsum, "b i d, b j d -> b i j", [T("B,N,K"), T("B,M,K", perm=(0, 1, 2))]),
    call(einsum, "bhqd,bhkd->bhqk", [T("B,S,H,K", perm=(0, 2, 1, 3)), T("B,T,H,K", perm=(0, 2, 1, 3))]),
    call(einsum, "ijk,j->ik", [T("N,K,M"), T("K")]),
    call(einsum, "i,i->", [T("N"), T("N")]),
    call(einsum, "bij,bij->b", [T("B,N,K"), T("B,N,K")]),
    call(einsum, "iij,jk->ik", [T("N,N,K"), T("K,M")]),
    call(einsum, "ij,jk,kl->il", [T("N,K"), T("K,M"), T("M,S")]),
    call(einsum, "bn,anm,bm->ba", [T("B,N"), T("C,N,M"), T("B,M")]),
    call(einsum, "ij,jk,kl->il", [T("N,K"), T("K,M"), T("M,S")], path=[1, 2, 0, 1]),
    call(einsum, "Zab,bc->cZ", [T("B,N,K", f64), T("K,M", f64)]),
    call(tensordot, T("B,N,K"), T("K,N,M"), [2, 1], [0, 1]),
    call(tensordot, T("B,N,K"), T("N,K,M"), [1, 2], [0, 1]),
    call(tensordot, T("B,N,K"), T("B,M"), [0], [-2]),
    call(tensordot, T("B,N"), T("K,M"), [], []),
    call(torch.inner, T("B,K"), T("N,M,K")),
]
WITHOUT_MATRICES = [
    call(einsum, "ii->i", [T("N,N")]),
    call(einsum, "ij->ji", [T("N,M")]),
    call(einsum, "ij->ij", [T("N,M")]),
    call(einsum, "bijk->bkij", [T("B,N,M,K")]),
    call(einsum, "ii", [T("N,N")]),
    call(einsum, "ij->", [T("N,M")]),
    call(einsum, "ij->j", [T("N,M")]),
    call(einsum, "ijk->kj", [T("N,M,K")]),
    call(einsum, "ij->i", [T("N,M", torch.int32)]),
    call(einsum, "i,j->ij", [T("N"), T("M")]),
    call(einsum, "ij,ij->ij", [T("N,M"), T("M,N", perm=(1, 0))]),
    call(einsum, "ij,k->ik", [T("N,M"), T("K")]),
    call(einsum, "ij,j->i", [T("N,M"), T("1")]),
    call(einsum, "ij,->ij", [T("N,M"), T("", f64)]),
    call(einsum, "i,i->i", [T("N"), T("1")]),
    call(einsum, "i...,->i", [T("N"), T("")]),
    call(torch.inner, T("B,K"), T("")),
    call(torch.inner, T("K"), T("K")),
]


@pytest.mark.parametrize("case", EQUATIONS + WITHOUT_MATRICES)
def test_shape_and_strides(case: Case) -> None:
    replace(case, on="cpu").check()


@pytest.mark.parametrize("case", EQUATIONS)
def test_macs_are_torchs(case: Case) -> None:
    assert 2 * case.work()["macs"] == torch_flops(case)


@pytest.mark.parametrize("case", EQUATIONS + WITHOUT_MATRICES)
def test_bytes_held(case: Case) -> None:
    case.assert_held()


def test_every_op_has_a_case() -> None:
    assert not uncovered((*contractions.OPS, *pairings.OPS), EQUATIONS + WITHOUT_MATRICES)


def test_a_reordering_is_a_view() -> None:
    assert isinstance(rule_result(einsum, "ij->ji", [T("N,M")])[0], Alias)
    assert isinstance(rule_result(einsum, "iij->ji", [T("N,N,M")])[0], Alias)
    assert not isinstance(rule_result(einsum, "ij->j", [T("N,M")])[0], Alias)


def test_calling_conventions_agree() -> None:
    x, y = T("N,K"), T("K,M")
    expected, _ = rule_result(einsum, "ij,jk->ik", [x, y])
    assert rule_result(torch.functional.einsum, "ij,jk->ik", x, y)[0] == expected
    assert rule_result(torch.functional.einsum, x, [0, 1], y, [1, 2], [0, 2])[0] == expected
    assert work(torch.functional.einsum, x, [0, 1], y, [1, 2]) == work(einsum, "ij,jk->ik", [x, y])
    check(torch.functional.einsum, x, [..., 1], y, [1, 2], [..., 2], device="cpu")


def _work_by_loops(equation: str, *shapes: tuple[int, ...]) -> Counter[str]:
    """Two operands; a subscript of one of them alone is summed before they meet."""
    tally: Counter[str] = Counter()
    (a, b), out = equation.partition("->")[0].split(","), equation.partition("->")[2]
    sizes = {s: n for labels, shape in zip((a, b), shapes, strict=True) for s, n in zip(labels, shape, strict=True)}

    def loops(labels: str) -> Any:
        return itertools.product(*(range(sizes[s]) for s in labels))

    for labels, other in ((a, b), (b, a)):
        alone = [s for s in labels if s not in out and s not in other]
        kept = "".join(s for s in labels if s not in alone)
        if alone:
            for _ in loops(kept):
                total, *rest = (Counted(1, tally) for _ in loops("".join(alone)))
                for term in rest:
                    total = total + term
    summed = "".join(s for s in a if s in b and s not in out)
    for _ in loops(out):
        if not summed:
            Counted(1, tally) * 2.0
        total = Counted(0, tally)
        for _ in loops(summed) if summed else ():
            total = total.fma(1.0, 1.0)
    return tally


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("bhqd,bhkd->bhqk", ((2, 3, 5, 4), (2, 3, 7, 4))),
        ("ij,jk->ki", ((3, 5), (5, 2))),
        ("ij,k->ik", ((3, 5), (2,))),
        ("ijl,jk->ik", ((3, 5, 2), (5, 4))),
        ("i,j->ij", ((3,), (5,))),
        ("bij,bij->b", ((2, 3, 5), (2, 3, 5))),
    ],
)
def test_work_by_definition(equation: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    tally = _work_by_loops(equation, *shapes)
    got = work(einsum, equation, [T(",".join(map(str, shape))) for shape in shapes], values={})
    assert got == {name: tally[name] for name in ("macs", "flops", "transcendentals")}


def test_the_path_decides_the_macs() -> None:
    """(2x3)(3x5)(5x7): from the left 2*3*5 + 2*5*7, from the right 3*5*7 + 2*3*7."""
    operands = [T("2,3"), T("3,5"), T("5,7")]
    assert work(einsum, "ij,jk,kl->il", operands, values={})["macs"] == 100
    assert work(einsum, "ij,jk,kl->il", operands, path=[1, 2, 0, 1], values={})["macs"] == 147


def test_sums_of_one_operand() -> None:
    """n - 1 additions per row; the trace of 5x5 takes 4."""
    assert work(einsum, "ij->j", [T("3,5")], values={})["flops"] == 10
    assert work(einsum, "ii", [T("5,5", tied="a trace")], values={})["flops"] == 4
    assert work(einsum, "ij->ji", [T("3,5")], values={})["flops"] == 0
    assert work(einsum, "ij->j", [T("3,5", i64)], values={})["flops"] == 0
    assert work(einsum, "ij,jk->ik", [T("3,5", c64), T("5,2", c64)], values={})["macs"] == 4 * 30


def test_equal_symbols_need_no_assumption_and_others_do() -> None:
    _, scope = rule_result(einsum, "ij,jk->ik", [T("N,K"), T("K,M")])
    assert not scope.assumptions
    _, scope = rule_result(einsum, "ij,jk->ik", [T("N,K"), T("11,M")])
    assert [str(a) for a in scope.assumptions] == ["K == 11"]


@pytest.mark.parametrize(
    ("equation", "operands", "message"),
    [
        ("ij,jk->ik", [T("N,K"), T("M,K")], "must match"),
        ("ii->i", [T("N,M")], "must match"),
        ("ij->i", [T("N")], "does not fit"),
        ("ij,jk->ik", [T("N,K")], "operands"),
        ("ij->k", [T("N,K")], "no operand"),
        ("ij->ii", [T("N,K")], "more than once"),
        ("i1->i", [T("N,K")], "letters"),
    ],
)
def test_errors_are_torchs(equation: str, operands: list[T], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        rule_result(einsum, equation, operands)
    with pytest.raises(RuntimeError):
        einsum(equation, [real(a, SIZES[0], "cpu") for a in operands])


def test_tensordot_errors() -> None:
    with pytest.raises(ShapeError, match="must match"):
        rule_result(tensordot, T("N,K"), T("M,K"), [1], [0])
    with pytest.raises(ShapeError, match="length"):
        rule_result(tensordot, T("N,K"), T("K,M"), [1, 0], [0])


def test_registered_under_the_python_name() -> None:
    assert REGISTRY[torch.einsum] is REGISTRY[einsum]


@pytest.mark.parametrize(
    ("equation", "shapes", "macs"),
    [
        ("ij,jk->ik", [(2, 1), (1, 3)], 6),
        ("bij,bjd->bid", [(2, 3, 1), (2, 1, 3)], 18),
        ("i,i->", [(1,), (1,)], 1),
        ("ij,jk,kl->il", [(2, 1), (1, 3), (3, 5)], 2 * 3 + 2 * 3 * 5),
        ("ij,ij->ij", [(2, 1), (2, 1)], 0),  # nothing is summed
        ("ij,jk,jl->ikl", [(2, 1), (1, 3), (1, 5)], 2 * 3 * 5),  # j is summed with the last operand alone
    ],
)
def test_macs_are_dense_where_the_summed_size_is_1(equation: str, shapes: list[tuple[int, ...]], macs: int) -> None:
    """By loops: a product for each setting of a step's subscripts. torch's counter sees no bmm there."""
    import fxcount

    class Contracts(torch.nn.Module):
        def forward(self, *operands: torch.Tensor) -> torch.Tensor:
            return torch.einsum(equation, *operands)

    from torch.utils.flop_counter import FlopCounterMode

    with torch.backends.opt_einsum.flags(enabled=False):  # where it is installed torch has it choose the order
        report = fxcount.analyze(Contracts(), *shapes)
        with FlopCounterMode(display=False) as counter:
            torch.einsum(equation, *[torch.zeros(s, device="meta") for s in shapes])
    assert report.macs == macs
    assert report.count("torch") == counter.get_total_flops()


@pytest.mark.parametrize("hint", [1, 4])
def test_a_formula_is_right_where_the_summed_size_is_1(hint: int) -> None:
    """b * i * d products for each of j; a numeric analysis says the same, and torch's counter 0 at j = 1."""
    import fxcount

    class Contracts(torch.nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return torch.einsum("bij,bjd->bid", x, y)

    report = fxcount.analyze(Contracts(), "B,3,J", "B,J,5", hints={"J": hint})
    for J in (1, 2, 7):
        fresh = fxcount.analyze(Contracts(), (2, 3, J), (2, J, 5))
        at = report.at(B=2, J=J)
        assert at.macs == fresh.macs == 2 * 3 * 5 * J
        assert at.flops == fresh.flops == 2 * at.macs
        assert at.count("torch") == fresh.count("torch") == (0 if J == 1 else 2 * at.macs)
