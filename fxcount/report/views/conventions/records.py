"""What the conventions read of one report: its op calls and module calls, those together that no rule tells apart."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from typing import Any

from fxcount.dataclass import dataclass
from fxcount.ops import Op
from fxcount.passes.cost import CallCost, Costs, cost_of_one
from fxcount.report.views.conventions.modules import ModuleSite, batch_size, kind_of
from fxcount.report.views.conventions.sites import Alike, Site, site_of
from fxcount.symbolic import Size, floordiv
from fxcount.trace.tape import Call, Declared, Signature, Trace

__all__ = ["Products", "Records"]


@dataclass(frozen=True)
class Products:
    """``calls``: the op calls with multiply-accumulates, in order, and the number of the kind of each in :attr:`Records.ops`.
    ``modules``: the module calls with any of them inside, inner ones before outer ones: how a rule sees each, and its calls."""

    calls: list[tuple[int, int]]
    modules: list[tuple[ModuleSite, range]]


@dataclass(frozen=True)
class Records:
    """The trace with its costs. What is made of them is made once, by the first convention that asks."""

    trace: Trace
    costs: Costs
    _exact: dict[tuple[int, str], dict[int, Size]] = field(default_factory=dict, init=False, repr=False)

    @property
    def ops(self) -> list[Alike[Site]]:
        """Op calls that look alike, in the order of the first of each."""
        return self._ops[0]

    @property
    def modules(self) -> list[Alike[ModuleSite]]:
        """Module calls that look alike, in the order of the first of each."""
        return self._modules[0]

    @cached_property
    def _ops(self) -> tuple[list[Alike[Site]], list[int]]:
        """And of each op call the number of its kind."""
        trace = self.trace
        vectors = {id(s) for s in trace.signatures if self.costs.by_signature[id(s)].macs != 0 and _has_vector(s)}
        functions: dict[int, tuple[str, ...]] = {}
        for f in trace.functions:
            functions.update({i: (*functions.get(i, ()), f.name) for i in range(f.start, f.stop)})
        numbers: dict[tuple[Any, ...], int] = {}
        found: list[Alike[Site]] = []
        kinds = []
        for call in trace.calls:
            look = id(call.signature)
            trained = tuple([v.requires_grad for v in call.operands[:2]]) if look in vectors else ()
            inside = functions.get(call.index, ()) if functions else ()
            key = (look, call.written, trained, inside)
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = len(found)
                site = site_of(call, self._cost(call).macs, inside, trained)
                found.append(Alike(site, [], call.signature.times))
            found[number].calls.append(call.index)
            kinds.append(number)
        return found, kinds

    @cached_property
    def _modules(self) -> tuple[list[Alike[ModuleSite]], list[int]]:
        """And of each module call the number of its kind."""
        trace = self.trace
        ops, op_kinds = self._ops
        inside: dict[int, list[int]] = {}  # kinds of the ops that each module call makes itself
        for call, kind in zip(trace.calls, op_kinds, strict=True):
            inside.setdefault(call.module, []).append(kind)
        owned = _owned(trace)
        looks = {path: tuple([(name, *_look(p)) for name, p in held.items()]) for path, held in owned.items()}
        parents = {path.rpartition(".")[0] for path in trace.module_paths if path}
        last = {m.module_id: m.index for m in trace.modules}
        numbers: dict[tuple[Any, ...], int] = {}
        found: list[Alike[ModuleSite]] = []
        kinds = []
        for m in trace.modules:
            own = inside.get(m.index, ())
            leaf, final = m.path not in parents, last[m.module_id] == m.index
            key = (
                m.class_name, m.kind, leaf, final, m.depth > 0, m.times, looks.get(m.path), *own, None,
                *map(id, m.inputs), None, *map(id, m.outputs),
            )  # fmt: skip
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = len(found)
                site = ModuleSite(m, kind_of(m), owned.get(m.path, {}), leaf, final, tuple([ops[i].site for i in own]))
                found.append(Alike(site, [], m.times))
            found[number].calls.append(m.index)
            kinds.append(number)
        return found, kinds

    @cached_property
    def products(self) -> Products:
        some = {key for key, cost in self.costs.by_signature.items() if cost.macs != 0}
        at = [call.index for call in self.trace.calls if id(call.signature) in some]
        ops, (sites, modules) = self._ops[1], self._modules
        around = [
            (sites[modules[m.index]].site, range(m.start, m.stop)) for m in reversed(self.trace.modules)
            if bisect_left(at, m.start) < bisect_left(at, m.stop)
        ]  # fmt: skip
        return Products([(i, ops[i]) for i in at], around)

    def exact(self, per_mac: int, per: str) -> dict[int, Size]:
        """Of the kinds of :attr:`products` the multiply-accumulates in a tool's unit, of the whole batch or of one sample."""
        found = self._exact.get((per_mac, per))
        if found is None:
            batch = batch_size(self.trace) if per == "sample" else 1
            kinds = {kind: self.ops[kind] for kind in {kind for _, kind in self.products.calls}}
            found = {kind: floordiv(self.cost(a).macs * per_mac, batch) * a.turns for kind, a in kinds.items()}
            self._exact[per_mac, per] = found
        return found

    def op(self, ops: Alike[Site]) -> Op:
        """The op itself: a rule of the user's where there is one, and the site has torch's."""
        return self.trace.calls[ops.calls[0]].op

    def cost(self, ops: Alike[Site]) -> CallCost:
        """The exact cost of each of the calls, each time."""
        return self._cost(self.trace.calls[ops.calls[0]])

    def _cost(self, call: Call) -> CallCost:
        return self.costs.of(call) if call.signature.times == 1 else cost_of_one(call.signature)


def _has_vector(s: Signature) -> bool:
    """Whether the first or the second argument is a tensor of one dimension."""
    return any([getattr(a, "ndim", 0) == 1 for a in (*s.args, *s.kwargs.values())[:2]])


def _look(p: Declared) -> tuple[Any, ...]:
    """What rules see of a parameter."""
    return p.shape, p.dtype, p.stored, p.requires_grad


def _owned(trace: Trace) -> Mapping[str, dict[str, Declared]]:
    """The parameters that each module has itself, by their last name."""
    owned: dict[str, dict[str, Declared]] = {}
    for p in trace.declared:
        if p.kind == "parameter":
            for name in p.names:
                path, _, last = name.rpartition(".")
                owned.setdefault(path, {})[last] = p
    return owned
