"""Numbers as ultralytics-thop writes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["clever_format"]


def clever_format(nums: Any, format: str = "%.2f") -> Any:
    """Numbers with K, M, G or T; one text for one number. A thousand has its K, which thop gives only to what is more.

    >>> clever_format([1e9, -25557032.0], "%.1f"), clever_format(320)
    (('1.0G', '-25.6M'), '320.00B')
    """
    texts = []
    for n in nums if isinstance(nums, Iterable) else [nums]:
        scale, unit = next(((s, u) for s, u in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K")) if abs(n) >= s), (1, "B"))
        texts.append(format % (n / scale) + unit)
    return texts[0] if len(texts) == 1 else tuple(texts)
