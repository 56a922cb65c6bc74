"""Recurrent layers in a step: bytes and FLOPs of real ones, and no size pinned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.checkpoint import checkpoint

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
    _compare(model, plain.at(**sizes), tracked.at(**sizes), shape)
    return plain


def _compare(model: nn.Module, plain: Any, tracked: Any, shape: tuple[int, ...]) -> None:
    x = torch.rand(shape)
    truth = real.run(model, x)
    assert (tracked.saved_bytes, tracked.forward_peak, tracked.peak) == (truth.saved, truth.forward_peak, truth.peak)
    flops = [tracked.public(counted(tracked, "torch", phase)) for phase in ("forward", "backward")]
    assert flops == [truth.forward_flops, truth.backward_flops]
    assert plain.peak == real.plain_peak(model, x)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    """Formulas in the number of steps and the batch, at numbers that are not the hints; few steps are analysed one by one."""
    model = _Net(LAYERS[name](), lambda layer, x: layer(x)[0])
    plain, tracked = (fxcount.training_step(model, "S,B,7", tracker=flag) for flag in (False, True))
    assert not [a for a in plain.assumptions if a.relation == "=="]
    for steps, batch in ((9, 3), (13, 2), (29, 5)):
        at = [step.at(S=steps, B=batch, extend=False) for step in (plain, tracked)]
        _compare(model, *at, (steps, batch, 7))
        apart = fxcount.training_step(model, f"{steps},B,7").at(B=batch)
        assert (at[0].forward_flops, at[0].backward_flops) == (apart.forward_flops, apart.backward_flops)
    _compare(model, plain.at(S=4, B=3), tracked.at(S=4, B=3), (4, 3, 7))


def _frozen() -> nn.Module:
    layer = nn.GRU(6, 5)
    layer.weight_ih_l0.requires_grad_(False)
    layer.bias_hh_l0.requires_grad_(False)
    return layer


@pytest.mark.parametrize(
    ("layer", "call"),
    [
        (lambda: nn.GRU(6, 5), lambda layer, x: layer(x)[1]),
        (lambda: nn.RNN(6, 5), lambda layer, x: layer(x)[0][-1]),
        (lambda: nn.GRU(6, 5), lambda layer, x: layer(x, x.new_ones(1, x.shape[1], 5).cumsum(1))[0] * 2),
        (_frozen, lambda layer, x: layer(x.detach())[0].tanh()),
        (lambda: nn.GRU(6, 5), lambda layer, x: checkpoint(layer, x, use_reentrant=False)[0]),
        (lambda: nn.GRU(6, 5).requires_grad_(False), lambda layer, x: layer(x)[0]),
        (lambda: nn.LSTM(6, 5, proj_size=3).requires_grad_(False), lambda layer, x: layer(x.detach())[0] + x.mean()),
        (lambda: nn.GRU(6, 5), lambda layer, x: layer(x)[0] + layer(x.flip(0))[0].flip(0)),
    ],
    ids=["state", "last", "given state", "frozen weights", "checkpoint", "frozen", "no gradient", "twice"],
)
@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_steps_in_between(layer: Any, call: Any) -> None:
    model = _Net(layer(), call)
    plain, tracked = (fxcount.training_step(model, "S,B,7", tracker=flag) for flag in (False, True))
    assert not [a for a in plain.assumptions if a.relation == "=="]
    _compare(model, *[step.at(S=17, B=3, extend=False) for step in (plain, tracked)], (17, 3, 7))


def test_a_gradient_of_their_gradient_is_taken_step_by_step() -> None:
    def penalised(layer: Any, x: Tensor) -> Tensor:
        y = layer(x)[0]
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return g.square().mean()

    model = _Net(nn.GRU(6, 5), penalised)
    step = fxcount.training_step(model, "9,B,7")
    pinned = fxcount.training_step(model, "S,B,7")
    assert pinned.at(S=9, B=3).peak == step.at(B=3).peak == real.plain_peak(model, torch.rand(9, 3, 7))
    assert any("gradient of repeated steps" in note for note in pinned.notes)


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
