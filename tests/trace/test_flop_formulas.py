"""An op of the user's with a formula of torch's own counter: the value is what ``FlopCounterMode`` says, at every size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, flop_registry, register_flop_formula

import fxcount


class Calls(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


@pytest.fixture
def registered() -> Iterator[Callable[..., Any]]:
    """Makes an op whose flops are what a formula says."""
    made: list[Any] = []
    with torch.library._scoped_library("fxcount_formulas", "FRAGMENT") as library:
        library.define("own(Tensor x, int n=2) -> Tensor")
        library.impl("own", lambda x, n=2: x + n, "CompositeExplicitAutograd")
        torch.library.register_fake("fxcount_formulas::own", lambda x, n=2: torch.empty_like(x), lib=library)
        own = torch.ops.fxcount_formulas.own

        def register(formula: Callable[..., Any], get_raw: bool = False) -> Any:
            register_flop_formula(own, get_raw=get_raw)(formula)
            made.append(own)
            return own

        yield register
    for key in made:
        del flop_registry[key]


FORMULAS: dict[str, Callable[..., Any]] = {
    "a number": lambda *args, **kwargs: 9001,
    "of a size": lambda x, *args, **kwargs: 3 * x[0],
    "of an argument": lambda x, n=2, *args, **kwargs: n * x[0] * x[1],
    "of the result": lambda x, *args, out_shape=None, **kwargs: 5 * out_shape[0],
    "odd": lambda x, *args, **kwargs: x[0] * (x[0] - 1) // 2,
    "a branch": lambda x, *args, **kwargs: 3 * x[0] if x[0] > 4 else 7,
    "nothing": lambda *args, **kwargs: 0,
}  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
def test_the_value_is_taken_as_it_is(name: str, registered: Callable[..., Any]) -> None:
    own = registered(FORMULAS[name])
    report = fxcount.analyze(Calls(lambda x: own(x, 11)), "B,5")
    assert report.frontend == "trace"
    assert not report.uncounted
    for b in (2, 7, 3, 13):
        with FlopCounterMode(display=False) as counter:
            own(torch.zeros(b, 5), 11)
        if name == "a branch":
            report = fxcount.analyze(Calls(lambda x: own(x, 11)), "B,5", hints={"B": b})
        at = report.at(B=b)
        assert (at.flops, at.count("torch")) == (counter.get_total_flops(),) * 2
        assert at.macs == counter.get_total_flops() // 2  # torch counts 2 for each multiply-accumulate


def test_what_it_decides_is_assumed(registered: Callable[..., Any]) -> None:
    own = registered(FORMULAS["a branch"])
    report = fxcount.analyze(Calls(own), "B,5", hints={"B": 7})
    assert [str(a) for a in report.assumptions] == ["B >= 5"]
    with pytest.raises(fxcount.AssumptionError):
        report.at(B=3, extend=False)


def test_raw_formulas_see_tensors(registered: Callable[..., Any]) -> None:
    own = registered(lambda x, *args, out_val=None, **kwargs: 3 * x.numel() + out_val.shape[0], get_raw=True)
    assert str(fxcount.analyze(Calls(own), "B,5").flops) == "16*B"


def test_of_fractions_the_floor_is_taken(registered: Callable[..., Any]) -> None:
    own = registered(lambda x, *args, **kwargs: 2.5 * x[0])
    report = fxcount.analyze(Calls(own), "B,5")
    assert [report.at(B=b).flops for b in (2, 7)] == [5, 17]


def test_a_formula_that_fails_is_listed(registered: Callable[..., Any]) -> None:
    def broken(*args: Any, **kwargs: Any) -> int:
        raise ZeroDivisionError

    assert len(fxcount.analyze(Calls(registered(broken)), "B,5").uncounted) == 1
