"""The report as plain data, for JSON and for other programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from fxcount.passes.untraced import UNTRACED
from fxcount.report.data.rows import COUNTS, module_parameters
from fxcount.report.views.graphs.nodes import Attributes, Plain, copier, plainly, shapes
from fxcount.report.views.saved.sizes import Write, shared, size_text
from fxcount.report.views.saved.text import table
from fxcount.symbolic import to_rows
from fxcount.trace.tape import once_each
from fxcount.trace.torch_patch.active import no_collection

if TYPE_CHECKING:
    from fxcount.report.data.report import ReportData

__all__ = ["SCHEMA_VERSION", "to_dict", "to_json"]

SCHEMA_VERSION = 1


Rows = Iterable[tuple[Attributes, Attributes]]
"""Of each row what is its own, and after it what it shares with all rows like it: one dict."""


def to_dict(report: ReportData, write: Write = size_text) -> dict[str, Any]:
    """Nested dicts and lists of str, int, float, bool and None.

    A size is an int, or the text of its formula. The totals also come as straight-line programs (``[op, a, b]`` rows
    that name earlier rows by number), so that another runtime can evaluate them without a parser. ``guesses`` names the
    data-dependent sizes in a number of which nobody knows the value; what they were taken as is listed once for all.
    ``write`` gives the text of a formula.
    """
    copied = copier()
    return _data(report, write, lambda rows: [{**own, **copied(shared)} for own, shared in rows])


def _data(report: ReportData, write: Write, listed: Callable[[Rows], list[Any]]) -> dict[str, Any]:
    """The same with its longest tables as ``listed`` makes them."""
    trace, total, m, p = report.trace, report.costs.total, report.peaks, report.params
    values, plain = report.values, plainly(report, write)
    traced = trace.frontend != UNTRACED
    return {
        "schema": SCHEMA_VERSION,
        "model": trace.model_name,
        "frontend": trace.frontend,
        "symbols": dict(trace.scope.hints),
        "piece": str(report.piece),
        "fixed": dict(report.fixed),
        "at": values,
        "inputs": [
            {
                "name": v.name, "shape": [plain(s) for s in v.fact.shape], "dtype": _dtype(v.fact.dtype),
                **({"guessed": trace.guessed_inputs} if trace.guessed_inputs else {}),
            }
            for v in trace.inputs
        ],
        "ended": trace.ended,
        "totals": _counts(report, plain, total) if traced else {},
        "programs": {} if values is not None or not traced else {
            name: to_rows(report.size(size)) for name, size in (("macs", total.macs), ("flops", total.flops))
        },
        "params": {
            "total": p.total, "trainable": p.trainable, "frozen": p.frozen, "shared": p.shared, "dead": p.dead,
            "bytes": p.bytes, "bytes_by_dtype": {_dtype(d): n for d, n in p.bytes_by_dtype.items()},
            "buffers": p.buffers, "buffer_bytes": p.buffer_bytes,
            "rows": [
                {
                    "names": list(r.names), "shape": list(r.shape), "dtype": _dtype(r.dtype), "numel": r.numel,
                    "requires_grad": r.requires_grad, "uses": r.uses, "gets_gradient": r.gets_gradient, "dead": r.dead,
                    "reason": r.reason,
                }
                for r in p.rows()
            ],
        },
        "memory": {"parameters": m.parameters, "buffers": m.buffers} if not traced else {
            "parameters": m.parameters, "buffers": m.buffers, "inputs": plain(m.inputs),
            "outputs": plain(m.outputs), "activations": plain(m.activations),
            "peaks": [{"bytes": plain(k.nbytes), "call": k.call} for k in m.peaks],
            "peak_at_hint": m.peak_at(report.sizes)[0],
        },
        "guesses": [
            {"name": u.name, "what": u.what, "where": u.where, "taken_as": report.sizes[u.name]}
            for u in report.guesses
        ],
        "assumptions": [
            {"text": str(a), "kind": a.kind, "reason": a.reason, "where": a.where, "line": a.line} for a in report.assumptions
        ],
        "uncounted": [{"op": c.op.name, "call": c.index, "where": str(c.source or "")} for c in report.uncounted],
        "modules": listed(_modules(report, plain)),
        "ops": listed(_ops(report, plain)),
    }  # fmt: skip


def to_json(report: ReportData, path: str | os.PathLike[str] | int | None = None, indent: int | None = None) -> str:
    """:func:`to_dict` as JSON text, with the whole report beside it, and its other pieces: :func:`fxcount.load` reads it back.
    Also written to ``path``; a number in its place is ``indent``.

    >>> import json, torch, fxcount
    >>> report = fxcount.analyze(torch.nn.Linear(3, 5), "B,3")
    >>> fxcount.load(report.to_json()) == report, json.loads(report.to_json())["totals"]["macs"]
    (True, '15*B')
    """
    from fxcount.report.views.graphs.encode import family
    from fxcount.report.views.graphs.network import GRAPH_SCHEMA_VERSION
    from fxcount.report.views.saved.header import header
    from fxcount.report.views.saved.written import written

    def made(write: Write) -> dict[str, Any]:
        return {**_data(report, write, table), "graph": {"fxcount_schema": GRAPH_SCHEMA_VERSION}, **family(report, write)}

    with no_collection():
        return written(shared(header("report"), made), path, indent)


def _modules(report: ReportData, plain: Plain) -> Rows:
    """A row for each call of a module."""
    trace = report.trace
    held = module_parameters(trace)
    alike: dict[tuple[object, ...], Attributes] = {}
    for m, total in zip(trace.modules, report.costs.of_modules(trace), strict=True):
        key = (id(total), *m.outputs)
        shared = alike.get(key)
        if shared is None:
            shared = alike[key] = {"output_shapes": shapes(m.outputs, plain), **_counts(report, plain, total)}
        yield {
            "path": m.path, "class": m.class_name, "depth": m.depth, "call": m.number, "params": held.get(m.path, 0),
        }, shared  # fmt: skip


def _ops(report: ReportData, plain: Plain) -> Rows:
    """A row for each call of an op."""
    trace, by_signature = report.trace, report.costs.by_signature
    where = once_each(str)
    counts = {id(s): _counts(report, plain, by_signature[id(s)]) for s in trace.signatures}
    alike: dict[tuple[int, ...], Attributes] = {}
    for c in trace.calls:
        key = (id(c.signature), *[id(v.fact) for v in c.outputs])
        shared = alike.get(key)
        if shared is None:
            made = shapes([v.fact for v in c.outputs], plain)
            shared = alike[key] = {"output_shapes": made, **counts[id(c.signature)]}
        yield {
            "call": c.index, "op": c.signature.op.name, "module": trace.modules[c.module].path if c.module >= 0 else "",
            "where": where(c.source) or "",
        }, shared  # fmt: skip


def _counts(report: ReportData, plain: Plain, counted: Any) -> dict[str, Any]:
    """The counts of a row or of the total, and the guesses in them."""
    sizes = {name: getattr(counted, name) for name in COUNTS}
    found: dict[str, Any] = {name: plain(size) for name, size in sizes.items()}
    found["guesses"] = report.guesses_in(*sizes.values())
    return found


def _dtype(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")
