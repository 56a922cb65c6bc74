"""A published number beside fxcount's, and the tables they come from."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Check", "exact", "printed", "rows"]

_DATA = Path(__file__).resolve().parents[1] / "data"


@dataclass(frozen=True, slots=True)
class Check:
    """``reason``: why the two are known not to be equal, where they are not."""

    table: str
    row: str
    quantity: str
    published: str
    found: str
    equal: bool
    reason: str = ""


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a table in tests/data."""
    with (_DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def exact(table: str, row: str, quantity: str, published: str, found: int, reason: str = "") -> Check:
    """Equal to the last unit."""
    return Check(table, row, quantity, published, str(found), int(float(published)) == found, reason)


def printed(
    table: str, row: str, quantity: str, published: str, found: int, unit: float, decimals: int, reason: str = ""
) -> Check:
    """Equal in the ``decimals`` that were printed of the number in ``unit``."""
    rounded = round(found / unit, decimals)
    return Check(table, row, quantity, published, f"{rounded:.{decimals}f}", rounded == float(published), reason)
