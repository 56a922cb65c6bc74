"""Rows of what modules do by themselves, without their submodules: one for each call of a layer, or one for each class.

Unlike rows of modules with all that is inside, these add up to the totals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.passes.cost import Costs
from fxcount.passes.elements import elements_of
from fxcount.report.data.rows import COUNTS
from fxcount.symbolic import Size, sum_
from fxcount.trace.tape import Call, Trace

__all__ = ["ClassRow", "LayerRow", "class_rows", "layer_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    params: int
    activation_bytes: Size
    macs: Size
    flops: Size
    transcendentals: Size
    read_bytes: Size
    write_bytes: Size


@dataclass(frozen=True, slots=True)
class LayerRow(_Own):
    """One call of a module: ``params`` are elements of parameters that it holds itself and that no earlier row has;
    ``activation_bytes`` are bytes of the results of its own ops that are no views."""

    path: str
    class_name: str
    number: int
    output_shapes: tuple[tuple[Size, ...], ...]


@dataclass(frozen=True, slots=True)
class ClassRow(_Own):
    """All calls of modules of one class."""

    class_name: str
    calls: int


def layer_rows(trace: Trace, costs: Costs) -> Iterator[LayerRow]:
    """Every module call that does work or holds parameters, in execution order."""
    own: dict[int, list[Call]] = {}
    for call in trace.calls:
        own.setdefault(call.module, []).append(call)
    made: dict[int, list[Size]] = {}
    for storage in trace.storages:
        if storage.origin == "op" and storage.born >= 0:
            made.setdefault(trace.calls[storage.born].module, []).append(storage.nbytes)
    held = _held(trace)
    for m in trace.modules:
        params = held.pop(m.path, 0)
        if m.index not in own and not params:
            continue
        yield LayerRow(
            m.path, m.class_name, m.number, tuple([f.shape for f in m.outputs]), params=params,
            activation_bytes=sum_(made.get(m.index, [])), **_counts(costs, own.get(m.index, [])),
        )  # fmt: skip


def class_rows(trace: Trace, costs: Costs) -> list[ClassRow]:
    """One row for each class of modules that are called, most multiply-accumulates first (at the hint)."""
    groups: dict[str, list[LayerRow]] = {}
    for row in layer_rows(trace, costs):
        groups.setdefault(row.class_name, []).append(row)
    found = [
        ClassRow(
            name, len(rows), params=sum(r.params for r in rows), activation_bytes=sum_([r.activation_bytes for r in rows]),
            **{count: sum_([getattr(r, count) for r in rows]) for count in COUNTS},
        )
        for name, rows in groups.items()
    ]  # fmt: skip
    hint = trace.scope.hint
    return sorted(found, key=lambda r: (-hint(r.macs), -hint(r.flops), r.class_name))


def _held(trace: Trace) -> dict[str, int]:
    """Elements of the parameters each module holds itself; each element once, where it is named first."""
    declared = [d for d in trace.declared if d.kind == "parameter"]
    found: dict[str, int] = {}
    for d, fresh in zip(declared, elements_of(declared).fresh, strict=True):
        path = d.names[0].rpartition(".")[0]
        found[path] = found.get(path, 0) + fresh
    return found


def _counts(costs: Costs, calls: Sequence[Call]) -> dict[str, Any]:
    total = costs.sum(calls)
    return {name: getattr(total, name) for name in COUNTS}
