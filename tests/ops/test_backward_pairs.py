"""Gradients of distances, margins, alignments and segments: plain loops that count what they do and give torch's numbers."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from fxcount.ops.backward import pairs
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import Counted, T, work

aten, F64, I64 = torch.ops.aten, torch.float64, torch.int64
ONE, NONE, MEAN = T(""), 0, 1
SIZES = {"P": 3, "R": 2, "N": 5, "B": 7}

CASES = [
    call(aten._cdist_backward.default, T("B,S,T"), T("B,S,E"), T("B,T,E"), 2.0, T("B,S,T"), on="cpu"),
    call(aten._pdist_backward.default, T("S*(S-1)//2"), T("S,E"), 2.0, T("S*(S-1)//2")),
    call(aten.multi_margin_loss_backward.default, ONE, T("B,C"), T("B", I64), 1, 1.0, None, MEAN, on="cpu"),
    call(aten.multilabel_margin_loss_backward.default, ONE, T("B,C"), T("B,C", I64), MEAN, T("B,C"), on="cpu"),
    call(
        aten._segment_reduce_backward.default, T("B"), T("B"), T("B"), "sum", offsets=None, lengths=T("B", I64), axis=0,
        on="cpu",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_shape_and_layout(case: Case) -> None:
    case.check()


def test_every_op_has_a_case() -> None:
    assert not uncovered(pairs.OPS, CASES, ["_ctc_loss_backward"])


Row = list[Counted]
Rows = list[Row]


def _counted(x: torch.Tensor, tally: Counter[str]) -> Any:
    return [_counted(row, tally) for row in x] if x.dim() else Counted(float(x), tally)


def _values(rows: Any) -> Any:
    return [_values(row) for row in rows] if isinstance(rows, list) else rows.value if isinstance(rows, Counted) else rows


def _sum(terms: Row) -> Counted:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


# -- distances --------------------------------------------------------------------------------------------------------
def _sign(d: Counted) -> float:
    return float(d > 0) - float(d < 0)


def _power(x: Counted, p: float) -> Counted:
    return x._do("pow", x.value**p)


def _component(d: Counted, g: Counted, y: Counted, p: float) -> Counted:
    """The gradient of one component of a difference, as the kernels write it."""
    if p == 1:
        return g * _sign(d)
    if p == math.inf:
        apart = abs(abs(d) - y)._do("ceil", math.ceil(abs(abs(d.value) - y.value)))
        least = Counted(min(1.0, apart.value), d.tally)
        _ = apart < 1
        return g * _sign(d) * (1 - least)
    _ = y < 0  # whether it is 0
    if p == 2:
        return g * d / y
    if p > 2:
        return d * _power(abs(d), p - 2) * g / _power(y, p - 1)
    _ = d < 0  # whether it is 0
    return _power(abs(d), p - 1) * _sign(d) * g / _power(y, p - 1)


@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 3.0, math.inf])
def test_cdist(p: float) -> None:
    torch.manual_seed(0)
    x, other, g = (torch.rand(*s, dtype=F64) for s in ((3, 5), (2, 5), (3, 2)))
    found = torch.cdist(x, other, p=p)
    tally: Counter[str] = Counter()
    a, b, grad, y = (_counted(t, tally) for t in (x, other, g, found))
    mine = [
        [_sum([_component(a[i][c] - b[j][c], grad[i][j], y[i][j], p) for j in range(2)]) for c in range(5)] for i in range(3)
    ]
    torch.testing.assert_close(aten._cdist_backward(g, x, other, p, found), torch.tensor(_values(mine), dtype=F64))
    counts = work(aten._cdist_backward.default, T("P,R"), T("P,N"), T("R,N"), p, T("P,R"), values=SIZES)
    assert (counts["flops"], counts["transcendentals"]) == (tally["flops"], tally["transcendentals"])


@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 3.0, math.inf])
def test_pdist(p: float) -> None:
    torch.manual_seed(0)
    x, g = torch.rand(4, 5, dtype=F64), torch.rand(6, dtype=F64)
    found = torch.pdist(x, p)
    tally: Counter[str] = Counter()
    a, grad, y = (_counted(t, tally) for t in (x, g, found))
    terms: list[list[Row]] = [[[] for _ in range(5)] for _ in range(4)]
    for k, (i, j) in enumerate(itertools.combinations(range(4), 2)):
        for c in range(5):
            moved = _component(a[i][c] - a[j][c], grad[k], y[k], p)
            terms[i][c].append(moved)
            terms[j][c].append(Counted(-moved.value, tally))  # subtracted instead of added
    mine = [[_sum(t) for t in row] for row in terms]
    torch.testing.assert_close(aten._pdist_backward(g, x, p, found), torch.tensor(_values(mine), dtype=F64))
    counts = work(aten._pdist_backward.default, T("6"), T("4,N"), p, T("6"), values={"N": 5})
    assert (counts["flops"], counts["transcendentals"]) == (tally["flops"], tally["transcendentals"])


def test_the_number_of_components_that_differ_has_no_slope() -> None:
    x = torch.rand(3, 5)
    assert not aten._cdist_backward(torch.ones(3, 3), x, x + 1, 0.0, torch.full((3, 3), 5.0)).any()
    assert work(aten._cdist_backward.default, T("P,R"), T("P,N"), T("R,N"), 0.0, T("P,R"), values=SIZES)["flops"] == 0


# -- classes ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("p", [1, 2])
def test_multi_margin(p: int, weighted: bool) -> None:
    """All wrong classes are within the margin: the costlier case, which counts for every one."""
    torch.manual_seed(0)
    x, g, targets = torch.rand(3, 5, dtype=F64), torch.rand((), dtype=F64), torch.tensor([1, 4, 0])
    weight = torch.rand(5, dtype=F64) if weighted else None
    tally: Counter[str] = Counter()
    rows, grad = _counted(x, tally), Counted(float(g), tally)
    mine: list[Row] = []
    for row, target in zip(rows, targets.tolist(), strict=True):
        of_target, found = Counted(0.0, tally), [Counted(0.0, tally) for _ in row]
        for c, score in enumerate(row):
            if c == target:
                continue
            z = 1.0 - row[target] + score
            assert z > 0
            h = z * 2.0 * (1 / 15) if p == 2 else Counted(1 / 15, tally)
            h = h if weight is None else h * float(weight[target])
            found[c], of_target = h, of_target - h
        found[target] = of_target
        mine.append([grad * h for h in found])
    wanted = aten.multi_margin_loss_backward(g, x, targets, p, 1.0, weight, MEAN)
    torch.testing.assert_close(wanted, torch.tensor(_values(mine), dtype=F64))
    given = (ONE, T("P,N"), T("P", I64), p, 1.0, T("N") if weighted else None, MEAN)
    assert work(aten.multi_margin_loss_backward.default, *given, values=SIZES)["flops"] == tally["flops"]


def test_multilabel_margin() -> None:
    """Counted dense, as the forward is: each pair of a target and a class. Here every class is a target but the last."""
    torch.manual_seed(0)
    x, g = torch.rand(2, 5, dtype=F64), torch.rand((), dtype=F64)
    targets = torch.tensor([[0, 1, 2, 3, -1]] * 2)
    is_target = torch.tensor([[1.0, 1, 1, 1, 0]] * 2, dtype=F64)
    tally: Counter[str] = Counter()
    rows, grad = _counted(x, tally), Counted(float(g), tally)
    mine: list[Row] = []
    for row in rows:
        found = [Counted(0.0, tally) for _ in row]
        for t in range(5):
            for c in range(5):
                inside = 1.0 - row[t] + row[c] > 0
                by = 1 / 10 if inside and t < 4 and c == 4 else 0.0
                found[t], found[c] = found[t] - by, found[c] + by
        mine.append([grad * h for h in found])
    wanted = aten.multilabel_margin_loss_backward(g, x, targets, MEAN, is_target)
    torch.testing.assert_close(wanted, torch.tensor(_values(mine), dtype=F64))
    given = (ONE, T("R,N"), T("R,N", I64), MEAN, T("R,N"))
    assert work(aten.multilabel_margin_loss_backward.default, *given, values=SIZES)["flops"] == tally["flops"]


NEVER = -1e30  # the logarithm of what cannot be; finite, so that the dense loops need no case of their own


def _log_sum(terms: Row) -> Counted:
    """``log(sum(exp(t - most))) + most``: a comparison less than terms, and no more logarithms than one."""
    most = terms[0]
    for t in terms[1:]:
        most = t if t > most else most
    exps = [Counted(0.0, t.tally)._do("exp", math.exp(max(-700.0, (t - most).value))) for t in terms]
    return _sum(exps).call("log") + most


def test_ctc() -> None:
    """Backward variables beside the forward's, for three steps and the targets 1, 2: states blank, 1, blank, 2, blank."""
    torch.manual_seed(0)
    steps, classes, targets = 4, 3, [1, 2]
    x = torch.randn(steps, 1, classes, dtype=F64).log_softmax(-1)
    state = [0, targets[0], 0, targets[1], 0]
    given = (torch.tensor([targets]), [steps], [2])
    nll, alpha = aten._ctc_loss(x, *given, 0)
    tally: Counter[str] = Counter()
    rows, known = _counted(x[:, 0], tally), _counted(alpha[0].nan_to_num(neginf=NEVER), tally)
    beta = [rows[-1][c] if s > 2 else Counted(NEVER, tally) for s, c in enumerate(state)]
    found: list[Row] = [[Counted(NEVER, tally) for _ in range(classes)] for _ in range(steps)]
    for s in (3, 4):  # one sample: its two last states
        found[-1][state[s]] = known[-1][s] + beta[s]
    for t in reversed(range(steps - 1)):
        later = [*beta, Counted(NEVER, tally), Counted(NEVER, tally)]
        skips = [s < 3 and state[s] != 0 and state[s] != state[s + 2] for s in range(5)]
        beta = [
            _log_sum([later[s], later[s + 1], later[s + 2] if skips[s] else Counted(NEVER, tally)]) + rows[t][c]
            for s, c in enumerate(state)
        ]
        for s, c in enumerate(state):
            met = known[t][s] + beta[s]
            _ = found[t][c] < NEVER  # whether it is the first
            found[t][c] = _log_sum([found[t][c], met])
    mine = [
        [(rows[t][c].call("exp") - (found[t][c] + float(nll) - rows[t][c]).call("exp")) * 0.7 for c in range(classes)]
        for t in range(steps)
    ]
    wanted = aten._ctc_loss_backward(torch.full((1,), 0.7, dtype=F64), x, *given, nll, alpha, 0, False)
    torch.testing.assert_close(wanted[:, 0], torch.tensor(_values(mine), dtype=F64))
    facts = (T("1"), T("4,1,3"), T("1,2", I64), [4], [2], T("1"), T("1,4,5"), 0)
    counts = work(aten._ctc_loss_backward.default, *facts, values={})
    assert (counts["flops"], counts["transcendentals"]) == (tally["flops"], tally["transcendentals"])


# -- segments ---------------------------------------------------------------------------------------------------------
def _of_mean(g: Counted, y: Counted, segment: Row) -> Row:
    each = g / float(len(segment))
    return [each for _ in segment]


def _of_product(g: Counted, y: Counted, segment: Row) -> Row:
    whole = g * y
    _ = [(x < 0, x > 0) for x in segment]  # whether it is nan, whether it is 0
    return [whole / x for x in segment]


def _of_extremum(g: Counted, y: Counted, segment: Row) -> Row:
    _ = [x < 0 for x in segment]  # whether it is nan
    found = [g if not (x < y) else Counted(0.0, g.tally) for x in segment]
    chosen = sum(x.value == y.value for x in segment)
    _ = [f > 0 for f in found]
    return [f / float(chosen) for f in found]


SEGMENTS: dict[str, Callable[[Counted, Counted, Row], Row]] = {
    "sum": lambda g, y, segment: [g for _ in segment], "mean": _of_mean, "prod": _of_product, "max": _of_extremum,
}


@pytest.mark.filterwarnings(r"ignore:segment_reduce\(\) is in beta:UserWarning")
@pytest.mark.parametrize("reduce", SEGMENTS)
def test_segments(reduce: str) -> None:
    data = torch.tensor([0.3, 0.7, 0.7, 0.5, 0.2], dtype=F64)
    lengths, g = torch.tensor([3, 2]), torch.tensor([0.9, 0.4], dtype=F64)
    y = torch.segment_reduce(data, reduce, lengths=lengths)
    tally: Counter[str] = Counter()
    rows, found, grad = (_counted(t, tally) for t in (data, y, g))
    mine = SEGMENTS[reduce](grad[0], found[0], rows[:3]) + SEGMENTS[reduce](grad[1], found[1], rows[3:])
    wanted = aten._segment_reduce_backward(g, y, data, reduce, lengths=lengths, offsets=None, axis=0)
    torch.testing.assert_close(wanted, torch.tensor(_values(mine), dtype=F64))
    given = (T("R"), T("R"), T("N"), reduce)
    counts = work(aten._segment_reduce_backward.default, *given, lengths=T("R", I64), offsets=None, axis=0, values=SIZES)
    assert counts["flops"] == tally["flops"]
