"""Gradients of what compares elements with one another: distances, margins, alignments of sequences, segments.

Letters: n = width of the vectors compared; P, R vectors in two sets; C classes in each of r rows; T steps of S states
Shapes:  as the operand the gradient is for
Counts:  cdist, pdist  for each pair and component a subtraction, the gradient of a component, and the sums over pairs, one
                       addition less than terms. Of a component: p=2  g*d/y, y compared with 0: 3
                       p=1  g*sign(d): 3          p=infinity  g*sign(d) * (1 - min(1, ceil(abs(abs(d) - y)))): 10
                       p>2  d*abs(d)^(p-2) * g / y^(p-1), y compared with 0: 7, 2 of them powers
                       else sign(d)*abs(d)^(p-1) * g / y^(p-1), y and d compared with 0: 10, 2 of them powers
         multi_margin  per wrong class margin - x + x, a comparison, a subtraction (p=2: two products, weights: one more);
                       a product per element
         multilabel_margin  dense: each pair of classes 2 subtractions, a comparison, 2 additions; a product per element
         ctc           backward variables: T-1 steps of S states, 13 each as in the forward; what both variables say of a class,
                       a sum and the log of the sum of two exponentials, 10 each; at the last step two sums a sample; then
                       ``(exp(x) - exp(a + nll - x)) * g``, 6 per element
         segment_reduce  sum copies; mean a division per segment; prod a product per segment, two tests and a division per
                       element (where none is 0); max and min per element two tests, a comparison and a division
Source:  ATen/native/cpu/DistanceOpsKernel.cpp, LossMultiMargin.cpp, LossMultiLabelMargin.cpp, LossCTC.cpp, SegmentReduce.cpp

>>> import torch
>>> g, x = TensorFact((2, 3), torch.float32), TensorFact((2, 5), torch.float32)
>>> other = TensorFact((3, 5), torch.float32)
>>> _cdist_cost(cdist_backward(Scope({}), g, x, other, 2.0, g), g, x, other, 2.0, g).flops
140
"""

from __future__ import annotations

from math import inf
from typing import Any

from fxcount.ops.core.arguments import Given, Reduction
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.loss.classification import ctc_states
from fxcount.symbolic import Scope, Size, max_, prod

__all__ = ["OPS"]


# --- distances -------------------------------------------------------------------------------------------------------
def cdist_backward(scope: Scope, g: TensorFact, x1: TensorFact, x2: TensorFact, p: float, y: TensorFact) -> TensorFact:
    return x1.new((*y.shape[:-2], *x1.shape[-2:]))


def _as_input(scope: Scope, g: TensorFact, x: TensorFact, *_: object, **__: object) -> TensorFact:
    return x.new(x.shape)


def _component(p: float) -> Scalars:
    """The gradient of one component of a difference."""
    if p == 1:
        return Scalars(add=2, mul=1)
    if p == 2:
        return Scalars(add=1, mul=1, div=1)
    if p == inf:
        return Scalars(add=8, mul=2)
    if p > 2:
        return Scalars(add=2, mul=2, div=1, fn=2)
    return Scalars(add=5, mul=2, div=1, fn=2)


def _distance_work(y: TensorFact, compared: Size, terms: Size, p: float) -> Work:
    """So many components are compared, which are so many terms of the sums that the gradient is."""
    if p == 0:  # the number of components that differ has no slope
        return Work()
    sums = Scalars(add=max_(terms - y.numel, 0))
    return ((_component(p) + Scalars(add=1)) * compared + sums).work(1, y.dtype)


def _cdist_cost(y: TensorFact, g: TensorFact, x1: TensorFact, x2: TensorFact, p: float, found: TensorFact) -> Work:
    """Per pair and component a subtraction and p=2, 1: 3; infinity 10; larger p 7; others 10; and the sums over the pairs."""
    compared = found.numel * x1.shape[-1]
    return _distance_work(y, compared, compared, p)


def _pdist_cost(y: TensorFact, g: TensorFact, x: TensorFact, p: float, found: TensorFact) -> Work:
    """As cdist's; a pair moves both its vectors."""
    compared = found.numel * x.shape[-1]
    return _distance_work(y, compared, 2 * compared, p)


# --- classes ---------------------------------------------------------------------------------------------------------
def _multi_margin_cost(
    y: TensorFact, g: TensorFact, x: TensorFact, target: TensorFact, p: float = 1, margin: float = 1.0, weight: Given = None,
    reduction: Reduction = 1,
) -> Work:  # fmt: skip
    """Per wrong class ``margin - x + x``, a comparison, a sum, p=2 two products, a weight's; then a product per element."""
    wrong = prod(x.shape[:-1]) * (x.shape[-1] - 1) if x.shape else 0
    each = Scalars(add=4, mul=(2 if p == 2 else 0) + (1 if weight is not None else 0))
    return (each * wrong + Scalars(mul=x.numel)).work(1, x.dtype)


def _multilabel_cost(y: TensorFact, g: TensorFact, x: TensorFact, *_: object, **__: object) -> Work:
    """Each pair of classes: 2 subtractions, a comparison, 2 additions; then a product per element."""
    pairs = x.numel * (x.shape[-1] if x.shape else 1)
    return Scalars(add=5 * pairs, mul=x.numel).work(1, x.dtype)


def _ctc_cost(y: TensorFact, g: TensorFact, log_probs: TensorFact, targets: TensorFact, *_: object, **__: object) -> Work:
    """T-1 steps of 13 for each state and 10 for what it adds to its class, 2 sums per sample, 6 per element."""
    samples, states = ctc_states(log_probs, targets)
    steps = (log_probs.shape[0] - 1) * states
    met = Scalars(add=9, fn=4) + Scalars(add=7, fn=3)
    return (met * steps + Scalars(add=2) * samples + Scalars(add=3, mul=1, fn=2) * log_probs.numel).work(1, y.dtype)


# --- segments --------------------------------------------------------------------------------------------------------
def segment_backward(scope: Scope, g: TensorFact, y: TensorFact, data: TensorFact, *_: object, **__: object) -> TensorFact:
    return data.new(data.shape)


def _segment_cost(x: TensorFact, g: TensorFact, y: TensorFact, data: TensorFact, reduce: str, *_: Any, **__: Any) -> Work:
    """Per element, and per segment: sum 0; mean 0, 1; prod 3, 1; max and min 4, 0."""
    per_element, per_segment = {
        "sum": (Scalars(), Scalars()),
        "mean": (Scalars(), Scalars(div=1)),
        "prod": (Scalars(add=2, div=1), Scalars(mul=1)),
    }.get(reduce, (Scalars(add=3, div=1), Scalars()))
    return (per_element * data.numel + per_segment * y.numel).work(1, data.dtype)


OPS: tuple[Op, ...] = (
    op("_cdist_backward", shape=cdist_backward, cost=_cdist_cost),
    op("_pdist_backward", shape=_as_input, cost=_pdist_cost),
    op("multi_margin_loss_backward", shape=_as_input, cost=_multi_margin_cost),
    op("multilabel_margin_loss_backward", shape=_as_input, cost=_multilabel_cost),
    op("_ctc_loss_backward", shape=_as_input, cost=_ctc_cost),
    op("_segment_reduce_backward", shape=segment_backward, cost=_segment_cost),
)
