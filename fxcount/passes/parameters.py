"""Parameters: every unique one counted once, by storage, with its names, state, uses, and the groups that share it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch

from fxcount.dataclass import dataclass
from fxcount.passes.death import Cause, Liveness
from fxcount.passes.elements import Elements, elements_of
from fxcount.passes.gradients import chosen_outputs, reach
from fxcount.trace.tape import Declared, Trace

if TYPE_CHECKING:
    from fxcount.passes.buffers import BufferRow
    from fxcount.passes.sharing import SharingGroup
    from fxcount.passes.uses import Use

__all__ = ["STATES", "ParameterRow", "ParameterTotals", "Parameters", "parameters", "state_bytes"]


@dataclass(frozen=True, slots=True)
class ParameterRow:
    """One parameter: all its names, elements (``unique``: those no earlier row has counted, with their bytes), dtype,
    whether it asks for a gradient, how many ops use it and which (``used_by``), whether it ``gets_gradient`` from the
    outputs, whether it is ``dead``, the ``cause`` and the ``reason`` for that, and whether others hold some of its elements
    (``shared``)."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
    numel: int
    unique: int
    nbytes: int
    dtype: torch.dtype
    requires_grad: bool
    uses: int
    gets_gradient: bool
    dead: bool
    cause: Cause | Literal[""]
    reason: str
    shared: bool
    used_by: tuple[Use, ...] = field(repr=False)

    @property
    def name(self) -> str:
        return self.names[0]


STATES: dict[str, Callable[[ParameterRow], bool]] = {
    "trainable": lambda r: r.requires_grad,
    "frozen": lambda r: not r.requires_grad,
    "shared": lambda r: r.shared,
    "dead": lambda r: r.dead,
}
"""What may be asked of a parameter; one may be in several states."""


@dataclass(frozen=True, slots=True)
class ParameterTotals:
    """Some of the parameters: how many, their elements and bytes, and how many elements are trainable, frozen, shared,
    dead."""

    key: str
    parameters: int
    numel: int
    nbytes: int
    trainable: int
    frozen: int
    shared: int
    dead: int

    @staticmethod
    def of(key: str, rows: Iterable[ParameterRow]) -> ParameterTotals:
        found = list(rows)
        trainable = sum([r.unique for r in found if r.requires_grad])
        numel = sum([r.unique for r in found])
        shared = sum([r.unique for r in found if r.shared])
        dead = sum([r.unique for r in found if r.dead])
        nbytes = sum([r.nbytes for r in found])
        return ParameterTotals(key, len(found), numel, nbytes, trainable, numel - trainable, shared, dead)


@dataclass(frozen=True, eq=False)
class Parameters:
    """Elements of unique parameters, each counted once. ``shared``: of parameters with several names or with elements of
    another; ``dead``: of no effect on the outputs, or asking for a gradient that no output gives it; ``bytes``: over all
    dtypes. Records of single parameters, and who uses them, are made when they are asked for.

    >>> import torch, fxcount
    >>> params = fxcount.analyze(torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Linear(5, 2)), "B,3").params
    >>> params.total, params.bytes, [r.name for r in params.rows("frozen")]
    (32, 128, [])
    >>> [(row.key, row.numel) for row in params.by_module(1)]
    [('0', 20), ('1', 12)]
    """

    total: int
    trainable: int
    frozen: int
    shared: int
    dead: int
    bytes: int
    bytes_by_dtype: dict[torch.dtype, int]
    buffers: int
    buffer_bytes: int
    _trace: Trace = field(repr=False)
    _liveness: Liveness = field(repr=False)
    _elements: Elements = field(repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Parameters):
            return NotImplemented
        return self.all_rows == other.all_rows and self.buffer_rows == other.buffer_rows

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def all_rows(self) -> tuple[ParameterRow, ...]:
        """One record for each parameter."""
        e = self._elements
        parts = zip(_declared(self._trace, "parameter"), e.fresh, e.nbytes, e.shared, strict=True)
        return tuple([_row(d, fresh, nbytes, overlaps, self._liveness) for d, fresh, nbytes, overlaps in parts])

    def rows(self, state: str | None = None) -> list[ParameterRow]:
        """One record for each parameter; ``state`` is ``"trainable"``, ``"frozen"``, ``"shared"`` or ``"dead"``."""
        if state is None:
            return list(self.all_rows)
        if state not in STATES:
            raise ValueError(f"unknown state {state!r}: use one of {', '.join(STATES)}")
        return [r for r in self.all_rows if STATES[state](r)]

    @property
    def local_bytes(self) -> int:
        """Bytes of the parameters on this rank: of distributed tensors (tensor-parallel, ``fully_shard``) the part it has. All
        other numbers here are those of the whole model."""
        rows = zip(_declared(self._trace, "parameter"), self.all_rows, strict=True)
        return sum([r.nbytes if d.local is None or not r.unique else d.local for d, r in rows])

    @cached_property
    def groups(self) -> tuple[SharingGroup, ...]:
        """What is held once and used more than once, and weights derived from parameters."""
        from fxcount.passes.sharing import sharing_groups

        return sharing_groups(self._trace, self._liveness.uses)

    @cached_property
    def buffer_rows(self) -> tuple[BufferRow, ...]:
        """One record for each buffer; none of a trace that has no end, as they would say how a buffer is used."""
        from fxcount.passes.buffers import buffer_rows

        return () if self._trace.ended else buffer_rows(self._trace, self._liveness)

    def by_state(self) -> list[ParameterTotals]:
        """Totals of each state; a parameter may be in several."""
        return [ParameterTotals.of(state, self.rows(state)) for state in STATES]

    def by_dtype(self) -> list[ParameterTotals]:
        """Totals of each dtype."""
        return _totals(self.all_rows, lambda r: str(r.dtype).removeprefix("torch."))

    def by_module(self, depth: int | None = 1) -> list[ParameterTotals]:
        """Totals of each module that holds parameters, down to ``depth`` levels ("": the model itself)."""
        return _totals(self.all_rows, lambda r: ".".join(r.name.split(".")[:-1][:depth]))

    def by_group(self) -> list[SharingGroup]:
        """The sharing groups, those that save most first."""
        return sorted(self.groups, key=lambda g: -g.bytes_saved)


def _totals(rows: Iterable[ParameterRow], key: Callable[[ParameterRow], str]) -> list[ParameterTotals]:
    by_key: dict[str, list[ParameterRow]] = {}
    for row in rows:
        by_key.setdefault(key(row), []).append(row)
    return [ParameterTotals.of(name, found) for name, found in by_key.items()]


def parameters(trace: Trace, outputs: str | Iterable[str] | None = None) -> Parameters:
    """Totals over the model's parameters and buffers, who uses them, and which are dead for these ``outputs``.

    A model none of whose outputs gives a gradient (all under ``no_grad``, or integers) is judged by its data alone. Of a trace
    that was not done to its end nothing is said of which are dead.
    Raises :class:`~fxcount.errors.InputError` for an output the model has not.
    """
    liveness = Liveness(trace, reach(trace, chosen_outputs(trace, outputs)))
    declared = _declared(trace, "parameter")
    found, in_buffers = elements_of(declared), elements_of(_declared(trace, "buffer"))
    total, trainable, shared, dead = sum(found.fresh), 0, 0, 0
    by_dtype: dict[torch.dtype, int] = {}
    gradient = liveness.reached.gradient
    for d, fresh, nbytes, overlaps in zip(declared, found.fresh, found.nbytes, found.shared, strict=True):
        names, dtype = d.names, d.dtype
        by_dtype[dtype] = by_dtype.get(dtype, 0) + nbytes
        if d.requires_grad:
            trainable += fresh
        if overlaps or len(names) > 1:
            shared += fresh
        if names[0] not in gradient and liveness.death_of(d) is not None:
            dead += fresh
    return Parameters(
        total, trainable, total - trainable, shared, dead, sum(found.nbytes), by_dtype, sum(in_buffers.fresh),
        sum(in_buffers.nbytes), trace, liveness, found,
    )  # fmt: skip


def _row(d: Declared, fresh: int, nbytes: int, overlaps: bool, liveness: Liveness) -> ParameterRow:
    name = d.names[0]
    used_by = tuple(liveness.uses.get(name, ()))
    death = liveness.death_of(d)
    return ParameterRow(
        d.names, d.shape, d.numel, fresh, nbytes, d.dtype, d.requires_grad, len(used_by), name in liveness.reached.gradient,
        death is not None, death.cause if death else "", death.reason if death else "", len(d.names) > 1 or overlaps, used_by,
    )  # fmt: skip


def _declared(trace: Trace, kind: Literal["parameter", "buffer"]) -> list[Declared]:
    return [d for d in trace.declared if d.kind == kind]


def state_bytes(trace: Trace, kind: Literal["parameter", "buffer"]) -> int:
    """Bytes of the model's parameters or buffers, each element counted once."""
    return sum(elements_of(_declared(trace, kind)).nbytes)
