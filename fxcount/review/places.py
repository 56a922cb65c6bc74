"""Where in the user's code a parameter is made: the line that assigns the module or parameter of that name."""

from __future__ import annotations

import ast
import inspect
import os
import textwrap
from functools import lru_cache
from typing import Any

import torch

__all__ = ["made_at"]


def made_at(model: Any, name: str) -> tuple[str, int] | None:
    """File and line of ``self.unused = ...`` for ``unused.weight``: of the innermost class outside of torch and installed
    packages, else of the innermost at all; of the class itself where it assigns no such name. ``None`` without source.

    >>> made_at(torch.nn.Linear(3, 5), "weight")[0].endswith("linear.py")
    True
    """
    parts = name.split(".")
    found = []
    for depth in range(len(parts) - 1, -1, -1):
        owner = _inside(model, parts[:depth])
        place = None if owner is None else _assigned(type(owner), parts[depth])  # type: ignore[arg-type]
        if place is not None:
            found.append(place)
    own = [place for place in found if not _is_installed(place[0])]
    return next(iter(own or found), None)


def _inside(model: Any, path: list[str]) -> Any:
    for part in path:
        model = getattr(model, part, None)
    return model


def _is_installed(file: str) -> bool:
    return "site-packages" in file or file.startswith(os.path.dirname(torch.__file__))


@lru_cache(1024)
def _assigned(kind: type, name: str) -> tuple[str, int] | None:
    """The line in a class or its bases that assigns ``self.name``; the class's first line where none says the name, but
    something is assigned under a name that is made up (``setattr``, ``add_module``, a list)."""
    for base in kind.__mro__:
        if base is torch.nn.Module or base is object:
            break
        try:
            lines, first = inspect.getsourcelines(base)
            tree = ast.parse(textwrap.dedent("".join(lines)))
            file = inspect.getsourcefile(base)
        except (OSError, TypeError, SyntaxError):
            continue
        if file is None:
            continue
        for node in ast.walk(tree):
            if _assigns(node, name):
                return file, first + node.lineno - 1  # type: ignore[attr-defined]
    return None


def _assigns(node: ast.AST, name: str) -> bool:
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        flat = [t for target in targets for t in (target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target])]
        return any(isinstance(t, ast.Attribute) and t.attr == name for t in flat)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        first = node.args[0] if node.args else None
        return node.func.attr in ("register_parameter", "add_module", "register_module") and (
            isinstance(first, ast.Constant) and first.value == name
        )
    return False
