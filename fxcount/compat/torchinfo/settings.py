"""The names of columns, row settings, modes and units, as torchinfo's enums have them, and fxcount's own columns."""

from __future__ import annotations

from enum import Enum, IntEnum, unique

__all__ = ["HEADERS", "NEEDS_INPUT", "ColumnSettings", "Mode", "RowSettings", "Units", "Verbosity"]


@unique
class Mode(str, Enum):  # noqa: UP042 - torchinfo's own bases
    """Whether the model is summarised in training or in evaluation mode."""

    TRAIN = "train"
    EVAL = "eval"


@unique
class RowSettings(str, Enum):  # noqa: UP042 - torchinfo's own bases
    """What a row shows."""

    DEPTH = "depth"
    VAR_NAMES = "var_names"
    ASCII_ONLY = "ascii_only"
    HIDE_RECURSIVE_LAYERS = "hide_recursive_layers"


@unique
class ColumnSettings(str, Enum):  # noqa: UP042 - torchinfo's own bases
    """Columns: torchinfo's seven, then fxcount's own.

    ``flops``: all floating-point operations; ``madd``: the same, a sum of n products taken as n - 1 additions;
    ``read_bytes``, ``write_bytes``: each operand and each result once for each op; ``output_bytes``: of the layer's results;
    ``time_percent``: share of the time estimated from the roofline; ``measured_percent``: share of the time measured, for
    which the model runs.
    """

    KERNEL_SIZE = "kernel_size"
    INPUT_SIZE = "input_size"
    OUTPUT_SIZE = "output_size"
    NUM_PARAMS = "num_params"
    PARAMS_PERCENT = "params_percent"
    MULT_ADDS = "mult_adds"
    TRAINABLE = "trainable"
    FLOPS = "flops"
    MADD = "madd"
    READ_BYTES = "read_bytes"
    WRITE_BYTES = "write_bytes"
    OUTPUT_BYTES = "output_bytes"
    TIME_PERCENT = "time_percent"
    MEASURED_PERCENT = "measured_percent"


HEADERS = {
    ColumnSettings.KERNEL_SIZE: "Kernel Shape",
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
NEEDS_INPUT = frozenset(ColumnSettings) - {
    ColumnSettings.KERNEL_SIZE, ColumnSettings.NUM_PARAMS, ColumnSettings.PARAMS_PERCENT, ColumnSettings.TRAINABLE,
}  # fmt: skip


@unique
class Units(str, Enum):  # noqa: UP042 - torchinfo's own bases
    """Units of numbers below the table."""

    AUTO = "auto"
    MEGABYTES = "M"
    GIGABYTES = "G"
    TERABYTES = "T"
    NONE = ""


@unique
class Verbosity(IntEnum):
    """0 prints nothing, 1 the table, 2 also every parameter."""

    QUIET, DEFAULT, VERBOSE = 0, 1, 2
