"""Bitwise operations: against torch; they are integer work, so they count 0 with that reason."""

from __future__ import annotations

import pytest
import torch

from fxcount.errors import ShapeError
from fxcount.ops import REGISTRY, Zero
from fxcount.ops.elementwise import bitwise
from tests.ops.cases import named, uncovered
from tests.ops.harness import SIZES, N, T, check, rule_result

I64, I32, BOOL = torch.int64, torch.int32, torch.bool
BINARY = list(bitwise._BINARY)
OPERATORS = ["__and__", "__or__", "__xor__", "__lshift__", "__rshift__"]
REFLECTED = ["__rand__", "__ror__", "__rxor__", "__rlshift__", "__rrshift__"]


@pytest.mark.parametrize("name", BINARY)
def test_binary_as_torch(name: str) -> None:
    check(named(name), T("B,C", I64), T("C", I32))
    check(named(name), T("H,B", I32, perm=(1, 0)), N("B"))


@pytest.mark.parametrize("name", [*OPERATORS, *REFLECTED])
def test_operator_as_torch(name: str) -> None:
    check(getattr(torch.Tensor, name), T("B,C", I64), 3)


@pytest.mark.parametrize("name", ["__iand__", "__ior__", "__ixor__", "__ilshift__", "__irshift__"])
def test_augmented_assignment_writes_in_place(name: str) -> None:
    entry = REGISTRY[getattr(torch.Tensor, name)]
    assert entry.inplace
    check(getattr(torch.Tensor, name), T("B,C", I64), 3)


def test_masks_as_torch() -> None:
    check(torch.bitwise_not, T("B,C", BOOL))
    check(torch.Tensor.__invert__, T("H,B", I64, perm=(1, 0)))
    check(torch.bitwise_and, T("B,1", BOOL), T("C", BOOL))


def test_every_name_has_a_case() -> None:
    in_place = {f"__i{name[2:]}" for name in OPERATORS} | {f"{name}_" for name in BINARY}
    assert uncovered(bitwise.OPS, [torch.bitwise_not], {*BINARY, *OPERATORS, *in_place}) == set()


@pytest.mark.parametrize("entry", bitwise.OPS)
def test_counts_nothing_but_moves_memory(entry) -> None:
    assert entry.cost == Zero("integer work", moves=True)


@pytest.mark.parametrize("func", [torch.bitwise_and, torch.Tensor.__or__])
def test_refuses_floats_as_torch(func) -> None:
    with pytest.raises((RuntimeError, NotImplementedError)):
        func(T("B").real(SIZES[0], "cpu"), 1)
    with pytest.raises(ShapeError):
        rule_result(func, T("B"), 1)
    with pytest.raises(ShapeError):
        rule_result(torch.bitwise_not, T("B"))
