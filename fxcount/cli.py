"""The command line. The only part of fxcount that prints.

``fxcount MODEL [INPUT ...]`` counts; ``fxcount params|graph|conventions MODEL [INPUT ...]`` ask one question of the same trace.

MODEL is ``package.module:callable`` (a class or a function that builds the model), ``torchvision:NAME``, ``timm:NAME``,
``hf:CONFIG`` (a config file, or the name of an architecture such as ``bert``), or ``demo``.
INPUT is ``"B,3,H,W"``, ``"i64[B,S]"``, or ``name="i64[B,S]"`` for a keyword input; without any, a known model's own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fxcount.report import Report

__all__ = ["main"]

EPILOG = """commands (the default counts):
  fxcount params MODEL [INPUT ...]        parameters by state, dtype, module and sharing group; --fail-on for CI
  fxcount graph MODEL [INPUT ...] -o FILE the graph as .json, .dot, .graphml or .gexf
  fxcount conventions MODEL [INPUT ...]   what other tools would say, and why

examples:
  fxcount demo
  fxcount torchvision:resnet50 "B,3,H,W" --at B=1,H=224,W=224
  fxcount params timm:vit_base_patch16_224 --fail-on dead
  fxcount mypackage.nets:build_net "f32[B,3,32*h,32*w]" --json"""


def _parser(command: str = "") -> argparse.ArgumentParser:
    """The options every command has; the commands add their own."""
    parser = argparse.ArgumentParser(
        prog=f"fxcount {command}".rstrip(), description="Count a PyTorch model before it runs, as exact formulas.",
        epilog="" if command else EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("model", metavar="MODEL", help="package.module:callable, torchvision:NAME, timm:NAME, hf:CONFIG, demo")
    parser.add_argument("inputs", metavar="INPUT", nargs="*", help='"B,3,H,W", "i64[B,S]", or name="i64[B,S]"')
    parser.add_argument("--at", metavar="B=8,H=224", default="", help="print numbers at these sizes")
    parser.add_argument("--hints", metavar="B=2,H=224", default="", help="sizes at which decisions on shapes are taken")
    parser.add_argument("--strict", action="store_true", help="fail if an op has no cost rule")
    parser.add_argument("--train", action="store_true", help="analyse in training mode (default: as built, or eval)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. The exit status is 0; 1 if ``--fail-on`` found something; 2 after an error, printed as one line."""
    words = list(sys.argv[1:] if argv is None else argv)
    command = _COMMANDS[words.pop(0)] if words and words[0] in _COMMANDS else _count
    from fxcount.errors import FxcountError

    try:
        return command(words)
    except FxcountError as error:
        return _fail(" ".join(str(error).split()))
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:  # the model's own exception: named, on one line
        notes = "; ".join(getattr(error, "__notes__", ()))
        return _fail(f"{type(error).__name__}: {' '.join(str(error).split())}" + (f" ({notes})" if notes else ""))


def _fail(message: str) -> int:
    print(f"fxcount: error: {message}", file=sys.stderr)
    return 2


def _count(words: Sequence[str]) -> int:
    parser = _parser()
    parser.add_argument("--depth", type=int, default=2, metavar="N", help="levels of modules shown (default 2)")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")
    options = parser.parse_args(words)
    report = _analyze(options)
    print(report.to_json(indent=1) if options.json else report.table(options.depth))
    return 0


_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {}


def _analyze(options: argparse.Namespace) -> Report:
    from fxcount.adapters.load import load
    from fxcount.api import analyze

    model, default_args, default_kwargs = load(options.model)
    if options.train:
        model.train()
    args, kwargs = _inputs(options.inputs)
    if not args and not kwargs:
        args, kwargs = default_args, default_kwargs
    report = analyze(model, *args, hints=_assignments(options.hints), strict=options.strict, progress=True, **kwargs)
    return report.at(**_assignments(options.at)) if options.at else report


def _inputs(texts: Sequence[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        if equals and name.isidentifier():
            kwargs[name] = _literal(rest)
        else:
            args.append(text if "," in text or "[" in text else f"{text},")
    return tuple(args), kwargs


def _literal(text: str) -> Any:
    """A Python literal (``False``, ``3``), or else the text: a shape or a plain string."""
    import ast

    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return text if isinstance(value, tuple) else value


def _assignments(text: str) -> dict[str, int]:
    """``B=8,H=224`` as a dict.

    >>> _assignments("B=8, H=224")
    {'B': 8, 'H': 224}
    """
    from fxcount.errors import InputError

    found: dict[str, int] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, value = part.partition("=")
        try:
            found[name.strip()] = int(value)
        except ValueError:
            raise InputError(f"cannot read {part!r} as NAME=INTEGER", hint="write e.g. B=8,H=224") from None
    return found


if __name__ == "__main__":
    raise SystemExit(main())
