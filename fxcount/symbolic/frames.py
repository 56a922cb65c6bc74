"""Local variables of a running function, read without keeping what they hold alive."""

from __future__ import annotations

import inspect
import sys
from types import FrameType
from typing import Any

__all__ = ["MISSING", "local_variable"]

MISSING = object()


def local_variable(frame: FrameType, name: str) -> Any:
    """What a name stands for among the variables of a function that runs, or :data:`MISSING`.

    Up to Python 3.12 ``frame.f_locals`` is a dictionary that stays with the frame: a tensor in it would live until the function
    returns, though the model let go of it long before. It is emptied again, unless the function holds it itself (it called
    ``locals()``).

    >>> import sys
    >>> def f(x):
    ...     return local_variable(sys._getframe(), "x"), local_variable(sys._getframe(), "y") is MISSING
    >>> f(3)
    (3, True)
    """
    code = frame.f_code
    if not code.co_flags & inspect.CO_OPTIMIZED:  # a module or the body of a class: these are its variables, and no copy
        return frame.f_locals.get(name, MISSING)
    if name not in code.co_varnames and name not in code.co_cellvars and name not in code.co_freevars:
        return MISSING
    variables = frame.f_locals
    found = variables.get(name, MISSING)
    if type(variables) is dict and sys.getrefcount(variables) <= 3:  # the frame's, ours, and that of the call
        variables.clear()
    return found
