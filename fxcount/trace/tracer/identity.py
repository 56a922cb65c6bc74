"""Code that asks of a size what Python gives no hook for: ``H is W``, ``type(H) is int``, ``issubclass(type(H), int)``.

A symbolic size answers no there whatever it stands for, so nobody is told and another way may be taken than in eager mode. Such
code is found in its text: in functions that read the shape of a stand-in, where a size read there is one side of the question.

>>> asks_identity(asks_identity.__wrapped__.__code__) is None  # it reads no sizes
True
"""

from __future__ import annotations

import ast
import dis
import os
import types
from functools import lru_cache

from fxcount.symbolic.messages import source_tree

__all__ = ["asks_identity"]

_IS = dis.opmap["IS_OP"]
_SAME = (ast.Is, ast.IsNot)
_OURS = os.path.dirname(os.path.dirname(os.path.dirname(__file__))) + os.sep  # code that knows of symbolic sizes


@lru_cache(4096)
def asks_identity(code: types.CodeType) -> int | None:
    """The line on which a function asks for the identity or the type of a size it reads, if there is one."""
    if (_IS not in code.co_code[::2] and "type" not in code.co_names) or code.co_filename.startswith(_OURS):
        return None
    tree = source_tree(code.co_filename)
    function = None if tree is None else _function(tree, code)
    if function is None:
        return None
    names = _sizes(function)
    return next((node.lineno for node in ast.walk(function) if isinstance(node, ast.expr) and _asks(node, names)), None)


def _function(tree: ast.Module, code: types.CodeType) -> ast.AST | None:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno, *[d.lineno for d in node.decorator_list]])
            if first == code.co_firstlineno and node.name == code.co_name:
                return node
        elif isinstance(node, ast.Lambda) and code.co_name == "<lambda>" and node.lineno == code.co_firstlineno:
            return node
    return None


def _sizes(function: ast.AST) -> frozenset[str]:
    """Names that are given nothing but sizes in the function."""
    sizes: set[str] = set()
    others: set[str] = set()
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if isinstance(target, (ast.Tuple, ast.List)):
                whole = _is_shape(node.value)
                for part in target.elts:
                    if isinstance(part, ast.Name):
                        (sizes if whole else others).add(part.id)
            elif isinstance(target, ast.Name):
                (sizes if _is_size(node.value, frozenset()) else others).add(target.id)
    return frozenset(sizes - others)


def _is_shape(node: ast.expr) -> bool:
    """``x.shape``, ``x.size()``, or a slice of one."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        node = node.value
    if isinstance(node, ast.Attribute):
        return node.attr == "shape"
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "size" and not node.args


def _is_size(node: ast.expr, names: frozenset[str]) -> bool:
    """One size of a tensor, or arithmetic with one."""
    match node:
        case ast.Name(name):
            return name in names
        case ast.BinOp(left, _, right):
            return _is_size(left, names) or _is_size(right, names)
        case ast.Subscript(value, index):
            return not isinstance(index, ast.Slice) and _is_shape(value)
        case ast.Call(ast.Attribute(_, "size"), [_]):
            return True
    return False


def _asks(node: ast.expr, names: frozenset[str]) -> bool:
    match node:
        case ast.Compare(left, ops, comparators):
            sides = [left, *comparators]
            if any(_is_type(side, names) for side in sides):
                return True
            pairs = zip(ops, sides[:-1], sides[1:], strict=True)
            return any(
                isinstance(op, _SAME) and (_is_size(a, names) or _is_size(b, names)) and not (_is_name(a) or _is_name(b))
                for op, a, b in pairs
            )
        case ast.Call(ast.Name("issubclass"), [first, _]):
            return _is_type(first, names)
    return False


def _is_type(node: ast.expr, names: frozenset[str]) -> bool:
    match node:
        case ast.Call(ast.Name("type"), [of]):
            return _is_size(of, names)
    return False


def _is_name(node: ast.expr) -> bool:
    """``None`` and its like, which no size is."""
    return isinstance(node, ast.Constant) and type(node.value) is not int
