"""Copy or view: at every size the formulas admit, bytes are written exactly where a real run makes a new storage."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import nn

import fxcount
from fxcount.ops.core.fact import contiguous_strides
from fxcount.ops.core.striding import is_dense, view_strides
from fxcount.symbolic import Scope, ceildiv, evaluate
from tests.oracles import tracked_peak

Recipe = Callable[[torch.Tensor], torch.Tensor]


class Calls(nn.Module):
    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.recipe(x)


def _windows(x: torch.Tensor) -> torch.Tensor:
    """Swin's: to multiples of 4, into windows of 4 x 4."""
    B, H, W, C = x.shape
    x = nn.functional.pad(x, (0, 0, 0, -W % 4, 0, -H % 4))
    H, W = x.shape[1], x.shape[2]
    x = x.view(B, H // 4, 4, W // 4, 4, C).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, C)
    x = x.view(B, H // 4, W // 4, 4, 4, C).permute(0, 1, 3, 2, 4, 5).reshape(B, H, W, C)
    return x[:, : H - 1, :W].contiguous()


def _cropped(x: torch.Tensor) -> torch.Tensor:
    """DaViT's: to multiples of 4, and back to what it was, which is all of it at some sizes."""
    H, W = x.shape[1], x.shape[2]
    return nn.functional.pad(x, (0, 0, 0, -W % 4, 0, -H % 4))[:, :H, :W].contiguous()


# name -> recipe, input, sizes to try for each symbol, what is assumed at the sample values of the name's suffix
RECIPES: dict[str, tuple[Recipe, str, dict[str, tuple[int, ...]]]] = {
    "transposed": (lambda x: x.transpose(1, 2).contiguous(), "B,S,H", {"B": (1, 3), "S": (1, 2, 5), "H": (1, 2, 7)}),
    "heads": (lambda x: x.transpose(1, 2).reshape(x.shape[0], -1, 12), "B,4,S,3", {"B": (1, 2, 5), "S": (1, 2, 7)}),
    "nhwc rows": (
        lambda x: x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]), "B,C,H,W",
        {"B": (1, 3), "C": (1, 2, 5), "H": (1, 2, 7), "W": (1, 2, 3)},
    ),
    "of 5 channels": (lambda x: x.permute(0, 2, 3, 1).flatten(0, 2), "B,5,H,W", {"B": (1, 3), "H": (1, 2), "W": (1, 4)}),
    "whole or slice": (lambda x: x[:, : x.shape[1] // 4 * 4].reshape(-1), "B,S", {"B": (1, 2), "S": (4, 5, 8, 11, 400)}),
    "last columns": (lambda x: x[:, -6:].contiguous(), "B,S", {"B": (1, 2), "S": (6, 7, 13)}),
    "split heads": (lambda x: x.transpose(1, 2).view(x.shape[0], 2, 2, 3), "B,3,4", {"B": (1, 2, 5)}),
    "every second": (lambda x: x[:, ::2].reshape(-1, 3), "B,S,3", {"B": (1, 2), "S": (1, 2, 3, 8)}),
    "expanded": (lambda x: x[:, None].expand(-1, x.shape[1], -1).reshape(x.shape[0], -1), "B,S", {"B": (1, 2), "S": (1, 2, 5)}),
    "windows": (_windows, "B,H,W,3", {"B": (1, 2), "H": (3, 4, 7, 8, 12), "W": (2, 4, 5, 8)}),
    "cropped": (_cropped, "B,H,W,3", {"B": (1, 2), "H": (1, 3, 4, 8, 9), "W": (1, 2, 4, 5, 8)}),
    "to a format": (
        lambda x: x.to(memory_format=torch.channels_last), "B,C,H,W", {"B": (1, 2), "C": (1, 3), "H": (1, 5), "W": (1, 2, 7)}
    ),
    "raveled": (lambda x: x.mT.ravel(), "B,S,3", {"B": (1, 2), "S": (1, 5)}),
}  # fmt: skip


def _copies(recipe: Recipe, x: torch.Tensor) -> int:
    """Bytes of the new storages of a real run: of every op whose result is not on the storage of an operand."""
    from torch.utils._python_dispatch import TorchDispatchMode

    written = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal written
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                known = {a.untyped_storage().data_ptr() for a in args if isinstance(a, torch.Tensor)}
                if result.untyped_storage().data_ptr() not in known and "empty" not in str(func):
                    written += result.nbytes
            return result

    with Watch():
        recipe(x)
    return written


def _points(sizes: dict[str, tuple[int, ...]]) -> list[dict[str, int]]:
    return [dict(zip(sizes, values, strict=True)) for values in product(*sizes.values())]


@pytest.mark.parametrize("name", RECIPES)
def test_bytes_are_written_where_torch_makes_a_storage(name: str) -> None:
    """At a hint of every kind: general sizes, sizes of 1, sizes at which strides happen to be equal."""
    recipe, spec, sizes = RECIPES[name]
    points = _points(sizes)
    real = {}
    for point in points:
        shape = [point.get(part) or int(part) for part in spec.split(",")]
        real[tuple(point.values())] = _copies(recipe, torch.zeros(shape))
    for hints in points[:: max(1, len(points) // 6)]:
        report = fxcount.analyze(Calls(recipe), spec, hints=hints)
        admitted = 0
        for point in points:
            try:
                at = report.at(**point, extend=False)
            except fxcount.AssumptionError:
                continue
            admitted += 1
            assert at.write_bytes == real[tuple(point.values())], (hints, point)
        assert admitted
        assert report.at(**hints).write_bytes == real[tuple(hints.values())]


def test_only_sizes_that_matter_are_assumed() -> None:
    """(B, 4, S, 3) with heads and rows exchanged is dense if it has one row, whatever the batch."""
    recipe, spec, _ = RECIPES["heads"]
    report = fxcount.analyze(Calls(recipe), spec)
    assert [str(a) for a in report.assumptions] == ["S >= 2"]
    assert report.at(B=1, S=7).write_bytes == 7 * 12 * 4


@pytest.mark.parametrize("hint", [1, 2, 5])
def test_a_view_after_a_transpose_keeps_the_batch(hint: int) -> None:
    report = fxcount.analyze(Calls(lambda x: x.transpose(1, 2).view(x.size(0), 2, 2, 3).exp()), "B,3,4", hints={"B": hint})
    assert not report.assumptions
    assert [report.at(B=B).flops for B in (1, 2, 7)] == [12, 24, 84]


@pytest.mark.parametrize("hint", [1, 5])
def test_is_contiguous_is_an_assumption(hint: int) -> None:
    """(1, S, 7) transposed is contiguous where S is 1: the branch the model takes there is another one."""
    model = Calls(lambda x: x.exp() if x.transpose(1, 2).is_contiguous() else x)
    report = fxcount.analyze(model, "3,S,7", hints={"S": hint})
    assert [str(a) for a in report.assumptions] == ["S == 1" if hint == 1 else "S >= 2"]
    assert report.at(S=hint).flops == (21 if hint == 1 else 0)


def _kept(x: torch.Tensor) -> torch.Tensor:
    """What is a view of ``y`` at some sizes keeps all of it alive there, and nothing of it at others."""
    y = x.exp()
    z = y[:, : x.shape[1] // 4 * 4].reshape(x.shape[0], -1, 2).contiguous()
    del y
    w = z.exp() + z.exp()
    return w.sum() + z.sum()


@pytest.mark.parametrize("hint", [8, 11])
def test_a_view_keeps_memory_alive_and_a_copy_does_not(hint: int) -> None:
    report = fxcount.analyze(Calls(_kept), "B,S", hints={"B": 3, "S": hint})
    for S in (4, 7, 8, 11, 402):
        at = report.at(B=3, S=S)
        assert at.memory.peak == tracked_peak(Calls(_kept), (torch.zeros(3, S),)), S


def test_a_view_of_a_number_of_rows_that_two_sizes_make_up() -> None:
    """3136 rows as 56 x 56: what a position embedding of a fixed number of patches makes known of the patches."""
    scope = Scope({"B": 2, "H": 224, "W": 224})
    b, h, w = (scope.symbols[n] for n in "BHW")
    assert scope.same((h // 4) * (w // 4), 3136, "positions")
    strides = view_strides(scope, (b, 3136, 96), (301056, 1, 3136), (b, h // 4, w // 4, 96))
    assert strides is not None
    at = {"B": 2, "H": 224, "W": 224}
    x = torch.empty(2, 96, 3136).mT.view(2, 56, 56, 96)
    assert [evaluate(s, at) for s in strides] == list(x.stride())


def test_a_difference_that_is_none_only_where_a_size_is_1() -> None:
    """Every second of one row is all of it, and contiguous; of two rows it is not, though one row is left, too."""
    scope = Scope({"B": 2, "H": 5, "W": 7})
    b, h, w = (scope.symbols[n] for n in "BHW")
    rows = (b, 4, ceildiv(h, 2), w)
    assert not is_dense(scope, rows, (4 * h * w, h * w, 2 * w, 1), contiguous_strides(rows))
    for height in (1, 2, 3):
        plain = torch.empty(2, 4, height, 7)[:, :, ::2].is_contiguous()
        assert plain == (height == 1)
        assert all(a.holds({"B": 2, "H": height, "W": 7}) for a in scope.assumptions) == (not plain)


def test_a_crop_of_a_padded_map_says_where_it_is_the_whole() -> None:
    """The distances to the special cases are sizes whose sign is known: no absolute value is left in the formula."""
    report = fxcount.analyze(Calls(_cropped), "B,H,W,3", hints={"B": 2, "H": 8, "W": 8})
    assert "Max" not in str(report.write_bytes)
    for height, width in ((8, 12), (8, 11), (7, 12), (5, 3)):
        assert report.at(B=2, H=height, W=width).write_bytes == _copies(_cropped, torch.zeros(2, height, width, 3))


def test_windows_of_maps_that_they_divide_keep_their_formulas() -> None:
    """Windows of 7 in maps of H/4 by W/4, twice, as MaxViT cuts them: that 28 divides H and W is known by then."""

    class Windows(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.nn.functional.avg_pool2d(x, 4).permute(0, 2, 3, 1)
            for _ in range(2):
                B, H, W, C = x.shape
                assert H % 7 == 0
                assert W % 7 == 0
                cut = x.view(B, H // 7, 7, W // 7, 7, C).permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, 7, 7, C)
                cut = cut @ torch.ones(5, 5, device=cut.device)
                x = cut.view(B, H // 7, W // 7, 7, 7, C).permute(0, 1, 3, 2, 4, 5).contiguous().view(B, H, W, C)
            return x

    model = Windows()
    report = fxcount.analyze(model, "B,5,H,W", hints={"B": 2, "H": 112, "W": 140})
    for sizes in ({"B": 3, "H": 84, "W": 56}, {"B": 1, "H": 28, "W": 196}, {"B": 2, "H": 56, "W": 28}):
        fresh = fxcount.analyze(model, f"{sizes['B']},5,{sizes['H']},{sizes['W']}")
        there = report.at(**sizes)
        assert (there.read_bytes, there.write_bytes, there.memory.peak) == (
            fresh.read_bytes, fresh.write_bytes, fresh.memory.peak
        )  # fmt: skip
