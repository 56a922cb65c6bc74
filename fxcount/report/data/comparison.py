"""Two reports side by side: totals, modules matched by path or by what they are, lines of code.

A module's row is what it does by itself, without its submodules, over all its calls, so that a change is where it was made and
the rows add up to the totals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from difflib import SequenceMatcher
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.report.data.report import ReportData
from fxcount.report.data.rows import COUNTS
from fxcount.symbolic import Size, evaluate, free_symbols, max_, to_sympy
from fxcount.trace.tape import ModuleCall

__all__ = ["TOTALS", "Change", "Comparison", "LineChange", "ModuleChange", "Part", "compared"]

TOTALS = ("params", "trainable", "dead", "buffers", *COUNTS, "peak_bytes")
"""What is compared of two models as a whole."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one module does by itself: ``tensors`` are shapes of its own parameters by name, ``shapes`` those of its results."""

    path: str
    class_name: str
    calls: int
    tensors: tuple[tuple[str, tuple[int, ...]], ...]
    params: int
    shapes: tuple[tuple[Size, ...], ...]
    counts: tuple[Size, ...] = field(default=(0,) * len(COUNTS))

    @property
    def kind(self) -> tuple[Any, ...]:
        """What makes two modules of different paths the same."""
        return self.class_name, self.tensors, self.counts, self.shapes


@dataclass(frozen=True, slots=True)
class Change:
    """One quantity in both: integers, or formulas. ``before`` or ``after`` at the sizes of the comparison are ``numbers``."""

    before: Size
    after: Size
    numbers: tuple[int, int]

    @property
    def difference(self) -> int:
        """How much more at the sizes of the comparison."""
        return self.numbers[1] - self.numbers[0]

    @property
    def same(self) -> bool:
        return self.before == self.after

    @property
    def formulas(self) -> tuple[Any, Any]:
        """Both as ``int`` or ``sympy.Expr``."""
        before, after = (s if isinstance(s, int) else to_sympy(s) for s in (self.before, self.after))
        return before, after


@dataclass(frozen=True, slots=True)
class ModuleChange:
    """A module before and after; ``None`` where there is none. ``status``: ``"same"``, ``"changed"``, ``"moved"`` (it is the
    same under another path), ``"added"``, ``"removed"``. ``changes``: of ``params`` and every count."""

    before: Part | None
    after: Part | None
    changes: Mapping[str, Change]

    @property
    def status(self) -> str:
        if self.before is None or self.after is None:
            return "added" if self.before is None else "removed"
        if self.before.kind == self.after.kind and self.before.calls == self.after.calls:
            return "same" if self.before.path == self.after.path else "moved"
        return "changed"

    @property
    def path(self) -> str:
        part = self.after or self.before
        return part.path if part else ""

    @property
    def class_name(self) -> str:
        part = self.after or self.before
        return part.class_name if part else ""

    @property
    def what(self) -> str:
        """What is different, in words."""
        if self.before is None or self.after is None:
            return self.status
        words = []
        if self.before.path != self.after.path:
            words.append(f"was {self.before.path or 'the model'}")
        if self.before.class_name != self.after.class_name:
            words.append(f"{self.before.class_name} -> {self.after.class_name}")
        tensors = dict(self.before.tensors)
        for name, shape in self.after.tensors:
            old = tensors.pop(name, None)
            if old != shape:
                words.append(f"{name} {_shape(old)} -> {_shape(shape)}" if old is not None else f"+{name} {_shape(shape)}")
        words += [f"-{name} {_shape(shape)}" for name, shape in tensors.items()]
        if self.before.calls != self.after.calls:
            words.append(f"{self.before.calls} -> {self.after.calls} calls")
        if not words and self.before.shapes != self.after.shapes:
            words.append(f"out {_shapes(self.before.shapes)} -> {_shapes(self.after.shapes)}")
        return ", ".join(words) or "what its own forward does"


@dataclass(frozen=True, slots=True)
class LineChange:
    """What the ops of one kind in one function cost: ``place`` is a line of the later model, or where there is none, of the
    earlier; ``modules`` those that run it."""

    op: str
    place: str
    modules: tuple[str, ...]
    changes: Mapping[str, Change]


@dataclass(frozen=True)
class Comparison:
    """What is different between two reports; see :func:`fxcount.compare`. ``sizes``: at which the numbers are."""

    names: tuple[str, str]
    sizes: Mapping[str, int]
    totals: Mapping[str, Change]
    modules: tuple[ModuleChange, ...]
    lines: tuple[LineChange, ...]

    @property
    def same(self) -> bool:
        """Whether all totals and modules are equal, as formulas."""
        return all(c.same for c in self.totals.values()) and all(m.status in ("same", "moved") for m in self.modules)

    def changed(self, by: str = "macs") -> list[ModuleChange]:
        """The modules that are different, those first that differ most in ``by`` (a count, or ``params``)."""
        found = [m for m in self.modules if m.status not in ("same", "moved")]
        return sorted(found, key=lambda m: -abs(m.changes[by].difference))

    def added_lines(self, by: str = "macs") -> list[LineChange]:
        """The lines of code that cost more than before, most first."""
        found = [line for line in self.lines if line.changes[by].difference > 0]
        return sorted(found, key=lambda line: -line.changes[by].difference)


def _shape(shape: Sequence[Any] | None) -> str:
    return f"({', '.join(map(str, shape))})" if shape is not None else "none"


def _shapes(shapes: Sequence[Sequence[Any]]) -> str:
    return " ".join(map(_shape, shapes[:2])) or "nothing"


def compared(before: ReportData, after: ReportData) -> Comparison:
    """The comparison of two reports, at the sizes of the first and those of the second that it has not."""
    sizes = {**after.sizes, **before.sizes}

    def change(a: Size, b: Size) -> Change:
        known = {n: sizes.get(n, 1) for n in free_symbols(a) | free_symbols(b)}
        return Change(a, b, (int(evaluate(a, known)), int(evaluate(b, known))))

    olds, news = _parts(before), _parts(after)
    pairs = _matched(olds, news)
    totals = {name: change(a, b) for name, (a, b) in _totals(before, after).items()}
    return Comparison(
        (before.trace.model_name, after.trace.model_name), sizes, totals,
        tuple([ModuleChange(a, b, _changes(a, b, change)) for a, b in pairs]), tuple(_lines(before, after, change)),
    )  # fmt: skip


def _totals(before: ReportData, after: ReportData) -> dict[str, tuple[Size, Size]]:
    return {name: (_total(before, name), _total(after, name)) for name in TOTALS}


def _total(report: ReportData, name: str) -> Size:
    if name == "peak_bytes":
        return report.size(max_(*[p.nbytes for p in report.peaks.peaks])) if report.peaks.peaks else 0
    if name in COUNTS:
        return report.size(getattr(report.costs.total, name))
    return int(getattr(report.params, "total" if name == "params" else name))


def _changes(a: Part | None, b: Part | None, change: Any) -> dict[str, Change]:
    found = {"params": change(a.params if a else 0, b.params if b else 0)}
    zeros = (0,) * len(COUNTS)
    for name, old, new in zip(COUNTS, a.counts if a else zeros, b.counts if b else zeros):
        found[name] = change(old, new)
    return found


def _parts(report: ReportData) -> list[Part]:
    """Every module that is called or holds parameters, in the order of first calls."""
    trace, costs = report.trace, report.costs
    calls: dict[str, list[Any]] = {}
    modules: dict[str, ModuleCall] = {}
    times: dict[str, int] = {}
    for each in trace.modules:
        modules.setdefault(each.path, each)
        times[each.path] = times.get(each.path, 0) + 1
    for call in trace.calls:
        path = trace.modules[call.module].path if call.module >= 0 else ""
        calls.setdefault(path, []).append(call)
    tensors: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    params: dict[str, int] = {}
    for row in report.params.rows():
        path, _, name = row.name.rpartition(".")
        tensors.setdefault(path, []).append((name, tuple(row.shape)))
        params[path] = params.get(path, 0) + row.unique
    found = []
    for path in dict.fromkeys([*modules, *tensors]):
        m: ModuleCall | None = modules.get(path)
        cost = costs.sum(calls.get(path, []))
        shapes = tuple([tuple([report.size(s) for s in f.shape]) for f in m.outputs]) if m else ()
        found.append(Part(
            path, m.class_name if m else "never called", times.get(path, 0), tuple(tensors.get(path, ())), params.get(path, 0),
            shapes, tuple([report.size(getattr(cost, name)) for name in COUNTS]),
        ))  # fmt: skip
    return found


def _matched(olds: Sequence[Part], news: Sequence[Part]) -> list[tuple[Part | None, Part | None]]:
    """Pairs: of one path if it is in both, else in order where class and tensors are the same."""
    by_path = {p.path: p for p in olds}
    paired: dict[str, Part | None] = {p.path: by_path.get(p.path) for p in news}
    left_olds = [p for p in olds if p.path not in paired]
    left_news = [p for p in news if paired[p.path] is None]
    whole = [[(p.path.rpartition(".")[2], p.class_name, p.tensors) for p in side] for side in (left_olds, left_news)]
    used: set[str] = set()
    used.update(p.path for p in paired.values() if p is not None)
    for first in (0, 1):  # under the same name elsewhere, then under any name
        keys = [[key[first:] for key in side] for side in whole]
        matcher = SequenceMatcher(None, keys[0], keys[1], autojunk=False)
        for block in matcher.get_matching_blocks():
            for i in range(block.size):
                old, new = left_olds[block.a + i], left_news[block.b + i]
                if paired[new.path] is None and old.path not in used:
                    paired[new.path] = old
                    used.add(old.path)
    return [*[(paired[p.path], p) for p in news], *[(p, None) for p in left_olds if p.path not in used]]


def _lines(before: ReportData, after: ReportData, change: Any) -> list[LineChange]:
    """The cost of each kind of op in each function of each file: lines move, functions rarely."""
    sides = [_by_place(before), _by_place(after)]
    zeros = (0,) * len(COUNTS)
    found = []
    for key in dict.fromkeys([*sides[1], *sides[0]]):
        old, new = (side.get(key) for side in sides)
        counts = [(s.counts if s else zeros) for s in (old, new)]
        if counts[0] == counts[1]:
            continue
        shown = new or old
        assert shown is not None
        changes = {name: change(a, b) for name, a, b in zip(COUNTS, *counts)}
        found.append(LineChange(key[2], shown.place, tuple(shown.modules), changes))
    return found


@dataclass(frozen=True, slots=True)
class _Place:
    place: str
    modules: list[str]
    counts: tuple[Size, ...]


def _by_place(report: ReportData) -> dict[tuple[str, str, str], _Place]:
    calls: dict[tuple[str, str, str], list[Any]] = {}
    for call in report.trace.calls:
        source = call.source
        file = str(getattr(source, "file", "")).replace("\\", "/").rpartition("/")[2]
        calls.setdefault((file, str(getattr(source, "function", "")), call.op.name), []).append(call)
    found = {}
    for key, group in calls.items():
        cost = report.costs.sum(group)
        paths = dict.fromkeys(report.trace.modules[c.module].path if c.module >= 0 else "" for c in group)
        counts = tuple([report.size(getattr(cost, name)) for name in COUNTS])
        found[key] = _Place(str(group[0].source or ""), list(paths), counts)
    return found
