"""``torch.tensor(...)`` while tracing: real data where all of it is known, symbolic sizes or stand-ins where not."""

from __future__ import annotations

from typing import Any

import torch

from fxcount.ops import Op, TensorFact, Zero, op
from fxcount.ops.core.tree import leaves, mapped
from fxcount.symbolic import SymRatio, SymSize
from fxcount.trace.tape import Quotient
from fxcount.trace.tracer.standin import StandIn

__all__ = ["LITERAL", "literal", "make_literal"]


def literal(data: Any, dtype: torch.dtype, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """The graph target of a tensor literal: ``torch.tensor(data, dtype=dtype, device=device)``."""
    return torch.tensor(data, dtype=dtype, device=device)


def _literal_shape(
    scope: Any, data: Any, dtype: torch.dtype, shape: tuple[int, ...], device: torch.device
) -> TensorFact:
    return TensorFact(shape, dtype, device)


LITERAL: Op = op("fxcount_literal", shape=_literal_shape, cost=Zero("constant data", moves=True), extra=(literal,))


def make_literal(tracer: Any, data: Any, dtype: Any, device: Any) -> StandIn:
    """A stand-in for ``torch.tensor(data, dtype, device)``; its values stay known where they are."""
    if isinstance(data, torch.Tensor):
        options = {k: v for k, v in (("dtype", dtype), ("device", device)) if v is not None}
        copied: StandIn = tracer.run(torch.Tensor.clone, tracer.run(torch.Tensor.detach, data))
        return tracer.run(torch.Tensor.to, copied, **options) if options else copied
    if getattr(getattr(data, "dtype", None), "kind", "") == "O":  # an array of what was computed from sizes
        data = data.tolist()
    where = torch.device(device) if device is not None else torch.get_default_device()
    numbers = leaves(data)
    if any(isinstance(x, torch.Tensor) for x in numbers):
        return _stacked(tracer, data, dtype, where)
    symbolic = any(isinstance(x, (SymSize, SymRatio)) for x in numbers)
    hinted = mapped(_at_hint, data) if symbolic else data
    known = torch.tensor(hinted, dtype=dtype, device="cpu")
    if hasattr(data, "tolist"):
        data = data.tolist()
    if symbolic:
        data = mapped(_as_quotient if known.dtype.is_floating_point else _as_number, data)
    shape = tuple(known.shape)
    made: StandIn = tracer.record(LITERAL, literal, (data, known.dtype, shape, where), {})
    if symbolic:
        made._known = None
        made._storage.constant = False
    else:
        made._known = known
        made._storage.constant = True
    return made


def _stacked(tracer: Any, data: Any, dtype: Any, device: torch.device) -> StandIn:
    if isinstance(data, torch.Tensor):
        stand_in: StandIn = data if isinstance(data, StandIn) else tracer.state(data)
        return stand_in if dtype is None else tracer.run(torch.Tensor.to, stand_in, dtype=dtype)
    if not isinstance(data, (list, tuple)):
        return make_literal(tracer, data, dtype, device)
    parts = [_stacked(tracer, d, dtype, device) for d in data]
    stacked: StandIn = tracer.run(torch.stack, parts)
    return stacked


def _as_quotient(number: Any) -> Any:
    """A fraction of sizes as the tape holds it; its value only where rounding has its part in it."""
    if not isinstance(number, SymRatio) or not number.exact or number.curved:
        return _as_number(number)
    return Quotient.of(number.num, number.den, number.value)


def _as_number(number: Any) -> Any:
    return float(number) if isinstance(number, SymRatio) else number


def _at_hint(number: Any) -> Any:
    if isinstance(number, SymSize):
        return number.hint
    return number.value if isinstance(number, SymRatio) else number
