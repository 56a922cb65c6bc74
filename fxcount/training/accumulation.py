"""What a backward writes into a tensor that is there already, where nobody else holds it.

Plain eager adds a gradient into the first that came, and formulas of derivatives scatter into zeros of their own. With a tensor
subclass, or under a dispatch mode, torch makes a new one instead: what it would have done is told from who holds the stand-in.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch

from fxcount import torch_private
from fxcount.ops.core.common import same_shape
from fxcount.symbolic import Scope, Size
from fxcount.training.nodes import has_no_gaps

__all__ = ["Accumulation", "may_be_in_place"]

_ALONE, _MEMORY_ALONE = 4, 3
"""References to a gradient, and to its storage, while it is added into and nobody but the engine holds it. A view of something
that is alive, as it is for the graph's sake, is not alone."""


_node_that_runs = torch_private.node_that_runs
_ATEN = torch.ops.aten
_ADD = _ATEN.add.Tensor
_ANY: frozenset[str] = frozenset()
_SCATTERING = frozenset({"GatherBackward0", "CummaxBackward0", "CumminBackward0"})
_CROSS_ENTROPY = frozenset({"BinaryCrossEntropyWithLogitsBackward0"})
_ENTROPIES = _CROSS_ENTROPY | {"BinaryCrossEntropyBackward0"}
_SUMMING = frozenset({"AminmaxBackward0"})
"""Nodes whose formula adds one gradient that it has made into another."""
_WRITTEN: Mapping[Any, tuple[Any, frozenset[str]]] = {
    _ATEN.index_put.default: (_ATEN.index_put_.default, frozenset({"IndexBackward0"})),
    _ATEN.index_add.default: (_ATEN.index_add_.default, frozenset({"IndexSelectBackward0"})),
    _ATEN.index_fill.int_Tensor: (_ATEN.index_fill_.int_Tensor, frozenset({"TraceBackward0"})),
    _ATEN.put.default: (_ATEN.put_.default, frozenset({"TakeBackward0"})),
    _ATEN.logical_and.default: (_ATEN.logical_and_.default, frozenset({"ClampBackward0", "ClampBackward1"})),
    _ATEN.scatter.src: (_ATEN.scatter_.src, _ANY),
    _ATEN.scatter_add.default: (_ATEN.scatter_add_.default, _SCATTERING),
    _ATEN.sub.Tensor: (_ATEN.sub_.Tensor, _CROSS_ENTROPY),
    _ATEN.mul.Tensor: (_ATEN.mul_.Tensor, _ENTROPIES),
    _ATEN.masked_scatter.default: (_ATEN.masked_scatter_.default, frozenset({"MaskedSelectBackward0"})),
}
"""What formulas of derivatives call on a tensor of their own for a tensor subclass, what for a tensor, and the nodes whose
formulas these are, if others mean what they call. Source: the branches of ATen's FunctionsManual.cpp that ask
``areAnyTensorSubclassLike``."""


_NEW = frozenset({(_ATEN.mul.Tensor, _ATEN.neg.default)})
"""What is done anew, and what has made the first operand: ``self.neg().mul(grad)`` of a cross entropy's target."""


def may_be_in_place(func: Any) -> bool:
    """Whether plain eager takes another overload for this one in some backwards.

    >>> may_be_in_place(torch.ops.aten.add.Tensor), may_be_in_place(torch.ops.aten.add_.Tensor)
    (True, False)
    """
    return func is _ADD or func in _WRITTEN


def _may_add(made_by: Any) -> bool:
    """Whether a sum may be one of gradients, into the first that came. One of two tensors that the running node has made is its
    formula's, which as a rule makes a new one, where no two of its gradients are of one tensor, so that none of them meet."""
    if made_by is None:
        return True
    node = _node_that_runs()
    edges = [edge for edge in node.next_functions if edge[0] is not None]
    return len(set(edges)) < len(edges) or node.name() in _SUMMING


class Accumulation:
    """Tells the ops of a backward that plain eager does in place."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._uses = torch_private.use_count

    def in_place_of(self, func: Any, args: tuple[Any, ...], maker: Callable[[Any], Any]) -> Any:
        """The overload that plain eager takes for this op, which no Python code asks for; ``None`` if it is ``func`` itself.
        ``maker`` tells what has made a tensor, if the node that runs has."""
        if func is _ADD:
            return _ATEN.add_.Tensor if len(args) == 2 and self._adds_into(*args) and _may_add(maker(args[0])) else None
        written, nodes = _WRITTEN.get(func, (None, _ANY))
        made_by = None if written is None else maker(args[0])
        if made_by is None or (func, made_by) in _NEW:
            return None
        return written if not nodes or _node_that_runs().name() in nodes else None

    def _is_free(self, into: Any) -> bool:
        """Whether nobody but the engine holds the tensor and its memory."""
        storage = getattr(into, "_storage", None)
        return storage is not None and self._uses(into) <= _ALONE and sys.getrefcount(storage) <= _MEMORY_ALONE

    def _adds_into(self, into: Any, other: Any) -> bool:
        """Source: ``can_accumulate_inplace`` of the engine's input_buffer.cpp; how the other one lies does not matter."""
        if not self._is_free(into):
            return False
        one, two = into._value.fact, other._value.fact
        return (
            one.dtype == two.dtype and _is_alike(self._scope, one.shape, two.shape)
            and has_no_gaps(self._scope, one.shape, one.stride())
        )  # fmt: skip


def _is_alike(scope: Scope, one: tuple[Size, ...], two: tuple[Size, ...]) -> bool:
    """Whether shapes are equal: one that torch's C++ has asked for is numbers, beside the formulas that it has pinned."""
    if one == two:
        return True
    same = len(one) == len(two) and all([scope.hint(m) == scope.hint(n) for m, n in zip(one, two)])
    return same and same_shape(scope, one, two, "gradients of one tensor")
