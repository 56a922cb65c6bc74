"""All that a report can be turned into: one table, which the methods of reports, the command line and the docs read.

A new format is one file under ``views/`` and one line in :class:`Formats`. The file is loaded when the format is first used.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import PurePath
from types import MappingProxyType, MethodType
from typing import Any, Generic, TypeVar, cast

from fxcount.errors import InputError
from fxcount.wording import did_you_mean

__all__ = ["FORMATS", "Format", "Formats", "by_suffix", "format_of"]

T = TypeVar("T")


class Format(Generic[T]):
    """One line of the table, and in a report the method: ``report.to_dot()`` for the format ``dot``.

    ``home``: module and function that make it of a report; ``suffix``: of its files, "" if it is no file; ``shows``: what
    is in it, "report", "graph", "rows", "page", "picture", "timeline"; ``needs``: the package without which it cannot be made;
    ``binary``: bytes, not text.
    """

    name: str

    def __init__(
        self, home: str, suffix: str, shows: str, about: str, *, needs: str = "", binary: bool = False
    ) -> None:
        self.home = home
        self.suffix = suffix
        self.shows = shows
        self.about = about
        self.needs = needs
        self.binary = binary

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name.removeprefix("to_")

    @property
    def function(self) -> Callable[..., T]:
        """What makes it. Raises :class:`~fxcount.errors.InputError` if a package it needs is not installed."""
        module, _, function = self.home.partition(":")
        try:
            return cast("Callable[..., T]", getattr(importlib.import_module(module), function))
        except ModuleNotFoundError as error:
            if error.name != self.needs:
                raise
            raise InputError(f"the format {self.name} needs {self.needs}", hint=f"pip install {self.needs}") from error

    def __get__(self, report: object, owner: type) -> Callable[..., T]:
        return self.function if report is None else MethodType(self.function, report)

    def __repr__(self) -> str:
        return f"<Format {self.name}: {self.about}>"


class Formats:
    """The methods ``to_...`` of a report."""

    to_dict = Format[dict[str, Any]]("fxcount.report.views.plain:to_dict", "", "report", "totals and rows as plain data")
    to_json = Format[str](
        "fxcount.report.views.plain:to_json", ".json", "report", "totals, rows and all that fxcount.load reads, as JSON"
    )
    to_pandas = Format[Any]("fxcount.report.views.tables:to_pandas", "", "rows", "pandas.DataFrame", needs="pandas")
    to_csv = Format[str]("fxcount.report.views.tables:to_csv", ".csv", "rows", "comma-separated values")
    to_markdown = Format[str]("fxcount.report.views.tables:to_markdown", ".md", "rows", "a table in Markdown")
    to_latex = Format[str]("fxcount.report.views.tables:to_latex", ".tex", "rows", "a table in LaTeX, for booktabs")
    to_networkx = Format[Any]("fxcount.report.views.graphs.network:to_networkx", "", "graph", "networkx.MultiDiGraph")
    to_graph_json = Format[str](
        "fxcount.report.views.graphs.nodelink:to_graph_json", ".json", "graph", "node-link JSON that fxcount.load reads back"
    )
    to_dot = Format[str]("fxcount.report.views.graphs.dot:to_dot", ".dot", "graph", "Graphviz, modules as clusters")
    to_graphml = Format[str]("fxcount.report.views.graphs.markup:to_graphml", ".graphml", "graph", "GraphML: Gephi, yEd")
    to_gexf = Format[str]("fxcount.report.views.graphs.markup:to_gexf", ".gexf", "graph", "GEXF: Gephi")
    to_explorer = Format[str](
        "fxcount.report.views.graphs.viewers:to_explorer", ".explorer.json", "graph", "Model Explorer, modules as namespaces"
    )
    to_explorer_data = Format[str](
        "fxcount.report.views.graphs.viewers:to_explorer_data", "", "graph", "Model Explorer's node data: a count as colours"
    )
    to_netron = Format[str]("fxcount.report.views.graphs.viewers:to_netron", ".netron.json", "graph", "Netron")
    to_graphdef = Format[str](
        "fxcount.report.views.graphs.viewers:to_graphdef", ".pbtxt", "graph", "TensorBoard's graph page, modules as scopes"
    )
    to_mermaid = Format[str]("fxcount.report.views.graphs.mermaid:to_mermaid", ".mmd", "graph", "Mermaid, modules collapsed")
    to_speedscope = Format[str](
        "fxcount.report.views.profiles:to_speedscope", ".speedscope.json", "work", "speedscope: work by the stack of modules"
    )
    to_folded = Format[str]("fxcount.report.views.profiles:to_folded", ".folded", "work", "folded stacks, for flame graphs")
    to_html = Format[str]("fxcount.report.views.html.document:to_html", ".html", "page", "one offline page, its formulas alive")
    to_timeline = Format[str](
        "fxcount.report.views.pictures.notebook:to_timeline", ".svg", "timeline", "a picture of the bytes alive at each op"
    )
    to_svg = Format[str](
        "fxcount.report.views.pictures.hierarchy:to_svg", ".svg", "picture", "the model as a picture, costs as heat"
    )


FORMATS: Mapping[str, Format[Any]] = MappingProxyType({f.name: f for f in vars(Formats).values() if isinstance(f, Format)})
"""The table by name, in the order of :class:`Formats`."""


def by_suffix(*shows: str) -> dict[str, Format[Any]]:
    """The formats of files that show one of these, by their ending without its dot.

    >>> list(by_suffix("graph"))
    ['json', 'dot', 'graphml', 'gexf', 'explorer.json', 'netron.json', 'pbtxt', 'mmd']
    """
    found: dict[str, Format[Any]] = {}
    for each in FORMATS.values():
        if each.suffix and each.shows in shows:
            found.setdefault(each.suffix.removeprefix("."), each)  # the report's JSON has the graph's beside it
    return found


def format_of(path: str, *shows: str) -> Format[Any]:
    """The format of a file by its ending, among those that show one of these.

    Raises :class:`~fxcount.errors.InputError` for an ending that stands for none.

    >>> format_of("net.graphml", "graph").name
    'graphml'
    """
    choices = by_suffix(*shows)
    name = PurePath(path).name.lower()
    ending = max([e for e in choices if name.endswith(f".{e}")], key=len, default="")
    if not ending:
        raise InputError(
            f"{path!r} ends in no format of {'graphs' if shows == ('graph',) else 'reports'}"
            + did_you_mean(PurePath(path).suffix.lower(), [f".{e}" for e in choices]),
            hint=f"use one of .{', .'.join(choices)}, or say --format",
        )
    return choices[ending]
