"""Sliding windows: shapes against torch, work against loops over counting scalars."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops import REGISTRY
from fxcount.ops.spatial.unfold import OPS
from fxcount.symbolic import evaluate
from tests.ops import tracker
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import SIZES, N, T, _map, counted, real, rule_result, work

nn = torch._C._nn
c64 = torch.complex64
SPECTRUM = T("B,S+2,33", c64, perm=(0, 2, 1))

CASES = [
    call(nn.im2col, T("B,C,H,W"), (3, 3), (1, 1), (1, 1), (2, 2)),
    call(nn.im2col, T("C,H,W"), (3, 2), (2, 1), (0, 1), (1, 1), assumes=1),
    call(nn.im2col, T("B,H,W,C", perm=(0, 3, 1, 2)), (2, 2), (1, 1), (1, 1), (1, 1), on="cpu"),
    call(nn.col2im, T("B,18*C,H*W"), (N("H"), N("W")), (3, 3), (1, 1), (1, 1), (1, 1)),
    call(nn.col2im, T("4*C,H*W"), (N("2*H"), N("2*W")), (2, 2), (1, 1), (0, 0), (2, 2)),
    call(torch._VF.stft, T("B,64*S"), 64, 16, 64, T("64"), False, True, True, on="cpu"),
    call(torch._VF.stft, T("64*S", torch.float64), 64, 7, 64, T("64", torch.float64), True, True, True, on="cpu"),
    call(torch._VF.stft, T("B,64*S"), 64, 16, 64, T("64"), False, False, True, on="cpu"),
    call(torch._VF.stft, T("B,64*S"), 64, 16, 64, T("64"), False, True, False, on="cpu"),
    call(torch._VF.stft, T("B,64*S", c64), 64, 16, 64, None, False, False, True, on="cpu"),
]
# torch refuses the windows of zeros that the harness makes: these get a window of ones
ISTFT: list[Any] = [
    ((SPECTRUM, 64, 16), {}),
    ((SPECTRUM, 64, 16), {"length": N("16*S+3")}),
    ((T("33,S", c64), 64, 32), {"center": False}),
]
pytestmark = [
    pytest.mark.filterwarnings("ignore:stft with return_complex=False is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:A window was not provided:UserWarning"),
]


@pytest.mark.parametrize("case", CASES)
def test_shapes(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("case", CASES)
def test_what_torch_holds(case: Case) -> None:
    case.assert_held()


@pytest.mark.parametrize(("args", "kwargs"), ISTFT)
def test_istft(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    y, scope = rule_result(torch.istft, *args, **kwargs)
    assert not scope.assumptions
    for values in SIZES:
        x = args[0].real(values, "cpu")
        wanted = torch.istft(x, *args[1:], window=torch.ones(64), **_map(kwargs, lambda v, at=values: real(v, at)))
        assert tuple(evaluate(n, values) for n in y.shape) == wanted.shape
        assert y.dtype is wanted.dtype


@pytest.mark.parametrize(("args", "kwargs"), ISTFT)
def test_what_istft_holds(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    values = SIZES[1]
    rule = REGISTRY[torch.istft].temporaries
    y, _ = rule_result(torch.istft, *args, **kwargs)
    assert rule is not None
    x, window = args[0].real(values, "cpu"), torch.ones(64)
    given = _map(kwargs, lambda v: real(v, values))
    with torch.no_grad(), tracker._Tracker({t.untyped_storage()._cdata for t in (x, window)}) as held:
        out = torch.istft(x, *args[1:], window=window, **given)
    ruled = evaluate(rule(y, args[0].fact(), *args[1:]), values)
    # the result is a slice of what was divided; a 0-d tensor more may be alive while the envelope is tested
    assert held.peak - out.untyped_storage().nbytes() - ruled in (0, 4)


@pytest.mark.parametrize(
    ("channels", "size", "k", "s", "p"),
    [(2, (5, 6), (3, 2), (1, 1), (0, 0)), (1, (6, 6), (2, 2), (2, 2), (1, 1))],
)
def test_work_of_fold(channels: int, size: Any, k: Any, s: Any, p: Any) -> None:
    tally: Counter[str] = Counter()
    blocks = [(n + 2 * q - m) // t + 1 for n, m, t, q in zip(size, k, s, p)]
    columns = counted(tally, channels, k[0], k[1], blocks[0], blocks[1])
    padded = [[[0.0] * (size[1] + 2 * p[1]) for _ in range(size[0] + 2 * p[0])] for _ in range(channels)]
    for c in range(channels):
        for i in range(k[0]):
            for j in range(k[1]):
                for a in range(blocks[0]):
                    for b in range(blocks[1]):
                        y, x = a * s[0] + i, b * s[1] + j
                        padded[c][y][x] = padded[c][y][x] + columns[c][i][j][a][b]
    x_fact = T(f"{channels * k[0] * k[1]},{blocks[0] * blocks[1]}")
    assert work(nn.col2im, x_fact, size, k, (1, 1), p, s)["flops"] == tally["flops"] > 0


def test_work_of_stft() -> None:
    """5 frames of 16 samples for 3 signals: 16 products with the window, half of 5*16*4 for a real transform each."""
    args = (T("3,80"), 16, 16, 16, T("16"), False, True, True)
    assert work(torch._VF.stft, *args)["flops"] == 3 * 5 * (16 + 5 * 16 * 4 // 2)
    scaled = (*args[:5], True, True, True)
    assert work(torch._VF.stft, *scaled)["flops"] == 3 * 5 * (16 + 5 * 16 * 4 // 2) + 3 * 5 * 9 * 2


def test_work_of_istft() -> None:
    """The way back as loops: scale, window, overlap-add, envelope of the squared window, division."""
    batch, frames, n, hop = 2, 4, 16, 8
    tally: Counter[str] = Counter()
    signal = counted(tally, batch, frames, n)
    window = counted(tally, n)
    length = n + hop * (frames - 1)
    for b in range(batch):
        sums: list[Any] = [0.0] * length
        for t in range(frames):
            for i in range(n):
                sums[t * hop + i] = sums[t * hop + i] + signal[b][t][i] * 0.0625 * window[i]
        for i in range(n // 2, length - n // 2):
            sums[i] / 2.0
    squared = [w * w for w in window]
    envelope: list[Any] = [0.0] * length
    for t in range(frames):
        for i in range(n):
            envelope[t * hop + i] = envelope[t * hop + i] + squared[i]
    transforms = batch * frames * (5 * 16 * 4 // 2)
    counted_flops = work(torch.istft, T("2,9,4", c64), 16, 8, 16, T("16"))["flops"]
    assert counted_flops == tally["flops"] + transforms


def test_every_name_has_a_case() -> None:
    assert not uncovered(OPS, [*CASES, torch.istft])


@pytest.mark.parametrize(
    ("func", "args", "says"),
    [
        (nn.im2col, (T("8,8", tied="a window"), (3, 3), 1, 0, 1), "expected"),
        (nn.im2col, (T("3,2,8"), (3, 3), 1, 0, 1), "holds no block"),
        (nn.col2im, (T("9,4"), (5, 5), (3, 3), 1, 0, 1), "4 columns"),
        (nn.col2im, (T("10,9"), (5, 5), (3, 3), 1, 0, 1), "10 rows"),
        (torch._VF.stft, (T("B,60"), 64), "60 samples"),
        (torch._VF.stft, (T("B,B,60"), 64), "expected"),
        (torch.istft, (T("B,32,9", c64), 64), "32 rows"),
        (torch.istft, (T("B,33,9"), 64), "expected complex"),
    ],
)
def test_errors(func: Any, args: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        rule_result(func, *args)
