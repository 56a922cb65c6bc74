"""Symbolic sizes of torch (``SymInt`` over a ``ShapeEnv``) as sizes of fxcount, under the names the user gave.

``torch.export`` calls its symbols ``s77``; the name of the ``Dim`` is kept only beside, for the size it was given for
(``"8*h"`` for ``8*s39``), and not in a ``.pt2`` file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

import torch

from fxcount.dataclass import dataclass
from fxcount.errors import SizeError
from fxcount.symbolic import Bounds, Expr, Size, evaluate, free_symbols, from_sympy, parse, substitute, symbol
from fxcount.trace.inputs.specs import InputSpec
from fxcount.trace.torch_guards import Guard, guards_of, renamed

__all__ = ["TorchSizes", "source_name"]


@dataclass(slots=True)
class TorchSizes:
    """``names``: torch's symbol -> ours; ``hints``: our symbol -> the size in the example it was made with; ``guards``: what
    torch has assumed of its symbols, as sympy's relations."""

    names: dict[str, str] = field(default_factory=dict)
    hints: dict[str, int] = field(default_factory=dict)
    guards: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, fakes: Iterable[Any]) -> TorchSizes:
        """Read names and hints from the shape environment(s) of these tensors and symbolic integers."""
        found = cls()
        environments: dict[int, Any] = {}
        for node in _nodes(fakes):
            environments[id(node.shape_env)] = node.shape_env
            found._read_environment(node.shape_env)
            for s in node.expr.free_symbols:
                value = _values(node.shape_env).get(s)
                if value is not None:
                    found.hints.setdefault(found.names.get(str(s), str(s)), int(value))
        found.guards = [g.expr for env in environments.values() for g in getattr(env, "guards", ())]
        return found

    def assumed(self) -> list[Guard]:
        """The guards in our names, those alone that are about sizes of inputs."""
        found: list[Any] = []
        for guard in self.guards:
            names = {s: self.names.get(str(s), str(s)) for s in guard.free_symbols}
            if all([n in self.hints for n in names.values()]):
                found.append(renamed(guard, names))
        return guards_of(found)

    def _read_environment(self, env: Any) -> None:
        if env is None:
            return
        taken = set(self.names.values())
        labels = getattr(env, "source_name_to_debug_name", None) or {}
        for symbol_, sources in dict(env.var_to_sources).items():
            for source in sources:
                label = labels.get(source_name(source))
                pair = _match(env.replace(symbol_), label) if label else None
                if pair is not None and pair[0] not in self.names and pair[1] not in taken:
                    self.names[pair[0]] = pair[1]
                    taken.add(pair[1])

    def size(self, size: Any) -> Size:
        """A size of torch's as ours."""
        if isinstance(size, torch.SymInt):
            found = from_sympy(size.node.expr)
            return substitute(found, {s: symbol(n) for s, n in self.names.items()})
        return int(size)

    def spec(self, fake: torch.Tensor) -> InputSpec:
        """An input of this tensor's shape, dtype, device and layout."""
        shape = tuple([self.size(s) for s in fake.shape])
        strides = None
        if fake.layout is torch.strided and not fake.is_contiguous():
            strides = tuple([self.size(s) for s in fake.stride()])
        return InputSpec(shape, fake.dtype, fake.device, False, strides)

    def bounds(self, ranges: Mapping[Any, Any]) -> Bounds:
        """The ranges of an exported program's symbols, by our names; those of other expressions are left to the trace."""
        found: dict[str, tuple[int | None, int | None]] = {}
        for key, allowed in ranges.items():
            if getattr(key, "is_Symbol", False):
                upper = allowed.upper
                name = self.names.get(str(key), str(key))
                found[name] = (max(1, int(allowed.lower)), int(upper) if getattr(upper, "is_Integer", False) else None)
        return found


def _nodes(fakes: Iterable[Any]) -> Iterable[Any]:
    for fake in fakes:
        sizes = fake.shape if isinstance(fake, torch.Tensor) else (fake,)
        for size in sizes:
            if isinstance(size, torch.SymInt):
                yield size.node


def _values(env: Any) -> Mapping[Any, Any]:
    """The example's value of each symbol (the attribute has had two names)."""
    values = getattr(env, "backed_var_to_val", None)
    return getattr(env, "var_to_val", {}) if values is None else values  # asking for the old name warns


def source_name(source: Any) -> str:
    """What dynamo calls the place a value came from, e.g. ``L['x'].size()[0]`` (a method in older versions)."""
    name = source.name
    return str(name() if callable(name) else name)


def _match(expr: Any, label: str) -> tuple[str, str] | None:
    """``(torch's symbol, the user's name)`` if the size and its label are the same linear formula of one symbol.

    >>> import sympy
    >>> _match(8 * sympy.Symbol("s39", integer=True), "8*h")
    ('s39', 'h')
    """
    try:
        ours, users = from_sympy(expr), parse(label)
    except SizeError:
        return None
    if not isinstance(ours, Expr) or not isinstance(users, Expr):
        return None
    (mine, *more), (theirs, *others) = sorted(free_symbols(ours)), sorted(free_symbols(users))
    if more or others:
        return None
    same = all([evaluate(ours, {mine: n}) == evaluate(users, {theirs: n}) for n in (1, 2, 7)])
    return (mine, theirs) if same and theirs.isidentifier() else None
