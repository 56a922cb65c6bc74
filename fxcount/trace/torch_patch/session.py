"""Everything fxcount changes in torch while it traces, and its undoing, also after an error.

* ``has_torch_function*`` in torch's Python-level function modules answer no, so these functions run through and only
  the builtin ops they are made of reach the tracer: the op vocabulary of ``torch.export``.
* ``nn.Module.__call__`` tells the tracer which module runs.
* ``torch.broadcast_shapes``, which takes no tensor, works on symbolic sizes.
* ``torch.compiler.is_compiling`` / ``is_exporting`` answer yes: libraries then take their trace-friendly paths.
"""

from __future__ import annotations

import gc
import random
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import is_
from typing import Any

import numpy as np
import torch
import torch.nn.functional

from fxcount.ops.core.common import broadcast
from fxcount.symbolic import SymSize
from fxcount.trace.torch_patch.control import branching, looping
from fxcount.trace.torch_patch.functions import applying
from fxcount.trace.torch_patch.vmap import vmapping
from fxcount.trace.tracer.sources import raising_source
from fxcount.trace.tracer.tracer import Tracer

__all__ = ["no_collection", "patched", "place_raised", "preserved"]

_FUNCTION_MODULES = (torch.nn.functional, torch.functional, torch._tensor, torch.overrides)
_CHECKS = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")


def _no(*_: Any) -> bool:
    return False


def _yes() -> bool:
    return True


@contextmanager
def patched(tracer: Tracer) -> Iterator[None]:
    """Trace-time torch; everything is as before on leaving."""
    saved: list[tuple[Any, str, Any]] = []
    try:
        for owner, name, ours in _replacements(tracer):
            if hasattr(owner, name):
                saved.append((owner, name, vars(owner).get(name, getattr(owner, name))))
                setattr(owner, name, ours)
        yield
    finally:
        for owner, name, original in reversed(saved):
            setattr(owner, name, original)


def _replacements(tracer: Tracer) -> Iterator[tuple[Any, str, Any]]:
    """What is replaced, and by what."""
    for module in _FUNCTION_MODULES:
        for check in _CHECKS:
            yield module, check, _no
    for flag in _FLAGS:
        yield torch.compiler, flag, True
    if "torchvision.extension" in sys.modules:  # asks whether compiled kernels are there: a trace runs none of them
        yield sys.modules["torchvision.extension"], "_has_ops", _yes
    yield torch, "vmap", vmapping(tracer)
    for module in (torch, torch.functional):
        yield module, "broadcast_shapes", _broadcasting(tracer)
    yield torch, "cond", branching(tracer)
    yield torch, "while_loop", looping(tracer)
    yield torch.autograd.Function, "apply", classmethod(applying(tracer, vars(torch.autograd.Function)["apply"]))
    yield torch.nn.Module, "__call__", _calling(tracer, torch.nn.Module.__call__)


def _broadcasting(tracer: Tracer) -> Callable[..., torch.Size]:
    """``torch.broadcast_shapes`` takes no tensor, so no mode sees it, and its own way asks a symbolic size for a SymNode."""

    def broadcast_shapes(*shapes: Any) -> torch.Size:
        listed = [s if isinstance(s, (tuple, list)) else (s,) for s in shapes]
        sizes = [tuple([n.expr if isinstance(n, SymSize) else n for n in s]) for s in listed]
        return torch.Size([tracer.answers.as_int(n) for n in broadcast(tracer.scope, "broadcast_shapes", *sizes)])

    return broadcast_shapes


def _calling(tracer: Tracer, original_call: Any) -> Any:
    enter, leave = tracer.modules.enter, tracer.modules.leave

    def __call__(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        record = enter(module, args)
        result = None
        try:
            result = original_call(module, *args, **kwargs)
            return result
        finally:
            leave(record, result)

    return __call__


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the cyclic garbage collector out of the block.

    It would walk all of torch's objects several times during a long trace, and a tensor in a reference cycle would die
    at a moment that has nothing to do with the model.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def place_raised(error: BaseException) -> str:
    """``file:line (module path)`` of the model where the error was raised, from its traceback."""
    path = ""
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_code.co_filename == __file__ and "record" in frame.f_locals:  # a module that was running
            path = frame.f_locals["record"].path or frame.f_locals["record"].class_name
        traceback = traceback.tb_next
    place = str(raising_source(error.__traceback__) or "a line outside of the model")
    return f"{place} ({path})" if path else place


_FLAGS = ("_is_compiling_flag", "_is_exporting_flag")


@contextmanager
def preserved(modules: Sequence[torch.nn.Module]) -> Iterator[None]:
    """Attributes, buffers, parameters and submodules of these modules, and the random states, survive the block.

    Lists, dicts and sets among the attributes are restored too, one level deep: hooks are kept in such dicts.
    """
    before = [(m.__dict__, m.__dict__.copy()) for m in modules]
    held = [c for attributes, _ in before for c in attributes.values() if type(c) in _CONTAINERS]
    empty = [c for c in held if not c]  # most of them: every module has a dozen dicts for hooks
    filled = [(c, c.copy()) for c in held if c]
    python_state, torch_state = random.getstate(), torch.get_rng_state()
    numpy_state = np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        torch.set_rng_state(torch_state)
        np.random.set_state(numpy_state)
        for current, attributes in before:
            if not _same(current, attributes):
                current.clear()
                current.update(attributes)
        for container in empty:
            if container:
                container.clear()
        for container, content in filled:
            if type(container) is list:
                if len(container) != len(content) or not all(map(is_, container, content)):
                    container[:] = content
            elif type(container) is set or not _same(container, content):
                container.clear()
                container.update(content)


_CONTAINERS = frozenset({dict, list, set, OrderedDict})


def _same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """The same keys in the same order with the very same values."""
    return len(a) == len(b) and all(map(is_, a.values(), b.values())) and list(a) == list(b)
