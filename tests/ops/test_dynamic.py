"""Sizes that data decide: the plain rules refuse, the counted ones say what torch says once the number is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from fxcount.errors import DataDependentError, ShapeError
from fxcount.ops import REGISTRY
from fxcount.ops.core.fact import TensorFact
from fxcount.ops.memory import dynamic
from fxcount.ops.memory.dynamic import OPS
from fxcount.symbolic import Scope, Size
from tests.ops.cases import named

MASK = torch.tensor([[True, False, True], [False, True, True]])
FLOATS = torch.tensor([[0.5, 0.0, 2.0], [0.0, 0.5, 1.0]])
REPEATED = torch.tensor([3, 1, 3, 3, 0])
ROWS = torch.tensor([[1, 2], [3, 4], [1, 2]])

# the op, its operands, its keywords
CALLS = [
    ("nonzero", (FLOATS,), {}),
    ("nonzero", (MASK,), {"as_tuple": True}),
    ("argwhere", (FLOATS,), {}),
    ("masked_select", (FLOATS, MASK), {}),
    ("masked_select", (FLOATS, MASK[0]), {}),
    ("_unique2", (REPEATED, True, True, True), {}),
    ("_unique2", (REPEATED, True, False, False), {}),
    ("unique_dim", (ROWS, 0, True, True, True), {}),
    ("unique_consecutive", (REPEATED, True, True), {}),
    ("bincount", (REPEATED,), {}),
    ("bincount", (REPEATED, torch.ones(5)), {"minlength": 9}),
]


def _fact(x: Any) -> Any:
    return TensorFact(tuple(x.shape), x.dtype) if isinstance(x, torch.Tensor) else x


def _knowing(numbers: list[int]) -> Callable[..., Size]:
    """A count that is told the truth, once for each number asked for."""
    left = iter(numbers)
    return lambda kind, what, most=None, default=None, of=None: next(left)


def _tensors(result: Any) -> list[torch.Tensor]:
    return [result] if isinstance(result, torch.Tensor) else list(result)


def _facts(result: Any) -> list[TensorFact]:
    return [result] if isinstance(result, TensorFact) else list(result)


@pytest.mark.parametrize(("name", "args", "kwargs"), CALLS)
def test_the_counted_rule_is_torchs_given_the_number(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    func = named(name)
    real = _tensors(func(*args, **kwargs))
    counted = REGISTRY[func].counted
    assert counted is not None
    length = real[0].shape[1 if name == "unique_dim" and args[1] else 0]
    if name == "masked_select":  # asks for the true elements of the mask as it is given, not as it is broadcast
        length = int(args[1].sum())
    mine = _facts(counted(Scope({}), _knowing([length]), *map(_fact, args), **kwargs))
    assert len(mine) == len(real)
    for fact, t in zip(mine, real, strict=True):
        assert (fact.shape, fact.dtype) == (tuple(t.shape), t.dtype)
        assert t.numel() < 2 or fact.stride() == t.stride()


@pytest.mark.parametrize("entry", OPS, ids=lambda entry: entry.name)
def test_the_plain_rule_refuses_and_says_how_to_go_on(entry: Any) -> None:
    with pytest.raises(DataDependentError, match="depends on the values") as caught:
        entry.shape(Scope({}), TensorFact((5,), torch.int64))
    assert caught.value.hint


def test_every_op_has_a_case() -> None:
    assert {entry.name for entry in dynamic.OPS} == {name for name, _, _ in CALLS} | {"torchvision.nms"}


def test_boxes_kept_are_rows_of_integers() -> None:
    counted = REGISTRY.named("torchvision_nms").counted
    assert counted is not None
    kept = counted(Scope({}), _knowing([3]), TensorFact((7, 4), torch.float32), TensorFact((7,), torch.float32), 0.5)
    assert (kept.shape, kept.dtype) == ((3,), torch.int64)


def test_the_same_mask_is_asked_for_once() -> None:
    """The mask whose true elements are counted is named, so that equal masks have equal counts; a mask that is broadcast is
    counted as it is given, and the count multiplied."""
    asked: list[int | None] = []

    def count(kind: str, what: str, most: Size | None = None, default: Size | None = None, of: int | None = None) -> Size:
        asked.append(of)
        return 4

    for name, args in (("nonzero", (MASK,)), ("masked_select", (FLOATS, MASK)), ("masked_select", (FLOATS, MASK[0]))):
        counted = REGISTRY[named(name)].counted
        assert counted is not None
        counted(Scope({}), count, *map(_fact, args))
    assert asked == [0, 1, 1]


def test_weights_must_fit() -> None:
    counted = REGISTRY[torch.bincount].counted
    assert counted is not None
    with pytest.raises(ShapeError, match="weights"):
        counted(Scope({}), _knowing([4]), TensorFact((5,), torch.int64), TensorFact((7,), torch.float32))
