"""``nn.AdaptiveLogSoftmaxWithLoss`` of targets that nobody knows: how many fall into each cluster are sizes that data decide.

torch's forward looks for the targets of one cluster after the other, and then adds up whether all are found. Here the work is
the same, and the clusters' rows are told to add up before anyone asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from fxcount import torch_private
from fxcount.symbolic import to_size
from fxcount.trace.torch_patch.active import ACTIVE
from fxcount.trace.tracer.standin import StandIn

if TYPE_CHECKING:
    from fxcount.trace.tracer.tracer import Tracer

__all__ = ["adaptive_softmax"]


def adaptive_softmax(original: Callable[..., Any]) -> Callable[..., Any]:
    """The forward that stands for torch's own where the targets are unknown."""

    def forward(self: Any, input_: Any, target_: Any) -> Any:
        tracer = ACTIVE.tracer
        if tracer is None or type(target_) is not StandIn or tracer.answers.is_known(target_):
            return original(self, input_, target_)
        if target_.dim() != 1 or input_.dim() != 2 or input_.size(0) != target_.size(0):
            return original(self, input_, target_)
        return _by_cluster(tracer, self, input_, target_)

    return forward


def _by_cluster(tracer: Tracer, layer: Any, x: torch.Tensor, target: torch.Tensor) -> Any:
    batch = target.size(0)
    output, gathered = x.new_zeros(batch), target.new_empty(batch)
    masks = [(target >= low) & (target < high) for low, high in zip([0, *layer.cutoffs], layer.cutoffs)]
    rows = [mask.nonzero().squeeze(1) for mask in masks]
    found = [to_size(r.size(0)) for r in rows]
    tracer.scope.unbacked.balance(found, to_size(batch), "every target is in one cluster")
    gathered.index_copy_(0, rows[0], target[masks[0]])
    for i in range(1, len(rows)):
        relative = target[masks[i]] - layer.cutoffs[i - 1]
        gathered.index_fill_(0, rows[i], layer.shortlist_size + i - 1)
        log_probabilities = torch.nn.functional.log_softmax(layer.tail[i - 1](x.index_select(0, rows[i])), dim=1)
        output.index_copy_(0, rows[i], log_probabilities.gather(1, relative.unsqueeze(1)).squeeze(1))
    head = torch.nn.functional.log_softmax(layer.head(x), dim=1)
    output += head.gather(1, gathered.unsqueeze(1)).squeeze(1)
    return torch_private.AdaptiveOutput(output, (-output).mean())
