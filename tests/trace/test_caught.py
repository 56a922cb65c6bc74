"""Models that catch what torch raises go the same way in an analysis, and none that catch what only an analysis raises."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import fxcount
from fxcount.errors import RangeError, ShapeError

CALLS: dict[str, Callable[[torch.Tensor], object]] = {
    "view": lambda x: x.view(-1, 5),
    "matmul": lambda x: x @ x,
    "add": lambda x: x + x[:50],
    "cat": lambda x: torch.cat([x, x[:, :5]]),
    "expand": lambda x: x.expand(64, -1),
    "broadcast_shapes": lambda x: torch.broadcast_shapes(x.shape[:1], (64,)),
    "einsum": lambda x: torch.einsum("hw,wh->", x, x),
    "addmm": lambda x: torch.addmm(x.new_ones(50, 1), x, x.mT),
    "select": lambda x: x[60],
    "dim": lambda x: x.sum(x.shape[0] // 32),
    "narrow": lambda x: x.narrow(0, 10, 40),
    "repeat": lambda x: x.repeat(x.shape[0] - 20, 1),
    "max_pool1d": lambda x: F.max_pool1d(x, 9),
    "topk": lambda x: x.topk(10),
    "squeezed": lambda x: x.squeeze(0).transpose(0, 1),
}


class Net(nn.Module):
    def __init__(self, call: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            self.call(x)
        except RuntimeError:
            return x.new_zeros(1)
        except IndexError:
            return x.new_zeros(2)
        except ValueError:
            return x.new_zeros(3)
        return x.new_zeros(4)


@pytest.mark.parametrize("hints", [{"H": 50, "W": 7}, {"H": 1, "W": 64}, {"H": 64, "W": 64}, {"H": 30, "W": 20}], ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_what_torch_raises(name: str, hints: dict[str, int]) -> None:
    """Of the class that torch raises, and wherever the formulas admit sizes."""
    net = Net(CALLS[name])
    report = fxcount.analyze(net, "H,W", hints=hints)
    (out,) = report.trace.values_out()
    for h, w in ((50, 7), (1, 64), (1, 1), (64, 64), (30, 20), (7, 50), (10, 10), (65, 5), (50, 50), (20, 20)):
        try:
            there = report.at(H=h, W=w, extend=False)
        except fxcount.AssumptionError:
            assert (h, w) != tuple(hints.values())
            continue
        assert there.size(out.fact.shape[0]) == len(net(torch.zeros(h, w))), (h, w)


@pytest.mark.parametrize("caught", [Exception, RuntimeError])
def test_what_only_an_analysis_raises(caught: type[Exception]) -> None:
    """The model goes on without the data that an eager run has: that is none of its ways."""

    class Looks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            try:
                rows = [row for row in x.tolist() if row[0] > 0]
            except caught:
                return x
            return x[: len(rows)]

    with pytest.raises(fxcount.DataDependentError, match="tolist"):
        fxcount.analyze(Looks(), "B,300")


def test_the_classes_of_errors() -> None:
    assert issubclass(RangeError, ShapeError)
    made = ShapeError("matmul: 3 against 5", where="net.py:7", hint="compare them")
    assert isinstance(made, RuntimeError)
    assert not isinstance(RangeError("dim=4"), RuntimeError)
    import pickle

    again = pickle.loads(pickle.dumps(made))
    assert (type(again), str(again)) == (type(made), str(made))
