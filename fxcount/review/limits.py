"""Limits as people write them: ``25M``, ``2GB@B=1``, ``4.2G@B=1,H=224,W=224``, ``300*B*S@B=1:64``, ``+5%``.

>>> limit("macs", "4.2G@B=1,H=224").bound, limit("peak", "2GiB").bound, limit("flops", "6*B*S").bound
(4200000000, 2147483648, 6*B*S)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from fractions import Fraction
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.errors import InputError, SizeError
from fxcount.report.largest import budget
from fxcount.review.quantities import QUANTITIES
from fxcount.symbolic import Size, parse

__all__ = ["Limit", "limit"]

_BYTES = frozenset(
    {"param_bytes", "read_bytes", "write_bytes", "activation_bytes", "peak", "memory", "train_peak", "train_memory"}
)
_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12, "P": 10**15}
_COUNT = re.compile(r"(\d[\d_,]*(?:\.\d+)?)\s*([kKMGBTP]?)")
_EXAMPLE = 'e.g. "25M", "2GB", "4.2G@B=1,H=224,W=224", "300*B*S", or "+5%" of a saved report'


@dataclass(frozen=True, slots=True)
class Limit:
    """``bound``: a number or a formula; ``growth`` in its place: by which part more than a saved report it may be. ``sizes``
    hold there; ``ranges`` are first and last sizes of symbols that run."""

    quantity: str
    text: str
    bound: Size = 0
    growth: Fraction | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.quantity} <= {self.text}"


def limit(quantity: str, given: Any) -> Limit:
    """What is given for a quantity: a number, a formula (sympy's, too), or text, with sizes after an ``@``.

    Raises :class:`~fxcount.errors.InputError` for what is none.
    """
    if quantity not in QUANTITIES:
        raise InputError(f"there is no limit on {quantity!r}", hint=f"use one of {', '.join(QUANTITIES)}")
    if isinstance(given, bool) or given is None:
        raise InputError(f"the limit on {quantity} is {given!r}", hint=_EXAMPLE)
    text = str(given).strip()
    bound, _, at = text.partition("@")
    sizes, ranges = _sizes(at, text)
    bound = bound.strip()
    growth = re.fullmatch(r"\+\s*(\d+(?:\.\d+)?)\s*(%?)", bound)
    if growth:
        part = Fraction(growth[1]) / 100
        if part and not growth[2]:
            raise InputError(f"cannot read the limit {text!r}", hint='growth is in percent: "+5%", or "+0" for none')
        return Limit(quantity, text, 0, part, sizes, ranges)
    return Limit(quantity, text, _bound(quantity, bound, text), None, sizes, ranges)


def _bound(quantity: str, bound: str, text: str) -> Size:
    match = _COUNT.fullmatch(bound)
    if quantity in _BYTES and (match or re.fullmatch(r"[\d_.]+\s*[KMGTkmgt]?i?[Bb]", bound)):
        return budget(bound.replace(",", ""))
    if match:
        return int(Fraction(match[1].replace("_", "").replace(",", "")) * _UNITS[match[2]])
    try:
        return parse(bound)
    except SizeError as error:
        raise InputError(f"cannot read the limit {text!r} on {quantity}: {error.what}", hint=_EXAMPLE) from error


def _sizes(at: str, text: str) -> tuple[dict[str, int], dict[str, tuple[int, int]]]:
    """The sizes after the ``@``: numbers, and ranges ``1:64``."""
    sizes: dict[str, int] = {}
    ranges: dict[str, tuple[int, int]] = {}
    for part in filter(None, [p.strip() for p in at.split(",")]):
        match = re.fullmatch(r"([A-Za-z_]\w*)\s*=\s*(\d{1,18})(?:\s*(?::|\.\.)\s*(\d{1,18}))?", part)
        if not match or int(match[2]) < 1 or (match[3] and int(match[3]) < int(match[2])) or match[1] in {**sizes, **ranges}:
            raise InputError(
                f"cannot read {part!r} in the limit {text!r}", hint="write sizes as B=1,H=224 or B=1:64, each once"
            )
        if match[3]:
            ranges[match[1]] = (int(match[2]), int(match[3]))
        else:
            sizes[match[1]] = int(match[2])
    return sizes, ranges
