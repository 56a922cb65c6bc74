"""Sizes from text, as a user writes them: ``"32*h"``, ``"H//2 + 1"``.

>>> parse("(H + 6 - 7)//2 + 1")
ceil(H/2)
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import lru_cache

from fxcount.errors import SizeError
from fxcount.symbolic.expr import Size, symbol
from fxcount.symbolic.extrema import max_, min_
from fxcount.symbolic.floor import ceildiv, floordiv, mod
from fxcount.symbolic.guard import MAX_OPERANDS, check_power, check_product, check_sum
from fxcount.wording import RESERVED

__all__ = ["parse"]

MAX_LENGTH = 1 << 20
SHORT = 80  # characters of a text that is remembered, as those of inputs are met again and again
_FOREIGN = re.compile(r"""["'`\\\x00]|(?<!\w)\d[\d_.]*[^\W\d_]""")
"""Quotes and the like, and numbers that run into a name: Python would warn about some of them, and ``2h`` is no product."""


_WHERE = re.compile(r"\s+where\s+(?=\w+ = )")
_DEFINED = re.compile(r"(?:^|,\s*)([^\W\d]\w*) = ")


def parse(text: str, names: Mapping[str, Size] | None = None) -> Size:
    """The size the text stands for; those of its ``names`` that are given are sizes, the others symbols.

    Integers and names with ``+ - * // % **`` and parentheses; ``floor(a/b)``, ``ceil(a/b)``, ``Max(...)`` and
    ``Min(...)`` as `to_text` writes them.

    ``where NAME = ..., NAME = ...`` behind it says what other names stand for, each in terms of those before it.

    Raises:
        SizeError: anything else, with a caret under it.

    >>> parse("a + 1 where h = H//2, a = h*h")
    floor(H/2)**2 + 1
    >>> parse("2*B*(h + 1)"), parse("floor(H/7) % 4"), parse("2*3")
    (2*B*h + 2*B, floor(H/7) - 4*floor(H/28), 6)
    >>> parse("2*B*h1", {"h1": parse("H//2")})
    2*B*floor(H/2)
    """
    text = text.strip()
    return _remembered(text) if len(text) <= SHORT and not names else _parsed(text, names or {})


def _parsed(text: str, given: Mapping[str, Size]) -> Size:
    foreign = _FOREIGN.search(text)
    if foreign:
        raise _error(text, foreign.start(), "this is not a formula" + (" (write 2*h)" if foreign[0][0].isdigit() else ""))
    if len(text) > MAX_LENGTH:
        raise _error(text, 0, f"a formula of {len(text):,} characters is longer than any model's")
    try:
        body, *definitions = _WHERE.split(text, maxsplit=1)
        names = dict(given) if definitions else given
        for name, written in _defined(definitions[0], text) if definitions else ():
            names[name] = _size(ast.parse(written, mode="eval").body, written, names)  # type: ignore[index]
        return _size(ast.parse(body.rstrip(), mode="eval").body, body, names)
    except SyntaxError as error:
        # at the end of the text the offset is 0
        raise _error(text, error.offset - 1 if error.offset else len(text), "this is not a formula") from None
    except (RecursionError, MemoryError):
        raise _error(text, 0, "this is nested too deeply") from None
    except SizeError:
        raise
    except ValueError:  # a number of too many digits, a lone surrogate
        raise _error(text, 0, "this is not a formula") from None


@lru_cache(256)
def _remembered(text: str) -> Size:
    return _parsed(text, {})


def _defined(definitions: str, text: str) -> list[tuple[str, str]]:
    """Names and what is written for them."""
    starts = [*_DEFINED.finditer(definitions)]
    if not starts or starts[0].start():
        raise _error(text, len(text) - len(definitions), "after where comes NAME = ...")
    ends = [*[m.start() for m in starts[1:]], len(definitions)]
    return [(m[1], definitions[m.end() : end]) for m, end in zip(starts, ends, strict=True)]


def _error(text: str, column: int, what: str) -> SizeError:
    column = min(column, len(text))
    start = max(0, column - 60)
    shown = text[start : column + 60].encode("ascii" if not text.isprintable() else "utf-8", "backslashreplace").decode("utf-8")
    text, column = shown, column - start
    return SizeError(
        f"{what}:\n  {text}\n  {' ' * column}^",
        hint="a size is made of integers and names with + - * // % and parentheses",
    )


def _size(node: ast.expr, text: str, names: Mapping[str, Size]) -> Size:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        if node.id in RESERVED:
            raise _error(text, _column(node, text), f"{node.id!r} is reserved: report.at() means something else by it")
        return names[node.id] if node.id in names else symbol(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _size(node.operand, text, names)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        return _operation(node, text, names)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args and not node.keywords:
        return _call(node, node.func.id.lower(), text, names)
    raise _error(text, _column(node, text), "a size cannot hold this")


def _operation(node: ast.BinOp, text: str, names: Mapping[str, Size]) -> Size:
    if isinstance(node.op, (ast.Add, ast.Sub)):
        return _sum(node, text, names)
    a, b = _size(node.left, text, names), _size(node.right, text, names)
    if isinstance(node.op, ast.Mult):
        check_product(a, b)
        return a * b
    if isinstance(node.op, ast.Pow) and isinstance(b, int) and 0 <= b <= 64:
        check_power(a, b)
        result: Size = a**b
        return result
    if isinstance(node.op, (ast.FloorDiv, ast.Mod)):
        if isinstance(b, int) and b == 0:
            raise _error(text, _column(node.right, text), "division by zero")
        return floordiv(a, b) if isinstance(node.op, ast.FloorDiv) else mod(a, b)
    if isinstance(node.op, ast.Div):
        raise _error(text, _column(node.right, text), "a size is an integer: write // (rounding down), floor(a/b) or ceil(a/b)")
    raise _error(text, _column(node.right, text), "a size cannot hold this operation")


def _sum(node: ast.BinOp, text: str, names: Mapping[str, Size]) -> Size:
    """A sum of any length: terms on the left are not nested."""
    right: list[tuple[bool, ast.expr]] = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp) and isinstance(left.op, (ast.Add, ast.Sub)):
        right.append((isinstance(left.op, ast.Add), left.right))
        left = left.left
    total = _size(left, text, names)
    for added, term in reversed(right):
        size = _size(term, text, names)
        total = total + size if added else total - size
        check_sum(total)
    return total


def _call(node: ast.Call, name: str, text: str, names: Mapping[str, Size]) -> Size:
    if name in ("floor", "ceil"):
        inner = node.args[0]
        if len(node.args) == 1 and isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Div):
            a, b = _size(inner.left, text, names), _size(inner.right, text, names)
            if not (isinstance(b, int) and b == 0):
                return floordiv(a, b) if name == "floor" else ceildiv(a, b)
        raise _error(text, _column(inner, text), f"{name} takes one quotient, as in {name}(H/2)")
    if name in ("max", "min"):
        if len(node.args) > MAX_OPERANDS:
            raise _error(text, _column(node, text), f"more than {MAX_OPERANDS} operands")
        return (max_ if name == "max" else min_)(*(_size(a, text, names) for a in node.args))
    raise _error(text, _column(node, text), "a size cannot hold this function")


def _column(node: ast.expr, text: str) -> int:
    """The column in characters; ast counts bytes of the line."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    line = lines[min(node.lineno, len(lines)) - 1]
    return len(line.encode()[: node.col_offset].decode(errors="ignore"))
