"""Memory of inference: what is alive when, from the births and deaths the trace recorded, and the peak.

Eager PyTorch frees a tensor when its last Python reference dies. The stand-ins died at the very same points, so the
live set after each birth is known exactly; the peak is the maximum of these sums, and since it moves to another op as
sizes change it is kept as a ``Max`` over the candidates that can be largest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter

from fxcount.dataclass import dataclass
from fxcount.ops.core.common import facts_of_result
from fxcount.ops.core.remembered import temporaries_told
from fxcount.passes.parameters import Parameters, state_bytes
from fxcount.symbolic import Scope, Size, combination, evaluate, in_common_terms, largest_sums, max_, sum_
from fxcount.symbolic.dominance import Parts
from fxcount.trace.tape import Trace

__all__ = ["HELD", "Memory", "Peak", "memory", "moments_of", "peaks_of", "undominated"]

HELD = frozenset({"parameter", "buffer", "constant"})
"""Origins of storages that the model holds: no peak counts them."""


@dataclass(frozen=True, slots=True)
class Peak:
    """A moment at which the live bytes can be largest: the bytes, and the number of the call."""

    nbytes: Size
    call: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes, by what they hold. ``activations``: all results added up; ``peaks``: the moments at which the bytes alive,
    inputs included, parameters and buffers not, can be largest: at every size one of them is the peak."""

    parameters: int
    buffers: int
    inputs: Size
    outputs: Size
    activations: Size
    peaks: tuple[Peak, ...]

    @property
    def peak(self) -> Size:
        """Largest number of bytes alive at one moment: a ``Max`` over ``peaks``."""
        return max_(*[p.nbytes for p in self.peaks]) if self.peaks else 0

    def peak_at(self, values: Mapping[str, int]) -> tuple[int, int]:
        """The peak in bytes at these sizes, and the number of the call where it is reached."""
        return max(((evaluate(p.nbytes, values), p.call) for p in self.peaks), default=(0, 0), key=lambda found: found[0])


def memory(trace: Trace, held: Parameters | None = None) -> Memory:
    """Walk the births and deaths of the trace. ``held``: its parameters and buffers, if they are counted already."""
    storages = trace.storages
    out = {v.storage for v in trace.values_out()}
    kept = {k for i in out for k in storages[i].keeps if storages[k].of not in out}
    return Memory(
        parameters=state_bytes(trace, "parameter") if held is None else held.bytes,
        buffers=state_bytes(trace, "buffer") if held is None else held.buffer_bytes,
        inputs=sum_([s.nbytes for s in storages if s.origin == "input"]),
        outputs=sum_([storages[i].nbytes for i in sorted(out | kept)]),
        activations=_made(trace),
        peaks=peaks_of(trace),
    )


def peaks_of(trace: Trace, calls: range | None = None) -> tuple[Peak, ...]:
    """The moments at which the bytes alive can be largest, in all of the trace or while some of its calls are made."""
    terms, noted = _noted(trace, calls)
    candidates: dict[tuple[int, ...], int] = {}
    for live, call in noted:
        candidates.setdefault(live, call)
    return undominated(terms, candidates, trace.scope)


def moments_of(trace: Trace) -> list[Peak]:
    """Every moment after which something dies, in order, whether or not another one exceeds it."""
    terms, noted = _noted(trace, None)
    sums: dict[tuple[int, ...], Size] = {}
    found: list[Peak] = []
    for live, call in noted:
        if live not in sums:
            sums[live] = combination([(term, n) for term, n in zip(terms, live) if n])
        found.append(Peak(sums[live], call))
    return found


def _noted(trace: Trace, calls: range | None) -> tuple[list[Size], Iterator[tuple[tuple[int, ...], int]]]:
    """Some sizes, and the moments after which something dies: how much of each of them is alive, and the number of the call."""
    temporaries = _temporaries(trace)
    nbytes = [None if s.origin in HELD else s.nbytes for s in trace.storages]
    alike = {id(n): n for n in (*nbytes, *temporaries.values())}  # calls alike share one object: seldom are sizes compared
    sizes = [n for n in dict.fromkeys(alike.values()) if n is not None]
    terms, parts = in_common_terms(sizes)
    parts_of: dict[Size | None, Parts | None] = dict(zip(sizes, parts, strict=True))
    parts_of[None] = None
    of_id = {key: parts_of[n] for key, n in alike.items()}
    at = [of_id[id(n)] for n in nbytes]
    extra = {call: of_id[id(size)] or () for call, size in temporaries.items()}
    return terms, _walked(trace, [0] * len(terms), at, extra, calls)


def _walked(
    trace: Trace, live: list[int], at: Sequence[Parts | None], extra: Mapping[int, Parts], calls: range | None
) -> Iterator[tuple[tuple[int, ...], int]]:
    """``live``: how many of each term are alive; sums are made when needed."""

    def noted(call: int) -> Iterator[tuple[tuple[int, ...], int]]:
        if calls is not None and call not in calls:
            return
        more = extra.get(call, ())
        for i, n in more:
            live[i] += n
        yield tuple(live), call
        for i, n in more:
            live[i] -= n

    grew = -2  # the call of the last birth, if nothing has died since: what is alive then may be a peak
    for call, entries in trace.events.by_call():
        for entry in entries:
            if entry >= 0:
                born = at[entry]
                if born is not None:
                    if grew >= 0 and grew != call and grew in extra:
                        yield from noted(grew)
                    for i, n in born:
                        live[i] += n
                    grew = call
            elif (dead := at[~entry]) is not None:
                if grew > -2:
                    yield from noted(grew)
                    grew = -2
                for i, n in dead:
                    live[i] -= n
    if grew > -2:
        yield from noted(grew)


def _made(trace: Trace) -> Size:
    """The bytes of all results; those of a loop that is recorded once are made in each of its steps."""
    made = [s for s in trace.storages if s.origin == "op"]
    if all([s.times == 1 for s in trace.signatures]):
        sizes = [s.nbytes for s in made]
        alike = {id(n): n for n in sizes}  # those of calls alike are one object
        return combination([(alike[key], count) for key, count in Counter(map(id, sizes)).items()])
    return sum_([s.nbytes * (trace.calls[s.born].signature.times if s.born >= 0 else 1) for s in made])


def _temporaries(trace: Trace) -> dict[int, Size]:
    """Bytes an op holds besides its results while it runs, by call; rules state them for what eager torch does."""
    by_signature: dict[int, Size] = {}
    for s in trace.signatures:
        if s.op.temporaries is not None:
            extra: Size = temporaries_told(s.op, s.told) if s.told is not None else (
                s.op.temporaries(facts_of_result(s.result), *s.args, **s.kwargs)
            )
            if extra != 0:
                by_signature[id(s)] = extra
    if not by_signature:
        return {}
    return {c.index: by_signature[id(c.signature)] for c in trace.calls if id(c.signature) in by_signature}


def undominated(sizes: list[Size], candidates: dict[tuple[int, ...], int], scope: Scope) -> tuple[Peak, ...]:
    """Drop every moment that another one exceeds at all sizes. A moment is how much of each size is alive."""
    moments = sorted(candidates.items(), key=itemgetter(1))
    kept = largest_sums(sizes, [live for live, _ in moments], scope.hints)
    return tuple([Peak(nbytes, moments[i][1]) for i, nbytes in kept])
