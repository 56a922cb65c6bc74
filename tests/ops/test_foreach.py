"""Ops on lists of tensors: against torch, and against the op on each tensor."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fxcount.ops import REGISTRY
from fxcount.ops.core.registry import Op
from fxcount.ops.elementwise import foreach
from tests.ops.harness import T, check, work

X, Y = T("B,C,H"), T("B,H,C", perm=(0, 2, 1))
BINARY = ("add", "sub", "mul", "div", "maximum", "minimum", "clamp_max", "clamp_min", "pow")


def _arguments(name: str) -> tuple[Any, ...]:
    if name in BINARY:
        return ([X, Y], [Y, X])
    if name in ("addcdiv", "addcmul"):
        return ([X, Y], [X, Y], [X, Y])
    return ([X, Y], [X, Y], 0.5) if name == "lerp" else ([X, Y],)


@pytest.mark.parametrize("entry", foreach.OPS, ids=lambda entry: entry.name)
def test_as_torch(entry: Op) -> None:
    check(entry.extra[0], *_arguments(entry.name.removeprefix("_foreach_")))


@pytest.mark.parametrize("name", ["add", "exp", "addcmul", "lerp"])
def test_the_work_is_that_of_each(name: str) -> None:
    args = _arguments(name)
    each = [work(getattr(torch, name), *(a[i] if isinstance(a, list) else a for a in args)) for i in (0, 1)]
    together = work(getattr(torch, f"_foreach_{name}"), *args)
    assert together == {k: each[0][k] + each[1][k] for k in together}


def test_a_scalar_goes_to_each() -> None:
    check(torch._foreach_mul, [X, Y], 2.0)
    check(torch._foreach_add, [X, Y], [1.0, 2.0])


def test_in_place_is_left_to_optimizers() -> None:
    assert torch._foreach_add_ not in REGISTRY
