"""Both ways of a decision on data: the model is traced once for each, and what they count is compared.

A model that asks for data it computed (``if mask.any(): warn(...)``) can go on only with an answer. If all answers give the
same counts, outputs and parameters in use, it does not matter, and the trace says so in its notes; a way on which the model
raises an error of its own is none. If only the bytes moved differ, a note says how; but where sizes decide, and not data, the
way is that of many sizes that were tried, if it is the same for all, else that of the sample values, which are pinned. If more
differs, nobody but the user can say which is meant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import field

from fxcount.dataclass import dataclass
from fxcount.errors import DataDependentError, FxcountError, ShapeError, first_line
from fxcount.ops.core.callcost import CallCost, least_cost
from fxcount.trace.tape import Signature, Trace
from fxcount.trace.tracer.decisions import Decisions

__all__ = ["MAX_WAYS", "both_ways"]

MAX_WAYS = 8
"""Most runs of the model for its decisions on data."""


@dataclass(frozen=True, slots=True)
class _Way:
    """One run: what was decided, and what came of it."""

    decisions: Decisions
    trace: Trace | None
    error: Exception | None = None

    def others(self) -> list[dict[str, bool]]:
        """The answers of the ways that leave this one at a line about which nothing was told."""
        found, so_far = [], dict[str, bool]()
        for line, answer in self.decisions.met.items():
            if line not in self.decisions.told:
                found.append({**so_far, line: not answer})
            so_far[line] = answer
        return found


@dataclass(slots=True)
class _Counts:
    """What a trace counts."""

    total: CallCost
    outputs: list[object] = field(default_factory=list)
    used: frozenset[str] = frozenset()


def both_ways(run: Callable[[Decisions], Trace]) -> Trace:
    """The trace ``run`` gives, if it is the same whatever data decide; each call of ``run`` must be independent.

    Raises :class:`~fxcount.errors.DataDependentError` if the ways count differently, or are more than :data:`MAX_WAYS`.
    """
    tried: list[Decisions] = []
    try:
        ways = _ways(run, tried, compute=False)
        taken = [w for w in ways if w.decisions.as_always]
        trace, alike = _whichever([*taken, *[w for w in ways if w not in taken]])
        if (alike or taken) and all([w.error is None for w in ways]):
            return trace
    except Exception:
        if not any([d.could_compute for d in tried]):
            raise
    else:
        if not any([d.could_compute for d in tried]):
            return trace
    return _whichever(_ways(run, tried, compute=True))[0]  # it matters, and sizes decide it: then at the sample values


def _ways(run: Callable[[Decisions], Trace], tried: list[Decisions], compute: bool) -> list[_Way]:
    """Every way through the model; ``tried`` gets their decisions, also of the one that failed."""
    ways: list[_Way] = []
    waiting: list[dict[str, bool]] = [{}]
    while waiting:
        if len(ways) == MAX_WAYS:
            raise _undecided(ways, f"more than {MAX_WAYS} ways through the model")
        tried.append(Decisions(waiting.pop(0), compute))
        ways.append(_go(run, tried[-1]))
        waiting.extend(ways[-1].others())
    return ways


def _whichever(ways: list[_Way]) -> tuple[Trace, bool]:
    """The first trace, if all do the same work; and whether they move the same bytes, too."""
    passed = [(w, w.trace) for w in ways if w.trace is not None]
    if not passed:
        raise next(w.error for w in ways if w.error is not None)
    (first, trace), *rest = passed
    if len(ways) == 1:
        return trace, True
    counts, traffic = _counts(trace), list[str]()
    for way, other in rest:
        found = _difference(counts, _counts(other))
        if found and not found.startswith(_TRAFFIC):
            raise _undecided([first, way], found)
        traffic.extend([found] if found and found not in traffic else [])
        known = {str(a) for a in trace.scope.assumptions}  # what is compared holds under both
        trace.scope.assumptions.extend([a for a in other.scope.assumptions if str(a) not in known])
    trace.notes.extend(_notes(ways, first))
    trace.notes.extend([f"of the ways that data may decide, {text}" for text in traffic])
    return trace, not traffic


def _go(run: Callable[[Decisions], Trace], decisions: Decisions) -> _Way:
    try:
        return _Way(decisions, run(decisions))
    except Exception as error:
        refused = not isinstance(error, FxcountError) or isinstance(error, ShapeError)
        if not decisions.met or not refused:
            raise
        return _Way(decisions, None, error)  # the model, or torch, does not go this way


def _counts(trace: Trace) -> _Counts:
    times = Counter(id(call.signature) for call in trace.calls)
    signatures = {id(call.signature): call.signature for call in trace.calls}
    total = CallCost.weighted((_cost(s), times[key]) for key, s in signatures.items())
    states = {s.value.index: s.names[0] for s in trace.states if s.value.origin == "parameter"}
    used = frozenset(states[o.index] for c in trace.calls for o in c.operands if o.index in states)
    return _Counts(total, [v.fact for v in trace.values_out()], used)


def _cost(s: Signature) -> CallCost:
    return least_cost(s.op, s.args, s.kwargs, s.result).scaled(s.times)


_TRAFFIC = ("read_bytes", "write_bytes")
"""Whether a mask is read or a kernel makes its own differs often, and is worth a note."""


def _difference(a: _Counts, b: _Counts) -> str:
    """What the first two that differ are, the work first; nothing if all are the same."""
    if a.outputs != b.outputs:
        return "the outputs differ"
    if a.used != b.used:
        return "other parameters are used"
    for name in ("macs", "flops", "transcendentals", *_TRAFFIC):
        one, two = getattr(a.total, name), getattr(b.total, name)
        if one != two:
            return f"{name} are {one} one way and {two} the other"
    return ""


def _undecided(ways: list[_Way], why: str) -> DataDependentError:
    where = {line: place for w in ways for line, place in w.decisions.where.items()}
    answers = [w.decisions.met for w in ways]
    differ = [line for line in where if len({a.get(line) for a in answers}) > 1]
    return DataDependentError(
        f"the model decides on data that are not known without running it, and it matters: {why}",
        where=where[differ[0] if differ else next(iter(where))],
        hint="make the decision on shapes or on a Python value, keep it in tensors (torch.where), give small integer inputs "
        "as tensors with their data, or say which way all such decisions go: hints={'branch': 0} or 1",
    )


def _notes(ways: list[_Way], taken: _Way) -> list[str]:
    notes = []
    for line, answer in taken.decisions.met.items():
        others = [w for w in ways if w.decisions.met.get(line, answer) != answer]
        failed = [w.error for w in others if w.error is not None]
        if failed and len(failed) == len(others):
            why = f"otherwise it raises {type(failed[0]).__name__}: {first_line(failed[0])}"
        else:
            why = "both ways do the same work"
        notes.append(f"a decision on data at {taken.decisions.where[line]} was taken as {answer}: {why}")
    return notes
