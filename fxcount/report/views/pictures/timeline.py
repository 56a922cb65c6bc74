"""The bytes alive at each call of a run, from the births and deaths of its storages."""

from __future__ import annotations

from typing import NamedTuple

from fxcount.ops.core.common import facts_of_result
from fxcount.passes.memory import HELD
from fxcount.report.data.report import ReportData
from fxcount.report.data.steps import is_of_step
from fxcount.symbolic import Factors, Size, evaluate

__all__ = ["Alive", "alive"]


class Alive(NamedTuple):
    """``nbytes``: the most bytes alive while each call runs, parameters and buffers not among them; ``phases``: of a training
    step, each with the call at which it begins."""

    nbytes: list[int]
    phases: list[tuple[str, int]]


def alive(report: ReportData) -> Alive:
    """At the report's sizes, or at its hints. The largest is the peak.

    >>> import torch, fxcount
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU())
    >>> alive(fxcount.analyze(model, (7, 3))).nbytes, fxcount.analyze(model, (7, 3)).memory.peak
    ([224, 364], 364)
    """
    if is_of_step(report):
        phases = [(p.name, p.calls.start) for p in report.step.phases if len(p.calls) and p.round == report.step.counted]
        return Alive(report.memory.alive_after(report.sizes), phases)
    return Alive(_alive(report), [])


def _alive(report: ReportData) -> list[int]:
    trace, values = report.trace, Factors(report.sizes)
    sizes = [0 if s.origin in HELD else evaluate(s.nbytes, values) for s in trace.storages]
    temporaries = _temporaries(report, values)
    most = [0] * len(trace.calls)
    now, at = 0, -1
    for event in trace.events:
        for call in range(at + 1, event.call + 1):
            most[call] = now
        at = max(at, event.call)
        now += sizes[event.storage] if event.birth else -sizes[event.storage]
        if event.birth and event.call >= 0:
            most[event.call] = max(most[event.call], now + temporaries.get(id(trace.calls[event.call].signature), 0))
    for call in range(at + 1, len(most)):
        most[call] = now
    return most


def _temporaries(report: ReportData, values: Factors) -> dict[int, int]:
    """Bytes an op holds besides its results while it runs, by signature."""
    found = {}
    for s in report.trace.signatures:
        if s.op.temporaries is not None:
            extra: Size = s.op.temporaries(facts_of_result(s.result), *s.args, **s.kwargs)
            found[id(s)] = evaluate(extra, values)
    return found
