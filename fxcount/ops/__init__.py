"""Operations: one file per family; in each, an op's shape rule and cost rule stand side by side.

``REGISTRY`` maps every Python callable torch code can reach an op by (builtin, tensor method, ATen overload) to its
:class:`~fxcount.ops.registry.Op`.
"""

from __future__ import annotations

from fxcount.ops import (
    activation,
    assignment,
    aten,
    attention,
    backward,
    backward_layers,
    backward_spatial,
    bitwise,
    comparison,
    complex,
    conv,
    copies,
    creation,
    cumulative,
    dropout,
    dynamic,
    einsum,
    embedding,
    factory,
    fft,
    foreach,
    indexing,
    joining,
    linalg,
    loss,
    matmul,
    norm,
    padding,
    pointwise,
    pooling,
    quantised,
    random,
    reduction,
    resize,
    rnn,
    scatter,
    softmax,
    solvers,
    sorting,
    statistics,
    svd,
    tensordot,
    unfold,
    viewcopy,
    views,
    vision,
)
from fxcount.ops.fact import Alias, TensorFact, Work
from fxcount.ops.registry import Op, Registry, Zero, op

__all__ = ["REGISTRY", "Alias", "Op", "Registry", "TensorFact", "Work", "Zero", "op"]

FAMILIES = (
    views, viewcopy, joining, copies, factory, creation, random,
    pointwise, activation, comparison, bitwise, complex, dropout,
    reduction, softmax, norm, aten, cumulative, sorting, loss,
    conv, matmul, einsum, tensordot, attention, rnn, linalg, svd, solvers, statistics,
    pooling, resize, padding, unfold, vision, dynamic,
    embedding, indexing, assignment, scatter, fft,
    backward, backward_layers, backward_spatial, quantised, foreach,
)  # fmt: skip

REGISTRY = Registry(entry for family in FAMILIES for entry in family.OPS)
