"""Argparse, with a suggestion for what is misspelt, and inputs anywhere among the options."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NoReturn

from fxcount.wording import did_you_mean

__all__ = ["Parser", "did_you_mean", "parsed"]


class Parser(argparse.ArgumentParser):
    """Options are not abbreviated: a script that says ``--dep`` would break with the next option of that beginning."""

    elsewhere: Callable[[str], str] | None = None
    """Says which commands have an option that this one has not."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter})

    def error(self, message: str) -> NoReturn:
        choice = re.search(r"invalid choice: '?([^' ]*)'? \(choose from (.*)\)", message)
        if choice:
            message += did_you_mean(choice[1], re.findall(r"[\w-]+", choice[2]))
        super().error(message)

    def unknown(self, words: Sequence[str]) -> NoReturn:
        """The complaint about options that are none."""
        word = words[0].partition("=")[0]
        elsewhere = self.elsewhere(word) if self.elsewhere else ""
        near = did_you_mean(word, [o for o in self._options() if o.startswith("--") or len(word) < 3])
        self.error(f"unrecognized arguments: {' '.join(words)}{elsewhere or near}")

    def _options(self) -> list[str]:
        return [name for action in self._actions for name in action.option_strings]

    def check_flags(self, words: Sequence[str], inputs: Sequence[str]) -> None:
        """Complain about a word behind an option that takes none, if it would be taken for an input and is no shape."""
        flags = {name for action in self._actions if action.nargs == 0 for name in action.option_strings}
        for flag, word in pairwise(words):
            if flag in flags and word in inputs and not set(",[=") & set(word):
                said = f'; -o {word} writes a file' if "." in word else f'; an input of one dimension is "{word},"'
                self.error(f"{flag} takes no value, but {word!r} follows it{said}")


def parsed(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """The options; inputs that stand behind an option are inputs, too."""
    options, rest = parser.parse_known_args(words)
    unknown = [word for word in rest if word.startswith("-")]
    own: Parser = options.parser if "parser" in options else parser
    if unknown or (rest and not hasattr(options, "inputs")):
        own.unknown(unknown or rest)
    if rest:
        options.inputs = [*options.inputs, *rest]
    if "inputs" in options:
        own.check_flags(words, options.inputs)
    return options
