"""What rules have said is said again only where they would say it again."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.errors import UncountedError
from fxcount.ops import REGISTRY, TensorFact, Work
from fxcount.ops.core import remembered
from fxcount.ops.core.registry import Unknown
from fxcount.ops.core.remembered import Asked, Told, cost_told, means_the_same, recalled, remember
from fxcount.report.data.recipe import empty_memos
from fxcount.symbolic import Scope, symbol

H, W = symbol("H"), symbol("W")


class Pyramid(nn.Module):
    """Decides on sizes (a kernel must fit, a map is padded to windows) and looks at a size's value (``range``)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.BatchNorm2d(5)
        self.deep = nn.Conv2d(5, 7, 7)
        self.pool = nn.MaxPool2d(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(x)).relu_()
        if x.shape[-1] % 2:
            x = nn.functional.pad(x, (0, 1))
        x = self.pool(self.deep(x))
        return x.flatten(2).transpose(1, 2).reshape(x.shape[0], -1)


def facts(report: Any) -> tuple[Any, ...]:
    """All that one analysis says of work, memory and sizes."""
    return (
        str(report.costs.total), [(str(p.nbytes), p.call) for p in report.peaks.peaks], sorted(map(str, report.assumptions)),
        [str(v.fact.shape) for v in report.trace.values_out()], [str(c.signature.result) for c in report.trace.calls],
    )  # fmt: skip


HINTS = ({"H": 61, "W": 59}, {"H": 64, "W": 64}, {"H": 31, "W": 37}, {"H": 61, "W": 60}, {"H": 64, "W": 64})


def test_an_analysis_says_the_same_whatever_came_before() -> None:
    model = Pyramid().eval()
    alone = []
    for hints in HINTS:
        empty_memos()
        alone.append(facts(fxcount.analyze(model, "B,3,H,W", hints=hints)))
    assert alone[0] != alone[1] != alone[2], "these sizes take other ways"
    empty_memos()
    for _ in range(2):
        assert [facts(fxcount.analyze(model, "B,3,H,W", hints=hints)) for hints in HINTS] == alone


def test_rules_are_not_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    model, kept = Pyramid().eval(), []
    empty_memos()
    monkeypatch.setattr("fxcount.trace.tracer.tracer.remember", lambda key, told: kept.append(told) or remember(key, told))
    first = fxcount.analyze(model, "B,3,H,W", hints=HINTS[0])
    first_kept = len(kept)
    assert first_kept >= 6
    second = fxcount.analyze(model, "B,3,H,W", hints=HINTS[0])
    assert len(kept) == first_kept, "nothing new was said"
    shared = {id(s.told) for s in first.trace.signatures if s.told} & {id(s.told) for s in second.trace.signatures}
    assert len(shared) == first_kept


def test_the_default_dtype_is_part_of_what_a_rule_is_told() -> None:
    class Halved(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / 2

    empty_memos()
    assert fxcount.analyze(Halved(), "i64[B]").memory.outputs == 4 * fxcount.analyze(Halved(), "i64[B]").symbol("B")
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        report = fxcount.analyze(Halved(), "i64[B]")
        assert report.memory.outputs == 8 * report.symbol("B")
    finally:
        torch.set_default_dtype(before)


def test_a_rule_of_the_users_is_asked_each_time() -> None:
    said = iter((3, 5, 7))

    def shape(scope: Scope, x: TensorFact) -> TensorFact:
        return x.new((next(said),))

    own = fxcount.rule(torch.special.entr, shape=shape, cost=lambda result, *args: Work(flops=1))

    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.entr(x)

    found = [fxcount.analyze(Net(), "f32[B]", rules=[own]).trace.values_out()[0].fact.shape for _ in range(3)]
    assert found == [(3,), (5,), (7,)]


def test_sizes_that_data_decide_are_not_remembered() -> None:
    class Kept(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found = x.nonzero()
            return found.view(-1, 2, 1) * 2 + found[:, :, None]

    empty_memos()
    one, two = (fxcount.analyze(Kept(), "B,5") for _ in range(2))
    assert facts(one) == facts(two)
    assert list(one.unbacked) == list(two.unbacked)


QUESTIONS: tuple[Callable[[Any], Any], ...] = (
    lambda s: s.same(2 * (H // 2), H, "halves"),
    lambda s: s.same(H, H),
    lambda s: s.decide(">=", H, 9, "large"),
    lambda s: s.decide("<", W, H),
    lambda s: s.decide("==", 7, 7),
    lambda s: s.equal(H + W, W + H),
    lambda s: s.hint(H * W),
    lambda s: s.divisible(W, 3),
    lambda s: s.steps(H - 1, 2),
    lambda s: s.pin(W, "a number"),
    lambda s: s.facts.proves_zero(H - W),
    lambda s: dict(s.hints),
    lambda s: s.unbacked.concern(H),
    lambda s: s.outside(torch.get_default_dtype),
)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_scope_answers_alike_whoever_listens(question: Callable[[Any], Any]) -> None:
    plain, heard = Scope({"H": 10, "W": 12}), Scope({"H": 10, "W": 12})
    asked = Asked(heard)
    assert question(asked) == question(plain)
    assert list(map(str, heard.assumptions)) == list(map(str, plain.assumptions))
    noted = asked.questions()
    assert noted is not None
    again = Scope({"H": 10, "W": 12})
    assert all(function(again, *about) == answer for function, about, answer in noted)
    assert list(map(str, again.assumptions)) == list(map(str, plain.assumptions)), "what was assumed is assumed again"


def test_another_answer_is_another_rule() -> None:
    asked = Asked(Scope({"H": 10}))
    assert asked.decide(">=", H, 9)
    questions = asked.questions()
    assert questions is not None
    remember(("test", H), Told((), {}, "large", questions))
    found = recalled(("test", H), Scope({"H": 11}))
    assert found is not None
    assert found.result == "large"
    assert recalled(("test", H), Scope({"H": 8})) is None


def test_who_looks_at_more_is_not_remembered() -> None:
    asked = Asked(Scope({"H": 10}))
    assert asked.assumptions == []
    assert asked.questions() is None


@pytest.mark.parametrize("part", [object(), lambda: 0, nn.ReLU, (1, (id, 7)), TensorFact])
def test_no_object_of_the_users_is_kept(part: Any) -> None:
    assert not means_the_same(("test", part))
    assert means_the_same(("test", (1, (int, 7)), TensorFact((3,), torch.float32))) is False  # int is no mark of a container
    assert means_the_same(("test", (1, (list, 7)), TensorFact((3,), torch.float32)))


def test_old_ones_go() -> None:
    for i in range(remembered._MOST + 10):
        remember(("many", i), Told((), {}, None, ()))
    assert remembered._slot.cache_info().currsize <= remembered._MOST
    assert recalled(("many", remembered._MOST + 9), Scope({})) is not None
    remembered.forget()
    assert recalled(("many", remembered._MOST + 9), Scope({})) is None


def test_costs_are_those_of_the_rule() -> None:
    x, w = TensorFact((3, H * 5), torch.float32), TensorFact((7, H * 5), torch.float32)
    entry = REGISTRY[nn.functional.linear]
    told = Told((x, w), {}, entry.shape(Scope({"H": 2}), x, w), ())
    assert cost_told(entry, told).macs == 3 * 7 * 5 * H
    assert cost_told(entry, told) is cost_told(entry, told)


def test_what_has_no_cost_is_asked_again() -> None:
    x = TensorFact((3,), torch.float32)
    entry = next(op for op in REGISTRY.ops if isinstance(op.cost, Unknown))
    for _ in range(2):
        with pytest.raises(UncountedError):
            cost_told(entry, Told((x,), {}, x, ()))


def test_a_report_goes_elsewhere_without_it() -> None:
    report = fxcount.analyze(Pyramid().eval(), "B,3,H,W", hints=HINTS[0])
    copy = pickle.loads(pickle.dumps(report))
    assert facts(copy) == facts(report)
    assert all(s.told is None for s in copy.trace.signatures)


def test_settings_of_the_process_are_asked_again() -> None:
    """Which kernel of attention runs on a GPU is a setting of torch."""
    kernels = torch.nn.attention.SDPBackend

    class Attends(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.scaled_dot_product_attention(x, x, x)

    def peak() -> Any:
        return fxcount.analyze(Attends(), "bf16[2,3,S,64]", device="cuda").memory.peak

    empty_memos()
    before = peak()
    with torch.nn.attention.sdpa_kernel(kernels.MATH):
        plain = peak()
    assert plain != before == peak()
