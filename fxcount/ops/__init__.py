"""Operations: one folder per kind, one file per family; in each, an op's shape rule and cost rule stand side by side.

``REGISTRY`` maps every Python callable torch code can reach an op by (builtin, tensor method, ATen overload) to its
:class:`~fxcount.ops.core.registry.Op`.
"""

from __future__ import annotations

import copyreg
from dataclasses import fields
from typing import Any

from fxcount.ops.backward import functions as backward_functions
from fxcount.ops.backward import layers as backward_layers
from fxcount.ops.backward import spatial as backward_spatial
from fxcount.ops.contraction import attention, conv, einsum, matmul, products, rnn, tensordot
from fxcount.ops.core.fact import Alias, TensorFact, Work
from fxcount.ops.core.registry import Op, Registry, Zero, op
from fxcount.ops.elementwise import activation, bitwise, comparison, complex, dropout, foreach, pointwise
from fxcount.ops.linalg import factorizations, solvers, svd
from fxcount.ops.loss import losses
from fxcount.ops.memory import (
    assignment,
    copies,
    creation,
    dynamic,
    embedding,
    factory,
    flips,
    indexing,
    joining,
    random,
    scatter,
    viewcopy,
    views,
)
from fxcount.ops.normalise import functional, norm
from fxcount.ops.quantise import quantised
from fxcount.ops.reduction import cumulative, reduction, softmax, sorting, statistics
from fxcount.ops.spatial import fft, padding, pooling, resize, unfold, vision

__all__ = ["REGISTRY", "Alias", "Op", "Registry", "TensorFact", "Work", "Zero", "op"]

FAMILIES = (
    views, viewcopy, joining, flips, copies, factory, creation, random,
    pointwise, activation, comparison, bitwise, complex, dropout,
    reduction, softmax, norm, functional, cumulative, sorting, losses,
    conv, matmul, products, einsum, tensordot, attention, rnn, factorizations, svd, solvers, statistics,
    pooling, resize, padding, unfold, vision, dynamic,
    embedding, indexing, assignment, scatter, fft,
    backward_functions, backward_layers, backward_spatial, quantised, foreach,
)  # fmt: skip

REGISTRY = Registry(entry for family in FAMILIES for entry in family.OPS)


def _registered(name: str) -> Op:
    """The op of that name among torch's."""
    return next((found for found in REGISTRY.ops if found.name == name), None) or REGISTRY.named(name.replace(".", "_"))


def _reduced(entry: Op) -> tuple[Any, ...]:
    """Copies and pickles of one of torch's ops are that op: what is known of it is looked up by the object."""
    try:
        if _registered(entry.name) is entry:
            return _registered, (entry.name,)
    except KeyError:
        pass
    return Op, tuple(getattr(entry, f.name) for f in fields(entry))


copyreg.pickle(Op, _reduced)
