"""Quantisation in floating point and packed weights: shapes against torch; work against loops that count and give torch's
numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops.quantise import quantised
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import Counted, T, counted, rule_result, work

aten, I32 = torch.ops.aten, torch.int32
X, TURNED = T("B,C,H"), T("B,H,C", perm=(0, 2, 1))
ONE, INT = T("1"), T("1", I32)
TENSOR = (ONE, INT, INT)
OBSERVED = (X, T("1", torch.int64), T("1", torch.int64), ONE, ONE, ONE, INT, 0.01, 0, 255, 0)
BF16 = torch.bfloat16

_SCALES = T("2,32,2", BF16, tied="two groups, a scale and a zero")
CASES = [
    call(torch.fake_quantize_per_tensor_affine, TURNED, 0.1, 0, 0, 255, on="cpu"),
    call(torch.fake_quantize_per_channel_affine, X, T("C"), T("C", I32), 1, 0, 255, on="cpu"),
    call(aten.fake_quantize_per_tensor_affine_cachemask.default, X, 0.1, 0, 0, 255, on="cpu"),
    call(aten._fake_quantize_per_tensor_affine_cachemask_tensor_qparams.default, X, *TENSOR, 0, 255, on="cpu"),
    call(aten.fake_quantize_per_channel_affine_cachemask.default, X, T("31"), T("31", I32), 1, 0, 255, on="cpu", assumes=1),
    call(torch.fused_moving_avg_obs_fake_quant, *OBSERVED, on="cpu"),
    call(aten._fused_moving_avg_obs_fq_helper.default, *OBSERVED, on="cpu"),
    call(aten._weight_int8pack_mm.default, T("B,64", BF16), T("32,64", torch.int8), T("32", BF16), on="cpu"),
    call(
        aten._weight_int4pack_mm_for_cpu.default, T("B,64", BF16), T("32,32", torch.uint8, tied="of 32"), 32, _SCALES
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_shape_and_layout(case: Case) -> None:
    case.check()


def test_every_op_has_a_case() -> None:
    on_cuda = ["_weight_int4pack_mm", "_weight_int4pack_mm_with_scales_and_zeros"]
    packs = ["_convert_weight_to_int4pack", "_convert_weight_to_int4pack_for_cpu", "_dyn_quant_pack_4bit_weight"]
    elsewhere = [*packs, "_dyn_quant_matmul_4bit"]  # in test_quantised_layers
    assert not uncovered(quantised.OPS, CASES, [*on_cuda, *elsewhere])


def _rounded(x: Counted, inverse: Counted, zero: float, scale: float, masked: bool) -> Counted:
    q = (x * inverse + zero)._do("round", 0.0)
    q.value = float(round(x.value * inverse.value + zero))
    _ = q < 0, q > 255
    if masked:
        _ = q < 0, q > 255
    return (q - zero) * scale


@pytest.mark.parametrize("masked", [False, True])
def test_fake_quantisation(masked: bool) -> None:
    tally: Counter[str] = Counter()
    x = counted(tally, 5)
    inverse = Counted(1.0, tally) / 0.05
    inverse.value = 20.0
    mine = [_rounded(v, inverse, 3.0, 0.05, masked).value for v in x]
    real = torch.fake_quantize_per_tensor_affine(torch.tensor([v.value for v in x]), 0.05, 3, 0, 255)
    torch.testing.assert_close(torch.tensor(mine), real)
    func = aten.fake_quantize_per_tensor_affine_cachemask.default if masked else torch.fake_quantize_per_tensor_affine
    assert work(func, T("5"), 0.05, 3, 0, 255, values={})["flops"] == tally["flops"]


def test_channels_have_a_scale_each() -> None:
    per_tensor = work(torch.fake_quantize_per_tensor_affine, T("2,6,5"), 0.05, 3, 0, 255, values={})["flops"]
    per_channel = work(torch.fake_quantize_per_channel_affine, T("2,6,5"), T("6"), T("6", I32), 1, 0, 255, values={})["flops"]
    assert per_channel - per_tensor == 5  # inverse scales


def test_observing_comes_on_top() -> None:
    tally: Counter[str] = Counter()
    x = counted(tally, 7)
    for v in x[1:]:
        _ = v < 0.5, v > 0.5  # the minimum and maximum so far
    low, high, run_low, run_high = counted(tally, 4)
    run_low = run_low + 0.01 * (low - run_low)
    run_high = run_high + 0.01 * (high - run_high)
    _ = run_low > 0, run_high < 0  # the range holds zero
    scale = (run_high - run_low) / 255
    _ = scale > 1e-7
    zero = (run_low / scale)._do("round", 0.0)
    zero = 0 - zero
    _ = zero < 0, zero > 255
    plain = work(torch.fake_quantize_per_tensor_affine, T("7"), 0.05, 3, 0, 255, values={})["flops"]
    found = work(torch.fused_moving_avg_obs_fake_quant, T("7"), *OBSERVED[1:], values={})["flops"]
    assert found - plain == tally["flops"]


def test_packed_weights() -> None:
    tally: Counter[str] = Counter()
    for _ in range(3 * 32):
        total = Counted(0.0, tally)
        for a in counted(tally, 64):
            total = total.fma(a, 0.5)
        _ = total * 2.0
    x, scales = T("3,64", BF16), T("32", BF16)
    eight = work(aten._weight_int8pack_mm.default, x, T("32,64", torch.int8), scales, values={})
    four = work(
        aten._weight_int4pack_mm_for_cpu.default, x, T("32,32", torch.uint8, tied="of 32"), 32, _SCALES, values={}
    )
    assert (eight["macs"], eight["flops"]) == (tally["macs"], tally["flops"])
    # no scale of results, but a product and a sum for every one of the 32*64 weights
    assert (four["macs"], four["flops"]) == (eight["macs"], eight["flops"] - 3 * 32 + 2 * 32 * 64)


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (torch.fake_quantize_per_channel_affine, (X, T("5"), T("5", I32), 1, 0, 255)),
        (aten._weight_int8pack_mm.default, (T("B,64", BF16), T("32,60", torch.int8), T("32", BF16))),
        (aten._weight_int8pack_mm.default, (T("B,64", BF16), T("32,64", torch.int8), T("30", BF16))),
    ],
)
def test_errors(func: Any, args: tuple[Any, ...]) -> None:
    with pytest.raises(ShapeError):
        rule_result(func, *args)
