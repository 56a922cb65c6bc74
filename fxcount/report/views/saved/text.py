"""JSON whose long tables are text already.

A report has tables of tens of thousands of rows, and a row is mostly what many rows have in common. To write that once, and
each row with it, is several times as fast as to make a dict of every row and have ``json`` write all of them. The text is that
of ``json.dumps``, letter for letter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["Text", "as_text", "fields", "plain", "table", "to_text"]

_encoded = json.JSONEncoder(allow_nan=False, check_circular=False).encode
_WORDS = {None: "null", True: "true", False: "false"}


class Text(str):
    """JSON text that stands for what it says."""

    __slots__ = ()


def as_text(data: Any) -> str:
    """The text of plain data that holds no :class:`Text`. A call of ``json`` takes far longer to begin than a number does."""
    kind = type(data)
    if kind is int:
        return int.__repr__(data)
    if data is None or kind is bool:
        return _WORDS[data]
    return _encoded(data)


def fields(row: Mapping[str, Any]) -> str:
    """A row without its braces.

    >>> fields({"a": 1, "b": ["c"]})
    '"a": 1, "b": ["c"]'
    """
    return ", ".join([f'"{name}": {as_text(part)}' for name, part in row.items()])


def table(rows: Iterable[str]) -> Text:
    """A list of rows that are texts.

    >>> table(['{"a": 1}', '{"a": 2}'])
    '[{"a": 1}, {"a": 2}]'
    """
    return Text(f"[{', '.join(rows)}]")


def to_text(data: Any, indent: int | None = None) -> str:
    """The text of plain data, some of which is text already.

    >>> to_text({"a": [{"b": table(["1", "2"]), "c": None}], "d": "e"})
    '{"a": [{"b": [1, 2], "c": null}], "d": "e"}'
    """
    if indent is not None:
        return json.dumps(plain(data), indent=indent, allow_nan=False, check_circular=False)
    return _text(data)


def _text(data: Any) -> str:
    if type(data) is Text:
        return data
    if not _holds_text(data):
        return as_text(data)
    if isinstance(data, Mapping):
        return f"{{{', '.join([f'{as_text(name)}: {_text(part)}' for name, part in data.items()])}}}"
    return f"[{', '.join(map(_text, data))}]"


def _holds_text(data: Any) -> bool:
    """Of a list the first entry tells: all of its entries are of one kind."""
    if isinstance(data, Mapping):
        return any(map(_holds_text, data.values()))
    return type(data) is Text or (isinstance(data, list) and bool(data) and _holds_text(data[0]))


def plain(data: Any) -> Any:
    """The same without texts, as it would be read again.

    >>> plain({"a": [{"b": table(["1", "2"])}], "d": "e"})
    {'a': [{'b': [1, 2]}], 'd': 'e'}
    """
    if type(data) is Text:
        return json.loads(data)
    if not _holds_text(data):
        return data
    if isinstance(data, Mapping):
        return {name: plain(part) for name, part in data.items()}
    return [plain(part) for part in data]
