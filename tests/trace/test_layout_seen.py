"""What a model sees of how its tensors lie, strides, offsets, contiguity, copies, is what plain torch has.

A net returns a tensor whose sizes are what it saw. Analysed with symbols, it must have, wherever a size is admitted, those of
a plain run there: at the hint, elsewhere, and where sizes are 1, for which torch has rules of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import fxcount

LAST = torch.channels_last
Function = Callable[[torch.Tensor], torch.Tensor]
WEIGHTS = {"in": torch.ones(5, 4, 3, 3), "pointwise": torch.ones(5, 4, 1, 1), "deep": torch.ones(4, 1, 3, 3)}

TENSORS: dict[str, Function] = {
    "itself": lambda x: x,
    "transposed": lambda x: x.transpose(2, 3),
    "channels to the end": lambda x: x.permute(0, 2, 3, 1),
    "tokens": lambda x: x.flatten(2).transpose(1, 2),
    "channels last": lambda x: x.contiguous(memory_format=LAST),
    "channels last by name": lambda x: x.to(memory_format=LAST),
    "tokens of channels last": lambda x: x.contiguous(memory_format=LAST).flatten(2).transpose(1, 2),
    "conv of channels last": lambda x: F.conv2d(x.contiguous(memory_format=LAST), WEIGHTS["in"], padding=1),
    "pointwise of channels last": lambda x: F.conv2d(x.contiguous(memory_format=LAST), WEIGHTS["pointwise"]),
    "depthwise of channels last": lambda x: F.conv2d(x.contiguous(memory_format=LAST), WEIGHTS["deep"], padding=1, groups=4),
    "relu of channels last": lambda x: x.contiguous(memory_format=LAST).relu(),
    "sum with a row of channels last": lambda x: x.contiguous(memory_format=LAST) + x[:, :, :1],
    "pooled channels last": lambda x: F.avg_pool2d(x.contiguous(memory_format=LAST), 3, 1, 1),
    "resized channels last": lambda x: F.interpolate(x.contiguous(memory_format=LAST), scale_factor=2),
    "joined channels last": lambda x: torch.cat([y := x.contiguous(memory_format=LAST), y], 1),
    "cloned": lambda x: x.transpose(1, 3).clone(),
    "cloned as it is not": lambda x: x.transpose(1, 3).clone(memory_format=torch.contiguous_format),
    "elementwise of a permutation": lambda x: x.permute(3, 0, 2, 1) * 2,
    "sum of two permutations": lambda x: x.transpose(2, 3) + x.transpose(2, 3).contiguous(),
    "empty like": lambda x: torch.empty_like(x.permute(0, 2, 3, 1)),
    "zeros like, dense": lambda x: torch.zeros_like(x.transpose(2, 3), memory_format=torch.contiguous_format),
    "one row": lambda x: x[:, :, :1],
    "one column": lambda x: x[..., :1],
    "without the first": lambda x: x[:, 1:],
    "every second": lambda x: x[:, :, ::2],
    "a channel": lambda x: x[:, 2],
    "expanded": lambda x: x[:, :, :1].expand(-1, -1, 3, -1),
    "half": lambda x: x.chunk(2, 1)[1],
    "the last pieces": lambda x: x.tensor_split((1, 3), 1)[2],
    "windows": lambda x: x.unfold(1, 2, 1),
    "a diagonal": lambda x: x.diagonal(0, 0, 1),
    "mean kept": lambda x: x.contiguous(memory_format=LAST).mean((2, 3), keepdim=True),
    "matrix product": lambda x: x.transpose(2, 3) @ x,
    "linear of tokens": lambda x: F.linear(x.flatten(2).transpose(1, 2), torch.ones(3, 4)),
    "softmax of a permutation": lambda x: x.permute(0, 2, 3, 1).softmax(1),
    "unsqueezed": lambda x: x.transpose(1, 2).unsqueeze(2),
    "squeezed": lambda x: x[:, :1].squeeze(1),
    "flipped": lambda x: x.transpose(2, 3).flip(1),
    "rolled": lambda x: x.contiguous(memory_format=LAST).roll(1, 2),
    "padded channels last": lambda x: F.pad(x.contiguous(memory_format=LAST), (1, 1)),
    "normed channels last": lambda x: F.group_norm(x.contiguous(memory_format=LAST), 2),
    "cast": lambda x: x.transpose(1, 2).double(),
    "selected rows": lambda x: x.transpose(1, 2)[:, [0, 0]],
}  # fmt: skip


def _lies(t: torch.Tensor) -> list[int]:
    formats = [t.is_contiguous(), t.dim() == 4 and t.is_contiguous(memory_format=LAST)]
    return [int(b) for b in formats]


def _copies(t: torch.Tensor) -> list[int]:
    begin = t.data_ptr()
    made = [t.contiguous(), t.reshape(-1), t.flatten(1), t.transpose(0, -1).contiguous(), t.to(t.dtype), t.expand_as(t)]
    return [int(m.data_ptr() == begin) for m in made]


def _strides(t: torch.Tensor) -> list[int]:
    return [s for n, s in zip(t.shape, t.stride(), strict=True) if n > 1]


LOOKS: dict[str, Callable[[torch.Tensor], list[Any]]] = {
    "lies": _lies, "copies": _copies, "strides": _strides, "offset": lambda t: [t.storage_offset()],
}  # fmt: skip
SIZES = [(2, 5, 7), (3, 11, 13), (1, 5, 7), (2, 1, 7), (2, 5, 1), (1, 1, 7), (2, 1, 1), (1, 1, 1), (1, 6, 6), (2, 3, 1)]


class Net(nn.Module):
    def __init__(self, make: Function, look: Callable[[torch.Tensor], list[Any]]) -> None:
        super().__init__()
        self.make, self.look = make, look

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.new_empty([n + 1 for n in self.look(self.make(x))], device="meta")


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", TENSORS)
def test_as_plain_torch_has_it(name: str, look: str) -> None:
    net = Net(TENSORS[name], LOOKS[look])
    for hint in (SIZES[0], SIZES[-1], (1, 1, 1)):
        report = fxcount.analyze(net, "B,4,H,W", hints=dict(zip("BHW", hint, strict=True)))
        (value,) = report.trace.values_out()
        for sizes in SIZES:
            try:
                at = report.at(**{n: s for n, s in zip("BHW", sizes, strict=True) if n in report.symbols}, extend=False)
            except fxcount.FxcountError:
                assert sizes != hint
                continue
            plain = net(torch.ones(sizes[0], 4, *sizes[1:]))
            assert [int(at.size(n)) for n in value.fact.shape] == list(plain.shape), (sizes, hint)


def test_what_docs_say_is_not_followed() -> None:
    """Whether a result *is* its operand, and whether it is a view by its private names; addresses know."""
    seen: list[bool] = []

    class Asks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            same, view = x.contiguous(), x.transpose(0, 1)
            seen[:] = [same is x, view._is_view(), view._base is x, same.data_ptr() == x.data_ptr(), same.is_set_to(x)]
            return x

    model = Asks()
    model(torch.ones(3, 5))
    assert seen == [True] * 5
    fxcount.analyze(model, "B,5")
    assert seen == [False, False, False, True, True]


class Tokens(nn.Module):
    """Tokens of patches without the first, as a map: of a size that is written out, or of the one there is."""

    def __init__(self, side: int | None) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, w = x.shape[1] // 4, x.shape[2] // 4
        tokens = x.new_ones(x.shape[0], h * w + 1, 3)[:, 1:]
        heads = x.new_ones(x.shape[0], 2, 3, h * w).transpose(2, 3).contiguous().transpose(2, 3)
        side = (h, w) if self.side is None else (self.side, self.side)
        return tokens.reshape(x.shape[0], *side, 3) * 2 + heads.reshape(x.shape[0], 6, h * w).sum()


@pytest.mark.parametrize(("side", "hint"), [(None, 12), (None, 4), (3, 12), (1, 4)])
def test_a_view_of_tokens(side: int | None, hint: int) -> None:
    """Bytes and peak are those of a fresh analysis, also for a single patch."""
    model = Tokens(side)
    report = fxcount.analyze(model, "B,H,W", hints={"H": hint, "W": hint})
    admitted = 0
    for h, w in ((12, 12), (4, 4), (4, 12), (13, 14), (7, 5)):
        try:
            there = report.at(B=2, H=h, W=w, extend=False)
        except fxcount.AssumptionError:
            continue
        fresh = fxcount.analyze(model, (2, h, w))
        admitted += 1
        assert (there.read_bytes, there.write_bytes, there.memory.peak) == (
            fresh.read_bytes, fresh.write_bytes, fresh.memory.peak,
        )  # fmt: skip
    assert admitted
