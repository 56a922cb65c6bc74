"""Who is tracing now: one analysis at a time in a process, in one thread, which every replaced function asks for.

``alone(body)`` is the way in. It waits for the analyses of other threads, runs ``body``, and undoes whatever was changed on
the way, however ``body`` ends. An analysis inside an analysis (a model whose forward calls fxcount) is in the same thread
and goes straight on: the outer trace does not see it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Callable, Iterator
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from fxcount import torch_private

if TYPE_CHECKING:
    from fxcount.trace.torch_patch.labels import Labels
    from fxcount.trace.torch_patch.vmap import Mapping
    from fxcount.trace.tracer.tracer import Tracer

__all__ = ["ACTIVE", "Active", "Undo", "alone", "exclusively", "no_collection"]

T = TypeVar("T")


class Undo:
    """What is to be put back, last change first. Running it twice is safe, so that it can be run again if interrupted."""

    def __init__(self) -> None:
        self._steps: list[tuple[Any, ...]] = []

    def add(self, function: Callable[..., object], *args: Any) -> None:
        """Have ``function(*args)`` called at the end; to be said before the change is made."""
        self._steps.append((function, *args))

    def run(self) -> None:
        """Put everything back. What cannot be put back keeps nothing else from it; the first such error is raised."""
        failed: Exception | None = None
        while self._steps:
            function, *args = self._steps[-1]
            try:
                function(*args)
            except Exception as error:
                failed = failed or error
            self._steps.pop()
        if failed is not None:
            raise failed


class Active:
    """The analysis that runs: its thread (0 for none), its tracer while the model runs, and what is to be put back in
    places that other threads see."""

    def __init__(self) -> None:
        self.ident = 0
        self.tracer: Tracer | None = None
        self.vmap: Mapping | None = None
        self.labels: Labels | None = None
        self.undo = Undo()

    def is_here(self) -> bool:
        """Whether the calling thread is the one that traces."""
        return self.tracer is not None and get_ident() == self.ident


ACTIVE = Active()
_LOCK = threading.RLock()


def alone(body: Callable[[Undo], T], install: Callable[[Undo], None]) -> T:
    """``body(undo)`` as the only analysis of the process; ``install`` makes the changes that hold as long as it runs, and
    what the body adds to ``undo`` is done at the end.

    Blocks until other threads' analyses, and what ``torch.compile`` compiles in them, are done.
    """
    with exclusively():
        if ACTIVE.ident:
            return _inside(body)
        own, undo = Undo(), Undo()
        try:
            undo.add(setattr, ACTIVE, "ident", 0)
            ACTIVE.ident, ACTIVE.undo = get_ident(), undo
            if gc.isenabled():
                gc.collect(0)  # what is young afterwards was made by the analysis
            _COLLECTOR.pause(undo)
            _keep_settings(own)
            install(undo)
            return body(own)
        finally:
            _run_twice(own, undo)


@contextlib.contextmanager
def exclusively() -> Iterator[None]:
    """A block during which no other thread analyses or compiles; the same thread may."""
    with _compiling_lock(), _LOCK:
        yield


def _inside(body: Callable[[Undo], T]) -> T:
    """An analysis inside an analysis: the tracer around it is out of sight, and back afterwards."""
    undo = Undo()
    try:
        for name in ("tracer", "vmap", "labels"):
            undo.add(setattr, ACTIVE, name, getattr(ACTIVE, name))
        ACTIVE.tracer = ACTIVE.vmap = ACTIVE.labels = None
        _keep_settings(undo)
        modes = torch_private.mode_stack()
        hidden = [m for m in modes if not getattr(m, "is_fxcount", False)]
        if len(hidden) < len(modes):
            _set_modes(hidden)
        return body(undo)
    finally:
        _run_twice(undo)


def _run_twice(*undo: Undo) -> None:
    """The second time does what an interrupt kept the first from doing."""
    try:
        for steps in undo:
            steps.run()
    finally:
        for steps in undo:
            steps.run()


def _compiling_lock() -> Any:
    """The lock under which dynamo looks at Python code: what it finds there must be torch's own, not ours.

    Always taken first, since dynamo's backends may analyse what they are given.
    """
    frames = torch_private.loaded("_dynamo.convert_frame")
    return getattr(frames, "compile_lock", None) or contextlib.nullcontext()


# -- settings of the thread ---------------------------------------------------------------------------------------------
def _keep_settings(undo: Undo) -> None:
    """Grad mode, autocast, function modes, the default device, determinism and the number of threads, which a model may change
    and forget."""
    undo.add(_set_modes, torch_private.mode_stack())
    undo.add(_set_default_device, getattr(torch_private.default_device, "device_context", _UNSET))
    undo.add(torch_private.set_grad_enabled, torch.is_grad_enabled())
    for device in ("cpu", "cuda"):
        undo.add(torch.set_autocast_enabled, device, torch.is_autocast_enabled(device))
    undo.add(_set_deterministic, *_determinism())
    undo.add(_set_threads, torch.get_num_threads())


def _determinism() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_deterministic(wanted: bool, warn_only: bool) -> None:
    if _determinism() != (wanted, warn_only):
        torch.use_deterministic_algorithms(wanted, warn_only=warn_only)


def _set_threads(wanted: int) -> None:
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)


def _set_modes(wanted: list[Any]) -> None:
    found = torch_private.mode_stack()
    if len(found) == len(wanted) and all([a is b for a, b in zip(found, wanted)]):
        return
    for _ in found:
        torch_private.pop_mode()
    for mode in wanted:
        torch_private.push_mode(mode)


_UNSET: Any = object()


def _set_default_device(context: Any) -> None:
    holder = torch_private.default_device
    if getattr(holder, "device_context", _UNSET) is context:
        return
    torch.set_default_device(None if context in (None, _UNSET) else context.device)
    if context is _UNSET:  # torch.get_default_device takes an attribute that is there for a device, in older versions also None
        del holder.device_context
    else:
        holder.device_context = context


# -- the garbage collector ----------------------------------------------------------------------------------------------
class _Collector:
    """Python's cyclic garbage collector, which is on or off for the whole process: paused as long as anybody wants it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pauses: dict[int, int] = {}  # a number for each pause -> the thread that wants it
        self._count = 0
        self._was_on = False

    def pause(self, undo: Undo) -> None:
        """Off until ``undo`` is run."""
        with self._lock:
            self._count = number = self._count + 1
        undo.add(self._resume, number)
        with self._lock:
            if not self._pauses:
                self._was_on = gc.isenabled()
            self._pauses[number] = get_ident()
            gc.disable()

    def _resume(self, number: int) -> None:
        with self._lock:
            if self._pauses.pop(number, None) is not None and not self._pauses and self._was_on:
                gc.enable()

    def start_anew(self) -> None:
        """In a forked child, where the other threads are gone."""
        self._lock = threading.Lock()
        for number, ident in list(self._pauses.items()):
            if ident != get_ident():
                self._resume(number)


_COLLECTOR = _Collector()


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Keep the cyclic garbage collector out of the block.

    It would walk all of torch's objects several times during a long trace, and a tensor in a reference cycle would die
    at a moment that has nothing to do with the model.
    """
    undo = Undo()
    try:
        _COLLECTOR.pause(undo)
        yield
    finally:
        _run_twice(undo)


# -- fork ---------------------------------------------------------------------------------------------------------------
def _forked() -> None:
    """A child has only the thread that forked: what another one traced goes on over there, and the locks are free here."""
    locks: tuple[Any, ...] = (_compiling_lock(), _LOCK)
    for lock in locks:  # another thread may hold the first of them before it is known to analyse, and after
        if hasattr(lock, "_at_fork_reinit") and not lock._is_owned():
            lock._at_fork_reinit()
    if ACTIVE.ident != get_ident():
        ACTIVE.tracer = ACTIVE.vmap = None
        _run_twice(ACTIVE.undo)
    _COLLECTOR.start_anew()


os.register_at_fork(after_in_child=_forked)
