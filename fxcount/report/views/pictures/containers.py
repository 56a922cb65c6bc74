"""What is directly inside each module call: its submodules and own ops in order, and the data that flow between them.

>>> import torch, fxcount
>>> report = fxcount.analyze(torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU()), "B,3")
>>> outline = Outline.of(report.trace)
>>> [m.class_name for m in outline.modules], outline.containers[0]
(['Sequential', 'Linear', 'ReLU'], Container(children=(Child(module=1, call=-1), Child(module=2, call=-1)), edges=((0, 1),)))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fxcount.dataclass import dataclass
from fxcount.trace.tape import Call, ModuleCall, Trace

__all__ = ["Child", "Container", "Outline"]


class Child(NamedTuple):
    """A module call or an op call, by number; the other is -1."""

    module: int
    call: int


@dataclass(frozen=True, slots=True)
class Container:
    """``children`` in the order of execution, and ``edges`` between them by their places in it."""

    children: tuple[Child, ...]
    edges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """``modules``: all module calls under one root, which is made up where a trace has several or ops outside of any;
    ``home``: of each op call the number of its module there; ``containers``: one for each module. Ops outside of ``calls`` (a
    backward) are in no container."""

    modules: tuple[ModuleCall, ...]
    home: tuple[int, ...]
    containers: tuple[Container, ...]
    calls: range

    @classmethod
    def of(cls, trace: Trace, calls: range | None = None) -> Outline:
        shown = range(len(trace.calls)) if calls is None else calls
        roots = [m for m in trace.modules if m.parent < 0]
        single = len(roots) == 1 and roots[0].index == 0 and all([c.module >= 0 for c in trace.calls])
        shift = 0 if single else 1
        modules = [_shifted(m, shift) for m in trace.modules]
        if shift:
            root = ModuleCall(0, -1, "", trace.model_name, 1, -1, -1, 0)
            root.stop = len(trace.calls)
            root.outputs = tuple([v.fact for v in trace.values_out()])
            modules.insert(0, root)
        home = tuple([c.module + shift for c in trace.calls])
        return cls(tuple(modules), home, _containers(modules, home, trace.calls, shown), shown)

    def kinds(self, trace: Trace, held: Mapping[str, int], made: Sequence[int] = ()) -> list[int]:
        """A number for each module: those of one number are equal but for their names, at all sizes. ``held``: elements of
        parameters by path; ``made``: a number for what each call makes, if that is to be equal as well."""
        known: dict[tuple[object, ...], int] = {}
        kinds = [-1] * len(self.modules)

        def kind_of(child: Child) -> tuple[object, ...]:
            if child.module < 0:
                return "op", id(trace.calls[child.call].signature), made[child.call] if made else 0
            name = self.modules[child.module].path.rpartition(".")[2]
            return ("" if name.isdecimal() else name), kinds[child.module]

        for m, found in zip(reversed(self.modules), reversed(self.containers)):
            key = (m.class_name, held.get(m.path, 0), *map(kind_of, found.children))
            kinds[m.index] = known.setdefault(key, len(known))
        return kinds


def _shifted(m: ModuleCall, shift: int) -> ModuleCall:
    if not shift:
        return m
    found = ModuleCall(m.index + 1, m.module_id, m.path, m.class_name, m.number, m.parent + 1, m.depth, m.start, m.kind)
    found.stop, found.inputs, found.outputs = m.stop, m.inputs, m.outputs
    return found


def _containers(
    modules: Sequence[ModuleCall], home: Sequence[int], calls: Sequence[Call], shown: range
) -> tuple[Container, ...]:
    children: list[list[Child]] = [[] for _ in modules]
    of_module, of_call = [0] * len(modules), [0] * len(home)  # the place of each among its siblings

    def enter(m: ModuleCall) -> None:
        found = children[m.parent]
        of_module[m.index] = len(found)
        found.append(Child(m.index, -1))

    waiting = iter(modules[1:])
    following = next(waiting, None)
    for i in shown:
        while following is not None and following.start <= i:
            enter(following)
            following = next(waiting, None)
        found = children[home[i]]
        of_call[i] = len(found)
        found.append(Child(-1, i))
    while following is not None:
        enter(following)
        following = next(waiting, None)
    edges: list[set[tuple[int, int]]] = [set() for _ in modules]
    up = [m.parent for m in modules]
    for i in shown:
        for value in calls[i].operands:
            if value.call in shown:  # up to the innermost module around both; what is further in has a larger number
                m, n, a, b = home[value.call], home[i], of_call[value.call], of_call[i]
                while m != n:
                    if m > n:
                        m, a = up[m], of_module[m]
                    else:
                        n, b = up[n], of_module[n]
                if a < b:
                    edges[m].add((a, b))
    return tuple([Container(tuple(found), tuple(sorted(e))) for found, e in zip(children, edges)])
