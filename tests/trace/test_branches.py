"""Decisions on data: both ways are followed, and it is said what that found; the model takes the branch of a plain run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount import DataDependentError


class Net(nn.Module):
    def __init__(self, function: Callable[[Any, torch.Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.one, self.other = nn.Linear(7, 7), nn.Linear(7, 7)

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, x)


def _checks(m: Any, x: torch.Tensor) -> Any:
    if (x > 100).any():
        m.large = True
    if 5.0 in x:
        m.five = True
    return m.one(x)


def test_a_check_that_only_takes_notes_does_not_matter() -> None:
    report = fxcount.analyze(Net(_checks), "B,7")
    assert str(report.macs) == "49*B"
    assert [n.partition(" at ")[0] for n in report.trace.notes] == ["a decision on data"] * 2
    assert all("both ways do the same work" in n and "test_branches.py" in n for n in report.trace.notes)


def test_ways_that_differ_are_for_the_user_to_choose() -> None:
    net = Net(lambda m, x: m.one(x) if x.sum() > 0 else x)
    with pytest.raises(DataDependentError, match=r"other parameters are used(.|\n)*branch"):
        fxcount.analyze(net, "B,7")
    assert [str(fxcount.analyze(net, "B,7", hints={"branch": b}).macs) for b in (0, 1)] == ["0", "49*B"]


def test_equal_work_with_other_parameters_differs() -> None:
    with pytest.raises(DataDependentError, match="other parameters"):
        fxcount.analyze(Net(lambda m, x: m.one(x) if x.sum() > 0 else m.other(x)), "B,7")


def test_other_outputs_differ() -> None:
    with pytest.raises(DataDependentError, match="outputs"):
        fxcount.analyze(Net(lambda m, x: m.one(x)[:1] if x.sum() > 0 else m.one(x)), "B,7")


def test_a_way_on_which_the_model_raises_is_none() -> None:
    def refuses(m: Any, x: torch.Tensor) -> Any:
        if not (x >= 0).all():
            raise ValueError("negative input")
        return m.one(x)

    report = fxcount.analyze(Net(refuses), "B,7")
    assert str(report.macs) == "49*B"
    (note,) = report.trace.notes
    assert "taken as True" in note
    assert "ValueError: negative input" in note


def test_what_every_way_raises_is_raised() -> None:
    def refuses(m: Any, x: torch.Tensor) -> Any:
        raise ValueError("positive" if x.sum() > 0 else "negative")

    with pytest.raises(ValueError, match="negative"):
        fxcount.analyze(Net(refuses), "B,7")


def test_nested_decisions_are_followed_to_their_ends() -> None:
    def nested(m: Any, x: torch.Tensor) -> Any:
        if x.sum() > 0:
            x = m.one(x)
            return x if x.max() > 1 else x.relu()  # more work, and only two decisions in
        return m.one(x)

    with pytest.raises(DataDependentError, match="flops"):
        fxcount.analyze(Net(nested), "B,7")


def test_a_loop_that_data_end_is_refused() -> None:
    def loops(m: Any, x: torch.Tensor) -> Any:
        while (x > 0).any():
            x = x - 1
        return x

    with pytest.raises(DataDependentError, match="loop"):
        fxcount.analyze(Net(loops), "B,7")


def test_too_many_ways_are_refused() -> None:
    def many(m: Any, x: torch.Tensor) -> Any:
        a = bool(x[0, 0] > 0)
        b = bool(x[0, 1] > 0)
        c = bool(x[0, 2] > 0)
        d = bool(x[0, 3] > 0)
        return x, [a, b, c, d]

    with pytest.raises(DataDependentError, match="ways"):
        fxcount.analyze(Net(many), "B,7")


def test_what_holds_on_one_way_only_is_assumed() -> None:
    def asks(m: Any, x: torch.Tensor) -> Any:
        if x.sum() > 0:
            assert x.shape[0] < 5
        return m.one(x)

    assert [str(a) for a in fxcount.analyze(Net(asks), "B,7").assumptions] == ["B <= 4"]


@pytest.mark.parametrize("training", [False, True])
def test_an_encoder_that_looks_whether_its_mask_is_causal(training: bool) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
    report = fxcount.analyze(nn.TransformerEncoder(layer, 1).train(training), "B,S,8", mask="S,S")
    # projections 4*8*8 and the feed-forward 2*8*12 for each position, scores and their product with the values 8*S each
    assert str(report.macs) == "16*B*S**2 + 448*B*S"
    assert report.frontend == "trace"


def test_the_model_is_told_the_truth_about_compilation() -> None:
    report = fxcount.analyze(Net(lambda m, x: x if torch.compiler.is_compiling() else m.one(x)), "B,7")
    assert str(report.macs) == "49*B"
    assert not report.trace.notes


def test_the_last_resort_is_said() -> None:
    def guessing(m: Any, x: torch.Tensor) -> Any:
        return m.one(x) if torch.compiler.is_compiling() else m.one(x)[: x.sum().long().item()].exp()

    def deciding(m: Any, x: torch.Tensor) -> Any:
        return x if not torch.compiler.is_compiling() and x.sum() > 0 else m.one(x)

    for function in (guessing, deciding):
        report = fxcount.analyze(Net(function), "B,7")
        assert not report.unbacked
        assert "is_compiling" in report.trace.notes[-1]


def test_the_model_is_left_as_it_was_however_often_it_ran() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls, self.seen = 0, list[int]()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            self.seen.append(self.calls)
            assert self.seen == [1]
            if x.sum() > 0:
                self.positive = True
            return x.exp()

    model = Counts()
    assert str(fxcount.analyze(model, "B,7").transcendentals) == "7*B"
    assert (model.calls, model.seen, hasattr(model, "positive")) == (0, [], False)
