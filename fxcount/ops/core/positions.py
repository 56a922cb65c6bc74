"""Which operand of a call holds positions along a dimension of another one, for ops that raise an error beyond its end.

A rule is called as the op's shape rule is, without the scope, and with operands that have a ``fact``. It gives, for each
operand that holds positions, the number of elements they count along, and the least position: 0, or minus that number where
negative ones count from the end; ``None`` where a negative one means something of its own.

>>> x, index = Given(TensorFact((3, 100), torch.float32)), Given(TensorFact((3, 7), torch.int64))
>>> [(n, low) for _, n, low in along(x, 1, index)], [(n, low) for _, n, low in keyed(x, (slice(None), index))]
([(100, 0)], [(100, -100)])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import torch

from fxcount.ops.core.arguments import Index
from fxcount.ops.core.common import wrap_dim
from fxcount.ops.core.fact import TensorFact
from fxcount.symbolic import Size

__all__ = ["MASKS", "Given", "Known", "Positions", "along", "classes", "consumed", "flat", "keyed", "listed", "one_hot", "rows"]

MASKS = (torch.bool, torch.uint8)
"""Dtypes of an index that says which elements, not where they are."""


class Known(Protocol):
    """An operand."""

    @property
    def fact(self) -> TensorFact: ...


class Given(NamedTuple):
    """An operand of which nothing else is known."""

    fact: TensorFact


Positions: TypeAlias = Iterator[tuple[Known, Size, Size | None]]
"""What holds positions, how many elements there are, and the least position."""


def along(x: Known, dim: Any, index: Known, *_: object, **__: object) -> Positions:
    """``gather``, ``index_select``, ``scatter`` and their kin."""
    if isinstance(dim, int):
        yield index, x.fact.shape[wrap_dim(dim, x.fact.ndim)] if x.fact.shape else 1, 0


def rows(weight: Known, index: Known, *_: object, **__: object) -> Positions:
    """Look-ups in a table."""
    yield index, weight.fact.shape[0], 0


def flat(x: Known, index: Known, *_: object, **__: object) -> Positions:
    """``take`` and ``put``: positions among all elements."""
    yield index, x.fact.numel, -x.fact.numel


def one_hot(x: Known, num_classes: Any = -1) -> Positions:
    """Class numbers, where the number of classes is given."""
    if not (isinstance(num_classes, int) and num_classes < 0):
        yield x, num_classes, 0


def classes(x: Known, target: Known, *_: object, **__: object) -> Positions:
    """Class numbers of a loss; a negative one may be that of what is left out."""
    if x.fact.shape:
        yield target, x.fact.shape[min(1, x.fact.ndim - 1)], None


def keyed(x: Known, key: Index, *_: object, **__: object) -> Positions:
    """The tensors in brackets."""
    entries = key if isinstance(key, tuple) else (key,)
    used = sum(map(consumed, entries))
    d = 0
    for entry in entries:
        if entry is Ellipsis:
            d = x.fact.ndim - used
            continue
        if hasattr(entry, "fact") and entry.fact.dtype not in MASKS and d < x.fact.ndim:
            yield entry, x.fact.shape[d], -x.fact.shape[d]
        used -= consumed(entry)
        d += consumed(entry)


def consumed(entry: Any) -> int:
    """Dimensions an entry of a key uses up; a tensor is a fact, or has one."""
    if entry is None or entry is Ellipsis or isinstance(entry, bool):
        return 0
    fact = getattr(entry, "fact", entry)
    return fact.ndim if isinstance(fact, TensorFact) and fact.dtype in MASKS else 1


def listed(x: Known, indices: Sequence[Index], *_: object, **__: object) -> Positions:
    """``index`` and ``index_put``: one entry for each dimension, ``None`` for one that stays."""
    yield from keyed(x, tuple([slice(None) if i is None else i for i in indices]))
