"""Arguments that are numbers to a rule, given as symbolic sizes: the same shapes and counts as with the numbers, at every size
the formulas admit, by torch's own run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import fxcount
from fxcount.ops import REGISTRY
from fxcount.ops.core.binding import Bound
from fxcount.ops.core.settling import _parameters, settled

CALLS: dict[str, Callable[[torch.Tensor, int], Any]] = {
    "sum": lambda x, k: x.sum(k),
    "flatten": lambda x, k: x.flatten(k),
    "flip": lambda x, k: x.flip(k),
    "permute": lambda x, k: x.permute(*[(d + k) % 4 for d in range(4)]),
    "transpose": lambda x, k: x.transpose(k, 3),
    "rot90": lambda x, k: torch.rot90(x, k, (2, 3)),
    "chunk": lambda x, k: x.chunk(k + 1, 3)[0],
    "diagonal": lambda x, k: torch.diagonal(x, k - 2, 2, 3),
    "diag": lambda x, k: torch.diag(x[0, 0, 0], k - 2),
    "diff": lambda x, k: x.diff(k, 3),
    "cumsum": lambda x, k: x.cumsum(k),
    "softmax": lambda x, k: x.softmax(k),
    "combinations": lambda x, k: torch.combinations(torch.arange(5), k),
    "matrix_power": lambda x, k: torch.matrix_power(x @ x.mT, k),
    "tril": lambda x, k: x.tril(k),
    "one_hot": lambda x, k: F.one_hot(torch.arange(2), k + 2),
    "max_pool2d padding": lambda x, k: F.max_pool2d(x, 3, padding=k),
    "avg_pool2d kernel": lambda x, k: F.avg_pool2d(x, k),
    "conv_transpose2d": lambda x, k: F.conv_transpose2d(x, x.new_ones(3, 2, 3, 3), stride=2, output_padding=k),
}


class Net(nn.Module):
    def __init__(self, call: Callable[[torch.Tensor, int], Any]) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> Any:
        return self.call(x, z.shape[0])


@pytest.mark.parametrize("hint", [1, 2, 3])
@pytest.mark.parametrize("name", CALLS)
def test_a_symbolic_number(name: str, hint: int) -> None:
    net = Net(CALLS[name])

    def eager(k: int) -> tuple[int, ...] | None:
        try:
            return tuple(net(torch.ones(2, 3, 7, 11), torch.ones(k)).shape)
        except (RuntimeError, IndexError):
            return None

    if eager(hint) is None:
        with pytest.raises((fxcount.FxcountError, IndexError)):
            fxcount.analyze(net, "2,3,7,11", ("K",), hints={"K": hint})
        return
    report = fxcount.analyze(net, "2,3,7,11", ("K",), hints={"K": hint})
    assert report.frontend == "trace"
    for k in range(1, 6):
        try:
            there = report.at(K=k, extend=False)
        except fxcount.AssumptionError:
            assert k != hint
            continue
        (out,) = there.trace.values_out()
        assert tuple(there.size(n) for n in out.fact.shape) == eager(k)
        fresh = fxcount.analyze(net, "2,3,7,11", (k,))
        assert (there.macs, there.flops, there.write_bytes) == (fresh.macs, fresh.flops, fresh.write_bytes)


@pytest.mark.parametrize("hint", [1, 5])
def test_a_factor_that_may_be_one(hint: int) -> None:
    """``x + n*y`` is 2 operations an element, and 1 where n is 1."""
    net = Net(lambda x, k: torch.add(x, x, alpha=k))
    report = fxcount.analyze(net, "2,3", ("K",), hints={"K": hint})
    assert report.at(K=hint).flops == (6 if hint == 1 else 12)
    assert report.at(K=7).flops == 12
    assert report.at(K=1).flops == 6


@pytest.mark.parametrize("hint", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("take", [lambda k: k, lambda k: k - 3, lambda k: -k], ids=["k", "k - 3", "-k"])
def test_an_exponent_made_of_a_size(hint: int, take: Callable[[int], int]) -> None:
    """``x ** 2`` is one multiplication an element, ``x ** 5`` a power: which, the formula must not take from its hint."""
    net = Net(lambda x, k: x ** take(k))
    report = fxcount.analyze(net, "2,3", ("K",), hints={"K": hint})
    for k in (1, 2, 3, 4, 5, 6, 9, 12):
        fresh = fxcount.analyze(net, (2, 3), (k,))
        plain = {0: 0, 1: 0, 2: 6, 3: 12, -1: 6, -2: 12}.get(take(k))
        assert plain is None or (fresh.flops, fresh.transcendentals) == (plain, 0)
        try:
            there = report.at(K=k, extend=False)
        except fxcount.AssumptionError:
            assert k != hint
            continue
        assert (there.flops, there.transcendentals) == (fresh.flops, fresh.transcendentals)


@pytest.mark.parametrize("hint", [1, 5])
def test_a_value_that_may_be_one(hint: int) -> None:
    """``x + n*y*z``: 2 operations an element where n is 1, else 3."""
    net = Net(lambda x, k: torch.addcmul(x, x, x, value=k))
    report = fxcount.analyze(net, "2,3", ("K",), hints={"K": hint})
    assert [report.at(K=k).flops for k in (1, 5, 7)] == [12, 18, 18]


@pytest.mark.parametrize(
    ("start", "step"), [(0, 0.1), (0, 0.3), (0.1, 0.7), (1e-17, 1.0), (0, 2.5), (0, 3.141592653589793), (2, 64 / 7)]
)
def test_a_range_of_float_steps(start: float, step: float) -> None:
    """As many elements as torch makes, which divides doubles."""
    report = fxcount.analyze(Net(lambda x, k: torch.arange(start, k, step)), "2,3", ("K",), hints={"K": 64})
    (out,) = report.trace.values_out()
    admitted = 0
    for k in (3, 7, 21, 49, 64, 99, 100, 640):
        try:
            there = report.at(K=k, extend=False)
        except fxcount.AssumptionError:
            assert k != 64
            continue
        admitted += 1
        assert there.size(out.fact.shape[0]) == len(torch.arange(start, k, step))
    assert admitted >= (1 if step in (64 / 7, 3.141592653589793) else 5)


def test_parameters_of_rules_are_those_of_their_signatures() -> None:
    """Names, in order, with annotations, of rules of every form; also without those that have no position."""

    @functools.wraps(settled)
    def wrapping(*args: Any) -> None: ...

    def all_kinds(scope: int, /, x: "float", *rest: "Scalar", k: "int" = 1, **more: "Order") -> None: ...  # type: ignore[name-defined] # noqa: F821, UP037

    rules = [e.shape.rule if isinstance(e.shape, Bound) else e.shape for e in REGISTRY.ops]
    for rule in [*rules, wrapping, all_kinds, functools.partial(all_kinds, 3), lambda x, *, y=1, **z: x, len]:
        try:
            parameters = inspect.signature(rule).parameters.values()
        except ValueError:
            assert _parameters(rule) == {}
            continue
        expected = {p.name: p.annotation if p.annotation is not p.empty else None for p in parameters}
        assert {n: a if a is not inspect.Parameter.empty else None for n, a in _parameters(rule).items()} == expected
        assert list(_parameters(rule)) == list(expected)
        assert list(_parameters(rule, keywords=False)) == [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
