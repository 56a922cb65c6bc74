"""Bit operations of a symbolic size: powers of two are products and remainders, everything else needs the number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["Bits"]


class Bits:
    """For a class with the arithmetic of integers, whose ``int()`` pins the size."""

    __slots__ = ()

    if TYPE_CHECKING:  # of the class that this is mixed into

        def __int__(self) -> int: ...
        def __mul__(self, other: Any) -> Any: ...
        def __floordiv__(self, other: Any) -> Any: ...
        def __mod__(self, other: Any) -> Any: ...
        def __rsub__(self, other: Any) -> Any: ...

    def __lshift__(self, other: Any) -> Any:
        return self * (1 << int(other)) if isinstance(other, (int, Bits)) else NotImplemented

    def __rshift__(self, other: Any) -> Any:
        return self // (1 << int(other)) if isinstance(other, (int, Bits)) else NotImplemented

    def __rlshift__(self, other: Any) -> Any:
        return other << int(self) if isinstance(other, int) else NotImplemented

    def __rrshift__(self, other: Any) -> Any:
        return other >> int(self) if isinstance(other, int) else NotImplemented

    def __and__(self, other: Any) -> Any:
        if not isinstance(other, (int, Bits)):
            return NotImplemented
        mask = int(other)  # of another size the number, which pins it
        if mask > 0 and mask & (mask + 1) == 0:
            return self % (mask + 1)
        if mask < 0 and -mask & (-mask - 1) == 0:
            return self // -mask * -mask
        return int(self) & mask

    __rand__ = __and__

    def __or__(self, other: Any) -> Any:
        return int(self) | int(other) if isinstance(other, (int, Bits)) else NotImplemented

    __ror__ = __or__

    def __xor__(self, other: Any) -> Any:
        return int(self) ^ int(other) if isinstance(other, (int, Bits)) else NotImplemented

    __rxor__ = __xor__

    def __invert__(self) -> Any:
        return -1 - self
