"""The curve a user holds: the data, and every view of it as a method."""

from __future__ import annotations

from typing import Any

from fxcount.report.data.curve import CurveData
from fxcount.report.formats import Format

__all__ = ["Curve"]

_SHOWN = 20
"""Rows at either end that the text of a longer curve shows."""


class Curve(CurveData):
    """Exact totals over a range of sizes, as :meth:`fxcount.Report.curve` gives them.

    >>> import torch, fxcount
    >>> model = torch.nn.Conv2d(3, 5, 3, stride=2)
    >>> curve = fxcount.analyze(model, "B,3,H,W").curve(H=range(2, 9, 2), W="H", B=1)
    >>> [row.macs for row in curve.rows], len(curve.pieces)
    ([None, 135, 540, 1215], 1)
    >>> print(curve.to_csv())  # doctest: +ELLIPSIS
    B,H,W,macs,flops,read_bytes,write_bytes,peak_bytes,params,piece,refused
    1,2,2,,,,,,,,"conv2d: kernel (3, 3) with dilation (1, 1) is larger than the padded input: ...
    1,4,4,135,275,752,20,212,140,0,
    1,6,6,540,1100,992,80,512,140,0,
    1,8,8,1215,2475,1328,180,948,140,0,
    <BLANKLINE>
    """

    to_pandas = Format[Any]("fxcount.report.views.curves:to_pandas", "", "curve", "pandas.DataFrame", needs="pandas")
    to_csv = Format[str]("fxcount.report.views.curves:to_csv", ".csv", "curve", "comma-separated values")
    to_markdown = Format[str]("fxcount.report.views.curves:to_markdown", ".md", "curve", "a table in Markdown")
    to_json = Format[str](
        "fxcount.report.views.saved.written:curve_to_json", ".json", "curve",
        "all points and pieces, as JSON that fxcount.load reads"
    )
    to_html = Format[str]("fxcount.report.views.html.document:curve_to_html", ".html", "curve", "one offline page")
    plot = Format[Any]("fxcount.report.views.curves:plot", "", "curve", "matplotlib axes", needs="matplotlib")

    def _repr_html_(self) -> str:
        from fxcount.report.views.pictures.notebook import curve_html

        return curve_html(self)

    def show(self, height: int = 800) -> Any:
        """The page, in the cell of a notebook or else in the browser."""
        from fxcount.report.views.html.show import show

        return show(self, height)

    def __str__(self) -> str:
        lines = self.to_markdown().splitlines()
        shown = lines if len(lines) <= 2 + 2 * _SHOWN else [*lines[: 2 + _SHOWN], "...", *lines[-_SHOWN:]]
        return "\n".join([repr(self), *shown])
