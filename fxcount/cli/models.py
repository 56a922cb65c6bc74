"""The names of the models of a library, those alone that match a pattern: fxcount models timm 'resnet*'."""

from __future__ import annotations

import argparse

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    about = "torchvision, timm, hf or diffusers; else all there are"
    parser.add_argument("source", metavar="LIBRARY", nargs="?", default="", help=about)
    parser.add_argument("pattern", metavar="PATTERN", nargs="?", default="*", help="with * and ?; all without")


def run(options: argparse.Namespace) -> int:
    from fxcount.adapters.names import LIBRARIES, matching
    from fxcount.errors import InputError

    sources = [options.source.rstrip(":")] if options.source else list(LIBRARIES)
    for source in sources:
        try:
            found = matching(source, options.pattern)
        except InputError:
            if options.source:
                raise
            continue
        print("\n".join(f"{source}:{name}" for name in found) if found else f"{source} has no model like {options.pattern!r}")
    return 0
