"""Front ends: from whatever stands for a model to a trace.

An ``nn.Module`` is traced as it is. Graphs (exported programs, graph modules, TorchScript) are *interpreted under the
tracer*, so one set of rules counts them all. What the tracer cannot follow goes through ``torch.export``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch

from fxcount.errors import FxcountError, InputError, UnsupportedError
from fxcount.ops import REGISTRY, Registry
from fxcount.torch_private import VERSION, loaded
from fxcount.trace.frontends.functions import is_function, module_of
from fxcount.trace.frontends.wrappers import unwrapped
from fxcount.trace.inputs.census import each_module
from fxcount.trace.inputs.guess import guess_in
from fxcount.trace.inputs.specs import symbols_of
from fxcount.trace.nesting import refusing_depth
from fxcount.trace.partial import keep_partial, partial_of
from fxcount.trace.run import trace_model
from fxcount.trace.tape import Trace
from fxcount.trace.torch_patch.session import place_raised
from fxcount.trace.tracer.engine import NeedsEngine
from fxcount.trace.tracer.sources import raised_by_us

__all__ = ["Frontend", "trace_any"]

_OURS = re.compile(r"\bfxcount\.|\bStandIn\b|\bSymSize\b")

Frontend = Literal["auto", "trace", "export"]

_WITH_ENGINE = (2, 13)
"""Before, a Hessian on stand-ins ends the process (2.11), and maps ask for plain sizes: such models go through export."""


def trace_any(
    model: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None, *,
    hints: Mapping[str, int] | None = None, registry: Registry = REGISTRY, progress: Callable[[int], None] | None = None,
    frontend: Frontend = "auto", trust: bool = False, engine: Callable[..., Trace] | None = None,
    device: torch.device | None = None,
) -> Trace:  # fmt: skip
    """Trace a module, an exported program or the path of one, a graph module or a script module.

    ``frontend`` is about modules: ``"trace"`` follows their Python code, ``"export"`` has ``torch.export`` do it, and
    ``"auto"`` does the second where the first fails for a reason that is not the model's own.

    ``engine`` traces a module whose forward differentiates or maps functions, as ``trace_forward`` of the training room does;
    without it such a model is left to ``torch.export``.

    ``trust`` lets a file run code of its own, if it cannot be read as data. On a ``device`` the model is taken to lie.

    Raises :class:`~fxcount.errors.InputError` for what is none of these, and what tracing raises.
    """
    with refusing_depth("the model, or what is given to it,"):
        options: dict[str, Any] = {"hints": hints, "registry": registry, "progress": progress}
        if device is not None:
            options["device"] = device
        try:
            trace = _traced(model, args, kwargs, frontend, trust, options, engine)
            trace.guessed_inputs = guess_in(args, kwargs or {})
            return trace
        except Exception as error:
            if raised_by_us(error) or _names_ours(error):
                told = _unfollowed(error)
                keep_partial(told, partial_of(error))
                raise told from error
            raise


def _names_ours(error: Exception) -> bool:
    """Whether other code refuses an object because it is one of fxcount's: it then says of what class it is."""
    return not isinstance(error, FxcountError) and _OURS.search(str(error)) is not None


def _unfollowed(error: Exception) -> UnsupportedError:
    """What the caller is told of an exception that came out of fxcount's own code: a call that no rule was written for."""
    return UnsupportedError(
        f"fxcount cannot follow this call: {type(error).__name__}: {_one_line(error)}", where=place_raised(error),
        hint="if the model runs in torch, give a rule for the op or the module with fxcount.rule(...), or write it another way",
    )  # fmt: skip


def _traced(
    model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None, frontend: str, trust: bool, options: dict[str, Any],
    engine: Callable[..., Trace] | None,
) -> Trace:  # fmt: skip
    if frontend not in ("auto", "trace", "export"):
        raise InputError(f"unknown front end {frontend!r}", hint='use "auto", "trace" or "export"')
    if isinstance(model, os.PathLike) or (isinstance(model, str) and (model.endswith(".pt2") or os.path.exists(model))):
        from fxcount.trace.frontends.archive.reader import load_pt2

        model = load_pt2(model, trust=trust)
    if _is_exported(model):
        _refuse_device(options)
        from fxcount.trace.frontends.exported import trace_exported

        return trace_exported(model, args, kwargs, **options)
    model = unwrapped(module_of(model) if is_function(model) else model)
    if not isinstance(model, torch.nn.Module):
        raise InputError(
            f"analyze() wants an nn.Module, a function, an ExportedProgram or a .pt2 file, got {type(model).__name__}",
            hint="give the model itself, not its class or its output",
        )
    _refuse_flat(model)
    if frontend == "export" or isinstance(model, torch.fx.GraphModule):
        _refuse_device(options)
    if isinstance(model, torch.fx.GraphModule) and frontend != "export":
        from fxcount.trace.frontends.graph import trace_graph

        return trace_graph(model, args, kwargs, **options)
    return _trace_module(model, args, kwargs, frontend, options, engine)


def _refuse_device(options: Mapping[str, Any]) -> None:
    """A graph makes its tensors on the devices of the run that it was recorded in."""
    if "device" in options:
        raise InputError(
            f"a graph has its devices written in it, and cannot be looked at as if it were on {options['device']}",
            hint="give the Python module, or leave device out",
        )


def _refuse_flat(model: torch.nn.Module) -> None:
    """``FullyShardedDataParallel`` holds a part of all its parameters in one flat tensor: what they were is not there."""
    flat = getattr(loaded("distributed.fsdp.fully_sharded_data_parallel"), "FullyShardedDataParallel", None)
    if flat is not None and any([type(module) is flat for module in each_module(model)]):
        raise UnsupportedError(
            "the model is sharded by FullyShardedDataParallel, which keeps a rank's part of them all in a flat tensor and "
            "gathers it all as it runs",
            hint="analyse it before it is wrapped: the counts are its own; or use fully_shard(), which is read as it is",
        )  # fmt: skip


def _trace_module(
    model: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None, frontend: str, options: dict[str, Any],
    engine: Callable[..., Trace] | None,
) -> Trace:  # fmt: skip
    if frontend != "export":
        try:
            return _all_seen(_trace_python(model, args, kwargs, options, engine), model, args, kwargs, options)
        except Exception as error:
            if not isinstance(error, FxcountError) and not raised_by_us(error):
                return _with_numbers(model, args, kwargs, options, error)
            if frontend == "trace" or "device" in options or not (isinstance(error, UnsupportedError) or raised_by_us(error)):
                raise
            first = error
    from fxcount.trace.frontends.reexport import trace_by_export

    if frontend == "export":
        return trace_by_export(model, args, kwargs, **options)
    try:
        trace = trace_by_export(model, args, kwargs, **options)
    except Exception as second:
        if not isinstance(first, FxcountError):
            return _with_numbers(model, args, kwargs, options, first)
        first.add_note(f"torch.export was tried as well: {_one_line(second)}")
        raise first from None
    trace.notes.append(f"through torch.export, since the tracer could not follow the model: {_one_line(first)}")
    return trace


def _all_seen(
    trace: Trace, model: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None, options: dict[str, Any]
) -> Trace:
    """The trace; one with plain integers if the model asks whether a size *is* another."""
    if not trace.unseen or not symbols_of(*args, dict(kwargs or {})):
        return trace
    reason = f"the identity of a size is asked for at {trace.unseen}, and Python tells nobody"
    try:
        pinned = _trace_python(model, args, kwargs, {**options, "pinned": reason})
    except Exception:  # in that way it does not run
        trace.notes.append(f"not followed: {reason}")
        return trace
    pinned.notes.append(f"all sizes are pinned, since {reason}")
    return pinned


def _with_numbers(
    model: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None, options: dict[str, Any], error: Exception
) -> Trace:  # fmt: skip
    """The trace of a model that runs with plain integers only, as for ``json.dumps(x.shape[0])``; else its own error."""
    if not symbols_of(*args, dict(kwargs or {})):
        raise error
    reason = f"the model fails with symbolic sizes: {_one_line(error)}"
    try:
        trace = _trace_python(model, args, kwargs, {**options, "pinned": reason})
    except Exception as second:
        if (type(second), str(second)) != (type(error), str(error)) and hasattr(error, "__assumed__"):
            del error.__assumed__  # with plain numbers it fails in another way, so they do not tell where it does
        raise error from None
    trace.notes.append(f"all sizes are pinned, since {reason}")
    return trace


def _trace_python(
    model: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None, options: dict[str, Any],
    engine: Callable[..., Trace] | None = None,
) -> Trace:  # fmt: skip
    if not any([issubclass(kind, torch.jit.ScriptModule) for kind in set(map(type, each_module(model)))]):
        try:
            return trace_model(model, args, kwargs, **options)
        except NeedsEngine:
            if engine is None or VERSION < _WITH_ENGINE:
                raise
        return engine(model, args, kwargs, **options)
    from fxcount.trace.frontends.script import readable

    with readable(model) as plain:
        return trace_model(plain, args, kwargs, **options)


def _is_exported(model: Any) -> bool:
    home = sys.modules.get("torch.export.exported_program")  # not loaded: then there is no such object
    return home is not None and isinstance(model, home.ExportedProgram)


def _one_line(error: Exception) -> str:
    text = getattr(error, "what", "") or str(error) or type(error).__name__
    where = getattr(error, "where", "")
    return " ".join(text.split()) + (f" at {where}" if where else "")
