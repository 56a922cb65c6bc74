"""The rows of a summary as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fxcount.compat.torchinfo.layer_info import LayerInfo
from fxcount.compat.torchinfo.settings import HEADERS, ColumnSettings, RowSettings, Units, Verbosity
from fxcount.symbolic import Expr, Size, to_text

__all__ = ["FormattingOptions"]

_SPACING, _PRECISION = 5, 2  # of percentages
_ALIGN = 5


@dataclass
class FormattingOptions:
    """How the table is written; fields may be changed before the statistics are printed again."""

    max_depth: int
    verbose: int
    col_names: tuple[ColumnSettings, ...]
    col_width: int
    row_settings: set[RowSettings]
    params_units: Units = Units.NONE
    macs_units: Units = Units.AUTO
    layer_name_width: int = 40
    widths: dict[ColumnSettings, int] = field(default_factory=dict)  # wider columns, where formulas need them

    @property
    def ascii_only(self) -> bool:
        """Branches in ASCII."""
        return RowSettings.ASCII_ONLY in self.row_settings

    @property
    def show_var_name(self) -> bool:
        """Attribute names beside class names."""
        return RowSettings.VAR_NAMES in self.row_settings

    @property
    def show_depth(self) -> bool:
        """Depth and number of each row."""
        return RowSettings.DEPTH in self.row_settings

    @property
    def hide_recursive_layers(self) -> bool:
        """No rows for second and later calls."""
        return RowSettings.HIDE_RECURSIVE_LAYERS in self.row_settings

    def set_layer_name_width(self, summary_list: Sequence[LayerInfo]) -> None:
        """Room for the longest name, rounded up."""
        names = [info.get_layer_name(self.show_var_name, self.show_depth) for info in summary_list]
        longest = max([len(n) + info.depth * _ALIGN + 1 for n, info in zip(names, summary_list)], default=0)
        if longest >= self.layer_name_width:
            self.layer_name_width = math.ceil(longest / _ALIGN) * _ALIGN

    def get_total_width(self) -> int:
        """Characters of a line."""
        return sum(self._width(c) for c in self.col_names) + self.layer_name_width

    def header_row(self) -> str:
        """The titles."""
        shown = (" (var_name)" if self.show_var_name else "") + (":depth-idx" if self.show_depth else "")
        return self._row(f"Layer (type{shown})", HEADERS)

    def layers_to_str(self, summary_list: Sequence[LayerInfo], total_params: int) -> str:
        """All rows down to the depth asked for."""
        shown = [
            info for info in summary_list
            if info.depth <= self.max_depth and not (self.hide_recursive_layers and info.is_recursive)
        ]  # fmt: skip
        cells = [self._cells(info, total_params, summary_list[0]) for info in shown]
        self._fit(shown, cells)
        return "".join(self._lines(info, row) for info, row in zip(shown, cells))

    def _lines(self, info: LayerInfo, cells: Mapping[ColumnSettings, str]) -> str:
        name = info.get_layer_name(self.show_var_name, self.show_depth)
        text = self._row(self._branch(info.depth) + name, cells)
        if self.verbose == Verbosity.VERBOSE:
            branch = self._branch(info.depth + 1)
            text += "".join([self._row(branch + inner, row) for inner, row in info.inner_layers.items()])
        return text

    def _fit(self, shown: Sequence[LayerInfo], cells: Sequence[Mapping[ColumnSettings, str]]) -> None:
        """Columns of formulas are as wide as they have to be; numbers keep the width asked for, whatever happens."""
        self.widths = {}
        if any([isinstance(s, Expr) for info in shown for s in (*info.output_size, info.macs)]):
            self.widths = {c: max([self.col_width, *[len(row[c]) for row in cells]]) for c in self.col_names}

    def _width(self, column: ColumnSettings) -> int:
        return self.widths.get(column, self.col_width)

    def _branch(self, depth: int) -> str:
        if depth == 0:
            return ""
        if depth == 1:
            return "+ " if self.ascii_only else "├─"
        return ("|    " if self.ascii_only else "│    ") * (depth - 1) + ("+ " if self.ascii_only else "└─")

    def _row(self, name: str, cells: Mapping[ColumnSettings, str]) -> str:
        parts = [f"{cells.get(c, ''):<{self._width(c)}}" for c in self.col_names]
        return " ".join([f"{name:<{self.layer_name_width}}", *parts]).rstrip() + "\n"

    def _cells(self, info: LayerInfo, total_params: int, root: LayerInfo) -> dict[ColumnSettings, str]:
        deepest = info.depth == self.max_depth
        whole = deepest or info.is_leaf_layer

        def work(quantity: str) -> str:
            return _number(info.shown(lambda w: getattr(w.cost, quantity), deepest))

        makers = {
            ColumnSettings.KERNEL_SIZE: lambda: _or_dashes(info.kernel_size),
            ColumnSettings.INPUT_SIZE: lambda: _or_dashes(info.input_size),
            ColumnSettings.OUTPUT_SIZE: lambda: _or_dashes(info.output_size),
            ColumnSettings.NUM_PARAMS: lambda: _params(info, whole, deepest),
            ColumnSettings.PARAMS_PERCENT: lambda: _params_percent(info, total_params, deepest),
            ColumnSettings.MULT_ADDS: lambda: _number(info.shown_macs(deepest)),
            ColumnSettings.TRAINABLE: lambda: _or_dashes(info.trainable),
            ColumnSettings.FLOPS: lambda: work("flops"),
            ColumnSettings.MADD: lambda: _number(info.shown(lambda w: w.madds, deepest)),
            ColumnSettings.READ_BYTES: lambda: work("read_bytes"),
            ColumnSettings.WRITE_BYTES: lambda: work("write_bytes"),
            ColumnSettings.OUTPUT_BYTES: lambda: _number(info.output_bytes),
            ColumnSettings.TIME_PERCENT: lambda: _percent(
                info.shown(lambda w: w.seconds, deepest), root.shown(lambda w: w.seconds, True)
            ),
            ColumnSettings.MEASURED_PERCENT: lambda: _percent(info.measured_seconds, root.measured_seconds),
        }
        return {column: makers[column]() for column in self.col_names}


def _or_dashes(value: Any) -> str:
    return str(value) if value else "--"


def _number(n: Size) -> str:
    if isinstance(n, Expr):
        return to_text(n)
    return f"{n:,}" if n > 0 else "--"


def _percent(part: float, total: float) -> str:
    return f"{part / total:>{_PRECISION + _SPACING}.{_PRECISION}%}" if part and total else " " * _SPACING + "--"


def _params(info: LayerInfo, whole: bool, deepest: bool) -> str:
    if info.num_params == 0:
        return "--"
    if info.is_recursive:
        return "(recursive)"
    shown = info.shown_params(deepest)
    if whole and shown == 0:
        return "(shared)"
    text = f"{shown:,}" if shown else "--"
    return f"({text})" if whole and not info.trainable_params else text


def _params_percent(info: LayerInfo, total_params: int, deepest: bool) -> str:
    if total_params and info.is_recursive:
        return "(recursive)"
    return _percent(info.shown_params(deepest), total_params)
