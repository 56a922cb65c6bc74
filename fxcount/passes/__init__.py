"""Passes: from a trace to facts about it. Each is a pure function of the trace and can be used on its own."""

from __future__ import annotations

from fxcount.passes.cost import CallCost, Costs, cost
from fxcount.passes.memory import Memory, Peak, memory, peaks_of
from fxcount.passes.parameters import ParameterRow, Parameters, ParameterTotals, parameters

__all__ = [
    "CallCost",
    "Costs",
    "Memory",
    "ParameterRow",
    "ParameterTotals",
    "Parameters",
    "Peak",
    "cost",
    "memory",
    "parameters",
    "peaks_of",
]
