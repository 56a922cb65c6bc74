"""What is interpolated: the formulas that one analysis finds, at one point of the variables."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cached_property
from typing import Protocol

from fxcount.dataclass import dataclass
from fxcount.errors import first_line
from fxcount.symbolic import Assumption, Size, combination
from fxcount.symbolic.expr import Atom, make, terms_of

__all__ = ["QUANTITIES", "Failure", "Found", "Moment", "Point", "Source"]

Point = tuple[int, ...]
Moment = tuple[Hashable, int]
"""A place of the model, and whether it is the first (0) or the last (1) time that a run comes there."""

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
    moments: Mapping[Moment, Size]

    @cached_property
    def bounds(self) -> Mapping[Moment, Size]:
        """For each moment a size that is at least as large, and the same for most."""
        return {moment: _bound(size) for moment, size in self.moments.items()}


def _bound(size: Size) -> Size:
    """A size that is at least as large, without Min(..., 1): the copy of a tensor that is made unless the batch is 1."""
    found: list[tuple[Size, int]] = []
    for m, c in terms_of(size).items():
        rest, times = [], c
        for factor in m:
            numbers = [a for a in factor.args if isinstance(a, int)] if type(factor) is Atom and factor.kind == "min" else []
            if numbers and c > 0:
                times *= min(numbers)
            else:
                rest.append(factor)
        found.append((make({tuple(rest): 1}), times))
    total = combination(found)
    return size if total == size else total


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
