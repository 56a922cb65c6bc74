"""Recurrent layers over whole sequences and their single cells; packed sequences.

Letters: T steps, N batch, I input, H hidden, R returned width (H, or the projection's), L layers, D directions.
Shapes:  x (T, N, I), or (N, T, I) with ``batch_first``, or packed (sum of lengths, I); h (L*D, N, R), c (L*D, N, H)
         -> y (T, N, D*R), h, and c of an LSTM
Counts:  per step and sequence, with k = 4 (LSTM), 3 (GRU), 1 (RNN) gates:
         macs = k*H*(I + R), + H*R with a projection; 2*k*H additions with biases, and
         LSTM  4*H sums of the two products, 3*H sigmoid, 2*H tanh, c = f*c + i*g and h = o*tanh(c): 4*H
         GRU   3*H sums, 2*H sigmoid, H tanh, r times its product: H, h = n + z*(h - n): 3*H
         RNN   H sums, H tanh or relu
         the layers above the first have I = D*R; dropout between layers counts 2 per element
Raises:  ShapeError: widths or numbers of weights do not match; DataDependentError: lengths that are not known
Source:  the formulas of ``torch.nn.LSTM``, ``GRU`` and ``RNN``; the GRU's last as ATen computes it

>>> from fxcount.symbolic import Scope
>>> f32 = torch.float32
>>> x, h, c = (TensorFact(s, f32) for s in ((7, 3, 8), (1, 3, 12), (1, 3, 12)))
>>> weights = [TensorFact((48, 8), f32), TensorFact((48, 12), f32)]
>>> lstm = next(entry for entry in OPS if entry.name == "lstm")
>>> y, _, _ = lstm.shape(Scope({}), x, [h, c], weights, False, 1, 0.0, False, False, False)
>>> y.shape, lstm.cost(y, x, [h, c], weights, False, 1, 0.0, False, False, False).macs
((7, 3, 12), 20160)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

import torch

from fxcount import torch_private
from fxcount.dataclass import dataclass
from fxcount.errors import DataDependentError, ShapeError
from fxcount.ops.contraction.matmul import contraction, require, require_dtype, require_rank
from fxcount.ops.core.arguments import Given, Results
from fxcount.ops.core.binding import Overloads
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.registry import CostRule, Op, Zero, op
from fxcount.ops.core.scalars import Scalars, fact_of
from fxcount.symbolic import Scope, Size, max_

__all__ = ["CELLS", "OPS"]


@dataclass(frozen=True, slots=True)
class _Cell:
    """Gates, and the work per hidden unit once the products and biases are there."""

    gates: int
    inside: Scalars


CELLS = {
    "lstm": _Cell(4, Scalars(add=4 + 1, mul=3, fn=5)),
    "gru": _Cell(3, Scalars(add=3 + 2, mul=2, fn=3)),
    "rnn_tanh": _Cell(1, Scalars(add=1, fn=1)),
    "rnn_relu": _Cell(1, Scalars(add=2)),
}


# --- one call over a sequence ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of either overload, by torch's names: of padded sequences, or of packed ones with their ``batch_sizes``."""

    x: TensorFact
    hx: TensorFact | Sequence[TensorFact]
    params: Sequence[TensorFact]
    has_biases: bool
    num_layers: int
    dropout: float
    train: bool
    bidirectional: bool
    batch_first: bool = False
    batch_sizes: TensorFact | None = None

    @property
    def states(self) -> tuple[TensorFact, ...]:
        """h, and c of an LSTM."""
        return (self.hx,) if isinstance(self.hx, TensorFact) else tuple(self.hx)

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def packed(self) -> bool:
        return self.batch_sizes is not None

    @property
    def per_direction(self) -> int:
        """Weights of one layer and direction: w_ih, w_hh, b_ih and b_hh, w_hr."""
        return len(self.params) // (self.num_layers * self.directions)

    @property
    def hidden(self) -> Size:
        return self.states[-1].shape[-1]

    @property
    def returned(self) -> Size:
        return self.states[0].shape[-1]

    @property
    def projects(self) -> bool:
        return self.per_direction == (5 if self.has_biases else 3)

    @property
    def steps(self) -> Size:
        """Steps of all sequences together."""
        return self.x.shape[0] if self.packed else self.x.shape[0] * self.x.shape[1]


def _layers_shape(kind: str, scope: Scope, x: TensorFact, **named: Any) -> tuple[TensorFact, ...]:
    call = _Call(x, **named)
    gates = CELLS[kind].gates
    require_rank(kind, x=(x, 2 if call.packed else 3), h=(call.states[0], 3))
    require_dtype(kind, x, *call.params)
    expected = (4 if call.has_biases else 2) + (len(call.states) == 2 and call.projects)
    if len(call.params) != call.num_layers * call.directions * expected:
        raise ShapeError(f"{kind}: {len(call.params)} weights for {call.num_layers} layers in {call.directions} directions")
    width = x.shape[-1]
    for at in range(0, len(call.params), call.per_direction):
        w_ih, w_hh = call.params[at : at + 2]
        layer = at // call.per_direction // call.directions
        wanted = width if layer == 0 else call.directions * call.returned
        require(scope, w_ih.shape[1], wanted, f"{kind}: input width of layer {layer}", x.shape, w_ih.shape)
        require(scope, w_ih.shape[0], gates * call.hidden, f"{kind}: hidden width of layer {layer}", w_ih.shape)
        require(scope, w_hh.shape[1], call.returned, f"{kind}: state width of layer {layer}", w_hh.shape)
    for state in call.states:
        require(scope, state.shape[0], call.num_layers * call.directions, f"{kind}: states of all layers", state.shape)
        if not call.packed:
            batch = x.shape[0 if call.batch_first else 1]
            require(scope, state.shape[1], batch, f"{kind}: batch of the state", state.shape, x.shape)
    out = call.directions * call.returned
    return (_output(call, out), *(x.new(state.shape) for state in call.states))


def _output(call: _Call, width: Size) -> TensorFact:
    # computed time-first, then transposed
    x = call.x
    y = x.new((*x.shape[:-1], width))
    if not call.batch_first or call.packed:
        return y
    batch = x.shape[0]
    return TensorFact(y.shape, y.dtype, y.device, (width, batch * width, 1))


def _layers_cost(kind: str, y: Results, x: TensorFact, **named: Any) -> Work:
    call = _Call(x, **named)
    h, r, steps = call.hidden, call.returned, call.steps
    cell = CELLS[kind]
    deeper = call.num_layers - 1
    widths = call.directions * (x.shape[-1] + deeper * call.directions * r)  # of all layers and directions together
    cells = call.num_layers * call.directions
    macs = cell.gates * h * (widths + cells * r) + (cells * h * r if call.projects else 0)
    also = _cell_scalars(cell, h, call.has_biases) * cells
    if call.train and call.dropout:
        also = also + Scalars(mul=1, div=1) * (deeper * call.directions * r)
    return contraction(x.dtype, steps * macs, also * steps)


def _cell_scalars(cell: _Cell, hidden: Size, biased: bool) -> Scalars:
    biases = Scalars(add=2 * cell.gates) if biased else Scalars()
    return (cell.inside + biases) * hidden


def _layers_temporaries(kind: str, y: Results, x: TensorFact, **named: Any) -> Size:
    """Bytes at the fullest moment, beyond the results, of the padded overloads; 0 is said of an LSTM that oneDNN does
    not take (packed, without biases, with a projection)."""
    call = _Call(x, **named)
    directions, deep, item = call.directions, call.num_layers > 1, x.itemsize
    one_way = call.steps * call.hidden * item
    state = call.states[0].shape[1] * call.hidden * item
    if call.packed or (kind == "lstm" and (not call.has_biases or call.projects or x.dtype is not torch.float32)):
        return 0
    if kind == "lstm":  # each direction's output until it is joined, states until they are stacked, a time-first x
        copied = x.nbytes if call.batch_first else 0
        states = 2 * call.num_layers * directions * state
        before = directions * one_way if deep else 0
        return copied + (2 * one_way if directions == 2 else 0) + max_(states, before)
    # the gates' inputs for all steps, outputs of all steps as a list and stacked, the other direction, the layer before
    gates = CELLS[kind].gates
    held = gates + (1 if directions == 1 else 4) + (directions if deep else 0)
    if call.batch_first:  # the bias is then added out of place
        held = max(held, 2 * gates + (-1 if directions == 1 else 3))
    return held * one_way - directions * state


# --- single cells ---------------------------------------------------------------------------------


def _cell_shape(
    kind: str,
    scope: Scope,
    x: TensorFact,
    hx: TensorFact | tuple[TensorFact, ...],
    w_ih: TensorFact,
    w_hh: TensorFact,
    b_ih: Given = None,
    b_hh: Given = None,
) -> TensorFact | tuple[TensorFact, ...]:
    what = f"{kind}_cell"
    states = tuple(hx) if isinstance(hx, (list, tuple)) else (hx,)
    require_rank(what, x=(x, 2), h=(states[0], 2))
    require_dtype(what, x, *states, w_ih, w_hh)
    require(scope, x.shape[1], w_ih.shape[1], f"{what}: input width", x.shape, w_ih.shape)
    for state in states:
        require(scope, state.shape[0], x.shape[0], f"{what}: batch", state.shape, x.shape)
        require(scope, w_ih.shape[0], CELLS[kind].gates * state.shape[1], f"{what}: width", w_ih.shape, state.shape)
    results = tuple(x.new((x.shape[0], state.shape[1])) for state in states)
    return results if len(results) > 1 else results[0]


def _cell_cost(
    kind: str, y: Results, x: TensorFact, hx: object, w_ih: TensorFact, w_hh: TensorFact, b_ih: Given = None, b_hh: Given = None
) -> Work:
    batch, hidden = x.shape[0], w_hh.shape[1]
    scalars = _cell_scalars(CELLS[kind], hidden, b_ih is not None)
    return contraction(x.dtype, batch * (w_ih.numel + w_hh.numel), scalars * batch)


def _cell_temporaries(kind: str, y: Results, x: TensorFact, *_: object) -> Size:
    """Units of N*H numbers held when the cell is about to finish."""
    state = fact_of(y)
    return {"lstm": 6, "gru": 7}.get(kind, 2) * state.numel * state.itemsize


# --- packed sequences -----------------------------------------------------------------------------


def _pack_shape(scope: Scope, x: TensorFact, lengths: Any, batch_first: bool = False) -> tuple[TensorFact, torch.Tensor]:
    """The steps of all sequences in one dimension, and how many sequences reach each step: known, as the lengths are."""
    if not isinstance(lengths, torch.Tensor):
        _unknown("_pack_padded_sequence", "lengths")
    steps = [int(n) for n in lengths.tolist()]
    require(scope, x.shape[0 if batch_first else 1], len(steps), "_pack_padded_sequence: one length each", x.shape)
    reaching = [sum(n > step for n in steps) for step in range(max(steps))]
    return x.new((sum(steps), *x.shape[2:])), torch.tensor(reaching, dtype=torch.int64, device="cpu")


def _pad_shape(
    scope: Scope, data: TensorFact, batch_sizes: Any, batch_first: bool, padding_value: Any, total_length: Any
) -> tuple[TensorFact, torch.Tensor]:
    if not isinstance(batch_sizes, torch.Tensor):
        _unknown("_pad_packed_sequence", "batch_sizes")
    sizes = batch_sizes.tolist()
    steps, batch, rest = max(len(sizes), total_length), int(sizes[0]), data.shape[1:]
    y = data.new((steps, batch, *rest))
    lengths = torch.tensor([sum(n > i for n in sizes) for i in range(batch)], dtype=torch.int64, device="cpu")
    if not batch_first:
        return y, lengths
    step, sequence, *inner = y.stride()
    return TensorFact((batch, steps, *rest), y.dtype, y.device, (sequence, step, *inner)), lengths


def _unknown(what: str, operand: str) -> NoReturn:
    raise DataDependentError(
        f"{what}: the sizes depend on the values of {operand}",
        hint="give the lengths as a constant tensor, or count the model on padded sequences",
    )


# --- the table ------------------------------------------------------------------------------------


def _layered(kind: str) -> Op:
    return op(
        kind, shape=partial(_layers_shape, kind), cost=partial(_layers_cost, kind),
        temporaries=partial(_layers_temporaries, kind), random=True, kind="recurrent", activations=True,
        extra=(getattr(torch_private.VF, kind),), overloads=Overloads(),
    )  # fmt: skip


def _single(kind: str) -> Op:
    rules: tuple[Callable[..., Any], CostRule] = partial(_cell_shape, kind), partial(_cell_cost, kind)
    return op(
        f"{kind}_cell", shape=rules[0], cost=rules[1], temporaries=partial(_cell_temporaries, kind), kind="recurrent",
        activations=True,
    )  # fmt: skip


OPS: tuple[Op, ...] = (
    *map(_layered, CELLS),
    *map(_single, CELLS),
    op("_pack_padded_sequence", shape=_pack_shape, cost=Zero("copy", moves=True), reads_data=True),
    op("_pad_packed_sequence", shape=_pad_shape, cost=Zero("copy", moves=True), reads_data=True),
)
