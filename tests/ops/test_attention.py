"""Attention: shapes, layouts and held bytes against torch on the CPU, macs against torch's counter on meta, and all
work against the documented definition written as loops that count."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import fxcount
from fxcount.errors import ShapeError
from fxcount.ops.contraction.attention import OPS
from fxcount.symbolic import evaluate
from tests.ops import harness
from tests.ops.cases import Case, call, overload, uncovered
from tests.ops.contractions import torch_flops
from tests.ops.harness import SIZES, Counted, T, check, counted, real, rule_result, work
from tests.ops.tracker import assert_held

aten = torch.ops.aten
sdpa = F.scaled_dot_product_attention
f64, bf16, f16, boolean = torch.float64, torch.bfloat16, torch.float16, torch.bool
BSHD = (0, 2, 1, 3)
Q, K, V, WIDE = T("B,3,S,8"), T("B,3,T,8"), T("B,3,T,8"), T("B,3,T,5")
QKV_T = (T("B,S,3,8", perm=BSHD), T("B,T,3,8", perm=BSHD), T("B,T,3,8", perm=BSHD))


def typed(dtype: torch.dtype, *tensors: T) -> tuple[T, ...]:
    return tuple(replace(t, dtype=dtype) for t in tensors)


SQUARE = T("8,8", tied="a projection to its own width")
CALLS = [
    call(sdpa, Q, K, V),
    call(sdpa, Q, Q, Q, is_causal=True),
    call(sdpa, *QKV_T),
    call(sdpa, *QKV_T, None, 0.5),
    call(sdpa, Q, K, V, T("S,T")),
    call(sdpa, Q, K, V, attn_mask=T("B,1,S,T", boolean)),
    call(sdpa, Q, K, V, attn_mask=T("1,T", boolean), scale=0.3),
    call(sdpa, Q, K, WIDE),
    call(sdpa, Q, K, WIDE, T("S,T")),
    call(sdpa, Q, K, WIDE, attn_mask=T("S,T", boolean)),
    call(sdpa, Q, K, WIDE, is_causal=True),
    call(sdpa, Q, K, V, dropout_p=0.5),
    call(sdpa, T("B,6,S,8"), K, V, enable_gqa=True),
    call(sdpa, T("B,6,S,8"), K, V, enable_gqa=True, dropout_p=0.5),
    call(sdpa, *typed(bf16, T("B,6,S,8"), K, V), enable_gqa=True, dropout_p=0.5, is_causal=True),
    call(sdpa, Q, K, V, dropout_p=0.5, is_causal=True),
    call(sdpa, T("B,S,8"), T("B,T,8"), T("B,T,8")),
    call(sdpa, T("S,8"), T("T,8"), T("T,8")),
    call(sdpa, T("B,2,3,S,8"), T("B,2,3,T,8"), T("B,2,3,T,8")),
    call(sdpa, Q, T("1,3,T,8"), T("1,3,T,8"), assumes=1),  # that B is not 1: another kernel
    call(sdpa, Q, T("B,1,T,8"), T("B,1,T,8")),
    call(sdpa, T("B,3,8,S", perm=(0, 1, 3, 2)), K, V),
    call(sdpa, *typed(f64, Q, K, V)),
    call(sdpa, *typed(bf16, Q, K, V)),
    call(sdpa, *typed(f16, Q, K, V)),
    call(sdpa, *typed(bf16, Q, K, WIDE)),
    call(sdpa, *typed(f16, Q, K, V), dropout_p=0.5),
    call(aten._scaled_dot_product_attention_math.default, Q, K, V),
]
KERNELS = [
    call(aten._scaled_dot_product_flash_attention_for_cpu.default, Q, K, V, 0.0, True, on="cpu"),
    call(aten._scaled_dot_product_flash_attention_for_cpu.default, *QKV_T, attn_mask=T("S,T"), on="cpu"),
    call(aten._scaled_dot_product_efficient_attention.default, Q, K, V, None, False),
    call(aten._scaled_dot_product_efficient_attention.default, Q, K, V, None, True),
    call(aten._scaled_dot_product_flash_attention.default, *typed(f16, Q, K, V)),
    call(
        aten._native_multi_head_attention.default, *[T("B,S,8")] * 3, 8, 2, T("24,8"), T("24"), SQUARE, T("8"),
        on="cpu",
    ),
    call(
        aten._transformer_encoder_layer_fwd.default, T("B,S,8"), 8, 2, T("24,8"), T("24"), SQUARE, T("8"), True,
        False, 1e-5, T("8"), T("8"), T("8"), T("8"), T("16,8"), T("16"), T("8,16"), T("8"), on="cpu",
    ),
]  # fmt: skip
NAMES = ["flex_attention", "_scaled_dot_product_cudnn_attention", "_scaled_dot_product_fused_attention_overrideable"]


@pytest.mark.parametrize("case", CALLS)
def test_shape_and_layout(case: Case) -> None:
    replace(case, on="cpu").check()


@pytest.mark.parametrize("case", CALLS)
def test_macs_are_torchs(case: Case) -> None:
    """On meta torch takes its composite definition, of which the counter sees both matrix products."""
    assert 2 * case.work()["macs"] == torch_flops(case)


class Split(torch.nn.Module):
    """As many heads as there are, written in two ways: DETRs split positions of a fixed length so."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = x.new_ones(x.shape[0], x.shape[1], 24).reshape(x.shape[0], -1, 3, 8).transpose(1, 2)
        query = x.new_ones(x.shape[0], 5, 24).reshape(x.shape[0], x.shape[1], 120 // x.shape[1] // 8, 8).transpose(1, 2)
        return sdpa(query, heads, heads).transpose(1, 2).contiguous()


def test_heads_that_are_equal_by_what_is_known() -> None:
    model = Split()
    report = fxcount.analyze(model, "B,S,7", hints={"S": 5}).at(B=2, S=5)
    fresh = fxcount.analyze(model, (2, 5, 7))
    assert (report.read_bytes, report.write_bytes, report.memory.peak) == (
        fresh.read_bytes, fresh.write_bytes, fresh.memory.peak,
    )  # fmt: skip


@pytest.mark.parametrize("case", CALLS[:-1])
def test_bytes_held(case: Case) -> None:
    """Also where scores are smaller than results, so that another moment is the fullest."""
    case.assert_held()
    assert_held(case.func, *case.args, values={**SIZES[1], "S": 13, "T": 3}, **case.kwargs)


@pytest.mark.parametrize("case", KERNELS[:2] + KERNELS[5:])
def test_kernels_for_the_cpu(case: Case) -> None:
    case.check()


def test_every_op_has_a_case() -> None:
    assert not uncovered(OPS, CALLS + KERNELS, NAMES)


def _softmax(row: list[Counted]) -> list[Counted]:
    largest = row[0]
    for score in row[1:]:
        largest = score if score > largest else largest
    weights = [(score - largest).call("exp") for score in row]
    total = weights[0]
    for weight in weights[1:]:
        total = total + weight
    return [weight / total for weight in weights]


def _definition(
    heads: int, s: int, t: int, d: int, v: int, masked: bool = False, dropped: bool = False
) -> Counter[str]:
    tally: Counter[str] = Counter()
    q, k, values = counted(tally, heads, s, d), counted(tally, heads, t, d), counted(tally, heads, t, v)
    for h, i in itertools.product(range(heads), range(s)):
        scores = []
        for j in range(t):
            score = Counted(0, tally)
            for c in range(d):
                score = score.fma(q[h][i][c], k[h][j][c])
            score = score * 0.5
            scores.append(score + 0.0 if masked else score)
        weights = _softmax(scores)
        if dropped:
            weights = [w * (Counted(1, tally) / 0.5) for w in weights]
        for c in range(v):
            total = Counted(0, tally)
            for j in range(t):
                total = total.fma(weights[j], values[h][j][c])
    return tally


SMALL = {"B": 2, "S": 5, "T": 7}


@pytest.mark.parametrize(
    ("kwargs", "changes"),
    [
        ({}, {}),
        ({"attn_mask": T("S,T")}, {"masked": True}),
        ({"attn_mask": T("S,T", boolean)}, {"masked": True}),
        ({"is_causal": True}, {"masked": True}),
        ({"dropout_p": 0.1}, {"dropped": True}),
    ],
)
def test_work_by_definition(kwargs: dict[str, Any], changes: dict[str, bool]) -> None:
    tally = _definition(2 * 3, 5, 7, 8, 4, **changes)
    expected = {name: tally[name] for name in ("macs", "flops", "transcendentals")}
    operands = (Q, K, T("B,3,T,4"))
    assert work(sdpa, *operands, **kwargs, values=SMALL) == expected
    assert work(aten._scaled_dot_product_attention_math.default, *operands, **kwargs, values=SMALL) == expected


def test_kernels_do_the_same_work() -> None:
    work = partial(harness.work, values=SIZES[2])
    expected = work(sdpa, Q, K, V, is_causal=True)
    assert work(aten._scaled_dot_product_flash_attention_for_cpu.default, Q, K, V, 0.0, True) == expected
    assert work(aten._scaled_dot_product_flash_attention.default, Q, K, V, 0.0, True) == expected
    assert work(aten._scaled_dot_product_efficient_attention.default, Q, K, V, None, False, 0.0, True) == expected
    biased = work(aten._scaled_dot_product_efficient_attention.default, Q, K, V, T("B,3,S,T"), False)
    assert biased == work(sdpa, Q, K, V, T("B,3,S,T")) == expected
    dropped = work(aten._scaled_dot_product_cudnn_attention.default, Q, K, V, None, False, dropout_p=0.1)
    assert dropped == work(sdpa, Q, K, V, dropout_p=0.1)
    plain = work(aten._scaled_dot_product_fused_attention_overrideable.default, Q, K, V)
    assert plain == work(sdpa, Q, K, V)


_CAUSAL, _DROPPED = {"is_causal": True}, {"dropout_p": 0.5}


@pytest.mark.parametrize("given", [{}, _CAUSAL, _DROPPED, _CAUSAL | _DROPPED])
@pytest.mark.parametrize(
    ("kernel", "before"),
    [
        (aten._scaled_dot_product_flash_attention_for_cpu.default, ()),
        (aten._scaled_dot_product_flash_attention.default, ()),
        (overload("_scaled_dot_product_flash_attention", "quantized"), (T("1"), T("1"), T("1"))),
        (aten._scaled_dot_product_efficient_attention.default, (None, True)),
        (aten._scaled_dot_product_cudnn_attention.default, (None, True)),
        (aten._scaled_dot_product_fused_attention_overrideable.default, (None,)),
    ],
)
def test_flags_of_kernels_by_position_and_by_name(kernel: Any, before: tuple[Any, ...], given: dict[str, Any]) -> None:
    """Each flag on its own and both, in the order of the kernel's schema: the work of the call torch makes it from."""
    if kernel is None:
        pytest.skip("this torch has no such kernel")
    names = [a.name for a in kernel._schema.arguments]
    assert names[3 + len(before) :][:2] == ["dropout_p", "is_causal"]
    work = partial(harness.work, values=SIZES[2])
    expected = work(sdpa, Q, K, V, **given)
    in_order = (given.get("dropout_p", 0.0), given.get("is_causal", False))
    assert work(kernel, Q, K, V, *before, *in_order) == expected
    assert work(kernel, Q, K, V, *before, **given) == expected
    assert work(kernel, Q, K, V, *before, in_order[0], is_causal=in_order[1]) == expected


@pytest.mark.parametrize("case", KERNELS[2:5])
def test_kernels_of_other_devices(case: Case) -> None:
    """Their bookkeeping differs; output and logsumexp have the shapes they have on meta."""
    (y, logsumexp, *_), _ = rule_result(case.func, *case.args)
    for fact, t in zip((y, logsumexp), case.func(*[real(a, SIZES[0]) for a in case.args]), strict=False):
        assert rule_result(case.func, *case.args)[1].hint(fact.numel) == t.numel()
        assert fact.dtype is t.dtype
        assert fact.ndim == t.ndim


def test_flex_attention_is_dense() -> None:
    flex = torch.ops.higher_order.flex_attention
    (y, logsumexp, largest), _ = rule_result(flex, Q, K, V, None, None, 1.0, {})
    assert (y.shape, logsumexp.shape) == (Q.sizes(), largest.shape)
    at = {"values": SIZES[2]}
    assert work(flex, Q, K, V, None, None, 1.0, {}, **at) == work(sdpa, Q, K, V, **at)


E, SEQUENCE = {"embed_dim": 8, "num_head": 2}, T("B,S,8")
MULTI_HEAD = ([SEQUENCE] * 3, (8, 2, T("24,8"), T("24"), SQUARE, T("8")))


def test_multi_head_attention_is_the_sum_of_its_parts() -> None:
    """Packed projection, attention, output projection: against the rules for the calls it fuses."""
    func, values = aten._native_multi_head_attention.default, {"B": 3, "S": 5}
    got = work(func, *MULTI_HEAD[0], *MULTI_HEAD[1], None, False, values=values)
    parts = [
        work(F.linear, SEQUENCE, T("24,8"), T("24"), values=values),
        work(sdpa, *[T("B,2,S,4")] * 3, values=values),
        work(F.linear, SEQUENCE, SQUARE, T("8"), values=values),
    ]
    assert got == {key: sum(part[key] for part in parts) for key in got}
    with_mean = work(func, *MULTI_HEAD[0], *MULTI_HEAD[1], values=values)
    assert with_mean["flops"] - got["flops"] == 3 * 5 * 5 * 2  # an addition and a division for each of B*S*S


def test_encoder_layer_is_the_sum_of_its_parts() -> None:
    layer, values = KERNELS[-1].values[0], {"B": 2, "S": 5}
    parts = [
        work(aten._native_multi_head_attention.default, *MULTI_HEAD[0], *MULTI_HEAD[1], None, False, values=values),
        work(F.linear, SEQUENCE, T("16,8"), T("16"), values=values),
        work(torch._C._nn.gelu, T("B,S,16"), values=values),
        work(F.linear, T("B,S,16"), T("8,16"), T("8"), values=values),
        *[work(torch.layer_norm, SEQUENCE, (8,), T("8"), T("8"), values=values)] * 2,
        *[work(torch.add, SEQUENCE, SEQUENCE, values=values)] * 2,
    ]
    got = work(layer.func, *layer.args, values=values)
    assert got == {key: sum(part[key] for part in parts) for key in got}


def test_weights_of_multi_head_attention() -> None:
    func = aten._native_multi_head_attention.default
    check(func, *MULTI_HEAD[0], *MULTI_HEAD[1], None, True, False, device="cpu")
    (_, weights), _ = rule_result(func, *MULTI_HEAD[0], *MULTI_HEAD[1], None, False)
    assert weights is None


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((Q, T("B,3,T,7"), V), {}, "width"),
        ((Q, K, T("B,3,S,5")), {}, "length"),
        ((Q, T("B,2,T,8"), T("B,2,T,8")), {}, "broadcast"),
        ((T("B,3,S,8"), T("B,2,T,8"), T("B,2,T,8")), {"enable_gqa": True}, "heads"),
        ((Q, K, T("B,3,T,8", f64)), {}, "dtype"),
        ((Q, K, V, T("T,S")), {}, "broadcast|expand"),
        ((Q, K, WIDE, T("S,T")), {"is_causal": True}, "exclude"),
        ((T("8"), T("8"), T("8")), {}, "2 dimensions"),
    ],
)
def test_errors_are_torchs(args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        rule_result(sdpa, *args, **kwargs)
    with pytest.raises(RuntimeError):
        sdpa(*[real(a, SIZES[0], "cpu") for a in args], **kwargs)


STORED = [T("B,3,S,8"), T("B,S,3,8", perm=BSHD), T("S,B,3,8", perm=(1, 2, 0, 3)), T("3,B,S,8", perm=(1, 0, 2, 3))]


@pytest.mark.parametrize("q", STORED)
def test_kernels_of_devices_lay_out_their_output_as_torch_does(q: T) -> None:
    """A wrong layout makes a later ``contiguous()`` a copy, or none: a GPU was seen to hold 12 more of a ViT's activations."""
    for func, args in (
        (aten._scaled_dot_product_efficient_attention.default, (q, K, V, None, True)),
        (aten._scaled_dot_product_flash_attention.default, typed(f16, q, K, V)),
    ):
        attention, logsumexp, *_, last = rule_result(func, *args)[0]
        values = SIZES[1]
        torchs = func(*[real(a, values) for a in args])
        assert tuple(evaluate(s, values) for s in attention.stride()) == torchs[0].stride()
        for fact, tensor in ((logsumexp, torchs[1]), (last, torchs[-1])):  # a state of one, a debug mask of the other
            assert tuple(evaluate(s, values) for s in fact.shape) == tensor.shape
