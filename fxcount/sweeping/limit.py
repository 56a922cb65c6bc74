"""A limit of time that holds in any thread of any worker, whatever clock the machine has."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["TimeLimit", "time_limit"]

_AGAIN_SECONDS = 1.0  # an exception inside a callback of the garbage collector is swallowed, so it is raised again


class TimeLimit(BaseException):
    """The time is over. No ``Exception``: a model that catches those would go on."""


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """A block that :class:`TimeLimit` ends after as many seconds; ``None``: no limit.

    A second thread raises it in this one at its next step of Python; what hangs in C goes on. Waiting is by the monotonic
    clock, so setting the machine's clock changes nothing.
    """
    if seconds is None:
        yield
        return
    thread, over, ended = threading.get_ident(), threading.Lock(), threading.Event()

    def ring() -> None:
        wait = seconds
        while not ended.wait(wait):
            with over:
                if not ended.is_set():
                    _raise_in(thread, TimeLimit)
            wait = _AGAIN_SECONDS

    bell = threading.Thread(target=ring, name="fxcount time limit", daemon=True)
    bell.start()
    try:
        yield
    finally:
        with over:
            ended.set()
            _raise_in(thread, None)  # one that has been sent and has not come


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    sent = ctypes.py_object(error) if error is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), sent)
