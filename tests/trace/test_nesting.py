"""Deep nests: what torch runs within Python's limit on nested calls is analysed, what it refuses is refused with our error."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount import DepthError

# Python 3.12.0 and 3.12.1 allow some 500 calls that pass through C, whatever limit is set; a traced call passes more often.
NEEDS_STACK = pytest.mark.skipif((3, 12) <= sys.version_info < (3, 12, 2), reason="this Python's limit cannot be raised")


class Around(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> Any:
        return self.inner(x)


class Inside(nn.Module):
    """Takes its input out of however many containers, and returns it in ``depth`` of another kind."""

    def __init__(self, depth: int, wrap: Callable[[Any], Any]) -> None:
        super().__init__()
        self.depth = depth
        self.wrap = wrap

    def forward(self, x: Any) -> Any:
        while not isinstance(x, torch.Tensor):
            x = x["a"] if isinstance(x, dict) else x[0]
        return nested(x * 2, self.depth, self.wrap)


CONTAINERS: dict[str, Callable[[Any], Any]] = {"tuple": lambda x: (x,), "list": lambda x: [x], "dict": lambda x: {"a": x}}


def nested(thing: Any, depth: int, wrap: Callable[[Any], Any]) -> Any:
    for _ in range(depth):
        thing = wrap(thing)
    return thing


def torch_runs(model: nn.Module) -> bool:
    try:
        model(torch.zeros(2, 3))
    except RecursionError:
        return False
    return True


def outcome(model: nn.Module) -> Any:
    try:
        return fxcount.analyze(model, "B,3").macs
    except DepthError:
        return None


@NEEDS_STACK
@pytest.mark.parametrize("around", [nn.Sequential, Around])
def test_models_nest_as_deep_as_torch_takes_them(around: Callable[[nn.Module], nn.Module]) -> None:
    possible, refused = 1, 400
    while refused - possible > 1:
        depth = (possible + refused) // 2
        if torch_runs(nested(nn.Linear(3, 5), depth, around)):
            possible = depth
        else:
            refused = depth
    limit = sys.getrecursionlimit()
    margin = 3  # the frames of this test's own functions are a few less, or more
    for depth in range(possible - 2 * margin, possible - margin):
        assert str(outcome(nested(nn.Linear(3, 5), depth, around))) == "15*B"
    for depth in (refused + margin, 2 * refused, 2000):
        assert outcome(nested(nn.Linear(3, 5), depth, around)) is None
    assert sys.getrecursionlimit() == limit


@NEEDS_STACK
def test_a_higher_limit_is_used() -> None:
    model, limit = nested(nn.Linear(3, 5), 600, nn.Sequential), sys.getrecursionlimit()
    found: list[Any] = []

    def analysed() -> None:
        sys.setrecursionlimit(5000)
        try:
            found.append(fxcount.analyze(model, "B,3").macs)
        finally:
            sys.setrecursionlimit(limit)

    size = threading.stack_size(256 << 20)
    try:
        thread = threading.Thread(target=analysed)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
    assert [str(n) for n in found] == ["15*B"]


@NEEDS_STACK
def test_the_error_says_what_is_too_deep_and_what_to_do() -> None:
    with pytest.raises(DepthError, match=r"modules inside of each other") as caught:
        fxcount.analyze(nested(nn.Linear(3, 5), 3000, Around), "B,3")
    assert "setrecursionlimit" in caught.value.hint
    assert "(inner.inner." in caught.value.where
    assert len(str(caught.value)) < 1000


@NEEDS_STACK
def test_a_model_that_calls_itself_for_ever() -> None:
    class Endless(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return self(x + 1)

    with pytest.raises(DepthError, match="inside of each other"):
        fxcount.analyze(Endless(), "B,3")


def test_what_is_not_called_may_be_as_deep_as_it_likes() -> None:
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.deep = nn.Linear(3, 5), nested(nn.Linear(3, 5), 3000, nn.Sequential)
            self.numbers = nested(1, 50_000, CONTAINERS["list"])

        def forward(self, x: torch.Tensor) -> Any:
            return self.used(x)

    report = fxcount.analyze(Holder(), "B,3")
    assert (str(report.macs), report.params.total) == ("15*B", 40)
    assert len(report.by_module()) >= 2


@pytest.mark.parametrize("name", CONTAINERS)
def test_nested_inputs_and_outputs(name: str) -> None:
    wrap = CONTAINERS[name]
    for depth in (0, 100):
        for model, given in ((Inside(0, wrap), nested("B,3", depth, wrap)), (Inside(depth, wrap), "B,3")):
            assert str(fxcount.analyze(model, given).flops) == "3*B"
    for depth in (10**4, 10**5):
        with pytest.raises(DepthError, match="given to the model"):
            fxcount.analyze(Inside(0, wrap), nested("B,3", depth, wrap))
        with pytest.raises(DepthError):
            fxcount.analyze(Inside(depth, wrap), "B,3")


def test_what_is_loaded_besides_does_not_matter() -> None:
    """``torch.distributed``'s wrapper is looked for in a model only where it is loaded."""
    from torch.distributed.fsdp import FullyShardedDataParallel  # noqa: F401

    test_what_is_not_called_may_be_as_deep_as_it_likes()
