"""What the conventions read of one report: the trace with its costs, and what several of them would otherwise work out anew."""

from __future__ import annotations

from dataclasses import field
from functools import cached_property
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.passes.cost import Costs
from fxcount.symbolic import Size
from fxcount.trace.tape import Trace, Written

__all__ = ["Records"]


@dataclass(frozen=True)
class Records:
    """``sites``: op calls as rules see them (:class:`~.sites.Site`), by signature and how they are written; ``module_sites``:
    every module call (:class:`~.modules.ModuleSite`). Both are filled by the first convention that asks."""

    trace: Trace
    costs: Costs
    sites: dict[tuple[int, Written], Any] = field(default_factory=dict, repr=False)
    module_sites: list[Any] = field(default_factory=list, repr=False)

    @cached_property
    def macs(self) -> dict[int, Size]:
        """The exact multiply-accumulates of each call that has any, by its index."""
        some = {key: cost.macs for key, cost in self.costs.by_signature.items() if cost.macs != 0}
        return {call.index: some[id(call.signature)] for call in self.trace.calls if id(call.signature) in some}
