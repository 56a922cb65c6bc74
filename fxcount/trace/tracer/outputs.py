"""What a model returned, with values for the stand-ins, in whatever container it came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from types import SimpleNamespace
from typing import Any

import torch

from fxcount.dataclass import dataclass
from fxcount.ops.core.fact import TensorFact
from fxcount.ops.core.tree import Node, leaves, mapped
from fxcount.symbolic import SymRatio, SymSize
from fxcount.symbolic.symint import to_size
from fxcount.trace.tape import Value
from fxcount.trace.tracer.arrays import tensor_in
from fxcount.trace.tracer.jagged import Jagged
from fxcount.trace.tracer.standin import StandIn

__all__ = ["Opaque", "collect", "named_parts", "output_facts", "stand_ins_in"]


@dataclass(frozen=True, slots=True)
class Opaque(Node):
    """An object of a class of its own (a cache, a distribution) with the values found in its attributes, in order; of a
    dataclass or a namespace what is in each field that has some, and the ``names`` of these fields."""

    class_name: str
    values: tuple[Any, ...]
    names: tuple[str, ...] = ()

    def parts(self) -> tuple[Any, ...]:
        return self.values

    def of_parts(self, parts: Iterator[Any]) -> Opaque:
        return Opaque(self.class_name, tuple(parts), self.names)


def collect(result: Any, state: Callable[[torch.Tensor], StandIn]) -> Any:
    """Nested tuples, lists, dicts and :class:`Opaque` with values in the place of stand-ins; ``state`` gives the
    stand-in of a parameter, buffer or constant that the model returns as it is."""

    def leaf(part: Any) -> Any:
        part = tensor_in(part)
        part = part._values if type(part) is Jagged else part
        if isinstance(part, StandIn):
            return part._value
        if isinstance(part, torch.Tensor):
            return state(part)._value
        if isinstance(part, SymSize):
            return part.expr
        if isinstance(part, SymRatio) or part is None or isinstance(part, (int, float, str)):
            return part
        if (is_dataclass(part) and not isinstance(part, type)) or isinstance(part, SimpleNamespace):
            return _fields(part)
        found = tuple(s._value for s in stand_ins_in(part))
        return Opaque(type(part).__name__, found) if found else part

    def _fields(part: Any) -> Any:
        names = [f.name for f in fields(part)] if is_dataclass(part) else list(vars(part))
        inside = {n: mapped(leaf, getattr(part, n)) for n in names if hasattr(part, n)}
        held = {n: tree for n, tree in inside.items() if any([type(x) is Value for x in leaves(tree)])}
        return Opaque(type(part).__name__, tuple(held.values()), tuple(held)) if held else part

    return mapped(leaf, result)


def named_parts(tree: Any) -> dict[str, Any]:
    """What is in an output, by name: keys of a dict, fields of a dataclass, positions of anything else; nothing if it is no
    container.

    Keys that read alike keep apart:

    >>> named_parts({"a": 1, 7: 2, "7": 3}), named_parts((5, None))
    ({'a': 1, '7': 2, "str('7')": 3}, {'0': 5, '1': None})
    """
    if isinstance(tree, Opaque):
        tree = dict(zip(tree.names, tree.values, strict=True)) if tree.names else tree.values
    if isinstance(tree, (tuple, list)):
        return {str(i): part for i, part in enumerate(tree)}
    found: dict[str, Any] = {}
    for key, part in tree.items() if isinstance(tree, dict) else ():
        name = str(key)
        found[f"{type(key).__name__}({key!r})" if name in found else name] = part
    return found


def stand_ins_in(thing: Any, depth: int = 8, seen: set[int] | None = None) -> Iterator[StandIn]:
    """Stand-ins reachable through containers and attributes, each once."""
    seen = set() if seen is None else seen
    thing = tensor_in(thing)
    thing = thing._values if type(thing) is Jagged else thing
    if isinstance(thing, StandIn):
        if id(thing) not in seen:
            seen.add(id(thing))
            yield thing
        return
    if depth == 0 or id(thing) in seen or isinstance(thing, (type, torch.nn.Module, torch.Tensor, str, int, float)):
        return
    if isinstance(thing, dict):
        children: Any = thing.values()
    elif isinstance(thing, (tuple, list, set, frozenset)):
        children = thing
    elif hasattr(thing, "__dict__"):
        children = vars(thing).values()
    elif is_dataclass(thing):  # with slots
        children = [getattr(thing, f.name, None) for f in fields(thing)]
    else:
        return
    seen.add(id(thing))
    for child in list(children):
        yield from stand_ins_in(child, depth - 1, seen)


def output_facts(result: Any) -> Iterator[TensorFact]:
    """Facts of all tensors in a module's result, whatever container it comes in; a parameter or buffer is one as it is."""
    seen: set[int] = set()
    for part in leaves(result):
        if type(part) is StandIn:  # nearly always
            if id(part) not in seen:
                seen.add(id(part))
                yield part._value.fact
            continue
        part = part._values if type(part) is Jagged else part
        if not isinstance(part, torch.Tensor) or isinstance(part, StandIn):
            for found in stand_ins_in(part, seen=seen):
                yield found._value.fact
        elif id(part) not in seen:
            seen.add(id(part))
            yield TensorFact(tuple([to_size(n) for n in part.shape]), part.dtype, part.device)
