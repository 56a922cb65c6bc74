"""Recurrent layers in a step: bytes and FLOPs of real ones, and no size pinned but the number of steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import fxcount
from fxcount.report.views.conventions.training import counted
from tests.training import real

LAYERS: dict[str, Callable[[], nn.Module]] = {
    "gru": lambda: nn.GRU(6, 5),
    "gru both ways": lambda: nn.GRU(6, 5, 2, bidirectional=True, dropout=0.1),
    "gru without biases": lambda: nn.GRU(6, 5, 2, bias=False),
    "tanh": lambda: nn.RNN(6, 5, 2),
    "relu both ways": lambda: nn.RNN(6, 5, nonlinearity="relu", bidirectional=True),
    "projected": lambda: nn.LSTM(6, 5, 2, proj_size=3, dropout=0.1),
    "projected both ways": lambda: nn.LSTM(6, 5, 2, proj_size=3, bidirectional=True),
}
CELLS: dict[str, Callable[[], nn.Module]] = {
    "lstm": lambda: nn.LSTMCell(6, 5), "gru": lambda: nn.GRUCell(6, 5), "tanh": lambda: nn.RNNCell(6, 5),
    "relu": lambda: nn.RNNCell(6, 5, nonlinearity="relu", bias=False),
}  # fmt: skip
PACKED: dict[str, Callable[[], nn.Module]] = {
    "lstm": lambda: nn.LSTM(6, 5, batch_first=True),
    "gru both ways": lambda: nn.GRU(6, 5, 2, batch_first=True, bidirectional=True),
    "lstm both ways": lambda: nn.LSTM(6, 5, 2, batch_first=True, bidirectional=True, dropout=0.1),
}


class _Net(nn.Module):
    """A linear layer and a recurrent one, which ``call`` runs."""

    def __init__(self, layer: nn.Module, call: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.before, self.layer, self.call = nn.Linear(7, 6), layer, call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self.layer, self.before(x))


def _check(model: nn.Module, spec: str, sizes: dict[str, int], shape: tuple[int, ...]) -> Any:
    plain, tracked = (fxcount.training_step(model, spec, tracker=flag) for flag in (False, True))
    at, by_tracker, x = plain.at(**sizes), tracked.at(**sizes), torch.rand(shape)
    truth = real.run(model, x)
    assert (by_tracker.saved_bytes, by_tracker.forward_peak, by_tracker.peak) == (truth.saved, truth.forward_peak, truth.peak)
    flops = [by_tracker.public(counted(by_tracker, "torch", phase)) for phase in ("forward", "backward")]
    assert flops == [truth.forward_flops, truth.backward_flops]
    assert at.peak == real.plain_peak(model, x)
    return plain


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    model = _Net(LAYERS[name](), lambda layer, x: layer(x)[0])
    step = _check(model, "S,B,7", {"S": 4, "B": 3}, (4, 3, 7))
    assert [(a.relation, str(a.expr)) for a in step.assumptions if a.relation == "=="] == [("==", "S - 128")]


@pytest.mark.parametrize("name", CELLS)
def test_cells(name: str) -> None:
    def twice(cell: Any, x: Tensor) -> Tensor:
        first = cell(x)
        then = cell(x * 2, first)
        return then[0] if isinstance(then, tuple) else then  # type: ignore[no-any-return]

    step = _check(_Net(CELLS[name](), twice), "B,7", {"B": 3}, (3, 7))
    assert not [a for a in step.assumptions if a.relation == "=="]


@pytest.mark.parametrize("name", PACKED)
def test_packed_sequences(name: str) -> None:
    def packed(layer: Any, x: Tensor) -> Tensor:
        found = layer(pack_padded_sequence(x, [9, 4, 4, 1], batch_first=True))[0]
        return pad_packed_sequence(found, batch_first=True)[0]

    _check(_Net(PACKED[name](), packed), "4,9,7", {}, (4, 9, 7))
