"""A training step as data: FLOPs and bytes of forward, backward and optimizer, as formulas or, after ``at()``, as numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from fxcount.dataclass import dataclass
from fxcount.passes import Costs, Parameters, parameters
from fxcount.report.data.family import Family
from fxcount.report.data.piece import Piece
from fxcount.report.data.report import ReportData
from fxcount.symbolic import Size, Unbacked, evaluate, max_
from fxcount.training.memory import Moment, StepMemory
from fxcount.training.run import Phase, StepTrace

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Instant", "Place", "StepPeak", "TrainingData", "TrainingRow"]


class StepPeak(NamedTuple):
    """Bytes of the optimizer's step: gradients, states and temporaries, in the first step and in every later one."""

    first: Any
    later: Any


class Place(NamedTuple):
    """Where a peak is: the phase, the op, the module (of whose op it is the backward), and the line of the model."""

    phase: str
    op: str
    module: str
    source: str

    def __str__(self) -> str:
        line = f" ({self.source})" if self.source else ""
        return f"{self.op} in the {self.phase}" + (f" of {self.module}" if self.module else "") + line


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """What one module does in a step, by itself: FLOPs of its forward and of the backward of that, and bytes that are saved for
    the backward, of tensors it made."""

    path: str
    class_name: str
    forward_flops: Any
    backward_flops: Any
    saved_bytes: Any


class Instant(NamedTuple):
    """One call of a step on its timeline: the most bytes alive while it is the last one made, parameters and buffers not
    among them."""

    phase: str
    op: str
    module: str
    source: str
    nbytes: int


class StepPiece(Piece):
    """One analysis of a step, with what is worked out of it, at all sizes alike, when first asked for."""

    def __init__(self, step: StepTrace, costs: Costs, because: str = "") -> None:
        super().__init__(step.trace, costs, because)
        self.step = step
        self.of_step = StepMemory(step)
        self.peaks: dict[tuple[tuple[range, ...], str], Size] = {}
        self.total: Size | None = None

    @cached_property
    def counted_in_steps(self) -> frozenset[int]:
        """The storages that a peak of the optimizer's step counts."""
        return self.of_step.counted_in_steps()

    @cached_property
    def parameters(self) -> Parameters:
        """Judged by the losses alone: an optimizer writes to every parameter."""
        stop = max([p.calls.stop for p in self.step.of("forward")], default=0)
        calls = self.trace.calls[:stop]
        losses = tuple([v for c in calls for v in c.outputs if v.storage in self.step.losses])
        return parameters(replace(self.trace, calls=calls, outputs=losses) if losses else self.trace)

    @cached_property
    def guesses(self) -> dict[str, Unbacked]:
        """Values that an optimizer reads scale its update, and no size, no FLOPs."""
        return {name: found for name, found in super().guesses.items() if name not in self.step.scales}

    @classmethod
    def of(cls, report: Any, because: str) -> StepPiece:
        """That of a report."""
        return cls(report.step, report.costs, because)


class TrainingData(ReportData):
    """FLOPs and bytes of one training step. Totals are ``int``, or ``sympy.Expr`` while symbols remain.

    FLOPs are those of contractions (convolutions, products, attention), 2 for each multiply-accumulate. A peak counts what is
    alive at one moment: inputs, activations, what autograd saved, gradients; parameters, buffers and optimizer states only in
    ``total_peak``. Of a step of the user's own, which is done twice, the second time counts.
    """

    _found: StepPiece

    def __init__(
        self, step: StepTrace, costs: Costs, values: Mapping[str, int] | None = None, guessed: Iterable[str] | None = None
    ) -> None:
        super().__init__(step.trace, costs, values, guessed)
        self.step = step
        self._found = StepPiece(step, costs)
        self.family = Family(self._found)

    def _of(
        self, piece: Piece, values: Mapping[str, int] | None = None, guessed: Iterable[str] | None = None,
        fixed: Mapping[str, int] | None = None,
    ) -> Self:  # fmt: skip
        assert isinstance(piece, StepPiece)
        found = type(self)(piece.step, piece.costs, values, guessed)
        found._found, found.family, found.fixed = piece, self.family, dict(fixed or {})
        return found

    # -- work ---------------------------------------------------------------------------------------------------------
    def _macs(self, *names: str) -> Size:
        phases = self.step.of(*names)
        return self.costs.sum([c for p in phases for c in self.trace.calls[p.calls.start : p.calls.stop]]).macs

    @property
    def forward_flops(self) -> Any:
        """FLOPs of the forward and the loss."""
        return self.public(2 * self._macs("forward"))

    @property
    def backward_flops(self) -> Any:
        """FLOPs of the backward, with what checkpointing computes again."""
        return self.public(2 * self._macs("backward"))

    @property
    def flops(self) -> Any:
        """FLOPs of forward and backward."""
        return self.public(2 * self._macs("forward", "backward"))

    @property
    def macs(self) -> Any:
        """Multiply-accumulates of forward and backward."""
        return self.public(self._macs("forward", "backward"))

    # -- bytes --------------------------------------------------------------------------------------------------------
    @property
    def memory(self) -> StepMemory:  # type: ignore[override]
        """The memory pass' own result."""
        return self._found.of_step

    @property
    def parameter_bytes(self) -> int:
        """Bytes of the parameters."""
        return self.memory.parameters

    @property
    def buffer_bytes(self) -> int:
        """Bytes of the buffers."""
        return self.memory.buffers

    @property
    def input_bytes(self) -> Any:
        """Bytes of the inputs and targets."""
        return self.public(self.memory.inputs)

    @property
    def saved_bytes(self) -> Any:
        """Bytes that only the graph holds between forward and backward: parameters, buffers and inputs are not among them."""
        return self.public(self.memory.nbytes(self.memory.saved))

    @property
    def offloaded_bytes(self) -> Any:
        """Bytes that hooks for saved tensors keep in the CPU's memory for the backward of a model that is elsewhere
        (``save_on_cpu``): neither :attr:`saved_bytes` nor a peak counts them. 0 of a model on the CPU."""
        return self.public(self.memory.nbytes(self.memory.offloaded))

    @property
    def gradient_bytes(self) -> Any:
        """Bytes of the gradients that parameters and inputs hold after the backward."""
        return self.public(self.memory.nbytes(self.step.gradients))

    @property
    def optimizer_bytes(self) -> Any:
        """Bytes of the optimizer's states; 0 without an optimizer."""
        return self.public(self.memory.nbytes(self.memory.states))

    def formulas(self) -> dict[str, Size]:
        """Every total by its name, as the project's own formulas: with symbols whatever the report's sizes are."""
        memory, peak, steps = self.memory, self._peak_formula, self._optimizer_stretches()
        return {
            "forward_flops": 2 * self._macs("forward"), "backward_flops": 2 * self._macs("backward"),
            "flops": 2 * self._macs("forward", "backward"), "macs": self._macs("forward", "backward"),
            "saved_bytes": memory.nbytes(memory.saved), "gradient_bytes": memory.nbytes(self.step.gradients),
            "optimizer_bytes": memory.nbytes(memory.states), "input_bytes": memory.inputs,
            "param_bytes": memory.parameters, "buffer_bytes": memory.buffers,
            "forward_peak": peak(self._stretch("forward")), "peak": peak(self._running),
            "step_peak": peak(steps[-1], "step") if steps else memory.nbytes(self.step.gradients),
            "total_peak": self._total(peak),
        }  # fmt: skip

    # -- peaks --------------------------------------------------------------------------------------------------------
    def _stretch(self, *names: str) -> tuple[range, ...]:
        """The stretches of the log in which phases of these names are, those that touch as one."""
        return joined([p.log for p in self.step.of(*names)])

    @property
    def _running(self) -> tuple[range, ...]:
        return self._stretch("forward", "backward", "update")

    def _counted(self, what: str) -> frozenset[int] | None:
        """The storages that a peak counts: ``"running"`` of forward and backward, ``"step"`` of the optimizer, or all."""
        if what == "all":
            return None
        return self.memory.running if what == "running" else self._found.counted_in_steps

    def _peak(self, stretches: tuple[range, ...], what: str = "running") -> Size:
        """The peak of some stretches: a number at the report's values, else a formula."""
        if self.values is not None:
            return self.memory.peak_at(self.values, stretches, self._counted(what)).nbytes
        return self._peak_formula(stretches, what)

    def _peak_formula(self, stretches: tuple[range, ...], what: str = "running") -> Size:
        key = (stretches, what)
        if key not in self._found.peaks:
            self._found.peaks[key] = self.memory.peak(stretches, self._counted(what))
        return self._found.peaks[key]

    @property
    def forward_peak(self) -> Any:
        """Largest number of bytes alive at one moment of forward and loss, inputs included, parameters and buffers not."""
        return self.public(self._peak(self._stretch("forward")))

    @property
    def peak(self) -> Any:
        """The same of forward and backward, gradients included."""
        return self.public(self._peak(self._running))

    @property
    def step_peak(self) -> StepPeak:
        """Largest number of bytes of gradients, states and temporaries at one moment of ``optimizer.step()``, of the first
        step and of a later one; the gradients alone without an optimizer."""
        steps = self._optimizer_stretches()
        if not steps:
            return StepPeak(self.gradient_bytes, self.gradient_bytes)
        first, later = (self.public(self._peak(found, "step")) for found in (steps[0], steps[-1]))
        return StepPeak(first, later)

    def _optimizer_stretches(self) -> list[tuple[range, ...]]:
        return [joined([p.log for p in phases]) for phases in self.step.steps]

    @property
    def total_peak(self) -> Any:
        """Largest number of bytes alive at one moment of a step in the steady state: everything, parameters, buffers and the
        optimizer's states included."""
        return self.public(self._total(self._peak))

    def _total(self, peak: Callable[..., Size]) -> Size:
        """:attr:`total_peak` with peaks of this kind."""
        memory = self.memory
        if self.step.counted:  # the states are there since the first round
            most = peak(self._stretch(*NAMES), "all")
        else:
            running = peak(self._running) + memory.nbytes(memory.states)
            most = max_(running, *[peak(found, "all") for found in self._optimizer_stretches()[1:]])
        return most + memory.parameters + memory.buffers + memory.constants

    @property
    def total_bytes(self) -> int:
        """:attr:`total_peak` at the report's values or at the sample values, from the formula of its piece: the fast way to
        many sizes."""
        if self._found.total is None:
            self._found.total = self._total(self._peak_formula)
        return int(evaluate(self._found.total, self.sizes))

    @property
    def peak_place(self) -> Place:
        """Where :attr:`peak` is reached: at the report's values, or at the sample values."""
        return self._place(self._moment(self._running, "running"))

    @property
    def forward_peak_place(self) -> Place:
        """Where :attr:`forward_peak` is reached."""
        return self._place(self._moment(self._stretch("forward"), "running"))

    @property
    def step_peak_place(self) -> Place | None:
        """Where the later of :attr:`step_peak` is reached; ``None`` without an optimizer."""
        steps = self._optimizer_stretches()
        return self._place(self._moment(steps[-1], "step")) if steps else None

    @property
    def total_peak_place(self) -> Place:
        """Where :attr:`total_peak` is reached."""
        return self._place(self._total_moment())

    def _total_moment(self) -> Moment:
        if self.step.counted:
            return self._moment(self._stretch(*NAMES), "all")
        running = self._moment(self._running, "running")
        states = int(evaluate(self.memory.nbytes(self.memory.states), self.sizes))
        later = [self._moment(found, "all") for found in self._optimizer_stretches()[1:]]
        return max([running, *[m._replace(nbytes=m.nbytes - states) for m in later]], key=lambda m: m.nbytes)

    def held(self) -> dict[str, int]:
        """What :attr:`total_peak` is made of, in bytes, at the report's values or at the sample values: ``parameters``,
        ``buffers``, ``constants`` (other tensors that were there before, if there are any), ``states``, ``gradients``,
        ``inputs``, ``saved``, ``temporaries``."""
        memory, moment = self.memory, self._total_moment()
        found = memory.held_at(self.sizes, moment.position)
        states = int(evaluate(memory.nbytes(memory.states), self.sizes))
        constants = int(evaluate(memory.constants, self.sizes))
        others = {"constants": constants} if constants else {}
        return {"parameters": memory.parameters, "buffers": memory.buffers, **others, "states": states, **found}

    @property
    def timeline(self) -> list[Instant]:
        """One row for each call of the step, in order, at the report's values or at the sample values."""
        found = self.memory.alive_after(self.sizes)
        return [Instant(*self._place_of(index), nbytes) for index, nbytes in enumerate(found)]

    def _moment(self, stretches: tuple[range, ...], what: str) -> Moment:
        return self.memory.peak_at(self.sizes, stretches, self._counted(what))

    def _place(self, moment: Moment) -> Place:
        return self._place_of(max(moment.call, 0))

    def _place_of(self, index: int) -> Place:
        call = self.trace.calls[index]
        path = self.trace.modules[call.module].path if call.module >= 0 else ""
        return Place(self.phase_of(index), call.op.name, path, str(call.source or ""))

    def phase_of(self, index: int) -> str:
        """The phase of an op, by its number: ``"forward"``, ``"backward"``, ``"optimizer"``, ..."""
        return next((p.name for p in self.step.phases if index in p.calls), "forward")

    # -- rows ---------------------------------------------------------------------------------------------------------
    def by_module(self, depth: int | None = None) -> list[TrainingRow]:  # type: ignore[override]
        """One row for each module that does something itself, in the order of the forward: what its submodules do is in theirs.

        With ``depth`` what is deeper is added to the module at that depth. The rows add up to the totals.
        """
        trace = self.trace
        calls: dict[tuple[str, str], tuple[list[Any], list[Any]]] = {}
        kept: dict[tuple[str, str], list[int]] = {}
        for phase in self.step.of("forward", "backward"):
            for call in trace.calls[phase.calls.start : phase.calls.stop]:
                calls.setdefault(self._module(call.module, depth), ([], []))[phase.name == "backward"].append(call)
        for i in self.memory.saved:
            module = self._module(trace.calls[trace.storages[i].born].module, depth)
            kept.setdefault(module, []).append(i)
            calls.setdefault(module, ([], []))
        return [
            TrainingRow(
                path, name, self.public(2 * self.costs.sum(forward).macs), self.public(2 * self.costs.sum(backward).macs),
                self.public(self.memory.nbytes(kept.get((path, name), ()))),
            )
            for (path, name), (forward, backward) in calls.items()
        ]  # fmt: skip

    def _module(self, index: int, depth: int | None) -> tuple[str, str]:
        modules = self.trace.modules
        while index >= 0 and depth is not None and modules[index].path.count(".") >= depth > 0:
            index = modules[index].parent
        return (modules[index].path, modules[index].class_name) if index >= 0 else ("", self.trace.model_name)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The parts of the step, in order."""
        return self.step.phases

    @property
    def notes(self) -> list[str]:
        """What else there is to know, in words."""
        return list(self.trace.notes)


NAMES = ("forward", "backward", "update", "optimizer")


def joined(ranges: Iterable[range]) -> tuple[range, ...]:
    """Ranges in order, those that touch as one.

    >>> joined([range(0, 3), range(3, 5), range(7, 9)])
    (range(0, 5), range(7, 9))
    """
    found: list[range] = []
    for one in ranges:
        if found and found[-1].stop == one.start:
            found[-1] = range(found[-1].start, one.stop)
        else:
            found.append(one)
    return tuple(found)
