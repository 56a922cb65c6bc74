"""Sizes from text, as a user writes them: ``"32*h"``, ``"H//2 + 1"``.

>>> parse("(H + 6 - 7)//2 + 1")
ceil(H/2)
"""

from __future__ import annotations

import ast

from fxcount.errors import SizeError
from fxcount.symbolic.expr import Size, symbol
from fxcount.symbolic.extrema import max_, min_
from fxcount.symbolic.floor import ceildiv, floordiv, mod

__all__ = ["parse"]


def parse(text: str) -> Size:
    """The size the text stands for.

    Integers and names with ``+ - * // % **`` and parentheses; ``floor(a/b)``, ``ceil(a/b)``, ``Max(...)`` and
    ``Min(...)`` as `to_text` writes them.

    Raises:
        SizeError: anything else, with a caret under it.

    >>> parse("2*B*(h + 1)"), parse("floor(H/7) % 4"), parse("2*3")
    (2*B*h + 2*B, floor(H/7) - 4*floor(H/28), 6)
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        # at the end of the text the offset is 0
        raise _error(text.strip(), error.offset - 1 if error.offset else len(text), "this is not a formula") from None
    except ValueError:  # a null byte
        raise _error(text, 0, "this is not a formula") from None
    return _size(tree.body, text.strip())


def _error(text: str, column: int, what: str) -> SizeError:
    return SizeError(
        f"{what}:\n  {text}\n  {' ' * column}^",
        hint="a size is made of integers and names with + - * // % and parentheses",
    )


def _size(node: ast.expr, text: str) -> Size:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        return symbol(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _size(node.operand, text)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        return _operation(node, text)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args and not node.keywords:
        return _call(node, node.func.id.lower(), text)
    raise _error(text, _column(node, text), "a size cannot hold this")


def _operation(node: ast.BinOp, text: str) -> Size:
    a, b = _size(node.left, text), _size(node.right, text)
    if isinstance(node.op, ast.Add):
        return a + b
    if isinstance(node.op, ast.Sub):
        return a - b
    if isinstance(node.op, ast.Mult):
        return a * b
    if isinstance(node.op, ast.Pow) and isinstance(b, int) and 0 <= b <= 64:
        result: Size = a**b
        return result
    if isinstance(node.op, (ast.FloorDiv, ast.Mod)):
        if isinstance(b, int) and b == 0:
            raise _error(text, _column(node.right, text), "division by zero")
        return floordiv(a, b) if isinstance(node.op, ast.FloorDiv) else mod(a, b)
    if isinstance(node.op, ast.Div):
        raise _error(text, _column(node.right, text), "a size is an integer: write // (rounding down), floor(a/b) or ceil(a/b)")
    raise _error(text, _column(node.right, text), "a size cannot hold this operation")


def _call(node: ast.Call, name: str, text: str) -> Size:
    if name in ("floor", "ceil"):
        inner = node.args[0]
        if len(node.args) == 1 and isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Div):
            a, b = _size(inner.left, text), _size(inner.right, text)
            if not (isinstance(b, int) and b == 0):
                return floordiv(a, b) if name == "floor" else ceildiv(a, b)
        raise _error(text, _column(inner, text), f"{name} takes one quotient, as in {name}(H/2)")
    if name in ("max", "min"):
        return (max_ if name == "max" else min_)(*(_size(a, text) for a in node.args))
    raise _error(text, _column(node, text), "a size cannot hold this function")


def _column(node: ast.expr, text: str) -> int:
    """The column in characters; ast counts bytes of the line."""
    line = text.splitlines()[node.lineno - 1]
    return len(line.encode()[: node.col_offset].decode(errors="ignore"))
