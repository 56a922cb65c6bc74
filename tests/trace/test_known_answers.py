"""What is known without data: index ranges of positions, comparisons with None, whose memory a tensor is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import fxcount


class Positions(nn.Module):
    """Learned positions, 37 of them."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.table, self.function = nn.Embedding(37, 5), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.table(self.function(x))


POSITIONS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], int]] = {
    "range": (lambda x: torch.arange(x.shape[1]), 37),
    "row": (lambda x: torch.arange(x.shape[1], device=x.device).unsqueeze(0), 37),
    "expanded": (lambda x: torch.arange(x.shape[1])[None].expand(x.shape[0], -1), 37),
    "from_2": (lambda x: torch.arange(x.shape[1]) + 2, 35),
    "counted": (lambda x: torch.ones(x.shape[:2], dtype=torch.long).cumsum(1), 36),
    "backwards": (lambda x: torch.arange(x.shape[1]).flip(0), 37),
    "sliced": (lambda x: torch.arange(2 * x.shape[1])[: x.shape[1]], 37),
    "every_other": (lambda x: torch.arange(0, 2 * x.shape[1], 2), 19),
}  # fmt: skip


@pytest.mark.parametrize("name", POSITIONS)
def test_positions_end_where_their_table_does(name: str) -> None:
    function, last = POSITIONS[name]
    model = Positions(function)
    report = fxcount.analyze(model, "B,S,5", hints={"S": 11})
    assert int(report.at(B=3, S=last).flops) == 3 * last * 5
    model(torch.zeros(3, last, 5))  # torch agrees
    with pytest.raises(IndexError):
        model(torch.zeros(3, last + 1, 5))
    with pytest.raises(fxcount.FxcountError):
        report.at(B=3, S=last + 1)
    with pytest.raises(fxcount.ShapeError, match="37 rows"):
        fxcount.analyze(model, "B,S,5", hints={"S": last + 1})
    with pytest.raises(fxcount.ShapeError, match="37 rows"):
        fxcount.analyze(model, (3, last + 1, 5))


def test_rows_that_data_choose_assume_nothing() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(37, 5)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.table(ids)
            return out

    assert not fxcount.analyze(Tokens(), "i64[B,S]").assumptions


class Asks(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.exp() if self.function(x) else x


ANSWERS: dict[str, tuple[Callable[[torch.Tensor], Any], bool]] = {
    "is_none": (lambda x: x == None, False),  # noqa: E711
    "is_not_none": (lambda x: x != None, True),  # noqa: E711
    "own_memory": (lambda x: x.untyped_storage().data_ptr() == (x + 1).untyped_storage().data_ptr(), False),
    "memory_of_a_view": (lambda x: x.untyped_storage().data_ptr() == x[0].untyped_storage().data_ptr(), True),
}  # fmt: skip


MEMORY: dict[str, Callable[[torch.Tensor], Any]] = {
    "bytes": lambda x: x[:, :2].contiguous().untyped_storage().nbytes() == x.numel() * 4,
    "the same memory": lambda x: x.mT.contiguous().untyped_storage().data_ptr() == x.untyped_storage().data_ptr(),
    "seen as another": lambda x: x.mT.is_set_to(x),
    "seen as it is": lambda x: x.reshape(-1).view(x.shape).is_set_to(x),
    "a part": lambda x: x[:1].is_set_to(x),
    "another": lambda x: (x + 1).is_set_to(x),
}


@pytest.mark.parametrize("hints", [{"B": 1, "H": 3, "W": 5}, {"B": 2, "H": 1, "W": 7}, {"B": 3, "H": 5, "W": 7}], ids=str)
@pytest.mark.parametrize("name", MEMORY)
def test_whose_memory_it_is(name: str, hints: dict[str, int]) -> None:
    """A copy that is a view where a size is 1 lies in the memory of another there: which of them it is, is assumed."""
    net = Asks(MEMORY[name])
    report = fxcount.analyze(net, "B,4,H,W", hints=hints)
    for sizes in ((1, 3, 5), (2, 1, 7), (3, 5, 7), (1, 1, 1), (1, 7, 1), (2, 5, 5)):
        values = dict(zip("BHW", sizes, strict=True))
        try:
            there = report.at(**values, extend=False)
        except fxcount.AssumptionError:
            assert values != hints
            continue
        x = torch.zeros(sizes[0], 4, *sizes[1:])
        assert (there.transcendentals > 0) is bool(MEMORY[name](x)), sizes


@pytest.mark.parametrize("name", ANSWERS)
def test_questions_that_need_no_data(name: str) -> None:
    function, answer = ANSWERS[name]
    assert bool(function(torch.zeros(2, 3))) is answer
    report = fxcount.analyze(Asks(function), "B,3")
    assert str(report.transcendentals) == ("3*B" if answer else "0")
    assert not report.assumptions
    assert "storage" not in " ".join(c.op.name for c in report.trace.calls)
    str(report)


def test_known_tensors_without_dimensions_are_ints() -> None:
    class Slices(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            n = torch.tensor(3)
            return x[n:], x[:, n], x.narrow(0, 0, n), [0, 1, 2, x][n], torch.zeros(n, torch.tensor(2))

    report = fxcount.analyze(Slices(), "7,5")
    shapes = [tuple(t.shape) for t in Slices()(torch.zeros(7, 5))]
    assert [tuple(v.fact.shape) for v in report.trace.values_out()] == shapes


DRAWS: dict[str, tuple[Callable[[torch.Tensor], Any], bool | None]] = {
    "nothing is below 0": (lambda _: torch.rand([]) < 0.0, False),
    "as an item": (lambda _: (torch.rand([]) < 0).item(), False),
    "may be 0": (lambda _: torch.rand([]) <= 0, None),
    "may not be above 0": (lambda _: torch.rand([]) > 0, None),
    "is at least 0": (lambda _: torch.rand([]) >= 0, True),
    "is never 1": (lambda _: torch.rand([]) >= 1.0, False),
    "the number first": (lambda _: 0.0 > torch.rand([]), False),  # noqa: SIM300
    "the number first, 1": (lambda _: 1 <= torch.rand(1), False),  # noqa: SIM300
    "a chance": (lambda _: torch.rand([]) < 0.5, None),
    "not uniform": (lambda _: torch.randn([]) < 0, None),
    "one of many": (lambda x: (torch.rand(x.shape) < 0).any(), False),
    "all of some": (lambda x: (torch.rand_like(x)[0] >= 0).all(), True),
    "overwritten": (lambda _: torch.rand([]).mul_(-1) < 0, None),
    "moved": (lambda x: torch.rand([1]).to(x.device) < 0, False),
    "rounded up to 1": (lambda _: torch.rand([1]).to(torch.float16) < 1, None),
    "the mask written to": (lambda _: (torch.rand([3]) < 0).logical_not_().all(), True),
}


def check_branch(asked: Callable[[torch.Tensor], Any], answer: bool | None, *given: torch.Tensor) -> None:
    """A model that asks this goes the way of the answer, as it does when given these; where there is none it is refused."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.yes, self.no = nn.Linear(5, 7), nn.Linear(5, 11)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.yes(x) if asked(x) else self.no(x)
            return out

    if answer is None:
        with pytest.raises(fxcount.DataDependentError):
            fxcount.analyze(Net(), "B,5")
        return
    assert fxcount.analyze(Net(), "B,5").at(B=3).macs == 3 * 5 * (7 if answer else 11)
    for x in given:
        assert Net()(x).shape == (3, 7 if answer else 11)


@pytest.mark.parametrize("name", DRAWS)
def test_what_holds_of_all_draws_is_known(name: str) -> None:
    """A layer that is dropped with a chance of 0, as models of transformers write it, is never dropped."""
    check_branch(*DRAWS[name], torch.ones(3, 5))


def _whole(x: torch.Tensor) -> torch.Tensor:
    return (100 * x).long()


ABSORBED: dict[str, tuple[Callable[[torch.Tensor], Any], bool | None]] = {
    "or with true": (lambda x: ((x > 0) | torch.full(x.shape, True)).all(), True),
    "or with false": (lambda x: ((x > 0) | torch.full(x.shape, False)).all(), None),
    "true first": (lambda x: (torch.ones(5, dtype=torch.bool) | (x > 0)).all(), True),
    "and with false": (lambda x: ((x > 0) & torch.zeros_like(x, dtype=torch.bool)).any(), False),
    "and with true": (lambda x: ((x > 0) & torch.ones_like(x, dtype=torch.bool)).any(), None),
    "and with 0": (lambda x: (_whole(x) & torch.zeros_like(_whole(x))).any(), False),
    "a whole number or 1": (lambda x: ((_whole(x) | torch.ones_like(_whole(x))) == 1).all(), None),
    "logical": (lambda x: torch.logical_or(x > 0, torch.ones(5) > 0).all(), True),
    "a whole number times 0": (lambda x: (_whole(x) * torch.zeros(5, dtype=torch.long)).max() == 0, True),
    "a whole number times false": (lambda x: (_whole(x) * ~(torch.zeros(1) == 0)).max() == 0, True),
    "times a plain 0": (lambda x: (_whole(x) * 0).any(), False),
    "a number that may be no number times 0": (lambda x: (x * torch.zeros(5)).any(), None),
    "several times": (lambda x: (((x > 0) & ~torch.full((5,), True)) | (torch.zeros(5) > 1)).max() == 0, True),
    "written to later": (lambda x: ((x > 0) | torch.full(x.shape, True).logical_and_(x > 1)).all(), None),
}


@pytest.mark.parametrize("name", ABSORBED)
def test_what_one_operand_decides_is_known(name: str) -> None:
    """As ``generate()`` of transformers ends: at its length whatever the tokens are."""
    check_branch(*ABSORBED[name], torch.ones(3, 5), -torch.ones(3, 5), torch.randn(3, 5))
