"""Recurrent layers and cells as ATen takes them apart on the CPU, for sizes that are formulas and for packed sequences.

Its own code asks for plain numbers, and for the data of ``batch_sizes``. The first and the last steps of a padded sequence are
calls of their own, those between them one call of as many steps as there are.

Letters: T steps, B batch, H width
Source:  native/RNN.cpp of ATen (``FullLayer``, ``PackedLayer``, their bidirectional and reversed kin, ``apply_layer_stack``)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from fxcount import torch_private
from fxcount.dataclass import dataclass
from fxcount.training.repeated import Repeated, between, in_pieces, joined, mark

__all__ = ["CELLS", "LAYERS", "Linear", "Packing", "lengths_of", "padded", "recurrent_cells", "recurrent_layers"]

Linear = Callable[[Any, Any, Any], Any]
"""``F.linear(x, weight, bias)``."""


class _Weights(NamedTuple):
    """Those of one layer in one direction."""

    w_ih: Any
    w_hh: Any
    b_ih: Any = None
    b_hh: Any = None
    w_hr: Any = None  # of a projection


Cell = Callable[[Linear, Any, Any, _Weights, bool], Any]
"""``(linear, x, hidden, weights, ready)`` gives the next hidden state; ``ready``: ``x`` is multiplied with its weights."""


def _input(linear: Linear, x: Any, w: _Weights, ready: bool) -> Any:
    return x if ready else linear(x, w.w_ih, w.b_ih)


def _lstm(linear: Linear, x: Any, hidden: Any, w: _Weights, ready: bool) -> Any:
    h, c = hidden
    gates = linear(h, w.w_hh, w.b_hh).add_(_input(linear, x, w, ready))
    i, f, g, o = torch.unsafe_split(gates, w.w_hh.shape[0] // 4, 1)
    i, f, g, o = i.sigmoid_(), f.sigmoid_(), g.tanh_(), o.sigmoid_()
    c = torch.mul(f, c).add_(torch.mul(i, g))
    h = torch.mul(o, torch.tanh(c))
    if w.w_hr is not None:
        h = torch.mm(h, torch.t(w.w_hr))
    return h, c


def _gru(linear: Linear, x: Any, h: Any, w: _Weights, ready: bool) -> Any:
    width = w.w_hh.shape[0] // 3
    given = torch.unsafe_split(_input(linear, x, w, ready), width, 1)
    held = torch.unsafe_split(linear(h, w.w_hh, w.b_hh), width, 1)
    reset = held[0].add_(given[0]).sigmoid_()
    update = held[1].add_(given[1]).sigmoid_()
    new = torch.add(given[2], held[2].mul_(reset)).tanh_()
    return torch.sub(h, new).mul_(update).add_(new)


def _simple(activation: Callable[[Any], Any]) -> Cell:
    def cell(linear: Linear, x: Any, h: Any, w: _Weights, ready: bool) -> Any:
        held, given = linear(h, w.w_hh, w.b_hh), _input(linear, x, w, ready)  # which C++ holds to the end of the expression
        return activation(held.add_(given))

    return cell


_TANH, _RELU = _simple(torch.tanh), _simple(torch.relu)
LAYERS: Mapping[Any, Cell] = {torch.lstm: _lstm, torch.gru: _gru, torch.rnn_tanh: _TANH, torch.rnn_relu: _RELU}
CELLS: Mapping[Any, Cell] = {
    torch.lstm_cell: _lstm, torch.gru_cell: _gru, torch.rnn_tanh_cell: _TANH, torch.rnn_relu_cell: _RELU,
}  # fmt: skip


def _first(hidden: Any) -> Any:
    return hidden[0] if isinstance(hidden, tuple) else hidden


def _rows(hidden: Any, start: Any, stop: Any) -> Any:
    if isinstance(hidden, tuple):
        return tuple([_rows(h, start, stop) for h in hidden])
    return torch.narrow(hidden, 0, start, stop - start)


def _joined(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], tuple):
        return tuple([torch.cat(found, 0) for found in zip(*parts, strict=True)])
    return torch.cat(list(parts), 0)


@dataclass(frozen=True)
class _Stack:
    """Layers of one kind of cell; ``sizes``: of packed sequences, how many rows each step has."""

    tracer: Any
    cell: Cell
    linear: Linear
    sizes: Sequence[int] | None

    def steps(self, inputs: Sequence[Any], hidden: Any, w: _Weights) -> tuple[list[Any], Any]:
        """Results of the cell for inputs that are multiplied already, and the last hidden state. Inputs of several steps at
        once have a dimension more."""
        outputs = []
        marks = [mark(self.tracer)]
        repeated: Repeated | None = None
        for x in inputs:
            if x.dim() > 2:
                weights, activated = (w.w_hh, w.b_hh, w.w_hr), self.cell in (_TANH, _RELU)
                repeated, y, hidden = between(self.tracer, marks, x, hidden, weights, activated)
                outputs.append(y)
            else:
                hidden = self.cell(self.linear, x, hidden, w, True)
            outputs.append(_first(hidden))
            marks.append(mark(self.tracer))
            if repeated is not None and repeated.after is None and x.dim() == 2:
                repeated.after = marks[-2], marks[-1]
        return outputs, hidden

    def forward(self, x: Any, hidden: Any, w: _Weights) -> tuple[Any, Any]:
        """One layer in one direction."""
        ready = self.linear(x, w.w_ih, w.b_ih)
        if self.sizes is None:
            outputs, hidden = self.steps(in_pieces(ready), hidden, w)
            return joined(outputs), hidden
        outputs, done, at, last = [], [], 0, self.sizes[0]
        for size in self.sizes:
            given = torch.narrow(ready, 0, at, size)
            at += size
            if size < last:
                done.append(_rows(hidden, size, last))
                hidden = _rows(hidden, 0, size)
            last = size
            hidden = self.cell(self.linear, given, hidden, w, True)
            outputs.append(_first(hidden))
        return torch.cat(outputs, 0), _joined([hidden, *reversed(done)])

    def backward(self, x: Any, hidden: Any, w: _Weights) -> tuple[Any, Any]:
        """A layer of packed sequences from the last step to the first: rows join in where their sequences end."""
        assert self.sizes is not None
        ready = self.linear(x, w.w_ih, w.b_ih)
        outputs, at, last = [], sum(self.sizes), self.sizes[-1]
        whole, hidden = hidden, _rows(hidden, 0, last)
        for size in reversed(self.sizes):
            if size > last:
                hidden = _joined([hidden, _rows(whole, last, size)])
            given = torch.narrow(ready, 0, at - size, size)
            at -= size
            last = size
            hidden = self.cell(self.linear, given, hidden, w, True)
            outputs.append(_first(hidden))
        outputs.reverse()
        return torch.cat(outputs, 0), hidden

    def both(self, x: Any, hiddens: Sequence[Any], weights: Sequence[_Weights]) -> tuple[Any, list[Any]]:
        """A layer in both directions. Of padded sequences the results of all steps are held until both are done."""
        if self.sizes is not None:
            y, ahead = self.forward(x, hiddens[0], weights[0])
            z, back = self.backward(x, hiddens[1], weights[1])
            return torch.cat([y, z], -1), [ahead, back]
        ready = self.linear(x, weights[0].w_ih, weights[0].b_ih)
        given = in_pieces(ready)
        outputs, ahead = self.steps(given, hiddens[0], weights[0])
        y = joined(outputs)
        ready = self.linear(x, weights[1].w_ih, weights[1].b_ih)
        given = in_pieces(ready)
        others, back = self.steps(given[::-1], hiddens[1], weights[1])
        others.reverse()
        z = joined(others)
        return torch.cat([y, z], -1), [ahead, back]

    def run(self, x: Any, hiddens: list[Any], weights: list[_Weights], dropout: float, both: bool) -> tuple[Any, list[Any]]:
        """All layers, with ``dropout`` between them; the results of the last one, and the hidden states of each direction."""
        final: list[Any] = []
        step = 2 if both else 1
        for i in range(0, len(weights), step):
            if both:
                y, found = self.both(x, hiddens[i : i + 2], weights[i : i + 2])
                final += found
            else:
                y, hidden = self.forward(x, hiddens[i], weights[i])
                final.append(hidden)
            x = y
            del y
            if dropout and i + step < len(weights):
                x = torch.dropout(x, dropout, True)
        return x, final


def _weights(params: Sequence[Any], has_biases: bool, projected: bool) -> list[_Weights]:
    length = (4 if has_biases else 2) + projected
    found = []
    for i in range(0, len(params), length):
        some = list(params[i : i + length])
        w_hr = some.pop() if projected else None
        found.append(_Weights(*some)._replace(w_hr=w_hr))
    return found


def recurrent_layers(
    tracer: Any, func: Any, linear: Linear, x: Any, hx: Any, params: Any, has_biases: bool, dropout: float, both: bool,
    batch_first: bool, sizes: Sequence[int] | None = None,
) -> Any:  # fmt: skip
    """``func`` of ``LAYERS``, of padded sequences (T, B, ...), or of packed ones; ``dropout`` is 0 where none is done."""
    stack = _Stack(tracer, LAYERS[func], linear, sizes)
    if batch_first:
        x = torch.transpose(x, 0, 1)
    two = isinstance(hx, (tuple, list))  # a hidden state and a cell's
    projected = two and hx[0].shape[-1] != hx[1].shape[-1]
    weights = _weights(params, has_biases, projected)
    if two:
        hiddens: list[Any] = list(zip(*[torch.unbind(h, 0) for h in hx], strict=True))
    else:
        hiddens = list(torch.unbind(hx, 0))
    y, final = stack.run(x, hiddens, weights, dropout, both)
    states = [torch.stack(list(h), 0) for h in (zip(*final, strict=True) if two else (final,))]
    return (torch.transpose(y, 0, 1) if batch_first else y, *states)


def recurrent_cells(func: Any, linear: Linear, x: Any, hx: Any, *weights: Any) -> Any:
    """``func`` of ``CELLS``."""
    return CELLS[func](linear, x, tuple(hx) if isinstance(hx, (tuple, list)) else hx, _Weights(*weights), False)


class Packing(torch.autograd.Function):
    """``torch._pack_padded_sequence``, whose backward in C++ reads how many rows each step has."""

    @staticmethod
    def forward(ctx: Any, x: Any, lengths: Any, batch_first: bool) -> Any:
        data, batch_sizes = torch_private.pack_sequence(x, lengths, batch_first)
        ctx.save_for_backward(batch_sizes)
        ctx.mark_non_differentiable(batch_sizes)
        ctx.set_materialize_grads(False)
        ctx.shape, ctx.batch_first = list(x.shape), batch_first
        return data, batch_sizes

    @staticmethod
    def backward(ctx: Any, grad: Any, _: Any) -> Any:
        (batch_sizes,) = ctx.saved_tensors
        steps, batch, *inner = ctx.shape
        if ctx.batch_first:
            steps, batch = batch, steps
        out = torch.zeros([steps, batch, *inner], dtype=grad.dtype, device=grad.device)
        at = 0
        for i, size in enumerate(batch_sizes.tolist()):
            torch.narrow(torch.select(out, 0, i), 0, 0, size).copy_(torch.narrow(grad, 0, at, size))
            at += size
        return torch.transpose(out, 0, 1) if ctx.batch_first else out, None, None


def padded(data: Any, sizes: Sequence[int], batch_first: bool, value: Any, total: int) -> Any:
    """``torch._pad_packed_sequence``: rows of as many sequences at once as go on equally long."""
    inner = list(data.shape[1:])
    steps = len(sizes)
    out = torch.full([total if total > 0 else steps, sizes[0], *inner], value, dtype=data.dtype, device=data.device)
    at = start = 0
    for i in range(1, steps + 1):
        size = sizes[i - 1]
        if i == steps or sizes[i] != size:
            rows = size * (i - start)
            given = torch.Tensor.view(torch.narrow(data, 0, at, rows), [i - start, size, *inner])
            torch.narrow(torch.narrow(out, 0, start, i - start), 1, 0, size).copy_(given)
            at, start = at + rows, i
    return torch.transpose(out, 0, 1) if batch_first else out


def lengths_of(sizes: Sequence[int]) -> list[int]:
    """How long each of the packed sequences is.

    >>> lengths_of([3, 3, 1])
    [3, 2, 2]
    """
    return [sum(size > row for size in sizes) for row in range(sizes[0])]
