"""What rules know of a tensor, and what they say of an op's work.

``TensorFact`` is a tensor without its data: symbolic shape, dtype, device, strides. ``Work`` is the cost of one call.
Both are frozen, hashed values, so that equal calls are recognised and their rules run once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import field
from functools import lru_cache

import torch

from fxcount.dataclass import dataclass
from fxcount.errors import SizeError
from fxcount.symbolic import Size, prod
from fxcount.symbolic.expr import MEMO
from fxcount.symbolic.witness import alike

__all__ = [
    "LARGEST_SIZE", "Alias", "CopyOrView", "Holding", "SparseFact", "SparseForm", "TensorFact", "Work", "contiguous_strides",
    "probe", "stride_order",
]  # fmt: skip


LARGEST_SIZE = 1 << 63  # of a dimension, to torch
_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True, eq=False)
class TensorFact:
    """Shape (elements), dtype, device and strides (elements) of a tensor; ``strides=None`` is dense row-major. ``nbytes`` are
    those of the elements, each counted once.

    >>> TensorFact((2, 3), torch.float32).nbytes
    24
    """

    shape: tuple[Size, ...]
    dtype: torch.dtype
    device: torch.device = _CPU
    strides: tuple[Size, ...] | None = None
    numel: Size = field(init=False, repr=False)
    nbytes: Size = field(init=False, repr=False)
    _hash: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        numel = prod(self.shape)
        object.__setattr__(self, "numel", numel)
        object.__setattr__(self, "nbytes", numel * self.dtype.itemsize)
        object.__setattr__(self, "_hash", hash((self.shape, self.dtype, self.strides, self.device)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, TensorFact)
            and self._hash == other._hash
            and self.shape == other.shape
            and self.dtype is other.dtype
            and self.strides == other.strides
            and self.device == other.device
        )

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self.dtype.itemsize

    @property
    def is_contiguous(self) -> bool:
        """Whether the layout is dense row-major."""
        return self.strides is None

    @property
    def layout(self) -> torch.layout:
        """``torch.strided``, unless it is a :class:`SparseFact`."""
        return torch.strided

    def stride(self) -> tuple[Size, ...]:
        """Strides in elements, spelled out also for a contiguous tensor."""
        return contiguous_strides(self.shape) if self.strides is None else self.strides

    def new(self, shape: tuple[Size, ...], dtype: torch.dtype | None = None) -> TensorFact:
        """A dense row-major tensor on the same device, of the same dtype unless another is given.

        >>> TensorFact((2, 3), torch.float32, strides=(1, 2)).new((2, 5), torch.bool)
        TensorFact(shape=(2, 5), dtype=torch.bool, device=device(type='cpu'), strides=None)
        """
        if self.strides is None and shape == self.shape and (dtype is None or dtype is self.dtype) and type(self) is TensorFact:
            return self
        return TensorFact(tuple(shape), dtype or self.dtype, self.device)


@dataclass(frozen=True, slots=True)
class SparseForm:
    """How a sparse tensor is stored: the layout, the shape of its ``values``, how many ``indices`` they have in all, of which
    dtype. The ``values`` are (nnz, *dense) in COO, (*batch, nnz, *block) in CSR, CSC, BSR and BSC.

    ``met``: of the result of a product of two sparse tensors, how many pairs of their entries met."""

    layout: torch.layout
    values: tuple[Size, ...]
    indices: Size
    index_dtype: torch.dtype = torch.int64
    coalesced: bool = True
    met: Size = 0

    @property
    def stored(self) -> Size:
        """Elements that are stored, zeros among them included."""
        return prod(self.values)

    @classmethod
    def of(cls, layout: torch.layout, shape: tuple[Size, ...], entries: Size, coalesced: bool = True) -> SparseForm:
        """COO, or a CSR or CSC matrix, of this shape and so many entries.

        >>> SparseForm.of(torch.sparse_csr, (7, 5), 9).indices
        17
        """
        if layout is torch.sparse_coo:
            return cls(layout, (entries,), len(shape) * entries, coalesced=coalesced)
        return cls(layout, (entries,), shape[-2 if layout is torch.sparse_csr else -1] + 1 + entries)

    def mapped(self, change: Callable[[Size], Size]) -> SparseForm:
        """The form with each size changed."""
        values = tuple(map(change, self.values))
        return dataclasses.replace(self, values=values, indices=change(self.indices), met=change(self.met))


@dataclass(frozen=True, slots=True, eq=False)
class SparseFact(TensorFact):
    """A tensor of which only some elements are stored, with their indices.

    ``shape`` and ``numel`` are those of the whole, as torch says; work and bytes are those of what is stored.

    >>> x = SparseFact((7, 5), torch.float32, form=SparseForm.of(torch.sparse_coo, (7, 5), 9))
    >>> x.numel, x.form.stored, x.nbytes
    (35, 9, 180)
    """

    form: SparseForm = SparseForm(torch.sparse_coo, (0,), 0)

    def __post_init__(self) -> None:
        form = self.form
        object.__setattr__(self, "numel", prod(self.shape))
        nbytes = form.stored * self.dtype.itemsize + form.indices * form.index_dtype.itemsize  # of values and indices
        object.__setattr__(self, "nbytes", nbytes)
        object.__setattr__(self, "_hash", hash((self.shape, self.dtype, self.device, form)))

    __hash__ = TensorFact.__hash__

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SparseFact)
            and self._hash == other._hash
            and self.shape == other.shape
            and self.dtype is other.dtype
            and self.device == other.device
            and self.form == other.form
        )

    @property
    def layout(self) -> torch.layout:
        """``torch.sparse_coo``, ``torch.sparse_csr``, ..."""
        return self.form.layout

    @property
    def values(self) -> TensorFact:
        """The tensor of the stored elements."""
        return TensorFact(self.form.values, self.dtype, self.device)

    @property
    def dense(self) -> TensorFact:
        """The whole, with its zeros."""
        return TensorFact(self.shape, self.dtype, self.device)


@dataclass(frozen=True, slots=True)
class Holding:
    """A result that has no memory of its own and shares that of all operands: a sparse tensor made of indices and values."""

    fact: TensorFact


@dataclass(frozen=True, slots=True)
class Alias:
    """A result that shares the storage of tensor operand number ``of`` (counted over all tensors of the call): a view, which
    takes no memory, or the operand itself.

    >>> x = TensorFact((2, 3), torch.float32)
    >>> Alias(TensorFact((3, 2), torch.float32, strides=(1, 3))).fact.nbytes, Alias(x).fact is x
    (24, True)
    """

    fact: TensorFact
    of: int = 0


@dataclass(frozen=True, slots=True)
class CopyOrView(Alias):
    """A result that is a new tensor where ``copied`` is 1, and shares the storage of operand ``of`` where it is 0.

    Whether ``x.permute(...).contiguous()`` copies can depend on the sizes. The facts of the result are the same in both cases.
    """

    copied: Size = 1


@dataclass(frozen=True, slots=True)
class Work:
    """Work of one call. ``macs``: multiply-accumulates of contractions; ``flops``: all scalar floating-point
    operations, 2 per mac included; ``transcendentals``: those of the flops that are exp, log, tanh, erf, sin, ...

    ``read_bytes``/``write_bytes`` of ``None`` mean the general rule: each operand once, each result once. Nothing is added up
    for a rule: one that states macs states their flops too.

    >>> from fxcount.symbolic import symbol
    >>> B = symbol("B")
    >>> Work(macs=15 * B, flops=30 * B + 5)  # x (B, 3) times (3, 5), and a bias of 5
    Work(macs=15*B, flops=30*B + 5, transcendentals=0, read_bytes=None, write_bytes=None)
    """

    macs: Size = 0
    flops: Size = 0
    transcendentals: Size = 0
    read_bytes: Size | None = None
    write_bytes: Size | None = None


@lru_cache(MEMO)
def contiguous_strides(shape: tuple[Size, ...]) -> tuple[Size, ...]:
    """Row-major strides in elements, with torch's convention that a dimension of size 0 counts as 1.

    >>> contiguous_strides((2, 3, 5))
    (15, 5, 1)
    """
    strides: list[Size] = []
    running: Size = 1
    for size in reversed(shape):
        strides.append(running)
        running = running * size if size != 0 else running
    return tuple(reversed(strides))


def stride_order(shape: tuple[Size, ...], strides: tuple[Size, ...]) -> list[int]:
    """Dimensions from outermost to innermost, by stride; ties keep their order, sizes of 1 stay where they are."""
    return sorted(range(len(shape)), key=lambda d: (-probe(strides[d]), d))


def probe(size: Size) -> int:
    """The size at one fixed large assignment of its symbols, where a product is larger than any of its factors.

    For questions of layout, which must not install a guard.
    """
    if isinstance(size, int):
        return size
    for number in _PROBES:
        value = alike(number).at(size)
        if value is not None:  # a symbolic divisor is 0 there, which no size that is asked for makes it
            return value
    raise SizeError(f"the divisor in {size} is 0 for every size tried", hint="give the size as a number")


_PROBES = (9240, 10007, 1000003, 1 << 30, (1 << 61) - 1, 1009, 211, 96, 64, 49, 32, 13, 8, 7, 5, 4, 3, 2, 1)
"""Large sizes, of which the first one has many divisors; then smaller ones, for formulas that hold at no large size."""
