"""``torch._foreach_*``: an element-wise op on each tensor of a list.

Shapes:  a list of what the op makes of each tensor; further lists go along with the first, anything else is given to each
Counts:  the sum over the tensors

>>> from fxcount.symbolic import Scope
>>> x, y = TensorFact((2, 3), torch.float32), TensorFact((5,), torch.float32)
>>> add = foreach(next(o for o in pointwise.OPS if "add" in o.names))
>>> [f.shape for f in add.shape(Scope({}), [x, y], [x, y], alpha=2)]
[(2, 3), (5,)]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from fxcount.ops.core.fact import Alias, TensorFact, Work
from fxcount.ops.core.registry import CostRule, Op, Unknown, Zero
from fxcount.ops.elementwise import activation, bitwise, comparison, functions, pointwise
from fxcount.ops.normalise import vectornorm
from fxcount.symbolic import sum_

__all__ = ["OPS", "foreach"]

_FAMILIES = (pointwise, functions, activation, comparison, bitwise, vectornorm)
_NAMES = (
    "abs acos add addcdiv addcmul asin atan ceil clamp_max clamp_min cos cosh div erf erfc exp expm1 floor frac lerp lgamma "
    "log log10 log1p log2 maximum minimum mul neg norm pow reciprocal round rsqrt sigmoid sign sin sinh sqrt sub tan tanh trunc"
).split()


def _each(args: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The arguments for each tensor of the first list."""
    count = len(args[0])
    for i in range(count):
        yield tuple(a[i] if isinstance(a, (list, tuple)) and len(a) == count else a for a in args)


def foreach(entry: Op) -> Op:
    """The op on a list of tensors."""

    def shape(scope: Any, *args: Any, **kwargs: Any) -> list[Any]:
        return [entry.shape(scope, *each, **kwargs) for each in _each(args)]

    name = f"_foreach_{entry.name}"
    # not in place, which only optimizers are: there a whole list would be written
    return Op(
        name, shape, _summed(entry.cost), (), (getattr(torch, name),), (name,), differentiable=entry.differentiable,
    )


def _summed(cost: CostRule | Zero | Unknown) -> CostRule | Zero | Unknown:
    if not callable(cost):
        return cost
    rule: Callable[..., Work] = cost

    def total(y: Sequence[TensorFact], *args: Any, **kwargs: Any) -> Work:
        works = [rule(_fact(one), *each, **kwargs) for one, each in zip(y, _each(args), strict=True)]
        return Work(sum_([w.macs for w in works]), sum_([w.flops for w in works]), sum_([w.transcendentals for w in works]))

    return total


def _fact(result: Any) -> TensorFact:
    fact: TensorFact = result.fact if isinstance(result, Alias) else result
    return fact


def _named(name: str) -> Op:
    ops: Iterator[Op] = (o for family in _FAMILIES for o in family.OPS)
    return next(o for o in ops if name in o.names)


OPS: tuple[Op, ...] = tuple(foreach(dataclasses.replace(_named(name), name=name)) for name in _NAMES)
