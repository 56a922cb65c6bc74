"""Node-link JSON, which networkx reads, with the whole report beside it, which :func:`fxcount.load` reads back.

The top level is networkx' own (``nodes``, ``edges``, ``graph``, ``directed``, ``multigraph``) and one more key,
``report``: the tape with its tables. ``graph.schema.json`` in this directory describes all of it.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fxcount.errors import FxcountError, InputError, first_line
from fxcount.report.data.report import ReportData
from fxcount.report.views.graphs.checked import check_rows, check_schema
from fxcount.report.views.graphs.decode import decode
from fxcount.report.views.graphs.encode import encode
from fxcount.report.views.graphs.network import GRAPH_SCHEMA_VERSION, to_networkx
from fxcount.symbolic import Size
from fxcount.trace.torch_patch.active import no_collection

__all__ = ["body", "read_report", "schema", "to_graph_json", "to_node_link"]

_FROM_DAMAGE = (
    LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError, AssertionError
)  # fmt: skip
_HINT = "give a file written by `fxcount MODEL -o FILE.json` or report.to_json()"


def to_node_link(report: ReportData, depth: int | None = None) -> dict[str, Any]:
    """What :func:`to_graph_json` writes, as dicts and lists."""
    import networkx as nx

    data: dict[str, Any] = nx.node_link_data(to_networkx(report, depth), edges="edges")
    return {**data, **{key: part for key, part in body(report).items() if key != "graph"}}


def body(report: ReportData) -> dict[str, Any]:
    """What :func:`read_report` reads: the version, the analysis, and the others of its family."""
    others = [encode(piece) for piece in report.other_pieces()]
    found = {"graph": {"fxcount_schema": GRAPH_SCHEMA_VERSION}, "report": encode(report)}
    return {**found, **({"pieces": others} if others else {})}


def to_graph_json(report: ReportData, depth: int | None = None, indent: int | None = None) -> str:
    """The graph and the whole report as JSON text; the same report always gives the same text.

    ``depth`` collapses modules in the graph, and leaves the report whole. Integers are exact and of any size.
    """
    with no_collection():
        return json.dumps(to_node_link(report, depth), indent=indent, allow_nan=False)


def read_report(source: str | os.PathLike[str] | Mapping[str, Any]) -> ReportData:
    """What :func:`to_graph_json` has written, read from its text, its file or its dict; see :func:`fxcount.load`."""
    with no_collection():
        data = source if isinstance(source, Mapping) else _parsed(source)
    body = data.get("report") if isinstance(data, Mapping) else None
    if not isinstance(body, Mapping) or not isinstance(data.get("graph"), Mapping):
        raise InputError("this is not a graph of fxcount: it holds no report", hint=_HINT)
    assert isinstance(data, Mapping)
    version = data["graph"].get("fxcount_schema")
    if version != GRAPH_SCHEMA_VERSION:
        raise InputError(
            f"this graph has schema {version!r}, and this fxcount reads {GRAPH_SCHEMA_VERSION}",
            hint="read it with the version of fxcount that wrote it, or analyse the model again",
        )
    others = data.get("pieces", [])
    if not isinstance(others, list) or not all(isinstance(other, Mapping) for other in others):
        raise InputError("the pieces of this graph are no reports", hint=_HINT)
    found, *pieces = [_read(part) for part in (body, *others)]
    found.adopt(pieces)
    return found


def _read(body: Mapping[str, Any]) -> ReportData:
    """One analysis."""
    rules = schema()
    with no_collection():
        check_schema(body, rules["$defs"]["report"], rules)
        check_rows(body)
        try:
            found = decode(body)
            _try(found)
        except FxcountError as error:
            raise InputError(f"the report in this graph is damaged: {error.what[:400]}", hint=_HINT) from error
        except _FROM_DAMAGE as error:
            said = f"{type(error).__name__}: {first_line(error)[:200]}"
            raise InputError(f"the report in this graph is damaged ({said})", hint=_HINT) from error
    return found


def _try(report: ReportData) -> None:
    """Ask once for what a report is asked for: a damaged one is to fail where it is read, and not anywhere later."""
    scope = report.trace.scope
    at = report if report.values is not None else report.with_values(scope.hints)
    if report.values is None:
        scope.check(scope.hints)
    if not all([type(n) is int and n >= 0 for n in map(at.size, _sizes(report))]):
        raise InputError("a size or a cost is no number, or a negative one")
    _ = at.peaks, at.params, at.ops, at.by_op(), at.by_module()


def _sizes(report: ReportData) -> Iterator[Size]:
    for cost in (report.costs.total, *report.costs.by_signature.values()):
        yield from dataclasses.astuple(cost)
    for storage in report.trace.storages:
        yield storage.nbytes
    for value in (*report.trace.inputs, *[v for call in report.trace.calls for v in (*call.operands, *call.outputs)]):
        yield from value.fact.shape


def schema() -> dict[str, Any]:
    """The JSON schema of the file.

    >>> schema()["title"]
    'A model as a graph, with its report'
    """
    found: dict[str, Any] = json.loads((Path(__file__).parent / "graph.schema.json").read_text("utf-8"))
    return found


def _parsed(source: str | os.PathLike[str]) -> Any:
    if isinstance(source, str) and source.lstrip().startswith("{"):
        text = source
    else:
        try:
            text = Path(source).read_text("utf-8")
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"cannot read the report from {str(source)[:200]!r} ({first_line(error)})", hint=_HINT) from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"this is not JSON: {first_line(error)}", hint=_HINT) from error
