"""The pieces over a range as a user holds them: a table, and every total as a sympy Piecewise."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from fxcount.report.data.piece_rows import PiecesData
from fxcount.report.data.regions import condition, joined
from fxcount.report.formats import Format

if TYPE_CHECKING:
    from fxcount.report.data.regions import Side

__all__ = ["Pieces"]


class Pieces(PiecesData):
    """All pieces of a report over a range, from :meth:`fxcount.Report.pieces`; ``rows``, and ``refused`` regions.

    >>> import torch, fxcount
    >>> class Net(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x @ x.mT if x.shape[1] > 8 else x + 1
    >>> model = Net()
    >>> pieces = fxcount.analyze(model, "B,S,5").pieces(B=(1, 64), S=(1, 512))
    >>> [(row.domain, row.macs) for row in pieces]
    [('1 <= B <= 64, 1 <= S <= 8', 0), ('1 <= B <= 64, 9 <= S <= 512', 5*B*S**2)]
    >>> pieces.macs
    Piecewise((0, (B <= 64) & (S <= 8)), (5*B*S**2, (S >= 9) & (B <= 64) & (S <= 512)))
    """

    to_markdown = Format[str]("fxcount.report.views.pieces:to_markdown", ".md", "pieces", "a table in Markdown")

    to_json = Format[str](
        "fxcount.report.views.saved.written:pieces_to_json", ".json", "pieces", "all pieces, as JSON that fxcount.load reads"
    )

    to_html = Format[str]("fxcount.report.views.html.sheets:pieces_to_html", ".html", "pieces", "one offline page")

    def piecewise(self, quantity: str) -> Any:
        """A total as ``sympy.Piecewise``, exact on the range and undefined outside; pieces of the same formula are one."""
        import sympy

        from fxcount.symbolic.rounding import Piecewise

        merged: dict[Any, list[tuple[Side, ...]]] = {}
        for row in self.rows:
            merged.setdefault(sympy.sympify(row.formula(quantity)), []).extend(row.sides)
        return Piecewise(*[(f, condition(joined(sides))) for f, sides in merged.items()], evaluate=False)

    @cached_property
    def macs(self) -> Any:
        return self.piecewise("macs")

    @cached_property
    def flops(self) -> Any:
        return self.piecewise("flops")

    @cached_property
    def read_bytes(self) -> Any:
        return self.piecewise("read_bytes")

    @cached_property
    def write_bytes(self) -> Any:
        return self.piecewise("write_bytes")

    @cached_property
    def peak_bytes(self) -> Any:
        return self.piecewise("peak_bytes")

    @cached_property
    def params(self) -> Any:
        return self.piecewise("params")

    def _repr_html_(self) -> str:
        from fxcount.report.views.pictures.notebook import pieces_html

        return pieces_html(self)

    def show(self, height: int = 800) -> Any:
        """The page, in the cell of a notebook or else in the browser."""
        from fxcount.report.views.html.show import show

        return show(self, height)

    def __str__(self) -> str:
        return f"{self!r}\n{self.to_markdown()}".rstrip("\n")
