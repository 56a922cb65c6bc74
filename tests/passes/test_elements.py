"""Parameters as the elements of memory they occupy, against sets of numbers that numpy lists."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import nn

import fxcount
from fxcount.passes.elements import Elements, elements_of
from fxcount.trace.inputs.inventory import take_inventory
from tests.compat.peers import printed


class Holder(nn.Module):
    """Holds tensors as parameters, and adds up the first element of each."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.parts = nn.ParameterList([nn.Parameter(t, t.is_floating_point() or t.is_complex()) for t in tensors])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for p in self.parts:
            x = x + p.abs().sum()
        return x


def bytes_of(t: torch.Tensor) -> set[int]:
    """The addresses of all bytes of a tensor, counted from the beginning of its storage."""
    where = np.full((), t.storage_offset())
    for n, stride in zip(t.shape, t.stride(), strict=True):
        where = np.add.outer(where, np.arange(n) * stride)
    return {int(i) * t.itemsize + k for i in np.unique(where) for k in range(t.itemsize)}


def listed(tensors: Sequence[torch.Tensor]) -> Elements:
    """By sets: the elements of each that none before it has, and which have some in common with another."""
    sets = [bytes_of(t) for t in tensors]
    seen: set[int] = set()
    nbytes = []
    for found in sets:
        nbytes.append(len(found - seen))
        seen |= found
    shared = [any(a & b for j, b in enumerate(sets) if j != i) for i, a in enumerate(sets)]
    fresh = [n // t.itemsize for n, t in zip(nbytes, tensors, strict=True)]
    return Elements(tuple(fresh), tuple(nbytes), tuple(shared))


def counted(tensors: Sequence[torch.Tensor]) -> Elements:
    return elements_of(take_inventory(Holder(tensors)).declared)


def _rows(*shape: int) -> torch.Tensor:
    return torch.ones(shape)


VIEWS: dict[str, Callable[[], Sequence[torch.Tensor]]] = {
    "thirds of columns": lambda: _rows(8, 24).chunk(3, 1),
    "rows": lambda: _rows(7, 11).unbind(0),
    "columns": lambda: _rows(7, 11).unbind(1),
    "even and odd": lambda: (_rows(7, 12)[:, ::2], (w := _rows(7, 12))[:, ::2], w[:, 1::2]),
    "every third and every fifth": lambda: ((w := _rows(101))[::3], w[1::5], w[4::7]),
    "a diagonal beside its matrix": lambda: ((w := _rows(13, 13)).diagonal(), w, w.diagonal(3)),
    "the matrix first": lambda: ((w := _rows(11, 17)), w.diagonal(-2), w.T.diagonal()),
    "a transposed view": lambda: ((w := _rows(5, 7)).T, w),
    "an expanded vector": lambda: ((w := _rows(5))[None].expand(3, 5), w[2:], w[:1].expand(7)),
    "sliding windows": lambda: ((w := _rows(19)).unfold(0, 5, 3), w.unfold(0, 2, 1), w),
    "blocks on the diagonal": lambda: ((w := _rows(6, 10)).view(2, 3, 2, 5).diagonal(dim1=0, dim2=2), w[3:], w[:, 5:]),
    "overlapping rows": lambda: ((w := _rows(9, 5))[:7], w[3:]),
    "one element": lambda: ((w := _rows(3, 5))[1, 2], w[1], w[:, 2]),
    "nothing": lambda: ((w := _rows(3, 5))[:0], w, w[1:1, 2:]),
    "complex and real": lambda: ((w := torch.ones(7, 3, dtype=torch.complex64)), torch.view_as_real(w), w.real[2:]),
    "real parts, then complex": lambda: ((w := torch.ones(7, 3, dtype=torch.complex64)).imag, w.real[::2], w),
    "other dtypes": lambda: ((w := _rows(6, 4)).view(torch.int16)[:, 2:6], w[1:], w.view(torch.float64)[::2]),
    "two storages": lambda: (*_rows(4, 6).split([1, 5], 1), *_rows(4, 6).split([2, 4], 1)),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views(name: str) -> None:
    tensors = VIEWS[name]()
    if name not in ("two storages", "even and odd"):
        assert counted(tensors) == listed(tensors)
        assert counted(tensors[::-1]) == listed(tensors[::-1])
        return
    by_storage: dict[int, list[torch.Tensor]] = {}  # storages of their own have nothing in common
    for t in tensors:
        by_storage.setdefault(t.untyped_storage().data_ptr(), []).append(t)
    parts = [listed(found) for found in by_storage.values()]
    assert sum(counted(tensors).fresh) == sum(sum(part.fresh) for part in parts)
    assert not any(counted(tensors).shared)


def test_drawn_lattices() -> None:
    """Up to 6 views of one storage, of up to 4 dimensions, with strides of every kind."""
    draw = random.Random(7)
    for _ in range(300):
        base = torch.empty(draw.choice([30, 120, 400]))
        tensors: list[torch.Tensor] = []
        most = draw.randint(1, 6)
        while len(tensors) < most:
            shape = [draw.randint(0 if draw.random() < 0.05 else 1, 6) for _ in range(draw.randint(0, 4))]
            strides = [draw.choice([0, 1, 1, 2, 3, 4, 6, 12, 24, draw.randint(0, 30)]) for _ in shape]
            start = draw.randrange(len(base))
            if start + sum((n - 1) * s for n, s in zip(shape, strides, strict=True) if n) < len(base):
                tensors.append(base.as_strided(shape, strides, start))
        assert counted(tensors) == listed(tensors), [(t.shape, t.stride(), t.storage_offset()) for t in tensors]


def test_large_views_take_no_list_of_their_elements() -> None:
    """2**33 elements in 128 columns that lie side by side, and then all of them; on the meta device."""
    whole = torch.empty(2**26, 128, device="meta")
    found = counted([*whole.unbind(1), whole])
    assert found.fresh == (2**26,) * 128 + (0,)
    assert found.shared == (True,) * 129
    assert not any(counted([whole[:, ::2], whole[:, 1::2]]).shared)


def test_totals_bytes_and_groups_agree() -> None:
    """8 * 24 floats in three parameters, of which the last third is also a fourth parameter's; 4 bytes an element."""
    thirds = _rows(8, 24).chunk(3, 1)
    params = fxcount.analyze(Holder([*thirds, thirds[2][:5]]), "B,3").params
    assert (params.total, params.bytes, params.trainable, params.shared) == (192, 4 * 192, 192, 64)
    assert [r.unique for r in params.rows()] == [64, 64, 64, 0]
    assert [r.name for r in params.rows("shared")] == ["parts.2", "parts.3"]
    (group,) = params.groups
    assert (group.kind, len(group.names), group.bytes_saved) == ("views of one storage", 4, 4 * 5 * 8)


def test_overlapping_buffers() -> None:
    """Columns 0 to 4 and 3 to 6 of 5 rows of 7: the rows of the report add up to its totals."""
    model = nn.Linear(3, 5)
    table = torch.zeros(5, 7)
    model.register_buffer("left", table[:, :5])
    model.register_buffer("right", table[:, 3:])
    report = fxcount.analyze(model, "B,3")
    params = report.params
    assert (params.buffers, params.buffer_bytes) == (35, 140)
    assert [(b.numel, b.unique, b.nbytes) for b in params.buffer_rows] == [(25, 25, 100), (20, 10, 40)]
    assert report.at(B=2).memory.buffers == 140


class Split(nn.Module):
    """A table of 11 * 29 in two parameters of 10 and 19 columns."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ParameterList([nn.Parameter(t) for t in torch.ones(11, 29).split([10, 19], 1)])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x @ self.parts[0], x @ self.parts[1]


def test_a_summary_counts_what_the_report_counts() -> None:
    report = fxcount.analyze(Split(), "B,11")
    found = fxcount.summary(Split(), input_size=(2, 11), verbose=0)
    assert report.params.total == found.total_params == found.summary_list[0].num_params == 319
    assert report.params.bytes == found.total_param_bytes == 4 * 319
    assert [row.params for row in report.by_module()] == [319]
    from fxcount.compat.torchsummary import summary

    counts: list[tuple[int, int]] = []
    printed(lambda: counts.append(summary(Split(), (11,), device="cpu")))
    assert counts == [(319, 319)]


def test_a_summary_of_views_that_overlap() -> None:
    """Rows 0 to 6 and 3 to 8 of nine rows of 5: 45 elements, not 35 + 30; without inputs too."""
    rows = torch.ones(9, 5)
    for options in ({"input_size": (2, 3)}, {}):
        found = fxcount.summary(Holder([rows[:7], rows[3:]]), verbose=0, **options)
        assert (found.total_params, found.trainable_params) == (45, 45)
        assert found.total_param_bytes == 4 * 45
