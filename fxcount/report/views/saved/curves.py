"""A curve as plain data, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fxcount.report.data.curve import QUANTITIES, CurveData, CurvePiece
from fxcount.report.views.saved.conditions import assumption_from, plain_assumption
from fxcount.report.views.saved.sizes import Read, Write

__all__ = ["curve_from", "plain_curve"]


def plain_curve(curve: CurveData, write: Write) -> dict[str, Any]:
    """Columns, one entry for each point; what was ``said`` of refused points stands once, and ``refused`` names its row."""
    said = {text: row for row, text in enumerate(dict.fromkeys(filter(None, curve.refused)))}
    return {
        "model": curve.model_name, "free": list(curve.free), "sizes": curve.sizes, "columns": curve.columns,
        "piece": curve.piece, "refused": [said.get(text) for text in curve.refused], "said": list(said),
        "pieces": [
            {
                "hints": p.hints, "assumptions": [plain_assumption(a, write) for a in p.assumptions], "because": p.because,
                "points": p.points,
            }
            for p in curve.pieces
        ],
    }  # fmt: skip


def curve_from(row: Mapping[str, Any], read: Read) -> dict[str, Any]:
    """The parts of a :class:`CurveData`. Raises ValueError for columns that are of different points."""
    count = len(row["refused"])
    columns = {name: row["columns"][name] for name in QUANTITIES}
    if any(len(column) != count for column in (*row["sizes"].values(), *columns.values(), row["piece"])):
        raise ValueError(f"columns of other lengths than the {count} points")
    if not set(row["free"]) <= row["sizes"].keys():
        raise ValueError("a symbol runs that has no sizes")
    for i, (piece, said) in enumerate(zip(row["piece"], row["refused"], strict=True)):
        empty = [column[i] is None for column in columns.values()]
        if (piece is None) == (said is None) or any(empty) != (piece is None) or any(empty) != all(empty):
            raise ValueError(f"point {i} is neither counted nor refused")
    pieces = [
        CurvePiece(p["hints"], tuple([assumption_from(a, read) for a in p["assumptions"]]), p["because"], p["points"])
        for p in row["pieces"]
    ]
    if max([p for p in row["piece"] if p is not None], default=-1) >= len(pieces):
        raise ValueError("a point is of a piece that there is not")
    return {
        "model_name": row["model"], "free": row["free"], "sizes": row["sizes"], "columns": columns, "piece": row["piece"],
        "refused": ["" if said is None else row["said"][said] for said in row["refused"]], "pieces": pieces,
    }  # fmt: skip
