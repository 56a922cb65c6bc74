"""Write one HTML page that works offline: sliders for the sizes, and every number worked out again from its formula. MODEL may
be a report, step, curve, pieces or comparison that was saved as FILE.json."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from typing import Any

from fxcount.cli import words
from fxcount.cli.files import save, saved
from fxcount.cli.model import add_device_option, add_model_options, as_it_is, hints, loaded, report_of
from fxcount.errors import InputError
from fxcount.wording import DTYPE_WORDS, did_you_mean, dtype_named

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    add_device_option(parser)
    group = parser.add_argument_group("page")
    group.add_argument("-o", "--output", metavar="FILE", required=True, help="FILE.html")
    group.add_argument(
        "--over", metavar="H=32:2048", action="append", default=[],
        help="first:last of a size (or first:last:step, or W=H): what the model decides differently there is in the page, too",
    )  # fmt: skip
    group.add_argument(
        "--modes", metavar="MODE,...", default="", help=f"to switch among in the page: {', '.join(_MODES)}"
    )
    group.add_argument("--dtypes", metavar="DTYPE,...", default="", help="of the model, to switch among in the page: f32,bf16")
    group.add_argument("--compare", metavar="B", default="", help="another model, or a report saved as .json, beside this one")
    group.add_argument("--step", action="store_true", help="a training step in place of inference")
    group.add_argument("--optimizer", metavar="NAME", default="", help="with --step: sgd, adamw, ...; else none")


def run(options: argparse.Namespace) -> int:
    over = ranges(options.over)
    if text := saved(options.model):
        return _of_saved(options, text, over)
    if options.compare and (options.modes or options.dtypes):
        raise InputError("--compare stands beside one page, and not several", hint="leave out --modes and --dtypes")
    ways = _ways(options)
    given = loaded(options)  # held here: a report keeps no model alive
    report, *variants = list(_reports(options, given, ways, over))
    other = _other(options, given) if options.compare else None
    return _written(options, report.to_html(compare=other, variants=variants), len(report.family.pieces))


def _written(options: argparse.Namespace, page: str, pieces: int = 0) -> int:
    save(page, options.output)
    counted = f", {pieces} piece{'s' * (pieces != 1)}" if pieces else ""
    print(f"{len(page.encode()):,} bytes{counted} written to {options.output}")
    return 0


def _of_saved(options: argparse.Namespace, text: str, over: Any) -> int:
    """The page of what a file holds."""
    from fxcount.report.data.report import ReportData
    from fxcount.report.load import load

    as_it_is(options)
    given = {"--modes": options.modes, "--dtypes": options.dtypes, "--step": options.step, "--optimizer": options.optimizer}
    if asked := [name for name, value in {**given, "--over": over}.items() if value]:
        raise InputError(f"{asked[0]} analyses again, and {options.model} is what was saved", hint="name the model itself")
    found = load(text)
    kind = type(found).__name__
    if not hasattr(found, "to_html"):
        raise InputError(f"{options.model} holds a {kind}, of which there is no page", hint="fxcount.load(...) shows it")
    if not isinstance(found, ReportData):
        if options.compare or options.at:
            raise InputError(f"{options.model} holds a {kind}, which is no report", hint="leave out --compare and --at")
        return _written(options, found.to_html())
    report: Any = found.at(guess=options.guess, **options.at) if options.at else found
    other = _other(options, None) if options.compare else None
    return _written(options, report.to_html(compare=other), len(report.family.pieces))


_MODES = ("eval", "train", "step")


def _ways(options: argparse.Namespace) -> list[tuple[str, str]]:
    """The modes and dtypes in which the model is analysed, "" for what it is."""
    modes, dtypes = words.names(options.modes), words.names(options.dtypes)
    for mode in modes:
        if mode not in _MODES:
            raise InputError(f"--modes knows no {mode!r}{did_you_mean(mode, _MODES)}", hint=f"use some of {', '.join(_MODES)}")
    for dtype in dtypes:
        if not dtype_named(dtype):
            raise InputError(f"--dtypes knows no {dtype!r}{did_you_mean(dtype, DTYPE_WORDS)}", hint="e.g. f32,bf16")
    if options.step and modes:
        raise InputError("--step is one of the modes", hint="say --modes eval,step")
    if options.optimizer and "step" not in (*modes, "step" if options.step else ""):
        raise InputError("--optimizer belongs to a training step", hint="add --step")
    return [(mode, dtype) for dtype in dtypes or [""] for mode in modes or ["step" if options.step else ""]]


def _reports(options: argparse.Namespace, given: Any, ways: Any, over: Any) -> Iterator[Any]:
    """A report for each way, with its pieces: the model is changed from one to the next."""
    model, args, kwargs = given
    for mode, dtype in ways:
        if (mode or dtype) and not hasattr(model, "train"):
            raise InputError("an exported program is as it was exported", hint="name what builds the model")
        if dtype:
            import torch

            model.to(getattr(torch, dtype_named(dtype)))
        if mode in ("eval", "train"):
            model.train(mode == "train")
        report = _step(options, model, args, kwargs) if mode == "step" else report_of(options, model, args, kwargs)
        if over:
            from fxcount.report.views.html.document import with_pieces

            with_pieces(report, over)
        yield report


def _other(options: argparse.Namespace, given: Any) -> Any:
    """The report that stands beside: saved, or of another model, with the inputs of the first if they were given."""
    if text := saved(options.compare):
        from fxcount.report.load import load

        return load(text)
    other = copy.copy(options)
    other.model = options.compare
    model, args, kwargs = loaded(other)
    return _step(other, model, args, kwargs) if options.step else report_of(other, model, args, kwargs)


def _step(options: argparse.Namespace, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    from fxcount.api import training_step

    if not hasattr(model, "train"):
        raise InputError("a training step needs the Python module, not an exported program", hint="name what builds the model")
    report = training_step(
        model.train(), *args, optimizer=options.optimizer or None, strict=options.strict, hints=hints(options, args, kwargs),
        kwargs=kwargs, device=options.device,
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
