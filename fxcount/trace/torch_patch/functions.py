"""``torch.autograd.Function`` under a trace: its forward runs on stand-ins, its backward is taken at its word; and calls of
functions that TorchScript has compiled, each remembered as one.

What is inside runs without gradients, as torch runs it; the results carry a gradient to the inputs that ask for one. A
backward that returns ``None`` for an input is not known before it runs: every such input counts as getting a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.function import FunctionMeta

from fxcount import torch_private
from fxcount.ops.core.tree import leaves
from fxcount.trace.tape import Call, CustomFunction, Value
from fxcount.trace.torch_patch.active import ACTIVE, Active, Undo
from fxcount.trace.tracer.standin import StandIn

if TYPE_CHECKING:
    from fxcount.trace.tracer.tracer import Tracer

__all__ = ["CustomFunctions", "ScriptedFunctions"]


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


class CustomFunctions:
    """Lets the trace see every ``apply``, however the model came by it: bound long ago, in a ``partial``, as a default.

    ``apply`` itself is C++ in the end, and asks the class for ``_backward_cls``, then for ``forward`` and, where it is
    overridden, ``setup_context``. Nobody else asks in this order, so the metaclass knows which ``forward`` is called for an
    ``apply``, and hands out one that records.
    """

    def __init__(self) -> None:
        self._asked: tuple[Any, bool] | None = None  # the class whose apply has begun, and the grad mode it began in
        self._context: _Context | None = None  # of the forward that has just run, for its setup_context

    def install(self, undo: Undo) -> None:
        """Listen to the metaclass until ``undo`` is run."""
        active, plain = ACTIVE, type.__getattribute__

        def __getattribute__(cls: Any, name: str) -> Any:
            if name in _ASKED_BY_APPLY and active.is_here() and not _engine_runs(active):
                return self._answer(cls, name, plain(cls, name))
            if name == "apply" and active.is_here() and _engine_runs(active):
                return active.tracer.calling(plain(cls, name))  # type: ignore[union-attr]
            return plain(cls, name)

        undo.add(_stop_listening)
        self._asked = self._context = None
        FunctionMeta.__getattribute__ = __getattribute__  # type: ignore[method-assign]

    def _answer(self, cls: Any, name: str, found: Any) -> Any:
        if name == "_backward_cls":
            self._asked, self._context = (cls, torch.is_grad_enabled()), None
        elif name == "forward" and self._asked is not None and self._asked[0] is cls:
            grad, self._asked = self._asked[1], None
            return self._recording(cls, found, grad)
        elif name == "setup_context" and self._context is not None:
            context, self._context = self._context, None
            return lambda ctx, inputs, output: ctx.mark_dirty(*context.dirty) if context.dirty else None
        return found

    def _recording(self, cls: Any, forward: Callable[..., Any], grad: bool) -> Callable[..., Any]:
        tracer = ACTIVE.tracer
        assert tracer is not None
        setup = type.__getattribute__(cls, "setup_context")
        separate = setup is not torch.autograd.Function.setup_context

        def run(*given: Any) -> Any:
            args = given if separate else given[1:]
            if not any(type(a) is StandIn or id(a) in tracer.ledger.names for a in args):
                return forward(*given)
            with torch.set_grad_enabled(grad):
                context, result = _record(tracer, cls, forward, setup if separate else None, args)
            if separate:
                self._context = context
            elif context.dirty:
                given[0].mark_dirty(*context.dirty)
            return result

        return run


def _engine_runs(active: Active) -> bool:
    """Whether torch's own engine differentiates the stand-ins: a function's backward is run, not taken at its word."""
    return active.tracer is not None and active.tracer.differentiates


def _stop_listening() -> None:
    if "__getattribute__" in vars(FunctionMeta):
        del FunctionMeta.__getattribute__


_ASKED_BY_APPLY = frozenset({"_backward_cls", "forward", "setup_context"})


def _record(
    tracer: Tracer, cls: Any, forward: Callable[..., Any], setup: Callable[..., Any] | None, args: tuple[Any, ...]
) -> tuple[_Context, Any]:
    """Run the forward of one ``apply`` under the trace, in the grad mode around it; what it told its context, its result."""
    tensors = [a for a in args if isinstance(a, torch.Tensor)]
    with torch_private.DisableTorchFunction():  # the tracer looks at a parameter, the model does not
        values = [(t if type(t) is StandIn else tracer.state(t))._value for t in tensors]
    inputs = tuple(v for v in values if v.requires_grad) if torch.is_grad_enabled() else ()
    context = _Context(tuple(isinstance(a, torch.Tensor) and bool(inputs) and a.requires_grad for a in args))
    start = len(tracer.ledger.calls)
    if cls.__name__ == "CheckpointFunction":  # its backward runs the function again, and only if an input asks for it
        with torch.set_grad_enabled(bool(inputs)):
            result = _fresh(args[0](*args[2:]), args, ())
        if not inputs and torch.is_grad_enabled():
            tracer.ledger.functions.append(CustomFunction("checkpoint", start, len(tracer.ledger.calls), (), ()))
        return context, result
    with torch.no_grad():
        if setup is None:
            result = _called(forward, context, *args)
        else:
            result = _called(forward, *args)
            setup(context, args, result)
        result = _fresh(result, args, context.dirty)
    if not inputs:
        tracer.ledger.functions.append(CustomFunction(cls.__name__, start, len(tracer.ledger.calls), (), ()))
    else:
        plain = {id(t) for t in context.non_differentiable}
        outputs = tuple(s._value for s in _stand_ins(result) if id(s) not in plain and s.is_floating_point())
        for value in outputs:
            value.requires_grad = True
        inputs += _reached(tracer.ledger.calls[start:], inputs, tracer.modules.now)
        tracer.ledger.functions.append(CustomFunction(cls.__name__, start, len(tracer.ledger.calls), inputs, outputs))
    return context, result


class ScriptedFunctions:
    """Lets the trace know which calls a function made that ``torch.jit.script`` or ``torch.jit.trace`` has compiled: they count
    as any other, but tools that read a graph of ``torch.jit`` see one node in their place."""

    def install(self, undo: Undo) -> None:
        """Listen to the class until ``undo`` is run."""
        kind: Any = torch.jit.ScriptFunction
        plain = vars(kind)["__call__"]

        def __call__(function: Any, *args: Any, **kwargs: Any) -> Any:
            if ACTIVE.is_here() and not _engine_runs(ACTIVE):
                return _remembered(ACTIVE.tracer, plain, function, args, kwargs)
            return plain(function, *args, **kwargs)

        undo.add(setattr, kind, "__call__", plain)
        kind.__call__ = __call__


def _remembered(tracer: Any, plain: Callable[..., Any], function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The call of a scripted function, its values and the calls inside it noted."""
    calls = tracer.ledger.calls
    start = len(calls)
    inputs = _values((args, kwargs))
    result = _called(plain, function, *args, **kwargs)
    tracer.ledger.functions.append(CustomFunction(CustomFunction.SCRIPTED, start, len(calls), inputs, _values(result)))
    return result


def _values(given: Any) -> tuple[Value, ...]:
    return tuple([s._value for s in leaves(given) if type(s) is StandIn])


def _called(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Arguments that do not fit a function of the model's are its own mistake, though the call of it stands here."""
    try:
        return forward(*args, **kwargs)
    except (TypeError, RuntimeError) as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            error.__dict__["__of_the_model__"] = True
        raise


def _reached(calls: Iterable[Call], inputs: tuple[Value, ...], outside: int) -> tuple[Value, ...]:
    """Trainable parameters that the forward reads without being given them, by way of a module that it calls: the backward of
    such a function runs the module again and fills their gradients itself, as those of reversible nets do."""
    read = [v for call in calls if call.module != outside for v in call.operands]
    found = {v.index: v for v in read if v.origin == "parameter" and v.requires_grad}
    return tuple(v for v in found.values() if v not in inputs)


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
