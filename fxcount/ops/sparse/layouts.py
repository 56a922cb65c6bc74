"""Sparse tensors made, taken apart, and brought from one layout to another: COO, CSR, CSC, BSR and BSC.

Shapes:  x (*I) dense -> the same, sparse, with nnz entries; indices (ndim, nnz), values (nnz, *D) -> COO (*I, *D)
Counts:  0: copies of values and of indices. Equal indices are added by ``coalesce``: one addition for each entry that goes
Raises:  DataDependentError from the plain rules: how many elements are not zero, or how many indices are different, data say;
         the *counted* rules beside them get a symbol ``nnz_1`` for it
Source:  ATen/native/sparse; a COO tensor holds its indices and values, which may be the caller's own
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Device, Dtype, Format
from fxcount.ops.core.common import refused, shape_text
from fxcount.ops.core.fact import Alias, Holding, SparseFact, SparseForm, TensorFact, Work
from fxcount.ops.core.registry import Count, Op, ShapeRule, Zero, absent, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.memory import copies
from fxcount.symbolic import Scope, Size

__all__ = ["OPS", "SPARSE", "with_values"]

_COPY = Zero("copies elements and indices", moves=True)
_VIEW = Zero("a part of the tensor, as it is")
_COO, _CSR, _CSC = torch.sparse_coo, torch.sparse_csr, torch.sparse_csc
_TRANSPOSED = {_CSR: _CSC, _CSC: _CSR, torch.sparse_bsr: torch.sparse_bsc, torch.sparse_bsc: torch.sparse_bsr, _COO: _COO}
_ROWS = (_CSR, torch.sparse_bsr)
_STORED = "the stored entries of a sparse tensor"
_DENSE_HINT = "keep the tensor dense, or make it sparse before the model runs"


def with_values(x: SparseFact, dtype: torch.dtype | None = None, coalesced: bool | None = None) -> SparseFact:
    """A tensor with the indices of ``x`` and other values."""
    form = x.form if coalesced is None else replace(x.form, coalesced=coalesced)
    return SparseFact(x.shape, dtype or x.dtype, x.device, form=form)


# --- made of dense tensors --------------------------------------------------------------------------


def _made_sparse(layout: torch.layout) -> Any:
    """Of a dense tensor: its elements that are not zero are stored."""

    def counted(scope: Scope, count: Count, x: TensorFact, *args: Any, **kwargs: Any) -> SparseFact:
        wanted = kwargs.get("layout", layout)
        n = count("nnz", "the elements of a tensor that are not zero", x.numel, x.numel)
        return SparseFact(x.shape, x.dtype, x.device, form=SparseForm.of(wanted or _COO, x.shape, n))

    return counted


def _coo(
    scope: Scope, indices: TensorFact, values: TensorFact, size: Sequence[Size] | None = None, *, dtype: Dtype = None,
    device: Device = None, check_invariants: object = None, is_coalesced: bool | None = None,
) -> Holding:  # fmt: skip
    """``torch.sparse_coo_tensor(indices, values, size)``: as many entries as there are values."""
    if size is None:
        refused("sparse_coo_tensor", "give its size: without it the largest indices decide")()
    shape = tuple(size)
    if indices.ndim != 2 or not values.ndim:
        raise ShapeError(f"sparse_coo_tensor: indices {shape_text(indices.shape)}, values {shape_text(values.shape)}")
    entries = values.shape[0]
    if not scope.same(indices.shape[1], entries, "sparse_coo_tensor: an index for each value"):
        raise ShapeError(f"sparse_coo_tensor: {indices.shape[1]} indices for {entries} values")
    dims = indices.shape[0]
    if dims + values.ndim - 1 != len(shape):
        raise ShapeError(f"sparse_coo_tensor: {dims} indices and values {shape_text(values.shape)} for {shape_text(shape)}")
    form = SparseForm(_COO, values.shape, dims * entries, coalesced=bool(is_coalesced))
    return Holding(SparseFact(shape, dtype or values.dtype, values.device, form=form))


def _coo_counted(
    scope: Scope, count: Count, indices: TensorFact, values: TensorFact, size: Sequence[Size] | None = None, **kwargs: Any
) -> Holding:
    if size is None:
        sizes = [count("size", "the largest index and one more") for _ in range(int(scope.hint(indices.shape[0])))]
        size = (*sizes, *values.shape[1:])
    return _coo(scope, indices, values, size, **kwargs)


def _compressed(kind: torch.layout | None) -> ShapeRule:
    def rule(
        scope: Scope, compressed: TensorFact, plain: TensorFact, values: TensorFact, size: Sequence[Size] | None = None, *,
        dtype: Dtype = None, device: Device = None, layout: torch.layout | None = None, check_invariants: object = None,
    ) -> Holding:  # fmt: skip
        stored_as = kind or layout or _CSR
        if size is None:
            refused(str(stored_as).removeprefix("torch."), "give its size: without it the largest indices decide")()
        form = SparseForm(stored_as, values.shape, compressed.numel + plain.numel, plain.dtype)
        return Holding(SparseFact(tuple(size), dtype or values.dtype, values.device, form=form))

    return rule


# --- of sparse tensors ------------------------------------------------------------------------------


def _to_dense(scope: Scope, x: SparseFact, dtype: Dtype = None, *, masked_grad: Any = None) -> TensorFact:
    return TensorFact(x.shape, dtype or x.dtype, x.device)


def _coalesce(scope: Scope, x: SparseFact) -> Alias:
    if not x.form.coalesced:
        refused("coalesce", _DENSE_HINT, "how many indices are different depends on the data")()
    return Alias(x)


def _coalesced(scope: Scope, count: Count, x: SparseFact) -> SparseFact:
    return fewer(count, x)


def fewer(count: Count, x: SparseFact) -> SparseFact:
    """The tensor with equal indices added together."""
    before, *block = x.form.values
    n = count("nnz", "the different indices of a sparse tensor", before, before)
    dims = len(x.shape) - len(block)
    return SparseFact(x.shape, x.dtype, x.device, form=SparseForm(_COO, (n, *block), dims * n))


def _coalesce_cost(y: SparseFact, x: SparseFact) -> Work:
    """One addition for each element of the entries that go; nothing where none is twice."""
    if x.form.coalesced:
        return Work(read_bytes=0, write_bytes=0)
    return Scalars(add=x.form.stored - y.form.stored).work(1, x.dtype)


def _transposed(scope: Scope, x: SparseFact, dim0: int = 0, dim1: int = 1) -> Any:
    shape = list(x.shape)
    shape[dim0], shape[dim1] = shape[dim1], shape[dim0]
    form = replace(x.form, layout=_TRANSPOSED[x.layout], coalesced=False)
    if len(x.form.values) >= 3:
        form = replace(form, values=(*form.values[:-2], form.values[-1], form.values[-2]))
    y = SparseFact(tuple(shape), x.dtype, x.device, form=form)
    return y if x.layout is _COO else Alias(y)


def _permuted(scope: Scope, x: SparseFact, dims: Any) -> Any:
    """``x.T`` and permutations of COO: rows of indices change places."""
    y = SparseFact(tuple([x.shape[d] for d in dims]), x.dtype, x.device, form=replace(x.form, coalesced=False))
    return y if x.layout is _COO else _transposed(scope, x)


def _values(scope: Scope, x: SparseFact) -> Alias:
    return Alias(x.values)


def _indices(scope: Scope, x: SparseFact) -> Alias:
    """(ndim, nnz), a view."""
    n = x.form.values[0]
    dims = len(x.shape) - len(x.form.values) + 1
    return Alias(TensorFact((dims, n), x.form.index_dtype, x.device))


def _entries_of(x: SparseFact) -> Size:
    batch = len(x.shape) - 2 if x.layout is not _COO else 0
    return x.form.values[batch]


def _plain_indices(scope: Scope, x: SparseFact) -> Alias:
    batch = x.shape[: len(x.shape) - 2]
    return Alias(TensorFact((*batch, _entries_of(x)), x.form.index_dtype, x.device))


def _compressed_indices(scope: Scope, x: SparseFact) -> Alias:
    lines, block = (x.shape[-2], -2) if x.layout in _ROWS else (x.shape[-1], -1)
    if x.layout in (torch.sparse_bsr, torch.sparse_bsc):
        lines = lines // x.form.values[block]
    batch = x.shape[: len(x.shape) - 2]
    return Alias(TensorFact((*batch, lines + 1), x.form.index_dtype, x.device))


def _relaid(layout: torch.layout | None) -> ShapeRule:
    """To another layout: the stored entries stay, unless some of a COO tensor are added together on the way."""

    def rule(scope: Scope, x: SparseFact, *args: Any, **kwargs: Any) -> Any:
        wanted = layout or kwargs.get("layout") or _COO
        if wanted is x.layout:
            return Alias(x)
        if not x.form.coalesced and x.layout is _COO:
            refused("a change of the layout", _DENSE_HINT, "how many indices are different depends on the data")()
        coalesced = x.layout in _ROWS and len(x.form.values) < 3
        form = replace(SparseForm.of(wanted, x.shape, x.form.stored, coalesced), index_dtype=x.form.index_dtype)
        if wanted is _COO:
            form = replace(form, index_dtype=torch.int64)
        return SparseFact(x.shape, x.dtype, x.device, form=form)

    return rule


def _relaid_counted(layout: torch.layout | None) -> Any:
    def rule(scope: Scope, count: Count, x: SparseFact, *args: Any, **kwargs: Any) -> Any:
        return _relaid(layout)(scope, fewer(count, x), *args, **kwargs)

    return rule


def _converted(dense_rule: ShapeRule) -> ShapeRule:
    """``to``, ``float``, ``double``, ...: what happens to the values."""

    def rule(scope: Scope, x: SparseFact, *args: Any, **kwargs: Any) -> Any:
        made = dense_rule(scope, x.values, *args, **kwargs)
        if isinstance(made, Alias):
            return Alias(x)
        assert isinstance(made, TensorFact)
        return SparseFact(x.shape, made.dtype, made.device, form=x.form)

    return rule


def _clone(scope: Scope, x: SparseFact, *, memory_format: Format = None) -> SparseFact:
    return x


def _same(scope: Scope, x: SparseFact) -> Alias:
    return Alias(x)


def _masked(scope: Scope, x: TensorFact, mask: SparseFact, accumulate_matches: bool = False) -> SparseFact:
    """``x.sparse_mask(mask)``: the elements of ``x`` at the indices of the mask."""
    return SparseFact(x.shape, x.dtype, x.device, form=mask.form)


def _joined(scope: Scope, tensors: Sequence[SparseFact], dim: int = 0) -> SparseFact:
    """``torch.cat`` of COO tensors: the entries of all."""
    first = tensors[0]
    d = dim % len(first.shape)
    shape = list(first.shape)
    shape[d] = sum([t.shape[d] for t in tensors[1:]], shape[d])
    entries = sum([t.form.values[0] for t in tensors[1:]], first.form.values[0])
    form = replace(
        first.form, values=(entries, *first.form.values[1:]), coalesced=False,
        indices=sum([t.form.indices for t in tensors[1:]], first.form.indices),
    )  # fmt: skip
    return SparseFact(tuple(shape), first.dtype, first.device, form=form)


_CONVERSIONS = tuple([entry for entry in copies.OPS if entry.cost is copies.CONVERT])
_HOW_MANY = "how many elements are not zero depends on the data"

SPARSE: tuple[Op, ...] = (
    op("to_dense", "_to_dense", shape=_to_dense, cost=_COPY),
    op("coalesce", "_coalesce", shape=_coalesce, counted=_coalesced, cost=_coalesce_cost),
    op("t", shape=_transposed, cost=_COPY),
    op("transpose", "swapaxes", "swapdims", shape=_transposed, cost=_COPY),
    op("permute", shape=_permuted, cost=_COPY, sizes_at=1),
    op("values", "_values", shape=_values, cost=_VIEW),
    op("indices", "_indices", shape=_indices, cost=_VIEW, differentiable=False),
    *(op(name, shape=_compressed_indices, cost=_VIEW, differentiable=False) for name in ("crow_indices", "ccol_indices")),
    *(op(name, shape=_plain_indices, cost=_VIEW, differentiable=False) for name in ("col_indices", "row_indices")),
    *(
        op(name, shape=_relaid(layout), counted=_relaid_counted(layout), cost=_COPY)
        for name, layout in (("to_sparse", None), ("to_sparse_coo", _COO), ("to_sparse_csr", _CSR), ("to_sparse_csc", _CSC))
    ),
    *(op(*entry.names, shape=_converted(entry.shape), cost=entry.cost, extra=entry.extra) for entry in _CONVERSIONS),
    op("clone", shape=_clone, cost=_COPY),
    op("detach", "alias", shape=_same, cost=_VIEW, differentiable=False),
    op("sparse_mask", shape=_masked, cost=_COPY),
    op("cat", "concat", "concatenate", shape=_joined, cost=_COPY),
)
"""What these are where an operand is sparse."""

OPS: tuple[Op, ...] = (
    *(
        op(name, shape=refused(name, _DENSE_HINT, _HOW_MANY), counted=_made_sparse(layout), cost=_COPY)
        for name, layout in (("to_sparse", _COO), ("to_sparse_coo", _COO), ("to_sparse_csr", _CSR), ("to_sparse_csc", _CSC))
    ),
    *absent(
        SPARSE, "coalesce", "values", "indices", "crow_indices", "ccol_indices", "col_indices", "row_indices", "sparse_mask"
    ),
    op("sparse_coo_tensor", shape=_coo, counted=_coo_counted, cost=_VIEW),
    *(
        op(name, shape=_compressed(layout), cost=_VIEW)
        for name, layout in (
            ("sparse_csr_tensor", _CSR), ("sparse_csc_tensor", _CSC), ("sparse_bsr_tensor", torch.sparse_bsr),
            ("sparse_bsc_tensor", torch.sparse_bsc), ("sparse_compressed_tensor", None),
        )
    ),
    op("to_dense", "_to_dense", shape=lambda scope, x, *args, **kwargs: Alias(x), cost=_VIEW),
)  # fmt: skip
"""Of dense tensors."""
