"""Tensors from sizes and numbers: shapes and dtypes against torch, work against definitions in counting scalars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from fxcount.errors import DataDependentError, ShapeError
from fxcount.ops import REGISTRY
from fxcount.ops.core.registry import Zero
from fxcount.ops.memory.factory import OPS
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import N, T, check, counted, rule_result, work

f16, f64, i32, i64 = torch.float16, torch.float64, torch.int32, torch.int64
X, XT = T("B,S,T", f16), T("B,T,S", i32, perm=(0, 2, 1))
S, TWO_S = N("S"), N("2*S")
NHWC = (0, 3, 1, 2)
WINDOWS = (torch.hann_window, torch.hamming_window, torch.blackman_window, torch.bartlett_window, torch.kaiser_window)

CASES = [
    call(torch.zeros, N("B"), S, 3),
    call(torch.zeros, (N("B"), S), dtype=i64),
    call(torch.ones, S, dtype=torch.complex64),
    call(torch.ones, ()),
    call(torch.empty, (N("B"), 3, S, N("T")), memory_format=torch.channels_last, on="cpu"),
    call(torch.full, (N("B"), S), 2),
    call(torch.full, (N("B"),), True),
    call(torch.full, (N("B"),), 2.5),
    call(torch.full, (N("B"),), 1j),
    call(torch.full, (N("B"),), S, dtype=f16),
    call(torch.scalar_tensor, 3),
    call(torch.zeros_like, XT),
    call(torch.zeros_like, XT, memory_format=torch.contiguous_format),
    call(torch.ones_like, X, dtype=torch.bool),
    call(torch.full_like, XT, 2.5),
    call(torch.empty_like, T("B,H,W,C", perm=NHWC)),
    call(torch.empty_like, T("B,C,H,W"), memory_format=torch.channels_last),
    call(torch.Tensor.new_zeros, X, N("B"), S),
    call(torch.Tensor.new_ones, XT, (N("B"), 2), dtype=f64),
    call(torch.Tensor.new_full, X, (S,), 1),
    call(torch.Tensor.new_empty, XT, ()),
    call(torch.Tensor.new, X, 3, 5, on="cpu"),
    call(torch.Tensor.new_tensor, X, [[1, 2, 3], [4, 5, 6]], on="cpu"),
    call(torch.Tensor.new_tensor, X, 1.0, on="cpu"),
    call(torch.empty_strided, (N("B"), S), (1, N("B"))),
    call(torch.Tensor.new_empty_strided, X, (N("B"), S), (N("3*S"), 3)),
    call(torch.empty_permuted, (N("B"), S, 4), (0, 2, 1)),
    call(torch.arange, S),
    call(torch.arange, 0.5, S),
    call(torch.arange, 0.9, 7.9, dtype=torch.int64, on="cpu"),
    call(torch.arange, N("B"), N("B+S")),
    call(torch.arange, 0, N("B*S"), S),
    call(torch.arange, 1, N("B*S+2"), N("2*S")),
    call(torch.arange, N("B*S"), 0, N("-S")),
    call(torch.arange, 0, N("2*S+1"), 2),
    call(torch.arange, N("3*S"), 0, -2),
    call(torch.arange, 0.0, S, 0.5),
    call(torch.arange, 0, 1, 0.3),
    call(torch.arange, 1.0, 5.5),
    call(torch.arange, 7, 1, -2, dtype=f16),
    call(torch.arange, end=S),
    call(torch.arange, start=1, end=TWO_S, step=3),
    call(torch.range, 1, S, on="cpu"),
    call(torch.range, 0, 1, 0.25, on="cpu"),
    call(torch.linspace, 0, 1, S),
    call(torch.linspace, 0, 7, 5, dtype=i64),
    call(torch.logspace, 0, 1, S, dtype=f64),
    *(call(window, 7) for window in WINDOWS),
    *(call(window, S, False, dtype=f64) for window in WINDOWS),
    call(torch.fft.fftfreq, S, 0.5),
    call(torch.fft.rfftfreq, TWO_S),
    call(torch.eye, S),
    call(torch.eye, S, N("T"), dtype=i64),
    call(torch.tril_indices, S, S, on="cpu"),
    call(torch.tril_indices, S, N("T"), 3, on="cpu"),
    call(torch.tril_indices, N("T"), S, -2, on="cpu", assumes=1),
    call(torch.triu_indices, S, N("S+2"), 1, dtype=i32, on="cpu"),
    call(torch.triu_indices, S, N("T"), -1, on="cpu", assumes=1),
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:torch.range is deprecated:UserWarning")
def test_shapes(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("rows", range(1, 7))
@pytest.mark.parametrize("columns", range(1, 7))
def test_triangles_of_every_offset(rows: int, columns: int) -> None:
    for offset in range(-7, 8):
        for func in (torch.tril_indices, torch.triu_indices):
            y, _ = rule_result(func, rows, columns, offset)
            assert tuple(y.shape) == func(rows, columns, offset).shape, (func, offset)


def test_an_offset_of_unknown_reach_is_recorded() -> None:
    check(torch.triu_indices, S, S, N("N"), device="cpu", assumes=None)


def test_devices() -> None:
    y, _ = rule_result(torch.zeros, (2,), device="meta")
    assert y.device.type == "meta"
    assert rule_result(torch.Tensor.new_zeros, X, (2,))[0].device.type == "meta"  # that of X
    assert rule_result(torch.zeros, (2,))[0].device.type == "cpu"
    assert rule_result(torch.zeros_like, X, device="cpu")[0].device.type == "cpu"


def _line(i: Any) -> Any:
    return 0.5 + i * 2.0


DEFINITIONS: list[tuple[Callable[..., Any], tuple[Any, ...], Callable[[Any], Any]]] = [
    (torch.arange, (0.0, 5.0), _line),
    (torch.range, (0.0, 4.0), _line),
    (torch.linspace, (0, 1, 5), _line),
    (torch.logspace, (0, 1, 5), lambda i: _line(i)._do("pow", 1.0)),
    (torch.hann_window, (5,), lambda i: 0.5 * (1.0 - (i * 0.3).call("cos"))),
    (torch.hamming_window, (5,), lambda i: 0.54 - 0.46 * (i * 0.3).call("cos")),
    (
        torch.blackman_window,
        (5,),
        lambda i: 0.42 - 0.5 * (i * 0.3).call("cos") + 0.08 * (i * 0.6).call("cos"),
    ),
    (torch.bartlett_window, (5,), lambda i: 1.0 - abs(i * 0.5 - 1.0)),
    (
        torch.kaiser_window,
        (5,),
        lambda i: (12.0 * (1.0 - _square((i - 2.0) / 2.0)).call("sqrt"))._do("exp", 1.0) / 18.0,
    ),
    (torch.fft.fftfreq, (5,), lambda i: i * 0.2),
    (torch.fft.rfftfreq, (8,), lambda i: i * 0.2),
]


def _square(x: Any) -> Any:
    return x * x


@pytest.mark.parametrize(("func", "args", "definition"), DEFINITIONS)
def test_work(func: Any, args: tuple[Any, ...], definition: Any) -> None:
    tally: Counter[str] = Counter()
    for i in counted(tally, 5):
        definition(i)
    done = work(func, *args)
    assert (done["flops"], done["transcendentals"]) == (tally["flops"], tally["transcendentals"])


def test_whole_numbers_are_not_flops() -> None:
    assert work(torch.arange, S)["flops"] == 0
    assert work(torch.linspace, 0, 7, 5, dtype=i64)["flops"] == 0


def test_bytes() -> None:
    y, _ = rule_result(torch.zeros_like, X)
    cost: Any = REGISTRY[torch.zeros_like].cost
    assert cost(y, X.fact()).read_bytes == 0
    empty = REGISTRY[torch.empty].cost
    assert isinstance(empty, Zero)
    assert not empty.moves


def test_every_name_has_a_case() -> None:
    assert not uncovered(OPS, CASES)


@pytest.mark.parametrize(
    ("func", "args", "says"),
    [
        (torch.zeros, ((2, -1),), "negative size -1"),
        (torch.arange, (5, 0), "not the direction"),
        (torch.arange, (S, N("S-3")), "not the direction"),
        (torch.arange, (0, 5, 0), "step is 0"),
    ],
)
def test_errors(func: Any, args: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        rule_result(func, *args)


def test_a_bound_that_is_data() -> None:
    with pytest.raises(DataDependentError, match="a bound is a tensor"):
        rule_result(torch.arange, T("", i64))
