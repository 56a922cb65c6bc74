"""Distances and similarities of vectors, against torch on meta and loops over scalars."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops.reduction import distances
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import Counted, T, check, counted, rule_result, work

aten, F64, I64 = torch.ops.aten, torch.float64, torch.int64
BN = T("B,N")

CASES = [
    call(torch.cosine_similarity, T("B,C,H"), T("B,C,1")),
    call(torch.cosine_similarity, BN, BN, dim=-1),
    call(torch.pairwise_distance, BN, T("N")),
    call(torch.pairwise_distance, BN, BN, 1.0, 1e-6, True),
    call(torch.cdist, T("B,N,K"), T("B,M,K"), on="cpu"),
    call(torch.cdist, T("N,K"), T("B,M,K"), p=1.0, on="cpu"),
    call(torch.cdist, T("N,K", F64), T("M,K", F64), 3.0, on="cpu"),
    call(torch.pdist, T("C,H")),
    call(torch.pdist, T("C,H"), 3.0),
]


@pytest.mark.parametrize("case", CASES)
def test_shape(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("case", [call(torch.cosine_similarity, BN, BN), call(torch.pairwise_distance, BN, BN), *CASES[4:7]])
def test_temporaries_as_eager(case: Case) -> None:
    case.assert_held()


def test_every_name_has_a_case() -> None:
    assert not uncovered(distances.OPS, CASES, ["_cdist_forward", "_euclidean_dist", "_pdist_forward"])


def _numbers(tally: Counter[str]) -> dict[str, int]:
    return {k: tally[k] for k in ("macs", "flops", "transcendentals")}


def _dot(a: list[Counted], b: list[Counted]) -> Counted:
    first, *rest = [x * y for x, y in zip(a, b, strict=True)]
    for product in rest:
        first = first + product
    return first


def test_cosine_similarity_work() -> None:
    tally: Counter[str] = Counter()
    for a, b in zip(counted(tally, 3, 11), counted(tally, 3, 11), strict=True):
        norms = [_dot(v, v).call("sqrt") for v in (a, b)]
        _ = [n > 1e-8 for n in norms]
        _ = _dot(a, b) / (norms[0] * norms[1])
    assert work(torch.cosine_similarity, BN, BN) == _numbers(tally)


def test_pairwise_distance_work() -> None:
    tally: Counter[str] = Counter()
    for a, b in zip(counted(tally, 3, 11), counted(tally, 3, 11), strict=True):
        d = [x - y + 1e-6 for x, y in zip(a, b, strict=True)]
        _dot(d, d).call("sqrt")
    assert work(torch.pairwise_distance, BN, T("N")) == _numbers(tally)


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.0, float("inf")])
def test_work_of_distances(p: float) -> None:
    tally: Counter[str] = Counter()
    a, b = counted(tally, 3, 5), counted(tally, 4, 5)
    for u, v in itertools.product(a, b):
        terms = []
        for s, t in zip(u, v, strict=True):
            d = s - t
            if p == 0:
                d.call("differs")
            elif p == 2:
                d = d * d
            else:
                d = abs(d)
                if p == 3:
                    d = d._do("pow", d.value**p)
            terms.append(d)
        total = terms[0]
        for d in terms[1:]:
            total = (d if d > total else total) if p == float("inf") else total + d
        if p in (2, 3):
            total._do("sqrt" if p == 2 else "pow", total.value ** (1 / p))
    for func in (torch.cdist, aten._cdist_forward.default):
        assert work(func, T("N,K"), T("M,K"), p, None, values={"N": 3, "K": 5, "M": 4}) == _numbers(tally)


def test_euclidean_distance_of_the_aten_form() -> None:
    args = (T("B,N,K"), T("B,M,K"))
    check(aten._euclidean_dist.default, *args)
    assert work(aten._euclidean_dist.default, *args) == work(torch.cdist, *args)


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.0, float("inf")])
def test_distances_are_those_of_cdist(p: float) -> None:
    """4*3/2 pairs of the 4*4 that cdist computes."""
    pairs = work(torch.pdist, T("4,5"), p, values={})
    square = work(torch.cdist, T("4,5"), T("4,5"), p, values={})
    assert pairs["flops"] * 16 == square["flops"] * 6


@pytest.mark.parametrize(
    ("func", "args", "message"),
    [
        (torch.cdist, (T("N,K"), T("M,N")), "widths"),
        (torch.cdist, (T("N,K", I64), T("M,K", I64)), "floating"),
        (torch.pdist, (T("B,C,H"),), "needs a matrix"),
    ],
)
def test_errors_are_torchs(func, args, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        rule_result(func, *args)
    with pytest.raises(RuntimeError):
        func(*[a.real({"N": 3, "K": 5, "M": 4, "B": 2, "C": 7, "H": 11}, "cpu") for a in args])
