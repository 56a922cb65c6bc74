"""Parameters of a model that was not run: how many, of which dtype, frozen or shared; nothing on which are used."""

from __future__ import annotations

from dataclasses import replace

import torch

from fxcount.passes.parameters import Parameters
from fxcount.passes.parameters import parameters as of_trace
from fxcount.symbolic import Scope
from fxcount.trace.inputs.inventory import take_inventory
from fxcount.trace.tape import Events, Trace

__all__ = ["parameters"]


def parameters(model: torch.nn.Module) -> Parameters:
    """The parameters and buffers that a model holds, each unique one counted once, without a call of it: what only a trace
    tells (uses, gradients, which are dead) is left open, ``uses`` being 0 and ``dead`` false.

    >>> found = parameters(torch.nn.Linear(3, 5))
    >>> found.total, found.bytes, found.dead, [r.reason for r in found.rows()]
    (20, 80, 0, ['', ''])
    """
    held = take_inventory(model)
    trace = Trace(
        type(model).__name__, Scope({}), [], [], [], [], [], Events(), (), {p: type(m).__name__ for p, m in held.modules}, [],
        held.declared, aliases=held.aliases, training=model.training,
    )  # fmt: skip
    found = of_trace(trace)
    rows = tuple([replace(row, dead=False, cause="", reason="") for row in found.all_rows])
    whole = replace(found, dead=0, all_rows=rows)
    whole.__dict__["buffer_rows"] = ()  # rows say how a buffer is used
    return whole
