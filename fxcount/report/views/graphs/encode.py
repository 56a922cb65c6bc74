"""A whole report as plain data: the tape with its tables, what its formulas assume, and the cost of every signature.

Rows refer to one another by number. Tables are filled in the order of the tape and hold nothing that depends on the run
(no addresses), so the same trace always gives the same data, and so does one that was read back from them.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import torch

from fxcount.ops import REGISTRY, SPARSE, Op, Registry
from fxcount.ops.core.common import facts_of_result
from fxcount.ops.core.fact import SparseFact, TensorFact
from fxcount.ops.core.registry import Unknown, Zero
from fxcount.passes.cost import CallCost, Costs, cost_of_one
from fxcount.report.data.report import ReportData
from fxcount.report.data.steps import is_of_step
from fxcount.report.views.graphs.codec import Encoder, Plain, Rows
from fxcount.report.views.saved.conditions import plain_assumption
from fxcount.report.views.saved.sizes import Write, size_text
from fxcount.report.views.saved.step import plain_step
from fxcount.report.views.saved.text import Table, as_string, as_text, fields
from fxcount.symbolic import Scope, Size
from fxcount.trace.tape import Call, Declared, Events, Instruction, ModuleCall, Signature, Trace, Value, once_each

__all__ = ["encode", "family", "is_registered", "parameter_names"]

T = TypeVar("T")


def encode(report: ReportData, write: Write = size_text) -> dict[str, Plain]:
    """The report as dicts, lists, texts and numbers, its longest tables as JSON text; of what
    :func:`~fxcount.report.views.saved.text.plain` makes of it :func:`fxcount.report.views.graphs.decode.decode` is the
    inverse. ``write`` gives the text of a size."""
    trace = report.trace
    encoder = Encoder(write)
    values = encoder.values
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
        "storages": Table(_storages(trace, write)),
        "events": Table(_events(trace.events)),
        "inputs": _rows_of(trace.inputs, encoder),
        "states": Table([
            f'{{"value": {values[s.value]}, "names": {as_text(list(s.names))}, "persistent": {as_text(s.persistent)}}}'
            for s in trace.states
        ]),
        **_calls(trace, report.costs, encoder, places),
        "modules": Table(_modules(trace.modules, encoder, numbering)),
        "functions": [
            {
                "name": f.name, "start": f.start, "stop": f.stop, "inputs": _rows_of(f.inputs, encoder),
                "outputs": _rows_of(f.outputs, encoder),
            }
            for f in trace.functions
        ],
        "aliases": [list(paths) for paths in trace.aliases],
        "queries": {name: [what, places.row(source)] for name, (what, source) in trace.queries.items()},
        "reassigned": list(trace.reassigned),
        "outputs": encoder.tree(trace.outputs),
    }  # fmt: skip
    # last, as only now the tables are complete
    body["values"] = Table([_value(v, encoder) for v in values])
    body["facts"] = [_fact(f, write) for f in encoder.facts]
    body["sources"] = places.rows
    if is_of_step(report):
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
    return {
        "ops": list(ops.values()),
        "signatures": [
            _signature(s, rows_of_ops[id(s.op)], costs.by_signature[id(s)], id(s) in uncounted, encoder)
            for s in trace.signatures
        ],
        "calls": Table(_rows_of_calls(trace, places, encoder)),
    }


class _Places:
    """Lines of the model's code, each once."""

    def __init__(self) -> None:
        self._by_place: Rows[tuple[str, int, str]] = Rows()
        self.row = once_each(lambda source: self._by_place[source.file, source.line, source.function])

    @property
    def rows(self) -> list[list[Plain]]:
        return [list(place) for place in self._by_place]


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
    if registered and op.overrides is not None and _is_named(SPARSE, op):
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
        "cost": _cost(cost, encoder),
        "uncounted": uncounted,
    }  # fmt: skip
    if rule is not None:
        row["temporary_bytes"] = encoder.size(rule(facts_of_result(s.result), *s.args, **s.kwargs))
    if s.times != 1:
        row |= {"times": encoder.size(s.times), "cost_of_one": _cost(cost_of_one(s), encoder)}
    return row


def _cost(c: CallCost, encoder: Encoder) -> list[int | str | None]:
    return _sizes((c.macs, c.flops, c.transcendentals, c.read_bytes, c.write_bytes), encoder.size)


def _sizes(sizes: Iterable[Size | None], write: Write) -> list[int | str | None]:
    return [_optional(s, write) for s in sizes]


def _rows_of_calls(trace: Trace, places: _Places, encoder: Encoder) -> Iterator[str]:
    """Every call; what those of one signature on one line have in common is written once."""
    rows = {id(s): row for row, s in enumerate(trace.signatures)}
    values, text = encoder.values, encoder.text
    known: dict[tuple[object, ...], tuple[str, str]] = {}
    for c in trace.calls:
        source = c.source
        if type(source) is Instruction:  # by which the call says how it is written
            key: tuple[object, ...] = id(c.signature), id(c.func), id(source.code), source.lasti
        else:
            key = id(c.signature), id(c.func), source, c.written
        found = known.get(key)
        if found is None:
            found = known[key] = _common(c, rows[id(c.signature)], as_text(places.row(source)))
        start, place = found
        yield (
            f'{start}{c.module}{place}{text(c.args)}, "kwargs": {text(c.kwargs)}, '
            f'"operands": {_numbers(c.operands, values)}, "outputs": {_numbers(c.outputs, values)}, '
            f'"result": {text(c.result)}, "mutated": {list(c.mutated) if c.mutated else "[]"}, '
            f'"grad_enabled": {"true" if c.grad_enabled else "false"}}}'
        )


def _numbers(entries: Sequence[T], rows: Rows[T]) -> str:
    """The rows of these entries as text; mostly there is one."""
    return f"[{rows[entries[0]]}]" if len(entries) == 1 else f"{[rows[entry] for entry in entries]}"


def _common(c: Call, signature: int, source: str) -> tuple[str, str]:
    """What comes before the module, and what between it and the arguments."""
    function = as_string(getattr(c.func, "__name__", c.op.name))
    start = f'{{"signature": {signature}, "function": {function}, "written": "{c.written}", "module": '
    return start, f', "source": {source}, "args": '


def _storages(trace: Trace, write: Write) -> Iterator[str]:
    texts: dict[Size, str] = {}
    for s in trace.storages:
        nbytes = texts.get(s.nbytes)
        if nbytes is None:
            nbytes = texts[s.nbytes] = as_text(write(s.nbytes))
        yield (
            f'{{"nbytes": {nbytes}, "origin": "{s.origin}", "name": {as_string(s.name)}, "born": {s.born}, '
            f'"of": {s.of}, "keeps": {list(s.keeps)}}}'
        )


def _events(events: Events) -> Iterator[str]:
    for call, entries in events.by_call():
        for entry in entries:
            yield f"[{entry}, 1, {call}]" if entry >= 0 else f"[{~entry}, 0, {call}]"


def _rows_of(values: Iterable[Value], encoder: Encoder) -> list[int]:
    rows = encoder.values
    return [rows[v] for v in values]


def _modules(modules: Iterable[ModuleCall], encoder: Encoder, numbering: _Numbering) -> Iterator[str]:
    facts = encoder.facts
    classes: dict[tuple[type | None, str], str] = {}
    for m in modules:
        described = classes.get((m.kind, m.class_name))
        if described is None:
            described = classes[m.kind, m.class_name] = fields(_class(m))
        times = "" if m.times == 1 else f', "times": {as_text(encoder.size(m.times))}'
        yield (
            f'{{"module": {numbering("module", m.module_id)}, "path": {as_string(m.path)}, {described}, "number": {m.number}, '
            f'"parent": {m.parent}, "depth": {m.depth}, "start": {m.start}, "stop": {m.stop}, '
            f'"inputs": {_numbers(m.inputs, facts)}, "outputs": {_numbers(m.outputs, facts)}{times}}}'
        )


def _class(m: ModuleCall) -> dict[str, Plain]:
    base = _torch_class(m.kind)
    return {"class": m.class_name, "base": base, "derived": m.kind is not getattr(torch.nn, base)}


def _torch_class(kind: type[torch.nn.Module] | None) -> str:
    """The class itself if it is one of ``torch.nn``, else the nearest one it is derived from."""
    lineage = () if kind is None else kind.__mro__
    return next((k.__name__ for k in lineage if getattr(torch.nn, k.__name__, None) is k), "Module")


def _value(v: Value, encoder: Encoder) -> str:
    return (
        f'{{"index": {v.index}, "fact": {encoder.facts[v.fact]}, "storage": {v.storage}, "origin": "{v.origin}", '
        f'"name": {as_string(v.name)}, "call": {v.call}, "position": {"null" if v.position is None else v.position}, '
        f'"requires_grad": {"true" if v.requires_grad else "false"}}}'
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
