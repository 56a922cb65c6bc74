"""Module calls as a convention's rules see them: class, operands, parameters and the ops inside.

Tools with forward hooks read a module's attributes. Here they are what the trace knows: kernel sizes, groups and windows
are arguments of the op inside, widths are shapes of the parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field

from torch import nn

from fxcount.dataclass import dataclass
from fxcount.ops.core.fact import TensorFact
from fxcount.report.views.conventions.convention import Item
from fxcount.report.views.conventions.records import Records
from fxcount.report.views.conventions.sites import Counted, Site, site_of
from fxcount.symbolic import Size
from fxcount.trace.tape import Call, Declared, ModuleCall, Trace

__all__ = ["ModuleRule", "ModuleSite", "batch_size", "by_ancestor", "from_modules", "module_sites"]


@dataclass(frozen=True, slots=True)
class ModuleSite:
    """One call of a module. ``parameters``: those it owns itself, by their last name; ``leaf``: it holds no module."""

    call: ModuleCall
    kind: type[nn.Module]
    parameters: Mapping[str, Declared]
    leaf: bool
    ops: tuple[Site, ...] = field(repr=False)

    @property
    def x(self) -> TensorFact | None:
        """The first tensor operand; ``None`` where the operand is none (a packed sequence)."""
        if self.call.inputs:
            return self.call.inputs[0]
        first = self.ops[0].args if self.ops else ()
        return first[0] if first and isinstance(first[0], TensorFact) else None

    @property
    def y(self) -> TensorFact | None:
        """The first tensor of the result."""
        return self.call.outputs[0] if self.call.outputs else None

    def op(self, prefix: str) -> Site | None:
        """The first op inside whose name starts with ``prefix``."""
        return next((site for site in self.ops if site.name.startswith(prefix)), None)


ModuleRule = Callable[[ModuleSite], Counted | None]


def module_sites(records: Records) -> list[ModuleSite]:
    """Every module call in the order of the calls."""
    if not records.module_sites:
        records.module_sites.extend(_module_sites(records))
    return records.module_sites


def _module_sites(records: Records) -> Iterator[ModuleSite]:
    trace = records.trace
    owned: dict[str, dict[str, Declared]] = {}
    for p in trace.declared:
        if p.kind == "parameter":
            for name in p.names:
                path, _, last = name.rpartition(".")
                owned.setdefault(path, {})[last] = p
    parents = {path.rpartition(".")[0] for path in trace.module_paths if path}
    inside: dict[int, list[Call]] = {}  # the ops each module call makes itself
    for op in trace.calls:
        inside.setdefault(op.module, []).append(op)
    for call in trace.modules:
        ops = tuple(site_of(c, records) for c in inside.get(call.index, ()))
        yield ModuleSite(call, _kind(call), owned.get(call.path, {}), call.path not in parents, ops)


def from_modules(records: Records, rule: ModuleRule) -> Iterator[Item]:
    """Items of a tool with forward hooks."""
    for site in module_sites(records):
        counted = rule(site)
        if counted is not None:
            where = range(site.call.start, site.call.stop)
            yield Item(site.call.class_name, where, counted.count, counted.rule, counted.numeric)


def by_ancestor(kind: type, rules: Mapping[type, ModuleRule]) -> ModuleRule | None:
    """The rule of the nearest base class that has one."""
    return next((rules[base] for base in kind.__mro__ if base in rules), None)


def batch_size(trace: Trace) -> Size:
    """The first size of the model's first input."""
    shape = trace.inputs[0].fact.shape if trace.inputs else ()
    return shape[0] if shape else 1


def _kind(call: ModuleCall) -> type[nn.Module]:
    """The class, or torch.nn's class of that name where the trace was read from a file."""
    found = call.kind or getattr(nn, call.class_name, None)
    return found if isinstance(found, type) else nn.Module
