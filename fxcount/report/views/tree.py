"""The tree of modules a table shows: every call down to a depth, with the ops a forward calls itself; equal siblings folded.

A row holds the numbers of one call; a folded one stands for ``times`` equal calls, and what is shown of it and of the rows
inside it is their sum. Work inside a module is a difference of two prefix sums over the calls, so that a tree of thousands of
rows takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from fxcount.columns import COUNTS, check_order
from fxcount.dataclass import dataclass
from fxcount.passes import CallCost
from fxcount.report.data.rows import module_parameters
from fxcount.symbolic import Size, evaluate
from fxcount.trace.tape import ModuleCall, Trace

if TYPE_CHECKING:
    from fxcount.report.data.report import ReportData

__all__ = ["Row", "Shown", "flattened", "shapes", "tree"]


@dataclass(frozen=True, slots=True)
class Row:
    """One call of a module, or the ops that a forward calls itself (then ``module`` is ``None``).

    ``params``: elements held, ``None`` for ops; ``again``: by an earlier row, too. ``counts``: by name. ``guessed``: they rest
    on a guess. ``kind`` is the same for rows that are equal but for their names. ``inside``: the rows below; ``lines``: how
    many lines all of it takes; ``times``: of how many equal calls this is the first, ``until`` being the last."""

    name: str
    module: ModuleCall | None
    shape: str
    params: int | None
    again: bool
    counts: dict[str, int]
    guessed: bool
    kind: int
    inside: tuple[Row, ...] = ()
    lines: int = 1
    times: int = 1
    until: ModuleCall | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A row in its place: its level below the model, the text that names it, and how many calls its numbers are of."""

    level: int
    label: str
    row: Row
    calls: int


def tree(
    report: ReportData, depth: int | None, counts: Sequence[str], *, fold: bool = True, sort: str | None = None
) -> list[Row]:
    """The calls that no other module made, each with what is inside it. ``counts``: which of the counts rows have; ``sort``:
    by what rows inside a module are sorted, largest first, in place of the order of execution.

    Raises :class:`~fxcount.errors.InputError` for another ``sort``.
    """
    check_order(sort)
    build = _Builder(report, depth, tuple(dict.fromkeys([*counts, *([sort] if sort in COUNTS else [])])), fold, sort)
    return build.all()


def flattened(roots: Sequence[Row]) -> Iterator[Shown]:
    """Every row in the order of the lines."""
    stack = [(0, row, 1) for row in reversed(roots)]
    while stack:
        level, row, outer = stack.pop()
        calls = outer * row.times
        yield Shown(level, _label(row), row, calls)
        stack.extend([(level + 1, inner, calls) for inner in reversed(row.inside)])


def _label(row: Row) -> str:
    first, last = row.module, row.until
    if first is None:
        return row.name
    if last is None:
        return f"{row.name} (call {first.number})" if first.number > 1 else row.name
    if first.path == last.path:
        return f"{row.name} (calls {first.number} .. {last.number}) x{row.times}"
    again = f" (call {first.number})" if first.number > 1 else ""
    name, until = (m.path.rpartition(".")[2] for m in (first, last))
    return f"{name} .. {until}: {first.class_name}{again} x{row.times}"


class _Builder:
    """Makes the rows from the last call to the first, so that those inside are there when they are asked for."""

    def __init__(self, report: ReportData, depth: int | None, counts: tuple[str, ...], fold: bool, sort: str | None) -> None:
        self.report = report
        self.trace: Trace = report.trace
        self.counts = counts
        self.fold = fold
        self.sort = sort
        self.modules = [m for m in self.trace.modules if depth is None or m.depth <= depth]
        self.held = module_parameters(self.trace)
        values = report.sizes
        costs = {key: self._numbers(c, values) for key, c in report.costs.by_signature.items()}
        self.each = [costs[id(call.signature)] for call in self.trace.calls]
        columns = zip(*self.each) if self.each else [()] * (len(counts) + 2)
        self.sums = [[0, *accumulate(numbers)] for numbers in columns]
        self.kinds: dict[object, int] = {}

    def _numbers(self, cost: CallCost, values: dict[str, int]) -> tuple[int, ...]:
        """The counts wanted, the flops, and whether they are guesses."""
        counts = [evaluate(getattr(cost, name), values) for name in self.counts]
        return (*counts, evaluate(cost.flops, values), bool(self.report.guesses_in(*[getattr(cost, n) for n in self.counts])))

    def all(self) -> list[Row]:
        children: dict[int, list[ModuleCall]] = {}
        for m in self.modules:
            children.setdefault(m.parent, []).append(m)
        first: dict[str, int] = {}
        for m in self.modules:
            first.setdefault(m.path, m.index)
        made: dict[int, Row] = {}
        for m in reversed(self.modules):
            inner = children.get(m.index, [])
            rows = [made.pop(child.index) for child in inner]
            made[m.index] = self._row(m, first[m.path] != m.index, rows, self._own(m, inner) if inner else None)
        return [made[m.index] for m in children.get(-1, [])]

    def _row(self, m: ModuleCall, again: bool, inside: list[Row], own: Row | None) -> Row:
        inside = self._folded(inside) if self.fold else inside
        if own is not None:
            inside.append(own)
        if self.sort is not None:
            inside.sort(key=self._size, reverse=True)
        *counts, _, guessed = [sums[m.stop] - sums[m.start] for sums in self.sums]
        params, shape = self.held.get(m.path, 0), shapes(self.report, m)
        again = again and params > 0
        inner = tuple([(r.name, r.times, r.kind) for r in inside])
        return Row(
            f"{m.path.rpartition('.')[2]}: {m.class_name}" if m.path else m.class_name, m, shape, params, again,
            dict(zip(self.counts, counts)), bool(guessed),
            self._kind(m.class_name, shape, params, again, *counts, guessed, inner),
            tuple(inside), 1 + sum([r.lines for r in inside]),
        )  # fmt: skip

    def _kind(self, *what: object) -> int:
        return self.kinds.setdefault(what, len(self.kinds))

    def _size(self, row: Row) -> int:
        assert self.sort is not None
        return row.times * (row.params or 0 if self.sort == "params" else row.counts[self.sort])

    def _own(self, m: ModuleCall, inner: Sequence[ModuleCall]) -> Row | None:
        """What a forward calls itself, if it does any work: the costliest op by name."""
        at, indices = m.start, list[int]()
        for child in inner:
            indices += range(at, child.start)
            at = child.stop
        indices += range(at, m.stop)
        by_op: dict[str, int] = {}
        for i in indices:
            if self.each[i][-2]:
                name = self.trace.calls[i].op.name
                by_op[name] = by_op.get(name, 0) + self.each[i][-2]
        if not by_op:
            return None
        more = len(by_op) - 1
        name = max(by_op, key=lambda n: by_op[n]) + (f" + {more} op{'s' * (more > 1)}" if more else "")
        totals = [sum(column) for column in zip(*[self.each[i] for i in indices])]
        return Row(name, None, "", None, False, dict(zip(self.counts, totals)), bool(totals[-1]), self._kind(name, *totals))

    def _folded(self, rows: Sequence[Row]) -> list[Row]:
        """Runs of equal siblings as one row, where that saves more than a line."""
        found: list[Row] = []
        start = 0
        for i in range(1, len(rows) + 1):
            if i < len(rows) and self._continue(rows[start], rows[i]):
                continue
            run = rows[start:i]
            if (len(run) - 1) * run[0].lines >= 2:
                run = [replace(run[0], times=len(run), until=run[-1].module)]
            found += run
            start = i
        return found

    def _continue(self, first: Row, other: Row) -> bool:
        a, b = first.module, other.module
        assert a is not None
        assert b is not None
        return first.kind == other.kind and (a.path == b.path or a.number == b.number)


_WIDEST = 60


def shapes(report: ReportData, m: ModuleCall, numbers: bool = False) -> str:
    """The shapes of what a call returned: as formulas, where they are not too long, or as ``numbers``."""

    def size(s: Size) -> str:
        text = "" if numbers else str(report.size(s))
        return text if 0 < len(text) <= _WIDEST else str(evaluate(s, report.sizes))

    texts = ["(" + ", ".join(map(size, f.shape)) + ")" for f in m.outputs[:2]]
    if len(m.outputs) > 2:
        texts.append(f"+{len(m.outputs) - 2} more")
    return " ".join(texts)
