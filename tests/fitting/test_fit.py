"""``report.fit()``: closed forms over sizes that a model loops over, held to torch's own counter and to fresh analyses."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import fxcount
from fxcount.errors import AssumptionError, SizeError
from fxcount.report.data.pinned import pinned


class Recurrence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(13, 13)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = torch.zeros_like(x[:, 0])
        for t in range(x.shape[1]):
            state = torch.tanh(self.cell(state) + x[:, t])
        return state


class While(nn.Module):
    """Decides anew at each step, and keeps what each step gives."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(13, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        i, state, kept = 0, x.new_zeros(x.shape[0], 7), []
        while i < x.shape[1]:
            state = self.cell(x[:, i], state)
            kept.append(state)
            i += 1
        return torch.stack(kept, 1)


class Batch(nn.Module):
    """Runs over the batch, as detectors do."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(13, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.linear(image).softmax(-1).sum(0) for image in x])


class Chunks(nn.Module):
    """Takes multiples of 8 alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] % 8:
            raise ValueError("chunks are of 8")
        parts = [x[:, 8 * i : 8 * i + 8] for i in range(x.shape[1] // 8)]
        return torch.cat([part @ part.mT @ part for part in parts], 1)


class Causal(nn.Module):
    """Attention by hand: the work grows with the square."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = [torch.softmax(x[:, i : i + 1] @ x[:, : i + 1].mT, -1) @ x[:, : i + 1] for i in range(x.shape[1])]
        return torch.cat(rows, 1)


class Detector(nn.Module):
    """Of each image at most 5 of the places that score above 0, as detectors keep boxes."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(13, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.linear(image[image[:, 0] > 0][:5]) for image in x])


class Segments(nn.Module):
    """Attention of all places, with those of the future once more for each segment of 4; of 2 places there is no segment."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(13, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count = math.ceil((x.shape[1] - 2) / 4)
        future = torch.cat([x[:, 4 * i : 4 * i + 2] for i in range(count)], 1)
        y = self.linear(torch.cat([future, x[:, 2:]], 1))
        return torch.softmax(y @ y.mT, -1) @ y


LOOPS = {
    "a recurrence": (Recurrence(), "B,S,13", {"S": 97}, "S"), "a while loop": (While(), "B,S,13", {"S": 23}, "S"),
    "a batch": (Batch(), "B,S,13", {"B": 3}, "B"), "chunks": (Chunks(), "B,S,13", {"S": 48}, "S"),
    "causal": (Causal(), "B,S,13", {"S": 17}, "S"),
}  # fmt: skip


def _counted(model: nn.Module, shape: tuple[int, ...]) -> int:
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        copy.deepcopy(model).to("meta")(torch.empty(shape))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", LOOPS)
def test_the_closed_form_is_what_torch_counts(name: str) -> None:
    model, spec, hints, over = LOOPS[name]
    report = fxcount.analyze(model, spec, hints=hints)
    assert pinned(report.piece) == [over]
    found = report.fit()
    assert not found.reasons
    assert report.family.pieces == (report.piece,)  # what was looked at on the way is not kept
    for sizes in ({"B": 5, "S": 136}, {"B": 61, "S": 88}):
        at, fresh = found.at(**sizes), report.at(**sizes)
        assert at.macs == fresh.macs == _counted(model, (sizes["B"], sizes["S"], 13))
        assert (at.flops, at.read_bytes, at.write_bytes) == (fresh.flops, fresh.read_bytes, fresh.write_bytes)
        assert at.peak_bytes == fresh.memory.peak
        assert at.params == fresh.params.total


def test_it_says_where_it_was_fitted_and_checked() -> None:
    report = fxcount.analyze(LOOPS["a recurrence"][0], "B,S,13", hints={"S": 97})
    found = report.fit()
    assert found.evidence.startswith("fitted at S = 1, 2, 3, checked at S = ")
    assert found.evidence.endswith("97, 98")  # what was there checks, too
    assert found.evidence in repr(found)
    assert found.evidence in found.table()
    assert "report.fit() finds the formula in S" in report.table()
    assert "report.fit()" not in report.at(S=7, B=1).table()
    assert found.verify(S=200)


def test_steps_over_a_size_that_the_smallest_have_none_of() -> None:
    model = Segments()
    report = fxcount.analyze(model, "B,S,13", hints={"S": 11})
    assert any("floor((S + 1)/4) == 3" in str(a) for a in report.assumptions)
    with pytest.raises(fxcount.FxcountError, match="cat"):
        report.at(B=1, S=2)  # which the model itself refuses
    found = report.fit(S=range(1, 41))
    for sizes in ({"B": 5, "S": 136}, {"B": 3, "S": 89}, {"B": 2, "S": 55}):
        at, fresh = found.at(**sizes), report.at(**sizes)
        assert at.macs == fresh.macs == _counted(model, (sizes["B"], sizes["S"], 13))
        assert (at.flops, at.read_bytes) == (fresh.flops, fresh.read_bytes)
    assert found.periods["macs"] == {"S": 4}


def test_a_batch_of_images_each_with_what_data_keep_of_it() -> None:
    model = Detector()
    report = fxcount.analyze(model, "B,S,13", hints={"B": 2, "S": 11})
    assert str(report.macs) == "91*Min(5, nonzero_1) + 91*Min(5, nonzero_2)"
    assert "macs" in report.fit().reasons  # each turn has a size of its own
    found = report.fit(guess=True)
    assert found.totals == {"nonzero": "the number of true elements of a mask, each at its default"}
    assert found.symbols == ("S",)
    for batch, places in ((7, 17), (3, 4), (53, 2)):
        with FlopCounterMode(display=False) as counter:
            model(torch.ones(batch, places, 13))  # of which all are kept
        at, fresh = found.at(B=batch, S=places), report.at(B=batch, S=places, guess=True)
        assert at.macs == fresh.macs == counter.get_total_flops() // 2
        assert (at.flops, at.read_bytes, at.write_bytes) == (fresh.flops, fresh.read_bytes, fresh.write_bytes)


def test_only_sizes_the_model_takes_are_spoken_of() -> None:
    model = Chunks()
    found = fxcount.analyze(model, "B,S,13", hints={"S": 48}).fit()
    assert found.domain == {"S": "8 to 320 in steps of 8"}
    with pytest.raises(AssumptionError, match="S=100 is not among the values"):
        found.at(S=100)


def test_ranges_of_ones_own() -> None:
    model = Recurrence()
    report = fxcount.analyze(model, "B,S,13")
    found = report.fit(S=range(4, 13))
    assert str(found.macs) == "169*B*S"
    assert found.evidence.startswith("fitted at S = 4, 5, 6,")
    with pytest.raises(SizeError, match="give sizes of at least 1"):
        report.fit(S=7)
    with pytest.raises(SizeError, match="symbols are B, S"):
        report.fit(Q=range(4, 9))


def test_sizes_that_are_known_stay() -> None:
    model = Recurrence()
    report = fxcount.analyze(model, "B,S,13").at(B=5)
    assert str(report.fit().macs) == "845*S"
    with pytest.raises(SizeError, match="the symbols are S"):
        report.fit(B=range(1, 9))


def test_where_nothing_is_pinned_there_is_nothing_to_fit() -> None:
    model = nn.Linear(3, 5)
    report = fxcount.analyze(model, "B,3")
    with pytest.raises(SizeError, match="no size is pinned"):
        report.fit()
    assert str(report.fit(B=range(1, 20)).macs) == "15*B"
    assert "fit()" not in report.table()


def test_without_the_model_there_is_no_fit() -> None:
    report = fxcount.load(fxcount.analyze(LOOPS["a recurrence"][0], "B,S,13").to_json())
    with pytest.raises(fxcount.FxcountError, match="read from a file"):
        report.fit()


def test_a_loop_that_doubles_has_no_closed_form() -> None:
    class Doubling(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            n = 1
            while n < x.shape[1]:
                n *= 2
            return x @ x.new_zeros(13, n)

    model = Doubling()
    found = fxcount.analyze(model, "B,S,13").fit(S=range(1, 41))
    assert "macs" in found.reasons
    with pytest.raises(AssumptionError, match="no single formula for macs"):
        _ = found.macs


def test_mamba_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.MambaConfig(vocab_size=97, hidden_size=32, state_size=8, num_hidden_layers=2)
    model = transformers.MambaModel(config).eval()
    report = fxcount.analyze(model, "i64[B,S]", hints={"S": 20})
    found = report.fit()
    at, fresh = found.at(B=3, S=59), report.at(B=3, S=59)
    assert (at.macs, at.flops, at.peak_bytes) == (fresh.macs, fresh.flops, fresh.memory.peak)
    assert found.domain["S"].startswith("4 to 40; below 4")


@pytest.mark.parametrize("name", LOOPS)
def test_the_curve_of_a_fit_is_that_of_analyses(name: str) -> None:
    model, spec, hints, over = LOOPS[name]
    report = fxcount.analyze(model, spec, hints=hints)
    sizes = {"B": 5, "S": 136} | {over: [61, 88, 136]}
    fitted, exact = report.fit().curve(**sizes), report.curve(**sizes)
    assert (fitted.columns, fitted.sizes, fitted.free) == (exact.columns, exact.sizes, exact.free)
    assert (len(fitted.pieces), len(exact.pieces)) == (1, 3 - exact.columns["macs"].count(None))
    assert fitted.pieces[0].because.startswith(f"fitted at {over} = ")
    assert fxcount.load(fitted.to_json()) == fitted


def test_a_curve_of_a_fit_says_of_what_it_does_not_speak() -> None:
    model = Chunks()
    found = fxcount.analyze(model, "B,S,13", hints={"S": 48}).fit()
    curve = found.at(B=3).curve(S=[8, 100, 808])
    assert [row.macs for row in curve] == [found.at(B=3, S=8).macs, None, found.at(B=3, S=808).macs]
    assert [bool(row.refused) for row in curve] == [False, True, False]
    assert curve.rows[1].refused == "the formulas speak of S = 8 to 320 in steps of 8; at() of the report answers here"
    with pytest.raises(SizeError, match="needs a value, a range or a tie for B"):
        found.curve(S=8)


def test_sizes_that_are_tied_to_one_another_are_not_pinned() -> None:
    """A square image alone, of any side: neither side is a number of its own."""

    class Square(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[1] != x.shape[2]:
                return x
            return x @ x

    report = fxcount.analyze(Square(), "B,H,W", hints={"H": 24, "W": 24})
    assert pinned(report.piece) == []
    assert "report.fit()" not in report.table()
    assert str(report.at(B=2, H=9, W=9).macs) == "1458"


def test_a_model_that_works_at_its_sample_sizes_alone_is_refused_in_words() -> None:
    class Loops(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if int(x.shape[1]) != 401:
                raise ValueError("a row has 401 numbers")
            return torch.stack([x[i].exp() for i in range(int(x.shape[0]))])

    model = Loops()
    report = fxcount.analyze(model, "B,N", hints={"B": 2, "N": 401})
    with pytest.raises(fxcount.InputError, match=r"none of the first .* ValueError: a row has 401 numbers"):
        report.fit()
