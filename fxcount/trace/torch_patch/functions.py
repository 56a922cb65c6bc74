"""``torch.autograd.Function`` under a trace: its forward runs on stand-ins, its backward is taken at its word.

What is inside runs without gradients, as torch runs it; the results carry a gradient to the inputs that ask for one. A
backward that returns ``None`` for an input is not known before it runs: every such input counts as getting a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch

from fxcount.trace.tape import CustomFunction
from fxcount.trace.tracer.standin import StandIn

if TYPE_CHECKING:
    from fxcount.trace.tracer.tracer import Tracer

__all__ = ["applying"]


class _Context:
    """The ``ctx`` of a forward. It ends with the forward, as under ``no_grad``: what it saves holds no memory."""

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self.saved_tensors: tuple[Any, ...] = ()
        self.dirty: tuple[Any, ...] = ()
        self.non_differentiable: tuple[Any, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        self.saved_tensors = tensors

    save_for_forward = save_for_backward

    def mark_dirty(self, *tensors: Any) -> None:
        self.dirty = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        self.non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        pass


def applying(tracer: Tracer, original: Any) -> Callable[..., Any]:
    """What stands in for ``torch.autograd.Function.apply`` during a trace.

    ``original`` is the class attribute it replaces, for calls on real data: a ``classmethod``, or a descriptor of C.
    """

    def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
        tensors = [a for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor)]
        if not any(type(t) is StandIn or id(t) in tracer.ledger.names for t in tensors):
            return original.__get__(None, cls)(*args, **kwargs)
        values = [(t if type(t) is StandIn else tracer.state(t))._value for t in tensors]
        inputs = tuple(v for v in values if v.requires_grad) if torch.is_grad_enabled() else ()
        if cls.__name__ == "CheckpointFunction":  # its backward runs the function again, and only if an input asks for it
            start = len(tracer.ledger.calls)
            with torch.set_grad_enabled(bool(inputs)):
                result = args[0](*args[2:])
            if not inputs and torch.is_grad_enabled():
                tracer.ledger.functions.append(CustomFunction("checkpoint", start, len(tracer.ledger.calls), (), ()))
            return result
        context = _Context(tuple(isinstance(a, torch.Tensor) and bool(inputs) and a.requires_grad for a in args))
        start = len(tracer.ledger.calls)
        with torch.no_grad():
            result = _forward(cls, context, args, kwargs)
            result = _fresh(result, args, context.dirty)
        if inputs:
            plain = {id(t) for t in context.non_differentiable}
            outputs = tuple(s._value for s in _stand_ins(result) if id(s) not in plain and s.is_floating_point())
            for value in outputs:
                value.requires_grad = True
            tracer.ledger.functions.append(CustomFunction(cls.__name__, start, len(tracer.ledger.calls), inputs, outputs))
        return result

    return apply


def _forward(cls: Any, context: _Context, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run the forward in either of the two ways torch lets it be written."""
    if cls.setup_context is torch.autograd.Function.setup_context:
        return cls.forward(context, *args, **kwargs)
    result = cls.forward(*args, **kwargs)
    cls.setup_context(context, args, result)
    return result


def _fresh(result: Any, args: tuple[Any, ...], dirty: tuple[Any, ...]) -> Any:
    """The result with views in the place of inputs that are returned as they are: these stay what they were."""
    if isinstance(result, tuple):
        return tuple(_fresh(r, args, dirty) for r in result)
    unchanged = isinstance(result, torch.Tensor) and any(result is a for a in args) and not any(result is d for d in dirty)
    return result.view_as(result) if unchanged else result


def _stand_ins(result: Any) -> Iterator[StandIn]:
    for part in result if isinstance(result, (tuple, list)) else (result,):
        if type(part) is StandIn:
            yield part
