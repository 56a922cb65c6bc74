"""Argument trees of a trace as plain JSON data, and back.

A number, a text, ``true``, ``null`` and a list stand for themselves. Everything else is an object of one key that starts
with ``$``: ``{"$tuple": [...]}``, ``{"$size": "2*B"}``, ``{"$value": 3}`` (row of the value table), ``{"$fact": 5}`` (row of
the fact table), ``{"$dtype": "float32"}``. What has no such form (a user's own object among the arguments) keeps the name
of its class only: ``{"$object": "mask.Config"}``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import torch

from fxcount.dataclass import dataclass
from fxcount.ops.core.fact import Alias, CopyOrView, Holding, TensorFact
from fxcount.ops.core.modulefact import ModuleFact
from fxcount.report.views.saved.sizes import Read, Write, size_from, size_text
from fxcount.report.views.saved.text import as_text
from fxcount.symbolic import Expr
from fxcount.trace.tape import Value
from fxcount.trace.tracer.outputs import Opaque

__all__ = ["Decoder", "Encoder", "Foreign", "Plain", "Rows"]

T = TypeVar("T")

Plain = Any  # what json.loads returns: dicts, lists, texts, numbers, booleans, None
_NAMED = {torch.dtype: "$dtype", torch.layout: "$layout", torch.memory_format: "$memory_format"}
_WORDS = frozenset({int, bool, str, type(None)})  # JSON has them
_REPEATED = frozenset({Expr, torch.dtype, torch.device, type(Ellipsis)})  # what takes longer to write than to look up
_TYPES = {t.__name__: t for t in (bool, int, float, complex, str, list, tuple, dict)}


@dataclass(frozen=True, slots=True)
class Foreign:
    """An object of the model's own that the file names and does not hold."""

    class_name: str


class Rows(dict[T, int]):
    """The row of each entry of a table, in the order in which they are first asked for. It is its own table: iterate over it.

    >>> rows: Rows[str] = Rows()
    >>> rows["b"], rows["a"], rows["b"], list(rows)
    (0, 1, 0, ['b', 'a'])
    """

    __slots__ = ()

    def __missing__(self, entry: T) -> int:
        row = self[entry] = len(self)
        return row


class Encoder:
    """Trees to plain data; values and facts go to tables, in the order in which they are met. ``size`` writes sizes.

    ``values``: by identity, as an operand may be a second record of one value; ``facts``: equal ones share a row."""

    def __init__(self, size: Write = size_text) -> None:
        self.size = size
        self.values: Rows[Value] = Rows()
        self.facts: Rows[TensorFact] = Rows()
        self._texts: dict[Any, str] = {}

    def tree(self, a: Any) -> Plain:
        """Any argument, result or output."""
        kind = type(a)
        if a is None or kind is bool or kind is int or kind is str:
            return a
        if kind is Value:
            return {"$value": self.values[a]}
        if kind is TensorFact:
            return {"$fact": self.facts[a]}
        if kind is float:
            return a if math.isfinite(a) else {"$float": str(a)}
        if isinstance(a, Expr):
            return {"$size": self.size(a)}
        if kind is list:
            return [self.tree(x) for x in a]
        if isinstance(a, tuple):
            return {"$tuple": [self.tree(x) for x in a]}
        if isinstance(a, dict):
            return {"$dict": [[self.tree(k), self.tree(v)] for k, v in a.items()]}
        return self._rare(a)

    def text(self, a: Any) -> str:
        """The JSON text of :meth:`tree`: arguments of calls, which are values and tuples of them for the most part."""
        kind = type(a)
        if kind is Value:
            return f'{{"$value": {self.values[a]}}}'
        if kind is tuple:
            return f'{{"$tuple": [{self._listed(a)}]}}'
        if kind is list:
            return f"[{self._listed(a)}]"
        if kind in _WORDS:
            return as_text(a)
        if kind is dict:
            return f'{{"$dict": [{", ".join([f"[{self._listed(pair)}]" for pair in a.items()])}]}}'
        if kind is slice:
            return f'{{"$slice": [{self._listed((a.start, a.stop, a.step))}]}}'
        if kind not in _REPEATED:
            return as_text(self.tree(a))
        found = self._texts.get(a)
        if found is None:
            found = self._texts[a] = as_text(self.tree(a))
        return found

    def _listed(self, parts: Iterable[Any]) -> str:
        values, text = self.values, self.text
        return ", ".join([f'{{"$value": {values[x]}}}' if type(x) is Value else text(x) for x in parts])

    def _rare(self, a: Any) -> Plain:
        if isinstance(a, TensorFact):
            return {"$fact": self.facts[a]}
        if isinstance(a, Holding):
            return {"$holding": self.facts[a.fact]}
        if isinstance(a, CopyOrView):
            return {"$copy_or_view": [self.facts[a.fact], a.of, self.size(a.copied)]}
        if isinstance(a, Alias):
            return {"$alias": [self.facts[a.fact], a.of]}
        if isinstance(a, slice):
            return {"$slice": [self.tree(a.start), self.tree(a.stop), self.tree(a.step)]}
        if isinstance(a, complex):
            return {"$complex": [self.tree(a.real), self.tree(a.imag)]}
        if type(a) in _NAMED:
            return {_NAMED[type(a)]: str(a).removeprefix("torch.")}
        if isinstance(a, torch.device):
            return {"$device": str(a)}
        if a is Ellipsis:
            return {"$ellipsis": True}
        if isinstance(a, Opaque):
            return self._opaque(a)
        if isinstance(a, ModuleFact):
            return {"$module": [a.class_name, list(a.names), [self.tree(x) for x in a.values]]}
        if isinstance(a, torch.Tensor):
            return {"$tensor": [[int(n) for n in a.shape], str(a.dtype).removeprefix("torch.")]}
        if isinstance(a, Foreign):
            return {"$object": a.class_name}
        if isinstance(a, type) and a.__name__ in _TYPES:
            return {"$type": a.__name__}
        if isinstance(a, list):
            return [self.tree(x) for x in a]
        return {"$object": f"{type(a).__module__}.{type(a).__qualname__}"}

    def _opaque(self, a: Opaque) -> Plain:
        if a.names:
            return {"$fields": [a.class_name, list(a.names), [self.tree(v) for v in a.values]]}
        return {"$opaque": [a.class_name, [self.values[v] for v in a.values]]}


class Decoder:
    """Plain data to trees, given the tables; ``size`` reads sizes."""

    def __init__(self, facts: list[TensorFact], values: list[Value], size: Read = size_from) -> None:
        self.size = size
        self.facts = facts
        self.values = values
        self._readers: Mapping[str, Callable[[Any], Any]] = {
            "$value": lambda row: values[row],
            "$fact": lambda row: facts[row],
            "$holding": lambda row: Holding(facts[row]),
            "$alias": lambda pair: Alias(facts[pair[0]], pair[1]),
            "$copy_or_view": lambda parts: CopyOrView(facts[parts[0]], parts[1], size(parts[2])),
            "$size": size,
            "$tuple": lambda parts: tuple(map(self.tree, parts)),
            "$dict": lambda pairs: {self.tree(k): self.tree(v) for k, v in pairs},
            "$slice": lambda parts: slice(*map(self.tree, parts)),
            "$float": float,
            "$complex": lambda parts: complex(*map(self.tree, parts)),
            "$dtype": functools.partial(getattr, torch),
            "$layout": functools.partial(getattr, torch),
            "$memory_format": functools.partial(getattr, torch),
            "$device": torch.device,
            "$ellipsis": lambda _: Ellipsis,
            "$opaque": lambda parts: Opaque(parts[0], tuple(values[row] for row in parts[1])),
            "$fields": lambda parts: Opaque(parts[0], tuple(map(self.tree, parts[2])), tuple(parts[1])),
            "$module": lambda parts: ModuleFact(parts[0], tuple(parts[1]), tuple(map(self.tree, parts[2]))),
            "$tensor": lambda parts: torch.empty(parts[0], dtype=getattr(torch, parts[1]), device="meta"),
            "$object": Foreign,
            "$type": _TYPES.__getitem__,
        }

    def tree(self, plain: Plain) -> Any:
        """The inverse of :meth:`Encoder.tree`."""
        if isinstance(plain, list):
            return [self.tree(x) for x in plain]
        if isinstance(plain, dict):
            ((tag, content),) = plain.items()
            return self._readers[tag](content)
        return plain
