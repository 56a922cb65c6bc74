"""Sparse tensors of torch: what one holds, and one at random."""

from __future__ import annotations

import math

import torch

from fxcount.errors import UnsupportedError
from fxcount.ops.core.fact import SparseForm

__all__ = ["LAYOUTS", "form_of", "random_sparse"]

_COMPRESSED = {
    torch.sparse_csr: ("crow_indices", "col_indices"), torch.sparse_bsr: ("crow_indices", "col_indices"),
    torch.sparse_csc: ("ccol_indices", "row_indices"), torch.sparse_bsc: ("ccol_indices", "row_indices"),
}  # fmt: skip
LAYOUTS = (torch.strided, torch.sparse_coo, *_COMPRESSED)


def form_of(tensor: torch.Tensor) -> SparseForm | None:
    """How a sparse tensor is stored; ``None`` of others.

    >>> form_of(torch.eye(3).to_sparse()).stored
    3
    """
    layout = tensor.layout
    if layout is torch.strided or layout not in LAYOUTS:
        return None
    bare = tensor.detach()
    if layout is torch.sparse_coo:
        values, indices = bare._values(), bare._indices()
        return SparseForm(layout, tuple(values.shape), indices.numel(), coalesced=bool(tensor.is_coalesced()))
    parts = [getattr(bare, name)() for name in _COMPRESSED[layout]]
    return SparseForm(layout, tuple(bare.values().shape), sum([p.numel() for p in parts]), parts[0].dtype)


def random_sparse(
    shape: list[int], entries: int, layout: torch.layout, dtype: torch.dtype, generator: torch.Generator | None = None
) -> torch.Tensor:
    """A coalesced COO tensor, or a CSR or CSC matrix, with so many entries of 1 at places drawn at random.

    >>> random_sparse([3, 5], 4, torch.sparse_coo, torch.float32)._nnz()
    4
    """
    if layout not in (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc):
        raise UnsupportedError(f"no random tensors are made in {layout}", hint="give the input as a tensor with its data")
    places = torch.randperm(math.prod(shape), generator=generator)[:entries]
    indices = torch.stack(torch.unravel_index(places, tuple(shape)))
    made = torch.sparse_coo_tensor(indices, torch.ones(entries, dtype=dtype), shape, check_invariants=True).coalesce()
    return made if layout is torch.sparse_coo else made.to_sparse(layout=layout)
