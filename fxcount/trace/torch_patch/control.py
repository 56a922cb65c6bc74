"""``torch.cond`` under a trace: the branch that runs is recorded; torch itself would compile both first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from fxcount.errors import UnsupportedError

if TYPE_CHECKING:
    from fxcount.trace.tracer.tracer import Tracer

__all__ = ["branching", "looping"]


def branching(tracer: Tracer) -> Callable[..., Any]:
    """What stands in for ``torch.cond``: the predicate decides as an ``if`` on it would, or says that data decide."""

    def cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Any = ()) -> Any:
        taken = bool(tracer.answers.scalar(tracer.state(pred), "a bool")) if isinstance(pred, torch.Tensor) else bool(pred)
        return (true_fn if taken else false_fn)(*operands)

    return cond


def looping(tracer: Tracer) -> Callable[..., Any]:
    """What stands in for ``torch.while_loop``, whose number of steps is data."""

    def while_loop(*_: Any, **__: Any) -> Any:
        raise UnsupportedError(
            "the model uses torch.while_loop, whose number of steps depends on data", where=tracer.where(),
            hint="write the loop in Python over a number of steps that is known",
        )  # fmt: skip

    return while_loop
