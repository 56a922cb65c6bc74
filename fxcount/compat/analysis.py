"""What the drop-ins share: real arguments as inputs of a trace, the mode a tool runs in, a tool's numbers by module."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from fxcount.errors import InputError
from fxcount.ops.core.fact import TensorFact
from fxcount.ops.core.tree import mapped
from fxcount.passes import cost
from fxcount.passes.modes import in_mode
from fxcount.report import Report
from fxcount.report.views.conventions import convention
from fxcount.report.views.conventions.modules import ModuleSite
from fxcount.report.views.conventions.records import Records
from fxcount.symbolic import Expr, Size, parse
from fxcount.trace import trace_model
from fxcount.trace.inputs.specs import InputSpec, Plain, parse_inputs
from fxcount.trace.tape import ModuleCall
from fxcount.wording import dtype_named

__all__ = ["analysed", "as_given", "below", "dtypes_of", "followed", "in_mode", "located", "sizes_in", "tensors_of"]


def as_given(data: Any, device: torch.device | None = None) -> Any:
    """Inputs of a trace for real arguments: tensors and arrays by their facts, everything else as it is."""

    def leaf(given: Any) -> Any:
        if isinstance(given, InputSpec):
            return given
        spec = parse_inputs(given) if isinstance(given, (torch.Tensor, np.ndarray)) else given
        if not isinstance(spec, InputSpec):
            return Plain(given)
        return dataclasses.replace(spec, device=device) if device and not spec.array else spec

    return mapped(leaf, data, keep=True)


def sizes_in(shape: Iterable[Any]) -> tuple[Size, ...]:
    """A shape as other tools are given it, in which a text is a symbol or an expression.

    >>> sizes_in((2, "3*H"))
    (2, 3*H)
    """
    return tuple(parse(s) if isinstance(s, str) else int(s) for s in shape)


def dtypes_of(given: Iterable[Any] | None) -> list[torch.dtype] | None:
    """dtypes as other tools are given them: torch's, their names, and the old types of tensors.

    >>> dtypes_of([torch.int8, "torch.float16", "bool", torch.LongTensor, "torch.cuda.DoubleTensor"])
    [torch.int8, torch.float16, torch.bool, torch.int64, torch.float64]
    """
    return None if given is None else [_dtype(d) for d in given]


def _dtype(given: Any) -> torch.dtype:
    meant = given
    if isinstance(given, str):
        name = given.removeprefix("torch.").removeprefix("cuda.")
        meant = getattr(torch, dtype_named(name) or name, None)
    found = meant if isinstance(meant, torch.dtype) else getattr(meant, "dtype", None)
    if not isinstance(found, torch.dtype):
        raise TypeError(f"dtypes holds {given!r}, which is neither a dtype, nor the name of one, nor a type of tensors")
    return found


@contextmanager
def followed(model: nn.Module) -> Iterator[nn.Module]:
    """The model, with modules of Python in the place of compiled ones (TorchScript) meanwhile."""
    if any([isinstance(module, torch.jit.ScriptModule) for module in model.modules()]):
        from fxcount.trace.frontends.script import readable

        with readable(model) as plain:
            yield plain
    else:
        yield model


def analysed(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], training: bool | None = False) -> Report:
    """The report of one call, its inputs given by :func:`as_given`; ``training=None`` leaves the mode as it is."""
    if training is None:
        trace = trace_model(model, args, kwargs)
    else:
        with in_mode(model, training):
            trace = trace_model(model, args, kwargs)
    return Report(trace, cost(trace))


class Located(NamedTuple):
    """What a convention counts for one call: the innermost module call it belongs to, its first op call, whether the count is
    that of the module call and not of an op in it, and the count."""

    module: ModuleCall
    start: int
    whole: bool
    counted: Size


def located(report: Report, name: str) -> Iterator[Located]:
    """Every call that a convention counts: module calls, then op calls, each in their order."""
    from fxcount.report.views.conventions.count import item_count

    calls, modules = report.trace.calls, report.trace.modules
    of_modules: list[tuple[int, Size]] = []
    of_ops: list[tuple[int, Size]] = []
    for item in convention(name).items(Records(report.trace, report.costs)):
        whole = item.alike is not None and isinstance(item.alike.site, ModuleSite)
        count = item_count(report, item)
        (of_modules if whole else of_ops).extend([(i, count) for i in item.calls])
    for i, count in sorted(of_modules, key=itemgetter(0)):
        yield Located(modules[i], modules[i].start, True, count)
    for i, count in sorted(of_ops, key=itemgetter(0)):
        yield Located(modules[calls[i].module], i, False, count)


def below(report: Report, roots: set[int]) -> set[int]:
    """These module calls and all inside them, by their indices."""
    found: set[int] = set()
    for m in report.trace.modules:
        if m.index in roots or m.parent in found:
            found.add(m.index)
    return found


def tensors_of(call: ModuleCall) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    """Inputs and outputs of a module call for a rule of the user's: tensors on ``meta``.

    Raises :class:`~fxcount.errors.InputError` for a size that is a formula.
    """
    return tuple([_meta(f) for f in call.inputs]), tuple([_meta(f) for f in call.outputs])


def _meta(fact: TensorFact) -> torch.Tensor:
    symbols = [s for s in fact.shape if isinstance(s, Expr)]
    if symbols:
        raise InputError(f"a rule of yours cannot be asked about the size {symbols[0]}", hint="give inputs without symbols")
    return torch.empty(fact.shape, dtype=fact.dtype, device="meta")  # type: ignore[arg-type]
