"""Recurrent layers whose weights are quantised, and whose activations are as they come (``torch.ao`` dynamic quantisation).

Letters: T steps, N batch, I input, H hidden, L layers, D directions, k gates (4 of an LSTM, 3 of a GRU, 1 of an RNN).
Shapes:  x (T, N, I), or (N, T, I) with ``batch_first``; h and c (L*D, N, H) -> y (T, N, D*H), h, and c of an LSTM
Counts:  macs = k*H*(I + H) for each step and sequence, on integers; layers above the first have I = D*H. Each of the two
         products takes floats and gives floats: its input is quantised as it comes, all steps of x at once, and h in every
         step; its result is made floats again, and the bias added. What a cell does besides is in floats, as in ``ops.rnn``.
Source:  ``at::native`` RNN.cpp: ``FullLayer`` with ``linear_ih`` of all steps, ``QuantizedCellParamsDynamic``
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from fxcount.ops.contraction.matmul import contraction, require, require_rank
from fxcount.ops.contraction.rnn import CELLS
from fxcount.ops.core.arguments import Results
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.registry import Op, op
from fxcount.ops.quantise.packed import as_it_comes
from fxcount.symbolic import Scope, Size

__all__ = ["OPS"]

States = TensorFact | Sequence[TensorFact]


def _states(hx: States) -> tuple[TensorFact, ...]:
    return (hx,) if isinstance(hx, TensorFact) else tuple(hx)


def _layers(
    kind: str, scope: Scope, x: TensorFact, hx: States, params: Any, has_biases: bool, num_layers: int, dropout: float,
    train: bool, bidirectional: bool, batch_first: bool = False, *_: Any, **__: Any,
) -> tuple[TensorFact, ...]:  # fmt: skip
    what, states = f"quantized_{kind}", _states(hx)
    require_rank(what, x=(x, 3), h=(states[0], 3))
    directions = 2 if bidirectional else 1
    batch = x.shape[0 if batch_first else 1]
    for state in states:
        require(scope, state.shape[0], num_layers * directions, f"{what}: states of all layers", state.shape)
        require(scope, state.shape[1], batch, f"{what}: batch of the state", state.shape, x.shape)
    width = directions * states[0].shape[-1]
    y = x.new((*x.shape[:-1], width))
    if batch_first:  # computed time-first, then transposed
        y = TensorFact(y.shape, y.dtype, y.device, (width, batch * width, 1))
    return (y, *(x.new(state.shape) for state in states))


def _layers_cost(
    kind: str, y: Results, x: TensorFact, hx: States, params: Any, has_biases: bool, num_layers: int, dropout: float,
    train: bool, bidirectional: bool, batch_first: bool = False, *_: Any, **__: Any,
) -> Work:  # fmt: skip
    steps, batch = (x.shape[1], x.shape[0]) if batch_first else (x.shape[0], x.shape[1])
    directions = 2 if bidirectional else 1
    hidden = _states(hx)[0].shape[-1]
    work = Work()
    for layer in range(num_layers):
        width = x.shape[-1] if layer == 0 else directions * hidden
        one = _one(kind, steps, batch, width, hidden, has_biases)
        work = Work(
            work.macs + directions * one.macs, work.flops + directions * one.flops,
            work.transcendentals + directions * one.transcendentals,
        )  # fmt: skip
    return work


def _one(kind: str, steps: Size, batch: Size, width: Size, hidden: Size, biased: bool) -> Work:
    """One layer in one direction."""
    gates = CELLS[kind].gates * hidden
    made = batch * gates
    over = as_it_comes(steps * batch * width, steps * made, biased)
    again = steps * as_it_comes(batch * hidden, made, biased)
    inside = (CELLS[kind].inside * hidden).work(steps * batch, torch.float32)
    products = contraction(torch.int8, steps * made * (width + hidden))
    return Work(products.macs, products.flops + over + again + inside.flops, inside.transcendentals)


def _cell(kind: str, scope: Scope, x: TensorFact, hx: States, *_: Any) -> Results:
    what, states = f"quantized_{kind}_cell_dynamic", _states(hx)
    require_rank(what, x=(x, 2), h=(states[0], 2))
    for state in states:
        require(scope, state.shape[0], x.shape[0], f"{what}: batch", state.shape, x.shape)
    results = tuple(x.new(state.shape) for state in states)
    return results if len(results) > 1 else results[0]


def _cell_cost(kind: str, y: Results, x: TensorFact, hx: States, *_: Any) -> Work:
    return _one(kind, 1, x.shape[0], x.shape[1], _states(hx)[0].shape[1], biased=True)


def _op(name: str, shape: Callable[..., Any], cost: Callable[..., Work]) -> Op:
    return op(name, shape=shape, cost=cost, kind="recurrent", activations=True, differentiable=False, quantises="uint8")


OPS: tuple[Op, ...] = (
    *[_op(f"quantized_{kind}", partial(_layers, kind), partial(_layers_cost, kind)) for kind in ("lstm", "gru")],
    *[
        _op(f"quantized.quantized_{kind}_cell_dynamic", partial(_cell, kind), partial(_cell_cost, kind))
        for kind in ("lstm", "gru", "rnn_tanh", "rnn_relu")
    ],
)
