"""What a step would cost if it were done otherwise: bytes saved and FLOPs paid, in all and for each module, and a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.errors import SizeError
from fxcount.report.data.changes import Change, otherwise
from fxcount.report.data.training import TrainingData
from fxcount.report.views.units import bytes_text, count_text
from fxcount.symbolic import Size
from fxcount.trace.tape import Call
from fxcount.wording import visible

__all__ = ["Point", "Row", "WhatIf"]


@dataclass(frozen=True, slots=True)
class Row:
    """A module that is computed again: bytes that are then not held between forward and backward (less the inputs that are),
    and the FLOPs of its forward, which are paid once more."""

    path: str
    class_name: str
    saved_bytes: Any
    flops: Any


@dataclass(frozen=True, slots=True)
class Point:
    """A step in which these modules are computed again, and all others of the choice are kept: its peak, and what it pays."""

    recompute: tuple[str, ...]
    keep: tuple[str, ...]
    peak: int
    flops_paid: int

    def __str__(self) -> str:
        again = f"{len(self.recompute)} of {len(self.recompute) + len(self.keep)} modules computed again"
        return f"{again}: a peak of {bytes_text(self.peak)} for {count_text(self.flops_paid)} more FLOPs"


class WhatIf:
    """A training step beside the same with a change: ``base`` and ``report``, both of them reports of a step.

    >>> import torch, fxcount
    >>> from torch import nn
    >>> block = lambda: nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8))
    >>> model = nn.Sequential(block(), block(), nn.Linear(8, 3))
    >>> found = fxcount.training_step(model, "B,8").what_if(checkpoint="[01]")
    >>> found.at(B=1024).peak_saved, found.at(B=1024).flops_paid
    (252064, 1048576)
    """

    def __init__(self, base: TrainingData, report: TrainingData, change: Change) -> None:
        self.base = base
        self.report = report
        self.change = change

    def at(self, **sizes: int) -> WhatIf:
        """Both at these sizes."""
        return WhatIf(self.base.at(**sizes), self.report.at(**sizes), self.change)

    @property
    def peak_saved(self) -> Any:
        """Bytes by which the change makes :attr:`~fxcount.TrainingReport.total_peak` smaller."""
        return self.base.total_peak - self.report.total_peak

    @property
    def flops_paid(self) -> Any:
        """FLOPs of contractions that the change adds to one forward and backward."""
        turns = min(self.change.accumulate, 2)
        paid = self.report.flops - turns * self.base.flops
        return paid // turns if isinstance(paid, int) else paid / turns

    @cached_property
    def rows(self) -> list[Row]:
        """The modules that are computed again, those first that save most bytes for each FLOP, at the report's values or at
        the sample values."""
        base, report = self.base, self.report
        if base.symbols:
            base, report = base.at(**self._sample()), report.at(**self._sample())
        found = []
        for path in self.change.checkpoint:
            numbers = _row(base, report, path)
            found.append((-numbers.saved_bytes / max(1, numbers.flops), _row(self.base, self.report, path)))
        return [row for _, row in sorted(found, key=lambda one: one[0])]

    def _sample(self) -> Mapping[str, int]:
        sizes = self.base.sizes
        return {n: sizes[n] for n in self.base.piece.asked}

    def point(self, count: int) -> Point:
        """The step in which the first ``count`` of :attr:`rows` are computed again, at the report's values. Each is an analysis
        of its own.

        Raises :class:`~fxcount.errors.SizeError` if there are sizes without a value."""
        if self.base.symbols:
            raise SizeError(f"a point has numbers, and {', '.join(self.base.symbols)} have none", hint="ask at(...) first")
        paths = [row.path for row in self.rows]
        again, keep = tuple(paths[:count]), tuple(paths[count:])
        report = analysed(self.base, replace(self.change, checkpoint=again))
        return Point(again, keep, report.total_peak, report.flops - self.base.flops)

    def curve(self, points: int = 5) -> list[Point]:
        """Peak against the FLOPs that are paid for it, from nothing to all of the modules computed again."""
        total = len(self.rows)
        counts = sorted({round(i * total / max(1, points - 1)) for i in range(points)})
        return [self.point(count) for count in counts]

    def plan(self, memory: int | str) -> Point | None:
        """The fewest modules, those first that save most for each FLOP, with which a step fits into a memory; ``None`` if it
        fits with none of these. Found by halving, each step of which is an analysis.

        More modules may need more: what is computed again is there beside the rest. So where all together do not fit, those
        numbers of modules are tried from below that could, as a step can save no more than what is not held."""
        from fxcount.report.largest import budget

        most = budget(memory)
        kept = self.point(0)
        if kept.peak <= most:
            return kept
        low, high = 0, len(self.rows)  # low does not fit
        best = self.point(high)
        if best.peak > most:
            saved = accumulate(int(row.saved_bytes) for row in self.rows)
            hopeful = (count for count, part in enumerate(saved, 1) if kept.peak - part <= most and count < high)
            return next((found for found in map(self.point, hopeful) if found.peak <= most), None)
        while high - low > 1:
            middle = (low + high) // 2
            found = self.point(middle)
            if found.peak <= most:
                high, best = middle, found
            else:
                low = middle
        return best

    def __str__(self) -> str:
        base, report = self.base, self.report
        if base.symbols:
            base, report = base.at(**self._sample()), report.at(**self._sample())
        at = WhatIf(base, report, self.change)
        sizes = ", ".join([f"{n}={v}" for n, v in base.sizes.items()])
        lines = [
            f"{visible(base.trace.model_name)} at {sizes}: a peak of {bytes_text(report.total_peak)} "
            f"instead of {bytes_text(base.total_peak)}, for {count_text(int(at.flops_paid))} more FLOPs"
        ]
        lines += [
            f"  {visible(row.path):<40}{bytes_text(int(row.saved_bytes)):>12} not held, "
            f"{count_text(int(row.flops)):>10} FLOPs again"
            for row in at.rows[:12]
        ]
        return "\n".join([*lines, *([f"  and {len(at.rows) - 12} more"] if len(at.rows) > 12 else [])])


def analysed(base: TrainingData, change: Change) -> TrainingData:
    """The step with the change, at the sizes of ``base``.

    Raises :class:`~fxcount.errors.AssumptionError` if the model is gone or has changed since."""
    recipe = base.recipe
    if recipe is None:
        from fxcount.errors import AssumptionError

        raise AssumptionError("the report was read from a file, without the model", hint="analyse the step again")
    other = otherwise(recipe, change)
    found: TrainingData = other.again({**recipe.hints, **base.trace.scope.hints} if recipe.hints or base.values else None)
    found.recipe = other
    if base.values is not None:
        sizes = {n: base.values[n] for n in found.piece.asked}
        return found.at(**sizes) if sizes else found
    return found.at(**base.fixed) if base.fixed else found


def _row(base: TrainingData, report: TrainingData, path: str) -> Row:
    """What a module holds for the backward, and the FLOPs by which its backward grows: checkpoints stop at the last tensor that
    is wanted, so that the end of a module may not be computed again."""
    trace, memory = base.trace, base.memory
    own = {c.index for c in _inside(base, path, "forward")}
    freed, saved = {i for i in memory.saved if trace.storages[i].born in own}, set(memory.saved)
    outside = [c for p in base.step.of("forward") for c in trace.calls[p.calls.start : p.calls.stop] if c.index not in own]
    read = {o.storage for c in outside for o in c.operands}
    entering = {o.storage for index in own for o in trace.calls[index].operands if trace.storages[o.storage].born not in own}
    newly = [i for i in entering - saved if trace.storages[i].origin == "op"]
    size: Size = memory.nbytes(freed - read) - memory.nbytes(newly)
    name = next((m.class_name for m in trace.modules if m.path == path), "")
    again = 2 * report.costs.sum(_inside(report, path, "backward")).macs
    before = 2 * base.costs.sum(_inside(base, path, "backward")).macs
    return Row(path, name, base.public(size), report.public(again) - base.public(before))


def _inside(report: TrainingData, path: str, phase: str) -> list[Call]:
    """The calls of a phase in a module and those inside it."""
    trace = report.trace
    inside = [m.path == path or m.path.startswith(f"{path}.") for m in trace.modules]
    calls = [c for p in report.step.of(phase) for c in trace.calls[p.calls.start : p.calls.stop]]
    return [c for c in calls if c.module >= 0 and inside[c.module]]


def paths_of(base: TrainingData, names: str | Sequence[str]) -> tuple[str, ...]:
    """The modules of these names in the model of a report."""
    from fxcount.errors import AssumptionError
    from fxcount.report.data.changes import chosen

    if base.recipe is None:
        raise AssumptionError("the report was read from a file, without the model", hint="analyse the step again")
    return chosen(base.recipe.present(), names)
