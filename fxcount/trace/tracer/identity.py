"""Code that asks of a size what Python gives no hook for: ``H is W``.

A symbolic size answers not as a number would there, and nobody is told, so another way may be taken than in eager mode. Such
code is found in its text: in functions that read the shape of a stand-in, where a size read there is one side of the question,
and in the functions to which they hand such a size, alone or in a list, as far as these are called by their names. The text is
read only where the instructions say that such a question may be in it.

>>> asks_identity(asks_identity.__code__, {}, None) is None  # it reads no sizes
True
"""

from __future__ import annotations

import ast
import dis
import os
import types
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import torch

from fxcount.symbolic.messages import source_tree

__all__ = ["asks_identity"]

_IS, _CONSTANT = dis.opmap["IS_OP"], dis.opmap["LOAD_CONST"]
_SAME = (ast.Is, ast.IsNot)
_KNOWING = (os.path.dirname(os.path.dirname(os.path.dirname(__file__))) + os.sep, os.path.dirname(torch.__file__) + os.sep)
"""Code that knows of symbolic sizes: ours, and torch's, whose own come as ``torch.SymInt``."""
_OPERATORS = frozenset({"is_", "is_not"})
_LIST = "[]"
"""After the name of a list of sizes."""
_DEEP = 2
"""How many calls deep a size is followed."""

Names = Mapping[str, Any]


def asks_identity(code: types.CodeType, names: Names, kind: type | None) -> tuple[str, int] | None:
    """File and line at which a function, or one it hands sizes to, asks for the identity of a size it reads.

    ``names`` are its globals, ``kind`` the class of its first argument.
    """
    return _asked(code, frozenset(), names, kind, _DEEP)


def _asked(
    code: types.CodeType, given: frozenset[str], names: Names, kind: type | None, deep: int
) -> tuple[str, int] | None:
    if may_ask(code):
        line = _line(code, given)
        if line is not None:
            return code.co_filename, line
    called = {name: f for name, f in _called(code, names, kind) if _reaches(f, deep)} if deep else {}
    for name, handed in _handed(code, given) if called else ():
        inner = called.get(name)
        if inner is None:
            continue
        own = inner.__code__
        bound = "." in name  # a method: its own first argument is not among those given
        parameters = own.co_varnames[bound : own.co_argcount + own.co_kwonlyargcount]
        taken = [(parameters[k] if isinstance(k, int) and k < len(parameters) else k, mark) for k, mark in handed]
        sizes = frozenset([f"{k}{mark}" for k, mark in taken if isinstance(k, str) and k in parameters])
        asked = _asked(own, sizes, inner.__globals__, None, deep - 1) if sizes else None
        if asked is not None:
            return asked
    return None


@lru_cache(1 << 14)
def may_ask(code: types.CodeType) -> bool:
    """Whether instructions compare identities, but for those with constants.

    >>> may_ask((lambda a, b: a is b).__code__), may_ask((lambda a: a is None).__code__), may_ask((lambda a: a.type).__code__)
    (True, False, False)
    """
    if code.co_filename.startswith(_KNOWING):
        return False
    text, names = code.co_code, code.co_names
    if not _OPERATORS.isdisjoint(names):
        return True
    for i in range(0, len(text), 2):
        if text[i] == _IS and not (text[i - 2] == _CONSTANT and _is_singleton(code.co_consts[text[i - 1]])):
            return True
    return any([isinstance(inner, types.CodeType) and may_ask(inner) for inner in code.co_consts])


def _is_singleton(constant: Any) -> bool:
    return constant is None or isinstance(constant, bool) or constant is Ellipsis


def _called(code: types.CodeType, names: Names, kind: type | None) -> Iterator[tuple[str, types.FunctionType]]:
    """Functions of Python that the code names: globals, and methods of its first argument."""
    own = code.co_varnames[0] if code.co_argcount else ""
    for name in code.co_names:
        for text, found in ((name, names.get(name)), (f"{own}.{name}", getattr(kind, name, None) if kind else None)):
            if isinstance(found, types.FunctionType):
                yield text, found


@lru_cache(1 << 12)
def _reaches(function: types.FunctionType, deep: int) -> bool:
    """Whether such a question may be asked in it, or in what it calls by a global name."""
    own = function.__code__
    return may_ask(own) or (deep > 1 and any([may_ask(f.__code__) for _, f in _called(own, function.__globals__, None)]))


@lru_cache(4096)
def _line(code: types.CodeType, given: frozenset[str]) -> int | None:
    function = _function_of(code)
    if function is None:
        return None
    names = _sizes(function, given)
    return next((node.lineno for node in ast.walk(function) if isinstance(node, ast.expr) and _asks(node, names)), None)


@lru_cache(4096)
def _handed(code: types.CodeType, given: frozenset[str]) -> tuple[tuple[str, tuple[tuple[int | str, str], ...]], ...]:
    """Calls by name, with the places and names of the arguments that are sizes, or, marked, lists of them."""
    function = _function_of(code)
    if function is None:
        return ()
    names = _sizes(function, given)
    found = []
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            places: list[tuple[int | str, ast.expr]] = list(enumerate(node.args))
            places += [(k.arg, k.value) for k in node.keywords if k.arg]
            handed = [(k, "") for k, a in places if _is_size(a, names)] + [(k, _LIST) for k, a in places if _is_shape(a, names)]
            if handed:
                found.append((ast.unparse(node.func), tuple(handed)))
    return tuple(found)


def _function_of(code: types.CodeType) -> Any:
    tree = source_tree(code.co_filename)
    return None if tree is None else _function(tree, code)


def _function(tree: ast.Module, code: types.CodeType) -> ast.AST | None:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno, *[d.lineno for d in node.decorator_list]])
            if first == code.co_firstlineno and node.name == code.co_name:
                return node
        elif isinstance(node, ast.Lambda) and code.co_name == "<lambda>" and node.lineno == code.co_firstlineno:
            body = node.body  # several can begin on one line
            if (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset) in code.co_positions():
                return node
    return None


def _sizes(function: Any, given: frozenset[str]) -> frozenset[str]:
    """Names that are given nothing but sizes in the function, besides the parameters ``given`` as such."""
    values: dict[str, list[ast.expr | None]] = {}
    for name, value in _assigned(function):
        values.setdefault(name, []).append(value)
    arguments = function.args
    parameters = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    own = frozenset(values) - parameters
    names = own | {n + _LIST for n in own} | given
    while True:
        kept = frozenset([n for n in names if _are(n, values.get(n.removesuffix(_LIST), ()), names)])
        if kept == names:
            return names
        names = kept


def _are(name: str, values: list[ast.expr | None] | tuple[()], names: frozenset[str]) -> bool:
    """Whether all a name is given are sizes, or lists of sizes if it is marked as one."""
    holds = _is_shape if name.endswith(_LIST) else _is_size
    return all([v is not None and holds(v, names) for v in values])


def _assigned(function: Any) -> Iterator[tuple[str, ast.expr | None]]:
    """Names with what they are given; ``None``: something else than a size."""
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets, value):
                for target in targets:
                    yield from _unpacked(target, value)
            case ast.NamedExpr(target, value) | ast.AnnAssign(target, _, value) | ast.AugAssign(target, _, value):
                if value is not None and isinstance(target, ast.Name):
                    yield target.id, value if not isinstance(node, ast.AugAssign) else ast.BinOp(target, node.op, value)
            case ast.For(target, over) | ast.comprehension(target, over):
                if isinstance(target, ast.Name):
                    yield target.id, _element(over)


def _unpacked(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, (ast.Tuple, ast.List)):
        parts = [_element(value)] * len(target.elts)
        if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(parts):
            parts = list(value.elts)
        for part, given in zip(target.elts, parts):
            if isinstance(part, ast.Name):
                yield part.id, given


def _element(of: ast.expr) -> ast.expr:
    """What an expression has in it."""
    return ast.Subscript(of, ast.Constant(0))


def _is_shape(node: ast.expr, names: frozenset[str]) -> bool:
    """``x.shape``, ``x.size()``, a slice of one, a list of sizes, a name that is such a one."""
    match node:
        case ast.Subscript(value, ast.Slice()):
            return _is_shape(value, names)
        case ast.Name(name):
            return name + _LIST in names
        case ast.List(parts) | ast.Tuple(parts):
            return any([_is_size(part, names) for part in parts])
        case ast.Call(ast.Name("list" | "tuple" | "sorted"), [of]):
            return _is_shape(of, names)
        case ast.Call(ast.Attribute(_, "size"), []) | ast.Attribute(_, "shape"):
            return True
    return False


def _is_size(node: ast.expr, names: frozenset[str]) -> bool:
    """One size of a tensor, or arithmetic with one."""
    match node:
        case ast.Name(name):
            return name in names
        case ast.BinOp(left, _, right):
            return _is_size(left, names) or _is_size(right, names)
        case ast.Subscript(value, index):
            return not isinstance(index, ast.Slice) and _is_shape(value, names)
        case ast.Call(ast.Attribute(_, "size"), [_]) | ast.Call(ast.Attribute(_, "numel"), []):
            return True
        case ast.Call(ast.Name("min" | "max" | "abs" | "round"), args):
            return any(_is_size(a, names) for a in args)
        case ast.UnaryOp(_, operand):
            return _is_size(operand, names)
    return False


def _asks(node: ast.expr, names: frozenset[str]) -> bool:
    match node:
        case ast.Compare(left, ops, comparators):
            sides = [left, *comparators]
            pairs = zip(ops, sides[:-1], sides[1:], strict=True)
            return any(
                isinstance(op, _SAME) and (_is_size(a, names) or _is_size(b, names)) and not (_is_name(a) or _is_name(b))
                for op, a, b in pairs
            )
        case ast.Call(ast.Attribute(_, name) | ast.Name(name), [first, second]) if name in _OPERATORS:
            return _is_size(first, names) or _is_size(second, names)
    return False


def _is_name(node: ast.expr) -> bool:
    """``None`` and its like, which no size is."""
    return isinstance(node, ast.Constant) and type(node.value) is not int
