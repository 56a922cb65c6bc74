"""Everything fxcount changes in torch while it traces, in one place; ``docs/session.md`` lists it with the reasons.

* ``has_torch_function*`` in torch's Python-level function modules answer no, so these functions run through and only
  the builtin ops they are made of reach the tracer: the op vocabulary of ``torch.export``.
* ``nn.Module.__call__`` tells the tracer which module runs; ``autograd.Function`` which custom function does.
* ``torch.broadcast_shapes``, which takes no tensor, works on symbolic sizes; ``vmap``, ``cond`` and ``while_loop`` follow
  the trace.
* ``torch.compiler.is_compiling`` / ``is_exporting`` answer as in a plain run, and yes in a second attempt, where a model asks
  for data that nobody knows: libraries then take their trace-friendly paths.
* ``torch.from_numpy`` and ``numpy.asarray`` know what stands for an array.
* What ``torch.compile`` compiled runs as the Python code it was made of.
* Random numbers come from generators of the analysis' own.

All of it holds in the tracing thread alone, and only as long as the analysis runs.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from threading import get_ident
from types import FunctionType
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional

from fxcount import torch_private
from fxcount.ops.core.common import broadcast
from fxcount.ops.core.tree import leaves
from fxcount.symbolic import SYM_FUNCTIONS, SymSize
from fxcount.trace.nesting import Room
from fxcount.trace.torch_patch.active import ACTIVE, Undo, alone
from fxcount.trace.torch_patch.adaptive import adaptive_softmax
from fxcount.trace.torch_patch.chance import Chance
from fxcount.trace.torch_patch.control import associative_scan, branch, mapped, scan
from fxcount.trace.torch_patch.flexible import FLEXIBLE, flexible_attention
from fxcount.trace.torch_patch.functions import CustomFunctions, ScriptedFunctions
from fxcount.trace.torch_patch.lazy import materialising
from fxcount.trace.torch_patch.lengths import Shapes, shown, whole
from fxcount.trace.torch_patch.loops import loop
from fxcount.trace.torch_patch.redirect import ALWAYS, Replaced, Shadowed, Swapped, dispatching
from fxcount.trace.torch_patch.vmap import Mapping
from fxcount.trace.tracer.arrays import ArrayStandIn, numpy_functions, tensor_in
from fxcount.trace.tracer.engine import NeedsEngine
from fxcount.trace.tracer.jagged import Jagged, dispatched, jagged_of
from fxcount.trace.tracer.sources import raising_source
from fxcount.trace.tracer.special import no_backward
from fxcount.trace.tracer.standin import StandIn
from fxcount.trace.tracer.tracer import Tracer
from fxcount.wording import shortened

__all__ = ["TraceSession", "place_raised", "random_functions"]

T = TypeVar("T")

_FUNCTION_MODULES = (
    torch.nn.functional, torch.functional, torch.overrides, torch_private.tensor_functions,
    torch_private.lowrank_functions, torch_private.lobpcg_functions,
)  # fmt: skip
_CHECKS = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")


class TraceSession:
    """The time in which torch is changed for the tracing thread.

    ``run`` is for a whole analysis, ``trace`` for the part of it in which the model runs under a tracer.
    """

    @staticmethod
    def run(body: Callable[[Undo], T]) -> T:
        """``body(undo)`` with torch prepared; torch and Python are as before when it ends, in whatever way.

        Analyses of other threads wait; one inside another (in the same thread) does not.
        """
        return alone(body, _install)

    @staticmethod
    def trace(tracer: Tracer, model: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``model(*args, **kwargs)`` under the tracer, within ``run``."""
        ACTIVE.tracer = tracer
        room = tracer.modules.room = Room()
        try:
            if Jagged in map(type, leaves((args, kwargs))):
                _for_nested()
            with tracer:
                return model(*args, **kwargs)
        finally:
            room.close()
            ACTIVE.tracer = ACTIVE.vmap = ACTIVE.labels = None


def _install(undo: Undo) -> None:
    for change in (*_changes(), *_changes_of_loaded()):
        change.install(undo)


@functools.lru_cache(1)
def _changes() -> tuple[Any, ...]:
    """What is replaced, and by what."""
    chance = _chance()
    return (
        *[Replaced(vars(m), [c for c in _CHECKS if hasattr(m, c)], _no_torch_function) for m in _FUNCTION_MODULES],
        Swapped(torch.nn.Module.__call__, lambda original: original, within=_module_call),
        *[Swapped(flag, _told_to_compile) for flag in _named(torch.compiler, "is_compiling", "is_exporting")],
        Swapped(torch.functional.broadcast_shapes, lambda _: _broadcast_shapes),
        *[Swapped(f, functools.partial(_instead, instead)) for f, instead in SYM_FUNCTIONS.items()],
        Swapped(torch.vmap, lambda original: functools.partial(_vmap, original)),
        Swapped(torch_private.run_mapped, _mapped_before),
        Swapped(torch.func.linearize, lambda _: _linearized),
        Swapped(torch.cond, lambda _: _traced(branch)),
        *_controlled(),
        Replaced(
            vars(torch_private.transforms), ("grad_increment_nesting", "jvp_increment_nesting"),
            lambda _, original: dispatching(_entering(original), original),
        ),
        Swapped(torch.autograd.forward_ad.enter_dual_level, _entering),
        Swapped(torch.nn.parameter.UninitializedParameter.materialize, materialising),
        Swapped(torch.nn.AdaptiveLogSoftmaxWithLoss.forward, adaptive_softmax),
        Swapped(torch.amp.autocast.__init__, _autocast_of_meta),
        Replaced(vars(torch), ("from_numpy",), _from_numpy),
        Replaced(vars(np), tuple(numpy_functions()), _of_numpy),
        *[Swapped(f, _nested) for f in (torch.nested.as_nested_tensor, torch.nested.nested_tensor)],
        CustomFunctions(),
        ScriptedFunctions(),
        chance,
        *chance.torch_functions(),
        *_engines_entry(),
        Swapped(torch.set_default_dtype, _undoing(torch.get_default_dtype), within=ALWAYS),
    )


def _autocast_of_meta(original: Callable[..., Any]) -> Callable[..., Any]:
    """``torch.autocast(x.device.type)`` of a model on meta, which has none of its own: the one that is on, or the CPU's."""

    def start(self: Any, device_type: str, *args: Any, **kwargs: Any) -> None:
        if device_type == "meta":
            device_type = "cuda" if torch.is_autocast_enabled("cuda") else "cpu"
        original(self, device_type, *args, **kwargs)

    return start


def _only_the_range(observer: Any, x: torch.Tensor) -> torch.Tensor:
    """A histogram of activations: it looks for their range; which of its bins it widens then depends on data."""
    if x.numel():
        torch.aminmax(x.detach())
        _tracer().notes.add("of a HistogramObserver the range it looks for is counted, not the bins that data decide")
    return x


def _engines_entry() -> list[Swapped]:
    """Before 2.11 ``torch.autograd.backward`` asks no function mode, and is met where it enters the engine."""
    return [] if torch_private.VERSION >= (2, 11) else [Swapped(torch_private.run_backward, _run_backward)]


def _run_backward(original: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        tracer = _tracer()
        return original(*args, **kwargs) if tracer.differentiates else no_backward(tracer)

    return run


def _controlled() -> Iterator[Swapped]:
    """Loops of torch's, as far as this torch has them."""
    for name, ours in (("scan", scan), ("map", mapped), ("while_loop", loop), ("associative_scan", associative_scan)):
        home = torch_private.loaded(f"_higher_order_ops.{name}")
        found = getattr(home, name, None)
        if isinstance(found, FunctionType):
            yield Swapped(found, functools.partial(_instead, _traced(ours)))
        elif found is not None:  # an object that is called, as ``map`` of torch 2.6
            yield Swapped(type(found).__call__, functools.partial(_instead, _called(_traced(ours))))


def _called(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as a method."""
    return lambda _, *args, **kwargs: function(*args, **kwargs)


def _traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function(tracer, ...)`` with the tracer of the model that runs."""
    return lambda *args, **kwargs: function(_tracer(), *args, **kwargs)


@functools.lru_cache(1)
def _chance() -> Chance:
    return Chance()


def random_functions(namespace: dict[str, Any]) -> dict[str, Any]:
    """What stands for functions of random numbers that a module has imported by name."""
    return _chance().named_in(namespace)


def _changes_of_loaded() -> list[Any]:
    """Changes in modules that are not loaded everywhere."""
    found: list[Any] = []
    vision = sys.modules.get("torchvision.extension")
    if vision is not None:  # asks whether compiled kernels are there: a trace runs none of them
        found.append(Swapped(vision._has_ops, lambda _: lambda: True))
    paths = sys.modules.get("opt_einsum.contract")
    if paths is not None:
        found.append(Shadowed(vars(paths), "int", whole))
        found.append(Replaced(vars(paths), ("Decimal",), lambda _, original: dispatching(shown, original)))
    orders = sys.modules.get("tensorly.plugins")
    if orders is not None:  # remembers orders of contractions under texts of shapes: formulas, in a table of the trace's own
        names = [n for n in ("tl", "OPT_EINSUM_PATH_CACHE") if n in vars(orders)]
        found.append(Replaced(vars(orders), names, lambda name, original: Shapes(original) if name == "tl" else {}))
    observers = sys.modules.get("torch.ao.quantization.observer")
    if observers is not None:
        found.append(Swapped(observers.HistogramObserver.forward, lambda _: _only_the_range))
    flexible = torch_private.loaded(FLEXIBLE)
    if flexible is not None:
        found.append(Swapped(flexible.flex_attention, lambda _: _traced(flexible_attention)))
    frames = torch_private.loaded("_dynamo.eval_frame")
    if frames is not None and hasattr(frames, "_stance"):
        found.append(Replaced(vars(frames), ("_stance",), lambda _, stance: _Eager(stance)))
    return found


def _named(owner: Any, *names: str) -> list[Any]:
    return [getattr(owner, n) for n in names if hasattr(owner, n)]


def _tracer() -> Tracer:
    assert ACTIVE.tracer is not None
    return ACTIVE.tracer


def _told_to_compile(original: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: _tracer().compiling or original()


def _instead(ours: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    return ours


def _no_torch_function(name: str, original: Callable[..., bool]) -> Callable[..., bool]:
    return dispatching(lambda *_: False, original)


def _nested(original: Callable[..., Any]) -> Callable[..., Any]:
    def nested(samples: Any, *args: Any, dtype: Any = None, layout: Any = None, **kwargs: Any) -> Any:
        if layout is not torch.jagged or not isinstance(samples, (list, tuple)) or StandIn not in map(type, samples):
            return original(samples, *args, dtype=dtype, layout=layout, **kwargs)
        _for_nested()
        return jagged_of(samples, dtype=dtype)

    return nested


def _for_nested() -> None:
    """From the first nested tensor of an analysis to its end. Only then: functions that stand in torch's namespace are what
    ``torch.jit`` finds there, of a module that is loaded meanwhile or in another thread."""
    for change in _trying_numbers():
        if not change.stands():
            change.install(ACTIVE.undo)


@functools.lru_cache(1)
def _trying_numbers() -> tuple[Replaced, ...]:
    return tuple([Replaced(vars(m), torch_private.trying_numbers(vars(m)), _of_nested) for m in (torch, torch.special)])


def _of_nested(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def of_nested(*args: Any, **kwargs: Any) -> Any:
        return dispatched(original, args, kwargs) if Jagged in map(type, args) else original(*args, **kwargs)

    return dispatching(of_nested, original)


def _from_numpy(name: str, original: Callable[[Any], torch.Tensor]) -> Callable[..., Any]:
    def from_numpy(array: Any) -> Any:
        if type(array) is ArrayStandIn or (type(array) is StandIn and array._value.origin == "input"):
            return tensor_in(array)  # an input given by its shape, which the model takes for an array
        return original(array)

    return dispatching(from_numpy, original)


def _of_numpy(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    return dispatching(numpy_functions()[name](original), original)


def _module_call(self: Any, *args: Any, **kwargs: Any) -> Any:
    """The body of ``nn.Module.__call__``; one frame a module, as torch has, so that models nest as deep as in torch."""
    active: Any = "<active>"
    thread: Any = "<get_ident>"
    original: Any = "<original>"
    if thread() != active.ident or active.tracer is None:
        return original(self, *args, **kwargs)
    tracer = active.tracer
    record = tracer.modules.enter(self, args)
    try:
        result = self._call_impl(*args, **kwargs)
    except BaseException:
        tracer.modules.leave(record, None)
        raise
    return tracer.modules.leave(record, result)


def _broadcast_shapes(*shapes: Any) -> torch.Size:
    """``torch.broadcast_shapes`` takes no tensor, so no mode sees it, and its own way asks a symbolic size for a SymNode."""
    tracer = _tracer()
    listed = [s if isinstance(s, (tuple, list)) else (s,) for s in shapes]
    sizes = [tuple([n.expr if isinstance(n, SymSize) else n for n in s]) for s in listed]
    return torch.Size([tracer.answers.as_int(n) for n in broadcast(tracer.scope, "broadcast_shapes", *sizes)])


def _vmap(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
    if _tracer().differentiates:  # torch's own, on wrapped stand-ins
        made: Callable[..., Any] = original(*args, **kwargs)
        return made
    mapping = ACTIVE.vmap
    if mapping is None:
        mapping = ACTIVE.vmap = Mapping(_tracer(), original)
    return mapping.vmap(*args, **kwargs)


def _engines(what: str, hint: str) -> Tracer:
    """The tracer, if it has torch's engine run on its stand-ins. Raises :class:`NeedsEngine` for what only that can follow."""
    tracer = _tracer()
    if not tracer.differentiates:
        raise NeedsEngine(what, where=tracer.where(), hint=hint)
    return tracer


def _mapped_before(original: Callable[..., Any]) -> Callable[..., Any]:
    """A function that ``torch.vmap`` made before the analysis goes torch's own way, on stand-ins below the engine."""

    def run(func: Any, in_dims: Any, out_dims: Any, randomness: Any, chunk_size: Any, *args: Any, **kwargs: Any) -> Any:
        if any(type(x) is StandIn for x in leaves((args, kwargs))):
            _engines(
                "the model calls a function that torch.vmap made before", "write the batch dimension out, e.g. by broadcasting"
            )
        return original(func, in_dims, out_dims, randomness, chunk_size, *args, **kwargs)

    return run


def _linearized(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """What stands in for ``torch.func.linearize``, which traces: the function, and its product with tangents."""
    tracer = _engines("the model uses torch.func.linearize in its forward", "analyse the function that is linearised")
    tracer.notes.add(
        "torch.func.linearize: the function is counted where it is linearised, and again, as in torch.func.jvp, in each call "
        "of the linear one; what torch does to trace it and to fold constants is not"
    )
    return func(*primals), lambda *tangents: torch.func.jvp(func, primals, tangents)[1]


def _entering(original: Callable[..., Any]) -> Callable[..., Any]:
    """A level of gradients or of dual numbers begins, which only the engine can follow."""

    def enter(*args: Any, **kwargs: Any) -> Any:
        _engines("the model uses torch.func or dual numbers in its forward", "analyse the function that is differentiated")
        return original(*args, **kwargs)

    return enter


def _undoing(read: Callable[[], Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A setter of a setting of the whole process: what the model sets with it is set back, what other threads set is not."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def setting(value: Any) -> None:
            ACTIVE.undo.add(original, read())
            original(value)

        return setting

    return make


class _Eager:
    """Dynamo's stance: in the tracing thread, compiled code runs as the Python code it was made of."""

    def __init__(self, original: Any) -> None:
        self._original = original

    @property
    def stance(self) -> Any:
        """One of the names of ``torch.compiler.set_stance``."""
        return "force_eager" if get_ident() == ACTIVE.ident else self._original.stance

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


def place_raised(error: BaseException) -> str:
    """``file:line (module path)`` of the model where the error was raised, from its traceback."""
    path = ""
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_code.co_name == _module_call.__name__ and "record" in frame.f_locals:  # a module that was running
            path = frame.f_locals["record"].path or frame.f_locals["record"].class_name
        traceback = traceback.tb_next
    place = str(raising_source(error.__traceback__) or "a line outside of the model")
    return f"{place} ({shortened(path)})" if path else place
