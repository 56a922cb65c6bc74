"""What a training step has beside its trace, as plain data, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fxcount.errors import InputError

if TYPE_CHECKING:
    from fxcount.trace.tape import Trace
    from fxcount.training.run import StepTrace

__all__ = ["check_step", "plain_step", "step_from"]

_STORAGES = ("gradients", "losses", "every_gradient", "packed")


def plain_step(step: StepTrace) -> dict[str, Any]:
    """Phases by their calls and entries of the log; storages and calls by number."""
    return {
        "phases": [
            {"name": p.name, "calls": [p.calls.start, p.calls.stop], "log": [p.log.start, p.log.stop], "round": p.round}
            for p in step.phases
        ],
        "gradients": list(step.gradients), "losses": list(step.losses), "every_gradient": sorted(step.every_gradient),
        "packed": sorted(step.packed), "scales": sorted(step.scales), "within": [list(stretch) for stretch in step.within],
        "backward_of": [list(pair) for pair in sorted(step.backward_of.items())],
    }  # fmt: skip


def step_from(row: Mapping[str, Any], trace: Trace) -> StepTrace:
    """The inverse of :func:`plain_step`, of what :func:`check_step` has found to be whole."""
    from fxcount.training.run import Phase, StepTrace

    return StepTrace(
        trace, tuple([Phase(p["name"], range(*p["calls"]), range(*p["log"]), p["round"]) for p in row["phases"]]),
        tuple(row["gradients"]), tuple(row["losses"]), dict(row["backward_of"]), frozenset(row["every_gradient"]),
        frozenset(row["scales"]), frozenset(row["packed"]), tuple([(start, stop) for start, stop in row["within"]]),
    )  # fmt: skip


def check_step(body: Mapping[str, Any]) -> None:
    """Raise :class:`~fxcount.errors.InputError` for a number that leads out of the tables of the report."""
    step = body["step"]
    for what, found, limit in _ranges(step, len(body["calls"]), len(body["events"])):
        start, stop = found
        if not 0 <= start <= stop <= limit:
            raise _damaged(f"{what} is [{str(start)[:40]}, {str(stop)[:40]}], and there are {limit}")
    for name in _STORAGES:
        if not all([i < len(body["storages"]) for i in step[name]]):
            raise _damaged(f"report.step.{name} names a storage that there is not")
    if not all([i < len(body["calls"]) for pair in step["backward_of"] for i in pair]):
        raise _damaged("report.step.backward_of names a call that there is not")
    if not any(p["name"] == "forward" for p in step["phases"]):
        raise _damaged("report.step.phases has no forward")


def _ranges(step: Mapping[str, Any], calls: int, entries: int) -> Iterator[tuple[str, list[int], int]]:
    for i, phase in enumerate(step["phases"]):
        yield f"report.step.phases[{i}].calls", phase["calls"], calls
        yield f"report.step.phases[{i}].log", phase["log"], entries
    for i, stretch in enumerate(step["within"]):
        yield f"report.step.within[{i}]", stretch, entries


def _damaged(what: str) -> InputError:
    return InputError(f"this training step is damaged: {what}", hint="write it again with report.to_json()")
