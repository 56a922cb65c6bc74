"""A progress line on a terminal's stderr, for analyses that take longer than a moment."""

from __future__ import annotations

import sys
import time
from typing import TextIO

__all__ = ["PointsLeft", "Progress", "RowsDone"]


class _Line:
    """One line that is written again and again; nothing unless stderr is a terminal."""

    __slots__ = ("_next", "_shown", "_start", "_stream")

    def __init__(self, stream: TextIO | None = None, after_seconds: float = 0.5) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._start = time.monotonic()
        self._next = self._start + after_seconds
        self._shown = False

    def _show(self, text: str) -> None:
        """At once."""
        if self._stream.isatty():
            self._shown = True
            self._stream.write(f"\r{text}")
            self._stream.flush()

    def _show_now_and_then(self, now: float, text: str) -> None:
        """Not before its time, and ten times a second at most."""
        if now >= self._next and self._stream.isatty():
            self._next = now + 0.1
            self._show(text)

    def close(self) -> None:
        """Remove the line."""
        if self._shown:
            self._stream.write(f"\r{_CLEAR}")
            self._stream.flush()


_CLEAR = "\x1b[K"  # to the end of the line


class Progress(_Line):
    """Called with the number of ops traced so far."""

    __slots__ = ()

    def __call__(self, ops: int) -> None:
        if ops & 255:
            return
        now = time.monotonic()
        self._show_now_and_then(now, f"tracing: {ops:,} ops in {now - self._start:.1f} s")


class PointsLeft(_Line):
    """Called with the number of points that are still to be answered, before each further analysis."""

    __slots__ = ()

    def __call__(self, points: int) -> None:
        self._show_now_and_then(time.monotonic(), f"{_CLEAR}analysing again: {points:,} points left")


class RowsDone(_Line):
    """Called with each row that is done: how many, of how many, and what it is about."""

    __slots__ = ()

    def __call__(self, done: int, of: int, what: str) -> None:
        self._show(f"{_CLEAR}{done:,} of {of:,}: {what}")
