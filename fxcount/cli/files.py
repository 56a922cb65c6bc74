"""Where the output goes: a format of the table of formats, to a file or to the terminal."""

from __future__ import annotations

import argparse
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.errors import InputError
from fxcount.report.formats import Format, by_suffix, format_of

__all__ = ["Output", "add_output", "save", "saved", "written"]


@dataclass(frozen=True, slots=True)
class Output:
    """A format, and the path to write to; ``-`` is the terminal."""

    format: Format[Any]
    path: str

    def write(self, content: str | bytes, done: str) -> None:
        """Print or write; ``done`` is what is said of a file. Raises :class:`~fxcount.errors.InputError` if it cannot be."""
        if self.path == "-" and isinstance(content, str):
            print(content.rstrip("\n"))
            return
        save(content, self.path)
        print(done)


def save(content: str | bytes, path: str) -> None:
    """Write a file. Raises :class:`~fxcount.errors.InputError` if it cannot be."""
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError as error:
        raise InputError(f"cannot write {path!r} ({error})", hint="give -o a place that can be written to") from error


def saved(word: str) -> str:
    """The text of a file that fxcount wrote as JSON, for ``fxcount.load``; "" for a config and whatever else is a model."""
    if not word.endswith(".json") or word.startswith(("hf:", "diffusers:")):
        return ""
    try:
        with open(word, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError):
        return ""
    return text if text.lstrip().startswith("{") and ('"report"' in text or '"fxcount"' in text) else ""


def add_output(parser: argparse.ArgumentParser, *shows: str, required: bool = False) -> None:
    """``-o FILE`` and ``--format``, for formats that show one of these."""
    endings = by_suffix(*shows)
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o", "--output", metavar="FILE", required=required, default="", help=f"FILE.{', FILE.'.join(endings)}; - prints it"
    )
    group.add_argument("--format", choices=tuple(endings), help="the format, if FILE does not end in one (with -: json)")


def written(options: argparse.Namespace, *shows: str) -> Output | None:
    """What the options ask for; ``None`` if they name no file and no format."""
    if not options.output and not options.format:
        return None
    path = options.output or "-"
    named = options.format or ("json" if path == "-" else "")
    return Output(by_suffix(*shows)[named] if named else format_of(path, *shows), path)
