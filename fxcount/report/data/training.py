"""A training step as data: FLOPs and bytes of forward, backward and optimizer, as formulas or, after ``at()``, as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from fxcount.errors import AssumptionError
from fxcount.passes import Costs
from fxcount.report.data.report import ReportData
from fxcount.symbolic import Size, evaluate, max_
from fxcount.training.memory import Moment, StepMemory
from fxcount.training.run import Phase, StepTrace

if TYPE_CHECKING:
    from typing import Self

    from fxcount.report.data.recipe import Recipe

__all__ = ["Place", "StepPeak", "TrainingData", "TrainingRow"]


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


class _Found:
    """What is worked out of one step, at all sizes alike, when first asked for."""

    def __init__(self, step: StepTrace, costs: Costs) -> None:
        self.memory = StepMemory(step)
        self.data = ReportData(step.trace, costs)
        self.counted_in_steps = self.memory.counted_in_steps()
        self.peaks: dict[tuple[int, int, str], Size] = {}
        self.pieces: list[Any] = []  # reports of the same step at sizes where the model decides otherwise


class TrainingData:
    """FLOPs and bytes of one training step. Totals are ``int``, or ``sympy.Expr`` while symbols remain.

    FLOPs are those of contractions (convolutions, products, attention), 2 for each multiply-accumulate. A peak counts what is
    alive at one moment: inputs, activations, what autograd saved, gradients; parameters, buffers and optimizer states only in
    ``total_peak``.
    """

    def __init__(self, step: StepTrace, costs: Costs, values: Mapping[str, int] | None = None) -> None:
        self.step = step
        self.trace = step.trace
        self.costs = costs
        self.values = dict(values) if values is not None else None
        self._found = _Found(step, costs)
        self.recipe: Recipe | None = None

    # -- work ---------------------------------------------------------------------------------------------------------
    def _macs(self, *names: str) -> Size:
        calls = [c for p in self.step.phases if p.name in names for c in self.trace.calls[p.calls.start : p.calls.stop]]
        return self.costs.sum(calls).macs

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
    def memory(self) -> StepMemory:
        """The memory pass' own result."""
        return self._found.memory

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
    def gradient_bytes(self) -> Any:
        """Bytes of the gradients that parameters and inputs hold after the backward."""
        return self.public(self.memory.nbytes(self.step.gradients))

    @property
    def optimizer_bytes(self) -> Any:
        """Bytes of the optimizer's states; 0 without an optimizer."""
        return self.public(self.memory.nbytes(self.memory.states))

    # -- peaks --------------------------------------------------------------------------------------------------------
    def _stretch(self, *names: str) -> range:
        phases = [p for p in self.step.phases if p.name in names]
        return range(phases[0].log.start, phases[-1].log.stop)

    def _counted(self, what: str) -> frozenset[int] | None:
        """The storages that a peak counts: ``"running"`` of forward and backward, ``"step"`` of the optimizer, or all."""
        if what == "all":
            return None
        return self.memory.running if what == "running" else self._found.counted_in_steps

    def _peak(self, stretch: range, what: str = "running") -> Size:
        """The peak of a stretch: a number at the report's values, else a formula."""
        counted = self._counted(what)
        if self.values is not None:
            return self.memory.peak_at(self.values, stretch, counted).nbytes
        key = (stretch.start, stretch.stop, what)
        if key not in self._found.peaks:
            self._found.peaks[key] = self.memory.peak(stretch, counted)
        return self._found.peaks[key]

    @property
    def forward_peak(self) -> Any:
        """Largest number of bytes alive at one moment of forward and loss, inputs included, parameters and buffers not."""
        return self.public(self._peak(self._stretch("forward")))

    @property
    def peak(self) -> Any:
        """The same of forward and backward, gradients included."""
        return self.public(self._peak(self._stretch("forward", "backward")))

    @property
    def step_peak(self) -> StepPeak:
        """Largest number of bytes of gradients, states and temporaries at one moment of ``optimizer.step()``, of the first
        step and of a later one; the gradients alone without an optimizer."""
        steps = self.step.steps
        if not steps:
            return StepPeak(self.gradient_bytes, self.gradient_bytes)
        first, later = (self.public(self._peak(p.log, "step")) for p in steps)
        return StepPeak(first, later)

    @property
    def total_peak(self) -> Any:
        """Largest number of bytes alive at one moment of a step in the steady state: everything, parameters, buffers and the
        optimizer's states included."""
        memory, steps = self.memory, self.step.steps
        running = self._peak(self._stretch("forward", "backward")) + self.size(memory.nbytes(memory.states))
        most = max_(running, *[self._peak(p.log, "all") for p in steps[1:]])
        return self.public(most + memory.parameters + memory.buffers)

    @property
    def peak_place(self) -> Place:
        """Where :attr:`peak` is reached: at the report's values, or at the sample values."""
        return self._place(self._moment(self._stretch("forward", "backward"), self.memory.running))

    @property
    def forward_peak_place(self) -> Place:
        """Where :attr:`forward_peak` is reached."""
        return self._place(self._moment(self._stretch("forward"), self.memory.running))

    @property
    def step_peak_place(self) -> Place | None:
        """Where the later of :attr:`step_peak` is reached."""
        steps = self.step.steps
        return self._place(self._moment(steps[-1].log, self._found.counted_in_steps)) if steps else None

    def _moment(self, stretch: range, counted: frozenset[int] | None = None) -> Moment:
        return self.memory.peak_at(self.values or self.trace.scope.hints, stretch, counted)

    def _place(self, moment: Moment) -> Place:
        call = self.trace.calls[max(moment.call, 0)]
        phase = next((p.name for p in self.step.phases if moment.call in p.calls), "forward")
        path = self.trace.modules[call.module].path if call.module >= 0 else ""
        return Place(phase, call.op.name, path, str(call.source or ""))

    # -- rows ---------------------------------------------------------------------------------------------------------
    def by_module(self) -> list[TrainingRow]:
        """One row for each module that does something itself, in the order of the forward: what its submodules do is in theirs.

        The rows add up to the totals.
        """
        trace = self.trace
        calls: dict[tuple[str, str], tuple[list[Any], list[Any]]] = {}
        kept: dict[tuple[str, str], list[int]] = {}
        for phase in (self.step.phase("forward"), self.step.phase("backward")):
            for call in trace.calls[phase.calls.start : phase.calls.stop]:
                calls.setdefault(self._module(call.module), ([], []))[phase.name == "backward"].append(call)
        for i in self.memory.saved:
            kept.setdefault(self._module(trace.calls[trace.storages[i].born].module), []).append(i)
        return [
            TrainingRow(
                path, name, self.public(2 * self.costs.sum(forward).macs), self.public(2 * self.costs.sum(backward).macs),
                self.public(self.memory.nbytes(kept.get((path, name), ()))),
            )
            for (path, name), (forward, backward) in calls.items()
        ]  # fmt: skip

    def _module(self, index: int) -> tuple[str, str]:
        if index < 0:
            return "", self.trace.model_name
        module = self.trace.modules[index]
        return module.path, module.class_name

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The parts of the step, in order."""
        return self.step.phases

    # -- what it rests on ---------------------------------------------------------------------------------------------
    @property
    def assumptions(self) -> list[Any]:
        """Decisions on sizes the formulas rest on, each with its place in the model."""
        return list(self.trace.scope.assumptions)

    @property
    def notes(self) -> list[str]:
        """What else there is to know, in words."""
        return list(self.trace.notes)

    @property
    def uncounted(self) -> tuple[Any, ...]:
        """Calls of ops without a cost rule: if there are any, FLOPs are lower bounds."""
        return self.costs.uncounted

    @property
    def symbols(self) -> dict[str, int]:
        """The symbols that remain, with the hints at which decisions were taken."""
        return {} if self.values is not None else dict(self.trace.scope.hints)

    def at(self, /, *, extend: int = True, guess: int = False, **values: int) -> Self:
        """The same report with numbers. Every symbol needs a value.

        Sizes at which the model decides otherwise are analysed there, unless ``extend=False``.

        Raises :class:`~fxcount.errors.SizeError` for missing, unknown or impossible values and
        :class:`~fxcount.errors.AssumptionError` when the formulas do not hold at these sizes.
        """
        for known in (self, *(self._found.pieces if extend else ())):
            try:
                return cast("Self", known._with(known._found.data.at(extend=False, guess=guess, **values).values))
            except AssumptionError as error:
                failed = error
        if not extend or self.recipe is None:
            raise failed
        piece = self.recipe.again({**self.recipe.hints, **{name: int(value) for name, value in values.items()}})
        self._found.pieces.append(piece)
        return cast("Self", piece.at(extend=False, guess=guess, **values))

    def _with(self, values: Mapping[str, int] | None) -> Self:
        found = type(self)(self.step, self.costs, values)
        found._found, found.recipe = self._found, self.recipe
        return found

    def __repr__(self) -> str:
        return f"<fxcount.{type(self).__name__} of {self.trace.model_name}: {len(self.trace.calls)} ops>"

    # -- internal -----------------------------------------------------------------------------------------------------
    def size(self, size: Size) -> Size:
        """``size`` at the report's values, or as it is."""
        return size if self.values is None or isinstance(size, int) else evaluate(size, self.values)

    def public(self, size: Size) -> Any:
        """``size`` as users get it: an ``int``, or a ``sympy.Expr``."""
        return self._found.data.public(self.size(size))
