"""Cost: work and traffic of every call, and their totals, as formulas.

A cost rule runs once for each signature; calls that look alike share its result, so a model of 126 equal layers costs
what one layer costs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from fxcount.errors import UncountedError
from fxcount.ops import REGISTRY
from fxcount.ops.core.callcost import CallCost, call_cost, uncounted_cost
from fxcount.ops.core.fact import Alias, CopyOrView, TensorFact
from fxcount.symbolic import Expr
from fxcount.trace.tape import Call, Signature, Trace

__all__ = ["CallCost", "Costs", "cost", "signature_cost"]


@dataclass(frozen=True, slots=True)
class Costs:
    """Cost of every signature, the total, and what was not counted."""

    by_signature: dict[int, CallCost]  # id of the signature -> cost of one such call
    total: CallCost
    uncounted: tuple[Call, ...]

    def of(self, call: Call) -> CallCost:
        return self.by_signature[id(call.signature)]

    def sum(self, calls: Iterable[Call]) -> CallCost:
        """Total over some of the calls; equal calls are multiplied, not added one by one."""
        counts: dict[int, int] = {}
        for call in calls:
            key = id(call.signature)
            counts[key] = counts.get(key, 0) + 1
        return CallCost.weighted([(self.by_signature[key], n) for key, n in counts.items()])


def cost(trace: Trace, *, strict: bool = False) -> Costs:
    """Apply the cost rules to a trace.

    With ``strict``, raises :class:`~fxcount.errors.UncountedError` if some op has no cost rule; otherwise such calls are
    listed in ``uncounted`` and the totals are lower bounds.
    """
    by_signature: dict[int, CallCost] = {}
    unknown: set[int] = set()
    for s in trace.signatures:
        try:
            by_signature[id(s)] = signature_cost(s)
        except UncountedError:
            by_signature[id(s)] = uncounted_cost(s.op, s.args, s.kwargs, s.result).scaled(s.times)
            unknown.add(id(s))
    uncounted = tuple(c for c in trace.calls if id(c.signature) in unknown) if unknown else ()
    if uncounted and strict:
        first = uncounted[0]
        raise UncountedError(
            f"{len(uncounted)} calls have no cost rule: {', '.join(sorted({c.op.name for c in uncounted}))}",
            where=str(first.source or ""),
            hint="register one with fxcount.rule(...), or analyse with strict=False for a lower bound",
        )
    partial = Costs(by_signature, CallCost(), uncounted)
    return Costs(by_signature, partial.sum(trace.calls), uncounted)


def signature_cost(signature: Signature) -> CallCost:
    """Cost of one call of this signature, in all steps of the loop it is in: its rule, and the general rule for bytes where it
    states none.

    Raises :class:`~fxcount.errors.UncountedError` if the op has no cost rule, or none for these arguments.
    """
    question = _question(signature)
    if question is None:
        found = call_cost(signature.op, signature.args, signature.kwargs, signature.result)
    else:
        found = _answered(question)
    return found if signature.times == 1 else found.scaled(signature.times)


# -- models have layers in common: a rule of fxcount's own is asked once for the same operands ---------------------------
_MEMO = 1 << 12
_ASKED = frozenset(REGISTRY.ops)
_AS_THEY_ARE = frozenset({TensorFact, Expr, int, str, type(None), torch.dtype, torch.device})


class _Question:
    """All that the cost of a call depends on, in a form that can be compared; the signature only until it is answered."""

    __slots__ = ("about", "signature")

    def __init__(self, about: tuple[Any, ...], signature: Signature | None) -> None:
        self.about = about
        self.signature = signature

    def __hash__(self) -> int:
        return hash(self.about)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Question) and self.about == other.about


class _Unlike(Exception):
    """Something is in it that cannot be told from others for certain."""


def _question(signature: Signature) -> _Question | None:
    """``None`` for an op of the user's, whose rule may see more than its operands, and where these hold anything but facts and
    plain values."""
    if signature.op not in _ASKED:
        return None
    try:
        parts = (_frozen(signature.args), _frozen(signature.kwargs), _frozen(signature.result))
    except _Unlike:
        return None
    return _Question((signature.op, torch.get_default_dtype(), *parts), signature)


def _frozen(a: Any) -> Any:
    """``a`` as something hashable that equals only what is the same: ``1``, ``1.0`` and ``True`` are three."""
    kind = type(a)
    if kind in _AS_THEY_ARE:
        return a
    if kind is bool or kind is float:
        return kind, repr(a)
    if kind is tuple or kind is list:
        return kind, *[_frozen(part) for part in a]
    if kind is dict:
        return kind, *[(name, _frozen(part)) for name, part in a.items()]
    if kind is Alias:
        return kind, _frozen(a.fact), a.of
    if kind is CopyOrView and type(a.fact) is TensorFact:
        return kind, a.fact, a.of, a.copied
    raise _Unlike


@lru_cache(_MEMO)
def _answered(question: _Question) -> CallCost:
    signature = question.signature
    assert signature is not None
    question.signature = None
    return call_cost(signature.op, signature.args, signature.kwargs, signature.result)
