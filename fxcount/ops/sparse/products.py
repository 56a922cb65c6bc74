"""Products with a sparse operand, in any layout: each stored entry is multiplied with the row of the other that it meets.

Shapes:  as for dense operands; sparse (N, K) with nnz entries, dense (K, P) -> dense (N, P)
Counts:  macs = nnz * P;  flops = 2*macs, + numel(y) for an added term, as for dense operands. What is stored counts, zeros
         and entries that occur twice (COO that is not coalesced) included; of blocks all elements.
         The product of two sparse matrices has as many macs as pairs of their entries meet, (i, k) with (k, j): a symbol,
         as nobody knows where they are, at most nnz(a) * P and N * nnz(b)
Raises:  ShapeError: sizes do not match; DataDependentError: an added product of which both factors are sparse
Source:  ``s_addmm_out_sparse_dense_worker`` (ATen/native/sparse/SparseTensorMath.cpp): a loop over the entries

>>> from fxcount.ops.core.fact import SparseForm
>>> adjacency = SparseFact((7, 7), torch.float32, form=SparseForm.of(torch.sparse_coo, (7, 7), 9))
>>> x = TensorFact((7, 5), torch.float32)
>>> y = _product("mm")(Scope({}), adjacency, x)
>>> y.shape, _product_cost(y, adjacency, x).macs
((7, 5), 45)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from fxcount.ops.contraction.matmul import added, contraction, linear_shape, matmul_shape, require_rank, scaled_sum
from fxcount.ops.core.arguments import Scalar
from fxcount.ops.core.common import facts_in, refused
from fxcount.ops.core.fact import SparseFact, SparseForm, TensorFact, Work
from fxcount.ops.core.registry import CostRule, Count, Op, ShapeRule, absent, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.core.striding import strided
from fxcount.symbolic import Scope, Size, min_, prod

__all__ = ["OPS", "SPARSE"]

_RANKS = {"mm": 2, "_sparse_mm": 2, "bmm": 3}
_REFUSED = refused("a product of sparse matrices", "the number of its entries depends on which indices meet")


def dense(x: Any) -> Any:
    """The fact of the whole where a tensor is sparse."""
    return x.dense if isinstance(x, SparseFact) else x


def _columns(b: TensorFact) -> Size:
    return b.shape[-1] if b.ndim > 1 else 1


def _met(a: TensorFact, b: TensorFact) -> Size:
    """Multiply-accumulates of ``a @ b``, one of which is sparse; of two that are, at most."""
    if isinstance(a, SparseFact) and isinstance(b, SparseFact):
        return min_(a.form.stored * _columns(b), prod(a.shape[: a.ndim - 1]) * b.form.stored)
    if isinstance(a, SparseFact):
        return a.form.stored * _columns(b)
    assert isinstance(b, SparseFact)
    return prod(a.shape[: a.ndim - 1]) * b.form.stored


def _laid_out(y: TensorFact, a: TensorFact, b: TensorFact) -> TensorFact:
    """A dense matrix times a COO matrix is computed as the transpose of the transposed product."""
    if isinstance(a, SparseFact) or b.layout is not torch.sparse_coo or y.ndim < 2:
        return y
    *lead, columns = y.shape
    rows = prod(lead)
    outer = y.new(tuple(lead)).stride()
    return strided(y, (*lead, columns), (*outer, rows))


def _product(name: str) -> ShapeRule:
    rank = _RANKS.get(name)

    def rule(scope: Scope, a: TensorFact, *args: Any, **kwargs: Any) -> TensorFact:
        b = (*args, *kwargs.values())[0]
        if rank is not None:
            require_rank(name, **{"the first operand": (a, rank), "the second operand": (b, rank)})
        if isinstance(a, SparseFact) and isinstance(b, SparseFact):
            _REFUSED()
        return _laid_out(matmul_shape(scope, dense(a), dense(b)), a, b)

    return rule


def _sparse_product(scope: Scope, count: Count, a: TensorFact, *args: Any, **kwargs: Any) -> TensorFact:
    """The product of two sparse matrices, of which nobody knows how many entries it has, nor how many pairs of theirs meet."""
    b = (*args, *kwargs.values())[0]
    y = matmul_shape(scope, dense(a), dense(b))
    made = sparse_like(y, count("nnz", "the stored entries of a product of sparse matrices", y.numel, y.numel), a)
    most = _met(a, b)
    met = count("met", "the pairs of entries of two sparse matrices that meet in their product", most, most)
    return replace(made, form=replace(made.form, met=met))


def sparse_like(y: TensorFact, entries: Size, x: TensorFact, coalesced: bool = True) -> SparseFact:
    """A sparse tensor of the shape of ``y``, in COO if ``x`` is, else in CSR."""
    layout = torch.sparse_coo if x.layout is torch.sparse_coo else torch.sparse_csr
    form = replace(SparseForm.of(layout, y.shape, entries, coalesced), index_dtype=_index_dtype(x))
    return SparseFact(y.shape, y.dtype, y.device, form=form)


def _index_dtype(x: TensorFact) -> torch.dtype:
    return x.form.index_dtype if isinstance(x, SparseFact) else torch.int64


def _product_cost(y: TensorFact, a: TensorFact, *args: Any, **kwargs: Any) -> Work:
    b = (*args, *kwargs.values())[0]
    return contraction(y.dtype, y.form.met if isinstance(y, SparseFact) else _met(a, b))


def _added(ranks: tuple[int, int]) -> tuple[ShapeRule, CostRule]:
    def shape(scope: Scope, x: TensorFact, *args: Any, beta: Scalar = 1, alpha: Scalar = 1, **factors: Any) -> TensorFact:
        a, b = (*args, *factors.values())[:2]
        require_rank("addmm", **{"the first factor": (a, ranks[0]), "the second factor": (b, ranks[1])})
        if isinstance(a, SparseFact) and isinstance(b, SparseFact):
            _REFUSED()
        return _laid_out(matmul_shape(scope, dense(a), dense(b)), a, b)

    def cost(y: TensorFact, x: TensorFact, *args: Any, beta: Scalar = 1, alpha: Scalar = 1, **factors: Any) -> Work:
        a, b = (*args, *factors.values())[:2]
        return contraction(y.dtype, _met(a, b), scaled_sum(beta, alpha) * y.numel)

    return shape, cost


def _linear(scope: Scope, x: TensorFact, weight: TensorFact, bias: TensorFact | None = None) -> TensorFact:
    if isinstance(x, SparseFact) and isinstance(weight, SparseFact):
        _REFUSED()
    return _laid_out(linear_shape(scope, dense(x), dense(weight), bias), x, weight)


def _linear_cost(y: TensorFact, x: TensorFact, weight: TensorFact, bias: TensorFact | None = None) -> Work:
    """macs = nnz(weight) * rows of x, or nnz(x) * out_features."""
    if isinstance(x, SparseFact):
        macs = x.form.stored * (weight.shape[0] if weight.ndim > 1 else 1)
    else:
        macs = _met(x, weight)
    return contraction(y.dtype, macs, added(y, bias))


def _sampled(
    scope: Scope, x: TensorFact, mat1: TensorFact, mat2: TensorFact, *, beta: Scalar = 1, alpha: Scalar = 1
) -> TensorFact:
    matmul_shape(scope, mat1, mat2)
    return x


def _sampled_cost(y: object, x: TensorFact, mat1: TensorFact, mat2: TensorFact, *, beta: Scalar = 1, alpha: Scalar = 1) -> Work:
    """Only the stored elements of the product are computed: macs = nnz * K."""
    assert isinstance(x, SparseFact)
    stored = x.form.stored
    return contraction(x.dtype, stored * mat1.shape[-1], scaled_sum(beta, alpha) * stored)


def _dense_product(scope: Scope, a: TensorFact, b: TensorFact) -> TensorFact:
    """torch's functions of sparse matrices take dense ones too."""
    require_rank("sparse.mm", **{"the first operand": (a, 2), "the second operand": (b, 2)})
    return matmul_shape(scope, a, b)


def _dense_cost(y: TensorFact, a: TensorFact, b: TensorFact) -> Work:
    return contraction(y.dtype, y.numel * a.shape[-1])


def _addmm_dense(
    scope: Scope, x: TensorFact, mat1: TensorFact, mat2: TensorFact, *, beta: Scalar = 1, alpha: Scalar = 1
) -> TensorFact:
    return matmul_shape(scope, mat1, mat2)


def _addmm_dense_cost(y: TensorFact, *args: Any, beta: Scalar = 1, alpha: Scalar = 1) -> Work:
    _, mat1, _ = facts_in(args)
    return contraction(y.dtype, y.numel * mat1.shape[-1], Scalars() + scaled_sum(beta, alpha) * y.numel)


_ADDMM, _ADDMM_COST = _added((2, 2))
_ADDMV, _ADDMV_COST = _added((2, 1))
_PUBLIC: Any = torch.sparse

SPARSE: tuple[Op, ...] = (
    *(
        op(name, *others, shape=_product(name), cost=_product_cost, counted=_sparse_product, kind="product", extra=extra)
        for name, others, extra in (
            ("matmul", ("linalg.matmul", "__matmul__"), ()), ("mm", (), ()), ("bmm", (), ()), ("mv", (), ()),
            ("_sparse_mm", (), (_PUBLIC.mm,)),
        )
    ),
    op("linear", shape=_linear, cost=_linear_cost, kind="linear", activations=True),
    op("addmm", shape=_ADDMM, cost=_ADDMM_COST, kind="product"),
    op("_sparse_addmm", shape=_ADDMM, cost=_ADDMM_COST, kind="product", extra=(_PUBLIC.addmm,)),
    op("addmv", shape=_ADDMV, cost=_ADDMV_COST, kind="product"),
    op("sparse_sampled_addmm", shape=_sampled, cost=_sampled_cost, kind="product", extra=(_PUBLIC.sampled_addmm,)),
)  # fmt: skip
"""What these are where an operand is sparse."""

OPS: tuple[Op, ...] = (
    op("_sparse_mm", shape=_dense_product, cost=_dense_cost, kind="product", extra=(_PUBLIC.mm,)),
    *absent(SPARSE, "sparse_sampled_addmm"),
    op("_sparse_addmm", shape=_addmm_dense, cost=_addmm_dense_cost, kind="product", extra=(_PUBLIC.addmm,)),
)
"""The same where all are dense."""
