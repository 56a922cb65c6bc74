"""Normalisation: against torch; work against plain loops that count; saved statistics against eager."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops import REGISTRY
from fxcount.ops.normalise import norm
from tests.ops.cases import call, overload, uncovered
from tests.ops.harness import SIZES, Counted, N, T, check, counted, rule_result, work

I64, F16, BF16 = torch.int64, torch.float16, torch.bfloat16
X, C = T("B,C,H,W"), T("C")
NHWC = T("B,H,W,C", perm=(0, 3, 1, 2))
GROUPED = T("B,H,W,6*C", perm=(0, 3, 1, 2))  # divides into 2 or 3 groups
NDHWC = T("B,H,W,5,C", perm=(0, 4, 1, 2, 3))
aten = torch.ops.aten
EVAL, TRAIN = (False, 0.1, 1e-5, True), (True, 0.1, 1e-5, True)

CASES = [
    call(torch.batch_norm, X, C, C, C, C, *EVAL),
    call(torch.batch_norm, NHWC, C, C, C, C, *EVAL),
    call(torch.batch_norm, NDHWC, None, None, C, C, *TRAIN),
    call(torch.batch_norm, T("B,C"), None, None, None, None, *TRAIN),
    call(torch.batch_norm, T("B,C,H", BF16), C, C, C, C, *EVAL),
    call(torch.native_batch_norm, X, C, C, C, C, True, 0.1, 1e-5, on="cpu"),
    call(torch.native_batch_norm, X, C, C, C, C, False, 0.1, 1e-5, on="cpu"),
    call(aten._native_batch_norm_legit.default, X, C, C, C, C, True, 0.1, 1e-5, on="cpu"),
    call(aten._batch_norm_with_update.default, X, C, C, C, C, 0.1, 1e-5, on="cpu"),
    call(aten._native_batch_norm_legit.no_stats, X, C, C, True, 0.1, 1e-5, on="cpu"),
    call(aten._native_batch_norm_legit_no_training.default, X, C, C, C, C, 0.1, 1e-5, on="cpu"),
    call(torch.instance_norm, X, C, C, None, None, *TRAIN),
    call(torch.instance_norm, NHWC, None, None, None, None, *TRAIN),
    call(torch.instance_norm, X, None, None, C, C, *EVAL),
    call(torch.layer_norm, X, (N("W"),), T("W"), T("W")),
    call(torch.layer_norm, NHWC, (N("H"), N("W"))),
    call(torch.layer_norm, T("B,S,12", F16), (12,), T("12", F16), None, 1e-6, True),
    call(aten.native_layer_norm.default, T("B,S,12"), [12], T("12"), T("12"), 1e-5),
    call(torch.native_layer_norm, T("B,S,12"), (N("S"), 12), None, None, 1e-5),
    call(torch.group_norm, T("B,3*C,H,W"), 3, T("3*C"), T("3*C")),
    call(torch.group_norm, T("B,K+1,H,W"), 3, T("K+1"), T("K+1"), assumes=1),  # 3 divides K + 1
    call(torch.group_norm, T("B,2*K,H"), 2),
    call(torch.group_norm, T("B,6,H"), 3, T("6"), T("6")),
    call(torch.native_group_norm, T("B,6,H"), None, None, N("B"), 6, N("H"), 3, 1e-5),
    call(torch.rms_norm, T("B,S,12"), (12,), T("12"), 1e-6),
    call(torch.rms_norm, NHWC, (N("W"),)),
    call(overload("_fused_rms_norm"), T("B,S,12"), [12], T("12"), 1e-6, on="cpu"),
    call(torch._weight_norm, T("K,5,3"), T("K,1,1"), 0),
    call(torch._weight_norm, T("K,5,3"), T("1,5,1"), 1),
    call(torch._weight_norm_interface, T("K,5"), T("K,1"), 0),
    call(torch.norm_except_dim, T("K,5,3"), 2, 0),
    call(torch.norm_except_dim, T("K,5,3"), 2, 1),
    call(torch.norm_except_dim, T("K,5,3"), 2, -1),
]


@pytest.mark.parametrize("case", CASES)
def test_as_torch(case) -> None:
    case.check()


def test_group_norm_keeps_channels_last_on_the_cpu() -> None:
    result, _ = rule_result(torch.group_norm, GROUPED, 3)
    assert result.strides is None  # a meta operand, as torch's meta kernel does
    fact = GROUPED.fact()
    cpu = type(fact)(fact.shape, fact.dtype, torch.device("cpu"), fact.strides)
    from fxcount.symbolic import Scope

    assert norm.group_norm(Scope(SIZES[0]), cpu, 3).strides == fact.strides
    assert torch.group_norm(GROUPED.real(SIZES[0], "cpu"), 3).stride() == GROUPED.real(SIZES[0]).stride()


def test_every_name_has_a_case() -> None:
    assert uncovered(norm.OPS, CASES) == set()


# One group of values, normalised as the definition says.
def _mean(group: list[Counted]) -> Counted:
    total = group[0]
    for v in group[1:]:
        total = total + v
    return total / len(group)


def _normalised(group: list[Counted], weight: bool, bias: bool) -> None:
    mean = _mean(group)
    centred = [v - mean for v in group]
    scale = 1 / (_mean([d * d for d in centred]) + 1e-5).call("sqrt")
    for d in centred:
        _affine(d * scale, weight, bias)


def _affine(y: Counted, weight: bool, bias: bool) -> None:
    y = y * 1.5 if weight else y
    _ = y + 0.5 if bias else y


def _on_running_statistics(group: list[Counted], weight: bool, bias: bool) -> None:
    tally = group[0].tally
    mean, var = Counted(0.3, tally), Counted(1.1, tally)
    scale = 1 / (var + 1e-5).call("sqrt")
    for v in group:
        _affine((v - mean) * scale, weight, bias)


def _updating(tally: Counter[str]) -> None:
    """The running mean and variance of one channel, momentum m: (1-m) and m are constants."""
    old, new = Counted(0.3, tally), Counted(0.4, tally)
    _ = old * 0.9 + new * 0.1
    _ = old * 0.9 + (new * 1.1) * 0.1


def _wanted(groups: int, size: int, rule, *flags: bool, updates: int = 0) -> int:
    tally: Counter[str] = Counter()
    for group in counted(tally, groups, size):
        rule(group, *flags)
    for _ in range(updates):
        _updating(tally)
    assert tally["transcendentals"] == 0
    return tally["flops"]


# x (B, C, N) is (3, 7, 11) at the assignment the work is asked at
BCN = T("B,C,N")


@pytest.mark.parametrize(("weight", "bias"), [(None, None), (C, None), (C, C)])
def test_batch_norm_work(weight, bias) -> None:
    flags = (weight is not None, bias is not None)
    training = work(torch.batch_norm, BCN, weight, bias, C, C, *TRAIN)["flops"]
    assert training == _wanted(7, 33, _normalised, *flags, updates=7)
    untracked = work(torch.batch_norm, BCN, weight, bias, None, None, *TRAIN)["flops"]
    assert untracked == _wanted(7, 33, _normalised, *flags)
    evaluation = work(torch.batch_norm, BCN, weight, bias, C, C, *EVAL)["flops"]
    assert evaluation == _wanted(7, 33, _on_running_statistics, *flags)


def test_batch_norm_forms_agree() -> None:
    trained = work(torch.batch_norm, BCN, C, C, C, C, *TRAIN)
    assert work(aten._native_batch_norm_legit.default, BCN, C, C, C, C, True, 0.1, 1e-5) == trained
    assert work(torch.native_batch_norm, BCN, C, C, C, C, True, 0.1, 1e-5) == trained
    untracked = work(torch.batch_norm, BCN, C, C, None, None, *TRAIN)
    assert work(aten._native_batch_norm_legit.no_stats, BCN, C, C, True, 0.1, 1e-5) == untracked
    evaluated = work(torch.batch_norm, BCN, C, C, C, C, *EVAL)
    assert work(aten._native_batch_norm_legit_no_training.default, BCN, C, C, C, C, 0.1, 1e-5) == evaluated


def test_instance_norm_work() -> None:
    assert work(torch.instance_norm, BCN, C, C, None, None, *TRAIN)["flops"] == _wanted(21, 11, _normalised, True, True)
    running = work(torch.instance_norm, BCN, C, C, C, C, *EVAL)["flops"]
    assert running == _wanted(21, 11, _on_running_statistics, True, True)
    tracked = work(torch.instance_norm, BCN, None, None, C, C, *TRAIN)["flops"]
    # every sample updates its copy of the statistics; the copies of both are then averaged over 3 samples
    averaging = 2 * 7 * 3
    assert tracked == _wanted(21, 11, _normalised, False, False, updates=21) + averaging


@pytest.mark.parametrize(("weight", "bias"), [(None, None), (T("N"), None), (T("N"), T("N"))])
def test_layer_norm_work(weight, bias) -> None:
    flags = (weight is not None, bias is not None)
    want = _wanted(21, 11, _normalised, *flags)
    assert work(torch.layer_norm, BCN, (N("N"),), weight, bias)["flops"] == want
    assert work(aten.native_layer_norm.default, BCN, [N("N")], weight, bias, 1e-5)["flops"] == want


def test_layer_norm_over_several_dimensions() -> None:
    assert work(torch.layer_norm, BCN, (N("C"), N("N")))["flops"] == _wanted(3, 77, _normalised, False, False)


def test_group_norm_work() -> None:
    want = _wanted(6, 77, _normalised, True, True)  # 3 samples of 2 groups, of 7 channels and 11 elements
    x, each = T("B,2*C,N"), T("2*C")
    assert work(torch.group_norm, x, 2, each, each)["flops"] == want
    assert work(torch.native_group_norm, x, each, each, N("B"), N("2*C"), N("N"), 2, 1e-5)["flops"] == want


@pytest.mark.parametrize("weight", [None, T("N")])
def test_rms_norm_work(weight) -> None:
    def rms(group: list[Counted]) -> None:
        scale = 1 / (_mean([v * v for v in group]) + 1e-5).call("sqrt")
        for v in group:
            _affine(v * scale, weight is not None, False)

    assert work(torch.rms_norm, BCN, (N("N"),), weight)["flops"] == _wanted(21, 11, rms)
    if overload("_fused_rms_norm") is not None:
        assert work(overload("_fused_rms_norm"), BCN, [N("N")], weight, 1e-5)["flops"] == _wanted(21, 11, rms)


def _root_of_squares(row: list[Counted]) -> Counted:
    total = row[0] * row[0]
    for v in row[1:]:
        total = total + v * v
    return total.call("sqrt")


def test_weight_norm_work() -> None:
    def scaled(row: list[Counted]) -> None:
        ratio = 0.7 / _root_of_squares(row)
        _ = [v * ratio for v in row]

    v, g = T("B,N"), T("B,1")
    assert work(torch._weight_norm, v, g, 0)["flops"] == _wanted(3, 11, scaled)
    assert work(torch._weight_norm_interface, v, g, 0)["flops"] == _wanted(3, 11, scaled)
    assert work(torch.norm_except_dim, v, 2, 0)["flops"] == _wanted(3, 11, _root_of_squares)
    assert work(torch.norm_except_dim, v, 2, -1)["flops"] == _wanted(1, 33, _root_of_squares)


HELD = [
    *(call(torch.batch_norm, x, C, C, C, C, *mode) for x in (X, NHWC) for mode in (EVAL, TRAIN)),
    call(torch.batch_norm, T("B,C", BF16), C, C, C, C, *TRAIN),
    call(torch.instance_norm, X, C, C, None, None, *TRAIN),
    call(torch.instance_norm, NHWC, C, C, None, None, *TRAIN),
    call(torch.instance_norm, X, C, C, C, C, *EVAL),
    call(torch.instance_norm, X, None, None, C, C, *TRAIN),
    call(torch.layer_norm, X, (N("W"),), T("W"), T("W")),
    call(torch.layer_norm, T("B,S,12", F16), (12,), T("12", F16)),
    call(torch.group_norm, T("B,3*C,H,W"), 3, T("3*C"), T("3*C")),
    call(torch.group_norm, GROUPED, 2),
    call(torch.rms_norm, T("B,S,12"), (12,), T("12")),
    call(torch.rms_norm, T("B,S,12"), (12,)),
    call(torch.rms_norm, T("B,S,12", F16), (12,), T("12", F16)),
    call(torch.rms_norm, T("B,S,12", BF16), (12,)),
    call(torch._weight_norm, T("K,5,3"), T("K,1,1"), 0),
    call(torch._weight_norm, T("K,5,3"), T("1,5,1"), 1),
    call(torch._weight_norm, T("K,5,3"), T("1,1,3"), 2),
]


@pytest.mark.parametrize("case", HELD)
def test_temporaries_as_eager(case) -> None:
    case.assert_held()


def test_statistics_are_written() -> None:
    assert REGISTRY[torch.batch_norm].writes[:2] == (3, 4)


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (torch.batch_norm, (T("B,C", I64), None, None, C, C, *EVAL)),
        (torch.batch_norm, (X, T("5"), None, C, C, *EVAL)),
        (torch.batch_norm, (X, None, None, None, None, *EVAL)),
        (torch.instance_norm, (X, T("5"), None, None, None, *TRAIN)),
        (torch.layer_norm, (X, (3,))),
        (torch.layer_norm, (T("B,12"), (12,), T("5"))),
        (torch.layer_norm, (T("B,12", I64), (12,))),
        (torch.group_norm, (X, 4)),
        (torch.group_norm, (X, 3, T("3"))),
        (torch.rms_norm, (T("B,12"), (11,))),
    ],
)
def test_refuses_as_torch(func, args) -> None:
    with pytest.raises((RuntimeError, NotImplementedError)):
        func(*(a.real(SIZES[0], "cpu") if isinstance(a, T) else a for a in args))
    with pytest.raises(ShapeError):
        rule_result(func, *args)


def test_symbolic_sizes_that_agree_assume_nothing() -> None:
    check(torch.layer_norm, T("B,H//2,2*W"), (N("H//2"), N("2*W")), T("H//2,2*W"))


def test_batch_norm_with_update_is_that_of_training() -> None:
    training = work(torch.native_batch_norm, X, C, C, C, C, True, 0.1, 1e-5)
    assert work(aten._batch_norm_with_update.default, X, C, C, C, C, 0.1, 1e-5) == training


def test_complex_numbers_have_a_root_mean_square_alone() -> None:
    assert rule_result(torch.rms_norm, T("B,S", torch.complex64), (T("B,S").sizes()[1],))[0].dtype is torch.complex64
    with pytest.raises(ShapeError, match="not defined"):
        rule_result(torch.layer_norm, T("B,5", torch.complex64), (5,))


def test_the_sizes_spelled_out_must_be_those_of_x() -> None:
    with pytest.raises(ShapeError, match="HxW"):
        rule_result(aten.native_group_norm.default, T("2,6,5"), T("6"), T("6"), 2, 6, 7, 3, 1e-5)
