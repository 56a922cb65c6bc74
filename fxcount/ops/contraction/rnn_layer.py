"""One layer of an LSTM in one direction, as oneDNN runs it on the CPU, and its backward.

Letters: T steps, N batch, I input, H hidden.
Shapes:  x (T, N, I), weights (4*H, I), (4*H, H), biases (4*H) twice, h and c (N, H)
         -> y (T, N, H), h and c (N, H), and the workspace that the backward reads, in bytes
         backward -> the gradients of x, both weights, both biases, h and c
Counts:  macs = T*N*4*H*(I + H); with biases 8*H additions, and per unit 4 sums of the two products, 3 sigmoid, 2 tanh and
         c = f*c + i*g, h = o*tanh(c): 4. The backward multiplies twice as often: once for the input, once for the weights;
         per unit, with t = tanh(c): do = dh*t, dc += dh*o*(1 - t*t), df = dc*c', dc' = dc*f, di = dc*g, dg = dc*i: 8
         products, 2 sums; ds*s*(1 - s) of three gates, dg*(1 - g*g): 8 and 4; dh of the step after it: 1; 4 sums for the biases
Source:  the formula of ``torch.nn.LSTM``; ``rnn_utils.hpp`` of oneDNN for the workspace (f32): seven regions, each from the
         start of a page of 4096 bytes: gates and outputs (T*N rows), three of states and their gradients, as wide as the
         wider of input and state, and two of cell states and their gradients (2*(T+1)*N rows each); up to the oneDNN 3.7 of
         torch 2.9 it was nine, with five of states and their gradients

>>> f32 = torch.float32
>>> x, w, r, b, h = (TensorFact(s, f32) for s in ((17, 3, 24), (80, 24), (80, 20), (80,), (3, 20)))
>>> forward = next(entry for entry in OPS if entry.name == "mkldnn_rnn_layer")
>>> y, _, _, workspace = forward.shape(Scope({}), x, w, r, b, b, h, h, False, [], 2, 20, 1, True, False, False, True)
>>> y.shape, workspace.shape
((17, 3, 20), (98304,))
"""

from __future__ import annotations

from typing import Any

import torch

from fxcount.ops.contraction.matmul import contraction
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import Scalars
from fxcount.symbolic import Scope, Size
from fxcount.symbolic.floor import ceildiv
from fxcount.torch_private import VERSION

__all__ = ["OPS"]

_PAGE = 4096
_CELL = Scalars(add=4 + 1, mul=3, fn=5)
_CELL_BACKWARD = Scalars(add=2 + 4 + 1 + 4, mul=8 + 8)


def _layer(
    scope: Scope, x: TensorFact, w_ih: TensorFact, w_hh: TensorFact, b_ih: TensorFact, b_hh: TensorFact, h: TensorFact,
    c: TensorFact, reverse: bool, batch_sizes: Any, mode: int, hidden: Size, layers: int, has_biases: bool,
    bidirectional: bool, batch_first: bool, train: bool,
) -> tuple[TensorFact, ...]:  # fmt: skip
    steps, batch, width = x.shape
    nbytes = _workspace(scope, steps, batch, width, hidden)  # whether it trains or not
    return (
        x.new((steps, batch, hidden)), x.new((batch, hidden)), x.new((batch, hidden)),
        TensorFact((nbytes,), torch.uint8, x.device),
    )  # fmt: skip


_OF_STATES = 5 if VERSION < (2, 10) else 3


def _workspace(scope: Scope, steps: Size, batch: Size, width: Size, hidden: Size) -> Size:
    states = 2 * (steps + 1) * batch
    of_layer = states * _row(scope, width if scope.decide(">=", width, hidden, "the wider of an LSTM's inputs") else hidden)
    cells = states * hidden
    of_steps = [steps * batch * _row(scope, width) for width in (4 * hidden, hidden)]
    regions = (*of_steps, *[of_layer] * _OF_STATES, *[cells] * 2)
    total: Size = 0
    for numbers in regions:
        total = total + _PAGE * ceildiv(4 * numbers, _PAGE)
    return total


def _row(scope: Scope, width: Size) -> Size:
    """Numbers from one row to the next: whole cache lines, and no multiple of 256, whose rows would meet in one of them."""
    padded = 16 * ceildiv(width, 16)
    if isinstance(padded, int):
        return padded + 16 if padded % 256 == 0 else padded
    return padded


def _layer_cost(y: Any, x: TensorFact, w_ih: TensorFact, w_hh: TensorFact, *args: Any) -> Work:
    hidden = w_hh.shape[1]
    steps = x.shape[0] * x.shape[1]
    biases = Scalars(add=8) if args[8] else Scalars()
    return contraction(x.dtype, steps * (w_ih.numel + w_hh.numel), (_CELL + biases) * (steps * hidden))


def _layer_backward(
    scope: Scope, x: TensorFact, w_ih: TensorFact, w_hh: TensorFact, b_ih: TensorFact, b_hh: TensorFact, h: TensorFact,
    c: TensorFact, *_: Any, **__: Any,
) -> tuple[Any, ...]:  # fmt: skip
    """The gradients of the biases are vectors even where zeros of a weight's shape stand for what is not there."""
    bias = b_ih.new((w_ih.shape[0],))
    return (x.new(x.shape), w_ih.new(w_ih.shape), w_hh.new(w_hh.shape), bias, bias, h.new(h.shape), c.new(c.shape))


def _layer_backward_cost(y: Any, x: TensorFact, w_ih: TensorFact, w_hh: TensorFact, *_: Any, **__: Any) -> Work:
    steps = x.shape[0] * x.shape[1]
    return contraction(x.dtype, 2 * steps * (w_ih.numel + w_hh.numel), _CELL_BACKWARD * (steps * w_hh.shape[1]))


OPS: tuple[Op, ...] = (
    op("mkldnn_rnn_layer", shape=_layer, cost=_layer_cost, kind="recurrent", differentiable=(True, True, True, False)),
    op("mkldnn_rnn_layer_backward", shape=_layer_backward, cost=_layer_backward_cost),
)
