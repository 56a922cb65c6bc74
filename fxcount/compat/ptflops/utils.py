"""Numbers as ptflops writes them."""

from __future__ import annotations

__all__ = ["flops_to_string", "params_to_string"]


def flops_to_string(flops: int, units: str | None = None, precision: int = 2) -> str:
    """MACs with their unit, by size or as asked for.

    >>> flops_to_string(4_133_742_592), flops_to_string(4_133_742_592, "MMac")
    ('4.13 GMac', '4133.74 MMac')
    """
    scales = {"GMac": 1e9, "MMac": 1e6, "KMac": 1e3}
    if units is None:
        units = next((u for u, scale in scales.items() if flops // scale > 0), "Mac")
    return f"{round(flops / scales.get(units, 1), precision)} {units}" if units in scales else f"{flops} Mac"


def params_to_string(params: int, units: str | None = None, precision: int = 2) -> str:
    """Parameters with their unit, by size or as asked for.

    >>> params_to_string(25_557_032)
    '25.56 M'
    """
    scales = {"B": 1e9, "M": 1e6, "k": 1e3, "K": 1e3}
    if units is None:
        units = next((u for u, least in (("M", 10**6), ("k", 10**3)) if params // least > 0), "")
    return f"{round(params / scales[units], precision)} {units}" if units in scales else str(params)
