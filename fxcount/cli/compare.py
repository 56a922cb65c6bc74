"""Two models, two configurations or two saved reports: what differs in total and module by module."""

from __future__ import annotations

import argparse
import copy
import dataclasses
from pathlib import PurePath
from typing import Any

from fxcount.cli.files import save, saved
from fxcount.cli.model import add_device_option, add_model_options, loaded, report_of
from fxcount.cli.screen import show, terminal_width
from fxcount.cli.words import arguments
from fxcount.errors import InputError

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", metavar="A", help="a model as elsewhere, or a report saved as .json")
    add_model_options(parser)
    add_device_option(parser)
    parser.add_argument("--arg-a", metavar="NAME=VALUE", action="append", default=[], help="an argument of A alone")
    parser.add_argument("--arg-b", metavar="NAME=VALUE", action="append", default=[], help="an argument of B alone")
    output = parser.add_argument_group("output")
    output.add_argument("--top", type=int, default=20, metavar="N", help="rows of modules that are shown (default 20)")
    output.add_argument("--by", metavar="COUNT", default="macs", help="what modules are sorted by: macs (default), params, ...")
    output.add_argument("--formulas", action="store_true", help="formulas in the rows of modules, too")
    output.add_argument("--markdown", action="store_true", help="Markdown, for a pull request")
    output.add_argument("--json", action="store_true", help="print all as JSON")
    output.add_argument("-o", "--output", metavar="FILE", default="", help="FILE.json, .html, .md, .txt; else printed")
    output.add_argument("--fail-on-change", action="store_true", help="exit with 1 if anything differs")
    for action in parser._actions:  # MODEL is the second of two here
        if action.dest == "model":
            action.metavar, action.help = "B", "the same"


def run(options: argparse.Namespace) -> int:
    if options.output and PurePath(options.output).suffix.lower() not in (".json", ".html", ".md", ".txt"):
        raise InputError(f"{options.output!r} ends in no format of comparisons", hint="use one of .json, .html, .md, .txt")
    before = _report(options, options.before, options.arg_a)
    after = _report(options, options.model, options.arg_b)
    from fxcount.review.compare import compare

    found = compare(before, after, **options.at)
    if (options.before, options.arg_a) != (options.model, options.arg_b):
        found = dataclasses.replace(found, names=(_name(options.before, options.arg_a), _name(options.model, options.arg_b)))
    kind = PurePath(options.output).suffix.lower()
    shown = {"top": options.top, "by": options.by, "formulas": options.formulas}
    if options.json or kind == ".json":
        text = found.to_json(indent=1)
    elif kind == ".html":
        text = found.to_html()
    elif options.markdown or kind == ".md":
        text = found.to_markdown(**shown)
    else:
        text = found.table(width=None if options.output else terminal_width(), **shown)
    if options.output:
        save(text.rstrip("\n") + "\n", options.output)
        print(f"{found.names[0]} -> {found.names[1]} written to {options.output}")
    else:
        (print if options.json or options.markdown else show)(text.rstrip("\n"))
    return 1 if options.fail_on_change and not found.same else 0


def _report(options: argparse.Namespace, word: str, own: list[str]) -> Any:
    """The report of a word: saved, or of a model."""
    if text := saved(word):
        from fxcount.report.load import load_as
        from fxcount.report.report import Report

        return load_as(Report, text)
    one = copy.copy(options)
    one.model, one.at = word, {}
    one.arg = {**options.arg, **arguments(own)}
    given = loaded(one)  # held here: a report keeps no model alive
    one.hints = {n: v for n, v in {**options.at, **options.hints}.items() if v > 0 and n in _symbols(given)}
    return report_of(one, *given)


def _name(word: str, own: list[str]) -> str:
    return " ".join([word, *own])


def _symbols(given: tuple[Any, ...]) -> set[str]:
    from fxcount.cli.words import symbols_in

    return symbols_in(*given[1:])
