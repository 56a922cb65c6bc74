"""einx on symbolic sizes: it writes a program for the shapes it gets, as text, with their numbers in it.

Under a trace it gets a *label* for each symbolic size, a prime. In the program it writes,
labels and their products stand for the sizes again: a number of the text is looked up each time it is used, so that the program
einx keeps for these shapes is as good for another trace, and computes with the numbers themselves outside of one.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from fxcount.symbolic import SymSize
from fxcount.trace.torch_patch.active import ACTIVE
from fxcount.trace.torch_patch.labels import FIRST, Labels
from fxcount.trace.tracer.standin import StandIn

__all__ = ["einx_changes", "globals_of_einx", "is_of_einx"]

_LOOKUP = "_fxcount_size"
_TAKES = "_to_tracer"  # einx's name of what it makes of its arguments


def _size(number: int) -> Any:
    """What a written program calls for its numbers."""
    return ACTIVE.labels.size(number) if ACTIVE.is_here() and ACTIVE.labels is not None else number


def _labels() -> Labels:
    if ACTIVE.labels is None:
        ACTIVE.labels = Labels()
    return ACTIVE.labels


def is_of_einx(namespace: dict[str, Any]) -> bool:
    """Whether these are globals of einx."""
    return str(namespace.get("__name__")).partition(".")[0] == "einx"


def globals_of_einx(error: BaseException) -> Iterator[dict[str, Any]]:
    """Of the code of einx that an error came through: it was given a size that it takes only as a plain number."""
    traceback = error.__traceback__
    while traceback is not None:
        if is_of_einx(traceback.tb_frame.f_globals):
            yield traceback.tb_frame.f_globals
            return
        traceback = traceback.tb_next


def einx_changes() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Globals of einx, and what stands in them for what, as far as this einx has it."""
    front, writer = sys.modules.get("einx._src.frontend.api"), sys.modules.get("einx._src.tracer.compiler.python")
    if front is not None and writer is not None and _TAKES in vars(front):
        yield vars(front), {_TAKES: _labelling(vars(front)[_TAKES])}
        yield vars(writer), {"exec": _executing}


def _labelling(original: Callable[..., Any]) -> Callable[..., Any]:
    """einx's own, to which a stand-in is a tensor of labels."""

    def to_tracer(x: Any, backend: Any, name: str) -> Any:
        if not ACTIVE.is_here():
            return original(x, backend, name)
        value = getattr(x, "value", None)
        if type(value) is StandIn:
            shape = tuple([_labels().of(n) for n in value.shape])
            backend = SimpleNamespace(is_supported_tensor=lambda tensor: True, get_shape=lambda tensor: shape)
        return original(_labels().of(x) if type(x) is SymSize else x, backend, name)

    return to_tracer


class _Looked(ast.NodeTransformer):
    """Numbers that may stand for sizes, looked up."""

    def visit_Constant(self, node: ast.Constant) -> Any:
        if type(node.value) is not int or node.value < FIRST:
            return node
        return ast.copy_location(ast.Call(ast.Name(_LOOKUP, ast.Load()), [node], []), node)


def _executing(code: str, variables: dict[str, Any], *local: Any) -> None:
    """``exec`` of a program that einx wrote."""
    tree = ast.fix_missing_locations(_Looked().visit(ast.parse(code)))
    variables[_LOOKUP] = _size
    exec(compile(tree, "<einx>", "exec"), variables, *local)
