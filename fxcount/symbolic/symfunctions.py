"""Functions of torch that take symbolic sizes, for sizes of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from fxcount.symbolic.expr import sum_
from fxcount.symbolic.symint import SymSize, size_of, to_sym

__all__ = ["SYM_FUNCTIONS", "sym_ite", "sym_sum"]


def sym_sum(*args: Any) -> Any:
    """`torch.sym_sum` for `SymSize`: linear in the number of arguments.

    >>> from fxcount.symbolic.scope import Scope
    >>> scope = Scope({"B": 2})
    >>> B = to_sym(scope.symbols["B"], scope)
    >>> sym_sum([B, B, 1]).expr
    2*B + 1
    """
    values = args[0] if len(args) == 1 and isinstance(args[0], (list, tuple)) else args
    sizes = [size for size in map(size_of, values) if size is not None]
    scope = next((v.scope for v in values if isinstance(v, SymSize)), None)
    if scope is None or len(sizes) < len(values):
        return sum(values)
    total = sum_(sizes)
    return to_sym(total, scope)


def sym_ite(condition: Any, yes: Any, no: Any) -> Any:
    """`torch.sym_ite`, whose condition is a plain bool here.

    >>> sym_ite(True, 3, 4)
    3
    """
    return yes if condition else no


SYM_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {torch.sym_sum: sym_sum, torch.sym_ite: sym_ite}
"""What a trace runs instead of these functions of torch; the other ``torch.sym_*`` work by themselves."""
