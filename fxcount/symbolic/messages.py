"""Whether a text made of a size only goes into a message, decided from the statement that makes it.

Text that a model prints, logs, warns with or raises decides nothing, so the size in it stays a formula. Any other text
may be compared, looked up or stored, so it must pin the size. The text is followed from the instruction that makes it,
up the syntax tree, through what only makes more text of it (f-strings, ``%``, ``+``, ``format``, ``join``, a list of
texts, a name that is used for nothing else), to the call or statement that takes it. What cannot be proved is not a message.

>>> import sys
>>> class Size:
...     def __str__(self):
...         return "message" if in_message(sys._getframe()) else "text"
>>> in_message(None)
False
"""

from __future__ import annotations

import ast
import builtins
import io
import linecache
import os
import sys
import warnings
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FrameType, MethodType
from typing import Any, TypeAlias

import torch

from fxcount import torch_private
from fxcount.dataclass import dataclass
from fxcount.symbolic.frames import MISSING, local_variable

__all__ = ["SPELLED", "asserted", "calls_cache", "formats_number", "in_message", "keys_own_table", "source_tree", "tells"]

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_STANDARD = os.path.dirname(os.__file__) + os.sep
_TORCH = os.path.dirname(torch.__file__) + os.sep
_SPEAKERS = (_STANDARD + "logging" + os.sep, _STANDARD + "warnings.py")  # what these do with a text is for people
_TOLD = (
    builtins.print, warnings.warn, warnings.warn_explicit, *torch_private.checks(),
)  # fmt: skip
_LOGS = frozenset({"debug", "info", "warning", "warn", "error", "exception", "critical", "fatal", "log", "warning_once",
                   "info_once", "warning_advice"})  # fmt: skip
_MAKES_TEXT = frozenset({"str", "repr", "format", "ascii"})
_MAKES_NUMBER = frozenset({"hex", "oct", "bin", "int", "float", "round"})  # a number, or a text of one
_TEXT_METHODS = frozenset({"format", "join", "ljust", "rjust", "center", "strip", "lstrip", "rstrip", "upper", "lower", "title",
                           "capitalize", "zfill", "replace"})  # fmt: skip
_WRAPS = frozenset({"dedent", "indent", "fill", "shorten"})  # of textwrap
_RETURNS, _TEXTWRAP, _STREAM = "return", "textwrap:", "file:"  # among the callables that have to prove something
_CALLERS = 4  # functions that only make a text for the one that calls them
_CACHE = type(lru_cache(lambda: None))
_READ_ALL = ("locals", "eval", "exec", "vars")
_KEEPING = frozenset({"catch_warnings", "raises", "warns", "assertRaises", "assertLogs", "assertWarns"})
_LOOKING = frozenset({"exc_info", "exception", "format_exc"})
_STEPS = 64  # no message is nested deeper


@dataclass(frozen=True, slots=True)
class Caller:
    """What the syntax tree says of one instruction: ``told`` are the callables (dotted names) that must prove to be ones
    that only tell people, for the text made there to be a message; ``None``: it is not one. ``called`` is the callable
    of the call itself, ``guarded`` whether a ``TypeError`` of it is caught. ``stated``: for what must be true or the model
    raises an error, the callable that must prove to be a check, empty for an ``assert``. ``returned``: as ``told``, for what
    the call returns."""

    told: tuple[str, ...] | None = None
    called: str = ""
    guarded: bool = False
    stated: str | None = None
    returned: tuple[str, ...] | None = None


def in_message(frame: FrameType | None) -> bool:
    """Whether the text that is made now, in a call from this frame, only goes into a message."""
    if frame is None:
        return False
    if frame.f_code.co_filename.startswith((_PACKAGE, *_SPEAKERS)):
        return True
    return _proved(frame, _caller(frame.f_code, frame.f_lasti).told, _CALLERS) and not _is_captured(frame)


def _is_captured(frame: FrameType | None) -> bool:
    """Whether the model gets the message back: a text that is raised where ``except ... as error`` looks at the error, or told
    under ``catch_warnings(record=True) as seen``, in the function that makes it or in one that has called it."""
    found = False
    while frame is not None and not frame.f_code.co_filename.startswith(_PACKAGE):
        code = frame.f_code
        if code.co_exceptiontable and not code.co_filename.startswith(_TORCH):
            found = found or _captures(code, frame.f_lasti)
        frame = frame.f_back
    return found and frame is not None  # it is the analysis that has called the model


@lru_cache(maxsize=4096)
def _captures(code: CodeType, lasti: int) -> bool:
    tree = source_tree(code.co_filename)
    return tree is not None and any([_captured(path) for path in _started(tree, code, lasti)])


def _captured(path: Path) -> bool:
    for outer, inner in zip(reversed(path[:-1]), reversed(path), strict=False):
        if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            return False
        if isinstance(outer, ast.Try) and inner in outer.body and any([_looks_at_error(h) for h in outer.handlers]):
            return True
        if isinstance(outer, (ast.With, ast.AsyncWith)) and inner in outer.body:
            named = [item.context_expr for item in outer.items if item.optional_vars is not None]
            if any([isinstance(n, ast.Call) and _dotted(n.func).rpartition(".")[2] in _KEEPING for n in named]):
                return True
    return False


def _looks_at_error(handler: ast.ExceptHandler) -> bool:
    """Whether a handler does more with what it has caught than to raise another error from it."""
    causes = {id(node.cause) for node in ast.walk(handler) if isinstance(node, ast.Raise)}
    for node in ast.walk(handler):
        if isinstance(node, ast.Name) and node.id == handler.name and id(node) not in causes:
            return True
        if isinstance(node, ast.Attribute) and node.attr in _LOOKING:
            return True
    return False


def _proved(frame: FrameType, told: tuple[str, ...] | None, callers: int) -> bool:
    """Whether the callables a text goes to are what their names say."""
    if told is None:
        return False
    for name in told:
        if name == _RETURNS:
            if not _is_returned_to_message(frame, callers):
                return False
        elif name.startswith(_TEXTWRAP):
            if getattr(_resolved(name.removeprefix(_TEXTWRAP), frame), "__module__", "") != "textwrap":
                return False
        elif name.startswith(_STREAM):
            stream = _resolved(name.removeprefix(_STREAM), frame)
            if not _is_for_people(stream):
                return False
        elif not _tells(_resolved(name, frame)):
            return False
    return True


def _is_returned_to_message(frame: FrameType, callers: int) -> bool:
    """Whether the function was called by its name where only a message is made of what it returns."""
    back = frame.f_back
    if back is None or not callers:
        return False
    caller = _caller(back.f_code, back.f_lasti)
    found = _resolved(caller.called, back) if caller.called else None
    found = found.__func__ if isinstance(found, MethodType) else found
    return getattr(found, "__code__", None) is frame.f_code and _proved(back, caller.returned, callers - 1)


def keys_own_table(frame: FrameType | None) -> bool:
    """Whether the text that is made now is a key of a dict, and nothing else, in which no other texts are keys: a cache that
    the model fills as it runs, under texts of sizes."""
    if frame is None or frame.f_code.co_filename.startswith((_PACKAGE, *_SPEAKERS)):
        return False
    tables = _keyed(frame.f_code, frame.f_lasti)
    found = [_resolved(name, frame) for name in tables]
    return bool(found) and all([type(table) is dict and all(map(_is_spelled, table)) for table in found])


SPELLED = "\u27e8"
"""Where the text of a formula begins among the digits of a key."""


def _is_spelled(key: object) -> bool:
    return isinstance(key, str) and SPELLED in key


@lru_cache(maxsize=4096)
def _keyed(code: CodeType, lasti: int) -> tuple[str, ...]:
    """The dicts (dotted names) of which the text made by the instruction is a key; empty if it is used for anything else."""
    tree = source_tree(code.co_filename)
    starts = [] if tree is None else _started(tree, code, lasti)
    found = [_key_of(path) for path in starts]
    return () if None in found else tuple(dict.fromkeys([name for names in found for name in names or ()]))


def _key_of(path: Path, names: frozenset[str] = frozenset()) -> list[str] | None:
    for at in range(len(path) - 1, max(len(path) - _STEPS, 0), -1):
        node, outer = path[at], path[at - 1]
        table = _table_with(node, outer)
        if table:
            return [table]
        if isinstance(outer, ast.Assign) and not names:
            return _key_by_name(outer, path[: at - 1])
        if not _passes_text(node, outer):
            return None
    return None


def _table_with(node: ast.AST, outer: ast.AST) -> str:
    """The dict that the node is looked up in, or put into."""
    if isinstance(outer, ast.Subscript) and node is outer.slice:
        return _dotted(outer.value)
    if isinstance(outer, ast.Compare) and node is outer.left and len(outer.ops) == 1:
        return _dotted(outer.comparators[0]) if isinstance(outer.ops[0], (ast.In, ast.NotIn)) else ""
    if isinstance(outer, ast.Call) and isinstance(outer.func, ast.Attribute) and node in outer.args[:1]:
        return _dotted(outer.func.value) if outer.func.attr in ("get", "setdefault", "pop") else ""
    return ""


def _key_by_name(assign: ast.Assign, path: Path) -> list[str] | None:
    """For ``key = f"..."`` in a function: all uses of the name must be such keys."""
    function = next((n for n in reversed(path) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))), None)
    target = assign.targets[0]
    if len(assign.targets) != 1 or not isinstance(target, ast.Name) or not isinstance(function, ast.FunctionDef):
        return None
    found: list[str] = []
    for use in _uses(function, target.id):
        tables = None if isinstance(use[-1], (ast.Global, ast.Nonlocal)) else _key_of(use, frozenset({target.id}))
        if tables is None:
            return None
        found += tables
    return found or None


def tells(frame: FrameType | None) -> bool:
    """Whether the function being called in this frame only tells people."""
    if frame is None:
        return False
    called = _caller(frame.f_code, frame.f_lasti).called
    return bool(called) and _tells(_resolved(called, frame))


def calls_cache(frame: FrameType | None) -> tuple[bool, bool]:
    """Whether a function under ``functools.lru_cache`` is being called in this frame, and whether the model is ready for
    arguments that cannot be hashed: it catches the ``TypeError``."""
    if frame is None:
        return False, False
    caller = _caller(frame.f_code, frame.f_lasti)
    found = _resolved(caller.called, frame) if caller.called else None
    found = found.__func__ if isinstance(found, MethodType) else found
    return isinstance(found, _CACHE), caller.guarded


def asserted(frame: FrameType | None) -> bool:
    """Whether the comparison that is made now in this frame is what the model states in an ``assert`` or a ``torch._check``."""
    if frame is None:
        return False
    stated = _caller(frame.f_code, frame.f_lasti).stated
    return stated is not None and (not stated or any(_resolved(stated, frame) is check for check in torch_private.checks()))


def formats_number(frame: FrameType | None) -> bool:
    """Whether the number is asked for by ``"%d" % size``, or by ``hex(size)`` and the like, in a message."""
    if frame is None:
        return False
    if _is_percent(frame.f_code, frame.f_lasti):
        return in_message(frame)
    caller = _caller(frame.f_code, frame.f_lasti)
    if caller.called not in _MAKES_NUMBER or _resolved(caller.called, frame) is not getattr(builtins, caller.called):
        return False
    return _proved(frame, caller.returned, _CALLERS)


@lru_cache(maxsize=4096)
def _is_percent(code: CodeType, lasti: int) -> bool:
    """Whether the instruction is ``%``, or formats in C code of the logging module."""
    import dis

    if code.co_filename.startswith(_SPEAKERS):
        return True
    return dis.opname[code.co_code[lasti]] == "BINARY_OP" and code.co_code[lasti + 1] in (6, 19)


# -- names ------------------------------------------------------------------------------------------------------------
def _resolved(name: str, frame: FrameType) -> Any:
    """The object behind a dotted name in a frame, or ``None``."""
    first, *rest = name.split(".")
    found = local_variable(frame, first)
    for names in (frame.f_globals, frame.f_builtins):
        if found is MISSING:
            found = names.get(first, MISSING)
    if found is MISSING:
        return None
    try:
        for attribute in rest:
            found = getattr(found, attribute)
    except Exception:  # a property of the user's: whatever it raises, it is no such callable
        return None
    return found


def _is_for_people(stream: Any) -> bool:
    """Whether what is written there is shown, and not read back as under ``redirect_stdout(StringIO())``."""
    kept = isinstance(stream, io.StringIO) or (type(stream) is io.TextIOWrapper and type(stream.buffer) is io.BytesIO)
    return stream is not None and (stream is sys.stdout or stream is sys.stderr) and not kept


def _tells(found: Any) -> bool:
    if found is builtins.print:
        return _is_for_people(sys.stdout)
    if found is warnings.warn or found is warnings.warn_explicit:  # unless the model has its own way to show them
        return getattr(warnings.showwarning, "__module__", "") in ("warnings", "logging")
    if any(found is told for told in _TOLD):
        return True
    name = getattr(found, "__name__", "")
    owner = getattr(found, "__self__", None)
    if name == "write":
        return _is_for_people(owner)
    logging = sys.modules.get("logging")  # not loaded: then there is no logger
    if logging is None or name not in _LOGS:
        return False
    if getattr(logging, name, None) is found:
        return True
    return isinstance(owner, (logging.Logger, logging.LoggerAdapter))


# -- the syntax tree --------------------------------------------------------------------------------------------------
@lru_cache(maxsize=4096)
def _caller(code: CodeType, lasti: int) -> Caller:
    tree = source_tree(code.co_filename)
    if tree is None:
        return Caller()
    starts = _started(tree, code, lasti)
    if not starts:
        return Caller()
    told: list[str] = []
    for path in starts:
        found = _followed(path)
        if found is None:
            return Caller(None, _called(path), _guarded(path), _stated(path), _of_call(path))
        told += found
    return Caller(
        tuple(dict.fromkeys(told)), _called(starts[0]), _guarded(starts[0]), _stated(starts[0]), _of_call(starts[0])
    )


@lru_cache(maxsize=8)
def source_tree(filename: str) -> ast.Module | None:
    """The text of a file of Python, parsed; ``None`` where there is none that can be."""
    lines = linecache.getlines(filename)
    try:
        return ast.parse("".join(lines)) if lines else None
    except (SyntaxError, ValueError, RecursionError):
        return None


Path: TypeAlias = tuple[ast.AST, ...]
"""A node with all it is in, outermost first."""


def _started(tree: ast.Module, code: CodeType, lasti: int) -> list[Path]:
    """The nodes whose evaluation runs the instruction."""
    positions = list(code.co_positions())
    line, end_line, column, end_column = positions[lasti // 2] if lasti // 2 < len(positions) else (None,) * 4
    if line is None or end_line is None:
        return []
    place = (line, column), (end_line, end_column)
    return [path for path in _expressions(tree, line, end_line) if _span(path[-1]) == place]


def _span(node: Any) -> tuple[tuple[int, int | None], tuple[int | None, int | None]]:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def _expressions(node: ast.AST, line: int, end_line: int, path: Path = ()) -> Iterator[Path]:
    """Every expression of the statements that cover these lines; the places inside an f-string are not to be relied on."""
    path = (*path, node)
    if isinstance(node, ast.stmt) and not (_first_line(node) <= line and end_line <= (node.end_lineno or line)):
        return
    if isinstance(node, ast.expr):
        yield path
    for child in ast.iter_child_nodes(node):
        yield from _expressions(child, line, end_line, path)


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


def _called(path: Path) -> str:
    node = path[-1]
    return _dotted(node.func) if isinstance(node, ast.Call) else ""


def _of_call(path: Path) -> tuple[str, ...] | None:
    """The callables that must only tell people for what the call gives to be a message."""
    found = _followed(path, result=True) if isinstance(path[-1], ast.Call) else None
    return None if found is None else tuple(found)


def _guarded(path: Path) -> bool:
    """Whether the node is in the body of a ``try`` of its function that catches TypeError."""
    for outer, inner in zip(reversed(path[:-1]), reversed(path), strict=False):
        if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            return False
        if isinstance(outer, ast.Try) and inner in outer.body:
            caught = [h.type for h in outer.handlers]
            if any(t is not None and "TypeError" in [_dotted(n) for n in ast.walk(t)] for t in caught):
                return True
    return False


def _stated(path: Path) -> str | None:
    """Where the node must be true: "" in an ``assert``, the callable whose first argument it is; ``None`` elsewhere."""
    for outer, inner in zip(reversed(path[:-1]), reversed(path), strict=False):
        if isinstance(outer, ast.Assert):
            return "" if inner is outer.test else None
        if isinstance(outer, ast.Call):
            return _dotted(outer.func) or None if inner in outer.args[:1] else None
        if not (isinstance(outer, ast.BoolOp) and isinstance(outer.op, ast.And)):
            return None
    return None


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def _followed(path: Path, names: frozenset[str] = frozenset(), result: bool = False) -> list[str] | None:
    """The callables that must only tell people for the text of the last node to be a message, or None; ``result``: the node
    is a call, and what it gives is meant."""
    path = tuple([n for n in path if not isinstance(n, ast.keyword)])
    wraps: list[str] = []
    for at in range(len(path) - 1, max(len(path) - _STEPS, 0), -1):
        node, outer = path[at], path[at - 1]
        if at == len(path) - 1 and isinstance(node, ast.Call) and not (result or _is_maker(node)):
            return _taken(node)
        if isinstance(outer, (ast.Raise, ast.Assert, ast.Return)):
            found = _ending(node, outer, path[: at - 1])
        elif isinstance(outer, ast.Call) and not _is_maker(outer):
            if _is_wrapper(outer) and node in outer.args[:1]:
                wraps.append(_TEXTWRAP + _dotted(outer.func))
                continue
            raised = isinstance(path[at - 2], ast.Raise) and node is not outer.func  # raise ValueError(text)
            found = [] if raised else None if node is outer.func else _taken(outer)
        elif isinstance(outer, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            found = _followed_name(outer, path[: at - 1], names)
        elif _passes_text(node, outer):
            continue
        else:
            found = None
        return None if found is None else [*wraps, *found]
    return None


def _ending(node: ast.AST, outer: ast.AST, path: Path) -> list[str] | None:
    """What a text in ``raise``, ``assert`` or ``return`` must prove."""
    if isinstance(outer, ast.Raise):
        return []
    if isinstance(outer, ast.Assert):
        return [] if node is outer.msg else None
    function = next((n for n in reversed(path) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))), None)
    return [_RETURNS] if isinstance(function, ast.FunctionDef) and not function.decorator_list else None


def _taken(call: ast.Call) -> list[str] | None:
    """What a call must prove that takes a text: that it tells people, and where it prints to."""
    files = [_dotted(k.value) for k in call.keywords if k.arg == "file"]
    if not _dotted(call.func) or not all(files):
        return None
    return [_dotted(call.func), *(_STREAM + f for f in files)]


def _is_wrapper(call: ast.Call) -> bool:
    return _dotted(call.func).rpartition(".")[2] in _WRAPS


def _is_maker(call: ast.Call) -> bool:
    """``str(n)``, ``"{}".format(n)``, ``", ".join(...)``, ``map(str, ...)``."""
    func = call.func
    if isinstance(func, ast.Name):
        return func.id in _MAKES_TEXT or (func.id == "map" and bool(call.args) and _dotted(call.args[0]) in _MAKES_TEXT)
    return isinstance(func, ast.Attribute) and func.attr in _TEXT_METHODS and _is_text(func.value)


def _is_text(node: ast.AST) -> bool:
    """Whether the expression is a text for sure."""
    if isinstance(node, ast.Call):
        return _is_maker(node)
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _passes_text(node: ast.AST, outer: ast.AST) -> bool:
    """Whether what is made of the node in the outer one is a text, or a collection of texts, and nothing else."""
    if isinstance(outer, ast.IfExp):
        return node is not outer.test
    if isinstance(outer, ast.BinOp):
        return isinstance(outer.op, (ast.Add, ast.Mod)) and (_is_text(node) or _is_text(outer.left) or _is_text(outer.right))
    if isinstance(outer, (ast.ListComp, ast.GeneratorExp)):
        return node is outer.elt
    if isinstance(outer, ast.Attribute):
        return outer.attr in _TEXT_METHODS and _is_text(node)
    if isinstance(outer, ast.Lambda):
        return node is outer.body
    return isinstance(outer, (ast.JoinedStr, ast.FormattedValue, ast.Call, ast.Tuple, ast.List, ast.Starred))


def _followed_name(assign: ast.stmt, path: Path, names: frozenset[str]) -> list[str] | None:
    """For ``text = f"..."`` in a function: all uses of the name must be in messages."""
    targets = assign.targets if isinstance(assign, ast.Assign) else [assign.target]  # type: ignore[attr-defined]
    function = next((n for n in reversed(path) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))), None)
    if len(targets) != 1 or not isinstance(targets[0], ast.Name) or function is None or isinstance(function, ast.ClassDef):
        return None
    name = targets[0].id
    if name in names:  # text = text + f"...": the other uses are looked at already
        return []
    told: list[str] = []
    for use in _uses(function, name):
        inside_another = any(isinstance(n, (ast.FunctionDef, ast.Lambda, ast.ClassDef)) for n in use[1:-1])
        declared = isinstance(use[-1], (ast.Global, ast.Nonlocal))
        found = None if inside_another or declared else _followed(use, names | {name})
        if found is None:
            return None
        told += found
    return told


def _uses(function: ast.AST, name: str) -> Iterator[Path]:
    """Everything that reads the name, and whatever else could: ``locals``, ``eval`` and declarations of its scope."""
    stack: list[Path] = [(function,)]
    while stack:
        path = stack.pop()
        node = path[-1]
        declared = isinstance(node, (ast.Global, ast.Nonlocal)) and name in node.names
        if declared or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in {name, *_READ_ALL}):
            yield path
        stack += [(*path, child) for child in ast.iter_child_nodes(node)]


