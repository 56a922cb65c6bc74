"""What CUDA's caching allocator would hold for a report: births and deaths of its tensors, replayed by the documented rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from fxcount.dataclass import dataclass
from fxcount.errors import InputError, SizeError
from fxcount.ops import REGISTRY
from fxcount.passes.allocator import CachingAllocator
from fxcount.passes.scratch import reduction_scratch
from fxcount.report.data.report import ReportData
from fxcount.report.data.training import TrainingData
from fxcount.report.views.units import bytes_text
from fxcount.symbolic import Factors, evaluate
from fxcount.trace.tape import Declared, Trace
from fxcount.training.run import Phase
from fxcount.training.wrapping import NUMBER

__all__ = ["CUBLAS", "Allocation", "allocation_of"]

_RUNS = 3
"""Forwards one after the other: from the second on no segment is asked for that the first has not left."""

CUBLAS: Mapping[str, int] = {"ampere": 4096 * 1024 * 2 + 16 * 1024 * 8, "hopper": 32 << 20, "blackwell": 32 << 20}
"""Bytes of cuBLAS' workspace by architecture, which torch takes of the allocator at the first product and keeps (``ampere``:
all but the two others). Source: ``parseChosenWorkspaceSize`` of aten/src/ATen/cuda/CublasHandlePool.cpp."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """Peaks of the last of several runs: bytes that tensors and workspaces ask for (``requested``), that the allocator hands
    out for them (``allocated``: ``torch.cuda.max_memory_allocated``), and that it has from the driver (``reserved``, in so many
    ``segments``). ``workspaces`` names what is in these besides tensors. The driver's own memory and that of kernels are not.
    """

    requested: int
    allocated: int
    reserved: int
    segments: int
    workspaces: Mapping[str, int]

    @property
    def rounding(self) -> int:
        """Bytes that rounding adds: to 512 for each tensor, and what is left of a block and too little to be split off."""
        return self.allocated - self.requested

    @property
    def unused(self) -> int:
        """Bytes reserved and not handed out at the peak: split blocks of segments, and segments kept for later."""
        return self.reserved - self.allocated

    def __str__(self) -> str:
        rows = {
            "requested": self.requested, "rounding": self.rounding, "allocated": self.allocated, "unused": self.unused,
            "reserved": self.reserved,
        }  # fmt: skip
        lines = [f"{name:<10}{n:>20,}  {bytes_text(n)}" for name, n in rows.items()]
        kept = [f"of these a workspace of {name}: {n:,}" for name, n in self.workspaces.items()]
        return "\n".join([*lines, *kept, f"{self.segments:,} segments"])


COPIES = "copies"
"""cuDNN's workspaces as copies of what a convolution reads and writes: of its operands and its results, one each."""


def allocation_of(report: ReportData, cublas: str | int = 0, cudnn: str | int = 0, multiprocessors: int = 0) -> Allocation:
    """:meth:`fxcount.Report.allocator` and :meth:`fxcount.TrainingReport.allocator`."""
    if report.values is None and report.symbols:
        raise SizeError(f"{', '.join(report.symbols)} have no value", hint="ask report.at(...).allocator()")
    if cudnn != COPIES and (not isinstance(cudnn, int) or cudnn < 0):
        raise InputError(
            f"cudnn={cudnn!a} is no number of bytes", hint=f"give the workspace of its convolutions, {COPIES!r}, or 0"
        )
    if not isinstance(multiprocessors, int) or multiprocessors < 0:
        raise InputError(f"multiprocessors={multiprocessors!a} is no number", hint="give those of the device: 132 for an H100")
    replay = _Replay(report, report.values or {}, cudnn, multiprocessors)
    workspaces = {"cuBLAS": _cublas(cublas), "cuDNN": max(replay.workspaces.values(), default=0)}
    if workspaces["cuBLAS"]:
        replay.books.allocate(workspaces["cuBLAS"])
    if isinstance(report, TrainingData):
        replay.step(report)
    else:
        for _ in range(_RUNS):
            replay.begin()
            replay.play(range(len(report.trace.events.log)))
            replay.end(frozenset())
    requested, allocated = replay.most
    kept = {name: n for name, n in workspaces.items() if n}
    return Allocation(requested, allocated, replay.books.reserved, replay.books.segments, kept)


def _cublas(asked: str | int) -> int:
    """The bytes of cuBLAS' workspace."""
    if isinstance(asked, int) and asked >= 0:
        return asked
    if not isinstance(asked, str) or asked not in CUBLAS:
        raise InputError(f"cublas={asked!a} is no workspace", hint=f"give bytes, or one of {', '.join(CUBLAS)}")
    return CUBLAS[asked]


class _Replay:
    """The storages of a trace in the allocator."""

    def __init__(self, report: ReportData, values: Mapping[str, int], cudnn: str | int, multiprocessors: int) -> None:
        trace = report.trace
        self.books = CachingAllocator()
        self.most = (0, 0)
        self._log, self._marks = trace.events.log, trace.events.marks
        self._origins = [s.origin for s in trace.storages]
        elsewhere = _elsewhere(trace)
        known = Factors(values)
        self._sizes = [
            0 if i in elsewhere or s.name == NUMBER or s.origin in ("parameter", "buffer") else evaluate(s.nbytes, known)
            for i, s in enumerate(trace.storages)
        ]
        self._at: dict[int, int] = {}  # storage -> address
        self._measuring = False
        self.workspaces = _workspaces(trace, cudnn, known) if cudnn else {}
        self._scratch = _scratch(trace, values, multiprocessors) if multiprocessors else {}
        for nbytes in _states(trace.declared):
            self.books.allocate(nbytes)

    def begin(self) -> None:
        """What is counted from here on is a run of its own."""
        self.most = (self.books.requested, self.books.allocated)

    def play(self, stretch: Iterable[int]) -> None:
        """The births and deaths of a stretch of the log."""
        books, at, sizes = self.books, self._at, self._sizes
        for position in stretch:
            entry = self._log[position]
            storage = entry if entry >= 0 else ~entry
            if entry >= 0 and sizes[storage] and storage not in at:
                at[storage] = books.allocate(sizes[storage])
                self._note()
                if position in self._scratch:  # a reduction takes it when its result is there
                    self._take(self._scratch[position])
            elif entry < 0 and storage in at:
                books.free(at.pop(storage))
            if position in self.workspaces:
                self._take(self.workspaces[position])

    def _take(self, nbytes: int) -> None:
        """Hold so many bytes for a moment."""
        address = self.books.allocate(nbytes)
        self._note()
        self.books.free(address)

    def _note(self) -> None:
        requested, allocated = self.most
        if self.books.allocated > allocated or self.books.requested > requested:
            self.most = (max(requested, self.books.requested), max(allocated, self.books.allocated))

    def end(self, keeps: frozenset[int]) -> None:
        """Whoever ran it lets go of its results."""
        for storage in [s for s in self._at if self._origins[s] != "input" and s not in keeps]:
            self.books.free(self._at.pop(storage))

    def step(self, report: TrainingData) -> None:
        """All that was traced; and where forward and backward were traced once, they run again before the later step."""
        step, memory = report.step, report.memory
        self.play(range(step.phases[0].log.start if step.phases else 0))  # the inputs
        states = frozenset(memory.states)
        rounds = step.steps
        if step.counted or not rounds:
            self._phases(step.phases, step.counted)
            if not rounds:
                self.end(states)
                self.begin()
                self._phases(step.phases, 0)
            return
        first = [p for p in step.phases if p.name != "optimizer" or p.round == 0]
        again = [p for p in step.phases if p.name in ("forward", "backward", "update")]
        self._phases(first, -1)
        for later in rounds[1:]:
            self.end(states)
            self.begin()
            self._phases([*again, *later], -1)

    def _phases(self, phases: Iterable[Phase], measured: int) -> None:
        begun = False
        for phase in phases:
            if phase.round == measured and not begun:
                self.begin()
                begun = True
            self.play(phase.log)


def _workspaces(trace: Trace, cudnn: str | int, values: Mapping[str, int]) -> dict[int, int]:
    """Bytes that cuDNN takes of each convolution, by the place in the log where the last of its results is born."""
    found: dict[int, int] = {}
    log, marks = trace.events.log, (*trace.events.marks, len(trace.events.log))
    for call in trace.calls:
        if call.op.kind != "convolution" and call.op is not _CONVOLUTION_BACKWARD:
            continue
        born = {v.storage for v in call.outputs}
        at = [i for i in range(marks[call.index], marks[call.index + 1]) if log[i] in born]
        if at:
            tensors = {v.storage: evaluate(v.fact.nbytes, values) for v in (*call.operands, *call.outputs)}
            found[at[-1]] = sum(tensors.values()) if isinstance(cudnn, str) else cudnn
    return found


def _scratch(trace: Trace, values: Mapping[str, int], multiprocessors: int) -> dict[int, int]:
    """Bytes that sums take for partial results, by the place in the log where their result is born."""
    found: dict[int, int] = {}
    log, marks = trace.events.log, trace.events.marks
    for call in trace.calls:
        if call.op not in _SUMS or call.index >= len(marks) or marks[call.index] >= len(log):
            continue
        x, *rest = call.signature.args
        named = call.signature.kwargs
        shape = [evaluate(n, values) for n in x.shape]
        given = rest[0] if rest and not isinstance(rest[0], torch.dtype) else named.get("dim")
        dims = range(x.ndim) if given is None or given == () else (given,) if isinstance(given, int) else given
        itemsize = 8 if x.dtype in _LONG else 4
        nbytes = reduction_scratch(shape, [d % x.ndim for d in dims], x.itemsize, itemsize, multiprocessors)
        if nbytes:
            found[marks[call.index]] = nbytes
    return found


_CONVOLUTION_BACKWARD = REGISTRY[torch.ops.aten.convolution_backward.default]
_SUMS = frozenset({REGISTRY[torch.sum], REGISTRY[torch.mean]})
_LONG = frozenset({torch.float64, torch.complex64, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool})
"""What is summed in 8 bytes."""


def _elsewhere(trace: Trace) -> frozenset[int]:
    """Storages on another device than the model's: the counters of an optimizer, which stay with the processor."""
    home = next((s.value.fact.device for s in trace.states), None) or next((v.fact.device for v in trace.inputs), None)
    values = [v for c in trace.calls for v in c.outputs] + list(trace.inputs)
    return frozenset([v.storage for v in values if v.fact.device != home])


def _states(declared: Iterable[Declared]) -> list[int]:
    """Bytes of the memory of each parameter and buffer, in the order of the model; those that share it once."""
    ends: dict[int, int] = {}
    for d in declared:
        nbytes = d.held if d.held is not None else (d.offset + d.span) * d.dtype.itemsize
        ends[d.storage] = max(ends.get(d.storage, 0), nbytes)
    return [nbytes for nbytes in ends.values() if nbytes]
