"""Pooling: shapes and layouts against torch, work against window loops over counting scalars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import product
from math import gcd, prod
from typing import Any

import pytest
import torch

import fxcount
from fxcount.errors import AssumptionError, ShapeError
from fxcount.ops import REGISTRY
from fxcount.ops.core.fact import TensorFact
from fxcount.ops.spatial.pooling import OPS, gcd_size
from fxcount.symbolic import Scope, evaluate, symbol
from tests.ops.cases import uncovered
from tests.ops.harness import N, T, check, counted, rule_result, work
from tests.ops.tracker import assert_held

nn = torch._C._nn
NCHW, NCDHW, NCL = "B,C,H,W", "B,C,N+7,M+7,K+5", "B,C,L"
LAST = T("B,H,W,C", perm=(0, 3, 1, 2))
LAST_3D = T("B,N+7,M+7,K+5,C", perm=(0, 4, 1, 2, 3))

WINDOWS: list[tuple[Any, ...]] = [
    (torch.max_pool1d, T(NCL), 3, 2, 1),
    (torch.max_pool1d, T("C,L"), 2),
    (torch.max_pool1d_with_indices, T("B,L,C", perm=(0, 2, 1)), 3, 2, 1),
    (torch.max_pool2d, T(NCHW), 3, 2, 1),
    (torch.max_pool2d, LAST, (3, 2), (2, 1), (1, 0), (2, 1)),
    (torch.max_pool2d, T("C,H,W"), 2, 2, 0, 1, True),
    (torch.max_pool2d, T("B,C,W,H", perm=(0, 1, 3, 2)), 2),
    (nn.max_pool2d_with_indices, LAST, 3, 2, 1, 1, True),
    (torch.max_pool3d, T(NCDHW), 2),
    (nn.max_pool3d_with_indices, LAST_3D, 3, 2, 1),
    (torch.avg_pool1d, T(NCL), 4, 3, 2, True),
    (nn.avg_pool2d, T(NCHW), 3, 2, 1, True, False),
    (nn.avg_pool2d, LAST, 3, 1, 1, False, True, 5),
    (nn.avg_pool2d, T(NCHW), (N("H"), N("W"))),
    (nn.avg_pool3d, LAST_3D, 2, 2, 0, True),
]


def _name(case: tuple[Any, ...]) -> str:
    return str(case[0].__name__)


@pytest.mark.parametrize("case", WINDOWS, ids=_name)
def test_windows(case: tuple[Any, ...]) -> None:
    check(*case, assumes=None, device="cpu")


EMPTY = [
    (torch.max_pool1d, (0, 12), 2), (torch.max_pool1d, (2, 0, 12), 2), (torch.max_pool1d, (0, 3, 12), 2),
    (torch.max_pool2d, (0, 12, 12), 2), (torch.max_pool2d, (2, 0, 12, 12), 2), (torch.max_pool2d, (0, 3, 12, 12), 2),
    (nn.avg_pool2d, (2, 0, 12, 12), 2), (nn.avg_pool2d, (0, 3, 12, 12), 2), (torch.avg_pool1d, (2, 3, 0), 2, 2, 1),
    (nn.adaptive_avg_pool2d, (2, 0, 12, 12), 2), (nn.adaptive_avg_pool2d, (2, 3, 0, 12), 2),
    (torch.adaptive_max_pool1d, (0, 12), 2), (torch.adaptive_max_pool1d, (2, 0, 12), 2),
]  # fmt: skip


@pytest.mark.parametrize("case", EMPTY, ids=lambda case: f"{case[0].__name__}{case[1]}")
def test_only_a_batch_may_be_empty(case: tuple[Any, ...]) -> None:
    function, shape, *rest = case

    def run(x: torch.Tensor) -> torch.Tensor:
        y = function(x, *rest)
        pooled: torch.Tensor = y[0] if isinstance(y, tuple) else y
        return pooled

    try:
        real = tuple(run(torch.ones(shape)).shape)
    except RuntimeError:
        with pytest.raises(ShapeError):
            fxcount.analyze(lambda x: run(x[tuple([slice(n) for n in shape])]), ",".join(["13"] * len(shape)))
    else:
        report = fxcount.analyze(lambda x: run(x[tuple([slice(n) for n in shape])]), ",".join(["13"] * len(shape)))
        assert report.trace.values_out()[0].fact.shape == real


def test_half_of_a_batch_of_one_is_not_pooled() -> None:
    report = fxcount.analyze(lambda x: torch.max_pool1d(x.tensor_split(2)[1] * 1, 2), "B,12", hints={"B": 3})
    assert report.at(B=5, extend=False).trace.values_out()[0].fact.shape
    with pytest.raises(AssumptionError):
        report.at(B=1, extend=False)


@pytest.mark.parametrize("n", range(5, 30))
@pytest.mark.parametrize(
    ("k", "s", "p", "d"), [(2, 2, 0, 1), (3, 2, 1, 1), (3, 5, 1, 1), (2, 3, 1, 1), (3, 3, 1, 2), (4, 7, 2, 1)]
)
def test_ceil_mode_drops_windows_that_start_in_the_padding(n: int, k: int, s: int, p: int, d: int) -> None:
    fact = TensorFact((1, symbol("H"), 50), torch.float32)
    y = REGISTRY[torch.max_pool2d].shape(Scope({"H": n}), fact, (k, 1), (s, 1), (p, 0), (d, 1), True)
    assert isinstance(y, TensorFact)
    wanted = torch.max_pool2d(torch.empty(1, n, 50, device="meta"), (k, 1), (s, 1), (p, 0), (d, 1), True)
    assert evaluate(y.shape[1], {"H": n}) == wanted.shape[1]


def test_windows_that_fit_by_algebra_assume_nothing() -> None:
    check(torch.max_pool2d, T("B,C,2*H,2*W"), 3, 2, 1)
    check(torch.max_pool2d, T("B,C,2*H,2*W"), 2)


def test_a_window_that_may_not_fit_is_recorded() -> None:
    _, scope = rule_result(torch.max_pool2d, T(NCHW), 3, 2)
    assert [str(a) for a in scope.assumptions] == ["H >= 3", "W >= 3"]


ADAPTIVE: list[tuple[Any, ...]] = [
    (torch.adaptive_avg_pool1d, T(NCL), 7),
    (nn.adaptive_avg_pool2d, T(NCHW), (7, None)),
    (nn.adaptive_avg_pool2d, LAST, (1, 1)),
    (nn.adaptive_avg_pool2d, LAST, (6, 4)),
    (torch._adaptive_avg_pool2d, T("C,H,W"), (2, 5)),
    (nn.adaptive_avg_pool3d, LAST_3D, (2, None, 3)),
    (torch.adaptive_max_pool1d, T(NCL), 5),
    (nn.adaptive_max_pool2d, LAST, (6, 4)),
    (nn.adaptive_max_pool3d, LAST_3D, (2, 4, 3)),
    (nn.adaptive_avg_pool2d, T("B,C,2*H,3*W"), (N("H"), N("6*W"))),
]


@pytest.mark.parametrize("case", ADAPTIVE, ids=_name)
def test_adaptive(case: tuple[Any, ...]) -> None:
    func, x, size = case
    if isinstance(size, tuple) and None in size:  # ATen itself wants sizes; torch.nn.functional fills them in
        spatial = ("N+7", "M+7", "K+5") if func is nn.adaptive_avg_pool3d else ("H", "W")
        filled = tuple(N(s) if o is None else o for s, o in zip(spatial, size))
        assert rule_result(func, x, size)[0] == rule_result(func, x, filled)[0]
        size = filled
    check(func, x, size, device="cpu")


def test_adaptive_to_an_unrelated_symbol_pins_it() -> None:
    y, scope = rule_result(nn.adaptive_avg_pool2d, T(NCHW), (N("K"), N("W")))
    assert y.shape[2:] == (11, symbol("W"))
    assert [str(a) for a in scope.assumptions] == ["K == 11 (pinned)"]


@pytest.mark.parametrize("m", [1, 2, 6, 7, 12])
def test_gcd_formula(m: int) -> None:
    size = gcd_size(symbol("n"), m)
    assert size is not None
    assert [evaluate(size, {"n": n}) for n in range(1, 60)] == [gcd(n, m) for n in range(1, 60)]


def _windows(n: int, k: int, s: int, p: int) -> list[range]:
    return [range(start, start + k) for start in range(-p, n + p - k + 1, s)]


def _adaptive_windows(n: int, m: int) -> list[range]:
    return [range(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]


def _pool(lead: int, windows: list[list[range]], average: bool) -> Counter[str]:
    """Every window as a loop; places in the padding hold a number too."""
    tally: Counter[str] = Counter()
    for _ in range(lead):
        for window in product(*windows):
            values = counted(tally, prod(map(len, window)))
            result = values[0]
            for value in values[1:]:
                if average:
                    result = result + value
                else:
                    result = value if value > result else result
            if average:
                result = result / len(values)
    return tally


AT = {"B": 2, "C": 3, "H": 11, "W": 8, "L": 9, "N": 4, "M": 5, "K": 6}


@pytest.mark.parametrize(
    ("func", "shape", "args", "average"),
    [
        (torch.max_pool1d, "B,C,L", ((3,), (2,), (1,)), False),
        (torch.max_pool1d_with_indices, "B,C,L", ((3,), (2,), (1,)), False),
        (torch.max_pool2d, "B,C,H,W", ((3, 2), (2, 1), (1, 0)), False),
        (nn.max_pool2d_with_indices, "B,C,H,W", ((3, 2), (2, 1), (1, 0)), False),
        (torch.max_pool3d, "C,N,M,K", ((2, 2, 3), (1, 2, 3), (0, 1, 0)), False),
        (nn.max_pool3d_with_indices, "C,N,M,K", ((2, 2, 3), (1, 2, 3), (0, 1, 0)), False),
        (torch.avg_pool1d, "C,L", ((3,), (2,), (1,)), True),
        (nn.avg_pool2d, "B,C,H,W", ((3, 2), (2, 1), (1, 0)), True),
        (nn.avg_pool3d, "C,N,M,K", ((2, 2, 3), (1, 2, 3), (0, 1, 0)), True),
    ],
)
def test_work_of_windows(func: Any, shape: str, args: tuple[Any, ...], average: bool) -> None:
    sizes = [evaluate(s, AT) for s in T(shape).sizes()]
    n = len(args[0])
    windows = [_windows(*dim) for dim in zip(sizes[-n:], *args)]
    tally = _pool(prod(sizes[:-n]), windows, average)
    assert work(func, T(shape), *args, values=AT) == {"macs": 0, "flops": tally["flops"], "transcendentals": 0}


@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize(
    ("shape", "out"),
    [("B,C,L", (4,)), ("B,C,L", (12,)), ("B,C,H,W", (3, 6)), ("B,C,H,W", (1, 1)), ("C,N,M,K", (3, 5, 4))],
)
def test_work_of_adaptive_windows(shape: str, out: tuple[int, ...], average: bool) -> None:
    n = len(out)
    kind = "avg" if average else "max"
    func = getattr(nn if n > 1 else torch, f"adaptive_{kind}_pool{n}d")
    sizes = [evaluate(s, AT) for s in T(shape).sizes()]
    windows = [_adaptive_windows(i, o) for i, o in zip(sizes[-n:], out)]
    tally = _pool(prod(sizes[:-n]), windows, average)
    assert work(func, T(shape), out, values=AT)["flops"] == tally["flops"]


def test_divisible_adaptive_pooling_is_a_short_formula() -> None:
    y, _ = rule_result(nn.adaptive_avg_pool2d, T("B,C,7*H,7*W"), (7, 7))
    cost: Any = REGISTRY[nn.adaptive_avg_pool2d].cost
    B, C, H, W = map(symbol, "BCHW")
    assert cost(y, T("B,C,7*H,7*W").fact(), (7, 7)).flops == 49 * B * C * H * W


@pytest.mark.parametrize(
    ("fractional", "unpool", "n"),
    [(nn.fractional_max_pool2d, nn.max_unpool2d, 2), (nn.fractional_max_pool3d, nn.max_unpool3d, 3)],
)
def test_fractional_and_unpool(fractional: Callable[..., Any], unpool: Callable[..., Any], n: int) -> None:
    size = (3, 4, 5)[:n]
    x = T("B,C,N+7,M+7,K+5" if n == 3 else "B,C,H,W")
    check(fractional, x, [2] * n, size, T(f"B,C,{n}"), device="cpu", assumes=None)
    indices = T(x.shape, torch.int64)
    extra = ((2,) * n, (0,) * n) if n == 3 else ()
    big = tuple(N(f"2*({s})") for s in x.shape.split(",")[2:])
    check(unpool, x, indices, big, *extra, device="cpu")
    big_enough = {"B": 5, "C": 7, "H": 20, "W": 22, "N": 4, "M": 6, "K": 9}
    tally = _pool(5 * 7 * prod(size), [[range(2)]] * n, average=False)
    assert work(fractional, x, [2] * n, size, T(f"B,C,{n}"), values=big_enough)["flops"] == tally["flops"]


def test_integers_are_not_flops() -> None:
    assert work(torch.max_pool2d, T(NCHW, torch.int64), 2)["flops"] == 0


@pytest.mark.parametrize("case", [c for c in (*WINDOWS, *ADAPTIVE) if "None" not in str(c[2])], ids=_name)
def test_what_torch_holds(case: tuple[Any, ...]) -> None:
    assert_held(*case)


@pytest.mark.parametrize(
    ("func", "args", "says"),
    [
        (torch.max_pool2d, (T("H,W"), 2), "expected 3 or 4"),
        (torch.max_pool2d, (T("1,1,8,9"), 2, 2, 2), "padding 2"),
        (torch.max_pool2d, (T("1,1,8,9"), 9), "smaller than the kernel"),
        (torch.max_pool2d, (T("1,1,8,9"), 2, 0), "stride 0"),
        (nn.avg_pool2d, (T("1,1,8,9"), 2, 2, 0, False, True, 0), "divisor_override"),
        (nn.adaptive_avg_pool2d, (T("1,1,8,9"), (1, 2, 3)), "needs 2 sizes"),
        (nn.fractional_max_pool2d, (T("1,1,8,9"), 2, (8, 8), T("1,1,2")), "do not fit"),
        (nn.max_unpool2d, (T("1,1,8,9"), T("1,1,8,7", torch.int64), (9, 9)), "do not match"),
    ],
)
def test_errors(func: Any, args: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        rule_result(func, *args)


def test_every_name_has_a_case() -> None:
    others = [getattr(nn, f"{name}{n}d") for name in ("fractional_max_pool", "max_unpool") for n in (2, 3)]
    aten = torch._adaptive_avg_pool3d  # the op of adaptive_avg_pool3d, under ATen's name
    assert not uncovered(OPS, [*(case[0] for case in (*WINDOWS, *ADAPTIVE)), *others, aten])
    assert REGISTRY[aten] is REGISTRY[nn.adaptive_avg_pool3d]
