"""Sizes at whose sample value alone an analysis holds: a model took them as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fxcount.report.data.piece import Piece

__all__ = ["STEPS", "pinned"]

FAR = 4
"""A size is pinned if its piece holds at no other size up to so many times the sample."""
STEPS = 64
"""The longest step between sizes that a model takes which is looked for."""


def pinned(piece: Piece) -> list[str]:
    """The symbols of the inputs of which a piece holds at the sample value alone, also if the others change with it."""
    import numpy as np

    hints = {name: piece.trace.scope.hints[name] for name in piece.asked}

    def holds_elsewhere(names: Sequence[str], sizes: Mapping[str, Any]) -> bool:
        count = len(sizes[names[0]])
        points = {n: sizes[n] if n in names else np.full(count, h) for n, h in hints.items()}
        return int(np.sum(piece.holds(points))) > 1

    found = []
    for name, hint in hints.items():
        beside = [{**hints, name: size} for size in (hint - 1, hint + 1) if size]
        if not all([piece.broken(piece.completed(sizes)) for sizes in beside]):
            continue  # there is no need to look at all of them
        if not holds_elsewhere([name], {name: np.arange(1, max(2 * STEPS, FAR * hint) + 1)}):
            found.append(name)
    if len(found) > 1:  # a piece that holds where H is W ties the two
        steps = np.arange(1 - min(hints[name] for name in found), max(2 * STEPS, FAR * max(hints.values())) + 1)
        found = [] if holds_elsewhere(found, {name: hints[name] + steps for name in found}) else found
    return found
