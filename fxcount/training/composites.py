"""Composite functions that formulas of derivatives call: plain eager is looked at when such a one is done, not inside it.

What reaches the dispatcher below autograd are the ops it is made of. A function that Python calls is known to be one call; of
one that the engine's formulas call, it is told from the node that runs and the ops it begins and ends with.

Source: derivatives.yaml and FunctionsManual.cpp of torch's autograd, whose functions these are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from fxcount.trace.tape import Call

__all__ = ["has_composites", "spans_of"]

_ATEN = torch.ops.aten
Composite = tuple[frozenset[Any], Any]


def _from(*first: Any, to: Any) -> Composite:
    return frozenset(first), to


_NAN_FREE = _from(_ATEN.eq, _ATEN.abs, _ATEN.ne, to=_ATEN.mul)  # isfinite: in which order C++ leaves to the compiler
_SOLVED = _from(torch.ops.aten._linalg_solve_ex, to=torch.ops.aten._linalg_solve_ex)  # whose factors linalg_solve lets go of
_OF: Mapping[str, tuple[Composite, ...]] = {
    "NanToNumBackward0": (_NAN_FREE,),
    "BinaryCrossEntropyWithLogitsBackward0": (_from(_ATEN.log_sigmoid_forward, to=_ATEN.log_sigmoid_forward),),
    "TraceBackward0": (_from(_ATEN.zeros, to=_ATEN.view),),
    "MaskedSelectBackward0": (_from(_ATEN.expand, _ATEN.zeros_like, to=_ATEN.masked_scatter_),),
    **{f"Linalg{name}Backward0": (_SOLVED,) for name in ("Eig", "Det", "Slogdet")},
    "ConvTbcBackward0": (_from(_ATEN.zeros_like, to=_ATEN.copy_),),
}
"""For nodes of the graph, by name: the ops that a composite can begin with, and the one that it ends with."""


def has_composites(node: str) -> bool:
    """Whether a node's formula calls composites whose temporaries are more than what is left of them.

    >>> has_composites("NanToNumBackward0"), has_composites("ExpBackward0")
    (True, False)
    """
    return node in _OF


def spans_of(node: str, calls: Sequence[Call], log: Sequence[int], marks: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The entries of the log that one composite made, of each in the calls of this node."""
    for first, last in _OF[node]:
        start = None
        for call in calls:
            packet = getattr(call.func, "overloadpacket", None)
            if start is None and packet in first:
                start = marks[call.index]
            if start is not None and packet is last:
                yield start, _end_of(start, call.index, log, marks)
                start = None


def _end_of(start: int, last: int, log: Sequence[int], marks: Sequence[int]) -> int:
    """Where a composite is done whose last call is ``last``: what it has made and does not return is gone, before the next."""
    stop = marks[last + 1] if last + 1 < len(marks) else len(log)
    born = {entry for entry in log[start:stop] if entry >= 0}
    ends = [i for i in range(start, stop) if log[i] >= 0 or ~log[i] in born]
    return ends[-1] + 1 if ends else start
