"""What a model returned, with values for the stand-ins, in whatever container it came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass
from typing import Any

import torch

from fxcount.ops.core.fact import TensorFact
from fxcount.symbolic import SymRatio, SymSize
from fxcount.trace.tape import Value
from fxcount.trace.tracer.standin import StandIn

__all__ = ["Opaque", "collect", "output_facts", "stand_ins_in"]


@dataclass(frozen=True, slots=True)
class Opaque:
    """An object of a class of its own (a cache, a distribution) with the values found in its attributes, in order."""

    class_name: str
    values: tuple[Value, ...]


def collect(result: Any, state: Callable[[torch.Tensor], StandIn]) -> Any:
    """Nested tuples, lists, dicts and :class:`Opaque` with values in the place of stand-ins; ``state`` gives the
    stand-in of a parameter, buffer or constant that the model returns as it is."""
    if isinstance(result, StandIn):
        return result._value
    if isinstance(result, torch.Tensor):
        return state(result)._value
    if isinstance(result, dict):
        return {k: collect(v, state) for k, v in result.items()}
    if isinstance(result, (tuple, list)):
        parts = [collect(r, state) for r in result]
        return parts if isinstance(result, list) else tuple(parts)
    if isinstance(result, SymSize):
        return result.expr
    if isinstance(result, SymRatio) or result is None or isinstance(result, (int, float, str)):
        return result
    found = tuple(s._value for s in stand_ins_in(result))
    return Opaque(type(result).__name__, found) if found else result


def stand_ins_in(thing: Any, depth: int = 8, seen: set[int] | None = None) -> Iterator[StandIn]:
    """Stand-ins reachable through containers and attributes, each once."""
    seen = set() if seen is None else seen
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
    elif is_dataclass(thing) or hasattr(thing, "__dict__"):
        children = vars(thing).values()
    else:
        return
    seen.add(id(thing))
    for child in list(children):
        yield from stand_ins_in(child, depth - 1, seen)


def output_facts(result: Any) -> Iterator[TensorFact]:
    """Facts of all stand-ins in a module's result, whatever container it comes in."""
    if type(result) is StandIn:
        yield result._value.fact
    else:
        for found in stand_ins_in(result):
            yield found._value.fact
