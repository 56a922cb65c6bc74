"""``torch.vmap`` under a trace, for functions of numbers: each mapped dimension becomes one that broadcasts.

``vmap(vmap(f, (None, 0)), (0, None))(rows, columns)`` calls ``f`` once, on ``rows`` of shape (R, 1) and ``columns`` of
shape (1, C): where what is mapped over are single numbers (positions, from which libraries build attention masks) and
``f`` is made of elementwise ops and indexing, that is what vmap computes, with the ops torch runs. Anything else raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from fxcount import torch_private
from fxcount.errors import UnsupportedError
from fxcount.ops import REGISTRY, Op
from fxcount.ops.core.tree import leaves
from fxcount.trace.known.literals import LITERAL
from fxcount.trace.tracer.engine import NeedsEngine
from fxcount.trace.tracer.standin import StandIn

if TYPE_CHECKING:
    from fxcount.trace.tracer.tracer import Tracer

__all__ = ["Mapping", "ensure_elementwise"]

# beside what is computed place by place: indexing, tensor literals, and the views this file makes itself
_ALSO = frozenset(
    REGISTRY[f]
    for f in (
        torch.Tensor.__getitem__, torch.ops.aten.index, torch.Tensor.reshape, torch.Tensor.unsqueeze, torch.Tensor.expand
    )
)  # fmt: skip


def _is_elementwise(op: Op) -> bool:
    return op.follows == "mapped" or op.made_of is not None or op in _ALSO or op is LITERAL


class Mapping:
    """The functions of one trace that are mapped now, outermost first."""

    def __init__(self, tracer: Tracer, original: Callable[..., Any]) -> None:
        self.tracer = tracer
        self.original = original  # torch's own vmap
        self.running: list[Callable[..., Any]] = []
        self.sizes: list[Any] = []  # of the dimensions they are mapped over
        self.mapped_now: set[int] = set()  # ids of tensors that carry these dimensions

    def vmap(
        self, func: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0, *options: Any, **named_options: Any
    ) -> Callable[..., Any]:
        """What stands in for ``torch.vmap``."""

        def plain_or_mapped(*inputs: Any, **named: Any) -> Any:
            if not self.running and not any(type(x) is StandIn for x in leaves((inputs, named))):
                plain = self.original(func, in_dims, out_dims, *options, **named_options)
                try:
                    with torch_private.DisableTorchFunction():
                        return plain(*inputs, **named)
                except UnsupportedError:  # a stand-in of the surroundings took part
                    pass
            dims = in_dims if isinstance(in_dims, tuple) else (in_dims,) * len(inputs)
            return self._mapped(func, inputs, dims, out_dims, named)

        return plain_or_mapped

    def _mapped(
        self, func: Callable[..., Any], inputs: tuple[Any, ...], dims: tuple[Any, ...], out_dims: Any, named: dict[str, Any]
    ) -> Any:
        depth, start = len(self.running), len(self.tracer.ledger.calls)
        spread, marked = self._spread(inputs, dims)
        self.mapped_now.update(map(id, marked))
        self.running.append(func)
        try:
            result = func(*spread, **named)
            ensure_elementwise(self.tracer, start, "torch.vmap")
            if out_dims != 0:
                raise _unsupported(self.tracer, f"torch.vmap with out_dims={out_dims}")
            if depth == 0 and isinstance(result, torch.Tensor):
                result = result.expand(tuple(self.sizes))
            return result
        finally:
            self.mapped_now.difference_update(map(id, marked))
            self.running.pop()

    def _spread(self, inputs: tuple[Any, ...], dims: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
        """The inputs with a place for each mapped dimension, and those among them that carry one."""
        depth = len(self.running)
        spread, marked = [], []
        for x, dim in zip(inputs, dims, strict=True):
            if dim is not None:
                if not isinstance(x, torch.Tensor) or x.dim() != 1 or id(x) in self.mapped_now:
                    raise _unsupported(self.tracer, "torch.vmap of tensors of more than one dimension")
                n = x.shape[0]
                self.sizes[depth:] = [n]
                x = x.reshape((1,) * depth + (n,))
                marked.append(x)
            elif id(x) in self.mapped_now:
                x = x.unsqueeze(-1)
                marked.append(x)
            spread.append(x)
        return spread, marked


def ensure_elementwise(tracer: Tracer, start: int, what: str) -> None:
    """Complain if an op recorded since call ``start`` does more than compute element by element."""
    strange = {c.op.name for c in tracer.ledger.calls[start:] if not _is_elementwise(c.op)}
    if strange:
        raise _unsupported(tracer, f"{what} of {', '.join(sorted(strange))}")


def _unsupported(tracer: Tracer, what: str) -> UnsupportedError:
    return NeedsEngine(
        f"the model maps more than elementwise functions of numbers ({what})", where=tracer.where(),
        hint="write the batch dimension out, e.g. by broadcasting",
    )  # fmt: skip
