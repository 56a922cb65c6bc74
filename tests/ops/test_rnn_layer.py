"""One layer of an LSTM as oneDNN runs it: shapes and the workspace against the kernel itself, work against torch's counter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from fxcount.ops.contraction.rnn_layer import OPS
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import T, rule_result, work

aten = torch.ops.aten
pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch is built without oneDNN")


def _layer(steps: str, inputs: int, hidden: int, train: bool = True, reverse: bool = False) -> tuple[Any, ...]:
    gates = 4 * hidden
    state = T(f"B,{hidden}")
    weights = T(f"{gates},{inputs}"), T(f"{gates},{hidden}"), T(f"{gates}"), T(f"{gates}")
    return (T(f"{steps},B,{inputs}"), *weights, state, state, reverse, [], 2, hidden, 1, True, False, False, train)


FORWARD = aten.mkldnn_rnn_layer.default
SIZES = [(8, 12), (24, 20), (64, 64), (256, 7), (5, 128), (300, 256)]
CASES: list[Case] = [
    *[call(FORWARD, *_layer("S", i, h), on="cpu") for i, h in SIZES],
    call(FORWARD, *_layer("S", 8, 12, train=False), on="cpu"),
    call(FORWARD, *_layer("S", 8, 12, reverse=True), on="cpu"),
]


@pytest.mark.parametrize("case", CASES)
def test_layers(case: Case) -> None:
    case.check()


def _backward(layer: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of the backward of a layer, at some sizes."""
    x, w_ih, w_hh, b_ih, b_hh, h, c, reverse, _, mode, hidden, layers, biased, both, first, train = layer
    y, hy, cy, workspace = FORWARD(*layer)
    saved = (x, w_ih, w_hh, b_ih, b_hh, h, c, y, hy, cy)
    grads = [torch.ones_like(t) for t in (y, hy, cy)]
    return (*saved, *grads, reverse, mode, hidden, layers, biased, train, both, [], first, workspace)


def test_the_gradients_have_the_shapes_of_what_they_are_of() -> None:
    x, w, r, b, h = (torch.rand(*s) for s in ((5, 3, 8), (48, 8), (48, 12), (48,), (3, 12)))
    given = _backward((x, w, r, b, b, h, h, False, [], 2, 12, 1, True, False, False, True))
    backward = aten.mkldnn_rnn_layer_backward.default
    facts = [T(",".join(map(str, t.shape))) if isinstance(t, torch.Tensor) else t for t in given]
    found, _ = rule_result(backward, *facts[:-1], T(f"{given[-1].numel()}", torch.uint8))
    assert [f.shape for f in found] == [tuple(t.shape) for t in backward(*given)]


def test_work_is_that_of_the_products_of_unrolled_steps() -> None:
    """Of doubles torch makes the layer of its products, which its counter sees: 2 in the backward for each in the forward."""
    lstm = torch.nn.LSTM(8, 12).double()
    x, h = torch.rand(5, 3, 8, dtype=torch.float64, requires_grad=True), torch.rand(1, 3, 12, dtype=torch.float64)
    with FlopCounterMode(display=False) as counter:
        y, _ = lstm(x, (h.requires_grad_(), h))
        forward = counter.get_total_flops()
        y.sum().backward()
        total = counter.get_total_flops()
    layer = tuple(_layer("5", 8, 12))
    assert 2 * work(FORWARD, *layer, values={"B": 3})["macs"] == forward
    backward = work(aten.mkldnn_rnn_layer_backward.default, *layer[:7], values={"B": 3})
    assert 2 * backward["macs"] == total - forward


def test_all_ops_are_covered() -> None:
    assert uncovered(OPS, CASES, ["mkldnn_rnn_layer_backward"]) == set()
