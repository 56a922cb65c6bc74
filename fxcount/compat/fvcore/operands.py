"""Operands and results of an op as a node of ``torch.jit`` has them, with those methods of its values that handles call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from fxcount import torch_private
from fxcount.dataclass import dataclass
from fxcount.ops.core.fact import Alias, TensorFact
from fxcount.ops.core.tree import leaves
from fxcount.symbolic import Size
from fxcount.trace.tape import Call, CustomFunction

__all__ = ["Operand", "kind_of", "operands_of", "operands_of_function"]


@dataclass(frozen=True, slots=True)
class _Type:
    fact: TensorFact | None

    def sizes(self) -> list[Size] | None:
        return list(self.fact.shape) if self.fact is not None else None

    def dim(self) -> int | None:
        return self.fact.ndim if self.fact is not None else None

    def dtype(self) -> torch.dtype | None:
        return self.fact.dtype if self.fact is not None else None

    def kind(self) -> str:
        return "TensorType" if self.fact is not None else "AnyType"


@dataclass(frozen=True, slots=True)
class _Node:
    """What made an operand: a list of others, or nothing to be seen."""

    parts: list[Operand]

    def inputs(self) -> list[Operand]:
        return self.parts

    def kind(self) -> str:
        return "prim::ListConstruct" if self.parts else "prim::Constant"


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor, a plain value, or a list of them."""

    value: Any

    def isCompleteTensor(self) -> bool:
        """Whether it is a tensor, whose sizes are known."""
        return isinstance(self.value, TensorFact)

    def type(self) -> _Type:
        """Its sizes and dtype."""
        return _Type(self.value if isinstance(self.value, TensorFact) else None)

    def node(self) -> _Node:
        """The node that made it: of a list the one with its items for inputs."""
        return _Node([Operand(v) for v in self.value] if isinstance(self.value, (list, tuple)) else [])

    def toIValue(self) -> Any:
        """The plain value; ``None`` for tensors."""
        return None if any([isinstance(v, TensorFact) for v in leaves(self.value)]) else self.value


def kind_of(call: Call) -> str:
    """The kind of the node ``torch.jit`` makes of a call; the op's own name if it has no schema.

    A convolution is ``aten::_convolution``, one with its padding in words ``aten::_convolution_mode``.
    """
    known = call.op.torchs
    if known.kind != "convolution":
        return known.schema or known.name
    return "aten::_convolution_mode" if isinstance(_named(call).get("padding"), str) else "aten::_convolution"


def operands_of(call: Call) -> tuple[list[Operand], list[Operand]]:
    """Inputs and outputs of a call, in the order of torch's schema, with its defaults."""
    values = _convolution(_named(call)) if call.op.torchs.kind == "convolution" else list(_named(call).values())
    return [Operand(v) for v in values], [Operand(r) for r in _results(call.signature.result)]


def operands_of_function(function: CustomFunction) -> tuple[list[Operand], list[Operand]]:
    """Those inputs and outputs of a call of a ``torch.autograd.Function`` that take part in its backward; tensors that go into
    and come out of a scripted function, which is the node's first input itself."""
    first = [Operand(None)] if function.is_scripted else []
    return [*first, *[Operand(v.fact) for v in function.inputs]], [Operand(v.fact) for v in function.outputs]


def _named(call: Call) -> dict[str, Any]:
    """The arguments of a call by their names in the schema, in its order; unnamed where no overload takes them."""
    args, kwargs = call.signature.args, call.signature.kwargs
    for schema in torch_private.schemas(call.op.torchs.schema.removeprefix("aten::")):
        names = [a.name for a in schema.arguments]
        by_place = [a.name for a in schema.arguments if not a.kwarg_only][: len(args)]
        given = {**dict(zip(by_place, args)), **kwargs}
        left = [a for a in schema.arguments if a.name not in given]
        if len(by_place) == len(args) and kwargs.keys() <= set(names) and all([a.has_default_value() for a in left]):
            return {a.name: given.get(a.name, a.default_value) for a in schema.arguments}
    return {str(i): v for i, v in enumerate((*args, *kwargs.values()))}


def _convolution(named: dict[str, Any]) -> list[Any]:
    """The 13 operands of ``_convolution``, or the 7 of ``_convolution_mode``."""
    x, weight, bias = (named.get(name) for name in ("input", "weight", "bias"))
    places = weight.ndim - 2 if isinstance(weight, TensorFact) else 0

    def sizes(name: str, default: int) -> list[Any]:
        given = named.get(name, default)
        if not isinstance(given, (list, tuple)):
            return [given] * places
        return list(given) if len(given) == places else list(given) * places

    groups = named.get("groups", 1)
    if isinstance(named.get("padding"), str):
        return [x, weight, bias, sizes("stride", 1), named["padding"], sizes("dilation", 1), groups]
    transposed = bool(named.get("transposed", "output_padding" in named))
    around = [sizes("stride", 1), sizes("padding", 0), sizes("dilation", 1), transposed, sizes("output_padding", 0)]
    return [x, weight, bias, *around, groups, False, False, True, True]


def _results(result: Any) -> Iterator[Any]:
    for leaf in leaves(result):
        yield leaf.fact if isinstance(leaf, Alias) else leaf
