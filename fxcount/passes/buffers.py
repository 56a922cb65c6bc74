"""Buffers: who reads them, which the forward updates, which have no effect."""

from __future__ import annotations

import torch

from fxcount.dataclass import dataclass
from fxcount.passes.death import Liveness
from fxcount.passes.elements import elements_of
from fxcount.passes.uses import Use
from fxcount.trace.tape import Declared, Trace

__all__ = ["BufferRow", "buffer_rows"]


@dataclass(frozen=True, slots=True)
class BufferRow:
    """One buffer: all its names, elements (``unique``: those no earlier row has counted, with their bytes), whether
    ``state_dict`` keeps it (``persistent``), how many ops use it, whether the forward writes it in place or puts another
    tensor in its place (``updated``), and its ``state``: "updated", "read" or "dead", with the ``reason`` for the last."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: torch.dtype
    numel: int
    unique: int
    nbytes: int
    persistent: bool
    uses: int
    updated: bool
    reason: str
    used_by: tuple[Use, ...]

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def state(self) -> str:
        return "updated" if self.updated else "dead" if self.reason else "read"


def buffer_rows(trace: Trace, liveness: Liveness) -> tuple[BufferRow, ...]:
    """One row for each buffer the model registers.

    Running statistics are updated in training mode only:

    >>> import fxcount
    >>> rows = fxcount.analyze(torch.nn.BatchNorm1d(3).train(), "B,3").params.buffer_rows
    >>> [(b.name, b.state, b.nbytes) for b in rows]
    [('running_mean', 'updated', 12), ('running_var', 'updated', 12), ('num_batches_tracked', 'updated', 8)]
    """
    written = {s for call in trace.calls for s in call.mutated}
    updated = {s.value.name for s in trace.states if s.value.origin == "buffer" and s.value.storage in written}
    updated.update(trace.reassigned)
    buffers = [d for d in trace.declared if d.kind == "buffer"]
    found = elements_of(buffers)
    return tuple(
        [
            _row(d, fresh, nbytes, liveness, d.names[0] in updated)
            for d, fresh, nbytes in zip(buffers, found.fresh, found.nbytes, strict=True)
        ]
    )


def _row(d: Declared, fresh: int, nbytes: int, liveness: Liveness, updated: bool) -> BufferRow:
    used_by = tuple(liveness.uses.get(d.names[0], ()))
    death = None if updated else liveness.death_of(d)
    return BufferRow(
        d.names, d.shape, d.dtype, d.numel, fresh, nbytes, d.persistent, len(used_by), updated,
        death.reason if death else "", used_by,
    )  # fmt: skip
