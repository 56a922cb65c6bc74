"""Module calls as a convention's rules see them: class, operands, parameters and the ops inside.

Tools with forward hooks read a module's attributes. Here they are what the trace knows: kernel sizes, groups and windows
are arguments of the op inside, widths are shapes of the parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from torch import nn

from fxcount.dataclass import dataclass
from fxcount.ops.core.fact import TensorFact
from fxcount.report.views.conventions.sites import Counted, Site
from fxcount.symbolic import Size
from fxcount.trace.tape import Declared, ModuleCall, Trace

__all__ = ["ModuleRule", "ModuleSite", "batch_size", "by_ancestor", "kind_of"]


@dataclass(frozen=True, slots=True)
class ModuleSite:
    """One call of a module, ``call``, and all that look like it but for path, number and place. ``parameters``: those it owns
    itself, by their last name; ``leaf``: it holds no module; ``last``: the module is not called again."""

    call: ModuleCall
    kind: type[nn.Module]
    parameters: Mapping[str, Declared]
    leaf: bool
    last: bool
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


def by_ancestor(kind: type, rules: Mapping[type, ModuleRule]) -> ModuleRule | None:
    """The rule of the nearest base class that has one."""
    return next((rules[base] for base in kind.__mro__ if base in rules), None)


def batch_size(trace: Trace) -> Size:
    """The first size of the model's first input."""
    shape = trace.inputs[0].fact.shape if trace.inputs else ()
    return shape[0] if shape else 1


def kind_of(call: ModuleCall) -> type[nn.Module]:
    """The class, or torch.nn's class of that name where the trace was read from a file."""
    found = call.kind or getattr(nn, call.class_name, None)
    return found if isinstance(found, type) else nn.Module
