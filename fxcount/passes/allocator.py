"""CUDA's caching allocator as torch documents it, without a device: what it hands out and what it keeps, for births and deaths.

Rules:   a request is rounded up to 512 bytes; up to 1 MiB it comes of the small pool, else of the large one; the smallest free
         block of the pool that is large enough is taken (of equal ones the first in memory); if there is none, a segment is
         asked of the driver: 2 MiB for small ones, 20 MiB for those below 10 MiB, else the request rounded up to 2 MiB; what is
         left of a block is split off if it has 512 bytes in the small pool, or more than 1 MiB in the large one; a block that
         is freed becomes one with free neighbours in its segment; no segment is given back
Source:  torch/include/c10/core/AllocatorConfig.h (the sizes), and get_free_block, should_split, get_allocation_size and
         try_merge_blocks of c10/cuda/CUDACachingAllocator.cpp; one stream, the default configuration, no expandable segments
Leaves:  where the driver puts a segment (they are taken to lie one after the other, in the order in which they are asked for)

>>> found = CachingAllocator()
>>> one, two = found.allocate(1000), found.allocate(3 << 20)
>>> found.requested, found.allocated, found.reserved
(3146728, 3146752, 23068672)
>>> found.free(one)
>>> found.free(two)
>>> found.allocated, found.reserved
(0, 23068672)
"""

from __future__ import annotations

from bisect import bisect_left, insort

from fxcount.dataclass import dataclass

__all__ = ["CachingAllocator"]

_ROUND = 512
_SMALL = 1 << 20
_SMALL_SEGMENT = 2 << 20
_LARGE_SEGMENT = 20 << 20
_OWN_SEGMENT = 10 << 20
_ROUND_LARGE = 2 << 20


@dataclass(eq=False, slots=True)
class _Block:
    """Memory from an address on, with its neighbours in the segment; ``requested`` is 0 while it is free."""

    address: int
    size: int
    small: bool
    before: _Block | None = None
    after: _Block | None = None
    requested: int = 0


class CachingAllocator:
    """The books of the allocator: ``requested``, ``allocated`` and ``reserved`` bytes now, and ``segments`` asked for."""

    def __init__(self) -> None:
        self.requested = self.allocated = self.reserved = self.segments = 0
        self._free: dict[bool, list[tuple[int, int]]] = {True: [], False: []}  # sizes and addresses, in order
        self._blocks: dict[int, _Block] = {}  # by address; a free one is found by it again

    def allocate(self, nbytes: int) -> int:
        """The address of a block for a request of at least 1 byte."""
        size = -(-nbytes // _ROUND) * _ROUND
        small = size <= _SMALL
        block = self._taken(size, small) or self._segment(size, small)
        left = block.size - size
        if left >= _ROUND if small else left > _SMALL:
            self._split(block, size)
        block.requested = nbytes
        self.requested += nbytes
        self.allocated += block.size
        return block.address

    def free(self, address: int) -> None:
        """Give back the block of this address."""
        block = self._blocks[address]
        self.requested -= block.requested
        self.allocated -= block.size
        block.requested = 0
        if block.before is not None and not block.before.requested:
            self._drop(block.before)
            block = self._joined(block.before, block)
        if block.after is not None and not block.after.requested:
            self._drop(block.after)
            block = self._joined(block, block.after)
        self._keep(block)

    def _taken(self, size: int, small: bool) -> _Block | None:
        """The smallest free block that is large enough."""
        free = self._free[small]
        at = bisect_left(free, (size, -1))
        return self._blocks[free.pop(at)[1]] if at < len(free) else None

    def _segment(self, size: int, small: bool) -> _Block:
        """A new segment as one block."""
        rounded = -(-size // _ROUND_LARGE) * _ROUND_LARGE
        wanted = _SMALL_SEGMENT if small else _LARGE_SEGMENT if size < _OWN_SEGMENT else rounded
        block = self._blocks[self.reserved] = _Block(self.reserved, wanted, small)
        self.reserved += wanted
        self.segments += 1
        return block

    def _split(self, block: _Block, size: int) -> None:
        """Leave what is behind ``size`` bytes of a block as a free one."""
        rest = _Block(block.address + size, block.size - size, block.small, block, block.after)
        if rest.after is not None:
            rest.after.before = rest
        block.size, block.after = size, rest
        self._blocks[rest.address] = rest
        self._keep(rest)

    def _joined(self, one: _Block, other: _Block) -> _Block:
        """A block and the one behind it as one."""
        one.size += other.size
        one.after = other.after
        if one.after is not None:
            one.after.before = one
        del self._blocks[other.address]
        return one

    def _keep(self, block: _Block) -> None:
        insort(self._free[block.small], (block.size, block.address))

    def _drop(self, block: _Block) -> None:
        free = self._free[block.small]
        del free[bisect_left(free, (block.size, block.address))]
