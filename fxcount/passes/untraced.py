"""Parameters of a model that was not run: how many, of which dtype, frozen or shared; nothing on which are used."""

from __future__ import annotations

import torch

from fxcount.passes.parameters import Parameters
from fxcount.passes.parameters import parameters as of_trace
from fxcount.symbolic import Scope
from fxcount.trace.inputs.inventory import take_inventory
from fxcount.trace.tape import Events, Trace

__all__ = ["UNTRACED", "holdings", "holds_something", "parameters"]

UNTRACED = "none"
"""The front end of what was not traced."""


def parameters(model: torch.nn.Module) -> Parameters:
    """The parameters and buffers that a model holds, each unique one counted once, without a call of it: what only a trace
    tells (uses, gradients, which are dead) is left open, ``uses`` being 0 and ``dead`` false.

    >>> found = parameters(torch.nn.Linear(3, 5))
    >>> found.total, found.bytes, found.dead, [r.reason for r in found.rows()]
    (20, 80, 0, ['', ''])
    """
    return of_trace(holdings(model, "nothing was traced"))


def holdings(model: torch.nn.Module, why: str) -> Trace:
    """A trace without a call, which says what the model holds and ``why`` it says no more.

    >>> holdings(torch.nn.Linear(3, 5), "no inputs").ended
    'no inputs'
    """
    held = take_inventory(model)
    return Trace(
        type(model).__name__, Scope({}), [], [], [], [], [], Events(), (), {p: type(m).__name__ for p, m in held.modules}, [],
        held.declared, frontend=UNTRACED, executable=False, aliases=held.aliases, training=model.training, ended=why,
    )  # fmt: skip


def holds_something(model: torch.nn.Module) -> bool:
    """Whether there is a parameter or buffer to tell of."""
    return any(True for tensors in (model.parameters(), model.buffers()) for _ in tensors)
