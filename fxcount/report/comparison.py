"""The comparison a user holds: the data, and every view of it as a method."""

from __future__ import annotations

from typing import Any

from fxcount.report.data.comparison import Comparison as _Data
from fxcount.report.formats import Format
from fxcount.report.views.comparison import SHOWN, render, to_dict, to_markdown
from fxcount.wording import fitting

__all__ = ["Comparison"]


class Comparison(_Data):
    """Two reports side by side: ``totals`` and ``modules`` with each quantity before and after, as formulas and as numbers at
    ``sizes``; ``lines`` of code whose cost differs. ``same`` says whether nothing does."""

    to_json = Format[str](
        "fxcount.report.views.saved.written:comparison_to_json", ".json", "comparison",
        "all of it, as JSON that fxcount.load reads"
    )

    to_html = Format[str](
        "fxcount.report.views.html.sheets:comparison_to_html", ".html", "comparison", "one offline page, its formulas alive"
    )

    def table(self, *, top: int = SHOWN, by: str = "macs", formulas: bool = False, width: int | None = None) -> str:
        """Totals, then at most ``top`` rows of modules, those first that differ most in ``by``; no wider than ``width``."""
        return render(self, top=top, by=by, formulas=formulas, width=width)

    def to_markdown(self, *, top: int = SHOWN, by: str = "macs", formulas: bool = False) -> str:
        """The same in GitHub's Markdown, for a pull request."""
        return to_markdown(self, top=top, by=by, formulas=formulas)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        return to_dict(self)

    def _repr_html_(self) -> str:
        from fxcount.report.views.pictures.notebook import comparison_html

        return comparison_html(self)

    def show(self, height: int = 800) -> Any:
        """The page, in the cell of a notebook or else in the browser."""
        from fxcount.report.views.html.show import show

        return show(self, height)

    def __str__(self) -> str:
        return fitting(self.table())
