"""The command line. The only part of fxcount that prints.

``fxcount MODEL [INPUT ...]`` counts; ``fxcount COMMAND MODEL [INPUT ...]`` asks one question of the same trace. Nothing heavy
loads before the words are understood.
"""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Sequence

from fxcount.cli.commands import COMMANDS, DEFAULT
from fxcount.cli.parser import Parser, did_you_mean, parsed
from fxcount.cli.words import in_command_words
from fxcount.errors import FxcountError, InputError
from fxcount.wording import TERMINAL, visible

__all__ = ["main"]

_EXAMPLES = """
fxcount COMMAND --help lists the options of a command, fxcount count --help those of the default.

examples:
  fxcount demo
  fxcount torchvision:resnet50 "B,3,H,W" --at B=1,H=224,W=224
  fxcount timm:vit_base_patch16_224 --arg img_size=384
  fxcount params timm:vit_base_patch16_224 --fail-on dead
  fxcount mypackage.nets:build_net "f32[B,3,32*h,32*w]" --json"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. The exit status is 0; 1 if ``--fail-on`` or ``--verify`` found something; 2 after an error,
    printed as one line."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=TERMINAL)  # whatever it is encoded in, something can be shown
    try:
        return _run(words)
    except FxcountError as error:
        return _fail(in_command_words(" ".join(str(error).split())))
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:  # the model's own exception: named, on one line
        notes = "; ".join(getattr(error, "__notes__", ()))
        return _fail(f"{type(error).__name__}: {' '.join(str(error).split())}" + (f" ({notes})" if notes else ""))


def _run(words: list[str]) -> int:
    options = parsed(_parser(words), words)
    if "inputs" in options:
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
    return parser


def _command(words: list[str]) -> str:
    """Which command it is. A first word that is none must be a model."""
    first = next((word for word in words if not word.startswith("-")), "")
    if words and words[0] in COMMANDS:
        return words[0]
    if not first or words[0] in ("-h", "--help", "--version"):
        return ""
    if words[0] == first and not _may_be_model(first):
        raise InputError(
            f"cannot read the model {first!r}, and no command is called so{did_you_mean(first, COMMANDS)}",
            hint="write package.module:callable, torchvision:NAME, timm:NAME, hf:CONFIG, a .pt2 file, or demo",
        )
    words.insert(0, DEFAULT)
    return DEFAULT


def _may_be_model(word: str) -> bool:
    return ":" in word or "." in word or "/" in word


def _description() -> str:
    return "Count a PyTorch model before it runs, as exact formulas: parameters, FLOPs, bytes and memory."


def _version() -> str:
    import fxcount

    return f"fxcount {fxcount.__version__}"


def _fail(message: str) -> int:
    print(f"fxcount: error: {visible(message)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
