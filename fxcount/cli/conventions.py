"""What other tools would say of a model, each in its own unit, and by which ops they are off the exact MACs."""

from __future__ import annotations

import argparse

from fxcount.cli.model import add_model_options, analysed
from fxcount.cli.screen import show

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument("--tool", action="append", metavar="NAME", help="only this convention, with sources and known mistakes")
    parser.add_argument("--top", type=int, default=3, metavar="N", help="differences shown for each tool (default 3)")
    parser.add_argument("--json", action="store_true", help="print all rows as JSON")


def run(options: argparse.Namespace) -> int:
    report = analysed(options)
    from fxcount.report.views.conventions import convention_rows, render

    rows = convention_rows(report, options.tool or None)
    if options.json:
        import json

        print(json.dumps([row.to_dict() for row in rows], indent=1))
    else:
        show(render(report, rows, options.top, details=bool(options.tool)))
    return 0
