"""The page where one is: in a cell of a notebook, else in the browser."""

from __future__ import annotations

import html
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["Shown", "show"]


class Shown:
    """The page in a cell, in a frame of its own."""

    def __init__(self, page: str, height: int) -> None:
        self.page = page
        self.height = height

    def _repr_html_(self) -> str:
        page = html.escape(self.page)
        return f'<iframe srcdoc="{page}" width="100%" height="{self.height}" title="fxcount" frameborder="0"></iframe>'

    def __repr__(self) -> str:
        return f"<a page of {len(self.page):,} characters; to_html(path) writes it to a file>"


def show(shown: Any, height: int = 800, **options: Any) -> Shown | Path:
    """The interactive page of a report, a curve or a training step: in a notebook what the cell shows, ``height`` pixels high;
    elsewhere a file, which is opened in the browser, and its path is returned. ``options`` are those of ``to_html``."""
    page = shown.to_html(**options)
    if in_notebook():
        return Shown(page, height)
    import webbrowser

    with tempfile.NamedTemporaryFile("w", suffix=".html", prefix="fxcount-", delete=False, encoding="utf-8") as file:
        file.write(page)
    path = Path(file.name)
    webbrowser.open(path.as_uri())
    return path


def in_notebook() -> bool:
    """Whether a kernel runs this, whose cells show what they return.

    >>> in_notebook()
    False
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and getattr(shell, "kernel", None) is not None
