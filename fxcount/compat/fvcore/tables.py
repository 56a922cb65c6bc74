"""``flop_count_table`` and ``flop_count_str``: parameters, flops and activations of every module as text."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from torch import nn

from fxcount import torch_private
from fxcount.compat.fvcore.analysis import ActivationCountAnalysis, FlopCountAnalysis
from fxcount.compat.fvcore.parameter_count import parameter_count
from fxcount.compat.fvcore.text import pipe_table, size_text

__all__ = ["flop_count_str", "flop_count_table"]

_NOTE = (
    "N/A indicates a possibly missing statistic due to how the module was called. Missing values are still included "
    "in the parent's total.\n"
)


def flop_count_table(
    flops: FlopCountAnalysis,
    max_depth: int = 3,
    activations: ActivationCountAnalysis | None = None,
    show_param_shapes: bool = True,
) -> str:
    """A Markdown table of parameters and flops by module, down to ``max_depth`` levels; modules without either are left out.

    >>> print(flop_count_table(FlopCountAnalysis(nn.Sequential(nn.Linear(3, 500, bias=False)), "1,3")))
    | module   | #parameters or shape   | #flops   |
    |:---------|:-----------------------|:---------|
    | 0        | 1.5K                   | 1.5K     |
    |  weight  |  (500, 3)              |          |
    """
    model = flops._model
    head = ["module", "#parameters" + (" or shape" if show_param_shapes else ""), "#flops"]
    analyses: list[Any] = [flops]
    if activations is not None:
        analyses.append(activations)
        head.append("#activations")
    numbers = _kept(_by_name([parameter_count(model), *_quiet(analyses)]), keep_parents=True)
    rows = {name: [size_text(n) if n is not None else None for n in row] for name, row in numbers.items()}
    for i, analysis in enumerate(analyses):
        for name in analysis.uncalled_modules() & rows.keys():
            rows[name][i + 1] = ""
    for name, parameter in model.named_parameters():
        if name in rows and show_param_shapes:
            rows[name][0] = str(tuple(parameter.shape))
        elif name in rows:
            del rows[name]
    return pipe_table(head, list(_table_rows(rows, max_depth)))


def flop_count_str(flops: FlopCountAnalysis, activations: ActivationCountAnalysis | None = None) -> str:
    """The text of the model with parameters and flops beside every module that has some; ``N/A`` where no op ran.

    >>> print(flop_count_str(FlopCountAnalysis(nn.Sequential(nn.Linear(3, 5), nn.ReLU()), "1,3")).splitlines()[-1])
    )
    """
    model = flops._model
    analyses: list[Any] = [flops] if activations is None else [flops, activations]
    labels = ["#params", "#flops", "#acts"]
    table = _by_name([parameter_count(model), *_quiet(analyses)])
    names = [name for name, _ in model.named_modules()]
    full = {name: [n or 0 for n in table.get(name, [0] * (1 + len(analyses)))] for name in dict.fromkeys((*table, *names))}
    uncalled = [analysis.uncalled_modules() for analysis in analyses]
    numbers = _kept(full, always=set().union(*uncalled))
    texts = {name: [size_text(n, 2) for n in row] for name, row in numbers.items()}
    for i, missing in enumerate(uncalled):
        for name in missing & texts.keys():
            texts[name][i + 1] = "N/A"
    lines = {name: ", ".join([f"{label}: {text}" for label, text in zip(labels, row)]) for name, row in texts.items()}
    return (_NOTE if any(uncalled) else "") + _module_text(model, "", lines)


def _quiet(analyses: list[Any]) -> Iterator[Mapping[str, Any]]:
    for analysis in analyses:
        analysis.unsupported_ops_warnings(False)
        analysis.uncalled_modules_warnings(False)
        yield analysis.by_module()


def _by_name(columns: list[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """A row for every name that occurs in a column."""
    names = dict.fromkeys([name for column in columns for name in column])
    return {name: [column.get(name) for column in columns] for name in names}


def _kept(
    table: Mapping[str, list[Any]], keep_parents: bool = False, always: Collection[str] = ()
) -> dict[str, list[Any]]:
    """The rows that are not zero throughout; with ``keep_parents`` also the parents of such rows."""
    kept: dict[str, list[Any]] = {}

    def visit(name: str) -> bool:
        below = [visit(child) for child in _children(name, table)]
        row = table[name]
        if any([n not in (0, None) for n in row]) or name in (always or {""}) or (keep_parents and any(below)):
            kept[name] = list(row)
        return name in kept

    visit("")
    return kept


def _children(name: str, table: Mapping[str, Any]) -> list[str]:
    prefix = name + "." if name else ""
    return [other for other in table if other and other.count(".") == prefix.count(".") and other.startswith(prefix)]


def _table_rows(rows: dict[str, list[str | None]], max_depth: int) -> Iterator[list[str]]:
    """Rows with their indentation; a module with one child that has the same numbers makes one row with it."""
    root, cells = _merged("", rows)
    yield _row(root or "model", cells, 0)
    prefix = root + "." if root else ""

    def below(level: int, name: str) -> Iterator[list[str]]:
        if level > max_depth:
            return
        for child in _children(name, rows):
            merged, inner = _merged(child, rows)
            shown = merged[len(prefix) :] if prefix and merged.startswith(prefix) else merged
            yield _row(shown, inner, level)
            yield from below(level + 1, merged)

    yield from below(1, root)


def _row(name: str, cells: list[str | None], level: int) -> list[str]:
    indent = " " * level
    return [indent + name, *["" if cell is None else indent + cell for cell in cells]]


def _merged(name: str, rows: dict[str, list[str | None]]) -> tuple[str, list[str | None]]:
    children = _children(name, rows)
    if len(children) != 1:
        return name, rows[name]
    mine, other = rows[name], rows[children[0]]
    if any([(a is None) != (b is None) or (a and b and a != b) for a, b in zip(mine, other)]):
        return name, mine
    rows[children[0]] = [a or b for a, b in zip(mine, other)]
    return _merged(children[0], rows)


def _module_text(module: nn.Module, name: str, lines: Mapping[str, str]) -> str:
    """The module's ``repr`` with a line of numbers."""
    extra = module.extra_repr().split("\n") if module.extra_repr() else []
    if lines.get(name):
        extra.append(lines[name])
    inner = []
    for key, child in module.named_children():
        text = _module_text(child, f"{name}.{key}" if name else key, lines)
        inner.append(f"({key}): " + text.replace("\n", "\n  "))
    head = f"{torch_private.shown_name(module)}("
    if len(extra) == 1 and not inner:
        return f"{head}{extra[0]})"
    body = "\n  ".join([*extra, *inner])
    return f"{head}\n  {body}\n)" if body else f"{head})"
