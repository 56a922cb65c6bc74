"""What was traced until a forward raised an error: a trace that ends there, kept with the error."""

from __future__ import annotations

from contextlib import suppress

from fxcount.trace.tape import Trace

__all__ = ["keep_partial", "partial_of"]


def keep_partial(error: BaseException, trace: Trace | None) -> None:
    """Put what was traced beside an error, if it can take that."""
    if trace is not None:
        with suppress(AttributeError, TypeError):  # classes may allow no attributes
            error.__traced__ = trace  # type: ignore[attr-defined]


def partial_of(error: BaseException) -> Trace | None:
    """What was traced until the error was raised, or an error that led to it."""
    seen: BaseException | None = error
    while seen is not None:
        found = getattr(seen, "__traced__", None)
        if isinstance(found, Trace):
            return found
        seen = seen.__cause__
    return None
