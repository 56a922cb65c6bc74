"""Wall-clock times of several tools on one model, taken in turns so that a drift of the machine hits all alike."""

from __future__ import annotations

import contextlib
import gc
import io
import signal
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch

from benchmarks.cases import Case
from benchmarks.peers import Tool

__all__ = ["Timing", "interleaved", "seconds"]


@dataclass
class Timing:
    """Seconds of each run of one tool on one model, or the reason why there are none."""

    tool: str
    model: str
    device: str = "meta"
    runs: list[float] = field(default_factory=list)
    error: str = ""

    @property
    def median(self) -> float | None:
        return statistics.median(self.runs) if self.runs else None

    @property
    def best(self) -> float | None:
        return min(self.runs, default=None)


class TimeLimit(Exception):
    """The tool ran longer than allowed."""


def seconds(work: Callable[[], object], prepare: Callable[[], None] | None = None, limit: float = 0.0) -> float:
    """Wall-clock seconds of one run, of at most ``limit`` (0: no limit).

    Neither timed nor limited: ``prepare``, and collecting the garbage of earlier runs.
    """
    if prepare is not None:
        prepare()
    gc.collect()
    with _quiet(), _time_limit(limit):
        start = time.perf_counter()
        result = work()
        elapsed = time.perf_counter() - start
    del result
    return elapsed


def interleaved(case: Case, tools: list[Tool], repeat: int, limit: float) -> dict[str, Timing]:
    """Time the tools on the case: once each to warm up, then in turns. Slow tools run once, cold."""
    timings: dict[str, Timing] = {}
    ready: list[tuple[Timing, Callable[[], object], Tool]] = []
    for tool in sorted(tools, key=lambda t: t.slow):
        timing = timings[tool.name] = Timing(tool.name, case.name)
        work = _first_run(tool, case, timing, limit)
        if work is not None and not tool.slow:
            ready.append((timing, work, tool))
    for _ in range(repeat):
        for timing, work, tool in ready:
            timing.runs.append(seconds(work, tool.prepare))
    return timings


def _first_run(tool: Tool, case: Case, timing: Timing, limit: float) -> Callable[[], object] | None:
    """Run the tool on the first of its devices that works; the run counts only if the tool is slow.

    Each tool gets a model of its own: several leave hooks and buffers on it, which would slow down all the others.
    """
    for device in tool.devices:
        model = case.on_meta() if device == "meta" else case.on_cpu()

        def work(model: torch.nn.Module = model) -> object:
            return tool.run(model, case)

        timing.device = device
        try:
            elapsed = seconds(work, tool.prepare, limit)
        except Exception as error:
            timing.error = timing.error or type(error).__name__
            continue
        if device != tool.devices[0]:
            timing.error = f"{timing.error} on {tool.devices[0]}"
        if tool.slow:
            timing.runs.append(elapsed)
        return work
    return None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the tools print and warn."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _time_limit(limit: float) -> Iterator[None]:
    """Raise TimeLimit after ``limit`` seconds (0: never), where the system has alarms.

    The alarm rings on every second: Python swallows an exception raised inside a callback of the garbage collector (some
    libraries install one), and a single alarm that falls there would be lost.
    """

    def ring(*_: object) -> None:
        raise TimeLimit

    if not limit or not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
