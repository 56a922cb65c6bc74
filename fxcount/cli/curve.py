"""Exact totals over a range of sizes: a table, or a plot; the model is analysed again only where it decides differently."""

from __future__ import annotations

import argparse
import sys
from pathlib import PurePath
from typing import Any

from fxcount.cli import words
from fxcount.cli.files import save
from fxcount.cli.model import add_model_options, built, loaded
from fxcount.errors import InputError

__all__ = ["add_options", "run"]

_TABLES = {".csv": "to_csv", ".md": "to_markdown", ".json": "to_json", ".html": "to_html"}
_PLOTS = (".png", ".svg", ".pdf")


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    group = parser.add_argument_group("points")
    group.add_argument(
        "--over", metavar="H=224:1024:32", action="append", required=True,
        help="first:last:step of a symbol that runs, the last included; again for a grid",
    )  # fmt: skip
    group.add_argument("--set", metavar="W=H,B=1", default="", help="the other symbols: a number, or in terms of others")
    group.add_argument(
        "--fit", action="store_true",
        help="of sizes that the model loops over, formulas that are checked at others, for an analysis at each",
    )  # fmt: skip
    output = parser.add_argument_group("output")
    endings = ", ".join((*_TABLES, *_PLOTS))
    output.add_argument("-o", "--output", metavar="FILE", default="", help=f"FILE{endings}; else printed")
    output.add_argument("--json", action="store_true", help="print all points and pieces as JSON")
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
    if options.fit:
        print(f"fxcount: {curve.pieces[0].because}", file=sys.stderr)
    if options.json:
        print(curve.to_json(indent=1))
        return 0
    if suffix in _PLOTS:
        curve.plot(options.output, options.quantity or "macs")
    elif suffix:
        save(getattr(curve, _TABLES[suffix])(), options.output)
    else:
        print(curve.to_markdown(), end="")
        return 0
    print(f"{len(curve):,} points of {curve.model_name} written to {options.output}")
    return 0


def _curve(options: argparse.Namespace, axes: dict[str, range], rest: dict[str, int | str]) -> Any:
    from fxcount.report.views.progress import PointsLeft

    progress, sizes = PointsLeft(), dict[str, Any]({**axes, **rest})
    builds = any("{" in str(value) for value in (*options.arg.values(), *options.args, *options.kwargs.values()))
    if builds and options.fit:
        raise InputError("--fit is for one model of any size, and here one is built for each", hint="leave --fit out")
    try:
        return _of_builds(options, sizes, progress) if builds else _of_one(options, sizes, progress)
    finally:
        progress.close()


def _of_one(options: argparse.Namespace, sizes: dict[str, Any], progress: Any) -> Any:
    from fxcount.api import analyze

    model, args, kwargs = loaded(options)  # held here: a report keeps no model alive
    given = {n: v[0] if isinstance(v, range) else v for n, v in sizes.items() if not isinstance(v, str)}
    symbols = words.symbols_in(args, kwargs)
    hints = {**{n: v for n, v in given.items() if n in symbols and v > 0}, **options.hints}
    report = analyze(model, *args, hints=hints, strict=options.strict, progress=True, kwargs=kwargs)
    if options.fit:
        return report.fit().curve(**sizes)
    return report.curve(guess=options.guess, progress=progress, **sizes)


def _of_builds(options: argparse.Namespace, sizes: dict[str, Any], progress: Any) -> Any:
    """A model built for each size: ``"1,3,{H},{H}" --arg img_size={H}``."""
    from fxcount.fitting.curve import curve
    from fxcount.trace.inputs.building import names_in, without_placeholders

    given = [list(options.args), options.kwargs]
    hint = 'write the size where it belongs, e.g. "1,3,{H},{H}" --arg img_size={H}'
    if not any(given):
        raise InputError("a model that is built for a size needs its inputs spelled out", hint=hint)
    unknown = sorted(sizes.keys() - words.symbols_in(without_placeholders(given)) - names_in([*given, options.arg]))
    if unknown:
        raise InputError(f"{unknown[0]} is neither in the inputs nor in what builds the model", hint=hint)

    def build(**values: int) -> Any:
        return built(options, words.filled_arguments(options.arg, values))[0]

    return curve(
        build, *options.args, hints=options.hints, kwargs=options.kwargs, guess=options.guess, progress=progress,
        options={"strict": options.strict}, **sizes,
    )  # fmt: skip
