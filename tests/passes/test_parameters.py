"""Parameters by storage: each element once, whatever names, views and modules it is reached by."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import fxcount


class Tied(nn.Module):
    """Embedding and head are one matrix of 11*5, as in language models."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 5)
        self.head = nn.Linear(5, 11, bias=False)
        self.head.weight = self.table.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.table(ids))


class TwoNames(nn.Module):
    """One module registered twice: two names of each parameter, called once by either."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(5, 7)
        self.b = self.a

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(x)


class Views(nn.Module):
    """Three parameters on one storage of 12*5 elements: the whole, rows 2 to 6, rows 5 to 8 (which overlap)."""

    def __init__(self) -> None:
        super().__init__()
        whole = torch.randn(12, 5)
        self.middle = nn.Parameter(whole[2:7])
        self.later = nn.Parameter(whole[5:9])
        self.whole = nn.Parameter(whole)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.middle.mT @ self.middle @ self.later.mT @ self.later @ self.whole.mT


class Overlapping(Views):
    def __init__(self) -> None:
        super().__init__()
        del self.whole

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.middle.mT @ self.middle @ self.later.mT


class Frozen(nn.Module):
    """A frozen half-precision backbone of 5*7 + 7, a trainable head of 7*3."""

    def __init__(self) -> None:
        super().__init__()
        self.back = nn.Linear(5, 7).requires_grad_(False).half()
        self.head = nn.Linear(7, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.back(x.half()).float())


class Dead(nn.Module):
    """13 elements no op uses though their module runs; 3*5 + 5 of a module that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 7, bias=False)
        self.loose = nn.Parameter(torch.zeros(13))
        self.later = nn.Sequential(nn.Linear(3, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


# model, input, (total, trainable, frozen, shared, dead), bytes
TABLE: list[tuple[type[nn.Module], str, tuple[int, ...], int]] = [
    (Tied, "i64[B,S]", (55, 55, 0, 55, 0), 220),
    (TwoNames, "B,5", (42, 42, 0, 42, 0), 168),
    (Views, "B,5", (60, 60, 0, 60, 0), 240),
    (Overlapping, "B,5", (35, 35, 0, 35, 0), 140),  # rows 2 to 8
    (Frozen, "f32[B,5]", (63, 21, 42, 0, 0), 42 * 2 + 21 * 4),
    (Dead, "B,5", (35 + 13 + 20, 68, 0, 0, 33), 68 * 4),
]


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(("build", "given", "counts", "nbytes"), TABLE, ids=[t[0].__name__ for t in TABLE])
def test_counts(build: type[nn.Module], given: str, counts: tuple[int, ...], nbytes: int, device: str) -> None:
    with torch.device(device):
        model = build()
    p = fxcount.analyze(model, given).params
    assert (p.total, p.trainable, p.frozen, p.shared, p.dead) == counts
    assert p.bytes == nbytes == sum(p.bytes_by_dtype.values())
    assert p.total == p.trainable + p.frozen


@pytest.mark.parametrize(("build", "given", "counts", "nbytes"), TABLE, ids=[t[0].__name__ for t in TABLE])
def test_memory_agrees(build: type[nn.Module], given: str, counts: tuple[int, ...], nbytes: int) -> None:
    """The bytes of parameters are the same number everywhere in a report."""
    assert fxcount.analyze(build(), given).memory.parameters == nbytes


def test_rows_name_uses_and_reasons() -> None:
    rows = {r.name: r for r in fxcount.analyze(Dead(), "B,5").params.rows()}
    assert {n: (r.uses, r.reason) for n, r in rows.items()} == {
        "linear.weight": (1, ""),
        "loose": (0, "module Dead is called, but no op uses it"),
        "later.0.weight": (0, "module later is never called"),
        "later.0.bias": (0, "module later is never called"),
    }
    (tied,) = fxcount.analyze(Tied(), "i64[B,S]").params.rows("shared")
    assert (tied.names, tied.uses, tied.shape) == (("table.weight", "head.weight"), 2, (11, 5))


@pytest.mark.parametrize("state", ["trainable", "frozen", "shared", "dead"])
def test_rows_by_state_partition_the_totals(state: str) -> None:
    for build, given, _, _ in TABLE:
        p = fxcount.analyze(build(), given).params
        (row,) = [t for t in p.by_state() if t.key == state]
        assert sum(r.unique for r in p.rows(state)) == getattr(p, state) == row.numel
        assert sum(r.nbytes for r in p.rows(state)) == row.nbytes


@pytest.mark.parametrize("depth", [0, 1, 2, None])
def test_tables_partition_the_total(depth: int | None) -> None:
    """Every element is in one line of a table by module, at any depth, and in one of a table by dtype."""
    for build, given, counts, nbytes in TABLE:
        p = fxcount.analyze(build(), given).params
        for table in (p.by_module(depth), p.by_dtype()):
            assert len({t.key for t in table}) == len(table)
            columns = [(t.numel, t.trainable, t.frozen, t.shared, t.dead) for t in table]
            assert tuple(map(sum, zip(*columns, strict=True))) == counts
            assert sum(t.nbytes for t in table) == nbytes


def test_tables_by_module_and_dtype() -> None:
    """Frozen: a half-precision Linear of 5*7 + 7 and a head of 7*3. Dead: 13 loose elements are the model's own."""
    frozen = fxcount.analyze(Frozen(), "f32[B,5]").params
    dtypes = [(t.key, t.parameters, t.numel, t.nbytes) for t in frozen.by_dtype()]
    assert dtypes == [("float16", 2, 42, 84), ("float32", 1, 21, 84)]
    dead = fxcount.analyze(Dead(), "B,5").params
    assert [(t.key, t.numel, t.dead) for t in dead.by_module(1)] == [("", 13, 13), ("linear", 35, 0), ("later", 20, 20)]
    assert [(t.key, t.numel) for t in dead.by_module(2)] == [("", 13), ("linear", 35), ("later.0", 20)]


def test_uses_name_module_argument_and_line() -> None:
    model = Tied()
    (row,) = fxcount.analyze(model, "i64[B,S]").params.rows()
    uses = [(u.module, u.op, u.argument) for u in row.used_by]
    assert uses == [("table", "embedding", "weight"), ("head", "linear", "weight")]
    trace = fxcount.analyze(model, "i64[B,S]").trace
    for use in row.used_by:
        assert trace.calls[use.call].op.name == use.op
        path, _, line = str(use.source).rpartition(":")
        assert path == __file__
        assert int(line) == Tied.forward.__code__.co_firstlineno + 1


def test_arguments_have_torchs_names() -> None:
    """As in torch's own signatures, inside lists with the position, by keyword with the keyword."""

    class Uses(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name in "abcdfg":
                self.register_parameter(name, nn.Parameter(torch.zeros(5, 5)))
            self.e = nn.Parameter(torch.zeros(5))

        def forward(self, x: torch.Tensor) -> Any:
            y = torch.cat([self.a, self.b]).sum() + torch.where(x > 0, x, other=self.e)
            y = torch.nn.functional.conv1d(y[:, None], self.c[:, None, :3], bias=self.d[0])
            return torch.addmm(self.f, x.mT, x), x @ self.g, y

    arguments = {
        r.name: [(u.op, u.argument) for u in r.used_by] for r in fxcount.analyze(Uses(), "B,5").params.rows()
    }  # fmt: skip
    assert arguments == {
        "a": [("cat", "tensors[0]")], "b": [("cat", "tensors[1]")], "c": [("getitem", "self")], "d": [("getitem", "self")],
        "e": [("where", "other")], "f": [("addmm", "self")], "g": [("matmul", "other")],
    }  # fmt: skip


def test_an_unknown_state_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'alive'.*dead"):
        fxcount.analyze(nn.Linear(3, 5), "B,3").params.rows("alive")


def test_a_layer_under_an_alias_is_alive() -> None:
    """A weight used through a view, a transpose, an index or in place of another is used."""

    class Uses(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name in "abcde":
                self.register_parameter(name, nn.Parameter(torch.zeros(5, 5)))

        def forward(self, x: torch.Tensor) -> Any:
            y = x @ self.a.T + self.b[0] + self.c.clone().sum()
            return y + torch.stack([self.d, self.d]).sum(), {"returned": self.e}

    assert fxcount.analyze(Uses(), "B,5").params.rows("dead") == []


def test_buffers() -> None:
    """Counted by storage too, apart from parameters; a persistent and a hidden one, one under two names."""
    model = nn.BatchNorm2d(3)
    model.register_buffer("mask", torch.zeros(11, dtype=torch.bool), persistent=False)
    model.register_buffer("again", model.mask)
    p = fxcount.analyze(model.eval(), "B,3,H,W").params
    assert (p.total, p.buffers, p.buffer_bytes) == (6, 3 + 3 + 1 + 11, 4 * 6 + 8 + 11)


@pytest.mark.parametrize("name", ["gpt2", "t5", "resnet18", "swin_t", "timm_vit"])
def test_totals_are_torchs(name: str) -> None:
    """``parameters()`` of a real model lists each tensor once."""
    from tests.zoo import CASES, analysed

    model = CASES[name].on("meta")
    assert analysed(name).params.total == sum(p.numel() for p in model.parameters())
    assert analysed(name).params.dead == 0
