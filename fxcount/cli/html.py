"""Write one HTML page that works offline: sliders for the sizes, and every number worked out again from its formula."""

from __future__ import annotations

import argparse
from typing import Any

from fxcount.cli import words
from fxcount.cli.model import add_model_options, hints, loaded, report_of
from fxcount.errors import InputError

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    group = parser.add_argument_group("page")
    group.add_argument("-o", "--output", metavar="FILE", required=True, help="FILE.html")
    group.add_argument(
        "--over", metavar="H=32:2048", action="append", default=[],
        help="first:last of a size (or first:last:step, or W=H): what the model decides differently there is in the page, too",
    )  # fmt: skip
    group.add_argument("--step", action="store_true", help="a training step in place of inference")
    group.add_argument("--optimizer", metavar="NAME", default="", help="with --step: sgd, adamw, ...; else none")


def run(options: argparse.Namespace) -> int:
    over = ranges(options.over)
    if options.optimizer and not options.step:
        raise InputError("--optimizer belongs to a training step", hint="add --step")
    model, args, kwargs = loaded(options)  # held here: a report keeps no model alive
    report = _step(options, model, args, kwargs) if options.step else report_of(options, model, args, kwargs)
    page = report.to_html(over=over or None)
    try:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(page)
    except OSError as error:
        raise InputError(f"cannot write {options.output!r} ({error})", hint="give -o a place that can be written to") from error
    pieces = len(report.family.pieces)
    print(f"{len(page.encode()):,} bytes, {pieces} piece{'s' * (pieces != 1)} written to {options.output}")
    return 0


def _step(options: argparse.Namespace, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    from fxcount.api import training_step

    if not hasattr(model, "train"):
        raise InputError("a training step needs the Python module, not an exported program", hint="name what builds the model")
    report = training_step(
        model.train(), *args, optimizer=options.optimizer or None, strict=options.strict, hints=hints(options, args, kwargs),
        kwargs=kwargs,
    )  # fmt: skip
    return report.at(guess=options.guess, **options.at) if options.at else report


def ranges(texts: list[str]) -> dict[str, Any]:
    """``H=32:512`` as bounds, ``H=32:512:32`` as a range, ``W=H`` as a tie.

    >>> ranges(["H=32:512", "S=8:64:8", "W=H"])
    {'H': (32, 512), 'S': range(8, 65, 8), 'W': 'H'}
    """
    found: dict[str, Any] = {}
    for text in texts:
        if ":" not in text:
            found.update(words.settings(text, "--over"))
            continue
        name, sizes = words.span(text, "--over")
        found[name] = (sizes[0], sizes[-1]) if text.count(":") == 1 else sizes
    return found
