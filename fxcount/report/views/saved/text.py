"""JSON whose long tables are rows of text already.

A report has tables of tens of thousands of rows, and a row is mostly what many rows have in common. To write that once, and
each row with it, is several times as fast as to make a dict of every row and have ``json`` write all of them. The text is that
of ``json.dumps``, letter for letter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii as as_string
from math import isfinite
from typing import Any

__all__ = ["Table", "as_string", "as_text", "fields", "plain", "table", "to_text", "written_once"]

_encoded = json.JSONEncoder(allow_nan=False, check_circular=False).encode


class Table(list[str]):
    """A list of rows, each of which is JSON text.

    >>> to_text(Table(['{"a": 1}', '{"a": 2}']))
    '[{"a": 1}, {"a": 2}]'
    """

    __slots__ = ()


def as_text(data: Any) -> str:
    """The text of plain data that holds no :class:`Table`. ``json`` takes far longer to begin than over a number or a word."""
    return _AS_TEXT[type(data)](data)


def _list_as_text(data: list[Any]) -> str:
    return f"[{', '.join([as_text(part) for part in data])}]" if len(data) < _MANY else _encoded(data)


class _Writers(dict[type, Callable[[Any], str]]):
    """What writes data of each type: ``json``, if nothing else does."""

    def __missing__(self, kind: type) -> Callable[[Any], str]:
        return _encoded


_MANY = 10  # parts of a list over which json takes no longer than we
_AS_TEXT = _Writers({
    str: as_string, int: int.__repr__, list: _list_as_text,
    bool: lambda data: "true" if data else "false", type(None): lambda _: "null",
    float: lambda data: float.__repr__(data) if isfinite(data) else _encoded(data),
})  # fmt: skip


def fields(row: Mapping[str, Any]) -> str:
    """A row without its braces.

    >>> fields({"a": 1, "b": ["c"]})
    '"a": 1, "b": ["c"]'
    """
    return _layout(tuple(row)) % tuple([_AS_TEXT[type(part)](part) for part in row.values()])


@lru_cache(256)
def _layout(names: tuple[str, ...]) -> str:
    return ", ".join([f"{as_string(name).replace('%', '%%')}: %s" for name in names])


def written_once(before: str = ", ", after: str = "") -> Callable[[Mapping[str, Any]], str]:
    """What writes :func:`fields` with what stands before and after them, if there are any. A dict that comes again is not
    written again.

    >>> more = written_once()
    >>> more({"a": 1}), more({})
    (', "a": 1', '')
    """
    known: dict[int, tuple[str, Mapping[str, Any]]] = {}  # with the dict, so that no other gets its address

    def more(row: Mapping[str, Any]) -> str:
        found = known.get(id(row))
        if found is None:
            found = known[id(row)] = f"{before}{fields(row)}{after}" if row else "", row
        return found[0]

    return more


def table(rows: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Table:
    """Rows of what is their own, and after it what they share with others: one dict.

    >>> to_text(table([({"a": 1}, {"b": 2}), ({"a": 3}, {})]))
    '[{"a": 1, "b": 2}, {"a": 3}]'
    """
    more = written_once()
    return Table([f"{{{fields(own)}{more(shared)}}}" for own, shared in rows])


def to_text(data: Any, indent: int | None = None) -> str:
    """The text of plain data with tables in it.

    >>> to_text({"a": [{"b": Table(["1", "2"]), "c": None}], "d": "e"})
    '{"a": [{"b": [1, 2], "c": null}], "d": "e"}'
    """
    if indent is not None:
        return json.dumps(plain(data), indent=indent, allow_nan=False, check_circular=False)
    pieces: list[str] = []
    _write(data, pieces)
    return "".join(pieces)  # once, at the end: of megabytes every copy counts


def _write(data: Any, pieces: list[str]) -> None:
    if type(data) is Table:
        pieces += ["[", ", ".join(data), "]"]
    elif not _holds_table(data):
        pieces.append(as_text(data))
    elif isinstance(data, Mapping):
        for i, (name, part) in enumerate(data.items()):
            pieces.append(f"{', ' if i else '{'}{as_text(name)}: ")
            _write(part, pieces)
        pieces.append("}")
    else:
        for i, part in enumerate(data):
            pieces.append(", " if i else "[")
            _write(part, pieces)
        pieces.append("]")


def _holds_table(data: Any) -> bool:
    """Of a list the first entry tells: all of its entries are of one kind."""
    if isinstance(data, Mapping):
        return any(map(_holds_table, data.values()))
    return type(data) is Table or (isinstance(data, list) and bool(data) and _holds_table(data[0]))


def plain(data: Any) -> Any:
    """The same without texts, as it would be read again.

    >>> plain({"a": [{"b": Table(["1", "2"])}], "d": "e"})
    {'a': [{'b': [1, 2]}], 'd': 'e'}
    """
    if type(data) is Table:
        return json.loads(f"[{', '.join(data)}]")
    if not _holds_table(data):
        return data
    if isinstance(data, Mapping):
        return {name: plain(part) for name, part in data.items()}
    return [plain(part) for part in data]
