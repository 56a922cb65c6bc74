"""The errors fxcount raises: each says what happened, where in the user's model, and what to do next.

Only the text differs between them; one base class lets a caller write ``except fxcount.FxcountError``.
Exceptions that the user's own model raises are never wrapped: they pass through unchanged, with a note
(:pep:`678`) that names the module and the line fxcount was tracing.

>>> str(ShapeError("conv2d: x has 4 channels, weight wants 3", where="net.py:12 (layer1.conv)", hint="check in_channels"))
'conv2d: x has 4 channels, weight wants 3\\n  at net.py:12 (layer1.conv)\\n  to fix: check in_channels'
"""

from __future__ import annotations

import linecache
import os
from traceback import walk_tb
from typing import Any

from fxcount.wording import visible

__all__ = [
    "AssumptionError",
    "DataDependentError",
    "DepthError",
    "FxcountError",
    "InputError",
    "RangeError",
    "RefusedError",
    "ShapeError",
    "SizeError",
    "UncountedError",
    "UnsupportedError",
    "first_line",
]


class FxcountError(Exception):
    """Base of every error of fxcount: ``what`` happened, ``where`` in the model, ``hint`` what to do.

    ``partial``: of an error in the middle of a forward, the report of what was traced before it; else ``None``.
    """

    partial: Any = None

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.what = what
        self.where = where
        self.hint = hint
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  at {self.where}")
        if self.hint:
            lines.append(f"  to fix: {self.hint}")
        return visible("\n".join(lines), lines=True)

    def _render_traceback_(self) -> list[str]:
        """What a cell of a notebook shows: the message, and the line of the user's that led to it, not our own way there."""
        asked = None
        for frame, line in walk_tb(self.__traceback__):
            if _ours(frame.f_code.co_filename):
                break
            asked = (frame.f_code.co_filename, line)
        shown = [f"{type(self).__name__}: {self}"]
        if asked is not None:
            code = linecache.getline(*asked).strip()
            place = f"line {asked[1]}" if _in_cell(asked[0]) else f"{asked[0]}:{asked[1]}"
            shown.append(visible(f"  asked in {place}" + (f": {code}" if code else "")))
        return "\n".join(shown).split("\n")


def _ours(file: str) -> bool:
    return file.startswith(os.path.dirname(os.path.abspath(__file__)) + os.sep)


def _in_cell(file: str) -> bool:
    """Whether a file is a cell: those are compiled under made-up names."""
    return not os.path.exists(file) or "ipykernel" in file


class SizeError(FxcountError, ValueError):
    """A size or a size expression is malformed, out of range, or lacks a symbol's value."""


class AssumptionError(FxcountError, ValueError):
    """The numbers asked for lie outside what the formulas assume."""


class RefusedError(AssumptionError):
    """The model itself does not take the sizes asked for: its own exception is the cause.

    ``assumed``: the decisions on sizes it had taken until then. Wherever they come out the same it refuses alike.
    """

    assumed: tuple[Any, ...] = ()


class InputError(FxcountError, TypeError):
    """The inputs given do not describe a call of the model."""


class ShapeError(FxcountError):
    """Operand shapes or dtypes do not fit the op, as torch itself would complain.

    A model may catch what torch raises, so this is a ``RuntimeError`` as well, and where a dimension or an index is out of
    range, which torch calls so, a :class:`RangeError` is an ``IndexError``.

    >>> isinstance(ShapeError("matmul: 3 against 5"), RuntimeError), isinstance(RangeError("dim=4"), RuntimeError)
    (True, False)
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> ShapeError:
        return super().__new__(_AsTorchs if cls is ShapeError else cls, *args)


class _AsTorchs(ShapeError, RuntimeError):
    """What ``ShapeError(...)`` makes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return ShapeError, self.args, self.__dict__


_AsTorchs.__name__ = _AsTorchs.__qualname__ = "ShapeError"


class RangeError(ShapeError, IndexError):
    """A dimension or an index is out of range."""


class DataDependentError(FxcountError, RuntimeError):
    """The model asks for the value of a tensor, which no analysis without data can know."""


class DepthError(FxcountError, RecursionError):
    """The model, or what it is given or returns, is nested deeper than Python's limit on nested calls allows."""


class UnsupportedError(FxcountError, NotImplementedError):
    """An op or a Python feature that the tracer cannot follow."""


class UncountedError(FxcountError, RuntimeError):
    """``strict=True`` and some op of the model has no cost rule."""


def first_line(error: BaseException) -> str:
    """What another library's error says in one line; its class if it says nothing.

    >>> first_line(ValueError("too long\\nfor one line")), first_line(KeyError())
    ('too long', 'KeyError')
    """
    return str(error).splitlines()[0] if str(error) else type(error).__name__
