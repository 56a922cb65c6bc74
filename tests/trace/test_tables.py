"""Sizes that travel in tensors, quotients of sizes as arguments, and vmap over positions: exact at every size."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.torch_private import VERSION


class Pyramid(nn.Module):
    """Packs feature maps and takes them apart again by a tensor of their shapes, as deformable attention does."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        shapes = torch.as_tensor([x.shape[2:], y.shape[2:]], dtype=torch.long, device=x.device)
        starts = torch.cat((shapes.new_zeros((1,)), shapes.prod(1).cumsum(0)[:-1]))
        packed = torch.cat([x.flatten(2), y.flatten(2)], 2)
        pieces = packed.split([h * w for h, w in shapes.tolist()], dim=2)
        maps = [p.reshape(*p.shape[:2], h, w) for p, (h, w) in zip(pieces, shapes)]
        halves = (shapes.float() / 2).ceil().long()
        rows = (shapes[:, 0] * shapes[:, 1]).sum()
        ones = torch.arange(shapes[0, 0], shapes[0, 0] + 3)  # sizes that are tensors themselves
        return *maps, torch.zeros(starts[1].item(), 3), torch.zeros(halves[0, 1].item()), torch.zeros(rows.item()), ones


class Ratios(nn.Module):
    """Coordinates made of quotients of sizes."""

    def forward(self, x: torch.Tensor) -> Any:
        h, w = x.shape[-2:]
        grid = torch.linspace(0.5, h - 0.5, h) / h
        squares = torch.zeros(h * h * w, 2)  # the rows of its size hold a power
        return x * (h / w) + grid[:, None], torch.full((2,), w / 2), x.clamp(max=w / h), squares


class Mask(nn.Module):
    """An attention mask by nested vmaps over positions, as transformers builds it for custom patterns."""

    def forward(self, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        batch, length = padding.shape
        rows, positions = torch.arange(batch), torch.arange(length)

        def allowed(b: torch.Tensor, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
            return (q >= k) & (q - k < 5) & padding[b, k]

        for dims in ((None, None, 0), (None, 0, None), (0, None, None)):
            allowed = torch.vmap(allowed, in_dims=dims)
        return x.masked_fill(~allowed(rows, positions, positions), 0.0)


def _images(h: int, w: int) -> tuple[torch.Tensor, ...]:
    return torch.randn(2, 3, h, w), torch.randn(2, 3, w + 1, h + 2)


NETS = {
    "pyramid": (Pyramid(), ("B,3,H,W", "B,3,P,Q"), [_images(5, 7), _images(8, 4)]),
    "ratios": (Ratios(), ("B,H,W",), [(torch.randn(2, 5, 7),), (torch.randn(3, 8, 4),)]),
    "mask": (
        Mask(), ("B,S,S", "bool[B,S]"),
        [(torch.randn(b, s, s), torch.rand(b, s) > 0.3) for b, s in ((3, 7), (2, 11))],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_exact_at_every_size_without_assumptions(name: str) -> None:
    model, specs, runs = NETS[name]
    report = fxcount.analyze(model, *specs)
    assert not report.assumptions
    assert not report.unbacked
    for inputs in runs:
        try:
            theirs = model(*inputs)
        except RuntimeError as error:
            pytest.skip(f"torch {torch.__version__} itself cannot run it: {error}")
        ours = report.graph_module(*inputs)
        for a, b in zip(*((t if isinstance(t, tuple) else (t,)) for t in (ours, theirs)), strict=True):
            torch.testing.assert_close(a, b)


def test_vmap_over_more_than_numbers_is_refused() -> None:
    class Rows(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.vmap(lambda row: row.sort().values)(x)

    from fxcount.trace import trace_model

    with pytest.raises(fxcount.UnsupportedError, match="vmap"):
        trace_model(Rows(), ("B,7",))


def test_vmap_of_real_data_is_torchs_own() -> None:
    class Table(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            table = torch.vmap(lambda row: row.cumsum(0))(torch.ones(3, 5))
            return x + table

    model = Table()
    x = torch.randn(2, 3, 5)
    if VERSION < (2, 9):
        pytest.skip("torch.export follows vmap since 2.9")
    assert torch.equal(fxcount.analyze(model, "B,3,5").graph_module(x), model(x))


class DefaultMasks(nn.Module):
    """Asks about masks it has made itself, whose shape is symbolic and whose elements are all one number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = torch.ones(x.shape[:2])
        marked = torch.zeros_like(mask)
        if (mask[:, None] == 0).any() or (marked > 0).any().item():
            x = x.exp()
        if not (1 - mask).to(torch.bool).any():
            x = x * 2
        return torch.tanh(x) if torch.full((x.shape[0],), 3).max() == 3 else x


def test_tensors_full_of_one_number_answer_questions() -> None:
    report = fxcount.analyze(DefaultMasks(), "B,S,3")
    x = torch.randn(2, 5, 3)
    assert torch.equal(report.graph_module(x), DefaultMasks()(x))
    assert str(report.transcendentals) == "3*B*S"  # the tanh, and no exp


def test_a_tensor_written_in_place_is_no_longer_full_of_one_number() -> None:
    class Marks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mask = torch.zeros(x.shape[0])
            mask[x[:, 0].argmax()] = 1
            return x if mask.any() else -x

    with pytest.raises(fxcount.DataDependentError):
        fxcount.analyze(Marks(), "B,3")


@pytest.mark.parametrize("through_a_view", [True, False])
def test_a_write_is_seen_through_all_views(through_a_view: bool) -> None:
    class Marks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mask = torch.zeros(x.shape[0], 3)
            view = mask[1:]
            written, asked = (view, mask) if through_a_view else (mask, view)
            written.fill_(1)
            return x.exp() if asked.any() else x

    report = fxcount.analyze(Marks(), "B,3")
    assert report.at(B=2).transcendentals == 2 * 3  # with one row there would be nothing to write to, or to look at
    assert [str(a).partition(" (")[0] for a in report.assumptions] == ["B == 2"]

    class Sizes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            sizes = torch.tensor([x.shape[0], x.shape[1]])
            view = sizes[0]
            written, asked = (view, sizes[0]) if through_a_view else (sizes, view)
            written += 5
            return torch.zeros(asked.item())

    report = fxcount.analyze(Sizes(), "B,3")
    assert not report.unbacked
    assert not report.assumptions
    assert [str(n) for v in report.trace.values_out() for n in v.fact.shape] == ["B + 5"]
    assert tuple(report.graph_module(torch.randn(4, 3)).shape) == (9,)


def test_cond_takes_the_branch_that_runs() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            taken: torch.Tensor = torch.cond(torch.tensor(True), self.linear, lambda x: x.new_ones(x.shape[0], 5), (x,))
            return taken

    assert str(fxcount.analyze(Branches(), "B,3").macs) == "15*B"
