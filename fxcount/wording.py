"""Text for people: names may hold any character, and terminals may show few."""

from __future__ import annotations

import codecs
import linecache
import re
import sys
from typing import Any

__all__ = ["TERMINAL", "fitting", "quoted", "short_dtype", "shortened", "visible"]

TERMINAL = "fxcount.terminal"
"""Name of the error handler (of Python's codecs) that writes what an encoding does not have in characters it has."""

_PLAIN = str.maketrans({"─": "-", "│": "|", "├": "|", "└": "`", "█": "#"})


def visible(text: str, *, lines: bool = False) -> str:
    r"""The text, with what does not print (control characters, marks of writing direction, half surrogates) written as in
    Python's literals; with ``lines`` line ends stay.

    >>> print(visible("a\x00b\ud800\u202e\x1b[31m\n"))
    a\x00b\ud800\u202e\x1b[31m\n
    >>> visible("größe\n", lines=True) == "größe\n"
    True
    """
    if text.isprintable():
        return text
    return "".join([c if c.isprintable() or (lines and c == "\n") else _escaped(c) for c in text])


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")


def shortened(text: str, most: int = 200) -> str:
    """The text, without its middle if it is long: of the path of a module in a deep model, both ends tell most.

    >>> shortened("0.1.2"), shortened("0." * 500, 10)
    ('0.1.2', '0.0.0...0.0.')
    """
    return text if len(text) <= most else f"{text[: most // 2]}...{text[len(text) - most // 2 + 1 :]}"


_PLACE = re.compile(r"(.+):(\d+)(?: \(.*\))?", re.DOTALL)
_MOST_OF_A_COMMENT = 160


def quoted(where: str) -> tuple[str, str]:
    """What is written at ``net.py:7 (path.of.module)``: the line, and the comment right above it; empty where nothing is found.

    >>> quoted("no such file.py:7 (features.0)")
    ('', '')
    """
    place = _PLACE.fullmatch(where)
    if place is None:
        return "", ""
    file, number = place[1], int(place[2])
    above: list[str] = []
    while (text := linecache.getline(file, number - 1 - len(above)).strip()).startswith("#"):
        above.insert(0, text.lstrip("# ").rstrip())
    comment = re.split(r"(?<=[.!?])\s", " ".join(above), maxsplit=1)[0]
    return visible(linecache.getline(file, number).strip()), visible(shortened(comment, _MOST_OF_A_COMMENT))


def fitting(text: str, stream: Any = None) -> str:
    r"""The text in characters that a stream (standard output) can show: lines and bars become ASCII, others escapes.

    >>> import io
    >>> fitting("├─ größe \u4e2d", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    '|- größe \\u4e2d'
    """
    encoding = getattr(stream if stream is not None else sys.stdout, "encoding", None) or "utf-8"
    try:
        return text.encode(encoding, TERMINAL).decode(encoding)
    except (LookupError, UnicodeError):  # no encoding that Python knows
        return _escaped(text)


def _in_other_words(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    return "".join([c if c.isascii() else _escaped(c) for c in found.translate(_PLAIN)]), error.end


codecs.register_error(TERMINAL, _in_other_words)


def short_dtype(dtype: object) -> str:
    """The name of a dtype as products of dtypes have it: floats short, integers by name, quantised ones as their integers.

    >>> import torch
    >>> short_dtype(torch.bfloat16), short_dtype(torch.quint8), short_dtype(torch.int32)
    ('bf16', 'uint8', 'int32')
    """
    name = str(dtype).removeprefix("torch.")
    return _SHORT.get(name, name)


_SHORT = {
    "float64": "f64", "float32": "f32", "float16": "f16", "bfloat16": "bf16", "complex64": "c64", "complex128": "c128",
    "quint8": "uint8", "qint8": "int8", "qint32": "int32", "quint4x2": "uint4", "quint2x4": "uint2",
}  # fmt: skip
