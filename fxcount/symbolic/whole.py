"""What every ``int`` and every ``float`` has besides arithmetic, for symbolic sizes and their quotients.

What is the same for all sizes is said so; bits and bytes need the number, which ``int()`` and ``float()`` pin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["FloatProtocol", "IntProtocol"]


class IntProtocol:
    """For a class whose ``int()`` pins the size."""

    __slots__ = ()
    from_bytes = int.from_bytes

    if TYPE_CHECKING:  # of the class that this is mixed into

        def __int__(self) -> int: ...

    @property
    def real(self) -> Any:
        return self

    @property
    def imag(self) -> int:
        return 0

    @property
    def numerator(self) -> Any:
        return self

    @property
    def denominator(self) -> int:
        return 1

    def conjugate(self) -> Any:
        return self

    def is_integer(self) -> bool:
        return True

    def as_integer_ratio(self) -> tuple[Any, int]:
        return self, 1

    def bit_length(self) -> int:
        return int(self).bit_length()

    def bit_count(self) -> int:
        return int(self).bit_count()

    def to_bytes(self, *args: Any, **kwargs: Any) -> bytes:
        return int(self).to_bytes(*args, **kwargs)

    def __complex__(self) -> complex:
        return complex(int(self))

    def __getnewargs__(self) -> tuple[int]:
        return (int(self),)

    def __sizeof__(self) -> int:
        return int(self).__sizeof__()


class FloatProtocol:
    """For a class whose ``float()`` pins what it was made of."""

    __slots__ = ()
    fromhex = float.fromhex

    if TYPE_CHECKING:

        def __float__(self) -> float: ...

    @property
    def real(self) -> Any:
        return self

    @property
    def imag(self) -> float:
        return 0.0

    def conjugate(self) -> Any:
        return self

    def as_integer_ratio(self) -> tuple[int, int]:
        return float(self).as_integer_ratio()

    def hex(self) -> str:
        return float(self).hex()

    def __complex__(self) -> complex:
        return complex(float(self))

    def __getnewargs__(self) -> tuple[float]:
        return (float(self),)
