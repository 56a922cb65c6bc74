"""``torch.cond`` under a trace: the branch that runs is recorded; torch itself would compile both first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import torch

from fxcount import torch_private
from fxcount.errors import UnsupportedError

if TYPE_CHECKING:
    from fxcount.trace.tracer.tracer import Tracer

__all__ = ["branch", "loop"]


def branch(
    tracer: Tracer, pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Any = ()
) -> Any:
    """What stands in for ``torch.cond``: the predicate decides as an ``if`` on it would, or says that data decide."""
    if isinstance(pred, torch.Tensor):
        with torch_private.DisableTorchFunction():
            asked = tracer.state(pred)
        taken = bool(tracer.answers.scalar(asked, "a bool"))
    else:
        taken = bool(pred)
    return (true_fn if taken else false_fn)(*operands)


def loop(tracer: Tracer) -> NoReturn:
    """What stands in for ``torch.while_loop``, whose number of steps is data."""
    raise UnsupportedError(
        "the model uses torch.while_loop, whose number of steps depends on data", where=tracer.where(),
        hint="write the loop in Python over a number of steps that is known",
    )  # fmt: skip
