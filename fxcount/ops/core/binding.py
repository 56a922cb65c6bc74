"""Which overload of an op a call means, and its arguments by name: as torch binds them, from torch's own schemas.

An op such as ``var`` or ``lstm`` has overloads in which one position means different things. Rules of such an op are bound:
they get the operand by position and everything else under the name it has in the schema, and never look at what type or
place an argument has. The overload is found once for each kind of call (the types of the arguments, and which go by keyword).

>>> x = TensorFact((2, 3), torch.float32)
>>> (operand,), named = Overloads(("var",)).bound((x, 1, True), {"keepdim": True})
>>> operand is x, named
(True, {'dim': 1, 'unbiased': True, 'keepdim': True})
>>> Overloads(("var",)).bound((x, True), {})[1]
{'unbiased': True}
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from fxcount import torch_private
from fxcount.dataclass import dataclass
from fxcount.errors import UnsupportedError
from fxcount.ops.core.arguments import Scalar
from fxcount.ops.core.fact import TensorFact
from fxcount.symbolic import Expr

__all__ = ["Bound", "Overloads"]

_Kind = str | tuple[str, frozenset[Any]]
_KINDS: dict[type, str] = {
    TensorFact: "Tensor", bool: "bool", int: "int", float: "float", complex: "complex", str: "str", type(None): "None",
    torch.dtype: "dtype", torch.device: "device", torch.layout: "layout", torch.memory_format: "memory_format",
}  # fmt: skip
_BASES = ((torch.Tensor, "Tensor"), (Expr, "int"), (bool, "bool"), (int, "int"), (float, "float"))

_TAKES = {
    "TensorType": {"Tensor"}, "IntType": {"int"}, "SymIntType": {"int"}, "FloatType": {"float", "int"}, "BoolType": {"bool"},
    "NumberType": {"float", "int", "bool", "complex"}, "StringType": {"str"}, "DeviceObjType": {"device", "str", "int"},
    "ScalarTypeType": {"dtype"}, "LayoutType": {"layout"}, "MemoryFormatType": {"memory_format"},
}  # fmt: skip
# What torch converts where nothing fits as it is: a tensor of one element to a number, a number to a tensor; None is an
# undefined tensor.
_CONVERTS = {
    "TensorType": {"Tensor", "float", "int", "bool", "complex", "None"}, "IntType": {"int", "bool", "Tensor"},
    "SymIntType": {"int", "bool", "Tensor"}, "FloatType": {"float", "int", "bool", "Tensor"},
    "BoolType": {"bool", "int", "Tensor"}, "NumberType": {"float", "int", "bool", "complex", "Tensor"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Overloads:
    """The overloads of an op of these ATen names, those in place among them.

    ``renamed``: pairs of a name in a schema and the name rules have for it (``vec`` is ``mat2``). ``also``: schemas of calls
    that only Python knows. ``operand``: whether rules get the first argument by position, whatever it is called.
    """

    names: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    also: tuple[str, ...] = ()
    operand: bool = True

    def bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments a rule is called with.

        Raises:
            UnsupportedError: torch has no overload for such a call.
        """
        named = dict(zip(self.names_of(args, kwargs), (*args, *kwargs.values()), strict=True))
        return ((named.pop(_OPERAND),), named) if self.operand else ((), named)

    def names_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, ...]:
        """The names rules have for them, in the order in which they are given."""
        return _plan(self, tuple([_kind(a) for a in args]), tuple([(k, _kind(v)) for k, v in kwargs.items()]))


_OPERAND = "(operand)"


@dataclass(frozen=True, slots=True)
class Bound:
    """A rule whose arguments, after the ``leading`` ones that are fxcount's own, are bound to ``overloads``."""

    rule: Callable[..., Any]
    overloads: Overloads
    leading: int = 1

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        operands, named = self.overloads.bound(args[self.leading :], kwargs)
        return self.rule(*args[: self.leading], *operands, **named)


def _kind(value: Scalar) -> _Kind:
    """What tells overloads apart."""
    found = _KINDS.get(type(value))
    if found is not None:
        return found
    if isinstance(value, (list, tuple)):
        return "list", frozenset([_kind(x) for x in value])
    found = next((kind for base, kind in _BASES if isinstance(value, base)), "")
    return found or ("Tensor" if isinstance(getattr(value, "fact", None), TensorFact) else "other")


@functools.lru_cache(1 << 12)
def _plan(overloads: Overloads, given: tuple[_Kind, ...], named: tuple[tuple[str, _Kind], ...]) -> tuple[str, ...]:
    """The names under which rules get the arguments, in the order in which they are given."""
    renamed = dict(overloads.renamed)
    schemas = list(_schemas(overloads.names, overloads.also))
    for accepted in (_TAKES, {**_TAKES, **_CONVERTS}):
        for schema in schemas:
            names = _names(schema.arguments, given, named, accepted)
            if names is not None:
                first = schema.arguments[0].name
                return tuple(_OPERAND if overloads.operand and n == first else renamed.get(n, n) for n in names)
    call = ", ".join([*map(_text, given), *(f"{name}={_text(kind)}" for name, kind in named)])
    forms = "; ".join(f"({', '.join(a.name for a in schema.arguments)})" for schema in schemas)
    raise UnsupportedError(
        f"{overloads.names[0]}: torch has no overload for ({call})", hint=f"it can be called with {forms or 'nothing here'}"
    )


def _names(
    arguments: Any, given: tuple[_Kind, ...], named: tuple[tuple[str, _Kind], ...], accepted: dict[str, set[str]]
) -> list[str] | None:
    """The schema's names of these arguments, ``None`` if it does not take them."""
    by_position = [a for a in arguments if not a.kwarg_only]
    if len(given) > len(by_position):
        return None
    bound = [(a, kind) for a, kind in zip(by_position, given, strict=False)]
    taken = {a.name for a, _ in bound}
    rest = {a.name: a for a in arguments if a.name not in taken}
    if any(name not in rest for name, _ in named):
        return None
    bound += [(rest.pop(name), kind) for name, kind in named]
    if not all(a.has_default_value() for a in rest.values()):
        return None
    return [a.name for a, _ in bound] if all(_fits(a.real_type, kind, a.N, accepted) for a, kind in bound) else None


def _fits(wanted: Any, kind: _Kind, n: int | None, accepted: dict[str, set[str]]) -> bool:
    """Whether an argument of that kind can go where the schema wants a type; ``n``: one number may stand for a list."""
    name = wanted.kind()
    if name == "OptionalType":
        return kind == "None" or _fits(wanted.getElementType(), kind, n, accepted)
    if name == "ListType":
        element = wanted.getElementType()
        if isinstance(kind, tuple):
            return all(_fits(element, k, None, accepted) for k in kind[1])
        return n is not None and _fits(element, kind, None, accepted)
    return name not in accepted or kind in accepted[name] or kind == "other"


@functools.cache
def _schemas(names: tuple[str, ...], also: tuple[str, ...]) -> tuple[Any, ...]:
    """Schemas of all overloads that make their results themselves; TorchScript's own (``prim``) are not called from Python."""
    found = [s for name in names for variant in (name, f"{name}_") for s in torch_private.schemas(variant)]
    own = [s for s in found if not s.overload_name.startswith("prim") and not any(a.is_out for a in s.arguments)]
    return (*own, *map(torch_private.parsed_schema, also))


def _text(kind: _Kind) -> str:
    return kind if isinstance(kind, str) else f"list of {' and '.join(sorted(map(_text, kind[1]))) or 'nothing'}"
