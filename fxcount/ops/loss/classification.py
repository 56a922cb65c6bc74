"""Losses on classes: cross entropy, negative log likelihood, margins, CTC.

Letters: N samples, C classes, *I positions; r = rows of classes; S target length, T input length.
Counts:  nll            per row a negation, with weights a multiplication; reduced; a weighted mean sums the weights too
         cross_entropy  log_softmax = 5*numel - r, then nll. Label smoothing: C-1 additions and a negation per row
                        (with weights C multiplications), reduced as well, then 3 flops per result to mix. Class
                        probabilities: a multiplication per element, C-1 additions and a negation per row (smoothing:
                        2 per element)
         multi_margin   per wrong class: subtraction, addition, comparison (p=2: a square; weight: a multiplication);
                        C-2 additions and a division per row
         multilabel_margin  dense: every pair of classes 2 subtractions, a comparison, an addition; a division per row
         ctc            forward variables of the 2*S+1 states, T-1 steps: log of the sum of three exponentials, 13 each
                        (2 comparisons, 3 subtractions, 3 exp, 2 additions, log, 2 additions); at the end that of two
                        exponentials and a negation, 9; the mean divides by the target lengths
Source:  the definitions in the torch.nn documentation; Graves et al. 2006 for ctc
"""

from __future__ import annotations

from typing import Any

from fxcount.errors import ShapeError
from fxcount.ops.core.arguments import Given, Reduction, Results
from fxcount.ops.core.common import shape_text
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.positions import classes
from fxcount.ops.core.reducing import combined, reduced, reducing
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import Scalars
from fxcount.symbolic import Scope, Size, prod

__all__ = ["OPS", "cross_entropy_loss", "ctc_states", "nll_loss"]



def _per_row(x: TensorFact) -> tuple[Size, ...]:
    """The shape without the class dimension: the only one, or the second."""
    return () if x.ndim == 1 else (x.shape[0], *x.shape[2:])


def _classes(x: TensorFact) -> Size:
    return x.shape[0] if x.ndim == 1 else x.shape[1]


def _check_target(scope: Scope, name: str, x: TensorFact, target: TensorFact, weight: Given) -> None:
    wanted = _per_row(x)
    fits = bool(x.shape) and len(wanted) == target.ndim and all(
        scope.same(a, b, f"{name}: a class for each row") for a, b in zip(wanted, target.shape, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"{name}: input {shape_text(x.shape)} wants targets {shape_text(wanted)}, got {shape_text(target.shape)}",
            hint="the class dimension of the input is the second",
        )
    _check_weight(scope, name, x, weight)


def _check_weight(scope: Scope, name: str, x: TensorFact, weight: Given) -> None:
    if weight is not None and not scope.same(weight.numel, _classes(x), f"{name}: a weight for each class"):
        raise ShapeError(f"{name}: {weight.numel} weights for {_classes(x)} classes")


def nll_loss(
    scope: Scope, x: TensorFact, target: TensorFact, weight: Given = None, reduction: Reduction = 1, ignore_index: int = -100
) -> TensorFact:
    """x (N, C, *I) log probabilities, target (N, *I) classes."""
    _check_target(scope, "nll_loss", x, target, weight)
    return reduced(x.new(_per_row(x)), reduction)


def _nll_scalars(rows: Size, weight: Given, reduction: Reduction) -> Scalars:
    weighted = weight is not None
    weights_summed = rows - 1 if weighted and reducing(reduction) == 1 else 0
    return Scalars(add=rows + weights_summed, mul=rows if weighted else 0)


def _nll_cost(y: object, x: TensorFact, target: TensorFact, weight: Given = None, reduction: Reduction = 1, *_: object) -> Work:
    return combined(x, target.numel, _nll_scalars(target.numel, weight, reduction), reduction)


def nll_loss_forward(
    scope: Scope, x: TensorFact, target: TensorFact, weight: Given, reduction: int, ignore_index: int
) -> tuple[TensorFact, TensorFact]:
    """The ATen form: also the sum of the weights."""
    return nll_loss(scope, x, target, weight, reduction), x.new(())


def _total_weight(y: TensorFact, x: TensorFact, *_: object, **__: object) -> Size:
    return x.itemsize


def cross_entropy_loss(
    scope: Scope,
    x: TensorFact,
    target: TensorFact,
    weight: Given = None,
    reduction: Reduction = 1,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> TensorFact:
    """x (N, C, *I) scores; target (N, *I) classes, or (N, C, *I) probabilities."""
    if _is_probability(x, target):
        same = (scope.same(a, b, "cross_entropy: a probability for each score") for a, b in zip(x.shape, target.shape))
        if not all(same):
            raise ShapeError(f"cross_entropy: scores {shape_text(x.shape)}, probabilities {shape_text(target.shape)}")
        _check_weight(scope, "cross_entropy", x, weight)
    else:
        _check_target(scope, "cross_entropy", x, target, weight)
    return reduced(x.new(_per_row(x)), reduction)


def _is_probability(x: TensorFact, target: TensorFact) -> bool:
    return x.ndim == target.ndim and target.dtype.is_floating_point


def _row_sums(numel: Size, rows: Size, weight: Given) -> Scalars:
    """The negated sum over the classes of every row."""
    return Scalars(add=numel, mul=numel if weight is not None else 0)


def _options(
    weight: Given = None, reduction: Reduction = 1, ignore_index: int = -100, label_smoothing: float = 0.0
) -> tuple[Given, Any, float]:
    """What matters to the work among the arguments of ``cross_entropy_loss``, however they were passed."""
    return weight, reduction, label_smoothing


def _cross_entropy_cost(y: TensorFact, x: TensorFact, target: TensorFact, *args: Any, **kwargs: Any) -> Work:
    weight, reduction, label_smoothing = _options(*args, **kwargs)
    rows = x.new(_per_row(x)).numel
    scores = Scalars(add=4 * x.numel - 2 * rows, fn=x.numel + rows)
    if _is_probability(x, target):
        products = Scalars(mul=x.numel + (2 * x.numel if label_smoothing else 0))
        return combined(x, rows, scores + products + _row_sums(x.numel, rows, weight), reduction)
    picked = scores + _nll_scalars(rows, weight, reduction)
    if not label_smoothing:
        return combined(x, rows, picked, reduction)
    smooth = combined(x, rows, _row_sums(x.numel, rows, weight), reduction)
    plain = combined(x, rows, picked + Scalars(add=1, mul=2) * y.numel, reduction)
    return Work(flops=plain.flops + smooth.flops, transcendentals=plain.transcendentals)


def _cross_entropy_held(y: TensorFact, x: TensorFact, target: TensorFact, *args: Any, **kwargs: Any) -> Size:
    """Log probabilities and the weights' sum; products with weights or probabilities; smoothed sums."""
    weight, reduction, label_smoothing = _options(*args, **kwargs)
    rows = x.new(_per_row(x)).numel
    if _is_probability(x, target):
        products = 2 + (weight is not None) + (label_smoothing > 0)
        return products * x.nbytes + (2 if reducing(reduction) == 1 else 1) * y.nbytes
    if label_smoothing:
        return x.nbytes * (1 if weight is None else 2) + 2 * rows * x.itemsize
    return x.nbytes + x.itemsize


def multi_margin_loss(
    scope: Scope, x: TensorFact, target: TensorFact, p: int = 1, margin: float = 1.0, weight: Given = None,
    reduction: Reduction = 1,
) -> TensorFact:  # fmt: skip
    """x (N, C), target (N)."""
    if not scope.same(target.numel, prod(x.shape[:-1]), "multi_margin_loss: a class for each row"):
        raise ShapeError(f"multi_margin_loss: input {shape_text(x.shape)}, target {shape_text(target.shape)}")
    if weight is not None and not scope.same(weight.numel, x.shape[-1], "multi_margin_loss: a weight for each class"):
        raise ShapeError(f"multi_margin_loss: {weight.numel} weights for {x.shape[-1]} classes")
    return reduced(x.new(x.shape[:-1]), reduction)


def _multi_margin_cost(
    y: Results, x: TensorFact, target: Any, p: int = 1, margin: float = 1.0, weight: Given = None, reduction: Reduction = 1
) -> Work:
    classes = x.shape[-1]
    rows = x.new(x.shape[:-1]).numel
    per_wrong = 3 + (p == 2) + (weight is not None)
    return combined(x, rows, Scalars(add=((classes - 1) * (per_wrong + 1)) * rows), reduction)


def multilabel_margin_loss(scope: Scope, x: TensorFact, target: TensorFact, reduction: Reduction = 1) -> TensorFact:
    """x and target (N, C)."""
    pairs = zip(x.shape, target.shape, strict=False)
    if x.ndim != target.ndim or not all(scope.same(a, b, "multilabel_margin_loss") for a, b in pairs):
        raise ShapeError(f"multilabel_margin_loss: input {shape_text(x.shape)}, target {shape_text(target.shape)}")
    return reduced(x.new(x.shape[:-1]), reduction)


def multilabel_margin_loss_forward(
    scope: Scope, x: TensorFact, target: TensorFact, reduction: Reduction = 1
) -> tuple[TensorFact, TensorFact]:
    """The ATen form: also which classes are targets."""
    return multilabel_margin_loss(scope, x, target, reduction), x.new(target.shape)


def _multilabel_cost(y: Results, x: TensorFact, target: Any, reduction: Reduction = 1) -> Work:
    rows = x.new(x.shape[:-1]).numel
    return combined(x, rows, Scalars(add=4 * x.numel * x.shape[-1], div=rows), reduction)


def _targets_held(y: Results, x: TensorFact, *_: object, **__: object) -> Size:
    return x.nbytes


def ctc_loss(
    scope: Scope, log_probs: TensorFact, targets: TensorFact, input_lengths: Any, target_lengths: Any,
    blank: int = 0, reduction: Reduction = 1, zero_infinity: bool = False,
) -> TensorFact:  # fmt: skip
    """log_probs (T, N, C) or (T, C); targets (N, S), or all of them in a row."""
    if log_probs.ndim not in (2, 3):
        raise ShapeError(f"ctc_loss: log_probs must be (T, N, C) or (T, C), got {shape_text(log_probs.shape)}")
    for lengths in (input_lengths, target_lengths):
        given = lengths.numel if isinstance(lengths, TensorFact) else len(lengths)
        if not scope.same(given, prod(log_probs.shape[1:-1]), "ctc_loss: a length for each sample"):
            raise ShapeError(f"ctc_loss: {given} lengths for samples of shape {shape_text(log_probs.shape[1:-1])}")
    if targets.ndim == 2 and not scope.same(targets.shape[0], log_probs.shape[1], "ctc_loss: targets for each sample"):
        raise ShapeError(f"ctc_loss: targets {shape_text(targets.shape)} for {log_probs.shape[1]} samples")
    return reduced(log_probs.new(log_probs.shape[1:-1]), reduction)


def ctc_states(log_probs: TensorFact, targets: TensorFact) -> tuple[Size, Size]:
    """Samples, and states of all samples together; padded targets count in full."""
    samples = log_probs.shape[1] if log_probs.ndim == 3 else 1
    return samples, 2 * targets.numel + samples


def _ctc_cost(
    y: Results, log_probs: TensorFact, targets: TensorFact, input_lengths: Any, target_lengths: Any,
    blank: int = 0, reduction: Reduction = 1, zero_infinity: bool = False,
) -> Work:  # fmt: skip
    samples, states = ctc_states(log_probs, targets)
    steps = (log_probs.shape[0] - 1) * states
    forward = Scalars(add=9, fn=4) * steps + Scalars(add=6, fn=3) * samples
    lengths = Scalars(div=samples if reducing(reduction) == 1 else 0)
    return combined(log_probs, samples, forward + lengths, reduction)


def _ctc_held(y: TensorFact, log_probs: TensorFact, targets: TensorFact, *_: object, **__: object) -> Size:
    """The forward variables and the losses of the samples."""
    samples, states = ctc_states(log_probs, targets)
    return (log_probs.shape[0] * states + samples) * log_probs.itemsize - y.nbytes


def ctc_forward(
    scope: Scope, log_probs: TensorFact, targets: TensorFact, input_lengths: Any, target_lengths: Any,
    blank: int = 0, zero_infinity: bool = False,
) -> tuple[TensorFact, TensorFact]:  # fmt: skip
    """The ATen form ``_ctc_loss``: the losses and the forward variables (N, T, 2*S+1) of padded targets."""
    samples = log_probs.shape[1]
    longest = targets.shape[-1] if isinstance(target_lengths, TensorFact) else max(target_lengths)
    width = 2 * longest + 1
    return log_probs.new((samples,)), log_probs.new((samples, log_probs.shape[0], width))


def _ctc_forward_cost(y: Results, log_probs: TensorFact, targets: TensorFact, *_: object, **__: object) -> Work:
    return _ctc_cost(y, log_probs, targets, None, None, reduction=0)


OPS: tuple[Op, ...] = (
    op("nll_loss", "nll_loss2d", "nll_loss_nd", shape=nll_loss, cost=_nll_cost, temporaries=_total_weight, positions=classes),
    op("nll_loss_forward", "nll_loss2d_forward", shape=nll_loss_forward, cost=_nll_cost, positions=classes,
       differentiable=(True, False)),
    op("cross_entropy_loss", shape=cross_entropy_loss, cost=_cross_entropy_cost, temporaries=_cross_entropy_held,
       positions=classes),
    op("multi_margin_loss", shape=multi_margin_loss, cost=_multi_margin_cost),
    op(
        "multilabel_margin_loss", shape=multilabel_margin_loss, cost=_multilabel_cost, temporaries=_targets_held
    ),
    op(
        "multilabel_margin_loss_forward", shape=multilabel_margin_loss_forward, cost=_multilabel_cost,
        differentiable=(True, False),
    ),
    op("ctc_loss", shape=ctc_loss, cost=_ctc_cost, temporaries=_ctc_held),
    op("_ctc_loss", shape=ctc_forward, cost=_ctc_forward_cost),
)
