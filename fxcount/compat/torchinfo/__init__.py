"""``summary`` with the arguments, fields and text of ``torchinfo.summary`` 1.8.

The text equals torchinfo's, except where torchinfo is mistaken or blind:

* a weight that two modules share counts once, and the second module says ``(shared)``;
* mult-adds are right for inputs without a batch dimension, for linear layers on sequences, for transposed and weight-normalised
  convolutions, and zero for a table lookup; functional ops (attention, ``F.linear``) count, on the row of the module
  that calls them;
* parameters held by a module with submodules of its own (class tokens, position embeddings) count in the params size;
* parameters without effect are named below the totals; the input size is that of the data alone;
* the unit of mult-adds is ``(M)``, where torchinfo prints ``(Units.MEGABYTES)`` since Python 3.11.

Sizes may be symbols: ``input_size=("B", 3, "H", "W")`` puts formulas into the cells. Seven more columns: see
:class:`ColumnSettings`.
"""

from __future__ import annotations

from fxcount.compat.torchinfo.enums import ColumnSettings, Mode, RowSettings, Units, Verbosity
from fxcount.compat.torchinfo.formatting import FormattingOptions
from fxcount.compat.torchinfo.layer_info import LayerInfo
from fxcount.compat.torchinfo.model_statistics import ModelStatistics
from fxcount.compat.torchinfo.torchinfo import SummaryError, clear_cached_forward_pass, summary

__all__ = [
    "ColumnSettings",
    "FormattingOptions",
    "LayerInfo",
    "Mode",
    "ModelStatistics",
    "RowSettings",
    "SummaryError",
    "Units",
    "Verbosity",
    "clear_cached_forward_pass",
    "summary",
]
