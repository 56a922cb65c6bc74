"""The result of a summary: totals, rows, and the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fxcount.compat.torchinfo.enums import Units
from fxcount.compat.torchinfo.formatting import CONVERSION_FACTORS, FormattingOptions
from fxcount.compat.torchinfo.layer_info import LayerInfo
from fxcount.report import Report
from fxcount.symbolic import Expr, Size, sum_, to_text

__all__ = ["ModelStatistics"]

_NAMED_DEAD = 4


class ModelStatistics:
    """Totals (parameters in elements, sizes in bytes, mult-adds for the whole batch), ``summary_list`` with a
    :class:`LayerInfo` for each row, ``formatting``; ``report`` is the analysis behind it (``None`` without inputs).

    ``total_output_bytes`` is torchinfo's "forward/backward pass size": twice the results of all calls of layers with
    parameters, for their gradients.
    """

    def __init__(
        self, summary_list: Sequence[LayerInfo], input_size: Any, total_input_size: Size, formatting: FormattingOptions,
        report: Report | None = None,
    ) -> None:  # fmt: skip
        self.summary_list = list(summary_list)
        self.input_size = input_size
        self.formatting = formatting
        self.report = report
        self.total_input = total_input_size
        first = [info for info in summary_list if not info.is_recursive]
        self.total_params = sum(info.own_params for info in first)
        self.trainable_params = sum(info.own_trainable_params for info in first)
        self.total_param_bytes = report.params.bytes if report is not None else summary_list[0].param_bytes
        self.total_mult_adds: Size = sum_([info.macs for info in summary_list])
        self.total_output_bytes: Size = sum_(
            [info.output_bytes * 2 for info in summary_list if info.is_leaf_layer and info.num_params]
        )
        formatting.set_layer_name_width(summary_list)

    def __repr__(self) -> str:
        rows = self.formatting.layers_to_str(self.summary_list, self.total_params)
        divider = "=" * self.formatting.get_total_width()
        units = self.formatting.params_units
        parts = [
            divider,
            self.formatting.header_row() + divider,
            rows + divider,
            f"Total params{self.format_output_num(self.total_params, units)}",
            f"Trainable params{self.format_output_num(self.trainable_params, units)}",
            f"Non-trainable params{self.format_output_num(self.total_params - self.trainable_params, units)}",
            *self._dead(),
        ]
        if self.input_size:
            total = self.total_input + self.total_output_bytes + self.total_param_bytes
            parts += [
                f"Total mult-adds{self.format_output_num(self.total_mult_adds, self.formatting.macs_units)}",
                divider,
                *[
                    f"{label}{_bytes_text(n, self.formatting.params_size_units)}" for label, n in (
                        ("Input size", self.total_input), ("Forward/backward pass size", self.total_output_bytes),
                        ("Params size", self.total_param_bytes), ("Estimated Total Size", total),
                    )
                ],
            ]
        return "\n".join([*parts, divider])

    def _dead(self) -> list[str]:
        """A line on the parameters that no output depends on, if there are any."""
        if self.report is None:
            return []
        never = [r for r in self.report.params.rows("dead") if r.uses == 0]
        if not never:
            return []
        names = ", ".join(r.name for r in never[:_NAMED_DEAD])
        more = f" and {len(never) - _NAMED_DEAD} more" if len(never) > _NAMED_DEAD else ""
        return [f"Unused params: {sum(r.numel for r in never):,} ({names}{more})"]

    @staticmethod
    def float_to_megabytes(num: int) -> float:
        """Millions of bytes of ``num`` numbers of 4 bytes."""
        return num * 4 / 1e6

    @staticmethod
    def to_megabytes(num: int) -> float:
        """Millions of bytes."""
        return num / 1e6

    @staticmethod
    def to_readable(num: float, units: Units = Units.AUTO) -> tuple[Units, float]:
        """A number in millions, billions or trillions.

        >>> ModelStatistics.to_readable(4_089_184_256)
        (<Units.GIGABYTES: 'G'>, 4.089184256)
        """
        if units == Units.AUTO:
            units = Units.TERABYTES if num >= 1e12 else Units.GIGABYTES if num >= 1e9 else Units.MEGABYTES
        return units, num / CONVERSION_FACTORS[units]

    @staticmethod
    def format_output_num(num: Size, units: Units, is_bytes: bool = False) -> str:
        """What follows the label of a number below the table; a formula as it is.

        >>> ModelStatistics.format_output_num(21840, Units.KILOBYTES, is_bytes=True)
        ' (kB): 21.84'
        """
        if isinstance(num, Expr):
            return f"{' (B)' if is_bytes else ''}: {to_text(num)}"
        used, value = ModelStatistics.to_readable(num, units)
        shown = f"{int(value):,d}" if float(value).is_integer() else f"{value:,.2f}"
        unit = f"{used.value}B" if is_bytes else used.value
        return (f" ({unit})" if unit else "") + f": {shown}"


def _bytes_text(n: Size, units: Units) -> str:
    """A size in bytes: torchinfo 1.8 says megabytes with two digits, its next release a unit for each number."""
    if isinstance(n, Expr) or units != Units.MEGABYTES:
        return ModelStatistics.format_output_num(n, _unit_of(n) if units == Units.AUTO else units, is_bytes=True)
    return f" (MB): {n / 1e6:0.2f}"


def _unit_of(n: Size) -> Units:
    if isinstance(n, Expr) or n < 1e3:
        return Units.NONE
    return Units.KILOBYTES if n < 1e6 else ModelStatistics.to_readable(n)[0]
