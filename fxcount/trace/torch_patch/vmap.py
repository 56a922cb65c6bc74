"""``torch.vmap`` under a trace, for functions of numbers: each mapped dimension becomes one that broadcasts.

``vmap(vmap(f, (None, 0)), (0, None))(rows, columns)`` calls ``f`` once, on ``rows`` of shape (R, 1) and ``columns`` of
shape (1, C): where what is mapped over are single numbers (positions, from which libraries build attention masks) and
``f`` is made of elementwise ops and indexing, that is what vmap computes, with the ops torch runs. Anything else raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from fxcount.errors import UnsupportedError
from fxcount.ops import REGISTRY, Op
from fxcount.trace.known.literals import LITERAL
from fxcount.trace.tracer.standin import StandIn

if TYPE_CHECKING:
    from fxcount.trace.tracer.tracer import Tracer

__all__ = ["vmapping"]

# beside what is computed place by place: indexing, tensor literals, and the views this file makes itself
_ALSO = frozenset(
    REGISTRY[f]
    for f in (
        torch.Tensor.__getitem__, torch.ops.aten.index, torch.Tensor.reshape, torch.Tensor.unsqueeze, torch.Tensor.expand
    )
)  # fmt: skip


def _is_elementwise(op: Op) -> bool:
    return op.follows == "mapped" or op.made_of is not None or op in _ALSO or op is LITERAL


def vmapping(tracer: Tracer) -> Callable[..., Any]:
    """What stands in for ``torch.vmap`` while this tracer runs."""
    running: list[Callable[..., Any]] = []  # functions that are mapped now, outermost first
    sizes: list[Any] = []  # of the dimensions they are mapped over
    mapped_now: set[int] = set()  # ids of tensors that carry these dimensions

    def vmap(
        func: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0, *options: Any, **named_options: Any
    ) -> Callable[..., Any]:
        def mapped(*inputs: Any, **named: Any) -> Any:
            dims = in_dims if isinstance(in_dims, tuple) else (in_dims,) * len(inputs)
            depth, start = len(running), len(tracer.ledger.calls)
            spread, marked = [], []
            for x, dim in zip(inputs, dims, strict=True):
                if dim is not None:
                    if x.dim() != 1 or id(x) in mapped_now:
                        raise _unsupported(tracer, "tensors of more than one dimension")
                    n = x.shape[0]
                    sizes[depth:] = [n]
                    x = x.reshape((1,) * depth + (n,))
                    marked.append(x)
                elif id(x) in mapped_now:
                    x = x.unsqueeze(-1)
                    marked.append(x)
                spread.append(x)
            mapped_now.update(map(id, marked))
            running.append(func)
            try:
                result = func(*spread, **named)
                strange = {c.op.name for c in tracer.ledger.calls[start:] if not _is_elementwise(c.op)}
                if strange or out_dims != 0:
                    raise _unsupported(tracer, ", ".join(sorted(strange)) or f"out_dims={out_dims}")
                if depth == 0 and isinstance(result, torch.Tensor):
                    result = result.expand(tuple(sizes))
                return result
            finally:
                mapped_now.difference_update(map(id, marked))
                running.pop()

        def plain_or_mapped(*inputs: Any, **named: Any) -> Any:
            if not running and not any(type(x) is StandIn for x in inputs):
                plain = torch._functorch.apis.vmap(func, in_dims, out_dims, *options, **named_options)
                try:
                    with torch._C.DisableTorchFunction():
                        return plain(*inputs, **named)
                except UnsupportedError:  # a stand-in of the surroundings took part
                    pass
            return mapped(*inputs, **named)

        return plain_or_mapped

    return vmap


def _unsupported(tracer: Tracer, what: str) -> UnsupportedError:
    return UnsupportedError(
        f"the model uses torch.vmap over more than elementwise functions of numbers ({what})", where=tracer.where(),
        hint="write the batch dimension out, e.g. by broadcasting",
    )  # fmt: skip
