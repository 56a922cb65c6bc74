"""What is interpolated: the formulas that one analysis finds, at one point of the variables."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Protocol

from fxcount.errors import first_line
from fxcount.symbolic import Assumption, Size

__all__ = ["MOMENTS", "QUANTITIES", "Failure", "Found", "Point", "Source"]

Point = tuple[int, ...]

QUANTITIES: Mapping[str, str] = {
    "params": "parameters, each unique one once",
    "trainable": "those that ask for a gradient",
    "param_bytes": "bytes of parameters",
    "buffer_bytes": "bytes of buffers",
    "macs": "multiply-accumulates of contractions",
    "flops": "floating-point operations",
    "transcendentals": "those that are exp, log, tanh, ...",
    "kv_bytes": "bytes of the key-value cache the model returns",
    "read_bytes": "bytes read, each operand once for each op",
    "write_bytes": "bytes written, each result once for each op",
    "activation_bytes": "bytes of all results added up",
    "peak_bytes": "largest sum of bytes alive at one moment of inference, inputs included, parameters and buffers not",
}
"""What is fitted, and its meaning."""

MOMENTS = "moments"
"""What a formula of the peak is made of: a largest moment may be another one elsewhere."""


@dataclass(frozen=True)
class Found:
    """The formulas of one analysis in the inputs' symbols, by quantity (the peak has several: it is the largest), and its
    assumptions, by what distinguishes them beside their formula. ``moments``: bytes alive at moments by their place in the
    model, of which the largest is the peak; none if they are not known to be all that matter."""

    sizes: Mapping[str, tuple[Size, ...]]
    assumptions: Mapping[tuple[Hashable, ...], Assumption]
    model_name: str
    totals: Mapping[str, str]  # symbols for sizes that data decide, added up, with their meaning
    symbols: tuple[str, ...]  # of the inputs
    moments: Mapping[Hashable, tuple[Size, Size]]


@dataclass(frozen=True)
class Failure:
    """The build, or the analysis, raised this error."""

    error: Exception

    def __str__(self) -> str:
        return f"{type(self.error).__name__}: {first_line(self.error)}"


class Source(Protocol):
    """Analyses at points of the variables. Each is made once; ``known`` are those that were."""

    known: dict[Point, Found | Failure]

    def at(self, point: Point, /) -> Found | Failure:
        """What is found there. Errors of the user's model are findings too."""
