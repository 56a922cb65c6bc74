"""Numbers for people: counts in powers of 1000, bytes in powers of 1000 with their unit."""

from __future__ import annotations

import math

__all__ = ["bytes_text", "count_text"]

_LARGE = 10**9
_PREFIXES = ("", " k", " M", " G", " T", " P", " E", " Z", " Y")


def count_text(n: int) -> str:
    """Four significant digits and a prefix.

    >>> count_text(0), count_text(999), count_text(4089184256), count_text(2 * 10**4000)
    ('-', '999', '4.089 G', '2.000e4000')
    """
    return _scaled(n) if n else "-"


def bytes_text(n: int) -> str:
    """Four significant digits and a unit.

    >>> bytes_text(102228128), bytes_text(12)
    ('102.2 MB', '12 B')
    """
    text = _scaled(n)
    return f"{text}B" if " " in text else f"{text} B"


def _scaled(n: int) -> str:
    step = 0
    whole = abs(n)
    while whole >= 1000 and step < len(_PREFIXES) - 1:
        whole //= 1000
        step += 1
    if step == 0:
        return str(n)
    if whole >= _LARGE:  # no float holds it, and nobody reads so many digits
        exponent = math.log10(abs(n))
        return f"{'-' if n < 0 else ''}{10 ** (exponent % 1):.3f}e{int(exponent)}"
    value = n / 1000**step
    digits = max(0, 4 - len(str(int(abs(value)))))
    return f"{value:.{digits}f}{_PREFIXES[step]}"
