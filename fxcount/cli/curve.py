"""Exact totals over a range of sizes: a table, or a plot; the model is analysed again only where it decides differently."""

from __future__ import annotations

import argparse
from pathlib import PurePath
from typing import Any

from fxcount.cli import words
from fxcount.cli.model import add_model_options, loaded
from fxcount.errors import InputError

__all__ = ["add_options", "run"]

_TABLES = {".csv": "to_csv", ".md": "to_markdown"}
_PLOTS = (".png", ".svg", ".pdf")


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    group = parser.add_argument_group("points")
    group.add_argument(
        "--over", metavar="H=224:1024:32", action="append", required=True,
        help="first:last:step of a symbol that runs, the last included; again for a grid",
    )  # fmt: skip
    group.add_argument("--set", metavar="W=H,B=1", default="", help="the other symbols: a number, or in terms of others")
    output = parser.add_argument_group("output")
    output.add_argument("-o", "--output", metavar="FILE", default="", help="FILE.csv, .md, .png, .svg, .pdf; else printed")
    output.add_argument(
        "--quantity", metavar="NAME", action="append", default=[], help="plotted: macs (the default), flops, peak_bytes, ..."
    )


def run(options: argparse.Namespace) -> int:
    suffix = PurePath(options.output).suffix.lower()
    if options.output and suffix not in _TABLES and suffix not in _PLOTS:
        raise InputError(f"{options.output!r} is no table and no plot", hint=f"use one of {', '.join((*_TABLES, *_PLOTS))}")
    axes = dict(words.span(text, "--over") for text in options.over)
    rest = {**options.at, **words.settings(options.set, "--set")}
    twice = sorted(axes.keys() & rest.keys())
    if twice:
        raise InputError(f"{twice[0]} has a value, and runs", hint="give each symbol either to --over or to --set")
    curve = _curve(options, axes, rest)
    if suffix in _PLOTS:
        curve.plot(options.output, options.quantity or "macs")
    elif suffix:
        getattr(curve, _TABLES[suffix])(options.output)
    else:
        print(curve.to_markdown(), end="")
        return 0
    print(f"{len(curve):,} points of {curve.model_name} written to {options.output}")
    return 0


def _curve(options: argparse.Namespace, axes: dict[str, range], rest: dict[str, int | str]) -> Any:
    from fxcount.api import analyze
    from fxcount.report.views.progress import PointsLeft

    model, args, kwargs = loaded(options)  # held here: a report keeps no model alive
    given = {**{n: axis[0] for n, axis in axes.items()}, **{n: v for n, v in rest.items() if isinstance(v, int)}}
    symbols = words.symbols_in(args, kwargs)
    hints = {**{n: v for n, v in given.items() if n in symbols and v > 0}, **options.hints}
    report = analyze(model, *args, hints=hints, strict=options.strict, progress=True, kwargs=kwargs)
    progress, sizes = PointsLeft(), dict[str, Any]({**axes, **rest})
    try:
        return report.curve(guess=options.guess, progress=progress, **sizes)
    finally:
        progress.close()
