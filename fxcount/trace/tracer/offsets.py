"""``x.storage_offset()`` of a stand-in: the views it came by are made again on the meta device, at the sample values.

Shapes and strides are all that rules ask for, so no fact has an offset. What a model learns from one depends on the sizes of
all tensors on the way, and on the bounds of its slices: these are pinned. Views that begin where their tensor does need none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from fxcount import torch_private
from fxcount.ops import REGISTRY, Op
from fxcount.ops.core.fact import CopyOrView, TensorFact
from fxcount.ops.core.tree import leaves, mapped
from fxcount.symbolic import Expr, Scope
from fxcount.trace.tape import Call, Quotient, Value

__all__ = ["address_of", "offset_of", "origin_of"]

_T = torch.Tensor
_KEEPING: frozenset[Op] = frozenset(
    found
    for f in (
        torch.reshape, _T.view, torch.flatten, torch.unflatten, torch.transpose, torch.permute, torch.t, torch.movedim,
        torch.unsqueeze, torch.squeeze, _T.expand, _T.expand_as, torch.broadcast_to, torch.detach, _T.contiguous, _T.to,
        _T.view_as, torch.ops.aten.alias,
    )
    for found in REGISTRY.variants(REGISTRY[f])
)  # fmt: skip
_REASON = "storage_offset()"
_VIEW = "whether it is a view or a copy"


Begin = Callable[[Value], int]
Chain = list[tuple[Call, Value, Value]]
"""Calls, the latest first, with the operand that each views, and the view."""


def offset_of(value: Value, calls: list[Call], scope: Scope, begin: Begin) -> int:
    """The offset of a tensor in its storage. ``begin``: that of a tensor no call made."""
    return _offset(*_origin(value, calls, scope), scope, begin)


def address_of(value: Value, calls: list[Call], scope: Scope, begin: Begin) -> int:
    """An address that no other memory of the trace has."""
    chain, origin = _origin(value, calls, scope)
    return ((origin.storage + 1) << 44) + _offset(chain, origin, scope, begin) * value.fact.itemsize


def origin_of(value: Value, calls: list[Call], scope: Scope) -> Value:
    """What a tensor is a view of, or itself."""
    return _origin(value, calls, scope)[1]


def _origin(value: Value, calls: list[Call], scope: Scope) -> tuple[Chain, Value]:
    """The views a tensor came by, and what they are views of."""
    chain: Chain = []
    while value.origin == "op":
        call = calls[value.call]
        source = next((o for o in call.operands if o.storage == value.storage), None)
        result = call.signature.result
        made = result[value.position or 0] if isinstance(result, (tuple, list)) else result
        if source is None and isinstance(made, CopyOrView) and scope.decide("==", made.copied, 0, _VIEW):
            source = call.operands[made.of]
        if source is None:
            break
        chain.append((call, source, value))
        value = source
    return chain, value


def _offset(chain: Chain, value: Value, scope: Scope, begin: Begin) -> int:
    first = begin(value) if value.origin != "op" else 0
    if all([call.op in _KEEPING or (call.op.inplace and source.fact == view.fact) for call, source, view in chain]):
        return first
    with torch_private.DisableTorchFunction():
        seen = _made(value.fact, scope)
        for call, source, view in reversed(chain):
            seen = _viewed(call, source, view, seen, scope)
    return first + int(seen.storage_offset())


def _viewed(call: Call, source: Value, view: Value, seen: torch.Tensor, scope: Scope) -> torch.Tensor:
    """The view of a meta tensor."""

    def of(a: Any) -> Any:
        if type(a) is Value:
            return seen if a is source else _made(a.fact, scope)
        if isinstance(a, Expr):
            return scope.pin(a, _REASON)
        return float(_pinned(a.num, scope)) / float(_pinned(a.den, scope)) if type(a) is Quotient else a

    result = call.func(*mapped(of, call.args), **mapped(of, call.kwargs))
    found: torch.Tensor = seen if result is None else list(leaves(result))[view.position or 0]
    return found


def _made(fact: TensorFact, scope: Scope) -> torch.Tensor:
    pinned = partial(_pinned, scope=scope)
    return torch.empty_strided(
        [pinned(n) for n in fact.shape], [pinned(n) for n in fact.stride()], dtype=fact.dtype, device="meta"
    )


def _pinned(size: Any, scope: Scope) -> int:
    return size if type(size) is int else scope.pin(size, _REASON)
