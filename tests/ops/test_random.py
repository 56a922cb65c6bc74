"""Random numbers: against torch; nothing is counted, for a stated reason."""

from __future__ import annotations

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops import REGISTRY, Zero
from fxcount.ops.memory import random
from tests.ops.cases import call, uncovered
from tests.ops.harness import N, T, rule_result

I64, F16, F64 = torch.int64, torch.float16, torch.float64
X, NHWC = T("B,C,H"), T("B,H,W,C", perm=(0, 3, 1, 2))
aten, Tensor = torch.ops.aten, torch.Tensor

CASES = [
    call(torch.rand, N("B"), 3),
    call(torch.rand, (N("B"), N("H//2"))),
    call(torch.randn, (N("B"), 5), dtype=F16),
    call(torch.randint, 10, (N("B"), 3)),
    call(torch.randint, 2, 10, (N("B"),), dtype=torch.int32),
    call(torch.randint, low=0, high=4, size=(N("B"),)),
    call(torch.randperm, N("H")),
    call(torch.rand_like, NHWC),
    call(torch.randn_like, X, dtype=F64),
    call(torch.randint_like, X, 10),
    call(torch.randint_like, NHWC, 2, 10, dtype=I64),
    call(torch.bernoulli, NHWC),
    call(torch.bernoulli, X, 0.3),
    call(torch.poisson, X, on="cpu"),
    call(torch._standard_gamma, X, on="cpu"),
    call(torch._sample_dirichlet, X, on="cpu"),
    call(torch.normal, X, 1.0),
    call(torch.normal, 0.0, X),
    call(torch.normal, T("B,1"), T("C")),
    call(torch.normal, 0.0, 1.0, (N("B"), 3)),
    call(torch.normal, 0.0, 1.0, size=(N("B"), 3), dtype=F64),
    call(torch.multinomial, T("B,C"), 3),
    call(torch.multinomial, T("C"), N("K"), True),
    call(torch.binomial, X, X, on="cpu"),
    call(Tensor.uniform_, NHWC, 0, 1),
    call(Tensor.normal_, X),
    call(Tensor.normal_, X, mean=0.0, std=2.0),
    call(Tensor.normal_, X, 0.0, 2.0),
    call(Tensor.bernoulli_, X, 0.5),
    call(Tensor.exponential_, X),
    call(Tensor.cauchy_, X),
    call(Tensor.log_normal_, X),
    call(Tensor.geometric_, X, 0.5),
    call(Tensor.random_, X, 3, 9),
]


@pytest.mark.parametrize("case", CASES)
def test_as_torch(case) -> None:
    case.check()


def test_every_name_has_a_case() -> None:
    assert uncovered(random.OPS, CASES) == set()


@pytest.mark.parametrize("entry", random.OPS)
def test_counts_nothing_for_a_reason(entry) -> None:
    assert isinstance(entry.cost, Zero)
    assert "random" in entry.cost.reason


def test_methods_that_fill_are_in_place() -> None:
    for method in (Tensor.uniform_, Tensor.normal_, Tensor.bernoulli_, Tensor.random_):
        assert REGISTRY[method].inplace


def test_a_factory_is_on_the_cpu_unless_told_otherwise() -> None:
    for kwargs in ({}, {"device": "meta"}, {"device": torch.device("meta")}):
        result, _ = rule_result(torch.rand, (N("B"),), **kwargs)
        assert result.device == torch.device(kwargs.get("device", "cpu"))


def test_refuses() -> None:
    with pytest.raises(ShapeError):
        rule_result(torch.multinomial, X, 3)
    with pytest.raises(ShapeError):
        rule_result(torch.normal, 0.0, 1.0)
