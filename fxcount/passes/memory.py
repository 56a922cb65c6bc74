"""Memory of inference: what is alive when, from the births and deaths the trace recorded, and the peak.

Eager PyTorch frees a tensor when its last Python reference dies. The stand-ins died at the very same points, so the
live set after each birth is known exactly; the peak is the maximum of these sums, and since it moves to another op as
sizes change it is kept as a ``Max`` over the candidates that can be largest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fxcount.ops.common import facts_of_result
from fxcount.passes.parameters import state_bytes
from fxcount.symbolic import Scope, Size, dominates, evaluate, max_, sum_
from fxcount.trace.tape import Trace

__all__ = ["Memory", "Peak", "memory"]


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


def memory(trace: Trace) -> Memory:
    """Walk the births and deaths of the trace."""
    storages = trace.storages
    live: dict[Size, int] = {}  # bytes of a storage -> how many of that size are alive; sums are made when needed
    inputs = [s.nbytes for s in storages if s.origin == "input"]
    results = [s.nbytes for s in storages if s.origin == "op"]
    constants = {i for i, s in enumerate(storages) if s.origin in ("parameter", "buffer", "constant")}
    candidates: dict[frozenset[tuple[Size, int]], int] = {}
    temporaries = _temporaries(trace)
    last_call = -1
    grew = False

    def note(call: int) -> None:
        extra = temporaries.get(call)
        if extra is not None:
            live[extra] = live.get(extra, 0) + 1
        key = frozenset([item for item in live.items() if item[1]])
        candidates.setdefault(key, call)
        if extra is not None:
            live[extra] -= 1

    for event in trace.events:
        if event.storage in constants:
            continue
        if grew and (not event.birth or (event.call != last_call and last_call in temporaries)):
            note(last_call)
            grew = False
        nbytes = storages[event.storage].nbytes
        if event.birth:
            live[nbytes] = live.get(nbytes, 0) + 1
            grew = True
            last_call = event.call
        else:
            live[nbytes] -= 1
            storages[event.storage].died = event.call
    if grew:
        note(last_call)
    peaks = _undominated([(sum_([n * k for n, k in key]), call) for key, call in candidates.items()], trace)
    out = {v.storage for v in trace.values_out()}
    return Memory(
        parameters=state_bytes(trace, "parameter"),
        buffers=state_bytes(trace, "buffer"),
        inputs=sum_(inputs),
        outputs=sum_([storages[i].nbytes for i in sorted(out)]),
        activations=sum_(results),
        peaks=peaks,
    )


def _temporaries(trace: Trace) -> dict[int, Size]:
    """Bytes an op holds besides its results while it runs, by call; rules state them for what eager torch does."""
    by_signature: dict[int, Size] = {}
    for s in trace.signatures:
        if s.op.temporaries is not None:
            extra: Size = s.op.temporaries(facts_of_result(s.result), *s.args, **s.kwargs)
            if extra != 0:
                by_signature[id(s)] = extra
    if not by_signature:
        return {}
    return {c.index: by_signature[id(c.signature)] for c in trace.calls if id(c.signature) in by_signature}


def _undominated(found: list[tuple[Size, int]], trace: Trace) -> tuple[Peak, ...]:
    """Drop every moment that another one exceeds at all sizes.

    A proof of that is tried only where a few sample sizes do not already refute it, which they mostly do.
    """
    samples: list[tuple[dict[str, int], dict[str, int]]] = [(s, {}) for s in _samples(trace.scope)]
    ranked = [([evaluate(nbytes, s, memo) for s, memo in samples], nbytes, call) for nbytes, call in found]
    ranked.sort(key=lambda item: (-item[0][0], item[2]))
    kept: list[tuple[list[int], Peak]] = []
    for values, nbytes, call in ranked:
        for above, peak in kept:
            if all([a >= b for a, b in zip(above, values, strict=True)]) and dominates(peak.nbytes, nbytes):
                break
        else:
            kept.append((values, Peak(nbytes, call)))
    return tuple(peak for _, peak in kept)


def _samples(scope: Scope) -> list[dict[str, int]]:
    """The hint first, then each symbol large and small on its own, then all small: those the assumptions allow."""
    hints = scope.hints
    points: list[dict[str, int]] = []
    for name, value in hints.items():
        points += [{**hints, name: 16 * value}, {**hints, name: max(1, value // 8)}]
    points.append({name: max(1, value // 8) for name, value in hints.items()})
    return [dict(hints), *(p for p in points if scope.check(p) is None)]
