"""Convolutions: shapes and layouts against torch, macs against its counter, work against the definition as loops."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from fxcount.errors import ShapeError
from fxcount.ops import REGISTRY, TensorFact
from fxcount.ops.contraction.conv import OPS
from fxcount.ops.core.striding import channels_last_strides
from fxcount.symbolic import Scope
from tests.ops import harness
from tests.ops.cases import Case, call, uncovered
from tests.ops.contractions import torch_flops
from tests.ops.harness import SIZES, Counted, N, T, check, counted, real, rule_result, work

aten = torch.ops.aten
f64, bf16, f16, i64, c64 = torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.complex64
NHWC, NDHWC, NWC = (0, 3, 1, 2), (0, 4, 1, 2, 3), (0, 2, 1)
pytestmark = pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel:UserWarning")

CASES = [
    call(torch.conv1d, T("B,3,W"), T("8,3,5"), T("8"), padding=2),
    call(torch.conv1d, T("B,W,4", perm=NWC), T("8,1,3"), padding=1, groups=4),
    call(torch.conv1d, T("3,W"), T("8,3,2"), None, 2, 1),
    call(torch.conv2d, T("B,3,H,W"), T("8,3,2,1"), T("8"), stride=2, padding=1),
    call(torch.conv2d, T("B,3,H,W"), T("8,3,2,5"), stride=(2, 3), padding=(4, 2), dilation=(3, 1)),
    call(torch.conv2d, T("B,6,H,W"), T("4,3,2,1"), T("4"), 1, 1, 1, 2),
    call(torch.conv2d, T("B,C,H,W"), T("C,1,7,5"), T("C"), 1, 3, 1, N("C")),
    call(torch.conv2d, T("3,H,W"), T("8,3,2,1"), T("8"), padding=1),
    call(torch.conv2d, T("B,H,W,3", perm=NHWC), T("8,3,2,1"), padding=[1]),
    call(torch.conv2d, T("B,3,H,W"), T("8,3,2,1", perm=(0, 1, 3, 2)), padding=1),
    call(torch.conv2d, T("B,3,H,W"), T("8,2,1,3", perm=NHWC), padding=1),
    call(torch.conv2d, T("3,H,W"), T("8,2,1,3", perm=NHWC), padding=1),
    call(torch.conv2d, T("B,3,W,H", perm=(0, 1, 3, 2)), T("8,3,2,1"), padding=1),
    call(torch.conv2d, T("B,3,H,W"), T("8,3,4,5"), padding="same"),
    call(torch.conv2d, T("B,3,H,W"), T("8,3,5,2"), padding="valid", assumes=2),
    call(torch.conv2d, T("B,3,H,W", f64), T("8,3,2,1", f64), padding=1),
    call(torch.conv2d, T("B,3,H,W", i64), T("8,3,2,1", i64), padding=1),
    call(torch.conv3d, T("B,3,5,H,W"), T("8,3,2,1,1"), T("8"), stride=(1, 2, 2), padding=1),
    call(torch.conv3d, T("B,5,7,11,3", perm=NDHWC), T("8,3,2,5,4")),
    call(torch.conv3d, T("B,5,7,11,3", f64, perm=NDHWC), T("8,3,2,5,4", f64)),
    call(torch.conv3d, T("B,5,7,11,3", bf16, perm=NDHWC), T("8,3,2,5,4", bf16)),
    call(torch.conv_transpose1d, T("B,3,W"), T("3,8,4"), T("8"), 2, 1),
    call(torch.conv_transpose1d, T("B,W,3", perm=NWC), T("3,8,4")),
    call(
        torch.conv_transpose2d, T("B,6,H,W"), T("6,4,5,3"), T("8"), stride=2, padding=1, output_padding=1, groups=2,
        dilation=2,
    ),
    call(torch.conv_transpose2d, T("6,H,W"), T("6,4,3,2"), None, (3, 2), 1, (2, 1)),
    call(torch.conv_transpose2d, T("B,H,W,3", perm=NHWC), T("3,8,2,5"), stride=2),
    call(torch.conv_transpose3d, T("B,3,5,7,W"), T("3,4,2,5,7"), T("4"), 2, 1, 1),
    call(torch.conv_transpose3d, T("B,5,7,11,3", perm=NDHWC), T("3,4,2,5,7")),
    call(aten.convolution.default, T("B,3,H,W"), T("8,3,2,1"), T("8"), [2, 2], [1, 1], [1, 1], False, [0, 0], 1),
    call(torch.convolution, T("B,3,W"), T("3,8,5"), None, [2], [1], [1], True, [1], 1),
    call(
        aten._convolution.default, T("B,3,H,W"), T("8,3,2,1"), None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, False,
        False, False, False, on="cpu",  # torch 2.6 has no kernel for it on meta
    ),
    call(aten._convolution_mode.default, T("B,3,H,W"), T("8,3,5,2"), None, [1, 1], "same", [1, 1], 1),
]  # fmt: skip
UNCOUNTED = [  # torch's own counter has no number for these, or another one
    call(torch.conv_tbc, T("S,B,3"), T("2,3,8"), T("8"), 1),
    call(torch.conv2d, T("B,3,H,W", c64), T("8,3,2,1", c64), T("8", c64), padding=1),
]


@pytest.mark.parametrize("case", CASES + UNCOUNTED)
def test_shape_and_layout(case: Case) -> None:
    replace(case, on="cpu").check()


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN:UserWarning")
@pytest.mark.parametrize("dtype", [torch.float32, f64, bf16, f16])
@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize(("conv", "weight"), [(torch.conv3d, "8,3,3,3,3"), (torch.conv_transpose3d, "3,8,3,3,3")])
def test_3d_layout_is_what_this_processor_writes(conv: Any, weight: str, enabled: bool, dtype: torch.dtype) -> None:
    """Only oneDNN writes channels-last, and it takes half precision on some processors only; it can be switched off."""
    with torch.backends.mkldnn.flags(enabled=enabled):
        check(conv, T("B,5,7,11,3", dtype, perm=NDHWC), T(weight, dtype, tied="a cube"), device="cpu")


def test_3d_layout_on_cuda_is_cudnns() -> None:
    def strides(dtype: torch.dtype) -> Any:
        x = TensorFact((2, 3, 5, 7, 11), dtype, torch.device("cuda"), channels_last_strides((2, 3, 5, 7, 11)))
        return REGISTRY[torch.conv3d].shape(Scope({}), x, TensorFact((8, 3, 3, 3, 3), dtype, torch.device("cuda"))).stride()

    assert strides(f16) == strides(bf16) == channels_last_strides((2, 8, 3, 5, 9))
    assert strides(f64) == (8 * 135, 135, 45, 9, 1)


@pytest.mark.parametrize("case", CASES)
def test_macs_are_torchs(case: Case) -> None:
    assert 2 * case.work()["macs"] == torch_flops(case)


@pytest.mark.parametrize("case", CASES)
def test_bytes_held(case: Case) -> None:
    case.assert_held()


def test_every_op_has_a_case() -> None:
    assert not uncovered(OPS, CASES + UNCOUNTED, names=["convolution_overrideable"])


def test_overrideable_convolution() -> None:
    args = (T("B,3,H,W"), T("8,3,2,1"), None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)
    result, _ = rule_result(aten.convolution_overrideable.default, *args)
    assert result == rule_result(torch.conv2d, *args[:3], padding=1)[0]


def _loops(n: int, c: int, o: int, size: int, kernel: int, stride: int, padding: int, groups: int) -> Counter[str]:
    """1-d convolution with a bias, products with padding zeros included."""
    tally: Counter[str] = Counter()
    x, w, b = counted(tally, n, c, size), counted(tally, o, c // groups, kernel), counted(tally, o)
    zero = Counted(0, tally)
    for image, out in itertools.product(range(n), range(o)):
        group = out // (o // groups)
        for start in range(-padding, size + padding - kernel + 1, stride):
            total = zero
            for channel, k in itertools.product(range(c // groups), range(kernel)):
                inside = 0 <= start + k < size
                source = x[image][group * (c // groups) + channel][start + k] if inside else zero
                total = total.fma(source, w[out][channel][k])
            total + b[out]
    return tally


@pytest.mark.parametrize(("stride", "padding", "groups"), [(1, 0, 1), (2, 1, 1), (1, 2, 3)])
def test_work_by_definition(stride: int, padding: int, groups: int) -> None:
    tally = _loops(2, 3, 6, 7, 3, stride, padding, groups)
    got = work(F.conv1d, T("B,3,T"), T(f"6,{3 // groups},3", tied="of the loops"), T("6"), stride=stride, padding=padding,
               groups=groups, values={"B": 2, "T": 7})  # fmt: skip
    assert (got["macs"], got["flops"], got["transcendentals"]) == (tally["macs"], tally["flops"], 0)


def test_transposed_work_by_definition() -> None:
    """Each input element is multiplied by the whole kernel and added in."""
    tally: Counter[str] = Counter()
    x, w, b = counted(tally, 2, 3, 5), counted(tally, 3, 4, 3), counted(tally, 4)
    y = [[[Counted(0, tally)] * 11 for _ in range(4)] for _ in range(2)]
    for n, c, i, o, k in itertools.product(range(2), range(3), range(5), range(4), range(3)):
        y[n][o][2 * i + k] = y[n][o][2 * i + k].fma(x[n][c][i], w[c][o][k])
    for n, o, i in itertools.product(range(2), range(4), range(11)):
        y[n][o][i] + b[o]
    got = work(torch.conv_transpose1d, T("B,3,T"), T("3,4,3", tied="of the loops"), T("4"), 2, values={"B": 2, "T": 5})
    assert (got["macs"], got["flops"]) == (tally["macs"], tally["flops"])


def test_complex_and_integer_work() -> None:
    """A complex product that is added is 4 real ones; integers do no floating-point work."""
    work = partial(harness.work, values=SIZES[2])
    real_work = work(torch.conv2d, T("B,3,H,W"), T("8,3,2,1"), T("8"), padding=1)
    complex_work = work(torch.conv2d, T("B,3,H,W", c64), T("8,3,2,1", c64), T("8", c64), padding=1)
    integer = work(torch.conv2d, T("B,3,H,W", i64), T("8,3,2,1", i64), padding=1)
    biases = real_work["flops"] - 2 * real_work["macs"]
    assert complex_work["macs"] == 4 * real_work["macs"]
    assert complex_work["flops"] == 8 * real_work["macs"] + 2 * biases
    assert (integer["macs"], integer["flops"]) == (real_work["macs"], 0)


def test_tbc_work() -> None:
    """(7 + 2 - 3 + 1) steps, 5 sequences, 4 of 2*3 channels each, a bias."""
    got = work(torch.conv_tbc, T("T,B,2"), T("3,2,4"), T("4"), 1, values={"T": 7, "B": 5})
    assert (got["macs"], got["flops"]) == (7 * 5 * 4 * 6, 7 * 5 * 4 * (12 + 1))


def test_a_kernel_that_fits_is_assumed() -> None:
    _, scope = rule_result(torch.conv2d, T("B,3,H,W"), T("8,3,4,5"), None, 1, (2, 0))
    assert [str(a) for a in scope.assumptions] == ["W >= 5"]


@pytest.mark.parametrize(
    ("func", "args", "kwargs", "message"),
    [
        (torch.conv2d, (T("B,4,H,W"), T("8,3,2,1")), {}, "has 4 channels"),
        (torch.conv2d, (T("B,H,W"), T("8,3,5")), {}, "4 dimensions"),
        (torch.conv2d, (T("H,W"), T("8,3,2,1")), {}, "3 or 4 dimensions"),
        (torch.conv2d, (T("B,3,1,2"), T("8,3,2,1")), {}, "larger than the padded input"),
        (torch.conv2d, (T("B,4,H,W"), T("7,2,3,5")), {"groups": 2}, "does not divide"),
        (torch.conv2d, (T("B,3,H,W"), T("8,3,2,1"), T("7")), {"padding": 1}, "bias"),
        (torch.conv2d, (T("B,3,H,W"), T("8,3,2,1", f64)), {}, "one dtype"),
        (torch.conv2d, (T("B,3,H,W"), T("8,3,2,1")), {"padding": "same", "stride": 2}, "stride 1"),
        (torch.conv2d, (T("B,3,H,W"), T("8,3,2,1")), {"padding": "full"}, "'same' or 'valid'"),
        (torch.conv2d, (T("B,3,H,W"), T("8,3,2,1")), {"stride": (1, 2, 3)}, "one number or 2"),
        (torch.conv_transpose2d, (T("B,4,H,W"), T("3,8,5,2")), {}, "has 4 channels"),
        (torch.conv_transpose1d, (T("B,3,1"), T("3,8,2")), {"padding": 2}, "no output"),
        (torch.conv_tbc, (T("S,B,3"), T("3,4,8"), T("8")), {}, "channels"),
    ],
)
def test_errors_are_torchs(func: Any, args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        rule_result(func, *args, **kwargs)
    with pytest.raises((RuntimeError, ValueError)):
        func(*[real(a, SIZES[0], "cpu") for a in args], **kwargs)
