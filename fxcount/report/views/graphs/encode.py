"""A whole report as plain data: the tape with its tables, what its formulas assume, and the cost of every signature.

Rows refer to one another by number. Tables are filled in the order of the tape and hold nothing that depends on the run
(no addresses), so the same trace always gives the same data, and so does one that was read back from them.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable

import torch

from fxcount.ops import REGISTRY, SPARSE, Op, Registry
from fxcount.ops.core.common import facts_of_result
from fxcount.ops.core.fact import SparseFact, TensorFact
from fxcount.ops.core.registry import Unknown, Zero
from fxcount.passes.cost import CallCost, Costs
from fxcount.report.data.report import ReportData
from fxcount.report.data.training import TrainingData
from fxcount.report.views.graphs.codec import Encoder, Plain
from fxcount.report.views.saved.conditions import plain_assumption
from fxcount.report.views.saved.sizes import Write, size_text
from fxcount.report.views.saved.step import plain_step
from fxcount.report.views.saved.text import as_text, table
from fxcount.symbolic import Scope, Size
from fxcount.trace.tape import Call, Declared, Instruction, ModuleCall, Signature, Source, Trace, Value

__all__ = ["encode", "family", "is_registered", "parameter_names"]


def encode(report: ReportData, write: Write = size_text) -> dict[str, Plain]:
    """The report as dicts, lists, texts and numbers, its longest tables as JSON text; of what
    :func:`~fxcount.report.views.saved.text.plain` makes of it :func:`fxcount.report.views.graphs.decode.decode` is the
    inverse. ``write`` gives the text of a size."""
    trace = report.trace
    encoder = Encoder(write)
    numbering = _Numbering()
    places = _Places()
    body = {
        "model": trace.model_name,
        "frontend": trace.frontend,
        "training": trace.training, "guessed_inputs": trace.guessed_inputs, "ended": trace.ended,
        "notes": list(trace.notes),
        "at": report.values,
        "fixed": dict(report.fixed),
        "because": report.piece.because,
        "guessed": None if report.values is None else [u.name for u in report.guesses],
        "scope": _scope(trace.scope, write),
        "module_paths": dict(trace.module_paths),
        "declared": [_declared(d, numbering) for d in trace.declared],
        "storages": table([
            f'{{"nbytes": {as_text(write(s.nbytes))}, "origin": "{s.origin}", "name": {as_text(s.name)}, "born": {s.born}, '
            f'"of": {s.of}, "keeps": {list(s.keeps)}}}' for s in trace.storages
        ]),
        "events": table([f"[{storage}, {int(birth)}, {call}]" for storage, birth, call in trace.events]),
        "inputs": [encoder.value(v) for v in trace.inputs],
        "states": [
            {"value": encoder.value(s.value), "names": list(s.names), "persistent": s.persistent} for s in trace.states
        ],
        **_calls(trace, report.costs, encoder, places),
        "modules": [_module(m, encoder, numbering) for m in trace.modules],
        "functions": [
            {
                "name": f.name, "start": f.start, "stop": f.stop, "inputs": [encoder.value(v) for v in f.inputs],
                "outputs": [encoder.value(v) for v in f.outputs],
            }
            for f in trace.functions
        ],
        "aliases": [list(paths) for paths in trace.aliases],
        "queries": {name: [what, places.row(source)] for name, (what, source) in trace.queries.items()},
        "reassigned": list(trace.reassigned),
        "outputs": encoder.tree(trace.outputs),
    }  # fmt: skip
    # last, as only now the tables are complete
    body["values"] = table([_value(v, encoder) for v in encoder.values])
    body["facts"] = [_fact(f, write) for f in encoder.facts]
    body["sources"] = places.rows
    if isinstance(report, TrainingData):
        body["step"] = plain_step(report.step)
    return body


def family(report: ReportData, write: Write = size_text) -> dict[str, Plain]:
    """An analysis, and the others of its family."""
    others = [encode(piece, write) for piece in report.other_pieces()]
    return {"report": encode(report, write), **({"pieces": others} if others else {})}


class _Numbering:
    """Small numbers, by first appearance, in the place of addresses."""

    def __init__(self) -> None:
        self._known: dict[str, dict[int, int]] = {}

    def __call__(self, kind: str, address: int) -> int:
        known = self._known.setdefault(kind, {})
        return known.setdefault(address, len(known))


def _scope(scope: Scope, write: Write) -> Plain:
    return {
        "hints": dict(scope.hints),
        "bounds": {name: list(interval) for name, interval in scope.bounds.items()},
        "assumptions": [plain_assumption(a, write) for a in scope.assumptions],
        "float_limits": [write(size) for size in scope.limits],
        "data_sizes": [
            {
                "name": u.name, "what": u.what, "where": u.where, "most": _optional(u.most, write), "default": write(u.default),
                "guess": u.guess, "given": scope.unbacked.given.get(u.name),
            }
            for u in scope.unbacked.by_name.values()
        ],
    }  # fmt: skip


def _optional(size: Size | None, write: Write) -> int | str | None:
    return None if size is None else write(size)


def _declared(d: Declared, numbering: _Numbering) -> Plain:
    row: dict[str, Plain] = {
        "kind": d.kind, "names": list(d.names), "shape": list(d.shape), "dtype": _name(d.dtype),
        "requires_grad": d.requires_grad, "storage": numbering("storage", d.storage), "offset": d.offset,
        "strides": None if d.strides is None else list(d.strides),
        "persistent": d.persistent, "shadowed_by": d.shadowed_by,
    }  # fmt: skip
    if d.stored is not None:
        row["stored"] = list(d.stored)
    if d.held is not None:
        row["held"] = [d.held, d.precision, d.quantises]
    if d.local is not None:
        row["local"] = d.local
    return row


def _calls(trace: Trace, costs: Costs, encoder: Encoder, places: _Places) -> dict[str, Plain]:
    uncounted = {id(c.signature) for c in costs.uncounted}
    ops: dict[str, Plain] = {}  # by what the file says of them
    rows_of_ops: dict[int, int] = {}
    for s in trace.signatures:
        if id(s.op) not in rows_of_ops:
            described = _op(s.op)
            key = repr(described)
            ops.setdefault(key, described)
            rows_of_ops[id(s.op)] = list(ops).index(key)
    rows_of_signatures = {id(s): row for row, s in enumerate(trace.signatures)}
    return {
        "ops": list(ops.values()),
        "signatures": [
            _signature(s, rows_of_ops[id(s.op)], costs.by_signature[id(s)], id(s) in uncounted, encoder)
            for s in trace.signatures
        ],
        "calls": table([_call(c, rows_of_signatures[id(c.signature)], places, encoder) for c in trace.calls]),
    }


class _Places:
    """Lines of the model's code, each once."""

    def __init__(self) -> None:
        self.rows: list[list[Plain]] = []
        self._by_instruction: dict[tuple[int, int], int] = {}
        self._by_place: dict[tuple[str, int, str], int] = {}

    def row(self, source: Source | None) -> int | None:
        if not isinstance(source, Instruction):
            return None if source is None else self._row(source)
        key = (id(source.code), source.lasti)
        row = self._by_instruction.get(key)
        if row is None:  # looking up the line is the slow part
            row = self._by_instruction[key] = self._row(source)
        return row

    def _row(self, source: Source) -> int:
        place = (source.file, source.line, source.function)
        row = self._by_place.setdefault(place, len(self.rows))
        if row == len(self.rows):
            self.rows.append(list(place))
        return row


def is_registered(op: Op) -> bool:
    """Whether fxcount knows the op by its name, so that a file need not describe it."""
    return _is_named(REGISTRY, op) or _is_named(SPARSE, op)


def _is_named(registry: Registry, op: Op) -> bool:
    try:
        return registry.named(op.name.replace(".", "_")) is op
    except KeyError:
        return False


def parameter_names(op: Op) -> list[str] | None:
    """Names of the op's positional arguments, the scope of its shape rule left out; ``None`` if they cannot be known.

    >>> parameter_names(REGISTRY.named("conv2d"))[:3]
    ['x', 'weight', 'bias']
    """
    try:
        parameters = list(inspect.signature(op.shape).parameters.values())[1:]
    except (TypeError, ValueError):
        return None
    return [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _op(op: Op) -> Plain:
    registered = is_registered(op)
    row: dict[str, Plain] = {"name": op.name, "registered": registered}
    if registered and _is_named(SPARSE, op):
        row["sparse"] = True
    if not registered:
        row |= {"differentiable": op.differentiable, "inplace": op.inplace, "arguments": parameter_names(op)}
        row["traits"] = {
            "shape_only": list(op.shape_only), "one_to_one": op.one_to_one, "kind": op.kind, "window": op.window,
            "activations": op.activations, "schema": op.schema,
        }  # fmt: skip
        if isinstance(op.cost, Zero):
            row["zero"] = {"reason": op.cost.reason, "moves": op.cost.moves}
        elif isinstance(op.cost, Unknown):
            row["unknown"] = op.cost.hint
    return row


def _signature(s: Signature, op: int, cost: CallCost, uncounted: bool, encoder: Encoder) -> Plain:
    rule = None if is_registered(s.op) else s.op.temporaries
    row = {
        "op": op, "args": encoder.tree(s.args), "kwargs": encoder.tree(s.kwargs), "result": encoder.tree(s.result),
        "cost": _sizes((cost.macs, cost.flops, cost.transcendentals, cost.read_bytes, cost.write_bytes), encoder.size),
        "uncounted": uncounted,
    }  # fmt: skip
    if rule is not None:
        row["temporary_bytes"] = encoder.size(rule(facts_of_result(s.result), *s.args, **s.kwargs))
    return row


def _sizes(sizes: Iterable[Size | None], write: Write) -> list[int | str | None]:
    return [_optional(s, write) for s in sizes]


def _call(c: Call, signature: int, places: _Places, encoder: Encoder) -> str:
    return (
        f'{{"signature": {signature}, "function": {encoder.text(getattr(c.func, "__name__", c.op.name))}, '
        f'"written": "{c.written}", "module": {c.module}, "source": {as_text(places.row(c.source))}, '
        f'"args": {encoder.text(c.args)}, "kwargs": {encoder.text(c.kwargs)}, '
        f'"operands": {[encoder.value(v) for v in c.operands]}, "outputs": {[encoder.value(v) for v in c.outputs]}, '
        f'"result": {encoder.text(c.result)}, "mutated": {list(c.mutated)}, "grad_enabled": {as_text(c.grad_enabled)}}}'
    )


def _module(m: ModuleCall, encoder: Encoder, numbering: _Numbering) -> Plain:
    base = _torch_class(m.kind)
    return {
        "module": numbering("module", m.module_id), "path": m.path, "class": m.class_name, "base": base,
        "derived": m.kind is not getattr(torch.nn, base), "number": m.number, "parent": m.parent, "depth": m.depth,
        "start": m.start, "stop": m.stop,
        "inputs": [encoder.fact(f) for f in m.inputs], "outputs": [encoder.fact(f) for f in m.outputs],
    }  # fmt: skip


def _torch_class(kind: type[torch.nn.Module] | None) -> str:
    """The class itself if it is one of ``torch.nn``, else the nearest one it is derived from."""
    lineage = () if kind is None else kind.__mro__
    return next((k.__name__ for k in lineage if getattr(torch.nn, k.__name__, None) is k), "Module")


def _value(v: Value, encoder: Encoder) -> str:
    return (
        f'{{"index": {v.index}, "fact": {encoder.fact(v.fact)}, "storage": {v.storage}, "origin": "{v.origin}", '
        f'"name": {as_text(v.name)}, "call": {v.call}, "position": {as_text(v.position)}, '
        f'"requires_grad": {as_text(v.requires_grad)}}}'
    )


def _fact(f: TensorFact, write: Write) -> Plain:
    row: dict[str, Plain] = {
        "shape": [write(s) for s in f.shape], "dtype": _name(f.dtype), "device": str(f.device),
        "strides": None if f.strides is None else [write(s) for s in f.strides],
    }  # fmt: skip
    if isinstance(f, SparseFact):
        row["sparse"] = {
            "layout": _name(f.form.layout), "values": [write(s) for s in f.form.values], "coalesced": f.form.coalesced,
            "indices": write(f.form.indices), "index_dtype": _name(f.form.index_dtype),
        }  # fmt: skip
    return row


def _name(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")
