"""Parameters: every unique one counted once, by storage, with its names, state and uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch

from fxcount.passes.gradients import Reach, chosen_outputs, reach
from fxcount.trace.tape import Declared, Trace

__all__ = ["ParameterRow", "Parameters", "parameters", "state_bytes"]

Liveness = Literal["trainable", "frozen", "dead"]


@dataclass(frozen=True, slots=True)
class ParameterRow:
    """One parameter: all its names, elements, dtype, whether it asks for a gradient, how many ops use it, whether it
    ``gets_gradient`` from the outputs, whether it is ``dead``, and the ``reason`` for that."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
    numel: int
    dtype: torch.dtype
    requires_grad: bool
    uses: int
    gets_gradient: bool
    dead: bool
    reason: str

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def shared(self) -> bool:
        return len(self.names) > 1


@dataclass(frozen=True, slots=True)
class Parameters:
    """Elements of unique parameters, each counted once. ``dead``: of no effect on the outputs, or asking for a gradient
    that no output gives it; ``bytes``: over all dtypes."""

    total: int
    trainable: int
    frozen: int
    shared: int
    dead: int
    bytes: int
    bytes_by_dtype: dict[torch.dtype, int]
    buffers: int
    buffer_bytes: int
    all_rows: tuple[ParameterRow, ...]

    def rows(self, state: str | None = None) -> list[ParameterRow]:
        """One record for each parameter; ``state`` is ``"trainable"``, ``"frozen"``, ``"shared"`` or ``"dead"``."""
        if state is None:
            return list(self.all_rows)
        tests: dict[str, Callable[[ParameterRow], bool]] = {
            "trainable": lambda r: r.requires_grad,
            "frozen": lambda r: not r.requires_grad,
            "shared": lambda r: r.shared,
            "dead": lambda r: r.dead,
        }
        if state not in tests:
            raise ValueError(f"unknown state {state!r}: use one of {', '.join(tests)}")
        return [r for r in self.all_rows if tests[state](r)]


def parameters(trace: Trace, outputs: str | Iterable[str] | None = None) -> Parameters:
    """Totals over the model's parameters and buffers, who uses them, and which are dead for these ``outputs``.

    A model none of whose outputs gives a gradient (all under ``no_grad``, or integers) is judged by its data alone.
    """
    reached = reach(trace, chosen_outputs(trace, outputs))
    uses: dict[str, int] = {}
    for call in trace.calls:
        for value in call.operands:
            if value.origin == "parameter":
                uses[value.name] = uses.get(value.name, 0) + 1
    for value in trace.values_out():
        if value.origin == "parameter":
            uses[value.name] = uses.get(value.name, 0) + 1
    called = {m.path for m in trace.modules}
    rows = []
    counted: dict[int, list[tuple[int, int]]] = {}  # storage -> element ranges already counted
    total = trainable = frozen = shared = dead = 0
    by_dtype: dict[torch.dtype, int] = {}
    for p in trace.declared:
        if p.kind != "parameter":
            continue
        used = uses.get(p.names[0], 0)
        reason = _reason(p, used, called, reached)
        rows.append(
            ParameterRow(
                p.names, p.shape, p.numel, p.dtype, p.requires_grad, used, p.names[0] in reached.gradient, bool(reason), reason
            )
        )  # fmt: skip
        fresh = _fresh_elements(p, counted)
        total += fresh
        by_dtype[p.dtype] = by_dtype.get(p.dtype, 0) + fresh * p.dtype.itemsize
        if p.requires_grad:
            trainable += fresh
        else:
            frozen += fresh
        if len(p.names) > 1:
            shared += p.numel
        if reason:
            dead += fresh
    buffers = [p for p in trace.declared if p.kind == "buffer"]
    seen: dict[int, list[tuple[int, int]]] = {}
    buffer_elements = [(p, _fresh_elements(p, seen)) for p in buffers]
    return Parameters(
        total, trainable, frozen, shared, dead, sum(by_dtype.values()), by_dtype,
        sum(n for _, n in buffer_elements), sum(n * p.dtype.itemsize for p, n in buffer_elements), tuple(rows),
    )  # fmt: skip


def state_bytes(trace: Trace, kind: Literal["parameter", "buffer"]) -> int:
    """Bytes of the model's parameters or buffers, each element counted once."""
    seen: dict[int, list[tuple[int, int]]] = {}
    return sum(_fresh_elements(p, seen) * p.dtype.itemsize for p in trace.declared if p.kind == kind)


def _reason(p: Declared, used: int, called: set[str], reached: Reach) -> str:
    """Why the parameter is dead; empty if it is not."""
    name = p.names[0]
    if not used:
        owners = {n.rpartition(".")[0] for n in p.names}
        if not owners & called:
            return f"module {sorted(owners)[0] or '<model>'} is never called"
        return "no op uses it"
    if name not in reached.data:
        return "what is computed from it does not reach an output"
    if not p.requires_grad or name in reached.gradient or not reached.gradient:
        return ""
    call = reached.stopped.get(name)
    if call is None:
        return "it reaches the outputs without a gradient"
    why = "under no_grad" if not call.grad_enabled else f"{call.op.name} passes none on"
    return f"it reaches the outputs without a gradient: {why}" + (f" at {call.source}" if call.source else "")


def _fresh_elements(p: Declared, counted: dict[int, list[tuple[int, int]]]) -> int:
    """Elements of ``p`` that no earlier view of the same storage has counted.

    A dense tensor is the interval of its offset; a strided view is taken as the interval it spans, at most its numel.
    """
    start, stop = p.offset, p.offset + p.span
    taken = counted.setdefault(p.storage, [])
    overlap = sum(max(0, min(stop, b) - max(start, a)) for a, b in taken)
    _insert(taken, start, stop)
    return max(0, min(p.numel, p.span - overlap))


def _insert(taken: list[tuple[int, int]], start: int, stop: int) -> None:
    """Add an interval to a list of disjoint ones."""
    rest = []
    for a, b in taken:
        if b < start or a > stop:
            rest.append((a, b))
        else:
            start, stop = min(a, start), max(b, stop)
    rest.append((start, stop))
    taken[:] = rest
