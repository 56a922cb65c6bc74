"""Cost: work and traffic of every call, and their totals, as formulas.

A cost rule runs once for each signature; calls that look alike share its result, so a model of 126 equal layers costs
what one layer costs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from operator import attrgetter

from fxcount.dataclass import dataclass
from fxcount.errors import UncountedError
from fxcount.ops.core.callcost import CallCost, call_cost, least_cost, uncounted_cost
from fxcount.ops.core.remembered import cost_told
from fxcount.trace.tape import Call, Signature, Trace

__all__ = ["CallCost", "Costs", "cost", "cost_of_one", "signature_cost"]

_signature = attrgetter("signature")


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
        counts = Counter(map(id, map(_signature, calls)))
        return CallCost.weighted([(self.by_signature[key], n) for key, n in counts.items()])

    def of_modules(self, trace: Trace) -> Iterator[CallCost]:
        """Total over the calls inside each module call; equal modules are added up once."""
        numbers = {id(s): n for n, s in enumerate(trace.signatures)}
        signatures = [numbers[id(call.signature)] for call in trace.calls]
        costs = [self.by_signature[id(s)] for s in trace.signatures]
        known: dict[frozenset[tuple[int, int]], CallCost] = {}
        for m in trace.modules:
            counts = Counter(signatures[m.start : m.stop])
            key = frozenset(counts.items())
            found = known.get(key)
            if found is None:
                found = known[key] = CallCost.weighted([(costs[number], n) for number, n in counts.items()])
            yield found


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
    s = signature
    found = call_cost(s.op, s.args, s.kwargs, s.result) if s.told is None else cost_told(s.op, s.told)
    return found if signature.times == 1 else found.scaled(signature.times)


def cost_of_one(signature: Signature) -> CallCost:
    """Cost of one call of this signature in one step alone; bytes alone of an op that has no cost rule."""
    return least_cost(signature.op, signature.args, signature.kwargs, signature.result)
