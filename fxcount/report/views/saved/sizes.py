"""Sizes as an integer or the text of their formula, and back."""

from __future__ import annotations

import functools

from fxcount.symbolic import Expr, Size, parse, to_text

__all__ = ["size_from", "size_text"]


@functools.lru_cache(1 << 14)
def _text(size: Expr) -> str:
    return to_text(size)


@functools.lru_cache(1 << 14)
def _parsed(text: str) -> Size:
    return parse(text)


def size_text(size: Size) -> int | str:
    """An int as it is, a formula as text.

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
