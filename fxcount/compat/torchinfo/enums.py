"""The names of columns, row settings, modes and units, as torchinfo's enums have them, and fxcount's own columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum, EnumMeta, IntEnum, unique
from typing import Any

__all__ = ["NEEDS_INPUT", "ColumnSettings", "Mode", "RowSettings", "Units", "Verbosity"]


@unique
class Mode(str, Enum):  # noqa: UP042 - torchinfo's own bases
    """Whether the model is summarised in training mode, in evaluation mode or as it is."""

    TRAIN = "train"
    EVAL = "eval"
    SAME = "same"


@unique
class RowSettings(str, Enum):  # noqa: UP042 - torchinfo's own bases
    """What a row shows."""

    DEPTH = "depth"
    VAR_NAMES = "var_names"
    ASCII_ONLY = "ascii_only"
    HIDE_RECURSIVE_LAYERS = "hide_recursive_layers"


class _TorchinfosColumns(EnumMeta):
    """Going through the columns gives those of torchinfo 1.8: ``list(ColumnSettings)`` means all of its table, and one of
    fxcount's own columns runs the model. Those are had by name."""

    def __iter__(cls) -> Iterator[Any]:
        members: Iterable[Any] = cls.__members__.values()
        return (member for member in members if member.value in _LISTED)

    def __len__(cls) -> int:
        return len(_LISTED)


_LISTED = frozenset("kernel_size input_size output_size num_params params_percent mult_adds trainable".split())


@unique
class ColumnSettings(str, Enum, metaclass=_TorchinfosColumns):  # noqa: UP042 - torchinfo's own bases
    """Columns: torchinfo's seven, ``groups`` of its next release, and fxcount's own. Iteration gives the seven.

    ``groups``: of a convolution; ``flops``: all floating-point operations; ``madd``: the same, a sum of n products taken as
    n - 1 additions; ``read_bytes``, ``write_bytes``: each operand and each result once for each op; ``output_bytes``: of the
    layer's results; ``time_percent``: share of the time estimated from the roofline; ``measured_percent``: share of the time
    measured, for which the model runs.

    >>> [c.value for c in ColumnSettings][-2:], ColumnSettings("flops").name
    (['mult_adds', 'trainable'], 'FLOPS')
    """

    KERNEL_SIZE = "kernel_size"
    GROUPS = "groups"
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


NEEDS_INPUT = frozenset(ColumnSettings.__members__.values()) - {
    ColumnSettings.KERNEL_SIZE, ColumnSettings.GROUPS, ColumnSettings.NUM_PARAMS, ColumnSettings.PARAMS_PERCENT,
    ColumnSettings.TRAINABLE,
}  # fmt: skip


@unique
class Units(str, Enum):  # noqa: UP042 - torchinfo's own bases
    """Units of numbers below the table."""

    AUTO = "auto"
    KILOBYTES = "k"
    MEGABYTES = "M"
    GIGABYTES = "G"
    TERABYTES = "T"
    NONE = ""


@unique
class Verbosity(IntEnum):
    """0 prints nothing, 1 the table, 2 also every parameter."""

    QUIET, DEFAULT, VERBOSE = 0, 1, 2
