"""Gradients of layers. Shapes and layouts: against torch. Work: against torch's own counter where there is a contraction, else
against loops that count their operations and give what autograd gives."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from fxcount.errors import ShapeError
from fxcount.ops.backward import layers as backward_layers
from fxcount.ops.backward import spatial as backward_spatial
from tests.ops.cases import Case, call, overload, uncovered
from tests.ops.contractions import torch_flops
from tests.ops.harness import SIZES, Counted, N, T, counted, rule_result, work

aten, I64, F64 = torch.ops.aten, torch.int64, torch.float64
IMAGE, LAST = T("B,6,H,W"), T("B,H,W,6", perm=(0, 3, 1, 2))
G, WEIGHT = T("B,8,H-2,W-2"), T("8,6,3,3", tied="the kernel of the convolution it is of")
PLAIN = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)
ALL = [True, True, True]
C6 = T("6")
Q, K = T("B,4,S,8"), T("B,4,T,8")
LSE, STATE = T("B,4,S"), T("", I64)
SMALL, LARGE = T("B,3,H,W"), T("B,3,2*H,2*W")
POOL = ([2, 2], [2, 2], [0, 0])
TWICE = [N("2*H"), N("2*W")]
SIZE = [N("B"), 3, N("H"), N("W")]
CUBE, CUBES = T("B,3,H,W,4"), T("B,3,2*H,2*W,8")

LAYERS = [
    call(aten.convolution_backward.default, G, IMAGE, WEIGHT, [8], *PLAIN, ALL),
    call(aten.convolution_backward.default, G, LAST, WEIGHT, [8], *PLAIN, [True, True, False], on="cpu"),
    call(aten.convolution_backward.default, T("B,8,H"), T("B,6,H"), T("8,3,1"), [8], [1], [0], [1], False, [0], 2, ALL),
    call(aten.native_layer_norm_backward.default, X := T("B,S,E"), X, [N("E")], T("B,S,1"), T("B,S,1"), T("E"), T("E"), ALL),
    call(aten.native_group_norm_backward.default, IMAGE, IMAGE, T("B,2"), T("B,2"), C6, N("B"), 6, N("H*W"), 2, ALL),
    call(aten.native_batch_norm_backward.default, IMAGE, IMAGE, C6, C6, C6, C6, C6, True, 1e-5, ALL),
    call(aten.native_batch_norm_backward.default, IMAGE, LAST, C6, C6, C6, None, None, False, 1e-5, ALL, on="cpu"),
    call(aten.batch_norm_backward.default, IMAGE, IMAGE, C6, C6, C6, C6, C6, True, 1e-5, ALL, T("0", torch.uint8)),
    call(overload("_fused_rms_norm_backward"), X, X, [N("E")], T("B,S,1"), T("E"), [True, True]),
    call(aten._scaled_dot_product_flash_attention_for_cpu_backward.default, Q, Q, K, K, Q, LSE, 0.0, False),
    call(
        aten._scaled_dot_product_flash_attention_backward.default, Q, Q, K, K, Q, LSE, None, None, N("S"), N("T"), 0.0, False,
        STATE, STATE,
    ),
    call(
        aten._scaled_dot_product_cudnn_attention_backward.default, Q, Q, K, K, Q, LSE, STATE, STATE, None, None, None, N("S"),
        N("T"), 0.0, False,
    ),
    call(
        aten._scaled_dot_product_efficient_attention_backward.default, Q, Q, K, K, None, Q, LSE, STATE, STATE, 0.0,
        [True, True, True, False],
    ),
]  # fmt: skip
MAXIMA = [
    call(aten.max_pool2d_with_indices_backward.default, SMALL, LARGE, *POOL, [1, 1], False, T("B,3,H,W", I64)),
    call(
        aten.max_pool3d_with_indices_backward.default, CUBE, CUBES, [2] * 3, [2] * 3, [0] * 3, [1] * 3, False,
        T("B,3,H,W,4", I64), on="cpu",
    ),
    call(aten.adaptive_max_pool2d_backward.default, SMALL, LARGE, T("B,3,H,W", I64)),
    call(aten.adaptive_max_pool3d_backward.default, CUBE, CUBES, T("B,3,H,W,4", I64)),
    call(aten.fractional_max_pool2d_backward.default, SMALL, LARGE, [2, 2], [N("H"), N("W")], T("B,3,H,W", I64)),
    call(
        aten.fractional_max_pool3d_backward.default, CUBE, CUBES, [2] * 3, [N("H"), N("W"), 4], T("B,3,H,W,4", I64), on="cpu"
    ),
]  # fmt: skip
PADS = [
    call(aten.reflection_pad1d_backward.default, T("B,3,H+2"), T("B,3,H"), [1, 1]),
    call(aten.reflection_pad2d_backward.default, T("B,3,H+2,W+2"), SMALL, [1] * 4),
    call(aten.reflection_pad3d_backward.default, T("B,3,H+2,W+2,6"), CUBE, [1] * 6),
    call(aten.replication_pad1d_backward.default, T("B,3,H+2"), T("B,3,H"), [1, 1]),
    call(aten.replication_pad2d_backward.default, T("B,3,H+2,W+2"), SMALL, [1] * 4),
    call(aten.replication_pad3d_backward.default, T("B,3,H+2,W+2,6"), CUBE, [1] * 6),
]
LINE = ([N("2*H")], [N("B"), 3, N("H")])
VOLUME = ([N("2*H"), N("2*W"), 8], [*SIZE, 4])
RESIZED = [
    call(aten.upsample_nearest1d_backward.default, T("B,3,2*H"), *LINE),
    call(aten.upsample_nearest2d_backward.default, LARGE, TWICE, SIZE),
    call(aten.upsample_nearest3d_backward.default, CUBES, *VOLUME),
    call(aten._upsample_nearest_exact1d_backward.default, T("B,3,2*H"), *LINE),
    call(aten._upsample_nearest_exact2d_backward.default, LARGE, TWICE, SIZE),
    call(aten._upsample_nearest_exact3d_backward.default, CUBES, *VOLUME),
    call(aten.upsample_linear1d_backward.default, T("B,3,2*H"), *LINE, False),
    call(aten.upsample_bilinear2d_backward.default, LARGE, TWICE, SIZE, False),
    call(aten.upsample_bicubic2d_backward.default, LARGE, TWICE, SIZE, False),
    call(aten.upsample_trilinear3d_backward.default, CUBES, *VOLUME, False),
    call(aten._upsample_bilinear2d_aa_backward.default, LARGE, TWICE, SIZE, False),
    call(aten._upsample_bicubic2d_aa_backward.default, LARGE, TWICE, SIZE, False, on="cpu"),
]
OTHERS = [
    call(aten.avg_pool2d_backward.default, SMALL, LARGE, *POOL, False, True, None),
    call(aten.avg_pool3d_backward.default, CUBE, CUBES, [2] * 3, [2] * 3, [0] * 3, False, True, None),
    call(aten._adaptive_avg_pool2d_backward.default, SMALL, LARGE),
    call(aten._adaptive_avg_pool3d_backward.default, CUBE, CUBES),
    call(aten.embedding_dense_backward.default, T("B,S,E"), T("B,S", I64), 100, -1, False),
    call(aten.unfold_backward.default, T("B,5,E,3"), [N("B"), 11, N("E")], 1, 3, 2),
    call(aten.select_backward.default, T("B,E"), [N("B"), N("S"), N("E")], 1, 0),
    call(aten.slice_backward.default, T("B,3,E"), [N("B"), N("S"), N("E")], 1, 0, 3, 1),
    call(aten.diagonal_backward.default, T("B,3"), [N("B"), 3, 5], 0, 1, 2),
    call(aten.as_strided_scatter.default, T("B,E"), T("2,3"), [2, 3], [3, 1]),
    call(aten.masked_scatter_backward.default, T("B,E"), T("B,E", torch.bool), [N("S")]),
]  # fmt: skip


@pytest.mark.parametrize("case", [*LAYERS[:-4], *MAXIMA, *PADS, *RESIZED, *OTHERS])
def test_shape_and_layout(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("case", LAYERS[-4:])
def test_shapes_of_attention(case: Case) -> None:
    """Kernels for other devices answer on meta, where their layouts are those of the flash kernel."""
    case.check(strides=case.func is aten._scaled_dot_product_flash_attention_for_cpu_backward.default)


def test_every_op_has_a_case() -> None:
    assert not uncovered(backward_layers.OPS, LAYERS)
    assert not uncovered(backward_spatial.OPS, [*MAXIMA, *PADS, *RESIZED, *OTHERS])


@pytest.mark.parametrize("case", LAYERS[:2])
def test_convolutions_as_torch_counts_them(case: Case) -> None:
    found = case.work()
    g = case.args[0]
    # a bias is a sum over everything but the 8 channels
    summed = _numel(g) - 8 if case.args[-1][2] else 0
    assert (2 * found["macs"], found["flops"]) == (torch_flops(case), torch_flops(case) + summed)


def test_a_grouped_convolution_twice() -> None:
    """Torch's counter takes the groups of a weight's gradient for one; that of the forward does not."""
    found = LAYERS[2].values[0].work()
    forward = torch_flops(Case(torch.conv1d, (T("B,6,H"), T("8,3,1")), {"groups": 2}))
    assert 2 * found["macs"] == 2 * forward


def _numel(t: T) -> int:
    return t.real(SIZES[2]).numel()


def test_attention_as_torch_counts_it() -> None:
    q, k, v = (torch.empty(2, 4, n, 8, device="meta") for n in (5, 7, 7))
    lse = torch.empty(2, 4, 5, device="meta")
    with FlopCounterMode(display=False) as counter:
        aten._scaled_dot_product_flash_attention_backward(q, q, k, v, q, lse, None, None, 5, 7, 0.0, False, lse, lse)
    found = work(
        aten._scaled_dot_product_flash_attention_for_cpu_backward.default, Q, Q, K, K, Q, LSE, 0.0, False,
        values={"B": 2, "S": 5, "T": 7},
    )  # fmt: skip
    pairs, queries = 2 * 4 * 5 * 7, 2 * 4 * 5
    assert 2 * found["macs"] == counter.get_total_flops()
    # per pair: scale, subtract the logsumexp, exp, subtract delta, product, scale; per query g*y summed over 8
    assert found["flops"] == 2 * found["macs"] + 6 * pairs + queries * 15
    assert found["transcendentals"] == pairs


# --- loops over scalars ----------------------------------------------------------------------------------------------


def _sum(items: list[Counted]) -> Counted:
    total = items[0]
    for item in items[1:]:
        total = total + item
    return total


def _layer_norm(r: int, n: int) -> tuple[Counter[str], list[list[float]], list[Any]]:
    """Input, weight and bias gradients of r rows of n, and the operands they came from."""
    tally: Counter[str] = Counter()
    x, g, w = counted(tally, r, n), counted(tally, r, n), counted(tally, n)
    values = [[[c.value for c in row] for row in t] for t in (x, g)] + [[c.value for c in w]]
    xs = torch.tensor(values[0], dtype=F64)
    mean = [Counted(m, tally) for m in xs.mean(1).tolist()]
    rstd = [Counted(s, tally) for s in (xs.var(1, unbiased=False) + 1e-5).rsqrt().tolist()]
    hats, dx = [], []
    for i in range(r):
        hat = [(a - mean[i]) * rstd[i] for a in x[i]]
        gw = [a * b for a, b in zip(g[i], w, strict=True)]
        both, alone = _sum([a * b for a, b in zip(gw, hat, strict=True)]), _sum(gw)
        dx.append([rstd[i] * (a - (alone + h * both) / n) for a, h in zip(gw, hat, strict=True)])
        hats.append(hat)
    dw = [_sum([g[i][j] * hats[i][j] for i in range(r)]) for j in range(n)]
    db = [_sum([g[i][j] for i in range(r)]) for j in range(n)]
    results = [[c.value for row in dx for c in row], [c.value for c in dw], [c.value for c in db]]
    return tally, results, values


def test_layer_norm() -> None:
    tally, results, (x, g, w) = _layer_norm(3, 5)
    xs, weight = torch.tensor(x, dtype=F64, requires_grad=True), torch.tensor(w, dtype=F64, requires_grad=True)
    bias = torch.zeros(5, dtype=F64, requires_grad=True)
    F.layer_norm(xs, (5,), weight, bias, 1e-5).backward(torch.tensor(g, dtype=F64))
    for mine, torchs in zip(results, (xs.grad, weight.grad, bias.grad), strict=True):
        torch.testing.assert_close(torch.tensor(mine, dtype=F64), torchs.flatten())
    case = (T("B,5"), T("B,5"), [5], T("B,1"), T("B,1"), T("5"), T("5"))
    assert work(aten.native_layer_norm_backward.default, *case, ALL, values={"B": 3})["flops"] == tally["flops"]


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (aten.native_group_norm_backward.default, (T("3,2,5"), T("3,2,5"), T("3,1"), T("3,1"), T("2"), 3, 2, 5, 1, ALL)),
        (aten.native_batch_norm_backward.default, (T("2,3,5"), T("2,3,5"), *[T("3")] * 5, True, 1e-5, ALL)),
        (aten.batch_norm_backward.default, (T("2,3,5"), T("2,3,5"), *[T("3")] * 5, True, 1e-5, ALL, T("0"))),
    ],
)
def test_norms_of_groups_work_as_layer_norm(func: Any, args: tuple[Any, ...]) -> None:
    """30 elements in 3 groups of 10. Unlike in layer_norm few elements share a parameter: a sum of n is n - 1 additions."""
    tally, _, _ = _layer_norm(3, 10)
    parameters = {aten.native_group_norm_backward.default: 2}.get(func, 3)
    # the loops above sum the gradients of 10 parameters; twice 10 - parameters more elements have something to be added to
    wanted = tally["flops"] + 2 * (10 - parameters)
    assert work(func, *args, values={})["flops"] == wanted


def test_group_norm_of_two_groups() -> None:
    """6 groups of 10: 3 samples of 2 groups of 2 channels."""
    args = (T("3,4,5"), T("3,4,5"), T("3,2"), T("3,2"), T("4"), 3, 4, 5, 2, ALL)
    tally, _, _ = _layer_norm(6, 10)
    wanted = tally["flops"] + 2 * (10 - 4)  # sums for 4 channels, not for 10 parameters
    assert work(aten.native_group_norm_backward.default, *args, values={})["flops"] == wanted


def test_batch_norm_on_running_statistics() -> None:
    args = (T("2,3,5"), T("2,3,5"), *[T("3")] * 3, None, None, False, 1e-5)
    for_input = work(aten.native_batch_norm_backward.default, *args, [True, False, False], values={})["flops"]
    everything = work(aten.native_batch_norm_backward.default, *args, ALL, values={})["flops"]
    # g * (w * rstd) for 30 elements and 3 channels
    assert for_input == 30 + 3
    # x^ = (x - mean) * rstd, g*x^ and the sums of 10 elements each for 3 weights; the same sums of g for the biases
    assert everything == 33 + 3 * 30 + 2 * 3 * 9


def test_rms_norm() -> None:
    r, n = 3, 5
    tally: Counter[str] = Counter()
    x, g, w = counted(tally, r, n), counted(tally, r, n), counted(tally, n)
    xs = torch.tensor([[c.value for c in row] for row in x], dtype=F64, requires_grad=True)
    weight = torch.tensor([c.value for c in w], dtype=F64, requires_grad=True)
    F.rms_norm(xs, (n,), weight, 1e-5).backward(torch.tensor([[c.value for c in row] for row in g], dtype=F64))
    rstd = [Counted(s, tally) for s in (xs.detach().square().mean(1) + 1e-5).rsqrt().tolist()]
    hats, dx = [], []
    for i in range(r):
        hat = [a * rstd[i] for a in x[i]]
        gw = [a * b for a, b in zip(g[i], w, strict=True)]
        total = _sum([a * b for a, b in zip(gw, hat, strict=True)])
        dx.append([rstd[i] * (a - h * total / n) for a, h in zip(gw, hat, strict=True)])
        hats.append(hat)
    dw = [_sum([g[i][j] * hats[i][j] for i in range(r)]) for j in range(n)]
    torch.testing.assert_close(torch.tensor([[c.value for c in row] for row in dx], dtype=F64), xs.grad)
    torch.testing.assert_close(torch.tensor([c.value for c in dw], dtype=F64), weight.grad)
    case = (T("B,5"), T("B,5"), [5], T("B,1"), T("5"), [True, True])
    if overload("_fused_rms_norm_backward") is not None:
        assert work(overload("_fused_rms_norm_backward"), *case, values={"B": r})["flops"] == tally["flops"]


@pytest.mark.parametrize("case", [*MAXIMA, *PADS, *RESIZED[:6]])
def test_an_addition_for_each_gradient(case: Case) -> None:
    assert case.work()["flops"] == _numel(case.args[0])


def test_averages_divide_once_and_add_to_the_window() -> None:
    values = {"B": 1, "H": 5, "W": 7}
    plane, cube = 3 * 5 * 7, 3 * 5 * 7 * 4
    flops = [p.values[0] for p in OTHERS[:4]]
    found = [work(c.func, *c.args, values=values)["flops"] for c in flops]
    # windows of 2*2 and 2*2*2 elements, which adaptive pooling to half the size has too
    assert found == [plane * 5, cube * 9, plane * 5, cube * 9]


def _spread(values: list[Counted], dims: int, taps: int) -> None:
    """One gradient to ``taps`` neighbours in every dimension, one dimension after the other, and added there."""
    for value in values:
        if dims == 0:
            _ = value + value
        else:
            _spread([value * 0.5 for _ in range(taps)], dims - 1, taps)


@pytest.mark.parametrize(
    ("case", "dims", "taps"), [(RESIZED[6], 1, 2), (RESIZED[7], 2, 2), (RESIZED[8], 2, 4), (RESIZED[9], 3, 2)]
)
def test_resampling_is_the_transpose(case: Any, dims: int, taps: int) -> None:
    tally: Counter[str] = Counter()
    _spread([Counted(1.0, tally)], dims, taps)
    assert case.values[0].work()["flops"] == _numel(case.values[0].args[0]) * tally["flops"]


def test_antialiased_resampling() -> None:
    """Shrinking 6x10 to 3x5: each output line has its taps of every input, twice 2*6 = 12 and 2*10 = 20 in all, a product and
    an addition each; 5 columns go back first, then 6 rows."""
    args = (T("1,1,3,5"), [3, 5], [1, 1, 6, 10], False)
    found = work(aten._upsample_bilinear2d_aa_backward.default, *args, values={})["flops"]
    assert found == 5 * 2 * 12 + 6 * 2 * 20


def test_lookups_and_slices() -> None:
    found = [p.values[0].work()["flops"] for p in OTHERS[4:6]]
    assert found == [_numel(p.values[0].args[0]) for p in OTHERS[4:6]]


def test_errors() -> None:
    with pytest.raises(ShapeError, match="does not fit"):
        rule_result(aten.as_strided_scatter.default, T("B,E"), T("2,4"), [2, 3], [3, 1])
