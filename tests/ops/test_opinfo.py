"""Every operator that torch has sample calls for, and every ATen op these come down to, forward and backward, traced by
fxcount and executed by torch: shapes, dtypes, strides, aliases, writes and gradients agree, with symbols too.

The exhaustive run over all samples and dtypes is ``python -m benchmarks.coverage --full``.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree

from tests.ops.differential import Outcome, compare
from tests.ops.opinfo import ATEN_KNOWN, NOT_GROWN, NOT_RUN, REFUSED, aten_calls, dtypes_of, full_name, infos, samples

OPS = {full_name(info): info for info in infos()}


def _described(outcome: Outcome, args: Any, kwargs: Any) -> str:
    def short(leaf: Any) -> Any:
        return (tuple(leaf.shape), tuple(leaf.stride()), leaf.dtype) if isinstance(leaf, torch.Tensor) else leaf

    return f"{outcome.kind}: {outcome.detail}\n  of {pytree.tree_map(short, (args, kwargs))}"


@pytest.mark.parametrize("name", OPS)
def test_operator(name: str) -> None:
    info = OPS[name]
    kinds = set()
    for number, dtype in enumerate(dtypes_of(info)):
        for sample in samples(info, dtype, 3 if number == 0 else 1):
            outcome = compare(sample.call, sample.args, sample.kwargs, grow=name not in NOT_GROWN)
            kinds.add(outcome.kind)
            fine = {"agrees"}
            if name in REFUSED:
                fine.add("data")
            if name in NOT_RUN or sample.variant == "inplace":  # where the result has a dtype of its own
                fine.add("torch")
            assert outcome.kind in fine, f"{sample.variant}, {dtype}: {_described(outcome, sample.args, sample.kwargs)}"
    assert ("data" in kinds) is (name in REFUSED)


_COMPARED: set[Any] = set()  # calls that this process has compared already: many operators share their ATen ops


@pytest.mark.parametrize("name", OPS)
def test_aten_ops(name: str) -> None:
    info = OPS[name]
    for func, args, kwargs in aten_calls(info, dtypes_of(info)[0], 2) if info.dtypes else ():
        key = (func, *(tuple(t.shape) if isinstance(t, torch.Tensor) else str(t) for t in pytree.tree_leaves((args, kwargs))))
        if key in _COMPARED or func._schema.name in ATEN_KNOWN:
            continue
        _COMPARED.add(key)
        outcome = compare(func, args, kwargs, grow=False)
        assert outcome.kind in ("agrees", "torch"), f"{func}: {_described(outcome, args, kwargs)}"


def test_growing_is_the_rule() -> None:
    """The comparison at other sizes happens for most calls; else it would say little about formulas."""
    outcomes = [
        compare(sample.call, sample.args, sample.kwargs)
        for name in ("add", "matmul", "nn.functional.conv2d", "nn.functional.layer_norm", "cat", "sum")
        for sample in samples(OPS[name], torch.float32, 5)
    ]
    assert sum(o.grown for o in outcomes) > len(outcomes) / 2


@pytest.mark.parametrize(
    ("call", "args", "kind"),
    [
        (lambda x, y: x + y, (torch.ones(2, 3), torch.ones(5, 7)), "torch"),
        (lambda x: x.sum() if bool(x.any()) else x, (torch.ones(2),), "data"),
        (torch.sum, (torch.ones(2, 3),), "agrees"),
    ],
)
def test_what_a_comparison_says(call: Any, args: Any, kind: str) -> None:
    assert compare(call, args, {}).kind == kind


def test_a_difference_is_found() -> None:
    """A result that depends on what fxcount cannot see, here that torch ran before, is one it must disagree on."""
    calls = 0

    def call(x: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return x.sum(1) if calls > 1 else x.sum(0)

    outcome = compare(call, (torch.ones(2, 3),), {})
    assert (outcome.kind, outcome.detail) == ("differs", "shape of result 0: (2,), torch says (3,)")
