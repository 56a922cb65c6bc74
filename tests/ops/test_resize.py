"""Resampling: shapes against torch, work against interpolation written as loops over counting scalars."""

from __future__ import annotations

from collections import Counter
from functools import partial
from math import floor
from typing import Any

import pytest
import torch
from torch.nn.functional import interpolate

import fxcount
from fxcount.errors import ShapeError
from fxcount.ops import REGISTRY
from fxcount.ops.spatial.resize import OPS, scaled
from fxcount.symbolic import Scope, evaluate, to_sym
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import Counted, N, T, check, counted, rule_result, work

nn = torch._C._nn
aten = torch.ops.aten
_window = partial(T, tied="a window")
NHWC, NDHWC = (0, 3, 1, 2), (0, 4, 1, 2, 3)
X1, X2, X3 = T("B,C,L"), T("B,C,H,W"), T("B,C,N,M,K")
LAST2, LAST3 = T("B,H,W,C", perm=NHWC), T("B,N,M,K,C", perm=NDHWC)
SIZE2 = (N("2*W"), 17)

CASES = [
    call(nn.upsample_nearest1d, X1, (N("2*L"),), None),
    call(nn.upsample_nearest1d, X1, None, [2.0]),
    call(nn.upsample_nearest2d, X2, None, [2.0, 0.5], assumes=1),
    call(nn.upsample_nearest2d, LAST2, SIZE2, None, on="cpu"),
    call(aten.upsample_nearest2d.default, X2, SIZE2, 2.0, None),
    call(nn.upsample_nearest3d, LAST3, None, [2.0, 3.0, 1.5], on="cpu"),
    call(nn._upsample_nearest_exact1d, X1, None, [1.25]),
    call(nn._upsample_nearest_exact2d, X2, (7, 7), None),
    call(nn._upsample_nearest_exact3d, X3, (7, 7, N("K")), None),
    call(nn.upsample_linear1d, X1, None, False, [2.0]),
    call(nn.upsample_bilinear2d, X2, None, False, [2.0, 2.0]),
    call(nn.upsample_bilinear2d, LAST2, SIZE2, True, None, on="cpu"),
    call(aten.upsample_bilinear2d.default, X2, SIZE2, False, 2.0, 3.0),
    call(nn.upsample_bicubic2d, X2, None, False, [1.3, 0.7], assumes=2),
    call(nn.upsample_trilinear3d, X3, None, False, [2.0, 2.0, 2.0]),
    call(nn._upsample_bilinear2d_aa, X2, SIZE2, False, None),
    call(nn._upsample_bicubic2d_aa, LAST2, SIZE2, False, None, on="cpu"),
    call(torch.grid_sampler, X2, T("B,S,T,2"), 0, 0, False),
    call(torch.grid_sampler_2d, LAST2, T("B,S,T,2"), 0, 0, False),
    call(torch.grid_sampler_3d, X3, T("B,S,T,5,3"), 0, 0, False),
    call(torch.affine_grid_generator, T("B,2,3"), (N("B"), 3, N("H"), N("W")), False, on="cpu"),
    call(torch.affine_grid_generator, T("B,3,4"), (N("B"), 3, N("H"), N("W"), 5), False, on="cpu"),
    call(torch.pixel_shuffle, T("B,4*C,H,W"), 2),
    call(torch.pixel_shuffle, T("B,H,W,4*C", perm=NHWC), 2, on="cpu"),
    call(torch.pixel_unshuffle, T("3*H,3*W,C", perm=(2, 0, 1)), 3, on="cpu"),
    call(torch.pixel_unshuffle, T("B,C,2*H,2*W"), 2),
    call(torch.channel_shuffle, T("B,2*C,H,W"), 2, on="cpu"),
    call(torch.native_channel_shuffle, T("B,H,W,2*C", perm=NHWC), 2, on="cpu"),
]


@pytest.mark.parametrize("case", CASES)
def test_shapes(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("case", CASES)
def test_what_torch_holds(case: Case) -> None:
    case.assert_held()


@pytest.mark.parametrize("factor", [2.0, 0.5, 1.5, 0.25, 1.3, 0.3, 1 / 3, 0.1, 2.7, 3 / 7, 1.1])
def test_a_factor_gives_torchs_size(factor: float) -> None:
    y, scope = rule_result(nn.upsample_nearest1d, T("B,C,L+20"), None, [factor])
    assert not scope.assumptions
    for n in (*range(21, 400), *range(1990, 2010)):
        wanted = nn.upsample_nearest1d(torch.empty(1, 1, n, device="meta"), None, [factor])
        assert evaluate(y.shape[2], {"L": n - 20}) == wanted.shape[2], n


@pytest.mark.parametrize(("factor", "n", "size"), [(0.29, 100, 28), (0.7, 90, 62), (0.7, 10, 7)])
def test_a_factor_that_floats_round_down(factor: float, n: int, size: int) -> None:
    y, scope = rule_result(nn.upsample_nearest1d, X1, None, [factor], hint={"B": 2, "C": 6, "L": n})
    assert scope.hint(y.shape[2]) == nn.upsample_nearest1d(torch.empty(1, 1, n), None, [factor]).shape[2] == size
    held = [m for m in range(1, 300) if scope.check({"B": 2, "C": 6, "L": m}) is None]
    for m in held:
        wanted = nn.upsample_nearest1d(torch.empty(1, 1, m, device="meta"), None, [factor]).shape[2]
        assert (y.shape[2] if isinstance(y.shape[2], int) else evaluate(y.shape[2], {"L": m})) == wanted, m
    exact = n * round(factor * 100) // 100
    assert n in held
    assert (len(held) > 250) == (size == exact)  # a formula where doubles agree with it at the hint, else the hint alone


def test_a_quotient_of_sizes_as_factor() -> None:
    scope = Scope({"H": 28, "W": 20})
    H, W = scope.symbols["H"], scope.symbols["W"]
    assert scaled(scope, 16, to_sym(H, scope) / 16) == H
    assert scaled(scope, 2 * W, to_sym(H, scope) / 4) == H * W // 2
    assert not scope.assumptions
    assert scaled(scope, 7, to_sym(H, scope) / 7) == H  # a seventh is rounded, and the product of 7 with it again
    (rounded,) = scope.assumptions
    held = [h for h in range(1, 400) if rounded.holds({"H": h, "W": 20})]
    assert held == [h for h in range(1, 400) if int(7 * (h / 7)) == h]


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("factor", [
    lambda h, w: 32 / h, lambda h, w: w / h, lambda h, w: (32 / h, 0.7 * w / h), lambda h, w: h / 2 / h, lambda h, w: h / 32,
])  # fmt: skip
def test_a_factor_made_of_sizes_keeps_them(factor: Any, mode: str) -> None:
    """Without recompute_scale_factor torch takes the product as a double: where it rounds otherwise, the size is refused."""

    class Resize(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return interpolate(x, scale_factor=factor(*x.shape[2:]), mode=mode)

    report = fxcount.analyze(Resize(), "B,2,H,W", hints={"H": 64, "W": 49})
    assert not [a for a in report.assumptions if a.kind == "pin"]
    (value,) = report.trace.values_out()
    admitted = 0
    for h, w in ((64, 49), (49, 50), (98, 98), (103, 61), (107, 224), (161, 7), (7, 64), (224, 100)):
        try:
            at = report.at(B=1, H=h, W=w, extend=False)
        except fxcount.AssumptionError:
            continue
        admitted += 1
        assert tuple(int(at.size(n)) for n in value.fact.shape) == tuple(Resize()(torch.empty(1, 2, h, w, device="meta")).shape)
    assert admitted > 1  # others than the hint


def _weighed(values: Any, taps: int, dims: int) -> Any:
    """A nested list of taps in each dimension, weighed one dimension after the other."""
    parts = [_weighed(v, taps, dims - 1) for v in values] if dims > 1 else values
    total = parts[0] * 0.5
    for part in parts[1:]:
        total = total + part * 0.5
    return total


@pytest.mark.parametrize(
    ("func", "dims", "taps"),
    [
        (nn.upsample_linear1d, 1, 2),
        (nn.upsample_bilinear2d, 2, 2),
        (nn.upsample_trilinear3d, 3, 2),
        (nn.upsample_bicubic2d, 2, 4),
    ],
)
def test_work_of_interpolation(func: Any, dims: int, taps: int) -> None:
    size = (4, 5, 6)[:dims]
    tally: Counter[str] = Counter()
    elements = 2 * 3
    for n in size:
        elements *= n
    for _ in range(elements):
        _weighed(counted(tally, *[taps] * dims), taps, dims)
    x = _window(",".join(map(str, (2, 3, *(3, 3, 3)[:dims]))))
    assert work(func, x, size, False, None) == {"macs": 0, "flops": tally["flops"], "transcendentals": 0}


def _line(i: int, o: int, reach: int) -> Counter[str]:
    """Antialiased resampling of a line: taps from floor(centre - support + 1/2) to floor(centre + support + 1/2)."""
    tally: Counter[str] = Counter()
    scale = i / o
    support = reach / 2 * max(scale, 1.0)
    for at in range(o):
        centre = scale * (at + 0.5)
        taps = range(floor(centre - support + 0.5), floor(centre + support + 0.5))
        values = counted(tally, len(taps))
        total = values[0] * 0.5
        for value in values[1:]:
            total = total + value * 0.5
    return tally


@pytest.mark.parametrize(("func", "reach"), [(nn._upsample_bilinear2d_aa, 2), (nn._upsample_bicubic2d_aa, 4)])
@pytest.mark.parametrize(("size", "out"), [((6, 8), (9, 16)), ((9, 12), (5, 4)), ((6, 12), (8, 5)), ((7, 7), (7, 7))])
def test_work_of_antialiasing(func: Any, reach: int, size: tuple[int, int], out: tuple[int, int]) -> None:
    across, down = _line(size[1], out[1], reach)["flops"], _line(size[0], out[0], reach)["flops"]
    flops = 2 * 3 * (size[0] * across + out[1] * down)
    assert work(func, _window(f"2,3,{size[0]},{size[1]}"), out, False, None)["flops"] == flops


def _position(x: Any, n: int, aligned: bool) -> Any:
    return (x + 1.0) / 2.0 * (n - 1) if aligned else ((x + 1.0) * n - 1.0) / 2.0


def _into_range(x: Any, padding: int) -> Any:
    if padding == 2:  # reflect: |x - low| modulo the span, then back or forth
        away = abs(x - 0.5)
        extra = away.call("wrapped")
        flips = (away / 3.0).call("floor")
        x = (3.0 - extra) + flips
    if padding:
        for bound in (0.0, 3.0):
            x = Counted(bound, x.tally) if x > 1e6 else x
    return x


def _cubic_weights(t: Any) -> list[Any]:
    def inner(s: Any) -> Any:
        return (s * 1.25 - 2.25) * s * s + 1.0

    def outer(s: Any) -> Any:
        return ((s * -0.75 + 3.75) * s - 6.0) * s + 3.0

    return [outer(t + 1.0), inner(t), inner(1.0 - t), outer(2.0 - t)]


def _sampled(dims: int, channels: int, points: int, mode: int, padding: int, aligned: bool) -> Counter[str]:
    tally: Counter[str] = Counter()
    for _ in range(points):
        places = [_position(x, 5, aligned) for x in counted(tally, dims)]
        if mode == 2:
            for x in places:
                _cubic_weights(x - x.call("floor"))
                for tap in counted(tally, 4):
                    _into_range(tap, padding)
            for _ in range(channels):
                _weighed(counted(tally, 4, 4), 4, 2)
            continue
        places = [_into_range(x, padding) for x in places]
        if mode == 1:
            for x in places:
                x.call("floor")
            continue
        pairs = []
        for x in places:
            t = x - x.call("floor")
            pairs.append((1.0 - t, t))
        weights = pairs[0]
        for pair in pairs[1:]:
            weights = tuple(w * v for w in weights for v in pair)
        if dims == 3:  # products of three: each corner by itself
            for _ in range(2**dims - 4):
                pairs[0][0] * 0.5
        for _ in range(channels):
            values = counted(tally, 2**dims)
            total = values[0] * weights[0]
            for value, weight in zip(values[1:], weights[1:]):
                total = total + value * weight
    return tally


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize(("dims", "mode"), [(2, 0), (2, 1), (2, 2), (3, 0), (3, 1)])
def test_work_of_grid_sampling(dims: int, mode: int, padding: int, aligned: bool) -> None:
    x, grid = ("2,3,5,5", "2,4,2,2") if dims == 2 else ("2,3,5,5,5", "2,4,2,1,3")
    tally = _sampled(dims, 3, 16, mode, padding, aligned)
    assert work(torch.grid_sampler, _window(x), _window(grid), mode, padding, aligned)["flops"] == tally["flops"]


def test_work_of_affine_grids() -> None:
    """N*H*W points of 2 coordinates, each a dot product with (x, y, 1)."""
    done = work(torch.affine_grid_generator, T("5,2,3"), (5, 3, 7, 11), False)
    assert done == {"macs": 5 * 7 * 11 * 2 * 3, "flops": 2 * 5 * 7 * 11 * 2 * 3, "transcendentals": 0}


@pytest.mark.parametrize(("out", "read"), [((8, 8), 16), ((2, 8), 8), ((2, 2), 4)])
def test_nearest_reads_what_it_takes(out: tuple[int, int], read: int) -> None:
    x = T("1,1,4,4", tied="a window")
    y, _ = rule_result(nn.upsample_nearest2d, x, out, None)
    cost: Any = REGISTRY[nn.upsample_nearest2d].cost
    assert cost(y, x.fact(), out, None).read_bytes == read * 4


def test_every_name_has_a_case() -> None:
    assert not uncovered(OPS, CASES)


def test_a_shuffle_of_unknown_channels_is_recorded() -> None:
    check(torch.pixel_shuffle, T("B,N+7,H,W"), 2, assumes=1)


@pytest.mark.parametrize(
    ("func", "args", "says"),
    [
        (nn.upsample_nearest2d, (X1, (2, 2), None), "expected 4"),
        (nn.upsample_nearest2d, (X2, None, None), "needs output_size"),
        (nn.upsample_nearest2d, (T("1,1,4,4", tied="a window"), None, [0.1, 0.1]), "would become 0"),
        (torch.grid_sampler, (X2, T("B,4,4,3", tied="a window"), 0, 0, False), "do not fit"),
        (torch.grid_sampler, (T("2,3,4,4", tied="a window"), T("3,4,4,2", tied="a window"), 0, 0, False), "batch"),
        (torch.grid_sampler, (X2, T("B,4,4,2", torch.float64, tied="a window"), 0, 0, False), "float64"),
        (torch.grid_sampler, (X3, T("B,4,4,4,3", tied="a window"), 2, 0, False), "bicubic"),
        (torch.affine_grid_generator, (T("B,2,2", tied="a window"), (2, 3, 4, 4), False), "does not fit"),
        (torch.affine_grid_generator, (T("3,2,3", tied="a window"), (2, 3, 4, 4), False), "batch"),
        (torch.pixel_shuffle, (T("2,6,4,4", tied="a window"), 2), "not a multiple of 4"),
        (torch.pixel_unshuffle, (T("2,6,4,5"), 2), "width 5"),
        (torch.pixel_shuffle, (T("4,4", tied="a window"), 2), "expected"),
        (torch.channel_shuffle, (T("2,6,4,4", tied="a window"), 4), "not a multiple of 4"),
    ],
)
def test_errors(func: Any, args: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        rule_result(func, *args)
