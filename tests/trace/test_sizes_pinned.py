"""Models that run with plain integers only: their sizes are pinned; models that fail either way fail with their own error."""

from __future__ import annotations

import decimal
import json
from collections.abc import Callable

import numpy as np
import pytest
import torch

import fxcount


class Net(torch.nn.Module):
    def __init__(self, look):
        super().__init__()
        self.look = look
        self.head = torch.nn.Linear(4, 6, bias=False)

    def forward(self, x):
        self.look(x)
        return self.head(x)


def as_json(x):
    assert json.dumps({"size": x.shape[0]}) == f'{{"size": {json.loads(json.dumps(x.shape[0]))}}}'


@pytest.mark.parametrize("look", [as_json, lambda x: decimal.Decimal(x.shape[0])])
def test_what_takes_only_an_exact_int_pins(look):
    report = fxcount.analyze(Net(look), "B,4", hints={"B": 5})
    assert report.at(B=5).macs == 5 * 4 * 6
    assert [str(a) for a in report.assumptions] == ["B == 5 (pinned)"]
    assert "fails with symbolic sizes" in report.assumptions[0].reason
    assert any("pinned" in note for note in report.trace.notes)
    assert fxcount.analyze(Net(look), "7,4").macs == 7 * 4 * 6


def test_the_models_own_error_is_raised():
    def broken(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fxcount.analyze(Net(broken), "B,4")


def test_integers_of_numpy_are_integers():
    n = np.int64

    def shapes(x):
        assert x.view(n(-1), n(2), 2).shape[1:] == (2, 2)
        assert x.reshape(n(2), n(-1)).shape[0] == 2
        assert torch.zeros(n(3), n(4)).shape == x.new_zeros(n(3), 4).shape == torch.Size([3, 4])
        assert x.new_zeros(1, n(4)).expand(n(3), n(-1)).shape == (3, 4)
        assert x.permute(n(1), n(0)).shape[0] == 4
        assert x[: n(3)].repeat(n(2), 1).shape[0] == 6

    report = fxcount.analyze(Net(shapes), "B,4", hints={"B": n(6)})
    assert report.trace.notes == []
    assert report.at(B=n(8)).macs == 8 * 4 * 6
    assert type(report.at(B=np.int32(8)).macs) is int


@pytest.mark.parametrize("hints", [{"B": 10**40}, {"B": 10**400}, {"B": (1 << 63) - 1}])
def test_enormous_hints_are_an_error_of_ours(hints):
    with pytest.raises(fxcount.FxcountError, match=r"2\*\*63"):
        fxcount.analyze(Net(lambda x: x.repeat(4, 1)), "B,4", hints=hints)


def test_enormous_sizes_are_counted():
    report = fxcount.analyze(Net(lambda x: x), "B,4", hints={"B": 10**11})
    assert report.at(B=10**40).macs == 24 * 10**40
    assert report.at(B=10**40).memory.inputs == 16 * 10**40
    assert fxcount.analyze(Net(lambda x: x), (10**11, 4)).macs == 24 * 10**11


def test_a_symbolic_divisor_is_never_zero_where_it_is_looked_at():
    """Memory, table and JSON look at samples of sizes; the divisors here are 0 at many of them."""

    class Windows(torch.nn.Module):
        def forward(self, x):
            n = (x.shape[1] + 56) // 64
            w = x.shape[1] // n
            rows = x[:, : w * n].reshape(-1, n, w).exp().sum(1) + 1
            return rows[:, : x.shape[2] * 8 // (x.shape[2] // 8)]

    report = fxcount.analyze(Windows(), "B,S,H", hints={"S": 128})
    assert report.at(B=2, S=128, H=64).memory.inputs == 2 * 128 * 64 * 4
    assert "Windows" in str(report)
    assert "assumptions" in report.to_dict()
    with pytest.raises(fxcount.AssumptionError, match="S"):
        report.at(B=2, S=7, H=64, extend=False)


def _directly(x: torch.Tensor) -> bool:
    return x.shape[0] is x.shape[2]


def _by_name(x: torch.Tensor) -> bool:
    _, _, h, w = x.shape
    return h is not w


def _by_type(x: torch.Tensor) -> bool:
    return type(x.size(2)) is int


def _by_class(x: torch.Tensor) -> bool:
    n = x.size(-1)
    return issubclass(type(n), int)


def _of_nothing(x: torch.Tensor) -> bool:
    n = x.shape[0]
    return n is not None and x.dtype is torch.float32 and type(x) is not int


@pytest.mark.parametrize("asks", [_directly, _by_name, _by_type, _by_class, _of_nothing])
def test_what_python_tells_nobody_of_pins(asks: Callable[[torch.Tensor], bool]) -> None:
    class Asks(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.exp() if asks(x) else x

    model = Asks()
    report = fxcount.analyze(model, "B,3,H,W", hints={"B": 5, "H": 5, "W": 5})
    pinned = asks in (_directly, _by_name)  # of its type a size says that it is an int
    assert any(a.kind == "pin" for a in report.assumptions) is pinned
    assert any("all sizes are pinned" in note for note in report.trace.notes) is pinned
    for b, h, w in ((5, 5, 5), (1, 1, 1), (2, 7, 11)):
        runs = asks(torch.empty(b, 3, h, w))
        assert report.at(B=b, H=h, W=w).transcendentals == (b * 3 * h * w if runs else 0)


class Counts(torch.nn.Module):
    """``len`` by another name, which gives a plain int."""

    def __init__(self):
        super().__init__()
        self.count = len

    def forward(self, x):
        return x.reshape(self.count(x), -1) @ x.mT.reshape(-1, x.shape[0])


def test_a_length_that_is_a_plain_int_pins_itself_alone():
    report = fxcount.analyze(Counts(), "B,S,7", hints={"B": 5})
    assert [str(a).split(" (")[0] for a in report.assumptions if "==" in str(a)] == ["B == 5"]
    assert report.at(B=5, S=11).macs == 5 * 11 * 7 * 5


def _same(a, b):
    return a is b


def _deeper(first, second=3):
    return _same(second, first)


def _same_pair(sizes):
    a, b = sizes
    return a is b


def _same_of(sizes):
    pair = list(sizes[:2])
    return pair[0] is pair[1]


def _plain(n):
    return type(n) is int


class Asking(torch.nn.Module):
    def __init__(self, asks: Callable[..., bool]) -> None:
        super().__init__()
        self.asks = asks

    def same(self, a: int, b: int) -> bool:
        return a is b

    def forward(self, x):
        return x.exp() if self.asks(self, x) else x


def _renamed(net, x):
    n, m = x.shape
    a = n
    b, c = m, 2 * m
    return a is b or c is a


def _by_method(net, x):
    n, m = x.shape
    return net.same(n, m)


@pytest.mark.parametrize(
    ("asks", "pins"),
    [
        (_renamed, True), (_by_method, True), (lambda net, x: _same(x.shape[0], x.shape[1]), True),
        (lambda net, x: _deeper(x.shape[0], second=x.shape[1]), True), (lambda net, x: _plain(x.shape[0] // 2), False),
        (lambda net, x: id(x.shape[0]) == id(x.shape[1]), False), (lambda net, x: isinstance(x.shape[0], torch.SymInt), False),
        (lambda net, x: isinstance(x.shape[0], (int, torch.SymInt)), False), (lambda net, x: x.shape[0] is None, False),
        (lambda net, x: {int: True}.get(type(x.shape[0]), False), False), (lambda net, x: net is x or x.shape[0] > 3, False),
        (lambda net, x: type(net) is Net and x.shape[0] > 3, False), (lambda net, x: _same_pair(x.shape), True),
        (lambda net, x: _same_pair([x.shape[0], 2 * x.shape[1]]), True), (lambda net, x: _same_pair((x.dim(), 3)), False),
        (lambda net, x: _same_of(sizes=x.size()), True),
    ],
)  # fmt: skip
def test_the_identity_of_a_size(asks, pins):
    """Python tells nobody that it is asked for; the text does, also of what the size is handed to, alone or in a list."""
    net = Asking(asks)
    report = fxcount.analyze(net, "B,C", hints={"B": 5, "C": 300})
    assert any("the identity of a size" in note for note in report.trace.notes) is pins
    for sizes in ((5, 300), (5, 5), (400, 400)):
        values = dict(zip("BC", sizes, strict=True))
        try:
            there = report.at(**values, extend=False)
        except fxcount.AssumptionError:
            continue
        plain = asks(net, torch.zeros(sizes))
        assert there.flops == (sizes[0] * sizes[1] if plain else 0)
