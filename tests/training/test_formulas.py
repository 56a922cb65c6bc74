"""Formulas of derivatives and composites, one by one: what a step with each of them holds at most is what eager torch holds.

Torch asks in these formulas whether a tensor is a subclass, and writes in place where it is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import fxcount
from tests.training import real

Tensor = torch.Tensor
Function = Callable[[Tensor], Tensor]


def _rows() -> Tensor:
    return torch.tensor([3, 5, 3, 1])


def _table() -> Tensor:
    return _rows().view(4, 1).expand(4, 30)


def _attended(w: Tensor, **options: object) -> Tensor:
    q = w.view(1, 2, 20, 30)
    return F.scaled_dot_product_attention(q, q, q, **options)  # type: ignore[arg-type]


WITH_CONSTANTS: Mapping[str, Function] = {
    "index": lambda w: w[_rows()],
    "index_select": lambda w: w.index_select(0, _rows()),
    "gather": lambda w: w.gather(0, _table()),
    "take": lambda w: w.take(_rows()),
    "scatter": lambda w: w.scatter(0, _table(), w[:4] * 2),
    "scatter_add": lambda w: w.scatter_add(0, _table(), w[:4] * 2),
    "scatter_reduce": lambda w: w.scatter_reduce(0, _table(), w[:4] * 2, "amax"),
    "index_add": lambda w: w.index_add(0, _rows(), w[:4] * 2),
    "index_fill": lambda w: w.index_fill(0, _rows(), 0.5),
    "index_put": lambda w: w.clone().index_put_((_rows(),), w[:4]),
    "embedding": lambda w: F.embedding(_rows(), w),
}
"""These make tensors of data, which the analysis takes for constants and a tracker counts: compared with plain eager alone."""

FORMULAS: Mapping[str, Function] = {
    **WITH_CONSTANTS,
    "max": lambda w: w.max(1)[0], "sort": lambda w: w.sort(1)[0], "topk": lambda w: w.topk(5, 1)[0],
    "median": lambda w: w.median(1)[0], "cummax": lambda w: w.cummax(1)[0], "amax": lambda w: w.amax(1),
    "masked_fill": lambda w: w.masked_fill(w > 0.5, 0.1),
    "masked_scatter": lambda w: w.masked_scatter(torch.ones(40, 30).tril() > 0, w * 2),
    "norm": lambda w: w.norm(2, 1), "norm 1": lambda w: w.norm(1, 1), "norm 3": lambda w: w.norm(3, 1),
    "std": lambda w: w.std(1), "trace": lambda w: w.trace(), "logsumexp": lambda w: w.logsumexp(1),
    "unfold": lambda w: w.unfold(0, 4, 2), "where": lambda w: torch.where(w > 0.5, w, w * 2),
    "cosine": lambda w: F.cosine_similarity(w, w.flip(0)), "normalize": lambda w: F.normalize(w),
    "kl_div": lambda w: F.kl_div(w.log_softmax(1), w.softmax(1), reduction="batchmean"),
    "smoothed": lambda w: F.cross_entropy(w, torch.zeros(40, dtype=torch.int64), label_smoothing=0.1),
    "logits": lambda w: F.binary_cross_entropy_with_logits(w, torch.rand(40, 30)),
    "weighted logits": lambda w: F.binary_cross_entropy_with_logits(w, torch.rand(40, 30), weight=torch.rand(30)),
    "positive logits": lambda w: F.binary_cross_entropy_with_logits(w, torch.rand(40, 30), pos_weight=torch.rand(30)),
    "chances": lambda w: F.binary_cross_entropy(w.sigmoid(), torch.rand(40, 30)),
    "squares": lambda w: F.mse_loss(w, w.flip(0)), "smooth": lambda w: F.smooth_l1_loss(w, torch.rand(40, 30)),
    "huber": lambda w: F.huber_loss(w, torch.rand(40, 30)),
    "triplets": lambda w: F.triplet_margin_loss(w, w.flip(0), w.roll(1)),
    "margins": lambda w: F.margin_ranking_loss(w[:, 0], w[:, 1], torch.ones(40)),
    "hinges": lambda w: F.hinge_embedding_loss(w, torch.ones(40, 30)),
    "distances": lambda w: torch.cdist(w, w[:7]), "einsum": lambda w: torch.einsum("ij,kj->ik", w, w),
    "masked attention": lambda w: _attended(w, attn_mask=torch.zeros(20, 20), dropout_p=0.1),
    "attention with a bias": lambda w: _attended(w, attn_mask=(w[:20, :20] * 1).view(1, 1, 20, 20)),
    "batch norm in eval": lambda w: F.batch_norm(w, torch.zeros(30), torch.ones(30)),
    "matrices by one": lambda w: w.view(4, 10, 30) @ w[:30, :5],
    "broadcast matrices": lambda w: w.view(2, 2, 10, 30) @ w.view(2, 1, 20, 30).mT,
    "norm of what is turned": lambda w: F.layer_norm((w * 2).t(), (40,)).reshape(40, 30).tanh(),
    "gradient that is seen flat": lambda w: F.layer_norm(w.view(4, 10, 30).mT + w.view(4, 30, 10) @ w[:10, :10], (10,)),
    "spectrum": lambda w: torch.stft(w.view(-1), 64, window=torch.ones(64), return_complex=True).abs(),
    "turned in place": lambda w: (w * 2).transpose_(0, 1).unsqueeze_(0),
    "expanded sums": lambda w: (w * 2).sum(0) * 3 + (w * w).sum(0),
}  # fmt: skip


class Net(nn.Module):
    """One function of a tensor that depends on the input and has a gradient."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(40, 30))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.weight * x.mean())


@pytest.mark.parametrize("name", FORMULAS)
def test_a_step_holds_what_a_real_one_holds(name: str) -> None:
    model, x = Net(FORMULAS[name]), torch.rand(7, 3)
    assert fxcount.training_step(model, "B,3").at(B=7).peak == real.plain_peak(model, x)
    if name not in WITH_CONSTANTS:
        tracked = fxcount.training_step(model, "B,3", tracker=True).at(B=7)
        assert (tracked.forward_peak, tracked.peak) == real.tracked(model, x)[:2]


@pytest.mark.parametrize("loss", [F.mse_loss, F.smooth_l1_loss, F.binary_cross_entropy, F.soft_margin_loss])
def test_a_loss_that_keeps_the_memory_of_its_elements(loss: Callable[..., Tensor]) -> None:
    """Their kernels reduce into the first element of a full tensor, which lives as long as the loss does."""
    model = nn.Sequential(nn.Linear(9, 40), nn.Sigmoid())
    step = fxcount.training_step(model, "B,9", targets="B,40", loss=loss).at(B=30)
    x, y = torch.rand(30, 9), torch.rand(30, 40)
    assert loss(model(x), y).untyped_storage().nbytes() == 4 * 30 * 40
    assert step.peak == real.plain_peak(model, x, loss=lambda out: loss(out, y)) + y.nbytes
