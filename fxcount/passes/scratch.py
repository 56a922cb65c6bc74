"""What CUDA's reductions take besides their result: partial results of blocks that share an output, in global memory.

Rule:    a sum over many rows is split over blocks of threads where each thread would have 256 values or more and the device has
         blocks to spare; each block then writes the partial results of its threads
Source:  ``setReduceConfig`` and ``ReduceConfig`` of ATen's native/cuda/Reduce.cuh (512 threads a block, vectors of 4)
Leaves:  inputs that are not dense, of which no layout is known here

>>> reduction_scratch((12608, 768), (0,), 4, 4, multiprocessors=132)     # the bias of a layer of ViT-B, 64 images
77463576
>>> reduction_scratch((64, 768), (0,), 4, 4, multiprocessors=132)
0
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from fxcount.dataclass import dataclass

__all__ = ["reduction_scratch"]

_THREADS = 512
_WARP = 32
_VECTOR = 4
_FEW_VALUES, _MANY_VALUES = 16, 256
_THREADS_OF_A_MULTIPROCESSOR = 2048
_NUMBER = 4  # bytes of the count of blocks that are done, one for each column of blocks


@dataclass(frozen=True, slots=True)
class _Block:
    width: int
    height: int
    outputs_at_once: int


def reduction_scratch(
    shape: Sequence[int], dims: Sequence[int], itemsize: int, partial_itemsize: int, multiprocessors: int
) -> int:  # fmt: skip
    """Bytes for the sum of a dense tensor over ``dims``: elements of ``itemsize`` bytes are summed as ``partial_itemsize``."""
    kept = [n for i, n in enumerate(shape) if i not in dims]
    outputs, inputs = prod(kept), prod([shape[i] for i in dims])
    if not outputs or not inputs:
        return 0
    along_rows = not shape or len(shape) - 1 in dims  # what is summed lies together
    block = _block(inputs, outputs, along_rows, kept[-1] if kept else 1, is_all=not kept)
    step = block.width if along_rows else 1
    values = -(-inputs // step)
    if values < min(block.height * _FEW_VALUES, _MANY_VALUES):
        return 0  # each thread has its own output
    values = -(-inputs // (step * block.height))
    at_once = 1 if along_rows else block.width
    columns = -(-(outputs // block.outputs_at_once) // at_once)
    most = multiprocessors * (_THREADS_OF_A_MULTIPROCESSOR // (block.width * block.height))
    if values < _MANY_VALUES or columns > most:
        return 0
    shares = max(min(-(-most // columns), -(-values // _FEW_VALUES)), -(-values // _MANY_VALUES))
    if shares < 2:
        return 0
    partial = partial_itemsize * outputs * shares
    return partial * (1 if along_rows else block.width * block.outputs_at_once) + _NUMBER * columns


def _block(inputs: int, outputs: int, along_rows: bool, last: int, is_all: bool) -> _Block:
    """How many threads lie along the fastest dimension, and how many across."""
    along, across, vector = (inputs, outputs, 1) if along_rows else (outputs, inputs, 1)
    if along_rows and is_all and along > 128:
        along //= _VECTOR
    elif not along_rows:
        while _VECTOR // vector > 1 and last % (_VECTOR // vector):
            vector *= 2
        vector = _VECTOR // vector
        along //= vector
    threads = _THREADS // vector
    wide, high = min(_power(along), threads), min(_power(across), threads)
    width = min(wide, _WARP)
    height = min(high, threads // width)
    return _Block(min(wide, threads // height), height, vector)


def _power(n: int) -> int:
    """The largest power of 2 that is not above."""
    return 1 << (max(n, 1).bit_length() - 1)
