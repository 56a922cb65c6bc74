"""Memory of a training step: what is alive when, from the births and deaths of its trace, in each phase.

The engine's own books: a tensor that autograd saves is held by a node of the graph, and dies when the engine lets go of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from fxcount.passes.memory import HELD, Peak, undominated
from fxcount.passes.parameters import state_bytes
from fxcount.symbolic import Factors, Size, evaluate, max_, sum_
from fxcount.training.run import Phase, StepTrace
from fxcount.training.wrapping import NUMBER

__all__ = ["Moment", "StepMemory"]


class Moment(NamedTuple):
    """The largest number of bytes alive in a stretch of a step, at some sizes, the call where it is reached, and the place in
    the log."""

    nbytes: int
    call: int
    position: int


class StepMemory:
    """What the events of one step tell. Bytes of storages are counted once, whatever views there are."""

    def __init__(self, step: StepTrace) -> None:
        self.step = step
        self.storages = step.trace.storages
        self.log = step.trace.events.log
        self.marks = step.trace.events.marks

    @cached_property
    def inside(self) -> bytearray:
        """1 for each entry of the log after which an op that Python has called goes on: a peak is looked for at its end."""
        found = bytearray(len(self.log) + 1)
        for start, stop in self.step.within:
            found[start : stop - 1] = b"\1" * (stop - 1 - start)
        return found

    # -- what is held -------------------------------------------------------------------------------------------------
    @cached_property
    def parameters(self) -> int:
        """Bytes of the parameters."""
        return state_bytes(self.step.trace, "parameter")

    @cached_property
    def buffers(self) -> int:
        """Bytes of the buffers."""
        return state_bytes(self.step.trace, "buffer")

    @cached_property
    def constants(self) -> Size:
        """Bytes of other tensors that were there before the step: averages of parameters in a list, a schedule of noise, and
        what a module has made for itself in the first step and keeps."""
        return sum_([s.nbytes for s in self.storages if s.origin == "constant"])

    @cached_property
    def inputs(self) -> Size:
        """Bytes of the inputs."""
        return sum_([s.nbytes for s in self.storages if s.origin == "input"])

    @cached_property
    def saved(self) -> tuple[int, ...]:
        """Storages that the forward made and only the graph holds when it ends: they are gone after the backward.

        Of several forwards in one step those of the one after which most is held, at the sample values.
        """
        pairs = [self._saved_between(before, after) for before, after in self.step.turns()]
        hints = Factors(self.step.trace.scope.hints)

        def total(found: tuple[int, ...]) -> int:
            return sum([evaluate(self.storages[i].nbytes, hints) for i in found])

        return max(pairs, key=total) if len(pairs) > 1 else pairs[0] if pairs else ()

    def _saved_between(self, forward: Phase, backward: Phase) -> tuple[int, ...]:
        if self.step.packed:
            return tuple(sorted(self._born(forward) & self.step.packed))
        return tuple(sorted(self._kept_between(forward, backward) - set(self.offloaded)))

    def _kept_between(self, forward: Phase, backward: Phase) -> set[int]:
        alive = self._born(forward) & self._alive_at(forward.log.stop)
        alive = {i for i in alive if self.storages[i].name != NUMBER}
        return (alive - self._alive_at(backward.log.stop)) - set(self.step.losses)

    @cached_property
    def offloaded(self) -> tuple[int, ...]:
        """Storages that a forward made in the CPU's memory, of a model that is elsewhere, and that only the graph holds when it
        ends: what hooks for saved tensors have put there. Nothing else counts them."""
        trace = self.step.trace
        homes = {s.value.fact.device.type for s in trace.states if s.value.origin == "parameter"}
        if not homes or "cpu" in homes:
            return ()
        there = {v.storage for c in trace.calls for v in c.outputs if v.fact.device.type == "cpu"}
        kept: set[int] = set()
        return tuple(sorted(there & kept.union(*[self._kept_between(*pair) for pair in self.step.turns()]))) if there else ()

    @cached_property
    def _apart(self) -> list[bool]:
        """Of each storage, whether no peak counts it."""
        found = [s.origin in HELD for s in self.storages]
        for i in self.offloaded:
            found[i] = True
        return found

    @cached_property
    def states(self) -> tuple[int, ...]:
        """Storages that the optimizer made and keeps."""
        last = [p.log.stop for p in self.step.phases if p.name == "optimizer"][-1:]
        return tuple(sorted(self._made_by_optimizer() & self._alive_at(last[0]))) if last else ()

    def _made_by_optimizer(self) -> set[int]:
        """What it makes when it is built (Adagrad's sums), and in its steps."""
        return set[int]().union(*[self._born(p) for p in self.step.phases if p.name in ("setup", "optimizer")])

    @cached_property
    def running(self) -> frozenset[int]:
        """What a peak of forward and backward counts: all but the optimizer's states."""
        return frozenset(range(len(self.storages))) - frozenset(self.states)

    def nbytes(self, storages: Iterable[int]) -> Size:
        """Their bytes."""
        return sum_([self.storages[i].nbytes for i in storages])

    def _born(self, phase: Phase) -> set[int]:
        return {e for e in self.log[phase.log.start : phase.log.stop] if e >= 0 and self.storages[e].origin not in HELD}

    def _alive_at(self, end: int) -> set[int]:
        alive: set[int] = set()
        for e in self.log[:end]:
            if e >= 0:
                alive.add(e)
            else:
                alive.discard(~e)
        return alive

    # -- peaks --------------------------------------------------------------------------------------------------------
    def counted_in_steps(self) -> frozenset[int]:
        """What a peak of the optimizer's step counts: gradients, and what it makes itself, less wrapped numbers."""
        found = self._made_by_optimizer() | self.step.every_gradient
        return frozenset([i for i in found if self.storages[i].name != NUMBER])

    def peak_at(
        self, values: Mapping[str, int], stretches: Sequence[range], counted: frozenset[int] | None = None
    ) -> Moment:
        """The largest sum of bytes alive in stretches of the log. Parameters, buffers and constants are not counted; of the
        rest all, or those given."""
        memo: dict[Size, int] = {}
        known = Factors(values)
        sizes = []
        for i, (s, apart) in enumerate(zip(self.storages, self._apart, strict=True)):
            if apart or (counted is not None and i not in counted):
                sizes.append(0)
                continue
            if s.nbytes not in memo:
                memo[s.nbytes] = evaluate(s.nbytes, known)
            sizes.append(memo[s.nbytes])
        inside = self.inside
        most, at, now, done = -1, 0, 0, 0
        for stretch in stretches:
            now += sum([sizes[e] if e >= 0 else -sizes[~e] for e in self.log[done : stretch.start]])
            if now > most:
                most, at = now, stretch.start
            for position in stretch:
                e = self.log[position]
                now += sizes[e] if e >= 0 else -sizes[~e]
                if now > most and not inside[position]:
                    most, at = now, position
            done = stretch.stop
        return Moment(max(most, 0), bisect_right(self.marks, at) - 1, at)

    def peaks(self, stretches: Sequence[range], counted: frozenset[int] | None = None) -> tuple[Peak, ...]:
        """The moments of these stretches of which one is the largest at every size."""
        left = [apart or (counted is not None and i not in counted) for i, apart in enumerate(self._apart)]
        sizes = list(dict.fromkeys([s.nbytes for s, out in zip(self.storages, left, strict=True) if not out]))
        places = {size: i for i, size in enumerate(sizes)}
        at = [-1 if out else places[s.nbytes] for s, out in zip(self.storages, left, strict=True)]
        live = [0] * len(sizes)
        candidates: dict[tuple[int, ...], int] = {}
        inside = self.inside
        done = 0
        for stretch in stretches:
            for e in self.log[done : stretch.start]:
                size = at[e if e >= 0 else ~e]
                if size >= 0:
                    live[size] += 1 if e >= 0 else -1
            if stretch and self.log[stretch.start] < 0:
                candidates.setdefault(tuple(live), bisect_right(self.marks, max(stretch.start - 1, 0)) - 1)
            larger = True  # whether it may be the most so far: something was born since the last candidate
            for position in stretch:
                e = self.log[position]
                size = at[e if e >= 0 else ~e]
                if size >= 0:
                    live[size] += 1 if e >= 0 else -1
                    larger = larger or e >= 0
                if larger and not inside[position] and not self._grows_after(position, stretch):
                    candidates.setdefault(tuple(live), bisect_right(self.marks, position) - 1)
                    larger = False
            if not candidates:
                candidates.setdefault(tuple(live), bisect_right(self.marks, max(stretch.stop - 1, 0)) - 1)
            done = stretch.stop
        return undominated(sizes, candidates, self.step.trace.scope)

    def _grows_after(self, position: int, stretch: range) -> bool:
        """Whether the next entry is a birth after which a peak may be."""
        after = position + 1
        return after < stretch.stop and self.log[after] >= 0 and not self.inside[after]

    def peak(self, stretches: Sequence[range], counted: frozenset[int] | None = None) -> Size:
        """The peak of these stretches as a formula."""
        return max_(*[p.nbytes for p in self.peaks(stretches, counted)], 0)

    # -- what is alive ------------------------------------------------------------------------------------------------
    def held_at(self, values: Mapping[str, int], position: int) -> dict[str, int]:
        """Bytes alive after an entry of the log, by what holds them: ``gradients``, ``inputs``, ``saved``, ``temporaries``.
        States are not among them."""
        known = Factors(values)
        kinds = {
            **dict.fromkeys(self.saved, "saved"), **dict.fromkeys(self.step.gradients, "gradients"),
            **{i: "inputs" for i, s in enumerate(self.storages) if s.origin == "input"},
        }  # fmt: skip
        found = {"gradients": 0, "inputs": 0, "saved": 0, "temporaries": 0}
        states = set(self.states)
        for i in self._alive_at(position + 1):
            if i not in states and not self._apart[i]:
                found[kinds.get(i, "temporaries")] += evaluate(self.storages[i].nbytes, known)
        return found

    def alive_after(self, values: Mapping[str, int]) -> list[int]:
        """For each call the most bytes alive from when it is made until the next one is; of one that is a part of an op that
        Python has called, what was alive before."""
        known = Factors(values)
        pairs = zip(self.storages, self._apart, strict=True)
        sizes = [0 if apart else evaluate(s.nbytes, known) for s, apart in pairs]
        found = []
        now = seen = 0
        for start, stop in zip((0, *self.marks[1:]), (*self.marks[1:], len(self.log)), strict=True):
            most = seen
            for position in range(start, stop):
                e = self.log[position]
                now += sizes[e] if e >= 0 else -sizes[~e]
                if not self.inside[position]:
                    seen = now
                    most = max(most, now)
            found.append(most)
        return found
