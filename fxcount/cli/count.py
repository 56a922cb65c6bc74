"""Count a PyTorch model before it runs: modules, parameters, work, memory."""

from __future__ import annotations

import argparse

from fxcount.cli.files import add_output, written
from fxcount.cli.model import add_model_options, analysed

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser, model: str = "") -> None:
    add_model_options(parser, model)
    parser.add_argument("--depth", type=int, default=2, metavar="N", help="levels of modules shown (default 2)")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")
    add_output(parser, "report", "rows")
    parser.add_argument("--rows", choices=("ops", "modules", "kinds", "params"), help="what a table in FILE lists")


def run(options: argparse.Namespace) -> int:
    shown = written(options, "report", "rows")
    report = analysed(options)
    if options.json:
        print(report.to_json(indent=1))
    elif shown is not None:
        chosen = {"rows": options.rows} if options.rows and shown.format.shows == "rows" else {}
        shown.write(shown.format.function(report, **chosen), f"{report.trace.model_name} written to {options.output}")
    else:
        print(report.table(options.depth))
    return 0
