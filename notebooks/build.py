"""Builds the notebooks: ``python notebooks/build.py [NAME ...]`` turns each ``.py`` of this directory, or those of these
names, into an executed ``.ipynb``.

The sources are in the percent format: ``# %%`` starts a cell of code, ``# %% [markdown]`` one of text in comments.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient

__all__ = ["HERE", "cells", "execute", "notebook", "sources"]

HERE = Path(__file__).resolve().parent


def sources() -> list[Path]:
    """The files notebooks are built from."""
    return sorted(path for path in HERE.glob("*.py") if path.name != "build.py")


def cells(text: str) -> list[tuple[str, str]]:
    """Kind and source of each cell.

    >>> cells("# %% [markdown]\\n# # Title\\n\\n# %%\\nx = 1\\n")
    [('markdown', '# Title'), ('code', 'x = 1')]
    """
    found = []
    for part in re.split(r"^# %%", text, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        if "[markdown]" in head:
            found.append(("markdown", re.sub(r"^# ?", "", body, flags=re.MULTILINE).strip()))
        else:
            found.append(("code", body.strip()))
    return found


def notebook(source: Path) -> nbformat.NotebookNode:
    """The notebook of a source, not executed."""
    make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    book = nbformat.v4.new_notebook()
    book.cells = [make[kind](text, id=f"cell-{i}") for i, (kind, text) in enumerate(cells(source.read_text("utf-8")))]
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return book


def execute(book: nbformat.NotebookNode, timeout: int = 120) -> nbformat.NotebookNode:
    """Run all cells; raises nbclient's CellExecutionError if one fails."""
    NotebookClient(book, timeout=timeout, resources={"metadata": {"path": str(HERE)}}, record_timing=False).execute()
    return book


def main(names: Sequence[str] = ()) -> None:
    """Build and execute every notebook, or those of these names."""
    for source in sources():
        if names and source.stem not in names:
            continue
        book = execute(notebook(source))
        book.metadata.pop("language_info", None)
        nbformat.write(book, source.with_suffix(".ipynb"))


if __name__ == "__main__":
    main(sys.argv[1:])
