"""Where jobs run: processes of this machine, one of which may die or hang, or any executor of ``concurrent.futures``."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from typing import Any, Protocol

from fxcount.errors import InputError, first_line
from fxcount.sweeping.job import Job
from fxcount.sweeping.row import Row, counted, failed, prepare

__all__ = ["answered", "processes"]

_TASKS = 200  # of one process, which is then followed by a new one: libraries keep what they once loaded


class Submits(Protocol):
    """What jobs are handed to."""

    def submit(self, work: Any, job: Job, limit_seconds: float | None, /) -> Future[Any]: ...


class Processes:
    """Processes of this machine. One that dies takes its own job with it and no other, and so does one whose time is over: it
    is killed, wherever it hangs, as what a thread of it left half done might spoil the next job."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def submit(self, work: Any, job: Job, limit_seconds: float | None, /) -> Future[Any]:
        future: Future[Any] = self._pool.schedule(work, args=(job,), timeout=limit_seconds)
        return future


@contextmanager
def processes(workers: int | None, jobs: Iterable[Job]) -> Iterator[Processes]:
    """As many processes as there are cores, or ``workers``, that have loaded what these jobs need.

    Raises :class:`~fxcount.errors.InputError` without Pebble.
    """
    try:
        from pebble import ProcessPool
    except ImportError as error:
        raise InputError(
            f"a sweep in processes needs Pebble ({error})",
            hint='pip install "fxcount[sweep]", or give an executor of concurrent.futures',
        ) from error
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    cores = workers or multiprocessing.cpu_count()
    models = sorted({job.model for job in jobs})
    pool = ProcessPool(max_workers=cores, max_tasks=_TASKS, initializer=_alone, initargs=[models], context=context)
    try:
        yield Processes(pool)
        pool.close()
    except BaseException:
        pool.stop()
        raise
    finally:
        pool.join()


def _alone(models: Iterable[str]) -> None:
    """One core for each process: nothing is computed, and threads would only be in each other's way."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits, which stops these
    os.environ["OMP_NUM_THREADS"] = "1"
    prepare(models)


def answered(jobs: Sequence[Job], runs: Submits | Executor, limit_seconds: float | None, ahead: int) -> Iterator[Row]:
    """The rows as they come; ``ahead`` jobs are handed over at a time.

    A job whose worker died is handed over once more after all others, alone: the worker may have been killed from outside, or
    by a job beside it (Dask gives up one that was waiting where four workers died). If it dies again, a row says so. A pool
    that breaks as a whole (``ProcessPoolExecutor`` does when one of its processes dies) cannot go on: its jobs have rows that
    say so, too.
    """
    died: list[Job] = []
    for job, row in _answers(jobs, runs, limit_seconds, ahead):
        if row.error.startswith(_DIED):
            died.append(job)
        else:
            yield row
    for job in died:
        yield from (row for _, row in _answers([job], runs, limit_seconds, 1))


_DIED = "the worker died: "


def _answers(
    jobs: Sequence[Job], runs: Submits | Executor, limit_seconds: float | None, ahead: int
) -> Iterator[tuple[Job, Row]]:
    left = iter(jobs)
    running: dict[Future[Row], Job] = {}
    while True:
        while len(running) < ahead and (job := next(left, None)) is not None:
            try:
                running[runs.submit(counted, job, limit_seconds)] = job
            except RuntimeError as error:  # broken
                yield job, failed(job, f"{_DIED}{type(error).__name__}: {first_line(error)}")
        if not running:
            return
        for done in wait(running, return_when=FIRST_COMPLETED).done:
            job = running.pop(done)
            try:
                yield job, done.result()
            except TimeoutError:
                yield job, failed(job, f"took longer than {limit_seconds:g} s" if limit_seconds else "took too long")
            except Exception as error:
                yield job, failed(job, f"{_DIED}{type(error).__name__}: {first_line(error)}")
