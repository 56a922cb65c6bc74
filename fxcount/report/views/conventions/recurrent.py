"""Recurrent modules by their parameters: what two families of tools count for RNN, LSTM, GRU and their cells.

Letters: I width of the input, H width of the state, D directions.
"""

from __future__ import annotations

import math

from torch import nn

from fxcount.dataclass import dataclass
from fxcount.report.views.conventions.modules import ModuleSite
from fxcount.report.views.conventions.sites import Counted
from fxcount.symbolic import Size, prod

__all__ = ["LAYERS", "gate_counts", "layer_counts"]

LAYERS = (nn.RNN, nn.GRU, nn.LSTM, nn.RNNCell, nn.GRUCell, nn.LSTMCell)
_GATES: dict[type, int] = {nn.RNN: 1, nn.RNNCell: 1, nn.GRU: 3, nn.GRUCell: 3, nn.LSTM: 4, nn.LSTMCell: 4}


@dataclass(frozen=True, slots=True)
class _Widths:
    """Of a recurrent module: I, H, number of layers, D, biases, and the width of a projection (0: none)."""

    inputs: int
    hidden: int
    layers: int
    directions: int
    biased: bool
    projected: int


def _widths(site: ModuleSite) -> _Widths | None:
    shapes = {name: p.shape for name, p in site.parameters.items()}
    first = shapes.get("weight_ih_l0", shapes.get("weight_ih"))
    if first is None:
        return None
    layers = sum(name.startswith("weight_ih_l") and not name.endswith("_reverse") for name in shapes) or 1
    projection = shapes.get("weight_hr_l0", (0,))[0]
    return _Widths(
        first[1], first[0] // _GATES[site.kind], layers, 1 + any(n.endswith("_reverse") for n in shapes),
        any(n.startswith("bias") for n in shapes), projection,
    )  # fmt: skip


def _evaluations(site: ModuleSite) -> Size | None:
    """How often a cell runs: batch, times steps for a layer."""
    if site.x is None:
        return None
    if site.kind in (nn.RNNCell, nn.GRUCell, nn.LSTMCell):
        return site.x.shape[0] if site.x.ndim == 2 else 1
    return prod(site.x.shape[:2]) if site.x.ndim == 3 else site.x.shape[0]


def layer_counts(site: ModuleSite, projections: bool = False) -> Counted | None:
    """thop's count: a product per weight, and one per element for sums, biases and gates."""
    w, times = _widths(site), _evaluations(site)
    if w is None or times is None:
        return None
    projected = w.projected if projections else 0
    stacked = projected or w.hidden

    def cell(inputs: int) -> int:
        gates = _GATES[site.kind]
        state = (inputs + stacked) * w.hidden + w.hidden + (2 * w.hidden if w.biased else 0)
        also = {1: 0, 3: 4 * w.hidden, 4: 4 * w.hidden}[gates]
        return gates * state + also + w.hidden * projected

    total = w.directions * (cell(w.inputs) + (w.layers - 1) * cell(stacked * w.directions))
    return Counted(times * total, "weights, biases and gates per step")


def gate_counts(site: ModuleSite, per_mac: int) -> Counted | None:
    """ptflops' count (``per_mac`` 1) and that of calflops and DeepSpeed (2, less one addition for each sum)."""
    w, times = _widths(site), _evaluations(site)
    if w is None or times is None:
        return None
    also = {1: 1, 3: 7, 4: 10}[_GATES[site.kind]] * w.hidden
    total = 0
    for layer in range(w.layers):
        cell = site.kind in (nn.RNNCell, nn.GRUCell, nn.LSTMCell)
        names = ("weight_ih", "weight_hh") if cell else (f"weight_ih_l{layer}", f"weight_hh_l{layer}")
        matrices = [site.parameters[name].shape for name in names]
        total += sum(per_mac * math.prod(m) - (m[0] if per_mac == 2 else 0) for m in matrices) + also
        total += sum(m[0] for m in matrices) if w.biased else 0
    return Counted(times * total * w.directions, "weights, biases and gates per step")
