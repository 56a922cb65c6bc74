"""Activations: against torch; work against scalar definitions that count."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops.elementwise import activation
from tests.ops.cases import call, named, uncovered
from tests.ops.harness import SIZES, Counted, T, check, rule_result, work

I64, F16, F64, BOOL = torch.int64, torch.float16, torch.float64, torch.bool
X = T("B,C,H")
NHWC = T("B,H,W,C", perm=(0, 3, 1, 2))
aten, nn = torch.ops.aten, torch._C._nn
EXTRA = {"threshold": (0.1, 2.0)}


@pytest.mark.parametrize("name", activation.ACTIVATIONS)
def test_as_torch_by_name(name: str) -> None:
    for x in (X, NHWC, T("B", F16)):
        check(named(name), x, *EXTRA.get(name, ()))


CASES = [
    call(torch.relu, T("B", I64)),
    call(nn.hardtanh, X, 0.0, 4.0),
    call(nn.leaky_relu, X, 0.2),
    call(nn.log_sigmoid, NHWC),
    call(aten.log_sigmoid_forward.default, X),
    call(nn.elu, X, 2.0),
    call(aten.elu.default, X, 1.0, 1.5, 2.0),
    call(nn.gelu, X, approximate="tanh"),
    call(nn.gelu, NHWC),
    call(nn.glu, T("B,6,H"), 1),
    call(nn.glu, T("B,2*H"), -1),
    call(nn.glu, T("B,H,W,6", perm=(0, 3, 1, 2)), 1),
    call(torch.prelu, X, T("1")),
    call(torch.prelu, NHWC, T("C")),
    call(aten._prelu_kernel.default, X, T("C,1")),
    call(torch.rrelu, X),
    call(torch.rrelu, X, 0.1, 0.3, True),
    call(nn.rrelu_with_noise, X, X, on="cpu"),
    call(nn.softplus, X, 2, 20),
    call(torch.celu, X, 0.5),
    call(nn.softshrink, X, 0.3),
]


@pytest.mark.parametrize("case", CASES)
def test_as_torch(case) -> None:
    case.check()


def test_every_name_has_a_case() -> None:
    assert uncovered(activation.OPS, CASES, activation.ACTIVATIONS) == set()


def _elu(x: Counted, alpha: float, scale: float, input_scale: float) -> Counted:
    """The costlier branch, with a multiplication for each factor that is not 1."""
    _ = x > 0
    y = (x if input_scale == 1 else x * input_scale).call("expm1") * alpha
    return y if scale == 1 else y * scale


def _log_sigmoid(x: Counted) -> Counted:
    smaller = x if x < 0 else 0.0
    return smaller - (-abs(x)).call("exp").call("log1p")


def _hard(x: Counted) -> Counted:
    y = x + 3
    _ = (y > 0, y < 6)
    return y


DEFINITIONS = [
    (torch.relu, (), lambda x: x > 0),
    (nn.relu6, (), lambda x: (x > 0, x < 6)),
    (nn.hardtanh, (), lambda x: (x > -1, x < 1)),
    (torch.threshold, (0.1, 2.0), lambda x: x > 0.1),
    (nn.leaky_relu, (), lambda x: (x > 0, x * 0.01)),
    (torch.selu, (), lambda x: (x > 0, x.call("expm1") * 1.67 * 1.05)),
    (torch.celu, (), lambda x: (x > 0, (x / 1.0).call("expm1") * 1.0)),
    (nn.silu, (), lambda x: x * x.call("sigmoid")),
    (nn.mish, (), lambda x: x * x.call("exp").call("log1p").call("tanh")),
    (nn.hardswish, (), lambda x: x * _hard(x) / 6),
    (nn.hardsigmoid, (), lambda x: _hard(x) / 6),
    (nn.softplus, (), lambda x: (z := x * 2, z > 20, z.call("exp").call("log1p") / 2)),
    (nn.log_sigmoid, (), _log_sigmoid),
    (torch.hardshrink, (), lambda x: x > 0.5),
    (nn.softshrink, (), lambda x: (x > 0.5, x - 0.5)),
    (nn.elu, (), lambda x: _elu(x, 1, 1, 1)),
    (aten.elu.default, (1.0, 1.5, 2.0), lambda x: _elu(x, 1, 1.5, 2)),
    (nn.gelu, (), lambda x: x * 0.5 * (1 + (x * 0.707).call("erf"))),
    (torch.rrelu, (), lambda x: (x > 0, x * 0.1)),
    (torch.prelu, (T("1"),), lambda x: (x > 0, x * 0.25)),
]


def _tally(definition, times: int) -> dict[str, int]:
    tally: Counter[str] = Counter()
    for i in range(times):
        definition(Counted(0.1 + 0.01 * i, tally))
    return {k: tally[k] for k in ("macs", "flops", "transcendentals")}


@pytest.mark.parametrize(("func", "args", "definition"), DEFINITIONS)
def test_work_by_definition(func, args, definition) -> None:
    assert work(func, T("B,N"), *args) == _tally(definition, 33)


def test_gelu_with_tanh() -> None:
    definition = lambda x: 0.5 * x * (1 + (0.79 * (x + 0.044 * (x * x * x))).call("tanh"))  # noqa: E731
    assert work(nn.gelu, T("B,N"), approximate="tanh") == _tally(definition, 33)


def test_glu_works_on_the_second_half_only() -> None:
    assert work(nn.glu, T("B,2*N")) == _tally(lambda x: x * x.call("sigmoid"), 33)


@pytest.mark.parametrize("case", [call(nn.log_sigmoid, X), call(torch.rrelu, X), call(nn.gelu, X), call(nn.silu, X),
                                  call(torch.prelu, X, T("C")), call(nn.glu, T("B,6")), call(nn.mish, X)])  # fmt: skip
def test_temporaries_as_eager(case) -> None:
    case.assert_held()


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (torch.relu, (T("B", BOOL),)),
        (nn.gelu, (T("B", I64),)),
        (nn.gelu, (T("B"), )),
        (nn.glu, (T("B,7"),)),
        (nn.glu, (T(""),)),
        (torch.prelu, (X, T("5"))),
        (torch.prelu, (X, T("C,1"))),
        (torch.prelu, (X, T("C", F64))),
    ],
)  # fmt: skip
def test_refuses_as_torch(func, args) -> None:
    kwargs = {"approximate": "sigmoid"} if func is nn.gelu and args[0].dtype is torch.float32 else {}
    with pytest.raises((RuntimeError, NotImplementedError)):
        func(*(a.real(SIZES[0], "cpu") for a in args), **kwargs)
    with pytest.raises(ShapeError):
        rule_result(func, *args, **kwargs)
