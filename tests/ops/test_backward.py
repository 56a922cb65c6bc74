"""Gradients of functions and losses. Shapes: against torch. Work: against plain formulas that count their operations and
give the number that torch's own kernel gives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops.backward import functions as backward
from tests.ops.cases import Case, call, uncovered
from tests.ops.harness import Counted, T, counted, rule_result, work

aten, F64 = torch.ops.aten, torch.float64
X, STRIDED = T("B,C,H"), T("B,H,C", perm=(0, 2, 1))
ONE = T("")
NONE, MEAN = 0, 1

CASES = [
    call(aten.sigmoid_backward.default, X, STRIDED),
    call(aten.tanh_backward.default, STRIDED, X),
    call(aten.silu_backward.default, X, X),
    call(aten.mish_backward.default, X, X),
    call(aten.threshold_backward.default, X, X, 0),
    call(aten.leaky_relu_backward.default, X, X, 0.1, False),
    call(aten.hardtanh_backward.default, X, X, -1, 1),
    call(aten.hardshrink_backward.default, X, X, 0.5),
    call(aten.softshrink_backward.default, X, X, 0.5),
    call(aten.hardsigmoid_backward.default, X, X),
    call(aten.hardswish_backward.default, X, X),
    call(aten.softplus_backward.default, X, X, 1, 20),
    call(aten.log_sigmoid_backward.default, X, X, X),
    call(aten.rrelu_with_noise_backward.default, X, X, X, 0.1, 0.3, True, False),
    call(aten.native_dropout_backward.default, X, T("B,C,H", torch.bool), 2.0),
    call(aten.gelu_backward.default, X, X),
    call(aten.elu_backward.default, X, 1.0, 1.0, 1.0, False, X),
    call(aten.logit_backward.default, X, X, 0.1),
    call(aten.glu_backward.default, X, T("B,2*C,H"), 1),
    call(aten._prelu_kernel_backward.default, X, X, T("C,1")),
    call(aten._softmax_backward_data.default, X, X, 1, torch.float32),
    call(aten._log_softmax_backward_data.default, X, X, 1, torch.float32),
    call(aten.mse_loss_backward.default, ONE, X, X, MEAN),
    call(aten.smooth_l1_loss_backward.default, X, X, X, NONE, 1.0),
    call(aten.huber_loss_backward.default, X, X, X, NONE, 1.0),
    call(aten.soft_margin_loss_backward.default, ONE, X, X, MEAN),
    call(aten.binary_cross_entropy_backward.default, ONE, X, X, None, MEAN),
    call(aten.nll_loss_backward.default, ONE, T("B,C"), T("B", torch.int64), None, MEAN, -100, ONE),
    call(aten.nll_loss2d_backward.default, ONE, T("B,C,H,W"), T("B,H,W", torch.int64), T("C"), MEAN, -100, ONE),
]


@pytest.mark.parametrize("case", CASES)
def test_shape_and_layout(case: Case) -> None:
    case.check()


def test_every_op_has_a_case() -> None:
    assert not uncovered(backward.OPS, CASES)


def _logistic(x: Counted) -> Counted:
    return x._do("sigmoid", 1 / (1 + math.exp(-x.value)))


def _silu(g: Counted, x: Counted) -> Counted:
    s = _logistic(x)
    return g * s * (1 + x * (1 - s))


def _mish(g: Counted, x: Counted) -> Counted:
    s, t = _logistic(x), x.call("exp").call("log1p").call("tanh")
    return g * (t + x * s * (1 - t * t))


def _choose(*comparisons: bool) -> None:
    """The tests that choose a branch have counted themselves."""


def _leaky(g: Counted, x: Counted) -> Counted:
    _choose(x > 0)
    return g * 0.1


def _between(low: float, high: float) -> Callable[[Counted, Counted], Counted]:
    def gradient(g: Counted, x: Counted) -> Counted:
        _choose(x > low, x < high)
        return g if low < x.value < high else Counted(0.0, g.tally)

    return gradient


def _outside(g: Counted, x: Counted) -> Counted:
    _choose(x > -0.5, x < 0.5)
    return Counted(0.0, g.tally) if -0.5 <= x.value <= 0.5 else g


def _hardsigmoid(g: Counted, x: Counted) -> Counted:
    _choose(x > -3, x < 3)
    return g * (1 / 6)


def _hardswish(g: Counted, x: Counted) -> Counted:
    _choose(x > -3, x < 3)
    return g * (x / 3 + 0.5)


def _softplus(g: Counted, x: Counted) -> Counted:
    scaled = x * 1.0
    _choose(scaled > 20)
    z = scaled.call("exp")
    return g * z / (z + 1)


def _log_sigmoid(g: Counted, x: Counted, z: Counted) -> Counted:
    """z = exp(-abs(x)) was saved by the forward."""
    _choose(x < 0)
    most, sign = (1.0, 1.0) if x.value < 0 else (0.0, -1.0)
    return g * (most - sign * (z / (1 + z)))


def _gelu(g: Counted, x: Counted) -> Counted:
    cdf = 0.5 * (1 + (x * math.sqrt(0.5)).call("erf"))
    pdf = (-0.5 * (x * x)).call("exp") * (1 / math.sqrt(2 * math.pi))
    return g * (cdf + x * pdf)


def _gelu_tanh(g: Counted, x: Counted) -> Counted:
    k, a = math.sqrt(2 / math.pi), 0.044715
    square = x * x
    t = (k * (x + a * (square * x))).call("tanh")
    left, right = 0.5 * x, 1 + t
    return g * (0.5 * right + left * (1 - t * t) * (k * (1 + 3 * a * square)))


def _elu(g: Counted, x: Counted) -> Counted:
    _choose(x > 0)
    return g * (2.0 * 1.5 * 0.5) * (x * 0.5).call("exp")


def _elu_of_result(g: Counted, y: Counted) -> Counted:
    _choose(y > 0)
    return g * 0.5 * (y + 2.0 * 1.5)


def _logit(g: Counted, x: Counted) -> Counted:
    _choose(x < 0.05, x > 0.95)
    return g / (x * (1 - x))


def _smooth_l1(g: Counted, x: Counted, t: Counted) -> Counted:
    d = x - t
    _choose(d < -2.0, d > 2.0)
    return 0.5 * d * g / 2.0


def _huber(g: Counted, x: Counted, t: Counted) -> Counted:
    d = x - t
    _choose(d < -2.0, d > 2.0)
    return 0.5 * d * g


def _soft_margin(g: Counted, x: Counted, t: Counted) -> Counted:
    z = (-t * x).call("exp")
    return -0.5 * t * z / (z + 1) * g


def _bce(g: Counted, x: Counted, t: Counted) -> Counted:
    product = (1 - x) * x
    _choose(product > 1e-12)
    return g * (x - t) / product / 2


# the scalar formula, the kernel, its arguments with the names of operands, and those operands' values
SCALAR = {
    "sigmoid": (lambda g, y: g * (1 - y) * y, aten.sigmoid_backward, "gx", {"x": 0.3}),
    "tanh": (lambda g, y: g * (1 - y * y), aten.tanh_backward, "gx", {"x": 0.3}),
    "silu": (_silu, aten.silu_backward, "gx", {"x": 0.3}),
    "mish": (_mish, aten.mish_backward, "gx", {"x": 0.3}),
    "threshold": (lambda g, x: (_choose(x > 0.1), g)[1], aten.threshold_backward, ("g", "x", 0.1), {"x": 0.3}),
    "leaky_relu": (_leaky, aten.leaky_relu_backward, ("g", "x", 0.1, False), {"x": -0.3}),
    "hardtanh": (_between(-1, 1), aten.hardtanh_backward, ("g", "x", -1, 1), {"x": 0.3}),
    "hardshrink": (_outside, aten.hardshrink_backward, ("g", "x", 0.5), {"x": 0.7}),
    "softshrink": (_outside, aten.softshrink_backward, ("g", "x", 0.5), {"x": 0.7}),
    "hardsigmoid": (_hardsigmoid, aten.hardsigmoid_backward, "gx", {"x": 0.7}),
    "hardswish": (_hardswish, aten.hardswish_backward, "gx", {"x": 0.7}),
    "softplus": (_softplus, aten.softplus_backward, ("g", "x", 1, 20), {"x": 0.7}),
    "log_sigmoid": (_log_sigmoid, aten.log_sigmoid_backward, ("g", "x", "z"), {"x": -0.7, "z": math.exp(-0.7)}),
    "rrelu": (
        lambda g, x, n: g * n, aten.rrelu_with_noise_backward, ("g", "x", "n", 0.1, 0.3, True, False), {"x": -0.7, "n": 0.2},
    ),
    "gelu": (_gelu, aten.gelu_backward, "gx", {"x": 0.7}),
    "elu": (_elu, aten.elu_backward, ("g", 2.0, 1.5, 0.5, False, "x"), {"x": -0.7}),
    "elu_of_result": (_elu_of_result, aten.elu_backward, ("g", 2.0, 1.5, 0.5, True, "x"), {"x": -0.7}),
    "logit": (_logit, aten.logit_backward, ("g", "x", 0.05), {"x": 0.7}),
    "smooth_l1": (_smooth_l1, aten.smooth_l1_loss_backward, ("g", "x", "t", MEAN, 2.0), {"x": 0.7, "t": 0.2}),
    "huber": (_huber, aten.huber_loss_backward, ("g", "x", "t", MEAN, 2.0), {"x": 0.7, "t": 0.2}),
    "soft_margin": (_soft_margin, aten.soft_margin_loss_backward, ("g", "x", "t", MEAN), {"x": 0.7, "t": -1.0}),
    "mse": (lambda g, x, t: (2 / 2) * (x - t) * g, aten.mse_loss_backward, ("g", "x", "t", MEAN), {"x": 0.7, "t": 0.2}),
    "bce": (_bce, aten.binary_cross_entropy_backward, ("g", "x", "t", None, MEAN), {"x": 0.7, "t": 0.2}),
}  # fmt: skip


@pytest.mark.parametrize("name", SCALAR)
def test_the_formula_is_the_kernels_and_counted(name: str) -> None:
    """Of two elements, as a mean divides by their number."""
    formula, packet, arguments, values = SCALAR[name]
    tally: Counter[str] = Counter()
    mine = formula(Counted(0.9, tally), *(Counted(v, tally) for v in values.values()))
    operands = {"g": 0.9, **values}
    real = [torch.full((2,), operands[a], dtype=F64) if isinstance(a, str) else a for a in arguments]
    torch.testing.assert_close(packet.default(*real), torch.full((2,), mine.value, dtype=F64))
    found = work(packet.default, *(T("H") if isinstance(a, str) else a for a in arguments), values={"H": 1})
    assert (found["flops"], found["transcendentals"]) == (tally["flops"], tally["transcendentals"])


def test_gelu_by_tanh() -> None:
    tally: Counter[str] = Counter()
    mine = _gelu_tanh(Counted(0.9, tally), Counted(0.7, tally))
    real = aten.gelu_backward(torch.tensor([0.9], dtype=F64), torch.tensor([0.7], dtype=F64), approximate="tanh")
    torch.testing.assert_close(real, torch.tensor([mine.value], dtype=F64))
    found = work(aten.gelu_backward.default, T("H"), T("H"), approximate="tanh", values={"H": 1})
    assert (found["flops"], found["transcendentals"]) == (tally["flops"], tally["transcendentals"])


def test_dropout_and_prelu() -> None:
    dropout = work(aten.native_dropout_backward.default, T("H"), T("H", torch.bool), 2.0, values={"H": 7})
    prelu = work(aten._prelu_kernel_backward.default, T("H"), T("H"), T("H"), values={"H": 7})
    # g * mask * scale; the comparison of x with 0, and w*g and x*g for its two outcomes
    assert (dropout["flops"], prelu["flops"]) == (7 * 2, 7 * 3)


def test_glu_halves_the_channels() -> None:
    tally: Counter[str] = Counter()
    for g in counted(tally, 5):
        a, b = counted(tally, 2)
        s = _logistic(b)
        first = g * s
        _second = first * (1 - s) * a
    found = work(aten.glu_backward.default, T("H"), T("2*H"), 0, values={"H": 5})
    assert (found["flops"], found["transcendentals"]) == (tally["flops"], tally["transcendentals"])


def _softmax_rows(log: bool) -> Counter[str]:
    tally: Counter[str] = Counter()
    for _ in range(3):
        g, y = counted(tally, 5), counted(tally, 5)
        products = g if log else [a * b for a, b in zip(g, y, strict=True)]
        total = products[0]
        for p in products[1:]:
            total = total + p
        for a, b in zip(g, y, strict=True):
            _ = a - b.call("exp") * total if log else (a - total) * b
    return tally


@pytest.mark.parametrize("log", [False, True])
def test_softmax(log: bool) -> None:
    func = aten._log_softmax_backward_data.default if log else aten._softmax_backward_data.default
    found = work(func, T("B,H"), T("B,H"), 1, torch.float32, values={"B": 3, "H": 5})
    tally = _softmax_rows(log)
    assert (found["flops"], found["transcendentals"]) == (tally["flops"], tally["transcendentals"])


def test_nll_works_once_per_row() -> None:
    values = {"B": 3, "C": 6, "H": 5, "W": 2}
    plain = work(aten.nll_loss_backward.default, ONE, T("B,C"), T("B", torch.int64), None, NONE, -100, ONE, values=values)
    image = (T("B,C,H,W"), T("B,H,W", torch.int64), T("C"), MEAN, -100, ONE)
    weighted = work(aten.nll_loss2d_backward.default, ONE, *image, values=values)
    # a negation; a negation, a product with the weight of the class and a division by the sum of the weights
    assert (plain["flops"], weighted["flops"]) == (3, 3 * 5 * 2 * 3)


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (aten._softmax_backward_data.default, (T("B,H"), T("B,C"), 1, torch.float32)),
        (aten.nll_loss_backward.default, (ONE, T("B,C"), T("B,H", torch.int64), None, MEAN, -100, ONE)),
        (aten.tanh_backward.default, (T("B,H"), T("B,C"))),
    ],
)
def test_errors(func: Any, args: tuple[Any, ...]) -> None:
    with pytest.raises(ShapeError):
        rule_result(func, *args)
