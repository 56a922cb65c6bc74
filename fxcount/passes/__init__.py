"""Passes: from a trace to facts about it. Each is a pure function of the trace and can be used on its own."""

from __future__ import annotations

from fxcount.passes.buffers import BufferRow
from fxcount.passes.cost import CallCost, Costs, cost
from fxcount.passes.memory import Memory, Peak, memory, peaks_of
from fxcount.passes.parameters import ParameterRow, Parameters, ParameterTotals, parameters
from fxcount.passes.sharing import SharingGroup
from fxcount.passes.uses import Use

__all__ = [
    "BufferRow",
    "CallCost",
    "Costs",
    "Memory",
    "ParameterRow",
    "ParameterTotals",
    "Parameters",
    "Peak",
    "SharingGroup",
    "Use",
    "cost",
    "memory",
    "parameters",
    "peaks_of",
]
