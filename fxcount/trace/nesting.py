"""Python's limit on nested calls (``sys.getrecursionlimit``): the model has it to itself, as in a plain run, and what fxcount
puts on the stack comes on top. What is nested too deep for torch is refused.

The limit belongs to the process: while a model is traced, other threads have a little more of it, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from fxcount.errors import DepthError

__all__ = ["DEEP", "Room", "refusing_depth", "too_deep"]

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_OURS = 250  # calls of ours on the stack: above the model, and below its innermost op
_OF_A_CHECK = 3
DEEP = 50
"""Modules inside of each other, from which on it is asked whether torch could run them."""


class Room:
    """Room on the stack for a model to be traced; the limit is as before after ``close``."""

    def __init__(self) -> None:
        self._limit = sys.getrecursionlimit()
        self._above = _frames_of_ours(sys._getframe(1))
        self._raised = self._limit + _OURS
        sys.setrecursionlimit(self._raised)

    def close(self) -> None:
        """The limit as it was, unless the model, or another thread, has set one of its own."""
        if sys.getrecursionlimit() == self._raised:
            sys.setrecursionlimit(self._limit)

    def check(self, depth: int) -> None:
        """Refuse a module so far inside that a plain run would end here; ``depth`` modules are around it."""
        if sys.getrecursionlimit() != self._raised:
            return
        try:
            sys.setrecursionlimit(self._limit + self._above + _OF_A_CHECK)  # not if more calls than that are nested now
        except RecursionError:
            raise DepthError(
                f"the model has {depth} modules inside of each other: Python's limit of {self._limit} nested calls is reached",
                hint="torch cannot run it so either: nest fewer modules, or call sys.setrecursionlimit() with a higher limit",
            ) from None
        finally:
            sys.setrecursionlimit(self._raised)


def _frames_of_ours(frame: FrameType | None) -> int:
    """How many frames up to the user's are fxcount's."""
    found = 0
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        found += 1
        frame = frame.f_back
    return found


def too_deep(what: str, where: str = "") -> DepthError:
    """The error for "maximum recursion depth exceeded"."""
    return DepthError(
        f"{what} goes deeper than Python's limit on nested calls",
        where=where,
        hint="nest it less, or call sys.setrecursionlimit() with a higher limit, unless it has no end",
    )


@contextmanager
def refusing_depth(what: str) -> Iterator[None]:
    """A block in which "maximum recursion depth exceeded" becomes an error of ours that says what is too deep.

    >>> def endless():
    ...     return endless()
    >>> with refusing_depth("the model"):
    ...     endless()
    Traceback (most recent call last):
    ...
    fxcount.errors.DepthError: the model goes deeper than Python's limit on nested calls
      to fix: nest it less, or call sys.setrecursionlimit() with a higher limit, unless it has no end
    """
    try:
        yield
    except RecursionError as error:
        if isinstance(error, DepthError):
            raise
        raise too_deep(what) from None
