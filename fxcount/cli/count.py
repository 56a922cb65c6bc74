"""Count a PyTorch model before it runs: modules, parameters, work, memory."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from fxcount.cli.files import add_output, written
from fxcount.cli.model import add_device_option, add_model_options, loaded, report_of
from fxcount.cli.screen import has_colour, terminal_width
from fxcount.columns import COLUMNS, check_order, columns_of

if TYPE_CHECKING:
    from fxcount.report import Report

__all__ = ["add_options", "run"]


_SHOWS = ("report", "rows", "graph", "work", "page", "picture")


def add_options(parser: argparse.ArgumentParser, model: str = "") -> None:
    add_model_options(parser, model)
    add_device_option(parser)
    parser.add_argument("--depth", type=_depth, default=2, metavar="N", help="levels of modules shown, or all (default 2)")
    parser.add_argument("--unfold", action="store_true", help="a row for each of equal modules, too")
    parser.add_argument("--columns", metavar="NAMES", help=f"some of {','.join(COLUMNS)}")
    parser.add_argument("--sort", metavar="COUNT", help="sort the rows inside a module by macs, flops, params, ...")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")
    parser.add_argument(
        "--fit", action="store_true", help="formulas in sizes that the model loops over, checked at others"
    )
    parser.add_argument("--verify", action="store_true", help="analyse afresh at sizes drawn, and fail if the formulas differ")
    parser.add_argument("--execute", action="store_true", help="with --verify: also run the graph against the model")
    add_output(parser, *_SHOWS)
    parser.add_argument(
        "--rows", choices=("ops", "modules", "kinds", "params", "layers", "classes"), help="what a table in FILE lists"
    )
    parser.add_argument("--top", type=int, metavar="N", help="so many rows in FILE, with --sort those with most")
    parser.add_argument("--only", metavar="PATTERN", default="", help="rows in FILE whose path, op or class fits: 'layer1.*'")


def _depth(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of levels nor 'all'")
    return int(text)


def _table(report: Report, options: argparse.Namespace) -> str:
    """As wide as the terminal and in its colours, if it is one."""
    width, colour = terminal_width(), has_colour()
    return report.table(
        options.depth, fold=not options.unfold, columns=options.columns, sort=options.sort, width=width, colour=colour
    )


def _chosen(options: argparse.Namespace) -> dict[str, Any]:
    """Which rows a table has."""
    given = {"rows": options.rows, "sort": options.sort, "top": options.top, "only": options.only}
    return {name: value for name, value in given.items() if value}


def run(options: argparse.Namespace) -> int:
    shown = written(options, *_SHOWS)
    if shown is None and not options.json:
        columns_of(options.columns or None)
        check_order(options.sort or None)
    given = loaded(options)  # held here: a report keeps no model alive
    try:
        report = report_of(options, *given)
    except Exception as error:
        partial = getattr(error, "partial", None)
        if partial is not None and shown is None and not options.json:
            error.__below__ = _table(partial, options)  # type: ignore[attr-defined]
        raise
    if options.fit:
        print(report.fit(guess=options.guess).table())
    elif options.json:
        print(report.to_json(indent=1))
    elif shown is not None:
        chosen = _chosen(options) if shown.format.shows == "rows" else {}
        shown.write(shown.format.function(report, **chosen), f"{report.trace.model_name} written to {options.output}")
    else:
        print(_table(report, options))
    if options.verify or options.execute:
        found = report.verify(execute=options.execute)
        print(found, file=sys.stderr if options.json or shown is not None else sys.stdout)
        return 0 if found else 1
    return 0
