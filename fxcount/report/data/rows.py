"""Rows of a report: one for each op call, each module call, each kind of op.

Rows are flat: shapes and counts are ``int``, or formulas. Those a report hands out have ``sympy`` formulas; the functions here
give the project's own, which views print without loading sympy.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from fxcount.columns import COUNTS
from fxcount.dataclass import dataclass
from fxcount.passes.cost import CallCost, Costs
from fxcount.passes.elements import elements_of
from fxcount.passes.uses import upwards
from fxcount.symbolic import Size, free_symbols
from fxcount.trace.tape import Declared, Trace

__all__ = ["COUNTS", "KindRow", "ModuleRow", "OpRow", "module_parameters", "module_rows", "op_kinds", "op_rows", "with_sizes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """What every row counts. ``guesses``: symbols in it whose values nobody knows (see ``Report.guesses``)."""

    macs: Any
    flops: Any
    transcendentals: Any
    read_bytes: Any
    write_bytes: Any
    guesses: tuple[str, ...] = ()

    @property
    def cost(self) -> CallCost:
        """The counts as one record."""
        return CallCost(self.macs, self.flops, self.transcendentals, self.read_bytes, self.write_bytes)


@dataclass(frozen=True, slots=True)
class OpRow(_Counts):
    """One op call: where it is, what it made, what it cost."""

    index: int
    op: str
    module: str
    source: str
    output_shapes: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class ModuleRow(_Counts):
    """One module call with everything inside it. ``number``: which call of this module it is, from 1."""

    path: str
    class_name: str
    depth: int
    number: int
    output_shapes: tuple[tuple[Any, ...], ...]
    params: int


@dataclass(frozen=True, slots=True)
class KindRow(_Counts):
    """All calls of one op."""

    op: str
    calls: int


Row = TypeVar("Row", OpRow, ModuleRow, KindRow)


def with_sizes(row: Row, to: Callable[[Size], Any], guesses: frozenset[str] = frozenset()) -> Row:
    """The row with each shape and count turned into something else; of its symbols those among ``guesses`` are named."""
    changed: dict[str, Any] = {name: to(getattr(row, name)) for name in COUNTS}
    if not isinstance(row, KindRow):
        changed["output_shapes"] = tuple([tuple([to(s) for s in shape]) for shape in row.output_shapes])
    if guesses:
        found = {name for count in COUNTS for name in free_symbols(getattr(row, count))}
        changed["guesses"] = tuple(sorted(found & guesses))
    return dataclasses.replace(row, **changed)


def _counts(cost: CallCost) -> dict[str, Any]:
    return {name: getattr(cost, name) for name in COUNTS}


def op_rows(trace: Trace, costs: Costs) -> Iterator[OpRow]:
    """Every op call in execution order."""
    for call in trace.calls:
        yield OpRow(
            call.index, call.op.name, trace.modules[call.module].path if call.module >= 0 else "",
            str(call.source or ""), tuple([v.fact.shape for v in call.outputs]), **_counts(costs.of(call)),
        )  # fmt: skip


def op_kinds(trace: Trace, costs: Costs) -> list[KindRow]:
    """Totals for each op, most multiply-accumulates first (at the hint), then most flops."""
    grouped: dict[str, list[int]] = {}
    for call in trace.calls:
        grouped.setdefault(call.op.name, []).append(call.index)
    rows = [KindRow(op, len(found), **_counts(costs.sum(trace.calls[i] for i in found))) for op, found in grouped.items()]
    hint = trace.scope.hint
    return sorted(rows, key=lambda r: (-hint(r.macs), -hint(r.flops), r.op))


def module_parameters(trace: Trace) -> dict[str, int]:
    """Elements of the parameters each module holds, those of its submodules included; each element counted once."""
    parameters = [p for p in trace.declared if p.kind == "parameter"]
    tensors = Counter([p.storage for p in parameters])
    alone = [p for p in parameters if tensors[p.storage] == 1]  # of these nothing is another's, whatever is counted with them
    held: Counter[str] = Counter()
    for p, fresh in zip(alone, elements_of(alone).fresh, strict=True):
        for path in _around(p):
            held[path] += fresh
    together: dict[str, list[Declared]] = {}
    for p in parameters:
        for path in _around(p) if tensors[p.storage] > 1 else ():
            together.setdefault(path, []).append(p)
    held.update({path: sum(elements_of(found).fresh) for path, found in together.items()})
    return held


def _around(p: Declared) -> set[str]:
    """The paths of the modules that hold a parameter."""
    return {around for name in p.names for around in upwards(name.rpartition(".")[0])}


def module_rows(trace: Trace, costs: Costs, depth: int | None = None) -> list[ModuleRow]:
    """Every module call down to ``depth`` levels below the model, in execution order."""
    held = module_parameters(trace)
    return [
        ModuleRow(
            m.path, m.class_name, m.depth, m.number, tuple(f.shape for f in m.outputs), held.get(m.path, 0),
            **_counts(total),
        )
        for m, total in zip(trace.modules, costs.of_modules(trace), strict=True)
        if depth is None or m.depth <= depth
    ]  # fmt: skip
