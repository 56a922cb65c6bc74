"""The command line. The only part of fxcount that prints.

``fxcount MODEL [INPUT ...]`` counts; ``fxcount COMMAND MODEL [INPUT ...]`` asks one question of the same trace. Nothing heavy
loads before the words are understood.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import shlex
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TextIO

from fxcount.cli.commands import COMMANDS, DEFAULT
from fxcount.cli.completion import complete
from fxcount.cli.parser import Parser, parsed
from fxcount.cli.words import in_command_words
from fxcount.errors import FxcountError, InputError
from fxcount.wording import TERMINAL, did_you_mean, visible

__all__ = ["main"]

_EXAMPLES = """
fxcount COMMAND --help lists the options of a command, fxcount count --help those of the default.

examples:
  fxcount demo
  fxcount resnet50 "B,3,H,W" --at B=1,H=224,W=224
  fxcount timm:vit_base_patch16_224 --arg img_size=384
  fxcount params timm:vit_base_patch16_224 --fail-on dead
  fxcount net.py:Net "i64[B,S]" -o net.csv
  fxcount mypackage.nets:build_net "f32[B,3,32*h,32*w]" --json"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. The exit status is 0; 1 if a check found something (``--fail-on``, ``--verify``, a budget); 2 after
    an error, which is printed as one line, on a terminal as several; 130 after Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=TERMINAL)  # whatever it is encoded in, something can be shown
    typed = list(words)
    if "_ARGCOMPLETE" in os.environ:  # a shell asks how a line could go on
        complete(_parser)
    try:
        status = _run(words, whole_process=argv is None)
        sys.stdout.flush()  # a pipe that was closed says so here, not at exit
        return status
    except FxcountError as error:
        return fail(error, typed, getattr(error, "__below__", ""))
    except BrokenPipeError:
        _close(sys.stdout)
        return 0
    except KeyboardInterrupt:
        print("fxcount: interrupted", file=sys.stderr)
        return 130
    except Exception as error:  # the model's own exception: named, on one line
        notes = "; ".join(getattr(error, "__notes__", ()))
        said = f"{type(error).__name__}: {' '.join(str(error).split())}" + (f" ({notes})" if notes else "")
        return fail(FxcountError(said), typed, getattr(error, "__below__", ""))


def _close(stream: TextIO) -> None:
    """Let what is still buffered go nowhere: the interpreter would complain when it cannot be written at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        return


def _run(words: list[str], whole_process: bool) -> int:
    if not words or words == ["help"]:
        _parser([]).print_help()
        return 0
    if words[0] == "help":
        if words[1] not in COMMANDS:
            raise InputError(
                f"no command is called {words[1]!r}{did_you_mean(words[1], COMMANDS)}", hint=f"use one of {', '.join(COMMANDS)}"
            )
        words = [words[1], "--help"]
    parser = _parser(words)
    if words[0].startswith("-") and not any(words[0] in a.option_strings for a in parser._actions):
        parser.unknown(words[:1])
    options = parsed(parser, words)
    options.whole_process = whole_process
    if "inputs" in options and "late" not in options:
        from fxcount.cli.model import read

        read(options)
    status: int = options.run(options)
    return status


def _parser(words: list[str]) -> Parser:
    """The parser of all commands, with the options of the one that is asked for; the default is put into ``words``."""
    name = _command(words)
    usage = "\n".join(["fxcount MODEL [INPUT ...]", *(f"       fxcount {c.name} {c.usage}" for c in COMMANDS.values())])
    parser = Parser(prog="fxcount", usage=usage, description=_description(), epilog=_EXAMPLES)
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for command in COMMANDS.values():
        prog = "fxcount" if name == command.name == DEFAULT else f"fxcount {command.name}"
        own = commands.add_parser(command.name, prog=prog, help=command.summary)
        if command.name == name:
            module = importlib.import_module(command.home)
            own.description = module.__doc__
            module.add_options(own)
            own.set_defaults(run=module.run, parser=own)
            own.elsewhere = _elsewhere
    return parser


def _elsewhere(option: str) -> str:
    """The commands that have an option."""
    found = []
    for command in COMMANDS.values():
        parser = Parser(add_help=False)
        importlib.import_module(command.home).add_options(parser)
        if any(option in action.option_strings for action in parser._actions):
            found.append(f"fxcount {command.name}")
    return f"; it is an option of {' and '.join(found[:3])}" if found else ""


def _command(words: list[str]) -> str:
    """Which command it is. A first word that is none must be a model."""
    first = next((word for word in words if not word.startswith("-")), "")
    if words and words[0] in COMMANDS:
        return words[0]
    if not first or words[0] in ("-h", "--help", "--version"):
        return ""
    if words[0] == first and not set(":./") & set(first):
        _check_word(first)
    words.insert(0, DEFAULT)
    return DEFAULT


def _check_word(word: str) -> None:
    """Complain about a word that is no command and that no library has as a model, with the nearest of both."""
    from fxcount.adapters.names import LIBRARIES, closest
    from fxcount.adapters.reference import forms, is_reference, meant

    if is_reference(word):
        return
    commands = get_close_matches(word, COMMANDS, 1)
    near = closest(word, *LIBRARIES)
    raise InputError(
        f"cannot read the model {word!r}, and no command is called so{meant([*commands, *near][:3])}", hint=forms()
    )


def _description() -> str:
    return "Count a PyTorch model before it runs, as exact formulas: parameters, FLOPs, bytes and memory."


def _version() -> str:
    import fxcount

    return f"fxcount {fxcount.__version__}"


def fail(error: FxcountError, words: Sequence[str], below: str = "") -> int:
    """Say what is wrong, in words of the command line: on one line, which programs read best; on a terminal on several, with
    a caret under the word that is meant. ``below`` is the table up to where it went wrong, printed where tables are."""
    if sys.stderr.isatty():
        what, *rest = in_command_words(str(error)).split("\n")
        print("\n".join([f"fxcount: error: {what}", *pointed(words, error.what), *rest]), file=sys.stderr)
    else:
        print(f"fxcount: error: {visible(in_command_words(' '.join(str(error).split())))}", file=sys.stderr)
    if below:
        print(below)
    return 2


def pointed(words: Sequence[str], what: str) -> list[str]:
    """The command as it was typed, and a caret under what the message quotes of it; nothing if it quotes none of it.

    >>> print("\\n".join(pointed(["demo", "B,3,H+"], "cannot read the size 'H+' in ...")))
      fxcount demo B,3,H+
                       ^^
    """
    typed = "fxcount " + " ".join([shlex.quote(w) if " " in w or not w else w for w in words])
    for quoted in re.findall(r"'([^']+)'", what):
        place = typed.find(quoted, len("fxcount"))
        if place >= 0 and typed.isprintable():
            return [f"  {typed}", f"  {' ' * place}{'^' * len(quoted)}"]
    return []


if __name__ == "__main__":
    raise SystemExit(main())
