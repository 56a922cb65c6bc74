"""Nodes of the graph: one for each input, op call, parameter, buffer, constant, module, module call, further name, output.

Attributes are plain: texts, numbers, booleans and lists of these. A size is an int where it is known, else the text of
its formula. Bytes and elements carry their unit in the name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fxcount.ops.core.fact import TensorFact
from fxcount.passes.cost import CallCost
from fxcount.passes.uses import called_paths
from fxcount.report.data.report import ReportData
from fxcount.report.data.rows import module_parameters
from fxcount.report.views.graphs.outputs import named_outputs
from fxcount.report.views.saved.sizes import Write, size_text
from fxcount.symbolic import Size
from fxcount.trace.tape import Call, Declared, Trace, Value, once_each

__all__ = [
    "Attributes", "Node", "copier", "declared_id", "keeps_apart", "module_classes", "nodes", "plainly", "shapes",
    "tensor_attributes",
]  # fmt: skip

Attributes = dict[str, Any]
Node = tuple[str, Attributes, Attributes]
"""A node with the attributes of its own, and those that it shares with all nodes like it: one dict, which comes after."""

_NONE: Attributes = {}
Plain = Callable[[Size], int | str]


def plainly(report: ReportData, write: Write = size_text) -> Plain:
    """Sizes at the report's values, or as text that ``write`` gives; each formula is written once."""
    known: dict[Size, int | str] = {}

    def plain(size: Size) -> int | str:
        if isinstance(size, int):
            return int(size)
        found = known.get(size)
        if found is None:
            found = known[size] = write(report.size(size))
        return found

    return plain


def nodes(report: ReportData, plain: Plain, counted: bool = True) -> Iterator[Node]:
    """All nodes, in the order of the model: what it is given, what it holds, what it does, what it returns; not ``counted``:
    without what ops and modules cost."""
    trace = report.trace
    for v in trace.inputs:
        yield f"input:{v.name}", {"kind": "input", "label": v.name, "name": v.name, **tensor_attributes(v, plain)}, _NONE
    yield from _modules(trace)
    yield from _parameters(report)
    yield from _buffers(report)
    for s in trace.states:
        if s.value.origin == "constant":
            name = s.value.name
            own = {"kind": "constant", "label": name, "name": name, **tensor_attributes(s.value, plain)}
            yield f"constant:{name}", own, _NONE
    yield from _module_calls(report, plain, counted)
    yield from _ops(report, plain, counted)
    for name, v in named_outputs(trace.outputs):
        yield f"output:{name}", {"kind": "output", "label": name, "name": name, **tensor_attributes(v, plain)}, _NONE


def copier() -> Callable[[Attributes], Attributes]:
    """What copies attributes that many share, with their lists, for those who hand them out to be changed."""
    known: dict[int, tuple[list[str], Attributes]] = {}  # which are lists; with the dict, so that no other gets its address

    def copied(attributes: Attributes) -> Attributes:
        found = known.get(id(attributes))
        if found is None:
            found = known[id(attributes)] = [name for name, a in attributes.items() if type(a) is list], attributes
        copy = attributes.copy()
        for name in found[0]:
            copy[name] = _own(copy[name])
        return copy

    return copied


def _own(a: list[Any]) -> list[Any]:
    return [_own(x) if type(x) is list else x for x in a]


def shapes(facts: Iterable[TensorFact], plain: Plain) -> list[list[int | str]]:
    """The shape of each."""
    return [[plain(s) for s in f.shape] for f in facts]


def declared_id(d: Declared) -> str:
    """Node of a parameter or buffer, by its first name."""
    return f"{d.kind}:{d.names[0]}"


def tensor_attributes(v: Value, plain: Plain) -> Attributes:
    """Shape, dtype and bytes of a tensor."""
    f = v.fact
    return {"shape": [plain(s) for s in f.shape], "dtype": _name(f.dtype), "nbytes": plain(f.nbytes)}


def module_classes(trace: Trace) -> dict[str, str]:
    """The class of each module by its path: those that are registered, and then those that a forward makes."""
    return {**trace.module_paths, **{m.path: m.class_name for m in trace.modules if m.path not in trace.module_paths}}


def _modules(trace: Trace) -> Iterator[Node]:
    held = module_parameters(trace)
    counts = called_paths(trace)
    for path, class_name in module_classes(trace).items():
        yield f"module:{path}", {
            "kind": "module", "label": f"{path}: {class_name}" if path else class_name, "path": path,
            "class_name": class_name, "depth": path.count(".") + 1 if path else 0, "calls": counts.get(path, 0),
            "parameters": held.get(path, 0),
        }, _NONE  # fmt: skip


def _aliases(d: Declared) -> Iterator[Node]:
    for name in d.names[1:]:
        yield f"alias:{name}", {"kind": "alias", "label": name, "name": name, "of": d.kind}, _NONE


def _parameters(report: ReportData) -> Iterator[Node]:
    rows = {r.name: r for r in report.params.rows()}
    for d in report.trace.declared:
        if d.kind != "parameter":
            continue
        row = rows[d.names[0]]
        yield declared_id(d), {
            "kind": "parameter", "label": d.names[0], "name": d.names[0], "names": list(d.names), "shape": list(d.shape),
            "dtype": _name(d.dtype), "elements": d.numel, "nbytes": d.numel * d.dtype.itemsize,
            "requires_grad": d.requires_grad, "uses": row.uses, "shared": row.shared, "gets_gradient": row.gets_gradient,
            "dead": row.dead, "cause": row.cause, "reason": row.reason,
        }, _NONE  # fmt: skip
        yield from _aliases(d)


def _buffers(report: ReportData) -> Iterator[Node]:
    rows = {r.name: r for r in report.params.buffer_rows}
    for d in report.trace.declared:
        if d.kind != "buffer":
            continue
        row = rows[d.names[0]]
        yield declared_id(d), {
            "kind": "buffer", "label": row.name, "name": row.name, "names": list(d.names), "shape": list(d.shape),
            "dtype": _name(d.dtype), "elements": d.numel, "nbytes": row.nbytes, "persistent": d.persistent,
            "uses": row.uses, "shared": len(d.names) > 1, "updated": row.updated, "reason": row.reason,
        }, _NONE  # fmt: skip
        yield from _aliases(d)


def _module_calls(report: ReportData, plain: Plain, counted: bool) -> Iterator[Node]:
    trace = report.trace
    alike: dict[tuple[object, ...], Attributes] = {}
    totals: Iterable[CallCost | None] = report.costs.of_modules(trace) if counted else [None] * len(trace.modules)
    for m, total in zip(trace.modules, totals, strict=True):
        name = m.path or m.class_name
        key = (id(total), *m.outputs)
        shared = alike.get(key)
        if shared is None:
            shared = alike[key] = {"shapes": shapes(m.outputs, plain), "collapsed": False, **_cost(total, plain)}
        yield f"call:{m.index}", {
            "kind": "module_call", "label": name if m.number == 1 else f"{name} (call {m.number})", "path": m.path,
            "class_name": m.class_name, "depth": m.depth, "number": m.number, "ops": m.stop - m.start,
        }, shared  # fmt: skip


def _ops(report: ReportData, plain: Plain, counted: bool) -> Iterator[Node]:
    trace, costs = report.trace, report.costs.by_signature if counted else {}
    uncounted = {c.index for c in report.costs.uncounted}
    where = once_each(str)
    alike: dict[tuple[object, ...], Attributes] = {}
    for c in trace.calls:
        signature, outputs = c.signature, c.outputs
        name, mutates, has_rule = signature.op.name, bool(c.mutated), c.index not in uncounted
        key = (id(signature), c.grad_enabled, mutates, has_rule, *[id(v.fact) for v in outputs])
        shared = alike.get(key)
        if shared is None:
            shared = alike[key] = {
                "shapes": shapes([v.fact for v in outputs], plain),
                "dtypes": [_name(v.fact.dtype) for v in outputs], "grad_enabled": c.grad_enabled, "in_place": mutates,
                "counted": has_rule, **_cost(costs.get(id(signature)), plain),
            }  # fmt: skip
        yield f"op:{c.index}", {
            "kind": "op", "label": name, "op": name, "index": c.index,
            "path": trace.modules[c.module].path if c.module >= 0 else "", "call": c.module, "where": where(c.source) or "",
        }, shared  # fmt: skip
        if keeps_apart(c):
            for i, v in enumerate(c.outputs):
                yield f"result:{c.index}.{i}", {
                    "kind": "result", "label": f"{name}[{i}]", "op": name, "result": i, **tensor_attributes(v, plain),
                }, _NONE  # fmt: skip


def keeps_apart(c: Call) -> bool:
    """Whether each result of the call is of one operand alone, so that a node for all of them would mix them up."""
    return c.op.one_to_one and len(c.outputs) == len(c.operands) > 1


def _cost(c: CallCost | None, plain: Plain) -> Attributes:
    return {} if c is None else {
        "macs": plain(c.macs), "flops": plain(c.flops), "transcendentals": plain(c.transcendentals),
        "read_bytes": plain(c.read_bytes), "write_bytes": plain(c.write_bytes),
    }  # fmt: skip


def _name(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")
