"""What the parts around the tracer ask of it: op rules beside the registry, autocast, tensor literals, patches of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch

from fxcount.ops import Op, Registry
from fxcount.symbolic import Scope
from fxcount.trace.tape import Signature
from fxcount.trace.tracer.answers import Answers
from fxcount.trace.tracer.ledger import Ledger
from fxcount.trace.tracer.standin import StandIn

__all__ = ["Recorder"]


class Recorder(Protocol):
    """A tracer, seen from the files it is made of."""

    scope: Scope
    registry: Registry
    ledger: Ledger
    slow_ops: list[str]
    cast_weights: dict[tuple[int, torch.dtype], StandIn]
    answers: Answers

    def state(self, tensor: torch.Tensor) -> StandIn:
        """The stand-in of a real tensor."""

    def where(self) -> str:
        """The line and module that run now."""

    def record(self, entry: Op, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
        """Record one call of ``entry`` and return its result."""

    def run(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Record ``func(*args, **kwargs)`` as if the model had called it."""

    def run_through(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, Any]:
        """Run a Python function of torch, made of ops that are recorded; whether that was possible, and its result."""

    def resolve(self, func: Callable[..., Any], entry: Op) -> None:
        """Remember which op a callable is."""

    def signature(self, entry: Op, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Signature:
        """A new signature, entered in the ledger."""
