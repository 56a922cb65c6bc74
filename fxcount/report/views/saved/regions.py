"""The pieces over a range as plain data, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fxcount.report.data.curve import QUANTITIES
from fxcount.report.data.piece_rows import PiecesData
from fxcount.report.data.pieces import Found, RefusedSizes
from fxcount.report.data.regions import Progression, Side
from fxcount.report.views.saved.conditions import assumption_from, plain_assumption
from fxcount.report.views.saved.sizes import Read, Write

__all__ = ["pieces_from", "plain_pieces"]

Domain = tuple[tuple[Side, ...], ...]


def plain_pieces(pieces: PiecesData, write: Write) -> dict[str, Any]:
    """Each piece with its domain, in words and as data, and its totals."""
    return {
        "model": pieces.model_name, "over": pieces.over,
        "rows": [
            {
                "domain": row.domain, "sides": _plain_domain(row.sides, write), "hints": row.hints,
                "totals": {q: [write(s) for s in row.sizes(q)] for q in QUANTITIES},
                "assumptions": [plain_assumption(a, write) for a in row.assumptions],
            }
            for row in pieces.rows
        ],
        "refused": [
            {"domain": row.domain, "sides": _plain_domain(row.sides, write), "said": row.said, "where": row.where}
            for row in pieces.refused
        ],
    }  # fmt: skip


def pieces_from(row: Mapping[str, Any], read: Read) -> tuple[str, str, list[Found], list[RefusedSizes]]:
    """The parts of a :class:`PiecesData`. Raises ValueError for what is no domain."""
    found = [
        Found(
            _domain(r["sides"], read), {q: tuple(map(read, r["totals"][q])) for q in QUANTITIES}, r["hints"],
            tuple([assumption_from(a, read) for a in r["assumptions"]]),
        )
        for r in row["rows"]
    ]  # fmt: skip
    refused = [RefusedSizes(_domain(r["sides"], read), r["said"], r["where"]) for r in row["refused"]]
    return row["model"], row["over"], found, refused


def _plain_domain(domain: Domain, write: Write) -> list[list[dict[str, Any]]]:
    return [
        [
            {
                "names": list(side.names), "progressions": [list(p) for p in side.progressions],
                "left_out": [list(p) for p in side.left_out], "claims": [plain_assumption(a, write) for a in side.claims],
            }
            for side in sides
        ]
        for sides in domain
    ]  # fmt: skip


def _domain(plain: Sequence[Sequence[Mapping[str, Any]]], read: Read) -> Domain:
    return tuple([tuple([_side(side, read) for side in sides]) for sides in plain])


def _side(row: Mapping[str, Any], read: Read) -> Side:
    claims = tuple([assumption_from(a, read) for a in row["claims"]])
    if not row["names"] or (not claims and len(row["names"]) != 1):
        raise ValueError("a part of a domain is of no symbol")
    return Side(tuple(row["names"]), _progressions(row["progressions"]), _progressions(row["left_out"]), claims)


def _progressions(rows: Sequence[Sequence[int]]) -> tuple[Progression, ...]:
    found = tuple([Progression(*row) for row in rows])
    if not all([p.step >= 1 and p.first <= p.last for p in found]):
        raise ValueError("sizes that do not run")
    return found
