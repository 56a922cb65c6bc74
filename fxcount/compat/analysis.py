"""What the drop-ins share: real arguments as inputs of a trace, the mode a tool runs in, a tool's numbers by module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from fxcount.ops.core.tree import mapped
from fxcount.passes import cost
from fxcount.passes.modes import in_mode
from fxcount.report import Report
from fxcount.report.views.conventions import Item, convention
from fxcount.symbolic import Size, parse
from fxcount.trace import trace_model
from fxcount.trace.inputs.specs import InputSpec, Plain, parse_inputs
from fxcount.trace.tape import ModuleCall

__all__ = ["analysed", "as_given", "in_mode", "located", "sizes_in"]


def as_given(data: Any, device: torch.device | None = None) -> Any:
    """Inputs of a trace for real arguments: tensors by their facts, everything else as it is."""

    def leaf(given: Any) -> Any:
        if isinstance(given, InputSpec):
            return given
        if not isinstance(given, torch.Tensor):
            return Plain(given)
        spec = parse_inputs(given)
        return InputSpec(spec.shape, spec.dtype, device, spec.requires_grad, spec.strides, spec.data) if device else spec

    return mapped(leaf, data, keep=True)


def sizes_in(shape: Iterable[Any]) -> tuple[Size, ...]:
    """A shape as other tools are given it, in which a text is a symbol or an expression.

    >>> sizes_in((2, "3*H"))
    (2, 3*H)
    """
    return tuple(parse(s) if isinstance(s, str) else int(s) for s in shape)


def analysed(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], training: bool | None = False) -> Report:
    """The report of one call, its inputs given by :func:`as_given`; ``training=None`` leaves the mode as it is."""
    if training is None:
        trace = trace_model(model, args, kwargs)
    else:
        with in_mode(model, training):
            trace = trace_model(model, args, kwargs)
    return Report(trace, cost(trace))


def located(report: Report, name: str) -> Iterator[tuple[ModuleCall, Item, Size]]:
    """Every item of a convention with the innermost module call it belongs to, and its count."""
    from fxcount.report.views.conventions.count import item_count

    trace = report.trace
    waiting: dict[tuple[int, int, str], list[ModuleCall]] = {}
    for m in reversed(trace.modules):
        waiting.setdefault((m.start, m.stop, m.class_name), []).append(m)
    for item in convention(name).items(trace, report.costs):
        found = waiting.get((item.calls.start, item.calls.stop, item.kind))
        if found:  # an item of a whole module call; of several that look alike the first
            yield found.pop() if len(found) > 1 else found[0], item, item_count(report, item)
        else:
            yield trace.modules[trace.calls[item.calls.start].module], item, item_count(report, item)
