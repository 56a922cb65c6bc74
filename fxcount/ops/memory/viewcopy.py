"""Views as copies: ``permute_copy``, ``unbind_copy``, ... what functionalised graphs have in the place of views.

Shapes:  those of the view, in row-major memory of its own
Counts:  0, every element copied

>>> import torch
>>> x = TensorFact((2, 3), torch.float32)
>>> copied(views.transposed)(Scope({}), x)
TensorFact(shape=(3, 2), dtype=torch.float32, device=device(type='cpu'), strides=None)
"""

from __future__ import annotations

from typing import Any

from fxcount.ops.core.fact import Alias, TensorFact
from fxcount.ops.core.registry import Op, ShapeRule, Zero, op
from fxcount.ops.core.tree import mapped
from fxcount.ops.elementwise import complex
from fxcount.ops.memory import indexing, joining, views
from fxcount.symbolic import Scope

__all__ = ["OPS", "copied"]


def copied(view: ShapeRule) -> ShapeRule:
    """The rule of a view, its results fresh and row-major."""

    def rule(scope: Scope, *args: Any, **kwargs: Any) -> Any:
        return mapped(_fresh, view(scope, *args, **kwargs))

    return rule


def _fresh(result: TensorFact | Alias) -> TensorFact:
    fact: TensorFact = result.fact if isinstance(result, Alias) else result
    return fact.new(fact.shape)


_COPY = Zero("copies elements", moves=True)
_VIEWS: dict[str, ShapeRule] = {
    "alias_copy": views.same_view,
    "detach_copy": views.same_view,
    "lift_fresh_copy": views.same_view,
    "as_strided_copy": views.as_strided,
    "diagonal_copy": views.diagonal,
    "expand_copy": views.expand,
    "narrow_copy": indexing.narrow,
    "permute_copy": views.permute,
    "select_copy": indexing.select,
    "slice_copy": indexing.slice_,
    "split_copy": joining.split,
    "split_with_sizes_copy": joining.split_with_sizes,
    "squeeze_copy": views.squeeze,
    "t_copy": views.transposed,
    "transpose_copy": views.transpose,
    "unbind_copy": joining.unbind,
    "unfold_copy": views.unfold,
    "unsqueeze_copy": views.unsqueeze,
    "view_copy": views.view,
    "view_as_complex_copy": complex.view_as_complex,
    "view_as_real_copy": complex.view_as_real,
}

OPS: tuple[Op, ...] = tuple(op(name, shape=copied(rule), cost=_COPY) for name, rule in _VIEWS.items())
