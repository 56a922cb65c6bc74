"""torchvision's ops: shapes by definition, work against loops over counting scalars; torchvision is not needed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from fxcount.errors import ShapeError, UncountedError
from fxcount.ops import REGISTRY
from fxcount.ops.spatial.vision import OPS
from fxcount.symbolic import Scope, evaluate
from tests.ops.harness import SIZES, T, _map, counted, symbolic


def shape(name: str, *args: Any) -> Any:
    return REGISTRY.named(f"torchvision_{name}").shape(Scope(dict(SIZES[0])), *_map(args, symbolic))


def flops(name: str, *args: Any) -> tuple[Any, Any]:
    cost: Any = REGISTRY.named(f"torchvision_{name}").cost
    done = cost(shape(name, *args), *_map(args, symbolic))
    return done.macs, done.flops


X, ROIS = T("B,C,H,W"), T("K,5")


def _deform(x: str, w: str, offset: str, mask: str, groups: Any, offset_groups: int, use_mask: bool) -> tuple[Any, ...]:
    out = T(w, tied="a window").sizes()[0]
    operands = (T(x, tied="a window"), T(w, tied="a window"), T(offset), T(mask), T(str(out)))
    return (*operands, 2, 1, 1, 1, 1, 1, groups, offset_groups, use_mask)


def test_shapes() -> None:
    assert shape("roi_align", X, ROIS, 0.25, 7, 5, 2, False).shape == T("K,C,7,5").sizes()
    assert [y.shape for y in shape("roi_pool", X, ROIS, 0.25, 7, 5)] == [T("K,C,7,5").sizes()] * 2
    for name, args in (("ps_roi_align", (2,)), ("ps_roi_pool", ())):
        y, taken = shape(name, T("B,12*C,H,W"), ROIS, 0.25, 3, 4, *args)
        assert y.shape == taken.shape == T("K,C,3,4").sizes()
        assert str(taken.dtype) == "torch.int32"
    y = shape("deform_conv2d", *_deform("B,6,2*H,W", "8,3,3,3", "B,36,H,W", "B,18,H,W", 2, 2, True))
    assert y.shape == T("B,8,H,W").sizes()


def _bilinear(tally: Counter[str]) -> Any:
    a, b, c, d = counted(tally, 4)
    u, v, w, x = (0.1, 0.2, 0.3, 0.4)
    return a * u + b * v + c * w + d * x


def _weights(y: Any, x: Any) -> None:
    """Floors, fractions, their complements, and the four products."""
    fractions = []
    for p in (y, x):
        low = p.call("floor")
        t = p - low
        fractions.append((t, 1.0 - t))
    [a * b for a in fractions[0] for b in fractions[1]]


def _aligned(rois: int, channels: int, height: int, width: int, g: int, own_bins: bool) -> int:
    tally: Counter[str] = Counter()
    for _ in range(rois * height * width * (channels if own_bins else 1)):
        for _ in range(g * g):
            start, size, i, s = counted(tally, 4)
            places = [start + i * size + (s + 0.5) * size / float(g) for _ in range(2)]
            _weights(*places)
        for _ in range(1 if own_bins else channels):
            total = _bilinear(tally)
            for _ in range(g * g - 1):
                total = total + _bilinear(tally)
            total / float(g * g)
    return tally["flops"]


@pytest.mark.parametrize("g", [1, 2])
def test_work_of_roi_align(g: int) -> None:
    assert flops("roi_align", T("1,6,9,11"), T("3,5"), 0.25, 2, 5, g, True) == (0, _aligned(3, 6, 2, 5, g, False))
    assert flops("ps_roi_align", T("1,6,9,11"), T("3,5"), 0.25, 1, 2, g) == (0, _aligned(3, 3, 1, 2, g, True))


@pytest.mark.parametrize("use_mask", [False, True])
def test_work_of_deformable_convolution(use_mask: bool) -> None:
    """One image of 4 channels to 2, kernel 3x2, 2 groups and 2 offset groups, 3x5 outputs."""
    tally: Counter[str] = Counter()
    places = 3 * 5 * 3 * 2
    for _ in range(places):
        for _ in range(2):
            offset = counted(tally, 2)
            _weights(1.0 + offset[0], 1.0 + offset[1])
        for _ in range(4):
            value = _bilinear(tally)
            if use_mask:
                value * 0.5
    for _ in range(2 * 3 * 5):
        total = counted(tally)
        for a, b in zip(counted(tally, 2 * 3 * 2), counted(tally, 2 * 3 * 2)):
            total = total.fma(a, b)
        total + 1.0
    x, weight = T("1,4,5,4", tied="of the loops"), T("2,2,3,2", tied="of the loops")
    args = (x, weight, T("1,24,3,5"), T("1,12,3,5"), T("2"), 2, 1, 1, 1, 1, 1, 2, 2, use_mask)
    assert flops("deform_conv2d", *args) == (tally["macs"], tally["flops"])


def test_work_that_depends_on_the_boxes() -> None:
    with pytest.raises(UncountedError, match="sampling_ratio"):
        flops("roi_align", X, ROIS, 0.25, 7, 7, -1, False)
    for name in ("roi_pool", "ps_roi_pool"):
        with pytest.raises(UncountedError, match="depends on the boxes"):
            flops(name, T("B,49,H,W"), ROIS, 0.25, 7, 7)


def test_symbolic_work_has_the_symbols() -> None:
    _, done = flops("roi_align", X, ROIS, 0.25, 3, 5, 2, False)
    assert evaluate(done, SIZES[1]) == _aligned(19, 7, 3, 5, 2, False)


@pytest.mark.parametrize(
    ("name", "args", "says"),
    [
        ("roi_align", (X, T("K,4"), 0.25, 7, 7, 2, False), "image number and box"),
        ("ps_roi_align", (T("1,6,9,11"), ROIS, 0.25, 2, 2, 2), "not a multiple of 4"),
        ("deform_conv2d", _deform("1,5,8,8", "8,3,3,3", "1,18,4,8", "1,9,4,8", 2, 1, True), "5 channels"),
        ("deform_conv2d", _deform("1,6,8,8", "8,3,3,3", "1,18,4,7", "1,9,4,8", 2, 1, True), "offset is"),
    ],
)
def test_errors(name: str, args: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        shape(name, *args)


def test_every_op_has_a_case() -> None:
    tested = {"roi_align", "ps_roi_align", "roi_pool", "ps_roi_pool", "deform_conv2d"}
    assert {entry.name for entry in OPS} == {f"torchvision.{name}" for name in tested}
