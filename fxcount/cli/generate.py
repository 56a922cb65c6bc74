"""A generation with a language model: the prompt, one step as a formula in its past, the cache, and all of it."""

from __future__ import annotations

import argparse
import re

from fxcount.cli.model import add_model_options, built
from fxcount.cli.screen import show
from fxcount.errors import InputError

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser, training=False)
    group = parser.add_argument_group("generation")
    group.add_argument("--prompt", metavar="P=1024", default="P", help="tokens of the prompt: a name, a number, or both")
    group.add_argument("--new", metavar="N=256", default="N", help="new tokens")
    group.add_argument("--batch", metavar="B=1", default="B", help="sequences at once")
    group.add_argument(
        "--json", action="store_true", help="print all that fxcount.load reads as JSON"
    )
    group.add_argument(
        "--cache", metavar="KIND", default="dynamic", choices=("dynamic", "static", "fp8"), help="dynamic, static or fp8"
    )


def run(options: argparse.Namespace) -> int:
    options.train = False
    asked = {size: _named(getattr(options, size), default, f"--{size}") for size, default in _DEFAULTS.items()}
    values = {name: n for name, n in asked.values() if n is not None}
    if options.args or options.kwargs:
        raise InputError("a generation makes its inputs itself", hint="say --prompt P=1024 --new N=256 --batch B=1")
    from fxcount.adapters.generation import generation

    model = built(options, options.arg)[0]
    prompt, new, batch = [name for name, _ in asked.values()]
    found = generation(
        model, prompt, new, batch=batch, cache=options.cache, strict=options.strict,
        hints={**options.at, **values, **options.hints},
    )  # fmt: skip
    values |= options.at
    shown = found.at(extend=True, **values) if values else found
    if options.json:
        print(shown.to_json(indent=1))
    else:
        show(shown.table())
    return 0


_DEFAULTS = {"prompt": "P", "new": "N", "batch": "B"}


def _named(text: str, default: str, option: str) -> tuple[str, int | None]:
    """The name of a size, and its number if it has one.

    >>> _named("P=1024", "P", "--prompt"), _named("7", "P", "--prompt"), _named("S", "P", "--prompt")
    (('P', 1024), ('P', 7), ('S', None))
    """
    found = re.fullmatch(r"\s*(?:([A-Za-z_]\w*)\s*(?:=\s*(?=\d)|$))?(\d{1,18})?\s*", text)
    if found is None or not (found[1] or found[2]) or (found[2] and int(found[2]) < 1):
        raise InputError(f"{option}: cannot read {text!r}", hint="write a name, a number, or both: P=1024")
    return found[1] or default, int(found[2]) if found[2] else None
