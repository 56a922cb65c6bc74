"""Cost: work and traffic of every call, and their totals, as formulas.

A cost rule runs once for each signature; calls that look alike share its result, so a model of 126 equal layers costs
what one layer costs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fxcount.errors import UncountedError
from fxcount.ops.core.common import facts_in, facts_of_result
from fxcount.ops.core.fact import Alias, CopyOrView, TensorFact, Work
from fxcount.ops.core.registry import Unknown, Zero
from fxcount.symbolic import Size, sum_
from fxcount.trace.tape import Call, Signature, Trace

__all__ = ["CallCost", "Costs", "cost", "signature_cost"]


@dataclass(frozen=True, slots=True)
class CallCost:
    """Work of one call, with its memory traffic in bytes spelled out."""

    macs: Size = 0
    flops: Size = 0
    transcendentals: Size = 0
    read_bytes: Size = 0
    write_bytes: Size = 0

    def scaled(self, times: int) -> CallCost:
        """The cost of ``times`` such calls."""
        if times == 1:
            return self
        return CallCost(
            self.macs * times, self.flops * times, self.transcendentals * times, self.read_bytes * times,
            self.write_bytes * times,
        )  # fmt: skip

    @staticmethod
    def total(parts: Iterable[CallCost]) -> CallCost:
        """The sum over several calls."""
        found = list(parts)
        return CallCost(
            sum_([p.macs for p in found]), sum_([p.flops for p in found]), sum_([p.transcendentals for p in found]),
            sum_([p.read_bytes for p in found]), sum_([p.write_bytes for p in found]),
        )  # fmt: skip


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
        return CallCost.total(self.by_signature[key].scaled(n) for key, n in counts.items())


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
            by_signature[id(s)] = _traffic(s, Work())
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
    """Cost of one call of this signature: its rule, and the general rule for bytes where it states none.

    Raises :class:`~fxcount.errors.UncountedError` if the op has no cost rule, or none for these arguments.
    """
    op = signature.op
    if isinstance(op.cost, Zero):
        view = isinstance(signature.result, Alias) and not isinstance(signature.result, CopyOrView)
        if not op.cost.moves or (view and not op.inplace):
            return CallCost()
        work = Work()
    elif isinstance(op.cost, Unknown):
        raise UncountedError(f"{op.name} has no cost rule", hint=op.cost.hint)
    else:
        facts = facts_of_result(signature.result)
        work = op.cost(facts, *signature.args, **signature.kwargs)
    return _traffic(signature, work)


def _traffic(signature: Signature, work: Work) -> CallCost:
    """The work with its bytes: each operand and each result once, unless the rule says otherwise."""
    result = signature.result
    if isinstance(result, CopyOrView) and not signature.op.inplace:
        copied = _traffic(Signature(signature.op, signature.args, signature.kwargs, result.fact), work)
        times = result.copied
        return dataclasses.replace(copied, read_bytes=times * copied.read_bytes, write_bytes=times * copied.write_bytes)
    results = list(_results(result))
    read, write = work.read_bytes, work.write_bytes
    if read is None:
        read = sum_([f.nbytes for f in facts_in((signature.args, signature.kwargs))])
    if write is None:
        write = sum_([f.nbytes for f, alias in results if not alias or signature.op.inplace])
    return CallCost(work.macs, work.flops, work.transcendentals, read, write)


def _results(result: object) -> Iterator[tuple[TensorFact, bool]]:
    if isinstance(result, Alias):
        yield result.fact, True
    elif isinstance(result, TensorFact):
        yield result, False
    elif isinstance(result, (tuple, list)):
        for r in result:
            yield from _results(r)
