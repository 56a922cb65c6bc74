"""The text table: the module tree with shapes, parameters and work, then the totals and what they rest on.

Rows show numbers (at the report's values, or at the hint); the totals below show the formulas.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from fxcount.columns import columns_of
from fxcount.report.data.pinned import pinned
from fxcount.report.views.grid import counts_in, grid
from fxcount.report.views.tree import Shown, flattened, tree
from fxcount.report.views.units import bytes_text
from fxcount.symbolic import Size, evaluate, to_text
from fxcount.wording import shortened, visible

if TYPE_CHECKING:
    from fxcount.report.data.report import ReportData
    from fxcount.symbolic import Assumption

__all__ = ["render"]

_DIM, _BOLD, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"
_LONGEST_LINE = 100
_INDENT = 8  # of what belongs to a total's label


def render(
    report: ReportData, depth: int | None = 2, *, fold: bool = True, columns: Sequence[str] | str | None = None,
    sort: str | None = None, width: int | None = None, colour: bool = False,
) -> str:  # fmt: skip
    """The whole table as text, in lines no longer than ``width`` where that can be; see :meth:`fxcount.Report.table`."""
    wanted = columns_of(columns)
    shown = list(flattened(tree(report, depth, counts_in(wanted), fold=fold, sort=sort)))
    drawn = grid(report, shown, wanted, width)
    rule = _painted("─" * drawn.width, _DIM, colour)
    lines = [*_wrapped([_title(report)], width), rule, _painted(drawn.head, _BOLD, colour), rule]
    lines += [_painted(line[:stem], _DIM, colour) + line[stem:] for stem, line in drawn.rows]
    lines.append(rule)
    notes = [f"note: {visible(n)}" for n in report.trace.notes]
    below = [*_ended(report), *_folded(shown), *_totals(report), *_footer(report), *notes]
    lines += [_labelled(line, colour) for line in _wrapped(below, width)]
    return "\n".join(lines)


def _painted(text: str, style: str, colour: bool) -> str:
    return f"{style}{text}{_PLAIN}" if colour and text else text


def _labelled(line: str, colour: bool) -> str:
    label, space, rest = line.partition(" ")
    return _painted(label, _BOLD, colour) + space + rest if label else line


def _wrapped(lines: Iterable[str], width: int | None) -> Iterator[str]:
    """The lines, broken between words where they are too long."""
    for line in visible("\n".join(lines), lines=True).split("\n"):
        if width is None or len(line) <= width:
            yield line
        else:
            yield from textwrap.wrap(
                line, max(width, 2 * _INDENT), subsequent_indent=" " * _INDENT, break_long_words=False, break_on_hyphens=False
            )


def _title(report: ReportData) -> str:
    trace = report.trace
    given = ", ".join(
        f"{visible(v.name)}: {str(v.fact.dtype).removeprefix('torch.')}[{', '.join(str(report.size(s)) for s in v.fact.shape)}]"
        for v in trace.inputs
    )
    at = ", ".join(f"{n}={v}" for n, v in report.sizes.items())
    mode = {None: "", True: "in training mode", False: "in eval mode"}[trace.training]
    said = ", ".join([part for part in (mode, f"rows at {at}" if at else "") if part])
    return f"{visible(trace.model_name)}({given})" + (f"   {said}" if said else "")


def _folded(shown: Sequence[Shown]) -> list[str]:
    return ["folded  rows with xN add up N equal modules, and so do the rows inside"] if any(s.calls > 1 for s in shown) else []


def _ended(report: ReportData) -> list[str]:
    """Of a forward that raised an error: that the rows are those before it."""
    trace = report.trace
    if not trace.ended:
        return []
    ops = f"{len(trace.calls)} op{'s' * (len(trace.calls) != 1)}"
    return [
        f"ended   after {ops}: {visible(trace.ended)}",
        "        the work below is that of what came before; params are all there are",
    ]


def _integer(n: int) -> str:
    return f"{n:,}" if n else "-"


def _totals(report: ReportData) -> list[str]:
    p, total, m = report.params, report.costs.total, report.peaks
    parts = [f"{_integer(p.trainable)} trainable"]
    parts += [f"{n:,} {label}" for n, label in ((p.frozen, "frozen"), (p.shared, "shared"), (p.dead, "dead")) if n]
    lines = [
        f"params  {p.total:,} ({', '.join(parts)}), {bytes_text(p.bytes)}"
        + (f"; buffers {p.buffers:,}, {bytes_text(p.buffer_bytes)}" if p.buffers else ""),
        _formula(report, "macs", total.macs),
        _formula(report, "flops", total.flops),
    ]
    values = report.sizes
    read, write = (evaluate(s, values) for s in (total.read_bytes, total.write_bytes))
    peak, call = m.peak_at(values)
    marks = [_mark(report, s) for s in (total.read_bytes, total.write_bytes)]
    lines.append(f"bytes   read {bytes_text(read)}{marks[0]}, written {bytes_text(write)}{marks[1]}")
    lines.append(
        f"memory  activations peak at {bytes_text(peak)}{_mark(report, *[p.nbytes for p in m.peaks])} "
        f"({report.memory_place(call)}); inputs {bytes_text(evaluate(m.inputs, values))}, "
        f"outputs {bytes_text(evaluate(m.outputs, values))}{_mark(report, m.outputs)}"
    )
    lines += _peak_formula(report, call)
    dead = p.rows("dead")
    if dead:
        names = ", ".join(visible(r.name) for r in dead[:4]) + (f" and {len(dead) - 4} more" if len(dead) > 4 else "")
        lines.append(f"dead    {names}: {dead[0].reason}")
    return lines


def _peak_formula(report: ReportData, call: int) -> list[str]:
    """The bytes of the moment that is the peak here, while symbols remain."""
    peaks = report.peaks.peaks
    here = next((p.nbytes for p in peaks if p.call == call), 0)
    if report.values is not None or isinstance(here, int):
        return []
    of = f" here; the largest of {len(peaks)} moments, see memory.regions(...)" if len(peaks) > 1 else ""
    return [f"        = {to_text(report.size(here))}{of}"]


def _formula(report: ReportData, label: str, size: Size) -> str:
    values = report.sizes
    number = f"{evaluate(size, values):,}{_mark(report, size)}"
    if report.values is not None or isinstance(size, int):
        return f"{label:7} {number}"
    return f"{label:7} {to_text(report.size(size))}\n        = {number}"


def _with_line(assumption: Assumption) -> str:
    """An assumption with the line of the model that decides it."""
    line = assumption.line
    return f"{assumption}: `{shortened(line, _LONGEST_LINE)}`" if line else str(assumption)


def _mark(report: ReportData, *sizes: Size) -> str:
    """What stands behind a number that rests on a guess."""
    return "?" if report.guesses_in(*sizes) else ""


def _footer(report: ReportData) -> list[str]:
    lines = []
    if report.trace.guessed_inputs:
        lines.append(f"inputs  guessed from {visible(report.trace.guessed_inputs)}: give those that are meant")
    if report.piece.because:
        lines.append(f"piece   {report.piece}")
    assumptions = report.assumptions
    if assumptions:
        lines.append("assumes " + "\n        ".join(visible(_with_line(a)) for a in assumptions))
    loops = [name for name in pinned(report.piece) if name in report.symbols] if assumptions else []
    if loops:
        lines.append(f"        report.fit() finds the formula in {' and '.join(loops)}, which the model takes as a number")
    values = report.sizes
    guesses = [f"{u.name} = {values[u.name]}: {u.what}" + (f" at {u.where}" if u.where else "") for u in report.guesses]
    if guesses:
        lines.append("guessed " + "\n        ".join(map(visible, guesses)))
        lines.append("        at(NAME=VALUE) takes the value you know; numbers marked ? depend on it")
    if report.uncounted:
        names: dict[str, int] = {}
        for call in report.uncounted:
            names[call.op.name] = names.get(call.op.name, 0) + 1
        listed = ", ".join(f"{visible(n)} ({k}x)" for n, k in names.items())
        lines.append(f"not counted: {listed}; the totals are lower bounds")
    return lines
