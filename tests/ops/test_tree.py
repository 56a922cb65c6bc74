"""Nested arguments: one idea of what a container is."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import Any

import pytest
import torch
from torch import nn

import fxcount
from fxcount.ops.core.common import facts_in
from fxcount.ops.core.fact import TensorFact
from fxcount.ops.core.tree import leaves, mapped
from fxcount.trace.tape import Value, values_in
from fxcount.trace.tracer.outputs import Opaque

Pair = namedtuple("Pair", "x y")

X, Y = TensorFact((2,), torch.float32), TensorFact((3,), torch.int64)
V, W = (Value(i, fact, i, "op") for i, fact in enumerate((X, Y)))

# a tree of two things, and what a map makes of its containers (no class of the model's stays)
TREES = [
    (lambda a, b: (a, b), lambda a, b: (a, b)),
    (lambda a, b: [a, [b]], lambda a, b: [a, [b]]),
    (lambda a, b: {"k": a, 7: (b,)}, lambda a, b: {"k": a, 7: (b,)}),
    (lambda a, b: OrderedDict(k=a, l=b), lambda a, b: {"k": a, "l": b}),
    (lambda a, b: Pair(a, b), lambda a, b: (a, b)),
    (lambda a, b: torch.return_types.max((a, b)), lambda a, b: (a, b)),
    (lambda a, b: ((), [], {}, (a, [b])), lambda a, b: ((), [], {}, (a, [b]))),
]


@pytest.mark.parametrize(("made", "plain"), TREES)
def test_every_walk_covers_the_same_containers(made: Any, plain: Any) -> None:
    assert leaves(made(1, 2)) == [1, 2]
    assert facts_in(made(X, Y)) == [X, Y]
    assert values_in(made(V, W)) == [V, W]
    found = mapped(lambda n: 10 * n, made(1, 2))
    assert found == plain(10, 20)
    assert type(found) is type(plain(10, 20))


def test_slices_and_objects_of_their_own() -> None:
    assert leaves((slice(1, 2), 3)) == [1, 2, None, 3]
    assert facts_in([slice(None, Y), X]) == [Y, X]  # a bound that is a tensor
    assert mapped(str, slice(1, 2)) == slice("1", "2", "None")
    assert values_in({"cache": Opaque("Cache", (V, W))}) == [V, W]
    assert mapped(lambda v: v.index, Opaque("Cache", (V, W))) == Opaque("Cache", (0, 1))  # type: ignore[arg-type]


def test_a_shape_is_a_tuple_of_numbers() -> None:
    assert mapped(lambda n: n + 1, torch.Size([2, 3])) == (3, 4)


def test_named_tuples_are_kept_where_the_model_gets_them() -> None:
    assert mapped(abs, [Pair(-1, (-2,))], keep=True) == [Pair(1, (2,))]
    assert type(mapped(abs, Pair(-1, -2), keep=True)) is Pair


def test_bounds_and_named_tuples_through_an_analysis() -> None:
    """A tensor as a bound is an operand; autocast converts what is in a named tuple; a named tuple of outputs is plain."""

    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                joined = torch.cat(Pair(x, x))
            return Pair(torch.addmm(x, x, x), joined)

    report = fxcount.analyze(Net(), "7,7")
    assert type(report.trace.outputs) is tuple
    assert [v.fact.shape for v in values_in(report.trace.outputs)] == [(7, 7), (14, 7)]
