"""Argparse, with a suggestion for what is misspelt, and inputs anywhere among the options."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

__all__ = ["Parser", "did_you_mean", "parsed"]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'graph'?``, or nothing.

    >>> did_you_mean("grpah", ["graph", "params"]), did_you_mean("x", ["graph"])
    ("; did you mean 'graph'?", '')
    """
    found = get_close_matches(word, list(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


class Parser(argparse.ArgumentParser):
    """Options are not abbreviated: a script that says ``--dep`` would break with the next option of that beginning."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter})

    def error(self, message: str) -> NoReturn:
        choice = re.search(r"invalid choice: '?([^' ]*)'? \(choose from (.*)\)", message)
        if choice:
            message += did_you_mean(choice[1], re.findall(r"[\w-]+", choice[2]))
        super().error(message)

    def unknown(self, words: Sequence[str]) -> NoReturn:
        """The complaint about options that are none."""
        options = re.findall(r"--[\w-]+", self.format_help())
        self.error(f"unrecognized arguments: {' '.join(words)}{did_you_mean(words[0].partition('=')[0], options)}")


def parsed(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """The options; inputs that stand behind an option are inputs, too."""
    options, rest = parser.parse_known_args(words)
    unknown = [word for word in rest if word.startswith("-")]
    if unknown or (rest and not hasattr(options, "inputs")):
        own: Parser = options.parser if "parser" in options else parser
        own.unknown(unknown or rest)
    if rest:
        options.inputs = [*options.inputs, *rest]
    return options
