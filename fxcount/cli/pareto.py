"""The models of a sweep that no other beats: by macs and parameters, or by macs and a column of scores of your own."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from fxcount.cli.screen import show
from fxcount.wording import visible

if TYPE_CHECKING:
    from fxcount.sweeping.pareto import Front

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", metavar="RESULTS", help="the file a sweep wrote")
    parser.add_argument("--cost", metavar="COLUMN", default="macs", help="what is to be small (default macs)")
    parser.add_argument("--against", metavar="COLUMN", default="params", help="what is to be small as well (default params)")
    parser.add_argument("--scores", metavar="FILE.csv", default="", help="what is to be large instead: scores by model")
    parser.add_argument("--column", metavar="NAME", default="", help="the column of FILE.csv (default: the second)")
    parser.add_argument("-o", "--output", metavar="FILE", default="", help="also a plot: FILE.svg, .png or .pdf")


def run(options: argparse.Namespace) -> int:
    from fxcount.sweeping.pareto import front, plot, read_scores
    from fxcount.sweeping.store import read_rows

    rows = read_rows(options.results)
    scores = read_scores(options.scores, options.column) if options.scores else None
    found = front(rows, options.cost, options.against, scores)
    if options.output:
        plot(found, options.output, options.column or "score")
    show(_table(found, options.column or "score"))
    return 0


def _table(found: Front, score: str) -> str:
    head = ["model", found.cost, score if found.scores else found.other]
    lines = [[visible(r.model), f"{getattr(r, found.cost):,}", _number(found.worth(r), bool(found.scores))] for r in found.on]
    widths = [max(map(len, column)) for column in zip(head, *lines)]
    shown = [
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))).rstrip()
        for line in [head, *lines]
    ]
    return "\n".join([*shown, f"{len(found.on):,} of {len(found.on) + len(found.off):,} models are beaten by no other"])


def _number(value: float, score: bool) -> str:
    return f"{value:g}" if score else f"{int(value):,}"
