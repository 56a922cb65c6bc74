"""A comparison as text that fits one screen, and as Markdown for a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.errors import InputError
from fxcount.report.data.comparison import Change, Comparison, ModuleChange
from fxcount.report.data.rows import COUNTS
from fxcount.report.views.saved.sizes import Write, size_text
from fxcount.report.views.tables import markdown_table
from fxcount.report.views.units import bytes_text, count_text
from fxcount.symbolic import to_text
from fxcount.wording import shortened, visible

__all__ = ["SHOWN", "render", "to_dict", "to_markdown"]

SHOWN = 20
"""Rows of modules that are shown, unless more are asked for."""

_BYTES = frozenset({"read_bytes", "write_bytes", "peak_bytes"})
_LONGEST = 72  # letters of a formula in a table
_BY = ("params", *COUNTS)


@dataclass(frozen=True, slots=True)
class Row:
    """Equal changes of modules whose paths differ in numbers alone."""

    name: str
    class_name: str
    what: str
    times: int
    changes: tuple[tuple[str, Change], ...]


def render(
    comparison: Comparison, *, top: int = SHOWN, by: str = "macs", formulas: bool = False, width: int | None = None
) -> str:
    """Totals that differ, then the modules that do, most first; equal changes are one row, xN. Where lines are to be no longer
    than ``width`` names and words give way."""
    lines = [_title(comparison)]
    if comparison.same:
        return "\n".join([*lines, "nothing differs: all totals and modules are equal, as formulas"])
    lines += _aligned([("", "before", "after", "difference", "")] + [
        (name, _number(name, c.numbers[0]), _number(name, c.numbers[1]), _signed(name, c), _percent(c))
        for name, c in comparison.totals.items() if c.numbers[0] or c.numbers[1]
    ], left=(0, 4))  # fmt: skip
    changed = [(n, c) for n, c in comparison.totals.items() if not c.same and not _plain(c)]
    longest = _LONGEST if width is None else max(20, width - 14)
    shown = [(n, c) for n, c in changed if formulas or n in ("macs", "flops")]
    for name, change in shown:
        lines += [f"{name}: {_formula(change.before, longest)}", f"{' ' * len(name)}->{_formula(change.after, longest)}"]
    rows = list(_rows(comparison, by))
    room = 60 if width is None else max(12, (width - 34) // 2)
    if rows:
        lines += ["", *_aligned([("module", "what differs", "params", by)] + [
            (shortened(_named(r), room), visible(shortened(r.what, room)), *_row_numbers(r, by, formulas))
            for r in rows[:top]
        ], left=(0, 1))]  # fmt: skip
        if len(rows) > top:
            lines.append(f"and {len(rows) - top} more rows: --top {len(rows)} shows all")
    same = sum(m.status == "same" for m in comparison.modules)
    moved = sum(m.status == "moved" for m in comparison.modules)
    lines.append(f"{same} module{'s' * (same != 1)} equal" + (f", {moved} moved" if moved else ""))
    return "\n".join(lines)


def to_markdown(comparison: Comparison, *, top: int = SHOWN, by: str = "macs", formulas: bool = False) -> str:
    """GitHub's Markdown: the totals, and the modules folded away beneath them."""
    lines = [f"**{visible(_title(comparison))}**", ""]
    if comparison.same:
        return "\n".join([*lines, "Nothing differs: all totals and modules are equal, as formulas.", ""])
    totals = [
        [name, _number(name, c.numbers[0]), _number(name, c.numbers[1]), f"{_signed(name, c)} {_percent(c)}".strip()]
        for name, c in comparison.totals.items() if c.numbers[0] or c.numbers[1]
    ]  # fmt: skip
    lines.append(markdown_table(["", "before", "after", "difference"], totals, [True, False, False, False]))
    changed = [(n, c) for n, c in comparison.totals.items() if not c.same and not _plain(c)]
    if changed:
        lines += [f"- {name}: `{_formula(c.before)}` → `{_formula(c.after)}`" for name, c in changed[:4]] + [""]
    rows = list(_rows(comparison, by))
    if rows:
        table = markdown_table(
            ["module", "what differs", "params", by],
            [[_named(r), visible(r.what), *_row_numbers(r, by, formulas)] for r in rows[:top]],
            [True, True, False, False],
        )
        more = f"\n{len(rows) - top} more rows are left out.\n" if len(rows) > top else ""
        lines.append(f"<details><summary>{len(rows)} changes of modules</summary>\n\n{table}{more}\n</details>\n")
    return "\n".join(lines)


def to_dict(comparison: Comparison, write: Write = size_text) -> dict[str, Any]:
    """All of it as plain data: formulas as the text that ``write`` gives, and numbers at the sizes."""
    return {
        "before": comparison.names[0], "after": comparison.names[1], "at": dict(comparison.sizes), "same": comparison.same,
        "totals": {name: _change(c, write) for name, c in comparison.totals.items()},
        "modules": [
            {
                "path": m.path, "was": m.before.path if m.before else None, "class": m.class_name, "status": m.status,
                "what": m.what, **{name: _change(c, write) for name, c in m.changes.items()},
            }
            for m in comparison.modules if m.status != "same"
        ],
        "lines": [
            {"op": r.op, "where": r.place, "modules": list(r.modules), **{n: _change(c, write) for n, c in r.changes.items()}}
            for r in comparison.lines
        ],
    }  # fmt: skip


def _change(c: Change, write: Write) -> dict[str, Any]:
    return {"before": write(c.before), "after": write(c.after), "numbers": list(c.numbers)}


def _title(comparison: Comparison) -> str:
    at = ", ".join(f"{n}={v}" for n, v in comparison.sizes.items())
    before, after = comparison.names
    return visible(f"{before} -> {after}") + (f"   at {at}" if at else "")


def _rows(comparison: Comparison, by: str) -> Iterator[Row]:
    """The changes, those that are equal but for numbers in the path as one."""
    if by not in _BY:
        raise InputError(f"modules are not compared by {by!r}", hint=f"use one of {', '.join(_BY)}")
    groups: dict[object, list[ModuleChange]] = {}
    for m in comparison.changed(by):
        pattern = re.sub(r"(?<![^.])\d+(?![^.])", "*", m.path)
        key = (pattern, m.class_name, m.what, tuple([(n, c.difference) for n, c in m.changes.items()]))
        groups.setdefault(key, []).append(m)
    found = [
        Row(_pattern([m.path for m in group]), group[0].class_name, group[0].what, len(group), tuple(group[0].changes.items()))
        for group in groups.values()
    ]
    yield from sorted(found, key=lambda r: -r.times * abs(dict(r.changes)[by].difference))


def _pattern(paths: Sequence[str]) -> str:
    """The path of one, or where several differ a star: ``layer1.*.conv2``.

    >>> _pattern(["a.0.b.3", "a.1.b.3"])
    'a.*.b.3'
    """
    return ".".join([parts[0] if len(set(parts)) == 1 else "*" for parts in zip(*[p.split(".") for p in paths])])


def _named(row: Row) -> str:
    times = f" x{row.times}" if row.times > 1 else ""
    return visible(f"{row.name or 'the model'}: {row.class_name}{times}")


def _row_numbers(row: Row, by: str, formulas: bool) -> list[str]:
    return [_row_number(row, name, formulas) for name in ("params", by)]


def _row_number(row: Row, name: str, formulas: bool) -> str:
    change = dict(row.changes)[name]
    if formulas and not _plain(change) and not change.same:
        return f"{_formula(change.before)} -> {_formula(change.after)}"
    return _signed(name, change, row.times) if change.difference else "-"


def _plain(change: Change) -> bool:
    return isinstance(change.before, int) and isinstance(change.after, int)


def _formula(size: Any, longest: int = _LONGEST) -> str:
    return shortened(to_text(size), longest)


def _number(name: str, n: int) -> str:
    return bytes_text(n) if name in _BYTES else f"{n:,}" if n < 10**9 else count_text(n)


def _signed(name: str, change: Change, times: int = 1) -> str:
    n = change.difference * times
    return f"{'+' if n > 0 else '-' if n < 0 else ''}{_number(name, abs(n))}" if n else "="


def _percent(change: Change) -> str:
    """
    >>> _percent(Change(8, 9, (8, 9))), _percent(Change(0, 9, (0, 9))), _percent(Change(8, 8, (8, 8)))
    ('+12.5%', 'new', '')
    """
    before, after = change.numbers
    if before == after:
        return ""
    return f"{100 * (after - before) / before:+.3g}%" if before else "new"


def _aligned(lines: Iterable[Sequence[str]], left: Sequence[int]) -> list[str]:
    rows = list(lines)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip() for row in rows
    ]
