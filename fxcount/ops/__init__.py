"""Operations: one folder per kind, one file per family; in each, an op's shape rule and cost rule stand side by side.

``REGISTRY`` maps every Python callable torch code can reach an op by (builtin, tensor method, ATen overload) to its
:class:`~fxcount.ops.core.registry.Op`.
"""

from __future__ import annotations

import copyreg
from dataclasses import fields, replace
from typing import Any

from fxcount.ops.backward import functions as backward_functions
from fxcount.ops.backward import layers as backward_layers
from fxcount.ops.backward import pairs as backward_pairs
from fxcount.ops.backward import spatial as backward_spatial
from fxcount.ops.contraction import attention, conv, einsum, matmul, products, rnn, rnn_layer, tensordot
from fxcount.ops.core.fact import Alias, SparseFact, TensorFact, Work
from fxcount.ops.core.modulefact import ModuleFact
from fxcount.ops.core.registry import Op, Registry, Zero, op
from fxcount.ops.elementwise import activation, bitwise, comparison, complex, dropout, foreach, pointwise
from fxcount.ops.linalg import derived, factorizations, solvers, svd
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
from fxcount.ops.quantise import layers as quantised_layers
from fxcount.ops.quantise import packed, quantised
from fxcount.ops.quantise import recurrent as quantised_recurrent
from fxcount.ops.reduction import cumulative, differences, distances, reduction, softmax, sorting, statistics
from fxcount.ops.sparse import elementwise as sparse_elementwise
from fxcount.ops.sparse import layouts as sparse_layouts
from fxcount.ops.sparse import products as sparse_products
from fxcount.ops.spatial import fft, padding, pooling, resize, unfold, vision

__all__ = ["REGISTRY", "SPARSE", "Alias", "ModuleFact", "Op", "Registry", "SparseFact", "TensorFact", "Work", "Zero", "op"]

FAMILIES = (
    views, viewcopy, joining, flips, copies, factory, creation, random,
    pointwise, activation, comparison, bitwise, complex, dropout,
    reduction, softmax, norm, functional, cumulative, differences, sorting, losses,
    conv, matmul, products, einsum, tensordot, attention, rnn, rnn_layer, factorizations, svd, solvers, derived,
    statistics, distances, pooling, resize, padding, unfold, vision, dynamic,
    embedding, indexing, assignment, scatter, fft,
    backward_functions, backward_layers, backward_pairs, backward_spatial, quantised, packed, quantised_layers,
    quantised_recurrent, foreach,
    sparse_products, sparse_layouts, sparse_elementwise,
)  # fmt: skip

REGISTRY = Registry(entry for family in FAMILIES for entry in family.OPS)

SPARSE = Registry(
    replace(entry, overrides=REGISTRY.named(entry.name.replace(".", "_")))
    for family in (sparse_products, sparse_layouts, sparse_elementwise) for entry in family.SPARSE
)
"""What an op is where an operand is sparse; ``overrides`` is what it is else."""


def _registered(name: str) -> Op:
    """The op of that name among torch's."""
    return next((found for found in REGISTRY.ops if found.name == name), None) or REGISTRY.named(name.replace(".", "_"))


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
