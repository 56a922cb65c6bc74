"""Operands and results of an op, with the methods of ``torch._C.Value`` that handles for fvcore call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fxcount.ops.core.fact import Alias, TensorFact
from fxcount.ops.core.tree import leaves
from fxcount.symbolic import Size
from fxcount.trace.tape import Call

__all__ = ["Operand", "operands_of"]


@dataclass(frozen=True, slots=True)
class _Type:
    fact: TensorFact | None

    def sizes(self) -> list[Size] | None:
        return list(self.fact.shape) if self.fact is not None else None

    def dtype(self) -> Any:
        return self.fact.dtype if self.fact is not None else None

    def kind(self) -> str:
        return "TensorType" if self.fact is not None else "AnyType"


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor, or a plain value."""

    value: Any

    def isCompleteTensor(self) -> bool:
        """Whether it is a tensor, whose sizes are known."""
        return isinstance(self.value, TensorFact)

    def type(self) -> _Type:
        """Its sizes and dtype."""
        return _Type(self.value if isinstance(self.value, TensorFact) else None)

    def toIValue(self) -> Any:
        """The plain value; ``None`` for a tensor."""
        return None if isinstance(self.value, TensorFact) else self.value


def operands_of(call: Call) -> tuple[list[Operand], list[Operand]]:
    """Inputs and outputs of a call as the model's code wrote it: positional arguments first, then keywords."""
    signature = call.signature
    return [Operand(a) for a in (*signature.args, *signature.kwargs.values())], [Operand(r) for r in _results(signature.result)]


def _results(result: Any) -> Iterator[Any]:
    for leaf in leaves(result):
        yield leaf.fact if isinstance(leaf, Alias) else leaf
