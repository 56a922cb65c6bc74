"""Fourier transforms: shapes and layouts against torch, work against a radix-2 transform of counting scalars."""

from __future__ import annotations

import cmath
from collections import Counter
from typing import Any

import pytest
import torch

from fxcount.errors import ShapeError, UnsupportedError
from fxcount.ops import REGISTRY
from fxcount.ops.spatial.fft import OPS, log2_ceil
from fxcount.symbolic import evaluate, symbol
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import T, counted, rule_result, work

fft = torch.fft
c64 = torch.complex64
SWAP = (0, 2, 3, 1)
X, Z = T("B,5,7,8"), T("B,5,7,8", c64)
XT, ZT = T("B,5,7,8", perm=SWAP), T("B,5,7,8", c64, perm=SWAP)
HALF = ("rfft", "ihfft")

ONE = [
    call(getattr(fft, name), x, *args, on="cpu")
    for name in ("fft", "ifft", "rfft", "ihfft", "irfft", "hfft")
    for x in ((X, XT, T("B,6", torch.int64)) if name in HALF else (X, XT, Z, ZT))
    for args in ((), (None, 1), (6,))
]
MANY = [
    call(getattr(fft, name + suffix), x, *args, on="cpu")
    for name in ("fft", "ifft", "rfft", "ihfft", "irfft", "hfft")
    for suffix in ("2", "n")
    for x in ((X, XT) if name in HALF else (X, Z, ZT))
    for args in (((), (None, (1, 2, 3)), (None, (2, 1)), ((4, 6), (1, 3))) if suffix == "n" else ((), ((4, 6),)))
    if args or suffix == "2" or x.shape.startswith("3")
]
OTHERS = [
    call(torch._fft_c2c, ZT, [1, 3], 0, True, on="cpu"),
    call(torch._fft_r2c, XT, [1, 3], 0, True, on="cpu"),
    call(torch._fft_r2c, X, [3], 0, False, on="cpu"),
    call(torch._fft_c2r, ZT, [1, 3], 0, 8, on="cpu"),
    call(fft.fftn, T("3,5,8", c64), on="cpu"),
    call(fft.irfftn, T("3,5,8", c64), (4, 6), on="cpu"),
    call(fft.fftshift, XT, on="cpu"),
    call(fft.ifftshift, X, 1, on="cpu"),
]


@pytest.mark.parametrize("case", [*ONE, *MANY, *OTHERS])
def test_shapes(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("case", [*ONE, *OTHERS])
def test_what_torch_holds(case: Case) -> None:
    case.assert_held()


@pytest.mark.parametrize("case", [c for c in MANY if "(4, 6)" not in str(c.values[0].args)])
def test_what_torch_holds_in_several_dimensions(case: Case) -> None:
    case.assert_held()


def test_a_symbolic_size_is_counted_exactly_at_every_size() -> None:
    y, scope = rule_result(fft.fft, T("B,S", c64))
    assert [str(a) for a in scope.assumptions] == ["S <= 16777216"]
    cost: Any = REGISTRY[fft.fft].cost
    flops = cost(y, T("B,S", c64).fact()).flops
    for n, bits in ((64, 6), (65, 7), (128, 7), (129, 8), (2**24, 24)):
        assert evaluate(flops, {"B": 3, "S": n}) == 3 * 5 * n * bits


def test_a_size_beyond_the_formula_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="no formula"):
        rule_result(fft.fft, T("S", c64), hint={"S": 2**25})
    assert rule_result(fft.fft, T(f"{2**25}", c64))[0].shape == (2**25,)


def test_logarithms() -> None:
    size = log2_ceil(symbol("n"))
    for n in (1, 2, 3, 4, 5, 1023, 1024, 1025):
        wanted = next(k for k in range(20) if 2**k >= n)
        assert log2_ceil(n) == evaluate(size, {"n": n}) == wanted


Pair = tuple[Any, Any]


def _radix2(x: list[Pair]) -> list[Pair]:
    """Cooley and Tukey's transform; every twiddle is multiplied, also 1."""
    if len(x) == 1:
        return x
    even, odd = _radix2(x[::2]), _radix2(x[1::2])
    out: list[Pair] = [(0.0, 0.0)] * len(x)
    for k, ((ar, ai), (br, bi)) in enumerate(zip(even, odd)):
        w = cmath.exp(-2j * cmath.pi * k / len(x))
        tr, ti = br * w.real - bi * w.imag, br * w.imag + bi * w.real
        out[k], out[k + len(even)] = (ar + tr, ai + ti), (ar - tr, ai - ti)
    return out


def _transform_flops(n: int) -> int:
    tally: Counter[str] = Counter()
    values = [(re, im) for re, im in zip(counted(tally, n), counted(tally, n))]
    wanted = torch.fft.fft(torch.tensor([complex(re.value, im.value) for re, im in values], dtype=torch.complex128))
    got = _radix2(values)
    assert max(abs(complex(re.value, im.value) - w) for (re, im), w in zip(got, wanted.tolist())) < 1e-9
    return tally["flops"]


@pytest.mark.parametrize("n", [2, 8, 32])
def test_work_in_one_dimension(n: int) -> None:
    full, half = _transform_flops(n), _transform_flops(n) // 2
    z, x = T(f"3,{n}", c64), T(f"3,{n}")
    assert work(fft.fft, z)["flops"] == 3 * full
    assert work(fft.ifft, z)["flops"] == 3 * (full + 2 * n)  # each real number of the result is scaled
    assert work(fft.fft, z, norm="ortho")["flops"] == 3 * (full + 2 * n)
    assert work(fft.ifft, z, norm="forward")["flops"] == 3 * full
    assert work(fft.fft, x)["flops"] == work(fft.rfft, x)["flops"] == 3 * half
    assert work(fft.ihfft, x)["flops"] == 3 * (half + 2 * (n // 2 + 1))
    spectrum = T(f"3,{n // 2 + 1}", c64)
    assert work(fft.irfft, spectrum)["flops"] == 3 * (half + n)
    assert work(fft.hfft, spectrum)["flops"] == 3 * half
    assert work(torch._fft_c2r, spectrum, [1], 2, n)["flops"] == 3 * (half + n)
    assert work(torch._fft_r2c, x, [1], 0, True)["flops"] == 3 * half
    assert work(torch._fft_c2c, z, [1], 0, True)["flops"] == 3 * full


def test_work_in_two_dimensions() -> None:
    """8 rows of 16: the rows are transformed, then the 16 (of a real transform the 9 kept) columns."""
    row, column = _transform_flops(16), _transform_flops(8)
    assert work(fft.fft2, T("3,8,16", c64))["flops"] == 3 * (8 * row + 16 * column)
    assert work(fft.rfft2, T("3,8,16"))["flops"] == 3 * (8 * row // 2 + 9 * column)
    assert work(fft.irfft2, T("3,8,9", c64))["flops"] == 3 * (8 * row // 2 + 9 * column + 8 * 16)
    assert work(fft.irfftn, T("3,8,9", c64), (8, 16))["flops"] == 3 * (8 * row // 2 + 9 * column + 8 * 16)
    assert work(fft.rfftn, T("3,8,12"), (8, 16))["flops"] == 3 * (8 * row // 2 + 9 * column)


def test_every_name_has_a_case() -> None:
    assert not uncovered(OPS, [*ONE, *MANY, *OTHERS])
    assert REGISTRY[torch.ops.aten.fft_rfft.default].name == "fft.rfft"


@pytest.mark.parametrize(
    ("func", "args", "says"),
    [
        (fft.rfft, (Z,), "expected real numbers"),
        (fft.fft, (X, None, 4), "out of range"),
        (fft.irfft, (T("3,1", c64),), "0 elements"),
        (fft.fftn, (Z, (4, 6), (1,)), "2 sizes for 1 dimensions"),
    ],
)
def test_errors(func: Any, args: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        rule_result(func, *args)
