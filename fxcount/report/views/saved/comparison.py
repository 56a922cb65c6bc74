"""A comparison of two reports as plain data, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fxcount.report.data.comparison import TOTALS, Change, Comparison, LineChange, ModuleChange, Part
from fxcount.report.data.rows import COUNTS
from fxcount.report.views.saved.sizes import Read, Write

__all__ = ["comparison_from", "plain_comparison"]


def plain_comparison(found: Comparison, write: Write) -> dict[str, Any]:
    """All modules, also those that are equal."""
    return {
        "names": list(found.names), "sizes": dict(found.sizes),
        "totals": {name: _plain_change(c, write) for name, c in found.totals.items()},
        "modules": [
            {
                "before": _plain_part(m.before, write), "after": _plain_part(m.after, write),
                "changes": _plain_changes(m.changes, write),
            }
            for m in found.modules
        ],
        "lines": [
            {"op": line.op, "place": line.place, "modules": list(line.modules), "changes": _plain_changes(line.changes, write)}
            for line in found.lines
        ],
    }  # fmt: skip


def comparison_from(row: Mapping[str, Any], read: Read, made: Callable[..., Any] = Comparison) -> Any:
    """The inverse of :func:`plain_comparison`. Raises LookupError or ValueError for what it does not write."""
    before, after = row["names"]
    modules = [
        ModuleChange(_part(m["before"], read), _part(m["after"], read), _changes(m["changes"], ("params", *COUNTS), read))
        for m in row["modules"]
    ]
    if any(m.before is None and m.after is None for m in modules):
        raise ValueError("a module is in neither model")
    lines = [
        LineChange(line["op"], line["place"], tuple(line["modules"]), _changes(line["changes"], COUNTS, read))
        for line in row["lines"]
    ]
    return made((before, after), dict(row["sizes"]), _changes(row["totals"], TOTALS, read), tuple(modules), tuple(lines))


def _plain_part(part: Part | None, write: Write) -> dict[str, Any] | None:
    return None if part is None else {
        "path": part.path, "class": part.class_name, "calls": part.calls, "params": part.params,
        "tensors": [[name, list(shape)] for name, shape in part.tensors],
        "shapes": [[write(s) for s in shape] for shape in part.shapes], "counts": [write(s) for s in part.counts],
    }  # fmt: skip


def _part(row: Mapping[str, Any] | None, read: Read) -> Part | None:
    if row is None:
        return None
    if len(row["counts"]) != len(COUNTS):
        raise ValueError(f"{len(row['counts'])} counts of a module, and not {len(COUNTS)}")
    return Part(
        row["path"], row["class"], row["calls"], tuple([(name, tuple(shape)) for name, shape in row["tensors"]]), row["params"],
        tuple([tuple(map(read, shape)) for shape in row["shapes"]]), tuple(map(read, row["counts"])),
    )  # fmt: skip


def _plain_change(c: Change, write: Write) -> list[Any]:
    return [write(c.before), write(c.after), *c.numbers]


def _plain_changes(changes: Mapping[str, Change], write: Write) -> dict[str, Any]:
    return {name: _plain_change(c, write) for name, c in changes.items()}


def _changes(row: Mapping[str, Any], names: tuple[str, ...], read: Read) -> dict[str, Change]:
    found = {}
    for name in names:
        before, after, *numbers = row[name]
        found[name] = Change(read(before), read(after), (int(numbers[0]), int(numbers[1])))
    return found
