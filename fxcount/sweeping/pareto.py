"""The front of a sweep: the models that no other beats in both of two columns."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.errors import InputError
from fxcount.sweeping.row import COUNTS, Row

__all__ = ["Front", "front", "plot", "read_scores"]

Scores = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Front:
    """``on``: the rows that no other beats, by their cost; ``off``: all others; ``gains``: of those the worth, by model, where
    it is a column of scores. Less is better in ``cost`` and in ``other``, more in scores."""

    cost: str
    other: str
    on: tuple[Row, ...]
    off: tuple[Row, ...]
    scores: Scores

    def worth(self, row: Row) -> float:
        """The second axis."""
        return self.scores[row.model] if self.scores else float(getattr(row, self.other))


def front(rows: Iterable[Row], cost: str = "macs", other: str = "params", scores: Scores | None = None) -> Front:
    """The rows that are not beaten: no other costs at most as much, is at most as large (or has at least the score), and is
    better in one of them. Rows without counts, or without a score where there are scores, are left out.

    Raises :class:`~fxcount.errors.InputError` for a column that is none, or where nothing is left.

    >>> rows = [Row("", name, "", "", "eval", "", macs=m, params=p) for name, m, p in [("a", 1, 9), ("b", 2, 9), ("c", 5, 3)]]
    >>> [row.model for row in front(rows).on]
    ['a', 'c']
    """
    for name in (cost, *([] if scores else [other])):
        if name not in COUNTS:
            raise InputError(f"a row has no {name!r}", hint=f"use one of {', '.join(COUNTS)}")
    known = [r for r in rows if not r.error and getattr(r, cost) is not None and (scores is None or r.model in scores)]
    if not known:
        raise InputError("no row has both", hint="scores are found by the name of the model, as the sweep has it")
    made = Front(cost, other, (), tuple(known), scores or {})

    def place(row: Row) -> tuple[int, float]:
        return getattr(row, cost), -made.worth(row) if scores else made.worth(row)

    on, best = [], float("inf")
    for row in sorted(known, key=place):
        if place(row)[1] < best:
            on.append(row)
            best = place(row)[1]
    chosen = {id(row) for row in on}
    return Front(cost, other, tuple(on), tuple(row for row in known if id(row) not in chosen), scores or {})


def read_scores(path: str | os.PathLike[str], column: str = "") -> dict[str, float]:
    """A column of a CSV file by the model's name, which is its first column or the one called ``model``.

    timm's results name models without ``timm:``; both are found. Raises :class:`~fxcount.errors.InputError` for a file that
    has no such column.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            names: Sequence[str] = reader.fieldnames or []
            lines = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}", hint="give a CSV file with a column of models") from error
    if len(names) < 2:
        raise InputError(f"{str(path)!r} has no column of scores", hint="its first line names the columns: model,top1")
    model = "model" if "model" in names else names[0]
    wanted = column or next(n for n in names if n != model)
    if wanted not in names:
        raise InputError(f"{str(path)!r} has no column {wanted!r}", hint=f"it has {', '.join(names)}")
    found: dict[str, float] = {}
    for line in lines:
        try:
            score = float(line[wanted])
        except (TypeError, ValueError):
            continue
        name = line[model].split(".")[0] if ":" not in line[model] else line[model]  # resnet50.a1_in1k is of resnet50
        for known in {line[model], name, f"timm:{line[model]}", f"timm:{name}"}:
            found[known] = max(score, found.get(known, score))
    return found


def plot(found: Front, path: str | os.PathLike[str], scores: str = "score") -> None:
    """Cost against the other column on a logarithmic axis, the front joined and named; written to ``path``."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(f"a plot needs matplotlib ({error})", hint='pip install "fxcount[plot]"') from error
    figure = Figure(figsize=(8, 6), layout="constrained")
    FigureCanvasAgg(figure)
    ax: Any = figure.add_subplot()
    for rows, style in ((found.off, {"color": "0.7", "s": 12}), (found.on, {"color": "#0072B2", "s": 30, "zorder": 3})):
        ax.scatter([getattr(r, found.cost) for r in rows], [found.worth(r) for r in rows], **style)
    ax.step(
        [getattr(r, found.cost) for r in found.on], [found.worth(r) for r in found.on], where="post", color="#0072B2", lw=1
    )  # fmt: skip
    for row in found.on:
        ax.annotate(
            row.model.partition(":")[2] or row.model, (getattr(row, found.cost), found.worth(row)), fontsize=7,
            xytext=(4, 4), textcoords="offset points",
        )  # fmt: skip
    ax.set_xscale("log")
    if not found.scores:
        ax.set_yscale("log")
    ax.set_xlabel(found.cost)
    ax.set_ylabel(scores if found.scores else found.other)
    figure.savefig(path)
