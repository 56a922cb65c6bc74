"""Rows of a report: one for each op call, each module call, each kind of op."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fxcount.passes.cost import CallCost, Costs
from fxcount.passes.elements import elements_of
from fxcount.passes.uses import upwards
from fxcount.symbolic import Size
from fxcount.trace.tape import Declared, Trace

__all__ = ["KindRow", "ModuleRow", "OpRow", "module_parameters", "module_rows", "op_kinds", "op_rows"]


@dataclass(frozen=True, slots=True)
class OpRow:
    """One op call: where it is, what it made, what it cost."""

    index: int
    op: str
    module: str
    source: str
    output_shapes: tuple[tuple[Size, ...], ...]
    cost: CallCost


@dataclass(frozen=True, slots=True)
class ModuleRow:
    """One module call with everything inside it. ``number``: the how-manieth call of this module it is."""

    path: str
    class_name: str
    depth: int
    number: int
    output_shapes: tuple[tuple[Size, ...], ...]
    params: int
    cost: CallCost


@dataclass(frozen=True, slots=True)
class KindRow:
    """All calls of one op."""

    op: str
    calls: int
    cost: CallCost


def op_rows(trace: Trace, costs: Costs) -> Iterator[OpRow]:
    """Every op call in execution order."""
    for call in trace.calls:
        yield OpRow(
            call.index, call.op.name, trace.modules[call.module].path if call.module >= 0 else "",
            str(call.source or ""), tuple(v.fact.shape for v in call.outputs), costs.of(call),
        )  # fmt: skip


def op_kinds(trace: Trace, costs: Costs) -> list[KindRow]:
    """Totals for each op, most multiply-accumulates first (at the hint), then most flops."""
    grouped: dict[str, list[int]] = {}
    for call in trace.calls:
        grouped.setdefault(call.op.name, []).append(call.index)
    rows = [KindRow(op, len(found), costs.sum(trace.calls[i] for i in found)) for op, found in grouped.items()]
    hint = trace.scope.hint
    return sorted(rows, key=lambda r: (-hint(r.cost.macs), -hint(r.cost.flops), r.op))


def module_parameters(trace: Trace) -> dict[str, int]:
    """Elements of the parameters each module holds, those of its submodules included; each element counted once."""
    held: dict[str, list[Declared]] = {}
    for p in trace.declared:
        if p.kind == "parameter":
            for path in {around for name in p.names for around in upwards(name.rpartition(".")[0])}:
                held.setdefault(path, []).append(p)
    return {path: sum(elements_of(found).fresh) for path, found in held.items()}


def module_rows(trace: Trace, costs: Costs, depth: int | None = None) -> list[ModuleRow]:
    """Every module call down to ``depth`` levels below the model, in execution order."""
    held = module_parameters(trace)
    return [
        ModuleRow(
            m.path, m.class_name, m.depth, m.number, tuple(f.shape for f in m.outputs), held.get(m.path, 0),
            costs.sum(trace.calls[m.start : m.stop]),
        )
        for m in trace.modules
        if depth is None or m.depth <= depth
    ]  # fmt: skip
