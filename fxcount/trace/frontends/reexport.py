"""The way out when a model defeats the tracer: ``torch.export`` with the symbols as dynamic dimensions, then its graph.

Slower by two orders of magnitude, and dimensions that export specialises become pinned assumptions.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch

from fxcount.errors import UnsupportedError, first_line
from fxcount.ops import REGISTRY, Registry
from fxcount.symbolic import Expr, Scope, evaluate
from fxcount.torch_private import pytree
from fxcount.trace.frontends.exported import flat_inputs, program_of
from fxcount.trace.frontends.inputs import specialised_inputs
from fxcount.trace.inputs.census import Census
from fxcount.trace.inputs.inventory import take_inventory
from fxcount.trace.inputs.specs import InputSpec, Plain, default_hints, parse_inputs
from fxcount.trace.tape import Trace
from fxcount.trace.torch_patch.active import Undo
from fxcount.trace.torch_patch.preserve import keep
from fxcount.trace.torch_patch.session import TraceSession

__all__ = ["trace_by_export"]


def trace_by_export(
    model: torch.nn.Module, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None, *,
    hints: Mapping[str, int] | None = None, registry: Registry = REGISTRY, progress: Callable[[int], None] | None = None,
) -> Trace:  # fmt: skip
    """Export the model at the hints, all symbols dynamic, and trace the exported program.

    Raises :class:`~fxcount.errors.UnsupportedError` if torch cannot export it.
    """
    import torch.export

    held = take_inventory(model)
    specs = (tuple(parse_inputs(a) for a in args), parse_inputs(dict(kwargs or {})))
    leaves, tree = pytree.tree_flatten(specs)
    leaves = [leaf.value if isinstance(leaf, Plain) else leaf for leaf in leaves]
    chosen = default_hints([s for s in leaves if isinstance(s, InputSpec)], hints or {}, Scope({}).unbacked)

    def example(leaf: Any) -> Any:
        if not isinstance(leaf, InputSpec):
            return leaf
        sizes = [evaluate(s, chosen) for s in leaf.shape]
        made = torch.zeros(sizes, dtype=leaf.dtype or held.dtype, device=leaf.device or held.device)
        return made.cpu().numpy() if leaf.array else made

    examples, named_examples = pytree.tree_unflatten([example(leaf) for leaf in leaves], tree)
    dynamic = pytree.tree_unflatten([_dynamic(leaf) for leaf in leaves], tree)
    shapes = _by_name(dynamic, model, examples, named_examples)
    try:
        program = TraceSession.run(
            lambda undo: _exported(model, held.unique_modules(), (examples, named_examples, shapes), undo)
        )
    except Exception as error:
        raise UnsupportedError(
            f"torch.export cannot export the model: {first_line(error)}",
            hint="torch.export's own message is this error's cause",
        ) from error
    prepared = program_of(program)
    specialised_inputs(prepared, flat_inputs(program, specs))
    return prepared.trace("export", hints={**chosen, **(hints or {})}, registry=registry, progress=progress)


def _exported(model: torch.nn.Module, modules: list[torch.nn.Module], arguments: tuple[Any, Any, Any], undo: Undo) -> Any:
    keep(Census(modules), undo)
    examples, named_examples, shapes = arguments
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about its own internals
        return torch.export.export(model, examples, named_examples, dynamic_shapes=shapes, strict=False)


def _dynamic(leaf: Any) -> Any:
    from torch.export import Dim

    if not isinstance(leaf, InputSpec):
        return None
    return {d: Dim.AUTO for d, s in enumerate(leaf.shape) if isinstance(s, Expr)} or None


def _by_name(dynamic: Any, model: torch.nn.Module, args: Any, kwargs: Any) -> Any:
    """Dynamic shapes as export wants them: by the names of forward's parameters."""
    import inspect

    bound = inspect.signature(model.forward).bind(*args, **kwargs).arguments
    parameters = inspect.signature(model.forward).parameters
    positional, named = dynamic
    found: dict[str, Any] = {}
    used = 0
    for name in bound:
        kind = parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            found[name] = tuple(positional[used:])
        elif kind is inspect.Parameter.VAR_KEYWORD:
            found[name] = {k: named[k] for k in bound[name]}
        elif name in named:
            found[name] = named[name]
        else:
            found[name] = positional[used]
            used += 1
    return found
