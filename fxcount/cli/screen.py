"""What standard output is: how wide, and whether it shows colours."""

from __future__ import annotations

import os
import shutil
import sys

__all__ = ["has_colour", "terminal_width"]


def terminal_width() -> int | None:
    """Columns of the terminal; of what is none, those that the user says (``COLUMNS``), or ``None``."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal():
        return shutil.get_terminal_size().columns
    return None


def has_colour() -> bool:
    """Whether colours are shown and wanted."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
