"""``flop_count_table`` and ``flop_count_str``: parameters, flops and activations of every module as text.

Statistics are dicts by the names of modules, of dicts by the names of statistics; the steps that make texts of them have the
names and arguments they have in fvcore.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from fxcount import torch_private
from fxcount.compat.fvcore.activation_count import ActivationCountAnalysis
from fxcount.compat.fvcore.flop_count import FlopCountAnalysis
from fxcount.compat.fvcore.parameter_count import parameter_count
from fxcount.compat.fvcore.text import pipe_table, size_text

__all__ = ["flop_count_str", "flop_count_table"]

_NOTE = (
    "N/A indicates a possibly missing statistic due to how the module was called. Missing values are still included "
    "in the parent's total.\n"
)
Statistics = Mapping[str, Mapping[str, Any]]
Texts = dict[str, dict[str, str]]


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
    params = "#parameters" + (" or shape" if show_param_shapes else "")
    counted: dict[str, Any] = {"#flops": flops} | ({"#activations": activations} if activations is not None else {})
    stats = _group_by_module({params: parameter_count(flops._model), **_quiet(counted)})
    texts = _pretty_statistics(_remove_zero_statistics(stats, require_trivial_children=True))
    for name, analysis in counted.items():
        texts = _indicate_uncalled_modules(texts, name, analysis.uncalled_modules() & texts.keys(), "")
    for name, parameter in flops._model.named_parameters():
        if name in texts and show_param_shapes:
            texts[name][params] = str(tuple(parameter.shape))
        elif name in texts:
            del texts[name]
    return _model_stats_table(texts, max_depth, [params, *counted])


def flop_count_str(flops: FlopCountAnalysis, activations: ActivationCountAnalysis | None = None) -> str:
    """The text of the model with parameters and flops beside every module that has some; ``N/A`` where no op ran.

    >>> print(flop_count_str(FlopCountAnalysis(nn.Sequential(nn.Linear(3, 5), nn.ReLU()), "1,3")).splitlines()[-1])
    )
    """
    model = flops._model
    counted: dict[str, Any] = {"#flops": flops} | ({"#acts": activations} if activations is not None else {})
    stats = _group_by_module(_fill_missing_statistics(model, {"#params": parameter_count(model), **_quiet(counted)}))
    uncalled = {name: analysis.uncalled_modules() for name, analysis in counted.items()}
    texts = _pretty_statistics(_remove_zero_statistics(stats, set().union(*uncalled.values())), sig_figs=2)
    for name, missing in uncalled.items():
        texts = _indicate_uncalled_modules(texts, name, missing)
    return (_NOTE if any(uncalled.values()) else "") + _model_stats_str(model, texts)


def _quiet(analyses: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The counts of analyses by module, without their warnings."""
    for analysis in analyses.values():
        analysis.unsupported_ops_warnings(False)
        analysis.uncalled_modules_warnings(False)
    return {name: analysis.by_module() for name, analysis in analyses.items()}


# -- statistics -----------------------------------------------------------------------------------------------------------
def _group_by_module(statistics: Statistics) -> dict[str, dict[str, Any]]:
    """By module and statistic what is given by statistic and module."""
    found: dict[str, dict[str, Any]] = {}
    for name, by_module in statistics.items():
        for module, value in by_module.items():
            found.setdefault(module, {})[name] = value
    return found


def _fill_missing_statistics(model: nn.Module, statistics: Statistics) -> dict[str, dict[str, Any]]:
    """Each statistic, by statistic and module, with 0 for modules it says nothing of."""
    names = [name for name, _ in model.named_modules()]
    return {stat: {**values, **{n: 0 for n in names if n not in values}} for stat, values in statistics.items()}


def _remove_zero_statistics(
    statistics: Statistics, force_keep: Collection[str] | None = None, require_trivial_children: bool = False
) -> dict[str, dict[str, Any]]:
    """The modules whose statistics are not zero throughout, and those to be kept (the model if none are named); with
    ``require_trivial_children`` also the parents of such modules."""
    kept: dict[str, dict[str, Any]] = {}
    always = force_keep or {""}

    def visit(name: str) -> bool:
        below = [visit(child) for child in _children(name, statistics)]
        row = statistics[name]
        if any([n != 0 for n in row.values()]) or name in always or (require_trivial_children and any(below)):
            kept[name] = dict(row)
        return name in kept

    visit("")
    return kept


def _pretty_statistics(statistics: Statistics, sig_figs: int = 3, hide_zero: bool = False) -> Texts:
    """Numbers as texts with their units."""
    return {
        module: {name: "" if hide_zero and n == 0 else size_text(n, sig_figs) for name, n in row.items()}
        for module, row in statistics.items()
    }


def _indicate_uncalled_modules(
    statistics: Statistics, stat_name: str, uncalled_modules: Collection[str], uncalled_indicator: str = "N/A"
) -> Texts:
    """The texts with an indicator in the place of a statistic of these modules."""
    found = {module: dict(row) for module, row in statistics.items()}
    for module in uncalled_modules:
        found.setdefault(module, {})[stat_name] = uncalled_indicator
    return found


def _children(name: str, table: Mapping[str, Any]) -> list[str]:
    prefix = name + "." if name else ""
    return [other for other in table if other and other.count(".") == prefix.count(".") and other.startswith(prefix)]


# -- the table ------------------------------------------------------------------------------------------------------------
def _model_stats_table(
    statistics: Statistics, max_depth: int = 3, stat_columns: Sequence[str] | None = None
) -> str:
    """A Markdown table of texts, a column for each statistic."""
    columns = list(stat_columns or dict.fromkeys(name for row in statistics.values() for name in row))
    rows = {module: [row.get(name) for name in columns] for module, row in statistics.items()}
    return pipe_table(["module", *columns], list(_table_rows(rows, max_depth)))


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


def _model_stats_str(model: nn.Module, statistics: Statistics) -> str:
    """The model's ``repr`` with the texts of each module in it."""
    return _module_text(model, "", {m: ", ".join([f"{n}: {text}" for n, text in row.items()]) for m, row in statistics.items()})


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
