"""Pages of tables: of a comparison that was saved, of pieces over a range. Numbers of formulas follow the sizes in the page.

A cell is a text; ``{"row", "unit"}``, the number of a formula; ``{"rows", "unit"}``, the difference of two; or ``{"code"}``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from fxcount.report.data.comparison import Change, Comparison
from fxcount.report.data.piece_rows import PiecesData
from fxcount.report.views.html.document import page
from fxcount.report.views.tables import kept
from fxcount.symbolic import Size, free_symbols, to_text
from fxcount.symbolic.program import Program
from fxcount.wording import shortened, visible

__all__ = ["comparison_to_html", "pieces_to_html"]

Path = str | os.PathLike[str] | None
Cell = Any

_LONGEST = 2000
"""Letters of a formula."""
_BYTES = frozenset({"read_bytes", "write_bytes", "peak_bytes"})


def comparison_to_html(comparison: Comparison, path: Path = None) -> str:
    """The comparison as one HTML page that works offline: totals, modules and lines that differ, at any sizes; also written to
    ``path``.

    >>> import torch, fxcount
    >>> two = fxcount.compare(torch.nn.Linear(3, 5), torch.nn.Linear(3, 7), "B,3")
    >>> "default-src 'none'" in two.to_html()
    True
    """
    before, after = map(visible, comparison.names)
    sheets = _Sheets(comparison.sizes)
    differs = ["before", "after", "difference"]
    totals = [
        [name, *sheets.change(name, change), {"code": sheets.formulas(change)}]
        for name, change in comparison.totals.items() if change.numbers != (0, 0) or not change.same
    ]  # fmt: skip
    sheets.add("totals", "Totals", ["total", before, after, "difference", "formulas"], totals)
    counts = ("params", "macs", "flops")
    modules = [
        [visible(m.path or "the model"), visible(m.class_name), visible(m.what),
         *[cell for name in counts for cell in sheets.change(name, m.changes[name])]]
        for m in comparison.changed()
    ]  # fmt: skip
    head = ["module", "class", "what differs", *[f"{name} {side}" for name in counts for side in differs]]
    sheets.add("modules", "Modules that differ, by themselves", head, modules)
    lines = [
        [r.op, visible(r.place), visible(", ".join(r.modules[:4])), *sheets.change("macs", r.changes["macs"]),
         *sheets.change("flops", r.changes["flops"])]
        for r in sorted(comparison.lines, key=lambda r: -abs(r.changes["flops"].difference))
    ]  # fmt: skip
    head = ["op", "line", "in", *[f"{name} {side}" for name in ("macs", "flops") for side in differs]]
    sheets.add("lines", "Lines of code whose cost differs", head, lines)
    equal = sum([m.status == "same" for m in comparison.modules])
    moved = sum([m.status == "moved" for m in comparison.modules])
    note = f"{equal:,} modules are equal" + (f", {moved:,} are the same under another path" if moved else "")
    title = f"{before} → {after}"
    return kept(page(title, sheets.data(title, "nothing differs" if comparison.same else note), note), path)


def pieces_to_html(pieces: PiecesData, path: Path = None) -> str:
    """The pieces over a range as one HTML page that works offline: domains, formulas, numbers at any sizes, what decides, and
    what is refused; also written to ``path``."""
    sheets = _Sheets({n: v for row in pieces.rows for n, v in row.hints.items()})
    rows = []
    for row in pieces.rows:
        cells = [sheets.number("macs", row.size("macs")), sheets.number("flops", row.size("flops"))]
        said = "; ".join([visible(str(a)) for a in row.assumptions])
        peak = sheets.number("peak_bytes", row.size("peak_bytes"))
        rows.append([visible(row.domain), {"code": _text(row.size("macs"))}, *cells, peak, said])
    sheets.add("pieces", "Pieces", ["sizes", "MACs", "MACs here", "FLOPs here", "peak here", "decided by"], rows)
    refused = [[visible(r.domain), visible(r.said), visible(r.where)] for r in pieces.refused]
    sheets.add("refused", "Refused by the model", ["sizes", "what it says", "line"], refused)
    note = f"{len(pieces):,} pieces over {visible(pieces.over)}; a number is that of the formula, also outside of its sizes"
    title = visible(pieces.model_name)
    return kept(page(title, sheets.data(title, note), note), path)


class _Sheets:
    """Tables whose formulas are one program."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes
        self.program = Program()
        self.symbols: set[str] = set()
        self.sections: list[dict[str, Any]] = []

    def add(self, name: str, title: str, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """A table, unless nothing is in it."""
        if rows:
            self.sections.append({"id": name, "title": title, "head": list(head), "rows": [list(row) for row in rows]})

    def number(self, name: str, size: Size) -> Cell:
        self.symbols |= free_symbols(size)
        return {"row": self.program.size(size), "unit": "bytes" if name in _BYTES else "count"}

    def change(self, name: str, change: Change) -> list[Cell]:
        """Before, after, and by how much they differ."""
        before, after = self.number(name, change.before), self.number(name, change.after)
        return [before, after, {"rows": [before["row"], after["row"]], "unit": before["unit"]}]

    def formulas(self, change: Change) -> str:
        if not free_symbols(change.before) | free_symbols(change.after):
            return ""
        return _text(change.after) if change.same else f"{_text(change.before)}  →  {_text(change.after)}"

    def data(self, title: str, note: str) -> dict[str, Any]:
        sizes = {name: str(self.sizes.get(name, 1)) for name in sorted(self.symbols)}
        return {
            "kind": "sheets", "name": title, "note": note, "sizes": sizes, "sections": self.sections, "rows": self.program.rows,
        }  # fmt: skip


def _text(size: Size) -> str:
    return shortened(to_text(size), _LONGEST)
