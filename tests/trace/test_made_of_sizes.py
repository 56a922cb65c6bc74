"""Tensors that are made of sizes: formulas where they stay formulas, pins where they do not, and never a guess.

Each function slices its input by a number that comes out of such a tensor. Wherever the report admits a size, its output
shape must be the one of a real run there; ``FREE`` are those that hold at every size.
"""

from __future__ import annotations

import inspect
import itertools
import operator
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import fxcount
from fxcount.trace.known.ramps import recognised
from fxcount.trace.known.tables import Unsupported

ONE_PIECE = {"extend": False} if "extend" in inspect.signature(fxcount.Report.at).parameters else {}
SIZES = [(2, 224, 31), (3, 47, 31), (1, 30, 53), (2, 101, 7)]  # the hint of H is 224
long = torch.long


class Net(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x, *x.shape)


def assigned(x: Any, b: Any, h: Any, w: Any) -> Any:
    a = torch.zeros(3, dtype=long)
    a[1] = h
    a //= 3
    return x[:, : a[1].item()]


def through_views(x: Any, b: Any, h: Any, w: Any) -> Any:
    a = torch.zeros(2, 2, dtype=long)
    row = a[1]
    row[0] += h
    a.view(-1)[3] = 5
    return x[:, : a.sum().item() // 2]


def every_fourth(x: Any, b: Any, h: Any, w: Any) -> Any:
    mask = torch.zeros(h, dtype=torch.bool)
    mask[::4] = True
    return x[:, mask]


def filled(x: Any, b: Any, h: Any, w: Any) -> Any:
    return x[:, : torch.empty(2).fill_(h)[0].long().item() // 2]


def written_later(x: Any, b: Any, h: Any, w: Any) -> Any:
    positions = torch.arange(h)
    last = positions[-1] * 1
    positions += x[0, :, 0].long()  # data: of no concern to what was read before
    return x[:, : last.item() // 2]


def written_nowhere(x: Any, b: Any, h: Any, w: Any) -> Any:
    """As masks of attention are: those of a third kind of token get another number, and there is none of that kind."""
    kinds = torch.ones(b, h)
    mask = ((1.0 - kinds) * -1e9)[:, None, None, :]
    cut = mask[:, 0, 0]
    cut[kinds == 2] = 7.0
    cut = cut.masked_fill_(kinds == 3, 5.0).masked_fill(kinds > 4, 11.0)
    return x[:, : h // 2] if not (cut > 0).any().item() and (mask == 0).all() else x[:, :1]


def written_somewhere(x: Any, b: Any, h: Any, w: Any) -> Any:
    kinds = torch.ones(b, h)
    cut = torch.zeros(b, h)
    cut[kinds == 1] = 7.0
    return x[:, : h // 2] if (cut == 7).all() else x[:, :1]


def mask_written_first(x: Any, b: Any, h: Any, w: Any) -> Any:
    chosen = torch.zeros(b, h, dtype=torch.bool)
    chosen[:, 3] = True
    cut = torch.zeros(b, h)
    cut[chosen] = 7.0
    return x[:, :5] if (cut > 0).any() else x[:, :1]


def mask_written_later(x: Any, b: Any, h: Any, w: Any) -> Any:
    chosen = torch.zeros(b, h, dtype=torch.bool)
    cut = torch.zeros(b, h)
    cut[chosen] = 7.0
    chosen[:, 3] = True
    return x[:, :5] if (cut > 0).any() else x[:, :4]


FREE: dict[str, Callable[..., Any]] = {
    "literal_of_a_fraction": lambda x, b, h, w: x[:, : int(torch.tensor([[h * 8 / 2 - 4.5, 3.5]])[0, 0].item()) // 8],
    "literal_nobody_reads": lambda x, b, h, w: x[:, : h // 2] / torch.tensor([h / 2 - 0.5]),
    "written_nowhere": written_nowhere,
    "at_least_0": lambda x, b, h, w: x[:, : h // 2] if (torch.arange(h)[None, :, None] >= 0).all() else x[:, :1],
    "never_below_0": lambda x, b, h, w: x[:, :1] if (torch.arange(h) * 3 < 0).any() else x[:, : h // 3],
    "never_0": lambda x, b, h, w: x[:, : h // 2] if (torch.arange(2, h + 2) != 0).all() else x[:, :1],
    "below_its_number": lambda x, b, h, w: x[:, : h // 2] if (torch.arange(h) < h).all() else x[:, :1],
    "before_the_next": lambda x, b, h, w: x[:, : h // 2] if (-torch.arange(h) - 1 <= -1).all() else x[:, :1],
    "named_operand": lambda x, b, h, w: x[:, : torch.sub(torch.arange(h), other=1)[-1].item() + 1],
    "named_input": lambda x, b, h, w: x[:, : torch.mul(input=torch.tensor([3, h]), other=2).div(other=2).long()[1].item()],
    "named_dims": lambda x, b, h, w: x[:, : torch.transpose(torch.arange(h)[None], dim0=0, dim1=1).squeeze(dim=1)[-1].item()],
    "named_where": lambda x, b, h, w: x[
        :, : torch.where(condition=torch.tensor([True]), input=torch.tensor([h]), other=torch.tensor([2])).item()
    ],
    "pooled_ones": lambda x, b, h, w: x[:, :h] if F.max_pool1d(torch.ones(b, 1, h), 4, 4).squeeze(dim=1).all() else x,
    "arange": lambda x, b, h, w: x[:, : torch.arange(h)[-1].item()],
    "arange_from": lambda x, b, h, w: x[:, : (torch.arange(3, h) + 1).min().item()],
    "arange_by_3": lambda x, b, h, w: x[:, : torch.arange(0, h, 3)[-1].item() + 1],
    "flipped": lambda x, b, h, w: x[:, : torch.arange(h).flip(0)[0].item()],
    "grid": lambda x, b, h, w: x[:, : (torch.arange(h)[:, None] + torch.arange(w)[None]).max().item() - w],
    "distances": lambda x, b, h, w: x[:, : (torch.arange(h)[:, None] - torch.arange(h)[None, :]).amax().item()],
    "sum_of_range": lambda x, b, h, w: x[:, : torch.arange(h).sum().item() // 500],
    "numel": lambda x, b, h, w: x[:, : torch.arange(h).numel() // 2],
    "steps": lambda x, b, h, w: x[:, : torch.arange(h).diff().sum().item() // 2],
    "ones_counted": lambda x, b, h, w: x[:, : torch.ones(h, dtype=long).cumsum(0)[-1].item() // 2],
    "ones_summed": lambda x, b, h, w: x[:, : torch.ones(b, h, dtype=long).sum(1)[0].item() // 2],
    "mask_of_ones": lambda x, b, h, w: x[:, torch.ones(h, dtype=torch.bool)],
    "full": lambda x, b, h, w: x[:, : torch.full((3,), h)[1].item() // 2],
    "full_of_width": lambda x, b, h, w: x[:, :, : torch.full((h,), w)[1].item() // 2],
    "literal": lambda x, b, h, w: x[:, : torch.tensor(x.shape)[1].item() // 2],
    "product": lambda x, b, h, w: x[:, : torch.tensor([h, w]).prod().item() // 500],
    "clamped": lambda x, b, h, w: x[:, : torch.tensor(h).clamp(max=100).item()],
    "larger": lambda x, b, h, w: x[:, : torch.tensor([h // 2, w // 3]).max().item()],
    "stacked": lambda x, b, h, w: x[:, : torch.stack([torch.tensor(h), torch.tensor(7)]).min().item()],
    "halved": lambda x, b, h, w: x[:, : (torch.tensor(h) / 2).floor().int().item()],
    "listed": lambda x, b, h, w: x[:, : torch.tensor([[h, 3]]).tolist()[0][0] // 2],
    "repeated": lambda x, b, h, w: x[:, : (torch.arange(h)[None] + 3).repeat(b, 1).diff(dim=-1).sum(1)[0].item() // 2],
    "compared": lambda x, b, h, w: x[:, :3] if (torch.ones(b, h, dtype=long).sum() == b * h).item() else x,
    "packed": lambda x, b, h, w: x[:, : (torch.arange(h).diff(prepend=torch.tensor([-1])) != 1).sum().item() + 2],
    "end_of_slice": lambda x, b, h, w: x[:, : torch.tensor(h) // 2],
    "range_of_tensor": lambda x, b, h, w: torch.arange(torch.tensor(h) // 2) + x.shape[0],
    "assigned": assigned, "through_views": through_views, "filled": filled, "written_later": written_later,
}  # fmt: skip
ASSUMING: dict[str, Callable[..., Any]] = {
    "where": lambda x, b, h, w: x[:, : torch.where(torch.tensor(h) > 50, 7, 3).item()],
    "argmax": lambda x, b, h, w: x[:, : torch.tensor([h, w, 60]).argmax().item() + 1],
    "sort": lambda x, b, h, w: x[:, : torch.tensor([h, w, 60]).sort()[0][0].item()],
    "equal_to_4": lambda x, b, h, w: x[:, : (torch.tensor(x.shape) == 4).sum().item() + 1],
    "sqrt": lambda x, b, h, w: x[:, : torch.tensor(h).sqrt().long().item()],
    "times_a_fraction": lambda x, b, h, w: x[:, : (torch.tensor(h) * 0.3).int().item()],
    "logarithm": lambda x, b, h, w: x[:, : int(torch.tensor(h).float().log2())],
    "bucketize": lambda x, b, h, w: x[:, : torch.bucketize(torch.tensor(h), torch.tensor([10, 100, 200])).item() + 1],
    "searchsorted": lambda x, b, h, w: x[:, : torch.searchsorted(torch.tensor([10, 100]), torch.tensor(h)).item() + 1],
    "unique": lambda x, b, h, w: x[:, : torch.unique(torch.arange(h) // 4).numel()],
    "lower_triangle": lambda x, b, h, w: x[:, : torch.ones(h, h, dtype=long).tril().sum().item() // 500],
    "multiples_of_3": lambda x, b, h, w: x[:, : (torch.arange(h) % 3 == 0).sum().item()],
    "even": lambda x, b, h, w: x[:, torch.arange(h) % 2 == 0],
    "linspace": lambda x, b, h, w: x[:, : int(torch.linspace(0, h, 5)[3].item())],
    "nonzero": lambda x, b, h, w: torch.ones(h, h).tril().nonzero() + x.shape[0],
    "bincount": lambda x, b, h, w: torch.bincount(torch.arange(h) // 3) + x.shape[0],
    "one_hot": lambda x, b, h, w: F.one_hot(torch.arange(h)) + x.shape[0],
    "repeats": lambda x, b, h, w: x.repeat_interleave(torch.arange(h) % 2 + 1, dim=1),
    "range_listed": lambda x, b, h, w: x[:, : torch.arange(h).tolist()[5]],
    "topk": lambda x, b, h, w: x[:, : torch.tensor([h, 9, 50]).topk(2)[0][1].item()],
    "gathered": lambda x, b, h, w: x[:, : torch.tensor([h, 8]).gather(0, torch.tensor([0]))[0].item() // 2],
    "any": lambda x, b, h, w: x[:, :5] if (torch.arange(h) > 30).any() else x,
    "equal": lambda x, b, h, w: x[:, :5] if torch.equal(torch.arange(h), torch.arange(w)) else x,
    "every_fourth": every_fourth, "written_somewhere": written_somewhere,
    "mask_written_first": mask_written_first, "mask_written_later": mask_written_later,
    "above_0_but_for_one": lambda x, b, h, w: x[:, :5] if (torch.arange(h) > 0).all() else x[:, :4],
    "whole_literal_of_a_fraction": lambda x, b, h, w: x[:, : torch.tensor([h / 3], dtype=long).item()],
    "literal_of_an_odd_fraction": lambda x, b, h, w: x[:, : int(torch.tensor([h * 0.3]).item())],
    "not_above": lambda x, b, h, w: x[:, :5] if (torch.arange(h) - torch.arange(w)[:, None] >= 0).all() else x[:, :4],
}  # fmt: skip


def _shape(report: Any) -> tuple[int, ...]:
    (value,) = report.trace.values_out()
    return tuple(map(report.size, value.fact.shape))


def _held(function: Callable[..., Any]) -> int:
    """At how many of the sizes the report holds; wherever it does it must be right."""
    report = fxcount.analyze(Net(function), "B,H,W", hints={"W": 31})
    assert not report.unbacked
    held = 0
    for sizes in SIZES:
        try:
            at = report.at(**dict(zip("BHW", sizes)), **ONE_PIECE)
        except fxcount.FxcountError:
            continue
        assert _shape(at) == tuple(Net(function)(torch.zeros(sizes)).shape), (sizes, report.assumptions)
        held += 1
    return held


@pytest.mark.parametrize("name", FREE)
def test_formulas_stay_formulas(name: str) -> None:
    assert _held(FREE[name]) == len(SIZES)


@pytest.mark.parametrize("name", ASSUMING)
def test_what_is_no_formula_holds_where_it_was_assumed(name: str) -> None:
    assert _held(ASSUMING[name]) >= 1


def test_what_an_input_decides_is_not_made_of_sizes() -> None:
    def data(x: Any, b: Any, h: Any, w: Any) -> Any:
        return x[:, : (torch.arange(h) * (x[0, :, 0] > 0)).max().item()]

    assert [u.name for u in fxcount.analyze(Net(data), "B,H,W").unbacked] == ["item_1"]


def test_random_numbers_are_not_made_of_sizes() -> None:
    def drawn(x: Any, b: Any, h: Any, w: Any) -> Any:
        return x[:, : torch.randint(1, h, (3,))[0].item()]

    assert [u.name for u in fxcount.analyze(Net(drawn), "B,H,W").unbacked] == ["item_1"]


def test_what_is_too_large_to_compute_is_refused() -> None:
    def causal(x: Any, b: Any, h: Any, w: Any) -> Any:
        return x[:, : torch.ones(h, h).tril().sum().long().item()]

    with pytest.raises(fxcount.DataDependentError, match="too large"):
        fxcount.analyze(Net(causal), "B,H,W", hints={"H": 20011})


def test_tensors_of_different_shapes_are_not_equal() -> None:
    def compares(x: Any, b: Any, h: Any, w: Any) -> Any:
        return x.exp() if torch.equal(x, x[:, 1:]) or x.equal(x[0]) else x

    report = fxcount.analyze(Net(compares), "B,H,W")
    assert report.transcendentals == 0
    with pytest.raises(fxcount.DataDependentError):
        fxcount.analyze(Net(lambda x, *_: x.exp() if torch.equal(x, x + 1) else x), "B,H,W")


def test_a_mask_of_ones_stays_one_through_resizing_and_pooling() -> None:
    def masks(x: Any, b: Any, h: Any, w: Any) -> Any:
        mask = torch.ones(b, 1, h, w)
        smaller = F.interpolate(mask, size=(h // 2, w // 3), mode="nearest").bool()
        return x if smaller.all() and (F.max_pool2d(mask, 2, 2, padding=1) == 1).all() else x.exp()

    report = fxcount.analyze(Net(masks), "B,H,W")
    assert report.transcendentals == 0
    assert not [a for a in report.assumptions if a.kind == "pin"]
    assert not report.trace.notes


def _packed(x: torch.Tensor, *_: Any) -> torch.Tensor:
    """Whether the positions of each row go on by one, as transformers ask before they make a mask."""
    positions = torch.arange(x.shape[1], device=x.device).unsqueeze(0).expand(x.shape[0], -1)
    packed = (torch.diff(positions, prepend=positions[:, :1] - 1, dim=-1) != 1).cumsum(-1)
    return x.exp() if (packed[:, -1] == 0).all() else (x + packed[..., None]).exp()


def test_what_is_known_does_not_depend_on_how_large_a_table_is() -> None:
    """A table of 10007 x 10007 positions is more than is computed, and known all the same."""
    report = fxcount.analyze(Net(_packed), "B,S,3")
    for b, s in ((2, 7), (1009, 1013), (10_007, 10_007)):
        at, fresh = report.at(B=b, S=s, **ONE_PIECE), fxcount.analyze(Net(_packed), (b, s, 3))
        assert fresh.flops == at.flops == 3 * b * s  # exp alone: integers are not counted
        assert fresh.read_bytes == at.read_bytes
        assert fresh.trace.notes == []


def test_bytes_that_sizes_decide_are_no_matter_of_data() -> None:
    """Both ways do the same work, and one reads more: the answer is that of the sizes, and holds for no others."""

    def reads(x: Any, b: Any, h: Any, w: Any) -> Any:
        every_seventh = (torch.arange(h) % 7 == 3).any()
        return x.clone() if every_seventh else x

    fresh = {h: fxcount.analyze(Net(reads), (2, h, 5)).read_bytes for h in (3, 4)}
    assert fresh[4] - fresh[3] >= 4 * 2 * 4 * 5  # the copy is made from 4 on
    for hint in (3, 4):
        report = fxcount.analyze(Net(reads), "B,H,W", hints={"H": hint})
        assert report.at(B=2, H=hint, W=5, **ONE_PIECE).read_bytes == fresh[hint]
        with pytest.raises(fxcount.AssumptionError):
            report.at(B=2, H=7 - hint, W=5, **ONE_PIECE)


@pytest.mark.parametrize("data", [[[3, 5, 7], [2, 4, 6]], [[4]], [True, True], [1.5, 1.5], [[7], [7]], 3])
def test_real_data_that_are_a_ramp(data: Any) -> None:
    tensor = torch.tensor(data)
    ramp = recognised(tensor)
    for place in itertools.product(*map(range, tensor.shape)):
        assert ramp.base + sum(map(operator.mul, ramp.steps, place)) == tensor[place]


@pytest.mark.parametrize("data", [[1, 2, 4], [[1, 2], [3, 5]], [True, False], [0.5, 1.0], [], [1.0, float("nan")]])
def test_real_data_that_are_none(data: Any) -> None:
    with pytest.raises(Unsupported):
        recognised(torch.tensor(data))


class Packs(torch.nn.Module):
    """Images of several sizes in one row, each patch with the number of its image."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        rows = [x.flatten(1).mT for x in (a, b)]
        numbers = torch.repeat_interleave(torch.arange(2), torch.tensor([r.shape[0] for r in rows]))
        same = numbers[:, None] == numbers[None]
        joined = torch.cat(rows)
        return (joined @ joined.mT).masked_fill(~same, 0.0)


def test_repeats_that_are_sizes_add_up_to_a_size() -> None:
    report = fxcount.analyze(Packs(), "3,H,5", "3,7,W", hints={"H": 4, "W": 6})
    assert (set(report.symbols), list(report.unbacked)) == ({"H", "W"}, [])
    assert not [a for a in report.assumptions if a.kind == "pin"]
    for h, w in ((4, 6), (11, 13)):
        assert report.at(H=h, W=w, extend=False).macs == 3 * (5 * h + 7 * w) ** 2
        a, b = torch.randn(3, h, 5), torch.randn(3, 7, w)
        torch.testing.assert_close(report.graph_module(a, b), Packs()(a, b))


def test_repeats_are_read_whether_sizes_or_numbers_make_them() -> None:
    class Repeats(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.repeat_interleave(torch.tensor([1, x.shape[0] // 8, 1]), 1)

    model = Repeats()
    report = fxcount.analyze(model, "B,3", hints={"B": 16})
    for b in (8, 17, 25):
        fresh = fxcount.analyze(model, (b, 3))
        assert report.at(B=b).read_bytes == fresh.read_bytes == 4 * 3 * b + 3 * 8  # x, and the three numbers
        assert report.at(B=b).write_bytes == fresh.write_bytes


def test_a_mask_is_read_as_it_is_whether_sizes_or_numbers_make_it() -> None:
    class Masked(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            even = torch.arange(x.shape[0]) % 2 == 0
            nothing = torch.zeros(x.shape[0], dtype=torch.bool)
            return x[even], x[nothing], x[:, torch.ones(5, dtype=torch.bool)]

    model = Masked()
    report = fxcount.analyze(model, "B,5", hints={"B": 6})
    numbers = fxcount.analyze(model, "6,5")
    read = [c.read_bytes for call in numbers.trace.calls if call.op.name == "getitem"
            for c in [numbers.costs.by_signature[id(call.signature)]]]  # fmt: skip
    assert read == [6 + 3 * 5 * 4, 6, 5 + 6 * 5 * 4]  # a byte of the mask each, and what it picks
    assert report.at(B=6).read_bytes == numbers.read_bytes
    assert report.verify(n=2)
