"""The rows of a report as flat tables: pandas, CSV, Markdown, LaTeX; of op calls, module calls, kinds of op or parameters.

A size is an integer where it is known, and a formula else: sympy's in a data frame, text in CSV and Markdown, mathematics in
LaTeX. Columns carry their unit in the name. ``guesses`` names what in a row nobody knows the value of.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args

from fxcount.errors import InputError
from fxcount.passes import Costs
from fxcount.passes.untraced import UNTRACED
from fxcount.report.data.own_rows import class_rows, layer_rows
from fxcount.report.data.report import ReportData
from fxcount.report.data.rows import COUNTS, module_rows, op_kinds, op_rows
from fxcount.symbolic import Expr, Size, evaluate
from fxcount.symbolic import to_latex as size_to_latex
from fxcount.symbolic import to_text as size_to_text
from fxcount.trace.tape import Trace
from fxcount.wording import visible

__all__ = ["ROWS", "Rows", "kept", "markdown_table", "to_csv", "to_latex", "to_markdown", "to_pandas"]

Rows = Literal["ops", "modules", "kinds", "params", "layers", "classes"]
ROWS: tuple[Rows, ...] = get_args(Rows)
"""What a table may list."""

_COLUMNS: dict[Rows, tuple[str, ...]] = {
    "ops": ("index", "op", "module", "source", "output_shapes", *COUNTS, "guesses"),
    "modules": ("path", "class_name", "depth", "number", "output_shapes", "params", *COUNTS, "guesses"),
    "kinds": ("op", "calls", *COUNTS, "guesses"),
    "params": (
        "name", "names", "shape", "dtype", "elements", "unique_elements", "bytes", "trainable", "shared", "dead", "uses",
        "reason",
    ),
    "layers": ("path", "class_name", "number", "output_shapes", "params", "activation_bytes", *COUNTS, "guesses"),
    "classes": ("class_name", "calls", "params", "activation_bytes", *COUNTS, "guesses"),
}  # fmt: skip
_NAMES = ("path", "module", "op", "name", "class_name")
_TEXTS = frozenset("op module source output_shapes guesses path class_name name names shape dtype reason".split())


def to_pandas(
    report: ReportData, rows: Rows = "ops", *, sort: str | None = None, top: int | None = None, only: str = ""
) -> Any:
    """A data frame of "ops", "modules", "kinds", "params", "layers" (what modules do by themselves) or "classes" of these.

    ``sort``: a column of numbers, largest first, at the report's sizes or the hints; ``top``: so many rows; ``only``: rows
    whose path, op, name or class fits a pattern of the shell (``"layer1.*"``, ``"Conv2d"``). All tables take these.

    Counts are ``int``, or ``sympy.Expr`` while symbols remain. Raises :class:`~fxcount.errors.InputError` for other rows.

    >>> import torch, fxcount
    >>> frame = fxcount.analyze(torch.nn.Linear(3, 5), "B,3").to_pandas("kinds")
    >>> frame.loc[0, "op"], frame.loc[0, "macs"]
    ('linear', 15*B)
    """
    import pandas as pd

    columns, cells = _chosen(report, rows, report.public, sort, top, only, whole=True)
    listed = dict(zip(columns, zip(*cells))) if cells else dict.fromkeys(columns, ())
    # texts as objects: a name may hold what Arrow's strings cannot
    return pd.DataFrame({c: pd.Series(list(v), dtype=object if c in _TEXTS or not v else None) for c, v in listed.items()})


def to_csv(
    report: ReportData, rows: Rows = "ops", path: str | os.PathLike[str] | None = None, *, sort: str | None = None,
    top: int | None = None, only: str = "",
) -> str:  # fmt: skip
    """The rows as comma-separated values, formulas as text that ``fxcount.symbolic.parse`` reads; also written to ``path``.

    >>> import torch, fxcount
    >>> print(fxcount.analyze(torch.nn.Linear(3, 5), "B,3").to_csv("kinds"), end="")
    op,calls,macs,flops,transcendentals,read_bytes,write_bytes,guesses
    linear,1,15*B,35*B,0,12*B + 80,20*B,
    """
    columns, cells = _chosen(report, rows, size_to_text, sort, top, only)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([columns, *[[visible(c) if isinstance(c, str) else c for c in line] for line in cells]])
    return kept(buffer.getvalue(), path)


def to_markdown(
    report: ReportData, rows: Rows = "modules", path: str | os.PathLike[str] | None = None, *, sort: str | None = None,
    top: int | None = None, only: str = "",
) -> str:  # fmt: skip
    """The rows as a table of GitHub's Markdown, without columns that are empty throughout; also written to ``path``.

    >>> import torch, fxcount
    >>> print(fxcount.analyze(torch.nn.Linear(3, 5), (7, 3)).to_markdown("kinds"), end="")
    | op     | calls | macs | flops | transcendentals | read_bytes | write_bytes |
    |:-------|------:|-----:|------:|----------------:|-----------:|------------:|
    | linear |     1 |  105 |   245 |               0 |        164 |         140 |
    """
    columns, cells = _filled(*_chosen(report, rows, size_to_text, sort, top, only))
    return kept(markdown_table(columns, cells, [name in _TEXTS for name in columns]), path)


def markdown_table(columns: Sequence[str], cells: Iterable[Sequence[Any]], left: Sequence[bool]) -> str:
    """A table of GitHub's Markdown, its columns as wide as they need be; those that are not ``left`` are set right."""
    lines = [[_markdown(str(c)) for c in line] for line in [columns, *cells]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    rule = "|".join(f":{'-' * (w + 1)}" if is_left else f"{'-' * (w + 1)}:" for w, is_left in zip(widths, left))
    shown = [
        "| " + " | ".join(c.ljust(w) if is_left else c.rjust(w) for c, w, is_left in zip(line, widths, left)) + " |"
        for line in lines
    ]
    return "\n".join([shown[0], f"|{rule}|", *shown[1:]]) + "\n"


def to_latex(
    report: ReportData, rows: Rows = "modules", path: str | os.PathLike[str] | None = None, *, sort: str | None = None,
    top: int | None = None, only: str = "",
) -> str:  # fmt: skip
    r"""The rows as a ``tabular`` of LaTeX with booktabs' rules, formulas as mathematics; also written to ``path``.

    >>> import torch, fxcount
    >>> print(fxcount.analyze(torch.nn.Linear(3, 5), "B,3").to_latex("kinds"), end="")
    \begin{tabular}{lrrrrrr}
    \toprule
    op & calls & macs & flops & transcendentals & read\_bytes & write\_bytes \\
    \midrule
    linear & 1 & $15 B$ & $35 B$ & 0 & $12 B + 80$ & $20 B$ \\
    \bottomrule
    \end{tabular}
    """
    columns, cells = _filled(*_chosen(report, rows, lambda size: _Mathematics(size_to_latex(size)), sort, top, only))
    body = [" & ".join(map(_latex, line)) + r" \\" for line in cells]
    head = " & ".join(map(_latex, columns)) + r" \\"
    alignment = "".join("l" if name in _TEXTS else "r" for name in columns)
    lines = [rf"\begin{{tabular}}{{{alignment}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    return kept("\n".join(lines) + "\n", path)


def kept(text: str, path: str | os.PathLike[str] | None) -> str:
    """The text, written to ``path`` if there is one."""
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


class _Mathematics(str):
    """Text that is LaTeX already."""

    __slots__ = ()


def _chosen(
    report: ReportData, rows: Rows, formula: Callable[[Expr], Any], sort: str | None, top: int | None, only: str,
    whole: bool = False,
) -> tuple[Sequence[str], list[list[Any]]]:  # fmt: skip
    """The cells of those rows that are asked for, in that order."""
    if report.trace.frontend == UNTRACED and rows != "params":
        raise InputError(f"there are no rows of {rows}: {report.trace.ended}", hint='ask for those of "params"')
    columns, cells = _cells(report, rows, formula, whole)
    if sort is None and top is None and not only:
        return columns, cells
    places = list(range(len(cells)))
    if only:
        names = [i for i, name in enumerate(columns) if name in _NAMES]
        places = [p for p in places if any(fnmatchcase(str(cells[p][i]), only) for i in names)]
    if sort is not None:
        numbers = _numbers(report, rows, sort)
        places.sort(key=lambda p: -numbers[p])
    return columns, [cells[p] for p in places[:top]]


def _numbers(report: ReportData, rows: Rows, column: str) -> list[int]:
    """A column as numbers at the report's sizes, or at the hints. Raises InputError for one that is none."""
    columns, cells = _cells(report, rows, lambda size: evaluate(size, report.sizes))
    numeric = [name for i, name in enumerate(columns) if name not in _TEXTS and all(isinstance(c[i], int) for c in cells)]
    if column not in numeric:
        raise InputError(f"rows of {rows} cannot be sorted by {column!r}", hint=f"use one of {', '.join(numeric)}")
    return [line[columns.index(column)] for line in cells]


def _cells(
    report: ReportData, rows: Rows, formula: Callable[[Expr], Any], whole: bool = False
) -> tuple[Sequence[str], list[list[Any]]]:
    """Names of the columns, and the cells; ``whole``: shapes and names as tuples, not as text."""
    if rows not in _COLUMNS:
        raise InputError(f"there are no rows {rows!r}", hint=f"use one of {', '.join(map(repr, ROWS))}")
    columns = _COLUMNS[rows]

    def sized(size: Size) -> Any:
        value = report.size(size)
        return formula(value) if isinstance(value, Expr) else int(value)

    def shaped(shape: Iterable[Size]) -> Any:
        sizes = tuple([report.public(s) if whole else report.size(s) for s in shape])
        return sizes if whole else f"({', '.join(map(str, sizes))})"

    def listed(parts: Sequence[Any]) -> Any:
        return tuple(parts) if whole else " ".join(map(str, parts))

    if rows == "params":
        return columns, [
            [
                p.name, listed(p.names), shaped(p.shape), str(p.dtype).removeprefix("torch."), p.numel, p.unique, p.nbytes,
                p.requires_grad, p.shared, p.dead, p.uses, p.reason,
            ]
            for p in report.params.rows()
        ]  # fmt: skip
    trace, costs = report.trace, report.costs
    made: dict[str, Callable[[Trace, Costs], Iterable[Any]]] = {
        "ops": op_rows, "modules": module_rows, "kinds": op_kinds, "layers": layer_rows, "classes": class_rows,
    }  # fmt: skip
    lines = []
    for row in made[rows](trace, costs):
        counts = [getattr(row, name) for name in COUNTS]
        special = {
            **dict(zip(COUNTS, map(sized, counts))), "guesses": listed(report.guesses_in(*counts)),
            "activation_bytes": sized(getattr(row, "activation_bytes", 0)),
            "output_shapes": listed([shaped(shape) for shape in getattr(row, "output_shapes", ())]),
        }  # fmt: skip
        lines.append([special[name] if name in special else getattr(row, name) for name in columns])
    return columns, lines


def _filled(columns: Sequence[str], cells: Sequence[Sequence[Any]]) -> tuple[list[str], list[list[Any]]]:
    """Without the columns that say nothing in any row."""
    kept = [i for i in range(len(columns)) if any(line[i] != "" for line in cells)]
    return [columns[i] for i in kept], [[line[i] for i in kept] for line in cells]


def _markdown(text: str) -> str:
    return visible(text).replace("\\", "\\\\").replace("|", "\\|")


_SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", **{c: f"\\{c}" for c in "&%$#_{}"},
}  # fmt: skip


def _latex(cell: Any) -> str:
    if isinstance(cell, _Mathematics):
        return f"${cell}$"
    return "".join(_SPECIAL.get(c, c) for c in visible(str(cell)))
