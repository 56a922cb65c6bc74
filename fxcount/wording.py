"""Text for people: names may hold any character, and terminals may show few; words for what has several names."""

from __future__ import annotations

import codecs
import linecache
import re
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

__all__ = [
    "DTYPES", "DTYPE_WORDS", "RESERVED", "TERMINAL", "did_you_mean", "dtype_named", "dtype_word", "fitting", "quoted",
    "short_dtype", "shortened", "visible",
]  # fmt: skip

TERMINAL = "fxcount.terminal"
"""Name of the error handler (of Python's codecs) that writes what an encoding does not have in characters it has."""

RESERVED = frozenset({"self", "extend", "guess"})
"""No names of sizes: ``report.at(extend=...)`` means something else."""

_PLAIN = str.maketrans({"─": "-", "│": "|", "├": "|", "└": "`", "█": "#", "…": "~"})


def visible(text: str, *, lines: bool = False) -> str:
    r"""The text, with what does not print (control characters, marks of writing direction, half surrogates) written as in
    Python's literals; with ``lines`` line ends stay.

    >>> print(visible("a\x00b\ud800\u202e\x1b[31m\n"))
    a\x00b\ud800\u202e\x1b[31m\n
    >>> visible("größe\n", lines=True) == "größe\n"
    True
    """
    if text.isprintable() or (lines and text.replace("\n", "").isprintable()):
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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'graph'?``, or nothing. What differs in case alone comes first.

    >>> did_you_mean("grpah", ["graph", "params"]), did_you_mean("x", ["graph"]), did_you_mean("b", ["H", "B"])
    ("; did you mean 'graph'?", '', "; did you mean 'B'?")
    """
    names = list(known)
    found = [n for n in names if n.lower() == word.lower()] or get_close_matches(word, names, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


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


DTYPES = (
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64",
    "bool", "complex32", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz",
)  # fmt: skip
"""Torch's names of dtypes that an input may have."""

_CALLED = {
    "f64": "float64", "f32": "float32", "f16": "float16", "bf16": "bfloat16", "fp64": "float64", "fp32": "float32",
    "fp16": "float16", "double": "float64", "float": "float32", "half": "float16", "bfloat": "bfloat16",
    "i64": "int64", "i32": "int32", "i16": "int16", "i8": "int8", "u8": "uint8", "u16": "uint16", "u32": "uint32",
    "u64": "uint64", "long": "int64", "int": "int32", "short": "int16", "char": "int8", "byte": "uint8", "b8": "bool",
    "boolean": "bool", "c32": "complex32", "c64": "complex64", "c128": "complex128", "chalf": "complex32",
    "cfloat": "complex64", "cdouble": "complex128",
    "fp8": "float8_e4m3fn", "f8": "float8_e4m3fn", "e4m3": "float8_e4m3fn", "e5m2": "float8_e5m2",
}  # fmt: skip

def dtype_word(dtype: object) -> str:
    """How the dtype is written in an input.

    >>> import torch
    >>> dtype_word(torch.int64), dtype_word(torch.bool), dtype_word(torch.bfloat16)
    ('i64', 'bool', 'bf16')
    """
    name = str(dtype).removeprefix("torch.")
    return name if name == "bool" else next((word for word, meant in _CALLED.items() if meant == name), name)


DTYPE_WORDS = tuple(sorted([*DTYPES, *_CALLED]))
"""All that a dtype may be called."""


def dtype_named(name: str) -> str:
    """Torch's name of a dtype that people call so; "" for what is none.

    >>> dtype_named("fp16"), dtype_named("half"), dtype_named("F32"), dtype_named("torch.float32"), dtype_named("flot")
    ('float16', 'float16', 'float32', 'float32', '')
    """
    plain = name.strip().lower().removeprefix("torch.").removesuffix("tensor")
    return plain if plain in DTYPES else _CALLED.get(plain, "")
