"""The rows of a summary as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from fxcount.compat.torchinfo.enums import ColumnSettings, RowSettings, Units, Verbosity
from fxcount.compat.torchinfo.layer_info import LayerInfo, percent_text
from fxcount.dataclass import dataclass
from fxcount.symbolic import Expr, Size, to_text

__all__ = ["CONVERSION_FACTORS", "HEADER_TITLES", "ColumnSettings", "FormattingOptions", "RowSettings", "Units", "Verbosity"]

_ALIGN = 5

HEADER_TITLES = {
    ColumnSettings.KERNEL_SIZE: "Kernel Shape",
    ColumnSettings.GROUPS: "Groups",
    ColumnSettings.INPUT_SIZE: "Input Shape",
    ColumnSettings.OUTPUT_SIZE: "Output Shape",
    ColumnSettings.NUM_PARAMS: "Param #",
    ColumnSettings.PARAMS_PERCENT: "Param %",
    ColumnSettings.MULT_ADDS: "Mult-Adds",
    ColumnSettings.TRAINABLE: "Trainable",
    ColumnSettings.FLOPS: "FLOPs",
    ColumnSettings.MADD: "MAdd",
    ColumnSettings.READ_BYTES: "Read (B)",
    ColumnSettings.WRITE_BYTES: "Written (B)",
    ColumnSettings.OUTPUT_BYTES: "Output (B)",
    ColumnSettings.TIME_PERCENT: "Time % (estimated)",
    ColumnSettings.MEASURED_PERCENT: "Time % (measured)",
}
CONVERSION_FACTORS = {
    Units.TERABYTES: 1e12, Units.GIGABYTES: 1e9, Units.MEGABYTES: 1e6, Units.KILOBYTES: 1e3, Units.NONE: 1.0,
}  # fmt: skip


@dataclass
class FormattingOptions:
    """How the table is written; fields may be changed before the statistics are printed again.

    ``params_units``: of the numbers of parameters (``params_count_units`` is another name of it); ``macs_units``: of mult-adds,
    ``AUTO`` is by millions at least; ``params_size_units``: of sizes in bytes, ``AUTO`` by thousands, millions, ... as each has
    them.
    """

    max_depth: int
    verbose: int
    col_names: tuple[ColumnSettings, ...]
    col_width: int
    row_settings: set[RowSettings]
    params_units: Units = Units.NONE
    macs_units: Units = Units.AUTO
    layer_name_width: int = 40
    widths: dict[ColumnSettings, int] = field(default_factory=dict)  # wider columns, where formulas need them
    params_size_units: Units = Units.MEGABYTES

    def __post_init__(self) -> None:
        self.ascii_only = RowSettings.ASCII_ONLY in self.row_settings
        self.show_var_name = RowSettings.VAR_NAMES in self.row_settings
        self.show_depth = RowSettings.DEPTH in self.row_settings
        self.hide_recursive_layers = RowSettings.HIDE_RECURSIVE_LAYERS in self.row_settings

    @property
    def params_count_units(self) -> Units:
        """The units of the numbers of parameters."""
        return self.params_units

    @params_count_units.setter
    def params_count_units(self, units: Units) -> None:
        self.params_units = units

    @staticmethod
    def str_(val: Any) -> str:
        """A cell; ``--`` if there is nothing to show."""
        return str(val) if val else "--"

    def get_start_str(self, depth: int) -> str:
        """The branch in front of a row's name."""
        if depth == 0:
            return ""
        if depth == 1:
            return "+ " if self.ascii_only else "├─"
        return ("|    " if self.ascii_only else "│    ") * (depth - 1) + ("+ " if self.ascii_only else "└─")

    def set_layer_name_width(self, summary_list: Sequence[LayerInfo], align_val: int = _ALIGN) -> None:
        """Room for the longest name, rounded up."""
        names = [info.get_layer_name(self.show_var_name, self.show_depth) for info in summary_list]
        longest = max([len(n) + info.depth * align_val + 1 for n, info in zip(names, summary_list)], default=0)
        if longest >= self.layer_name_width:
            self.layer_name_width = math.ceil(longest / align_val) * align_val

    def get_total_width(self) -> int:
        """Characters of a line."""
        return sum(self._width(c) for c in self.col_names) + self.layer_name_width

    def header_row(self) -> str:
        """The titles."""
        shown = (" (var_name)" if self.show_var_name else "") + (":depth-idx" if self.show_depth else "")
        return self.format_row(f"Layer (type{shown})", HEADER_TITLES)

    def format_row(self, layer_name: str, row_values: Mapping[ColumnSettings, str]) -> str:
        """A line of a name and its cells."""
        parts = [f"{row_values.get(c, ''):<{self._width(c)}}" for c in self.col_names]
        return " ".join([f"{layer_name:<{self.layer_name_width}}", *parts]).rstrip() + "\n"

    def layers_to_str(self, summary_list: Sequence[LayerInfo], total_params: int) -> str:
        """All rows down to the depth asked for."""
        shown = [
            info for info in summary_list
            if info.depth <= self.max_depth and not (self.hide_recursive_layers and info.is_recursive)
        ]  # fmt: skip
        cells = [self._cells(info, info.depth == self.max_depth, total_params, summary_list[0]) for info in shown]
        self._fit(shown, cells)
        return "".join(self._lines(info, row) for info, row in zip(shown, cells))

    def layer_info_to_row(self, layer_info: LayerInfo, reached_max_depth: bool, total_params: int) -> str:
        """One row, with its parameters below it if the table is verbose. Shares of time are those of the row alone."""
        return self._lines(layer_info, self._cells(layer_info, reached_max_depth, total_params, layer_info))

    def _lines(self, info: LayerInfo, cells: Mapping[ColumnSettings, str]) -> str:
        name = info.get_layer_name(self.show_var_name, self.show_depth)
        text = self.format_row(self.get_start_str(info.depth) + name, cells)
        if self.verbose == Verbosity.VERBOSE:
            branch = self.get_start_str(info.depth + 1)
            text += "".join([self.format_row(branch + inner, row) for inner, row in info.inner_layers.items()])
        return text

    def _fit(self, shown: Sequence[LayerInfo], cells: Sequence[Mapping[ColumnSettings, str]]) -> None:
        """Columns of formulas are as wide as they have to be; numbers keep the width asked for, whatever happens."""
        self.widths = {}
        if any([isinstance(s, Expr) for info in shown for s in (*info.output_size, info.macs)]):
            self.widths = {c: max([self.col_width, *[len(row[c]) for row in cells]]) for c in self.col_names}

    def _width(self, column: ColumnSettings) -> int:
        return self.widths.get(column, self.col_width)

    def _cells(self, info: LayerInfo, deepest: bool, total_params: int, root: LayerInfo) -> dict[ColumnSettings, str]:
        def work(quantity: str) -> str:
            return _number(info.shown(lambda w: getattr(w.cost, quantity), deepest))

        makers = {
            ColumnSettings.KERNEL_SIZE: lambda: self.str_(info.kernel_size),
            ColumnSettings.GROUPS: lambda: self.str_(info.groups),
            ColumnSettings.INPUT_SIZE: lambda: self.str_(info.input_size),
            ColumnSettings.OUTPUT_SIZE: lambda: self.str_(info.output_size),
            ColumnSettings.NUM_PARAMS: lambda: info.num_params_to_str(deepest),
            ColumnSettings.PARAMS_PERCENT: lambda: info.params_percent(total_params, deepest),
            ColumnSettings.MULT_ADDS: lambda: info.macs_to_str(deepest),
            ColumnSettings.TRAINABLE: lambda: self.str_(info.trainable),
            ColumnSettings.FLOPS: lambda: work("flops"),
            ColumnSettings.MADD: lambda: _number(info.shown(lambda w: w.madds, deepest)),
            ColumnSettings.READ_BYTES: lambda: work("read_bytes"),
            ColumnSettings.WRITE_BYTES: lambda: work("write_bytes"),
            ColumnSettings.OUTPUT_BYTES: lambda: _number(info.output_bytes),
            ColumnSettings.TIME_PERCENT: lambda: percent_text(
                info.shown(lambda w: w.seconds, deepest), root.shown(lambda w: w.seconds, True)
            ),
            ColumnSettings.MEASURED_PERCENT: lambda: percent_text(info.measured_seconds, root.measured_seconds),
        }
        return {column: makers[column]() for column in self.col_names}


def _number(n: Size) -> str:
    if isinstance(n, Expr):
        return to_text(n)
    return f"{n:,}" if n > 0 else "--"
