"""Nodes of a graph that are no ops: sizes and checks that export writes out, and operators that run a graph inside.

A handler gets ``run(graph_module, inputs)`` in front of the node's own arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from fxcount import torch_private

__all__ = ["handler"]

Run = Callable[[Any, Sequence[Any]], Any]


def handler(target: Any) -> Callable[..., Any] | None:
    """How to run a node of this target, if it is none that simply is called."""
    if isinstance(target, torch_private.HigherOrderOperator):
        return _HIGHER_ORDER.get(str(target.__name__))
    if isinstance(target, torch_private.OpOverload):
        return _ATEN.get(str(torch_private.schema(target).name))
    return None


# -- sizes and checks ----------------------------------------------------------------------------------------------
def _size(run: Run, x: torch.Tensor, dim: int | None = None) -> Any:
    return tuple(x.shape) if dim is None else x.shape[dim]


def _stride(run: Run, x: torch.Tensor, dim: int | None = None) -> Any:
    return x.stride() if dim is None else x.stride(dim)


def _check(run: Run, *_: Any, **__: Any) -> None:
    """A check that export made explicit: the sizes it is about were decided when the graph was made."""


_ATEN: dict[str, Callable[..., Any]] = {
    "aten::sym_size": _size,
    "aten::sym_stride": _stride,
    "aten::sym_numel": lambda run, x: x.numel(),
    "aten::sym_storage_offset": lambda run, x: x.storage_offset(),
    "aten::sym_is_contiguous": lambda run, x, *_: x.is_contiguous(),
    "aten::sym_constrain_range": _check,
    "aten::sym_constrain_range_for_size": _check,
    "aten::_assert_scalar": _check,
    "aten::_assert_async": _check,
    "aten::_assert_tensor_metadata": _check,
    "aten::_functional_assert_async": lambda run, x, message, token: token,
    "aten::_functional_assert_scalar": lambda run, x, message, token: token,
    "aten::lift_fresh_copy": lambda run, x: x.clone(),
}


# -- graphs inside -------------------------------------------------------------------------------------------------
def _grad_enabled(run: Run, enabled: bool, graph: Any, *inputs: Any) -> Any:
    with torch.set_grad_enabled(enabled):
        return run(graph, inputs)


def _autocast(run: Run, device: str, dtype: Any, enabled: bool, cache: Any, graph: Any, *inputs: Any) -> Any:
    with torch.autocast(device, dtype=dtype, enabled=enabled, cache_enabled=cache):
        return run(graph, inputs)


def _plain(run: Run, graph: Any, *inputs: Any, **_: Any) -> Any:
    return run(graph, inputs)


def _subgraph(run: Run, graph: Any, identifier: Any, *inputs: Any) -> Any:
    return run(graph, inputs)


def _branch(run: Run, condition: Any, graph_true: Any, graph_false: Any, inputs: Sequence[Any] = ()) -> Any:
    """``torch.cond``: a condition on sizes is decided at the hint, one on data is an error, as for an ``if``."""
    return run(graph_true if bool(condition) else graph_false, inputs)


_HIGHER_ORDER: dict[str, Callable[..., Any]] = {
    "wrap_with_set_grad_enabled": _grad_enabled,
    "wrap_with_autocast": _autocast,
    "tag_activation_checkpoint": _plain,
    "wrap": _plain,
    "wrap_activation_checkpoint": _plain,
    "invoke_subgraph": _subgraph,
    "hints_wrapper": lambda run, graph, inputs, kwargs, hints: run(graph, inputs),
    "cond": _branch,
}
