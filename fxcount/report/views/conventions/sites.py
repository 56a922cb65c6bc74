"""Op calls as a convention's rules see them, and conventions that are a table from op names to rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from fxcount.dataclass import dataclass
from fxcount.ops import REGISTRY, Op
from fxcount.ops.core.callcost import call_cost
from fxcount.ops.core.common import facts_in, facts_of_result
from fxcount.ops.core.fact import SparseFact, TensorFact
from fxcount.passes.cost import Costs
from fxcount.report.views.conventions.convention import Evaluate, Item
from fxcount.report.views.conventions.records import Records
from fxcount.symbolic import Size
from fxcount.trace.tape import Call, Written

__all__ = ["Counted", "OpRule", "Site", "by_op", "from_ops", "site_of"]


@dataclass(frozen=True, slots=True)
class Site:
    """One op with its operands and result as :class:`~fxcount.ops.TensorFact`, and its exact multiply-accumulates: those of
    the whole where an operand is sparse, as tools go by shapes.

    ``op`` is torch's, also where a user's rule stands for it; ``name`` is its name, and empty for an op that is not torch's,
    so that one of the same name is never taken for it.
    ``called``: as a function, a tensor's method or an operator (``torch.add(x, y)``, ``x.add(y)``, ``x + y``), of which a
    tool that patches torch's functions sees only some.
    """

    op: Op
    name: str
    y: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    macs: Size
    called: Written = "function"

    @property
    def x(self) -> TensorFact:
        """The first operand."""
        return self.tensor(0, "input")

    def arg(self, position: int, name: str, default: Any = None) -> Any:
        """An argument however it was passed."""
        return self.args[position] if position < len(self.args) else self.kwargs.get(name, default)

    def tensor(self, position: int, name: str) -> TensorFact:
        """A tensor argument however it was passed."""
        found = self.arg(position, name)
        if not isinstance(found, TensorFact) and position == 0:  # operators may have their tensor second, or by another name
            found = facts_in((self.args, self.kwargs))[0]
        assert isinstance(found, TensorFact)
        return found

    @property
    def out(self) -> TensorFact:
        """The first result there is: a convolution's backward leaves out the gradients that nobody wants."""
        return facts_in((self.y,))[0]


@dataclass(frozen=True, slots=True)
class Counted:
    """A count with its rule in words; ``numeric`` as in :class:`~fxcount.report.views.conventions.Item`."""

    count: Size
    rule: str
    numeric: Callable[[Evaluate], int] | None = None


OpRule = Callable[[Site], Counted | None]


def site_of(call: Call, records: Records) -> Site:
    """The call as rules see it; calls that look alike are one."""
    key = (id(call.signature), call.written)
    found = records.sites.get(key)
    if found is None:
        found = records.sites[key] = _site(call, records.costs)
    return cast(Site, found)


def _site(call: Call, costs: Costs) -> Site:
    s = call.signature
    op = s.op.torchs
    macs = costs.of(call).macs
    if macs != 0 and any([isinstance(f, SparseFact) for f in facts_in((s.args, s.kwargs))]):
        macs = call_cost(op, _whole(s.args), _whole(s.kwargs), _whole(s.result)).macs
    return Site(op, op.name if op.schema else "", facts_of_result(s.result), s.args, s.kwargs, macs, call.written)


def _whole(a: Any) -> Any:
    """Arguments with dense tensors for sparse ones."""
    if isinstance(a, SparseFact):
        return a.dense
    if isinstance(a, (tuple, list)):
        return type(a)(map(_whole, a))
    return {k: _whole(v) for k, v in a.items()} if isinstance(a, dict) else a


def by_op(rules: Mapping[str, OpRule]) -> dict[Op, OpRule]:
    """A tool's table from names of torch's ops to rules, by the ops themselves. In-place variants there are not are left out.

    Raises:
        KeyError: torch has no op of that name.
    """
    found: dict[Op, OpRule] = {}
    for name, rule in rules.items():
        if not name.endswith("_") or name in REGISTRY.names:
            found[REGISTRY.named(name.replace(".", "_"))] = rule
    return found


def from_ops(records: Records, rules: Mapping[Op, OpRule]) -> Iterator[Item]:
    """Items of a tool that looks at ops one by one; calls that look alike are worked out once."""
    known: dict[tuple[int, Written], Counted | None] = {}
    chosen = {id(s): rules.get(s.op.torchs) for s in records.trace.signatures}
    for call in records.trace.calls:
        rule = chosen[id(call.signature)]
        if rule is None:
            continue
        key = (id(call.signature), call.written)
        if key not in known:
            known[key] = rule(site_of(call, records))
        counted = known[key]
        if counted is not None:
            times = call.signature.times
            numeric = counted.numeric if times == 1 else None
            number = counted.count if type(times) is int and times == 1 else counted.count * times
            yield Item(call.op.name, range(call.index, call.index + 1), number, counted.rule, numeric)
