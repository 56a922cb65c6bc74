"""Who uses a parameter or buffer: which call, of which module, as which argument, on which line."""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch

from fxcount import torch_private
from fxcount.dataclass import dataclass
from fxcount.ops.core.registry import Op
from fxcount.trace.tape import Call, Source, Trace, Value, values_in

__all__ = ["Use", "argument_of", "arguments_of", "called_paths", "upwards", "uses_of"]


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a tensor by one op call: path of the module whose forward makes the call, name of the op and of the
    argument (torch's own, e.g. ``weight``), place in the code, number of the call in ``trace.calls``.

    A tensor the model returns is used by ``output``, with as many as there are calls for a number.
    """

    module: str
    op: str
    argument: str
    source: Source | str
    call: int

    def __str__(self) -> str:
        return f"{self.op}{f' in {self.module}' if self.module else ''}{f' at {self.source}' if self.source else ''}"


_WITHOUT_TENSORS = frozenset({int, float, bool, str, type(None), torch.dtype, torch.device})


def uses_of(trace: Trace, origins: frozenset[str] = frozenset({"parameter", "buffer"})) -> dict[str, list[Use]]:
    """The uses of each parameter and buffer, by its first name, in the order of the calls.

    >>> import torch
    >>> from fxcount.trace import trace_model
    >>> uses = uses_of(trace_model(torch.nn.Sequential(torch.nn.Linear(3, 5)), ("B,3",)))
    >>> [(u.module, u.op, u.argument) for u in uses["0.bias"]]
    [('0', 'linear', 'bias')]
    """
    found: dict[str, list[Use]] = {}
    modules = trace.modules
    labels: dict[int, list[str]] = {}  # calls of one signature have the same arguments
    for call in trace.calls:
        for value in call.operands:
            if value.call < 0 and value.origin in origins:
                break
        else:
            continue
        signature = call.signature
        names = labels.get(id(signature)) or labels.setdefault(id(signature), arguments_of(call))
        path = modules[call.module].path if call.module >= 0 else ""
        for value, name in zip(call.operands, names):
            if value.origin in origins:
                use = Use(path, signature.op.name, name, call.source or "", call.index)
                found.setdefault(value.name, []).append(use)
    for value in trace.values_out():
        if value.origin in origins:
            found.setdefault(value.name, []).append(Use("", "output", "", "", len(trace.calls)))
    return found


def arguments_of(call: Call) -> list[str]:
    """For each of ``call.operands`` the name of its argument: torch's, ``tensors[2]`` in a list, a position if it has none."""
    names = _argument_names(call.signature.op)
    found: list[str] = []
    for position, a in enumerate(call.args):
        name = names[position] if position < len(names) else str(position)
        if type(a) is Value:
            found.append(name)
        elif a.__class__ not in _WITHOUT_TENSORS:
            found += [label for label, _ in _inside(a, name)]
    for name, a in call.kwargs.items():
        found += [label for label, _ in _inside(a, name)]
    return found


def argument_of(call: Call, operand: int) -> str:
    """The name of the argument that ``call.operands[operand]`` is."""
    return arguments_of(call)[operand]


def _inside(a: Any, label: str) -> Iterator[tuple[str, Value]]:
    if type(a) is Value:
        yield label, a
    elif isinstance(a, (tuple, list)):
        for i, part in enumerate(a):
            yield from _inside(part, f"{label}[{i}]")
    else:
        for value in values_in(a):
            yield label, value


@functools.lru_cache(1 << 12)
def _argument_names(op: Op) -> tuple[str, ...]:
    """Names of an op's positional arguments: from torch's schema, else from the shape rule, which is called alike."""
    schemas = torch_private.schemas(op.schema.removeprefix("aten::")) if op.schema else []
    in_schemas = [tuple(a.name for a in s.arguments) for s in schemas]
    on_tensors = [names for names in in_schemas if names and names[0] not in ("a", "l", "list", "s")]  # not on Python numbers
    if on_tensors:
        return on_tensors[0]
    named = list(inspect.signature(op.shape).parameters.values())[1:]
    return tuple(p.name for p in named if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))


def upwards(path: str) -> list[str]:
    """The path and the paths of all modules around it, the model's own ("") last.

    >>> upwards("layers.0.attention")
    ['layers.0.attention', 'layers.0', 'layers', '']
    """
    found = [path]
    while path:
        path = path.rpartition(".")[0]
        found.append(path)
    return found


def called_paths(trace: Trace) -> Counter[str]:
    """How many times each module is called, by the path its calls carry."""
    return Counter(m.path for m in trace.modules)
