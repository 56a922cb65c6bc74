"""Dropout: against torch; the input itself in evaluation; work against scalar definitions that count."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops import Alias
from fxcount.ops.elementwise import dropout
from tests.ops.cases import call, named, uncovered
from tests.ops.harness import SIZES, Counted, T, rule_result, work

X = T("B,C,H")
NHWC = T("B,H,W,C", perm=(0, 3, 1, 2))
NAMES = ["dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"]

CASES = [
    *(call(named(name), x, 0.3, True) for name in NAMES for x in (X, NHWC)),
    *(call(named(name), X, 0.3, False) for name in NAMES),
    call(torch.dropout, X, 1.0, True),
    call(torch.native_dropout, X, 0.3, True),
    call(torch.native_dropout, X, 0.3, False),
]


@pytest.mark.parametrize("case", CASES)
def test_as_torch(case) -> None:
    case.check()


def test_every_name_has_a_case() -> None:
    assert uncovered(dropout.OPS, CASES) == set()


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_returns_the_operand_itself(name: str) -> None:
    for p, train in ((0.5, False), (0.0, True)):
        x = X.real(SIZES[0], "cpu")
        assert named(name)(x, p, train) is x
        result, _ = rule_result(named(name), X, p, train)
        assert isinstance(result, Alias)
        assert work(named(name), X, p, train)["flops"] == 0


def _noise(name: str, mask: Counted, x: list[Counted]) -> None:
    """One mask value and the elements it is multiplied into."""
    if "alpha" in name:
        shift = (mask + -1) * 0.5 + 0.25
        scaled = mask * 0.7
        _ = [v * scaled + shift for v in x]
    else:
        scaled = mask / 0.5
        _ = [v * scaled for v in x]


@pytest.mark.parametrize("name", NAMES)
def test_work_by_definition(name: str) -> None:
    tally: Counter[str] = Counter()
    shared = 11 if name.startswith("feature") else 1  # elements of a channel share a mask value
    for _ in range(3 * 7 * 11 // shared):
        _noise(name, Counted(1.0, tally), [Counted(0.3, tally)] * shared)
    assert work(named(name), T("B,C,N"), 0.5, True)["flops"] == tally["flops"]


@pytest.mark.parametrize("name", NAMES)
def test_certain_dropout_multiplies_with_zero(name: str) -> None:
    assert work(named(name), T("B,N"), 1.0, True)["flops"] == 33


@pytest.mark.parametrize("name", NAMES)
def test_temporaries_as_eager(name: str) -> None:
    for x, p in ((X, 0.5), (X, 1.0), (X, 0.0), (T("B,C,N", torch.float16), 0.5)):
        call(named(name), x, p, True).values[0].assert_held()


@pytest.mark.parametrize(("name", "args"), [("dropout", (X, 1.5, True)), ("feature_dropout", (T("B"), 0.5, True))])
def test_refuses_as_torch(name: str, args) -> None:
    with pytest.raises(RuntimeError):
        named(name)(args[0].real(SIZES[0], "cpu"), *args[1:])
    with pytest.raises(ShapeError):
        rule_result(named(name), *args)
