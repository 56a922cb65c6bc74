"""The table of pieces: domain, formula, and the line of the model that decides."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fxcount.report.views.tables import kept, markdown_table
from fxcount.symbolic import to_text

if TYPE_CHECKING:
    from fxcount.report.data.piece_rows import PiecesData
    from fxcount.symbolic import Assumption

__all__ = ["to_markdown"]

_LONGEST = 100


def to_markdown(pieces: PiecesData, path: str | os.PathLike[str] | None = None, quantity: str = "macs") -> str:
    """The pieces as a table of GitHub's Markdown, formulas of ``quantity``; refused regions follow."""
    lines = [[row.domain, _cut(to_text(row.size(quantity))), _decided(row.assumptions)] for row in pieces.rows]
    lines += [[r.domain, "refused: " + _cut(r.said), r.where] for r in pieces.refused]
    return kept(markdown_table(["domain", quantity, "decided by"], lines, [True] * 3), path)


def _cut(formula: str) -> str:
    return formula if len(formula) <= _LONGEST else formula[: _LONGEST - 4] + " ..."


def _decided(assumptions: Sequence[Assumption]) -> str:
    shown = [
        f"{str(a).partition(' (pinned')[0]}{f': `{a.line}`' if a.line else ''}{f' at {a.where}' if a.where else ''}"
        for a in assumptions[:3]
    ]
    return "; ".join(shown) + (f"; and {len(assumptions) - 3} more" if len(assumptions) > 3 else "")
