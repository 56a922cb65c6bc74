"""Ops on lists of tensors: against torch, and against the op on each tensor."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import fxcount
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


@pytest.mark.parametrize("entry", foreach.OPS, ids=lambda entry: entry.name)
def test_overloads_of_aten_are_the_op_and_those_in_place_are_not(entry: Op) -> None:
    packet = getattr(torch.ops.aten, entry.name)
    assert packet.overloads()
    assert all(REGISTRY[getattr(packet, overload)] is entry for overload in packet.overloads())


def test_what_aten_writes_in_place_is_no_op() -> None:
    assert torch.ops.aten._foreach_abs_.default not in REGISTRY
    assert torch.ops.aten._foreach_add_.Scalar not in REGISTRY


def test_overloads_of_aten_count_as_the_function() -> None:
    for overload, args in (("Scalar", ([X, Y], 2.0)), ("List", ([X, Y], [X, Y])), ("ScalarList", ([X, Y], [1.0, 2.0]))):
        check(getattr(torch.ops.aten._foreach_mul, overload), *args)
        assert work(getattr(torch.ops.aten._foreach_mul, overload), *args) == work(torch._foreach_mul, *args)


def test_a_scalar_goes_to_each() -> None:
    check(torch._foreach_mul, [X, Y], 2.0)
    check(torch._foreach_add, [X, Y], [1.0, 2.0])


def test_in_place_is_left_to_optimizers() -> None:
    assert torch._foreach_add_ not in REGISTRY


def _in_place(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    lists = [x * 1, y * 1]
    torch._foreach_mul_(lists, 2.0)
    torch._foreach_add_(lists, [x, y], alpha=2)
    torch._foreach_add_(lists, [1.0, 2.0])
    torch._foreach_addcmul_(lists, [x, y], [x, y], value=0.5)
    torch._foreach_addcdiv_(lists, [x, y], [x.exp(), y.exp()], [0.5, 0.25])
    torch._foreach_lerp_(lists, [x, y], 0.5)
    torch._foreach_maximum_(lists, 0.5)
    torch._foreach_sqrt_(lists)
    torch._foreach_neg_(lists)
    torch._foreach_copy_(lists[:1], [lists[0] * 3])
    return lists


def _one_by_one(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    a, b = x * 1, y * 1
    for t, s, n, c in ((a, x, 1.0, 0.5), (b, y, 2.0, 0.25)):
        t.mul_(2.0).add_(s, alpha=2).add_(n).addcmul_(s, s, value=0.5).addcdiv_(s, s.exp(), value=c)
        t.lerp_(s, 0.5).clamp_min_(0.5).sqrt_().neg_()
    a.copy_(a * 3)
    return [a, b]


def test_in_place_writes_each() -> None:
    class Net(torch.nn.Module):
        def __init__(self, function: Any) -> None:
            super().__init__()
            self.function = function

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> Any:
            return self.function(x, y)

    model, plain = Net(_in_place), Net(_one_by_one)
    report, other = fxcount.analyze(model, "B,5", "3,B"), fxcount.analyze(plain, "B,5", "3,B")
    assert report.uncounted == ()
    assert (report.flops, report.memory.activations) == (other.flops, other.memory.activations)
    x, y = torch.rand(2, 5), torch.rand(3, 2)
    torch.testing.assert_close(list(report.graph_module(x, y)), model(x, y))
    torch.testing.assert_close(model(x, y), plain(x, y))
