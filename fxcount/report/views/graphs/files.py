"""The formats a graph is written in, by the ending of the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from types import MappingProxyType

from fxcount.errors import InputError
from fxcount.report.data.report import Report

__all__ = ["FORMATS", "format_of"]

FORMATS: Mapping[str, Callable[[Report, int | None], str]] = MappingProxyType(
    {"json": Report.to_graph_json, "dot": Report.to_dot, "graphml": Report.to_graphml, "gexf": Report.to_gexf}
)
"""What writes each format, by its name."""


def format_of(path: str) -> str:
    """The format of a file, by its ending.

    Raises :class:`~fxcount.errors.InputError` for an ending that stands for none.

    >>> format_of("net.graphml")
    'graphml'
    """
    ending = PurePath(path).suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise InputError(
            f"{path!r} ends in no format of graphs", hint=f"use one of .{', .'.join(FORMATS)}, or say --format"
        )
    return ending
