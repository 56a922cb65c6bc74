"""The text table: the module tree with shapes, parameters and work, then the totals and what they rest on.

Rows show numbers (at the report's values, or at the hint); the totals below show the formulas. Work inside a module is a
difference of two prefix sums over the calls, so a table of thousands of rows takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from fxcount.report.data.rows import module_parameters
from fxcount.report.views.units import bytes_text, count_text
from fxcount.symbolic import Size, evaluate, to_text
from fxcount.trace.tape import ModuleCall, Trace
from fxcount.wording import visible

if TYPE_CHECKING:
    from fxcount.report.data.report import ReportData

__all__ = ["render"]

_BAR = 10
_HEADER = ("module", "output shape", "params", "macs", "flops", "share of macs")


def render(report: ReportData, depth: int | None = 2) -> str:
    """The whole table as text."""
    trace = report.trace
    rows = [tuple(map(visible, row)) for row in _rows(report, depth)]
    widths = [max([len(_HEADER[i]), *[len(r[i]) for r in rows]]) for i in range(len(_HEADER))]
    lines = [_title(report), _line(widths), _format(_HEADER, widths), _line(widths)]
    lines += [_format(row, widths) for row in rows]
    lines.append(_line(widths))
    lines += _totals(report)
    lines += _footer(report)
    if trace.notes:
        lines += [f"note: {visible(n)}" for n in trace.notes]
    return visible("\n".join(lines), lines=True)


def _title(report: ReportData) -> str:
    trace = report.trace
    given = ", ".join(
        f"{visible(v.name)}: {str(v.fact.dtype).removeprefix('torch.')}[{', '.join(str(report.size(s)) for s in v.fact.shape)}]"
        for v in trace.inputs
    )
    values = report.sizes
    at = ", ".join(f"{n}={v}" for n, v in values.items())
    place = f"   rows at {at}" if at else ""
    return f"{visible(trace.model_name)}({given}){place}"


def _rows(report: ReportData, depth: int | None) -> list[tuple[str, ...]]:
    trace = report.trace
    values = report.sizes
    by_signature = {
        key: (evaluate(c.macs, values), evaluate(c.flops, values), bool(report.guesses_in(c.macs, c.flops)))
        for key, c in report.costs.by_signature.items()
    }
    each = [by_signature[id(call.signature)] for call in trace.calls]
    macs, flops, unsure = ([0, *accumulate(numbers)] for numbers in zip(*each)) if each else ([0], [0], [0])
    held = module_parameters(trace)
    total = macs[-1]
    seen: set[str] = set()
    entries: list[tuple[int, tuple[str, ...]]] = []  # depth, and the cells without the branches

    def add(level: int, name: str, shape: str, params: str, work: int, all_work: int, guessed: int) -> None:
        mark = "?" if guessed else ""
        cells = (count_text(work) + mark, count_text(all_work) + mark, _share(work, total))
        entries.append((level, (name, shape, params, *cells)))

    for m, own in _with_own_ops(trace.modules, depth):
        if own is not None:
            indices = [i for start, stop in own for i in range(start, stop)]
            flops_own = sum(each[i][1] for i in indices)
            if flops_own:
                work = sum(each[i][0] for i in indices)
                guessed = sum(each[i][2] for i in indices)
                add(m.depth + 1, _own_name(trace, indices, each), "", "", work, flops_own, guessed)
            continue
        again = m.path in seen
        seen.add(m.path)
        name = f"{m.path.rpartition('.')[2]}: {m.class_name}" if m.path else m.class_name
        if m.number > 1:
            name += f" (call {m.number})"
        params = "shared" if again and held.get(m.path) else _integer(held.get(m.path, 0))
        inside = [sums[m.stop] - sums[m.start] for sums in (macs, flops, unsure)]
        add(m.depth, name, _shapes(report, m), params, *inside)
    stems = _stems([level for level, _ in entries])
    return [(stem + cells[0], *cells[1:]) for stem, (_, cells) in zip(stems, entries, strict=True)]


def _with_own_ops(
    modules: Sequence[ModuleCall], depth: int | None
) -> Iterator[tuple[ModuleCall, list[tuple[int, int]] | None]]:
    """Each module call shown, and after the children of one the ranges of calls that none of them made."""
    children: dict[int, list[ModuleCall]] = {}
    for m in modules:
        children.setdefault(m.parent, []).append(m)

    def walk(m: ModuleCall) -> Iterator[tuple[ModuleCall, list[tuple[int, int]] | None]]:
        yield m, None
        inner = children.get(m.index, ())
        if not inner or (depth is not None and m.depth >= depth):
            return
        gaps = []
        at = m.start
        for child in inner:
            yield from walk(child)
            gaps.append((at, child.start))
            at = child.stop
        yield m, [*gaps, (at, m.stop)]

    for root in children.get(-1, ()):
        yield from walk(root)


def _own_name(trace: Trace, indices: Sequence[int], each: Sequence[tuple[int, int, bool]]) -> str:
    """The ops a module's forward calls itself, the costliest by name."""
    by_op: dict[str, int] = {}
    for i in indices:
        if each[i][1]:
            name = trace.calls[i].op.name
            by_op[name] = by_op.get(name, 0) + each[i][1]
    ranked = sorted(by_op, key=lambda n: -by_op[n])
    more = len(ranked) - 1
    return ranked[0] + (f" + {more} op{'s' * (more > 1)}" if more else "")


def _stems(levels: Sequence[int]) -> list[str]:
    """The branches drawn before each row: one pass from the end, remembering which levels go on below."""
    open_levels: set[int] = set()
    stems: list[str] = []
    for d in reversed(levels):
        open_levels = {level for level in open_levels if level <= d}
        if d == 0:
            stems.append("")
        else:
            trunk = "".join("│  " if level in open_levels else "   " for level in range(1, d))
            stems.append(trunk + ("├─ " if d in open_levels else "└─ "))
            open_levels.add(d)
    return stems[::-1]


def _shapes(report: ReportData, m: ModuleCall) -> str:
    texts = ["(" + ", ".join(_dimension(report, s) for s in f.shape) + ")" for f in m.outputs[:2]]
    if len(m.outputs) > 2:
        texts.append(f"+{len(m.outputs) - 2} more")
    return " ".join(texts)


_WIDEST = 60


def _dimension(report: ReportData, size: Size) -> str:
    """The formula, or where that would make the table too wide the number, as in the other columns."""
    text = str(report.size(size))
    return text if len(text) <= _WIDEST else str(evaluate(size, report.sizes))


def _integer(n: int) -> str:
    return f"{n:,}" if n else "-"


def _share(part: int, total: int) -> str:
    if not total:
        return ""
    share = part / total
    return f"{100 * share:5.1f}% " + "█" * round(_BAR * share)


def _format(row: Sequence[str], widths: Sequence[int]) -> str:
    left = "  ".join(row[i].ljust(widths[i]) for i in (0, 1))
    right = "  ".join(row[i].rjust(widths[i]) for i in (2, 3, 4))
    return f"{left}  {right}  {row[5]}".rstrip()


def _line(widths: Sequence[int]) -> str:
    return "─" * (sum(widths) + 2 * (len(widths) - 1))


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
    dead = p.rows("dead")
    if dead:
        names = ", ".join(visible(r.name) for r in dead[:4]) + (f" and {len(dead) - 4} more" if len(dead) > 4 else "")
        lines.append(f"dead    {names}: {dead[0].reason}")
    return lines


def _formula(report: ReportData, label: str, size: Size) -> str:
    values = report.sizes
    number = f"{evaluate(size, values):,}{_mark(report, size)}"
    if report.values is not None or isinstance(size, int):
        return f"{label:7} {number}"
    return f"{label:7} {to_text(report.size(size))}\n        = {number}"


def _mark(report: ReportData, *sizes: Size) -> str:
    """What stands behind a number that rests on a guess."""
    return "?" if report.guesses_in(*sizes) else ""


def _footer(report: ReportData) -> list[str]:
    lines = []
    if report.piece.because:
        lines.append(f"piece   {report.piece}")
    assumptions = report.assumptions
    if assumptions:
        lines.append("assumes " + "\n        ".join(visible(str(a)) for a in assumptions))
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
