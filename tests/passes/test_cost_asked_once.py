"""A cost rule is asked once for the same operands, also by later analyses, and again for anything that differs."""

from __future__ import annotations

import sys

import pytest
import torch

import fxcount
from fxcount.ops import REGISTRY, Work
from fxcount.ops.core.fact import Alias, TensorFact
from fxcount.passes.cost import signature_cost
from fxcount.symbolic import symbol
from fxcount.trace.tape import Signature

costs = sys.modules["fxcount.passes.cost"]  # the package has a function of this name
B = symbol("B")
X = TensorFact((B, 7), torch.float32)
ADD = REGISTRY[torch.add]


def question(*args: object, result: object = X, op: object = ADD, **kwargs: object) -> object:
    return costs._question(Signature(op, args, kwargs, result))  # type: ignore[arg-type]


def test_a_second_analysis_asks_no_rule_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original = costs.call_cost

    def counted(op: fxcount.ops.Op, *rest: object) -> object:
        asked.append(op.name)
        return original(op, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(costs, "call_cost", counted)
    costs._answered.cache_clear()
    model = torch.nn.Sequential(torch.nn.Linear(11, 13), torch.nn.ReLU(), torch.nn.Linear(13, 11))
    first = fxcount.analyze(model, "B,11")
    assert len(asked) == 3
    assert fxcount.analyze(model, "B,11").costs.total == first.costs.total
    assert len(asked) == 3
    fxcount.analyze(model, "N,11")
    assert len(asked) == 6


@pytest.mark.parametrize(
    "other",
    [
        (X, 1.0), (X, True), (X, 2), (X, B), (X, (1,)), (X, [1]), (X, None), (X, "1"), (X, torch.float32),
        (TensorFact((B, 7), torch.float64), 1), (TensorFact((B, 7), torch.float32, strides=(1, B)), 1), (X, 1, None),
    ],
)  # fmt: skip
def test_what_differs_is_another_question(other: tuple[object, ...]) -> None:
    assert question(X, 1) == question(TensorFact((B, 7), torch.float32), 1)
    assert question(*other) is not None
    assert question(X, 1) != question(*other)


def test_results_names_ops_and_the_default_dtype_are_part_of_it() -> None:
    plain = question(X, 1)
    assert plain != question(X, 1, result=Alias(X))
    assert question(X, 1, result=Alias(X, 0)) != question(X, 1, result=Alias(X, 1))
    assert plain != question(X, 1, alpha=2)
    assert question(X, 1, alpha=2) != question(X, 1, alpha=2.0)
    assert plain != question(X, 1, op=REGISTRY[torch.sub])
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        assert plain != question(X, 1)
    finally:
        torch.set_default_dtype(before)


def test_nothing_is_remembered_of_a_users_rule_or_of_unknown_things() -> None:
    scale = [1]
    own = fxcount.rule(torch.add, shape=lambda scope, x, y: x, cost=lambda result, x, y: Work(flops=scale[0] * x.numel))
    signature = Signature(own, (X, 1), {}, X)
    assert signature_cost(signature).flops == 7 * B
    scale[0] = 3
    assert signature_cost(signature).flops == 21 * B
    assert question(X, object()) is None
    assert question(X, torch.ones(3)) is None
