"""Numbers and tables as fvcore writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["pipe_table", "size_text"]

_UNITS = ((1e14, 1e15, "P"), (1e11, 1e12, "T"), (1e8, 1e9, "G"), (1e5, 1e6, "M"), (1e2, 1e3, "K"))


def size_text(n: Any, digits: int = 3) -> str:
    """A count with its unit; a formula as it is.

    >>> size_text(4_089_184_256), size_text(320), size_text(100)
    ('4.089G', '0.32K', '100')
    """
    if not isinstance(n, (int, float)):
        return str(n)
    for least, scale, unit in _UNITS:
        if abs(n) > least:
            return f"{n / scale:.{digits}f}".rstrip("0").rstrip(".") + unit
    return str(n)


def pipe_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table as tabulate's "pipe" format writes it: columns of numbers right, others left.

    >>> print(pipe_table(["a", "n"], [["x", "1K"]]))
    | a   | n   |
    |:----|:----|
    | x   | 1K  |
    """
    columns = list(zip(*rows))
    right = [all([_is_number(cell) for cell in column]) for column in columns]
    widths = [max([len(h) + 2, *map(len, column)]) for h, column in zip(head, columns)]

    def line(cells: Sequence[str]) -> str:
        texts = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right)]
        return "| " + " | ".join(texts) + " |"

    rule = "|" + "|".join("-" * (w + 1) + ":" if r else ":" + "-" * (w + 1) for w, r in zip(widths, right)) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text == ""
    return True
