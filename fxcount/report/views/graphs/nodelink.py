"""Node-link JSON, which networkx reads, with the whole report beside it, which :func:`fxcount.load` reads back.

The top level is networkx' own (``nodes``, ``edges``, ``graph``, ``directed``, ``multigraph``) and one more key,
``report``: the tape with its tables. ``graph.schema.json`` in this directory describes all of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fxcount.errors import FxcountError, InputError
from fxcount.report.data.report import ReportData
from fxcount.report.views.graphs.decode import decode
from fxcount.report.views.graphs.encode import encode
from fxcount.report.views.graphs.network import GRAPH_SCHEMA_VERSION, to_networkx
from fxcount.trace.torch_patch.active import no_collection

__all__ = ["read_report", "schema", "to_graph_json", "to_node_link"]

_HINT = "give a file written by `fxcount graph MODEL -o FILE.json` or report.to_graph_json()"


def to_node_link(report: ReportData, depth: int | None = None) -> dict[str, Any]:
    """What :func:`to_graph_json` writes, as dicts and lists."""
    import networkx as nx

    data: dict[str, Any] = nx.node_link_data(to_networkx(report, depth), edges="edges")
    return {**data, "report": encode(report)}


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
    version = data["graph"].get("fxcount_schema")
    if version != GRAPH_SCHEMA_VERSION:
        raise InputError(
            f"this graph has schema {version!r}, and this fxcount reads {GRAPH_SCHEMA_VERSION}",
            hint="read it with the version of fxcount that wrote it, or analyse the model again",
        )
    try:
        with no_collection():
            return decode(body)
    except FxcountError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the report in this graph is damaged ({type(error).__name__}: {error})", hint=_HINT) from error


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
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read the report from {os.fspath(source)[:200]!r} ({error})", hint=_HINT) from error
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"this is not JSON: {error}", hint=_HINT) from error
