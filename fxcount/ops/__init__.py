"""Operations: one folder per kind, one file per family; in each, an op's shape rule and cost rule stand side by side.

``REGISTRY`` maps every Python callable torch code can reach an op by (builtin, tensor method, ATen overload) to its
:class:`~fxcount.ops.core.registry.Op`.
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterator
from dataclasses import fields, replace
from importlib import import_module
from types import ModuleType
from typing import Any

from fxcount.ops.contraction import attention, conv, matmul
from fxcount.ops.core.fact import Alias, SparseFact, TensorFact, Work
from fxcount.ops.core.modulefact import ModuleFact
from fxcount.ops.core.registry import Op, Registry, Zero, op
from fxcount.ops.elementwise import activation, bitwise, comparison, dropout, pointwise
from fxcount.ops.memory import assignment, copies, dynamic, embedding, factory, flips, indexing, joining, random, views
from fxcount.ops.normalise import norm
from fxcount.ops.reduction import cumulative, reduction, softmax, sorting
from fxcount.ops.spatial import padding, pooling

__all__ = [
    "REGISTRY", "SPARSE", "Alias", "ModuleFact", "Op", "Registry", "SparseFact", "TensorFact", "Work", "Zero", "families", "op",
]  # fmt: skip

USUAL = (
    views, joining, flips, copies, factory, random, pointwise, activation, comparison, bitwise, dropout,
    reduction, softmax, norm, cumulative, sorting, conv, matmul, attention, pooling, padding, dynamic,
    embedding, indexing, assignment,
)  # fmt: skip
"""The families that most models need, or the analysis of any: what is known of data is followed through them."""

LESS_USUAL = (
    "spatial.resize", "contraction.einsum", "memory.scatter", "contraction.products", "memory.creation", "memory.viewcopy",
    "elementwise.complex", "reduction.differences", "normalise.functional", "loss.losses", "contraction.tensordot",
    "contraction.rnn", "contraction.rnn_layer", "spatial.unfold", "spatial.vision", "spatial.fft", "reduction.statistics",
    "reduction.distances", "linalg.factorizations", "linalg.svd", "linalg.solvers", "linalg.derived", "quantise.quantised",
    "quantise.packed", "quantise.layers", "quantise.recurrent", "elementwise.foreach", "sparse.products", "sparse.layouts",
    "sparse.elementwise", "backward.functions", "backward.layers", "backward.pairs", "backward.spatial",
)  # fmt: skip
"""Those that are imported when a function is called that none before them knows, the likeliest first."""


def _family(name: str) -> ModuleType:
    return import_module(f"{__name__}.{name}")


def families() -> Iterator[ModuleType]:
    """The file of each family."""
    yield from USUAL
    yield from map(_family, LESS_USUAL)


def _for_sparse(family: ModuleType) -> Iterator[Op]:
    return (replace(entry, overrides=REGISTRY.named(entry.name.replace(".", "_"))) for entry in family.SPARSE)


REGISTRY = Registry(
    (entry for family in USUAL for entry in family.OPS), rest=(_family(name).OPS for name in LESS_USUAL)
)  # fmt: skip

SPARSE = Registry(
    (), rest=(_for_sparse(_family(name)) for name in ("sparse.products", "sparse.layouts", "sparse.elementwise"))
)  # fmt: skip
"""What an op is where an operand is sparse; ``overrides`` is what it is else."""


def _registered(name: str) -> Op:
    """The op of that name among torch's."""
    return REGISTRY.named(name.replace(".", "_"))


def _of_sparse(name: str) -> Op:
    """The op of that name for sparse tensors."""
    return SPARSE.named(name.replace(".", "_"))


def _reduced(entry: Op) -> tuple[Any, ...]:
    """Copies and pickles of one of torch's ops are that op: what is known of it is looked up by the object."""
    for find in (_registered, _of_sparse):
        try:
            if find(entry.name) is entry:
                return find, (entry.name,)
        except KeyError:
            pass
    return Op, tuple(getattr(entry, f.name) for f in fields(entry))


copyreg.pickle(Op, _reduced)
