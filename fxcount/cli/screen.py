"""What standard output is: how wide, and whether it shows colours."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap

__all__ = ["folded", "has_colour", "show", "terminal_width"]


def terminal_width() -> int | None:
    """Columns of the terminal; of what is none, those that the user says (``COLUMNS``), or ``None``."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal():
        return shutil.get_terminal_size().columns
    return None


def show(text: str) -> None:
    """Print for a reader: a terminal gets no longer lines than it is wide, a pipe or a file gets them whole."""
    print(folded(text, terminal_width()))


def folded(text: str, width: int | None) -> str:
    """Lines longer than ``width`` are folded between words, and go on two columns further in. A word stays whole: it is a path,
    a name or a formula that somebody copies.

    >>> print(folded("  the peak is at gelu in block.mlp.2", 24))
      the peak is at gelu in
        block.mlp.2
    """
    if width is None:
        return text
    lines: list[str] = []
    for line in text.split("\n"):
        indent = " " * min(len(line) - len(line.lstrip()) + 2, width // 3)
        short = len(line) <= width or textwrap.wrap(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        lines += [line] if short is True else [part.rstrip() for part in short]
    return "\n".join(lines)


def has_colour() -> bool:
    """Whether colours are shown and wanted."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
