"""What a reader should know besides the numbers: shared and dead parameters, ops without a rule, guesses, conventions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fxcount.passes.parameters import ParameterRow
from fxcount.report.data.report import ReportData
from fxcount.report.data.steps import is_of_step
from fxcount.report.views.conventions import convention_rows
from fxcount.report.views.conventions.differences import ConventionRow
from fxcount.report.views.html.pool import Pool, runs
from fxcount.report.views.pictures.colours import letter
from fxcount.symbolic import Size
from fxcount.wording import visible

__all__ = ["findings"]

_MOST_CALLS = 10_000
"""Calls of the largest model of which other tools' numbers are worked out."""
_SHOWN = 4


def findings(report: ReportData, row: Callable[[Size], int]) -> dict[str, Any]:
    """Plain data; ``row`` gives the number of a formula's row."""
    p = report.params
    rows = p.rows()
    places = {name: i for i, r in enumerate(rows) for name in r.names}
    return {
        "parameters": {
            "total": p.total, "trainable": p.trainable, "frozen": p.frozen, "shared": p.shared, "dead": p.dead,
            "bytes": p.bytes, "buffers": p.buffers, "buffer_bytes": p.buffer_bytes,
        },
        "states": _states(rows),
        "groups": [
            {
                "letter": letter(i), "kind": g.kind, "names": [visible(n) for n in g.names], "saved": g.bytes_saved,
                "uses": len(g.uses), "calls": g.calls, "derived": visible(g.derived),
                "states": sorted({places[n] for n in g.names if n in places}),
            }
            for i, g in enumerate(p.by_group())
        ],
        "dead": [_dead(reason, found) for reason, found in _by_reason(p.rows("dead")).items()],
        "uncounted": _uncounted(report),
        "notes": [visible(n) for n in _notes(report)],
        "conventions": _conventions(report, row),
    }  # fmt: skip


def _notes(report: ReportData) -> list[str]:
    """What there is to know of the trace."""
    trace = report.trace
    ended = [f"The forward ended with an error, after {len(trace.calls)} ops: {trace.ended}"] if trace.ended else []
    guess = [f"The inputs are guessed from {trace.guessed_inputs}"] if trace.guessed_inputs else []
    return [*ended, *guess, *trace.notes]


def _states(rows: Sequence[ParameterRow]) -> dict[str, Any]:
    """Names, each as what it has in common with the one before and the rest; and numbers of kinds: shape, dtype, bytes, and
    whether it is trainable, shared, dead."""
    kinds = Pool[tuple[Any, ...]]()
    names: list[int | str] = []
    before = ""
    for r in rows:
        name = visible(r.name)
        common = next((i for i, (a, b) in enumerate(zip(before, name)) if a != b), min(len(before), len(name)))
        names += [common, name[common:]]
        before = name
    column = [kinds((r.shape, str(r.dtype).removeprefix("torch."), r.nbytes, _flags(r))) for r in rows]
    return {"names": names, "kind": runs(column), "kinds": kinds.items}


def _flags(r: ParameterRow) -> int:
    return int(r.requires_grad) + 2 * int(r.shared) + 4 * int(r.dead)


def _by_reason(rows: Sequence[ParameterRow]) -> dict[str, list[ParameterRow]]:
    found: dict[str, list[ParameterRow]] = {}
    for r in rows:
        found.setdefault(r.reason, []).append(r)
    return dict(sorted(found.items(), key=lambda item: -sum([r.nbytes for r in item[1]])))


def _dead(reason: str, rows: Sequence[ParameterRow]) -> dict[str, Any]:
    return {
        "reason": visible(reason), "bytes": sum([r.nbytes for r in rows]), "elements": sum([r.unique for r in rows]),
        "names": [visible(r.name) for r in rows],
    }  # fmt: skip


def _uncounted(report: ReportData) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], int] = {}
    for call in report.uncounted:
        key = (visible(call.op.name), visible(str(call.source or "")))
        found[key] = found.get(key, 0) + 1
    return [{"op": op, "where": where, "calls": n} for (op, where), n in found.items()]


def _conventions(report: ReportData, row: Callable[[Size], int]) -> list[dict[str, Any]]:
    if is_of_step(report) or len(report.trace.calls) > _MOST_CALLS:
        return []
    return [_convention(r, row) for r in convention_rows(_open(report))]


def _open(report: ReportData) -> ReportData:
    """The report with symbols, whatever its values are."""
    return report if report.values is None and not report.fixed else report.in_piece(report.piece)


def _convention(r: ConventionRow, row: Callable[[Size], int]) -> dict[str, Any]:
    c = r.convention
    return {
        "name": c.name, "tool": c.tool, "unit": c.unit, "number": row(r.number), "exact": row(r.exact) if c.per_mac else None,
        "includes": c.includes, "excludes": c.excludes, "versions": c.versions,
        "differences": [[visible(d.kind), d.rule, d.calls, row(d.amount)] for d in r.differences[:_SHOWN]],
    }  # fmt: skip
