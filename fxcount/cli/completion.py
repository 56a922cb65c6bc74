"""Completion of commands, models and options in a shell, by argcomplete: pip install fxcount[completion].

In bash and zsh ``eval "$(register-python-argcomplete fxcount)"``, in fish
``register-python-argcomplete --shell fish fxcount | source``.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
from collections.abc import Callable
from typing import Any

from fxcount.cli.commands import COMMANDS, DEFAULT
from fxcount.cli.parser import Parser

__all__ = ["complete", "models"]


def complete(parser_of: Callable[[list[str]], argparse.ArgumentParser]) -> None:
    """Write how the shell's line could go on, and end; nothing if argcomplete is not installed."""
    try:
        import argcomplete
    except ImportError:
        return
    argcomplete.autocomplete(_parser(_typed(), parser_of))


def _typed() -> list[str]:
    """The words before the one that is being typed."""
    line, point = os.environ.get("COMP_LINE", ""), os.environ.get("COMP_POINT", "")
    line = line[: int(point)] if point.isdecimal() else line
    try:
        words = shlex.split(line)
    except ValueError:  # a quote is open
        words = line.split()
    return words[1:] if line.endswith(" ") else words[1:-1]


def _parser(words: list[str], parser_of: Callable[[list[str]], argparse.ArgumentParser]) -> argparse.ArgumentParser:
    if not words:
        first = Parser(prog="fxcount")
        _completed_by(first.add_argument("word"), lambda prefix: [*COMMANDS, *models(prefix)])
        first.add_argument("--version", action="store_true")
        return first
    if words[0] in COMMANDS:
        parser = parser_of(list(words))
    else:
        parser = Parser(prog="fxcount")
        importlib.import_module(COMMANDS[DEFAULT].home).add_options(parser)
    _name_models(parser)
    return parser


def _name_models(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if action.dest in ("model", "before"):
            _completed_by(action, models)
        if isinstance(action.choices, dict):
            for below in action.choices.values():
                _name_models(below)


def _completed_by(action: argparse.Action, names: Callable[[str], list[str]]) -> None:
    def completer(prefix: str = "", **_: Any) -> list[str]:
        return names(prefix)

    action.completer = completer  # type: ignore[attr-defined]


def models(prefix: str) -> list[str]:
    """Models whose name begins so, with the library where one is named; files of Python and programs come from the shell.

    >>> "torchvision:resnet50" in models("torchvision:resn"), "resnet50" in models("resn"), models("")
    (True, True, ['torchvision:', 'timm:', 'hf:', 'diffusers:', 'demo'])
    """
    from fxcount.adapters.names import LIBRARIES, model_names

    if not prefix:
        return [*[f"{library}:" for library in LIBRARIES], "demo"]
    library, colon, name = prefix.partition(":")
    if colon:
        return [f"{library}:{n}" for n in model_names(library) if n.startswith(name)]
    found = [n for each in LIBRARIES for n in model_names(each) if n.startswith(prefix)]
    heads = [f"{each}:" for each in LIBRARIES if each.startswith(prefix)]
    return list(dict.fromkeys([*heads, *found, *(["demo"] if "demo".startswith(prefix) else [])]))
