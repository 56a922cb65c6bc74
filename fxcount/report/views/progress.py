"""A progress line on a terminal's stderr, for analyses that take longer than a moment."""

from __future__ import annotations

import sys
import time
from typing import TextIO

__all__ = ["PointsLeft", "Progress"]


class Progress:
    """Called with the number of ops traced so far; writes nothing unless stderr is a terminal."""

    __slots__ = ("_next", "_shown", "_start", "_stream")

    def __init__(self, stream: TextIO | None = None, after_seconds: float = 0.5) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._start = time.monotonic()
        self._next = self._start + after_seconds
        self._shown = False

    def __call__(self, ops: int) -> None:
        if ops & 255:
            return
        now = time.monotonic()
        if now < self._next or not self._stream.isatty():
            return
        self._next = now + 0.1
        self._shown = True
        self._stream.write(f"\rtracing: {ops:,} ops in {now - self._start:.1f} s")
        self._stream.flush()

    def close(self) -> None:
        """Remove the line."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


class PointsLeft(Progress):
    """Called with the number of points that are still to be answered, before each further analysis."""

    __slots__ = ()

    def __call__(self, points: int) -> None:
        now = time.monotonic()
        if now >= self._next and self._stream.isatty():
            self._next = now + 0.1
            self._shown = True
            self._stream.write(f"\r\x1b[Kanalysing again: {points:,} points left")
            self._stream.flush()
