"""A curve as tables and as a plot. Points that the model refuses are rows with the reason, and gaps in the plot."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fxcount.errors import InputError
from fxcount.report.data.curve import QUANTITIES
from fxcount.report.views.tables import kept, markdown_table

if TYPE_CHECKING:
    from fxcount.report.data.curve import CurveData

__all__ = ["plot", "to_csv", "to_markdown", "to_pandas"]

_LABELS = {
    "macs": "multiply-accumulates", "flops": "FLOPs", "read_bytes": "bytes read", "write_bytes": "bytes written",
    "peak_bytes": "activation peak (bytes)", "params": "parameters",
}  # fmt: skip


def _columns(curve: CurveData) -> list[str]:
    return [*curve.sizes, *QUANTITIES, "piece", "refused"]


def _lines(curve: CurveData) -> Iterator[list[Any]]:
    columns = [*curve.sizes.values(), *[curve.columns[q] for q in QUANTITIES], curve.piece, curve.refused]
    yield from map(list, zip(*columns))


def to_pandas(curve: CurveData) -> Any:
    """A data frame of the points; counts are exact Python integers, missing where the model refuses."""
    import pandas as pd

    frame = pd.DataFrame(list(_lines(curve)), columns=_columns(curve), dtype=object)
    numbers = [*curve.sizes, *[q for q in (*QUANTITIES, "piece") if frame[q].notna().all()]]
    fitting = {n: "int64" for n in numbers if all(abs(v) < 2**63 for v in frame[n])}
    return frame.astype(fitting)


def to_csv(curve: CurveData, path: str | os.PathLike[str] | None = None) -> str:
    """The points as comma-separated values; also written to ``path``."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_columns(curve))
    writer.writerows(["" if cell is None else cell for cell in line] for line in _lines(curve))
    return kept(buffer.getvalue(), path)


def to_markdown(curve: CurveData, path: str | os.PathLike[str] | None = None) -> str:
    """The points as a table of GitHub's Markdown; also written to ``path``."""
    columns = [c for c in _columns(curve) if c != "refused" or any(curve.refused)]
    lines = [["" if cell is None else f"{cell:,}" if isinstance(cell, int) and i >= len(curve.sizes) else str(cell)
              for i, cell in enumerate(line[: len(columns)])] for line in _lines(curve)]  # fmt: skip
    return kept(markdown_table(columns, lines, [name == "refused" for name in columns]), path)


def plot(
    curve: CurveData, path: str | os.PathLike[str] | None = None, quantity: str | Sequence[str] = "macs", ax: Any = None
) -> Any:
    """Counts against the first symbol that runs, a line for each value of the others; also written to ``path``.

    ``quantity``: one of macs, flops, read_bytes, write_bytes, peak_bytes, params, or several. Returns the axes of matplotlib;
    without ``ax`` of a figure of its own, which opens no window. Raises :class:`~fxcount.errors.InputError` for others.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    wanted = [quantity] if isinstance(quantity, str) else list(quantity)
    for name in wanted:
        if name not in QUANTITIES:
            raise InputError(f"a curve has no {name!r}", hint=f"use one of {', '.join(QUANTITIES)}")
    if ax is None:
        figure = Figure(layout="constrained")
        FigureCanvasAgg(figure)
        ax = figure.add_subplot()
    axis = (curve.free or list(curve.sizes) or [""])[0]
    for name in wanted:
        for label, points in _series(curve, axis, name).items():
            text = ", ".join([*([_LABELS[name]] if len(wanted) > 1 else []), *([label] if label else [])])
            ax.plot(*zip(*points), marker="." if len(points) <= 100 else "", label=text or None)
    ax.set_xlabel(axis)
    ax.set_ylabel(_LABELS[wanted[0]] if len(wanted) == 1 else "")
    ax.set_title(curve.model_name)
    if ax.get_legend_handles_labels()[1]:
        ax.legend()
    if path is not None:
        ax.figure.savefig(path)
    return ax


def _series(curve: CurveData, axis: str, quantity: str) -> dict[str, list[tuple[int, float]]]:
    """The points of each line, by what the other symbols that run are."""
    found: dict[str, list[tuple[int, float]]] = {}
    others = [n for n in curve.free if n != axis]
    xs = curve.sizes.get(axis, [0] * len(curve))
    for i, (x, y) in enumerate(zip(xs, curve.columns[quantity])):
        label = ", ".join(f"{n}={curve.sizes[n][i]}" for n in others)
        found.setdefault(label, []).append((x, float("nan") if y is None else float(y)))
    return found
