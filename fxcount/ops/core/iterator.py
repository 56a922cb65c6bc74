"""Layout of element-wise results: the dimension order that torch's TensorIterator gives a freshly allocated output.

All operands row-major is answered at once; otherwise the dimensions are sorted as TensorIterator sorts them: operand by
operand, a smaller stride lies further in, broadcast dimensions have no opinion, and an undecided pair keeps its order.

Source:  ``TensorIteratorBase::reorder_dimensions`` and ``fast_set_up`` (ATen/TensorIterator.cpp)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import torch

from fxcount.ops.core.arguments import Operand
from fxcount.ops.core.common import broadcast, promote
from fxcount.ops.core.fact import TensorFact, contiguous_strides, probe
from fxcount.ops.core.striding import channels_last_layout, is_channels_last
from fxcount.symbolic import Scope, Size

__all__ = [
    "broadcast_numel",
    "channels_last_or_dense",
    "dense_like",
    "elementwise",
    "is_channels_last",
    "iterator_strides",
]


def elementwise(scope: Scope, what: str, dtype: torch.dtype | None, *operands: Operand) -> TensorFact:
    """Result of an element-wise op on tensors and scalars: broadcast shape, promoted dtype, TensorIterator's layout.

    >>> row = TensorFact((2, 3), torch.float16)
    >>> elementwise(Scope({}), "add", None, row, 1.5).dtype
    torch.float16
    """
    tensors = [o for o in operands if isinstance(o, TensorFact)]
    out_dtype = dtype or promote(*operands)
    first = tensors[0]
    if len(tensors) == 1:
        return dense_like(first, out_dtype)
    shape = broadcast(scope, what, *(t.shape for t in tensors))
    strides = iterator_strides(shape, tensors)
    if first.shape == shape and first.dtype is out_dtype and first.strides == strides and shape:
        return first
    device = next((t.device for t in tensors if t.shape), first.device)
    return TensorFact(shape, out_dtype, device, strides)


def dense_like(x: TensorFact, dtype: torch.dtype | None = None) -> TensorFact:
    """``torch.empty_like``: the dense layout with the dimension order of ``x``.

    >>> dense_like(TensorFact((2, 3), torch.float32, strides=(0, 1))).strides is None
    True
    """
    dtype = dtype or x.dtype
    if x.strides is None:
        return x if dtype is x.dtype else TensorFact(x.shape, dtype, x.device)
    return TensorFact(x.shape, dtype, x.device, iterator_strides(x.shape, (x,)))


def broadcast_numel(*operands: Operand) -> Size:
    """Elements of the broadcast shape of operands that are known to broadcast; assumes nothing.

    >>> broadcast_numel(TensorFact((2, 1, 5), torch.float32), TensorFact((3, 1), torch.float32))
    30
    """
    numel: Size = 1
    shapes = [o.shape[::-1] for o in operands if isinstance(o, TensorFact)]
    for sizes in zip_longest(*shapes, fillvalue=1):
        numel = numel * next((n for n in sizes if not (isinstance(n, int) and n == 1)), 1)
    return numel


def channels_last_or_dense(x: TensorFact, shape: Sequence[Size], dtype: torch.dtype | None = None) -> TensorFact:
    """A new tensor in the memory format that ``x`` suggests: channels-last, else row-major."""
    shape = tuple(shape)
    if not is_channels_last(x) or len(shape) != x.ndim:
        return x.new(shape, dtype)
    return TensorFact(shape, dtype or x.dtype, x.device, channels_last_layout(shape))


def iterator_strides(shape: tuple[Size, ...], tensors: Sequence[TensorFact]) -> tuple[Size, ...] | None:
    """Strides of the output of an element-wise op of result shape ``shape``; ``None`` is row-major.

    >>> nhwc = TensorFact((2, 3, 5, 7), torch.float32, strides=(105, 1, 21, 3))
    >>> iterator_strides(nhwc.shape, (nhwc, TensorFact((3, 1, 1), torch.float32)))
    (105, 1, 21, 3)
    """
    if all(t.strides is None for t in tensors):
        return None
    order = _order([_probed_strides(shape, t) for t in tensors if t.shape], [probe(n) for n in shape])
    if order == list(range(len(shape) - 1, -1, -1)):
        return None
    result: list[Size] = [1] * len(shape)
    running: Size = 1
    for dim in order:
        result[dim] = running
        running = running * shape[dim]
    row_major = contiguous_strides(shape)
    meant = (a == b for a, b, n in zip(result, row_major, shape, strict=True) if n != 1)
    return None if all(meant) else tuple(result)


def _probed_strides(shape: tuple[Size, ...], x: TensorFact) -> list[int]:
    lead = len(shape) - len(x.shape)
    own = [
        0 if n == 1 and shape[lead + d] != 1 else probe(s)
        for d, (n, s) in enumerate(zip(x.shape, x.stride(), strict=True))
    ]
    return [0] * lead + own


def _order(strides: list[list[int]], sizes: list[int]) -> list[int]:
    """Dimensions from innermost to outermost: TensorIterator's insertion sort, whose undecided pairs make it unlike
    any ordinary sort."""
    order = list(range(len(sizes) - 1, -1, -1))
    for i in range(1, len(order)):
        at = i
        for inner in range(i - 1, -1, -1):
            verdict = _compare(order[inner], order[at], strides, sizes)
            if verdict > 0:
                order[inner], order[at] = order[at], order[inner]
                at = inner
            elif verdict < 0:
                break
    return order


def _compare(inner: int, outer: int, strides: list[list[int]], sizes: list[int]) -> int:
    for operand in strides:
        a, b = operand[inner], operand[outer]
        if a == 0 or b == 0:
            continue
        if a != b:
            return 1 if a > b else -1
        if sizes[inner] > sizes[outer]:
            return 1
    return 0
