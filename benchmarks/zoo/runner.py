"""Many models in worker processes: a model that hangs, or takes its worker down, becomes a record like any other.

A worker is started afresh (``spawn``), imports the libraries once and then takes one model after another. The parent holds
it to a time limit and the worker holds itself to a limit of memory; a worker that ends is replaced.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

__all__ = ["Limits", "Task", "run"]

Task = tuple[str, str]  # family, name
Record = dict[str, Any]
Measure = Callable[[Task, Callable[[Record], None]], bool]  # whether the worker may go on
_MODELS_OF_ONE_WORKER = 200  # libraries cache what they built; a new process gives it back
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """``seconds`` for one model, ``gib`` of address space for one worker."""

    seconds: float = 120.0
    gib: float = 10.0


def run(tasks: Sequence[Task], measure: Measure, jobs: int, limits: Limits) -> Iterator[Record]:
    """One record for each task, as they are finished. ``measure`` must be importable by the workers."""
    waiting = deque(tasks)
    workers: list[_Worker] = []
    try:
        while waiting or any(w.task for w in workers):
            workers = [w for w in workers if w.usable or w.task]
            while waiting and len(workers) < jobs:
                workers.append(_Worker(measure, limits))
            for worker in workers:
                if waiting and worker.task is None and worker.usable:
                    worker.start(waiting.popleft())
            wait([w.connection for w in workers if w.task], timeout=1.0)
            for worker in workers:
                record = worker.poll()
                if record is not None:
                    yield record
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """A process and the task it has; ``usable`` while another task can be given to it."""

    def __init__(self, measure: Measure, limits: Limits) -> None:
        context = mp.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, measure, limits.gib), daemon=True)
        self.process.start()
        theirs.close()
        self.limits = limits
        self.task: Task | None = None
        self.partial: Record = {}
        self.started = 0.0
        self.done = 0
        self.usable = True

    def start(self, task: Task) -> None:
        self.task, self.partial, self.started = task, {}, 0.0  # the clock starts when the worker says so
        self.connection.send(task)

    def poll(self) -> Record | None:
        """The record of the task if it is finished, in one way or another."""
        if self.task is None:
            return None
        try:
            while self.connection.poll():
                kind, payload = self.connection.recv()
                if kind == "begin":
                    self.started = time.monotonic()
                elif kind == "record":
                    self.partial = payload
                else:
                    return self._finish({}, clean=payload)
        except (EOFError, OSError):
            self.process.join(5)
            return self._finish({"stopped": "crashed", "exit": self.process.exitcode})
        if self.started and time.monotonic() - self.started > self.limits.seconds:
            self.stop()
            return self._finish({"stopped": "timeout"})
        return None

    def _finish(self, ending: Record, clean: bool = False) -> Record:
        assert self.task is not None
        family, name = self.task
        record = {"key": f"{family}/{name}", "family": family, "name": name, "status": "failed", **self.partial, **ending}
        record["seconds"] = round(time.monotonic() - self.started, 3) if self.started else 0.0
        if ending and self.partial.get("status") != "traced":
            record["status"] = ending["stopped"]
        self.task = None
        self.done += 1
        self.usable = clean and self.done < _MODELS_OF_ONE_WORKER
        if not self.usable and not ending:
            self.stop()
        return record

    def stop(self) -> None:
        self.usable = False
        self.process.kill()
        self.process.join(5)
        self.connection.close()


def _serve(connection: Connection, measure: Measure, gib: float) -> None:
    """The life of a worker: take a task, send its record piece by piece, until the parent is gone."""
    _limit_memory(gib)
    import torch

    torch.set_num_threads(1)
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)  # libraries print while they build; nobody reads it
    os.dup2(devnull, 2)
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(("begin", None))
        clean = False
        try:
            clean = measure(task, lambda record: connection.send(("record", record)))
        except BaseException as error:
            connection.send(("record", {"errors": [{"type": type(error).__name__, "message": str(error)[:600]}]}))
        connection.send(("end", clean))


def _limit_memory(gib: float) -> None:
    try:
        import resource
    except ImportError:  # not on this platform
        return
    resource.setrlimit(resource.RLIMIT_AS, (int(gib * _GIB), resource.RLIM_INFINITY))
