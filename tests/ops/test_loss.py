"""Losses: against torch; work against plain definitions that count; intermediates against eager."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops.loss import losses as loss
from tests.ops.cases import Case, call, named, uncovered
from tests.ops.harness import SIZES, Counted, T, counted, rule_result, work

I64, F64 = torch.int64, torch.float64
X, Y = T("B,C,H,W"), T("B,H,W", I64)
BN, CLASS = T("B,N"), T("B", I64)
aten, nn = torch.ops.aten, torch._C._nn
NONE, MEAN, SUM = 0, 1, 2
LENGTHS = T("B", I64)
CTC = (T("S,B,7"), T("B,L", I64), LENGTHS, LENGTHS)


def ctc(reduction: int) -> tuple:
    return (*CTC, 0, reduction, False)


CASES = [
    *(call(named(name), BN, T("B,N"), reduction=r) for name in loss.LOSSES for r in (NONE, MEAN, SUM)),
    call(nn.mse_loss, T("B,N,1"), T("B,1,K"), MEAN),
    call(nn.smooth_l1_loss, BN, BN, MEAN, 0.5),
    call(nn.huber_loss, BN, BN, NONE, 2.0),
    call(nn.binary_cross_entropy, BN, BN, None, MEAN),
    call(nn.binary_cross_entropy, BN, BN, BN, NONE),
    call(torch.binary_cross_entropy_with_logits, BN, BN, None, None, SUM),
    call(torch.binary_cross_entropy_with_logits, BN, BN, T("N"), T("N"), NONE),
    call(torch.kl_div, BN, BN, MEAN),
    call(torch.kl_div, BN, BN, NONE, log_target=True),
    call(torch.poisson_nll_loss, BN, BN, True, False, 1e-8, MEAN),
    call(torch.poisson_nll_loss, BN, BN, False, True, 1e-8, NONE),
    call(nn.cross_entropy_loss, X, Y, None, MEAN, -100, 0.0),
    call(nn.cross_entropy_loss, X, Y, T("C"), NONE, -100, 0.1),
    call(nn.cross_entropy_loss, BN, CLASS, None, SUM),
    call(nn.cross_entropy_loss, BN, T("B,N"), None, MEAN, -100, 0.1),
    call(nn.cross_entropy_loss, T("C"), T("", I64)),
    call(nn.nll_loss, BN, CLASS, None, MEAN, -100),
    call(nn.nll_loss2d, X, Y, None, NONE, -100),
    call(nn.nll_loss_nd, X, Y, T("C"), MEAN, -100),
    call(aten.nll_loss_forward.default, BN, CLASS, None, MEAN, -100),
    call(aten.nll_loss2d_forward.default, X, Y, None, NONE, -100),
    call(nn.multi_margin_loss, BN, CLASS, 1, 1.0, None, MEAN, on="cpu"),
    call(nn.multi_margin_loss, BN, CLASS, 2, 1.0, T("N"), NONE, on="cpu"),
    call(nn.multilabel_margin_loss, BN, T("B,N", I64), MEAN, on="cpu"),
    call(aten.multilabel_margin_loss_forward.default, BN, T("B,N", I64), NONE, on="cpu"),
    call(torch.triplet_margin_loss, BN, BN, BN, 1.0, 2.0, 1e-6, False, MEAN),
    call(torch.triplet_margin_loss, BN, BN, BN, 1.0, 2.0, 1e-6, True, NONE),
    call(torch.cosine_embedding_loss, BN, BN, T("B"), 0.0, MEAN),
    call(torch.cosine_embedding_loss, BN, BN, T("B"), 0.1, NONE),
    call(torch.margin_ranking_loss, BN, BN, T("B,1"), 0.0, NONE),
    call(torch.hinge_embedding_loss, BN, BN, 1.0, SUM),
]


@pytest.mark.parametrize("case", CASES)
def test_as_torch(case: Case) -> None:
    case.check()


def test_every_name_has_a_case() -> None:
    assert uncovered(loss.OPS, CASES, {"ctc_loss", "_ctc_loss"}) == set()


@pytest.mark.parametrize(("reduction", "shape"), [(NONE, (3,)), (MEAN, ()), (SUM, ())])
def test_ctc_shapes(reduction: int, shape: tuple[int, ...]) -> None:
    lengths = torch.tensor([13, 13, 13]), torch.tensor([5, 5, 5])
    probs, labels = torch.rand(13, 3, 7), torch.ones(3, 5, dtype=torch.int64)
    assert torch.ctc_loss(probs, labels, *lengths, 0, reduction, False).shape == shape
    result, _ = rule_result(torch.ctc_loss, T("13,3,7"), T("3,5", I64), T("3", I64), T("3", I64), 0, reduction, False)
    assert result.shape == shape
    losses, forward = aten._ctc_loss.default(probs, labels, [13] * 3, [5] * 3)
    pair, _ = rule_result(aten._ctc_loss.default, T("13,3,7"), T("3,5", I64), [13] * 3, [5] * 3)
    assert [f.shape for f in pair] == [losses.shape, forward.shape]


# Definitions on one element (x, target), or on one row.
def log_sigmoid(x: Counted) -> Counted:
    smaller = x if x < 0 else 0.0
    return smaller - (-abs(x)).call("exp").call("log1p")


def _smooth_l1(x: Counted, t: Counted) -> Counted:
    d = x - t
    _ = abs(d) < 0.5
    return d * d * 0.5 / 0.5


def _huber(x: Counted, t: Counted) -> Counted:
    d = x - t
    _ = abs(d) < 2.0
    return d * d * 0.5


def _cross(x: Counted, t: Counted) -> Counted:
    kept, other = x.call("log"), (1 - x).call("log")
    _ = (kept < -100, other < -100)
    return -(t * kept + (1 - t) * other)


def _hinge(x: Counted, t: Counted) -> Counted:
    rest = 1.0 - x
    _ = (t > 0, rest > 0)
    return rest


def _stirling(x: Counted, t: Counted) -> Counted:
    plain = x - t * (x + 1e-8).call("log")
    _ = t > 1
    return plain + (t * t.call("log") - t + 0.5 * (6.28 * t).call("log"))


ELEMENTS = [
    (nn.mse_loss, (), {}, lambda x, t: (d := x - t) * d),
    (nn.l1_loss, (), {}, lambda x, t: abs(x - t)),
    (nn.smooth_l1_loss, (), {}, _smooth_l1),
    (nn.huber_loss, (), {}, _huber),
    (nn.soft_margin_loss, (), {}, lambda x, t: (-t * x).call("exp").call("log1p")),
    (nn.binary_cross_entropy, (), {}, _cross),
    (torch.binary_cross_entropy_with_logits, (), {}, lambda x, t: (1 - t) * x - log_sigmoid(x)),
    (torch.binary_cross_entropy_with_logits, (None, T("N")), {},
     lambda x, t: (1 - t) * x - (1 + (t - 1) * t) * log_sigmoid(x)),
    (torch.kl_div, (), {}, lambda x, t: t * t.call("log") - t * x),
    (torch.kl_div, (), {"log_target": True}, lambda x, t: t.call("exp") * (t - x)),
    (torch.poisson_nll_loss, (True, False, 1e-8), {}, lambda x, t: x.call("exp") - t * x),
    (torch.poisson_nll_loss, (False, True, 1e-8), {}, _stirling),
    (torch.hinge_embedding_loss, (1.0,), {}, _hinge),
]  # fmt: skip


def _reduce(values: list[Counted], reduction: int) -> None:
    total = values[0]
    if reduction == NONE:
        return
    for v in values[1:]:
        total = total + v
    if reduction == MEAN:
        _ = total / len(values)


def _numbers(tally: Counter[str]) -> dict[str, int]:
    return {k: tally[k] for k in ("macs", "flops", "transcendentals")}


@pytest.mark.parametrize("reduction", [NONE, MEAN, SUM])
@pytest.mark.parametrize(("func", "args", "kwargs", "definition"), ELEMENTS)
def test_elementwise_work(func, args, kwargs, definition, reduction: int) -> None:
    tally: Counter[str] = Counter()
    _reduce([definition(x, t) for x, t in zip(counted(tally, 33), counted(tally, 33), strict=True)], reduction)
    assert work(func, BN, T("B,N"), *args, reduction=reduction, **kwargs) == _numbers(tally)


def test_margin_ranking_work() -> None:
    tally: Counter[str] = Counter()
    for a, b, y in zip(counted(tally, 33), counted(tally, 33), counted(tally, 33), strict=True):
        _ = (-y * (a - b) + 0.5) > 0
    assert work(torch.margin_ranking_loss, BN, BN, BN, 0.5, NONE) == _numbers(tally)


def _sum(row: list[Counted]) -> Counted:
    total = row[0]
    for v in row[1:]:
        total = total + v
    return total


def _log_softmax(row: list[Counted]) -> list[Counted]:
    largest = row[0]
    for v in row[1:]:
        largest = v if v > largest else largest
    shifted = [v - largest for v in row]
    total = _sum([v.call("exp") for v in shifted]).call("log")
    return [v - total for v in shifted]


def _cross_entropy(rows: list, reduction: int, weighted: bool, smoothing: bool) -> None:
    tally = rows[0][0].tally
    weight = [Counted(0.5, tally) for _ in rows[0]]
    scores = [_log_softmax(row) for row in rows]
    picked = [-row[1] * weight[1] if weighted else -row[1] for row in scores]
    _reduce(picked, reduction)
    if weighted and reduction == MEAN:
        _sum([weight[1] for _ in rows])
    if smoothing:
        even = [[v * w for v, w in zip(row, weight, strict=True)] if weighted else row for row in scores]
        even = [-_sum(row) for row in even]
        _reduce(even, reduction)
        for a, b in list(zip(picked, even, strict=True))[: None if reduction == NONE else 1]:
            _ = a * 0.9 + b * 0.01


@pytest.mark.parametrize("reduction", [NONE, MEAN, SUM])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_work(reduction: int, weighted: bool, smoothing: float) -> None:
    tally: Counter[str] = Counter()
    _cross_entropy(counted(tally, 3, 11), reduction, weighted, smoothing > 0)
    weight = T("N") if weighted else None
    assert work(nn.cross_entropy_loss, BN, CLASS, weight, reduction, -100, smoothing) == _numbers(tally)


@pytest.mark.parametrize("reduction", [NONE, MEAN, SUM])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_with_probabilities_work(reduction: int, smoothing: float) -> None:
    tally: Counter[str] = Counter()
    losses = []
    for row, target in zip(counted(tally, 3, 11), counted(tally, 3, 11), strict=True):
        target = [t * 0.9 + 0.01 for t in target] if smoothing else target
        losses.append(-_sum([p * t for p, t in zip(_log_softmax(row), target, strict=True)]))
    _reduce(losses, reduction)
    assert work(nn.cross_entropy_loss, BN, T("B,N"), None, reduction, -100, smoothing) == _numbers(tally)


def test_spatial_cross_entropy_is_that_of_its_rows() -> None:
    spatial = work(nn.cross_entropy_loss, T("B,C,N"), T("B,N", I64), None, MEAN)
    assert spatial == work(nn.cross_entropy_loss, T("B*N,C"), T("B*N", I64), None, MEAN)
    picked = work(nn.nll_loss_nd, T("B,C,N"), T("B,N", I64), None, MEAN)
    assert picked["flops"] == 33 + 32 + 1
    assert picked == work(nn.nll_loss2d, T("B,C,N"), T("B,N", I64), None, MEAN)
    assert picked == work(aten.nll_loss_forward.default, T("B*N,C"), T("B*N", I64), None, MEAN, -100)


@pytest.mark.parametrize(("p", "weight"), [(1, None), (2, None), (2, T("N"))])
def test_multi_margin_work(p: int, weight) -> None:
    tally: Counter[str] = Counter()
    for row in counted(tally, 3, 11):
        terms = []
        for x in row[1:]:  # the first class is the right one
            z = 1.0 - row[0] + x
            _ = z > 0
            z = z * z if p == 2 else z
            terms.append(z * 0.5 if weight else z)
        _ = _sum(terms) / 11
    assert work(nn.multi_margin_loss, BN, CLASS, p, 1.0, weight, NONE) == _numbers(tally)


def test_multilabel_margin_counts_every_pair() -> None:
    tally: Counter[str] = Counter()
    for row in counted(tally, 3, 11):
        total = Counted(0.0, tally)
        for wanted in row:
            for other in row:
                z = 1.0 - (wanted - other)
                total = total + (z if z > 0 else 0.0)
        _ = total / 11
    assert work(nn.multilabel_margin_loss, BN, T("B,N", I64), NONE) == _numbers(tally)
    both = work(aten.multilabel_margin_loss_forward.default, BN, T("B,N", I64), NONE)
    assert both == _numbers(tally)


def _dot(a: list[Counted], b: list[Counted]) -> Counted:
    return _sum([x * y for x, y in zip(a, b, strict=True)])


def _distance(a: list[Counted], b: list[Counted]) -> Counted:
    d = [x - y + 1e-6 for x, y in zip(a, b, strict=True)]
    return _dot(d, d).call("sqrt")


def _pairs(tally: Counter[str], operands: int):
    return zip(*(counted(tally, 3, 11) for _ in range(operands)), strict=True)


@pytest.mark.parametrize("swap", [False, True])
def test_triplet_work(swap: bool) -> None:
    tally: Counter[str] = Counter()
    for anchor, positive, negative in _pairs(tally, 3):
        near, far = _distance(anchor, positive), _distance(anchor, negative)
        if swap:
            other = _distance(positive, negative)
            far = other if other < far else far
        _ = (near - far + 1.0) > 0
    assert work(torch.triplet_margin_loss, BN, BN, BN, 1.0, 2.0, 1e-6, swap, NONE) == _numbers(tally)


def test_cosine_embedding_work() -> None:
    tally: Counter[str] = Counter()
    for a, b in _pairs(tally, 2):
        cosine = _dot(a, b) / ((_dot(a, a) + 1e-12) * (_dot(b, b) + 1e-12)).call("sqrt")
        _ = Counted(1.0, tally) > 0  # the choice by the target
        _ = (cosine - 0.1) > 0
    assert work(torch.cosine_embedding_loss, BN, BN, T("B"), 0.1, NONE) == _numbers(tally)


def test_ctc_work() -> None:
    tally: Counter[str] = Counter()

    def log_sum(*terms: Counted) -> Counted:
        largest = terms[0]
        for t in terms[1:]:
            largest = t if t > largest else largest
        return _sum([(t - largest).call("exp") for t in terms]).call("log") + largest

    samples, steps, states = 3, 13, 2 * 29 + 1
    losses = []
    for _ in range(samples):
        row = counted(tally, states)
        for _ in range(steps - 1):
            row = [log_sum(v, v, v) + 0.1 for v in row]
        losses.append(-log_sum(row[-1], row[-2]))
    forward = _numbers(tally)
    assert work(aten._ctc_loss.Tensor, *CTC, 0, False) == forward
    assert work(torch.ctc_loss, *ctc(NONE)) == forward
    losses = [v / 29 for v in losses]
    _reduce(losses, MEAN)
    assert work(torch.ctc_loss, *ctc(MEAN)) == _numbers(tally)


HELD = [
    *(call(named(name), T("B,C,H"), T("B,C,H"), reduction=r) for name in loss.LOSSES for r in (NONE, MEAN)),
    *(call(func, BN, BN, *args, r, **kwargs) for r in (NONE, MEAN) for func, args, kwargs in (
        (nn.binary_cross_entropy, (None,), {}),
        (torch.binary_cross_entropy_with_logits, (None, None), {}),
        (torch.kl_div, (), {}),
        (torch.kl_div, (), {"log_target": True}),
        (torch.poisson_nll_loss, (True, False, 1e-8), {}),
        (torch.poisson_nll_loss, (True, True, 1e-8), {}),
        (torch.poisson_nll_loss, (False, False, 1e-8), {}),
        (torch.hinge_embedding_loss, (1.0,), {}),
    )),
    *(call(nn.cross_entropy_loss, X, Y, *args) for args in (
        (None, MEAN, -100, 0.0), (T("C"), MEAN, -100, 0.0), (None, NONE, -100, 0.0), (None, MEAN, -100, 0.1),
        (T("C"), MEAN, -100, 0.1),
    )),
    call(nn.cross_entropy_loss, X, T("B,C,H,W"), None, MEAN, -100, 0.0),
    call(nn.cross_entropy_loss, X, T("B,C,H,W"), None, NONE, -100, 0.0),
    call(nn.cross_entropy_loss, X, T("B,C,H,W"), T("C"), SUM, -100, 0.1),
    call(nn.nll_loss_nd, X, Y, None, MEAN, -100),
    call(nn.multi_margin_loss, BN, CLASS, 1, 1.0, None, MEAN),
    call(nn.multilabel_margin_loss, BN, T("B,N", I64), MEAN),
    *(call(torch.triplet_margin_loss, BN, BN, BN, 1.0, 2.0, 1e-6, s, r) for s in (False, True) for r in (NONE, MEAN)),
    *(call(torch.cosine_embedding_loss, BN, BN, T("B"), 0.0, r) for r in (NONE, MEAN)),
    *(call(torch.margin_ranking_loss, BN, BN, BN, 0.0, r) for r in (NONE, MEAN)),
]  # fmt: skip


@pytest.mark.parametrize("case", HELD)
def test_temporaries_as_eager(case: Case) -> None:
    case.assert_held()


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (nn.mse_loss, (T("B,3"), T("B,5"))),
        (nn.mse_loss, (T("B", I64), T("B", I64))),
        (nn.binary_cross_entropy, (T("B,3"), T("B,1"))),
        (torch.binary_cross_entropy_with_logits, (T("B,3"), T("B,1"))),
        (nn.cross_entropy_loss, (X, T("B,H,5", I64))),
        (nn.cross_entropy_loss, (X, T("B,H", I64))),
        (nn.cross_entropy_loss, (BN, CLASS, T("3"))),
        (nn.mse_loss, (T("B"), T("B"), 7)),
        (torch.ctc_loss, (T("5"), T("5", I64), T("1", I64), T("1", I64))),
    ],
)
def test_refuses_as_torch(func, args) -> None:
    if func is not nn.mse_loss or len(args) == 2:  # torch takes an unknown reduction for a sum
        with pytest.raises((RuntimeError, NotImplementedError, IndexError, ValueError)):
            func(*(a.real(SIZES[0], "cpu") if isinstance(a, T) else a for a in args))
    with pytest.raises(ShapeError):
        rule_result(func, *args)
