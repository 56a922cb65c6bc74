"""Sizes as an integer or the text of their formula, and back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from fxcount.symbolic import Expr, SharedTexts, Size, named_sizes, parse, to_text, with_shared

__all__ = ["Read", "Write", "reader", "shared", "size_from", "size_text"]

Write: TypeAlias = Callable[[Size], int | str]
Read: TypeAlias = Callable[[int | str], Size]


@functools.lru_cache(1 << 14)
def _text(size: Expr) -> str:
    return to_text(size)


@functools.lru_cache(1 << 14)
def _parsed(text: str) -> Size:
    return parse(text)


def size_text(size: Size) -> int | str:
    """An int as it is, a formula as text that stands by itself.

    >>> from fxcount.symbolic import symbol
    >>> size_text(3), size_text(2 * symbol("B"))
    (3, '2*B')
    """
    return _text(size) if isinstance(size, Expr) else int(size)


def size_from(plain: int | str) -> Size:
    """The inverse of :func:`size_text`.

    >>> size_from("2*B"), size_from(2**70)
    (2*B, 1180591620717411303424)
    """
    return _parsed(plain) if isinstance(plain, str) else int(plain)


def shared(head: Mapping[str, Any], body: Callable[[Write], Mapping[str, Any]]) -> dict[str, Any]:
    """A file: its head, the table of what its formulas share (``where``, if any), and what ``body`` makes with them."""

    def write(texts: SharedTexts) -> Mapping[str, Any]:
        return body(lambda size: texts.text(size) if isinstance(size, Expr) else int(size))

    found, texts = with_shared(write)
    return {**head, **({"where": [list(row) for row in texts.rows]} if texts.rows else {}), **found}


def reader(where: Sequence[Sequence[str]]) -> Read:
    """The inverse of what :func:`shared` gives to write with, by its table.

    Raises :class:`~fxcount.errors.SizeError` for what is no such table.

    >>> reader([["h1", "floor(H/7)"]])("h1 + 1")
    floor(H/7) + 1
    """
    if not where:
        return size_from
    names = named_sizes([(name, text) for name, text in where])

    @functools.cache
    def parsed(text: str) -> Size:
        return parse(text, names)

    return lambda plain: parsed(plain) if isinstance(plain, str) else int(plain)
