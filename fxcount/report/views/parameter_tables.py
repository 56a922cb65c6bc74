"""Parameters as text: totals by state, dtype, module or sharing group, the dead with their reasons, the buffers."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from fxcount.passes.modes import ModeRow
from fxcount.passes.parameters import ParameterRow, Parameters, ParameterTotals
from fxcount.passes.sharing import SharingGroup
from fxcount.passes.uses import Use
from fxcount.report.views.units import bytes_text
from fxcount.trace.tape import Trace
from fxcount.wording import visible

__all__ = [
    "BY", "by_table", "finding", "group_text", "modes_table", "overview", "rows_table", "to_dict", "totals_table", "untraced",
]  # fmt: skip

BY = ("state", "dtype", "module", "group")


def overview(params: Parameters, model_name: str) -> str:
    """Totals by state, what is dead and why, what is shared, the buffers."""
    title = f"{visible(model_name)}: {params.total:,} parameters, {bytes_text(params.bytes)}"
    parts = [title, totals_table(params.by_state(), "state")]
    dead = _by_reason(params.rows("dead"))
    if dead:
        parts += ["dead:", *(_dead_text(reason, rows) for reason, rows in dead.items())]
    if params.groups:
        parts += ["sharing:", *(f"  {group_text(g)}" for g in params.by_group())]
    if params.buffer_rows:
        parts.append(_buffers_text(params))
    elif params.buffers:
        parts.append(f"buffers: {params.buffers:,} elements, {bytes_text(params.buffer_bytes)}")
    return "\n".join(parts)


def untraced(params: Parameters, trace: Trace, depth: int | None, width: int | None = None) -> str:
    """What a model holds that was not called: a line for each module, the totals, and why there is no more."""
    lines = [by_table(params, "module", depth), "", overview(params, trace.model_name)]
    note = textwrap.fill(f"note: {visible(trace.ended)}; which of them are used, and for what, is not known", width or 10**6)
    return "\n".join([*lines, note])


def by_table(params: Parameters, by: str, depth: int | None = 1) -> str:
    """The totals by one of :data:`BY`."""
    if by == "group":
        return "\n".join(map(group_text, params.by_group())) or "nothing is shared"
    if by == "module":
        return totals_table(params.by_module(depth), by)
    return totals_table(params.by_dtype() if by == "dtype" else params.by_state(), by)


def finding(state: str, rows: Sequence[ParameterRow]) -> str:
    """One phrase for a failing check."""
    names = ", ".join(visible(r.name) for r in rows[:5]) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
    plural = "s" * (len(rows) != 1)
    return f"{len(rows)} {state} parameter{plural}, {bytes_text(sum(r.nbytes for r in rows))}: {names}"


def totals_table(totals: Iterable[ParameterTotals], title: str) -> str:
    """One line for each key.

    >>> print(totals_table([ParameterTotals("float32", 2, 20, 80, 15, 5, 0, 0)], "dtype"))
    dtype    parameters  elements  bytes  trainable  frozen  shared  dead
    float32           2        20   80 B         15       5       -     -
    """
    header = (title, "parameters", "elements", "bytes", "trainable", "frozen", "shared", "dead")
    cells = [
        (t.key or "<model>", *map(_integer, (t.parameters, t.numel)), bytes_text(t.nbytes),
         *map(_integer, (t.trainable, t.frozen, t.shared, t.dead)))
        for t in totals
    ]  # fmt: skip
    return _table([header, *cells])


def rows_table(rows: Iterable[ParameterRow]) -> str:
    """One line for each parameter, with all its names and, if it is dead, the reason."""
    header = ("parameter", "shape", "dtype", "bytes", "uses", "why dead")
    cells = [
        (" = ".join(r.names), "x".join(map(str, r.shape)) or "scalar", str(r.dtype).removeprefix("torch."),
         bytes_text(r.nbytes), str(r.uses), r.reason)
        for r in rows
    ]  # fmt: skip
    return _table([header, *cells], left=(0, 1, 2, 5))


def modes_table(rows: Iterable[ModeRow]) -> str:
    """The parameters that do not live in both modes."""
    header = ("parameter", "bytes", "alive", "why not")
    cells = [
        (" = ".join(r.names), bytes_text(r.nbytes), r.state, r.training or r.evaluation)
        for r in rows if r.state != "in both modes"
    ]  # fmt: skip
    return _table([header, *cells], left=(0, 2, 3)) if cells else "all parameters are alive in both modes"


def group_text(g: SharingGroup) -> str:
    """One line on a group.

    >>> group_text(SharingGroup("same parameter", ("table.weight", "head.weight"), (), 220))
    'same parameter: table.weight, head.weight; 0 uses, saves 220 B'
    """
    uses = f"{len(g.uses)} use{'s' * (len(g.uses) != 1)}"
    names = ", ".join(map(visible, g.names))
    if g.derived:
        return f"{g.kind}: {visible(g.derived)} from {names}; {uses}"
    return f"{g.kind}: {names}{f' ({g.calls} times)' if g.calls else ''}; {uses}, saves {bytes_text(g.bytes_saved)}"


def to_dict(params: Parameters) -> dict[str, Any]:
    """Everything as nested dicts and lists of str, int and bool."""
    return {
        "total": params.total, "trainable": params.trainable, "frozen": params.frozen, "shared": params.shared,
        "dead": params.dead, "bytes": params.bytes, "buffers": params.buffers, "buffer_bytes": params.buffer_bytes,
        "parameters": [_row(r) for r in params.rows()],
        "groups": [
            {
                "kind": g.kind, "names": list(g.names), "bytes_saved": g.bytes_saved, "derived": g.derived, "calls": g.calls,
                "uses": [_use(u) for u in g.uses],
            }
            for g in params.groups
        ],
        "buffer_rows": [
            {
                "names": list(b.names), "shape": list(b.shape), "dtype": str(b.dtype).removeprefix("torch."),
                "bytes": b.nbytes, "persistent": b.persistent, "state": b.state, "reason": b.reason,
                "uses": [_use(u) for u in b.used_by],
            }
            for b in params.buffer_rows
        ],
    }  # fmt: skip


def _row(r: ParameterRow) -> dict[str, Any]:
    return {
        "names": list(r.names), "shape": list(r.shape), "dtype": str(r.dtype).removeprefix("torch."), "numel": r.numel,
        "bytes": r.nbytes, "requires_grad": r.requires_grad, "gets_gradient": r.gets_gradient, "shared": r.shared,
        "dead": r.dead, "cause": r.cause, "reason": r.reason, "uses": [_use(u) for u in r.used_by],
    }  # fmt: skip


def _use(u: Use) -> dict[str, Any]:
    return {"module": u.module, "op": u.op, "argument": u.argument, "where": str(u.source), "call": u.call}


def _by_reason(rows: Iterable[ParameterRow]) -> dict[str, list[ParameterRow]]:
    found: dict[str, list[ParameterRow]] = {}
    for r in rows:
        found.setdefault(r.reason, []).append(r)
    return dict(sorted(found.items(), key=lambda item: -sum(r.nbytes for r in item[1])))


def _dead_text(reason: str, rows: Sequence[ParameterRow]) -> str:
    names = ", ".join(visible(r.name) for r in rows[:3]) + (f" and {len(rows) - 3} more" if len(rows) > 3 else "")
    return f"  {bytes_text(sum(r.nbytes for r in rows))}  {names}: {visible(reason)}"


def _buffers_text(params: Parameters) -> str:
    rows = params.buffer_rows
    counts = {state: sum(b.state == state for b in rows) for state in ("updated", "read", "dead")}
    parts = [f"{n} {state}" for state, n in counts.items() if n]
    hidden = sum(not b.persistent for b in rows)
    parts += [f"{hidden} not in the state dict"] if hidden else []
    dead = [b.name for b in rows if b.state == "dead"]
    first = ", ".join(map(visible, dead[:3])) + (f" and {len(dead) - 3} more" if len(dead) > 3 else "")
    names = f"; dead: {first}" if dead else ""
    return f"buffers: {len(rows)} ({', '.join(parts)}), {bytes_text(params.buffer_bytes)}{names}"


def _integer(n: int) -> str:
    return f"{n:,}" if n else "-"


def _table(lines: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    lines = [[visible(c) for c in line] for line in lines]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))).rstrip()
        for line in lines
    )
