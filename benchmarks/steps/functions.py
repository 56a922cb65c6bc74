"""Functions of torch that are differentiated, one call each: how they are called, on what, at sizes that are not the hint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, linalg, nn

import fxcount
from benchmarks.zoo.entry import tensors
from fxcount.report.views.conventions.training import counted
from tests.training import real

__all__ = ["FUNCTIONS", "Called", "Function", "compared"]

Pairs = dict[str, list[int]]


@dataclass(frozen=True)
class Function:
    """``call`` of tensors ``specs``; ``weighs`` makes the gradient of its result one that has memory."""

    call: Callable[..., Any]
    specs: tuple[str, ...]
    fixed: Mapping[str, int]
    weighs: bool = False

    def sizes(self) -> tuple[dict[str, int], ...]:
        """The sizes at which it is called."""
        return tuple({n: self.fixed.get(n, v) for n, v in one.items()} for one in _SIZES)

    def hints(self) -> dict[str, int]:
        """Sample sizes, which are others."""
        asked = "".join(s.partition("[")[2] or s for s in self.specs)
        return {n: v + self.fixed.get(n, 0) for n, v in HINTS.items() if n in asked}


class Called(nn.Module):
    """A function of what is trained: each real input has a parameter added."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self.shifts = nn.ParameterList([torch.full((), 0.01) for s in function.specs if not s.startswith(("i", "bool"))])

    def forward(self, *given: Tensor) -> Any:
        shifts = iter(self.shifts)
        trained = [x + next(shifts) if x.is_floating_point() else x for x in given]
        result = self.function.call(*trained)
        return _weighed(result) if self.function.weighs else result


def _weighed(result: Any) -> Any:
    if isinstance(result, Tensor):
        return result.exp() if result.requires_grad else result
    return [_weighed(r) for r in result]


HINTS = {"B": 4, "N": 10, "M": 8, "H": 16, "W": 12, "K": 6}
"""Sample sizes."""
_SIZES = ({"B": 3, "N": 7, "M": 11, "H": 13, "W": 17, "K": 5}, {"B": 5, "N": 13, "M": 19, "H": 29, "W": 23, "K": 11})


def _f(call: Callable[..., Any], *specs: str, **fixed: int) -> Function:
    return Function(call, specs or ("B,N,M",), fixed)


def _spd(a: Tensor) -> Tensor:
    """Positive definite."""
    return a @ a.mT + a.shape[-1] * torch.eye(a.shape[-1])


_UNARY = (
    "abs acos acosh asin asinh atan atanh ceil cos cosh deg2rad digamma erf erfc erfinv exp exp2 expm1 floor frac lgamma log "
    "log10 log1p log2 logit nan_to_num neg positive rad2deg reciprocal round rsqrt sigmoid sign sin sinc sinh sqrt square tan "
    "tanh trunc i0 sgn"
).split()
_SPECIAL = "entr erfcx gammaln i0e i1 i1e log_ndtr log_softmax logit ndtr ndtri psi xlog1py xlogy softmax expit".split()
_ACTIVATIONS = (
    "relu relu6 elu selu celu leaky_relu rrelu gelu logsigmoid hardshrink tanhshrink softsign softplus softshrink hardtanh "
    "hardsigmoid hardswish silu mish tanh sigmoid"
).split()
_BINARY = (
    "add sub mul div true_divide maximum minimum fmax fmin atan2 hypot logaddexp logaddexp2 pow fmod remainder copysign xlogy "
    "float_power"
).split()
_REDUCED = (
    "sum mean prod amax amin aminmax max min median mode nanmedian nansum nanmean logsumexp var std var_mean std_mean norm "
    "cumsum cumprod cummax cummin logcumsumexp sort kthvalue topk"
).split()


def _alike() -> dict[str, Function]:
    found: dict[str, Function] = {}
    for n in _UNARY:
        found[f"torch.{n}"] = _f(getattr(torch, n))
    for n in _SPECIAL:
        if n in ("log_softmax", "softmax"):
            found[f"special.{n}"] = _f(partial(getattr(torch.special, n), dim=1))
        elif n in ("xlog1py", "xlogy"):
            found[f"special.{n}"] = _f(getattr(torch.special, n), "B,N", "B,N")
        else:
            found[f"special.{n}"] = _f(getattr(torch.special, n))
    for n in _ACTIVATIONS:
        found[f"F.{n}"] = _f(getattr(F, n))
        found[f"F.{n} in place"] = _f(partial(_inplace, n))
    for n in _BINARY:
        found[f"torch.{n}"] = _f(getattr(torch, n), "B,N", "B,N")
        found[f"torch.{n} broadcast"] = _f(getattr(torch, n), "B,N,M", "N,1")
    for n in _REDUCED:
        func = getattr(torch, n)
        more: tuple[Any, ...] = (2,) if n in ("kthvalue", "topk") else ()
        if n in ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp", "logsumexp"):
            found[f"torch.{n} dim"] = _f(lambda x, f=func: f(x, 1))
            continue
        if n not in ("mode", "sort", "kthvalue", "topk"):
            found[f"torch.{n}"] = _f(func)
        if n == "aminmax":
            found[f"torch.{n} dim"] = _f(lambda x, f=func: f(x, dim=1))
        elif n == "norm":
            for p in (1, 2, 3, float("inf"), "fro"):
                found[f"torch.norm {p}"] = _f(lambda x, p=p: torch.norm(x, p, 1))
        else:
            found[f"torch.{n} dim"] = _f(lambda x, f=func, more=more: f(x, *more, dim=1))
    return found


def _inplace(n: str, x: Tensor) -> Tensor:
    f = getattr(F, n)
    try:
        return f(x * 1.5, inplace=True)
    except TypeError:
        return f(x * 1.5) * 2


def _spectrum(x: Tensor) -> Tensor:
    return torch.stft(x, 16, return_complex=True, window=torch.hann_window(16))


def _assigned(x: Tensor, y: Tensor) -> Tensor:
    x = x.clone()
    x[0] = y
    return x


_OTHERS = {
    "F.l1_loss": _f(F.l1_loss, "B,N", "B,N"),
    "F.l1_loss none": _f(partial(F.l1_loss, reduction="none"), "B,N", "B,N"),
    "F.mse_loss": _f(F.mse_loss, "B,N", "B,N"),
    "F.mse_loss sum": _f(partial(F.mse_loss, reduction="sum"), "B,N", "B,N"),
    "F.smooth_l1_loss": _f(F.smooth_l1_loss, "B,N", "B,N"),
    "F.huber_loss": _f(F.huber_loss, "B,N", "B,N"),
    "F.kl_div": _f(partial(F.kl_div, reduction="batchmean"), "B,N", "B,N"),
    "F.kl_div log": _f(partial(F.kl_div, reduction="sum", log_target=True), "B,N", "B,N"),
    "F.binary_cross_entropy": _f(lambda x, y: F.binary_cross_entropy(x.sigmoid(), y.detach().sigmoid()), "B,N", "B,N"),
    "F.binary_cross_entropy both": _f(lambda x, y: F.binary_cross_entropy(x.sigmoid(), y.sigmoid()), "B,N", "B,N"),
    "F.binary_cross_entropy weight": _f(
        lambda x, y, w: F.binary_cross_entropy(x.sigmoid(), y.detach().sigmoid(), w.detach()), "B,N", "B,N", "N"
    ),
    "F.binary_cross_entropy none": _f(
        lambda x, y: F.binary_cross_entropy(x.sigmoid(), y.detach().sigmoid(), reduction="none"), "B,N", "B,N"
    ),
    "F.bce_with_logits": _f(lambda x, y: F.binary_cross_entropy_with_logits(x, y.detach().sigmoid()), "B,N", "B,N"),
    "F.bce_with_logits both": _f(lambda x, y: F.binary_cross_entropy_with_logits(x, y.sigmoid()), "B,N", "B,N"),
    "F.bce_with_logits pos": _f(
        lambda x, y, w: F.binary_cross_entropy_with_logits(x, y.detach().sigmoid(), pos_weight=w.detach()), "B,N", "B,N", "N"
    ),
    "F.bce_with_logits pos both": _f(
        lambda x, y, w: F.binary_cross_entropy_with_logits(x, y.sigmoid(), pos_weight=w.detach()), "B,N", "B,N", "N"
    ),
    "F.bce_with_logits weight": _f(
        lambda x, y, w: F.binary_cross_entropy_with_logits(x, y.detach().sigmoid(), w.detach()), "B,N", "B,N", "N"
    ),
    "F.bce_with_logits weight pos": _f(
        lambda x, y, w, p: F.binary_cross_entropy_with_logits(x, y.detach().sigmoid(), w.detach(), pos_weight=p.detach()),
        "B,N",
        "B,N",
        "N",
        "N",
    ),
    "F.bce_with_logits none": _f(
        lambda x, y: F.binary_cross_entropy_with_logits(x, y.detach().sigmoid(), reduction="none"), "B,N", "B,N"
    ),
    "F.cross_entropy": _f(F.cross_entropy, "B,N", "i64[B]"),
    "F.cross_entropy image": _f(F.cross_entropy, "B,N,H,W", "i64[B,H,W]"),
    "F.cross_entropy smooth": _f(partial(F.cross_entropy, label_smoothing=0.1), "B,N", "i64[B]"),
    "F.cross_entropy weight": _f(lambda x, t, w: F.cross_entropy(x, t, w.detach()), "B,N", "i64[B]", "N"),
    "F.cross_entropy weight smooth": _f(
        lambda x, t, w: F.cross_entropy(x, t, w.detach(), label_smoothing=0.1), "B,N", "i64[B]", "N"
    ),
    "F.cross_entropy soft": _f(lambda x, y: F.cross_entropy(x, y.detach().softmax(1)), "B,N", "B,N"),
    "F.cross_entropy soft both": _f(lambda x, y: F.cross_entropy(x, y.softmax(1)), "B,N", "B,N"),
    "F.cross_entropy sum": _f(partial(F.cross_entropy, reduction="sum"), "B,N", "i64[B]"),
    "F.cross_entropy none": _f(partial(F.cross_entropy, reduction="none"), "B,N", "i64[B]"),
    "F.nll_loss": _f(lambda x, t: F.nll_loss(x.log_softmax(1), t), "B,N", "i64[B]"),
    "F.nll_loss 3d": _f(lambda x, t: F.nll_loss(x.log_softmax(1), t), "B,N,M", "i64[B,M]"),
    "F.poisson_nll_loss": _f(F.poisson_nll_loss, "B,N", "B,N"),
    "F.poisson_nll_loss full": _f(lambda x, y: F.poisson_nll_loss(x, y.detach().abs() * 5, full=True), "B,N", "B,N"),
    "F.gaussian_nll_loss": _f(lambda x, y, v: F.gaussian_nll_loss(x, y, v.square()), "B,N", "B,N", "B,N"),
    "F.gaussian_nll_loss full": _f(
        lambda x, y, v: F.gaussian_nll_loss(x, y.detach(), v.square(), full=True), "B,N", "B,N", "B,N"
    ),
    "F.soft_margin_loss": _f(lambda x, y: F.soft_margin_loss(x, y.detach()), "B,N", "B,N"),
    "F.margin_ranking_loss": _f(lambda x, y, t: F.margin_ranking_loss(x, y, t.detach()), "B", "B", "B"),
    "F.hinge_embedding_loss": _f(lambda x, y: F.hinge_embedding_loss(x, y.detach()), "B,N", "B,N"),
    "F.cosine_embedding_loss": _f(lambda x, y, t: F.cosine_embedding_loss(x, y, t.detach().sign()), "B,N", "B,N", "B"),
    "F.triplet_margin_loss": _f(F.triplet_margin_loss, "B,N", "B,N", "B,N"),
    "F.triplet_margin_loss swap": _f(partial(F.triplet_margin_loss, swap=True), "B,N", "B,N", "B,N"),
    "F.triplet_margin_with_distance_loss": _f(F.triplet_margin_with_distance_loss, "B,N", "B,N", "B,N"),
    "F.multi_margin_loss": _f(F.multi_margin_loss, "B,N", "i64[B]"),
    "F.multilabel_margin_loss": _f(lambda x, t: F.multilabel_margin_loss(x, t), "B,N", "i64[B,N]"),
    "F.multilabel_soft_margin_loss": _f(lambda x, y: F.multilabel_soft_margin_loss(x, y.detach()), "B,N", "B,N"),
    "F.ctc_loss": _f(
        lambda x, t: F.ctc_loss(
            x.log_softmax(-1), t, torch.full((x.shape[1],), x.shape[0]), torch.full((x.shape[1],), t.shape[1]), blank=2
        ),
        "H,B,N",
        "i64[B,3]",
    ),
    "F.layer_norm": _f(lambda x, w, b: F.layer_norm(x, w.shape, w, b), "B,N,M", "M", "M"),
    "F.rms_norm": _f(lambda x, w: F.rms_norm(x, w.shape, w), "B,N,M", "M"),
    "F.rms_norm plain": _f(lambda x: F.rms_norm(x, x.shape[1:])),
    "F.group_norm": _f(lambda x: F.group_norm(x, 4), "B,4*N,H,W"),
    "F.group_norm weight": _f(lambda x, w: F.group_norm(x, 4, w, w), "B,4*N,H,W", "4*N"),
    "F.instance_norm": _f(F.instance_norm, "B,N,H,W"),
    "F.instance_norm weight": _f(lambda x, w: F.instance_norm(x, weight=w, bias=w), "B,N,H,W", "N"),
    "F.batch_norm": _f(lambda x, w: F.batch_norm(x, None, None, w, w, True), "B,N,H,W", "N"),
    "F.batch_norm eval": _f(lambda x, w: F.batch_norm(x, w.detach(), w.detach().square(), w, w), "B,N,H,W", "N"),
    "F.local_response_norm": _f(partial(F.local_response_norm, size=3), "B,N,H,W"),
    "F.normalize": _f(F.normalize),
    "F.normalize 1": _f(partial(F.normalize, p=1, dim=-1)),
    "F.cosine_similarity": _f(F.cosine_similarity, "B,N", "B,N"),
    "F.pairwise_distance": _f(F.pairwise_distance, "B,N", "B,N"),
    "F.pdist": _f(F.pdist, "B,N"),
    "torch.cdist": _f(torch.cdist, "B,N,M", "B,K,M"),
    "torch.cdist 1": _f(partial(torch.cdist, p=1.0), "B,N,M", "B,K,M"),
    "torch.cdist plain": _f(partial(torch.cdist, compute_mode="donot_use_mm_for_euclid_dist"), "B,N,M", "B,K,M"),
    "torch.dist": _f(torch.dist, "B,N", "B,N"),
    "torch.renorm": _f(lambda x: torch.renorm(x, 2, 0, 0.5)),
    "F.max_pool1d": _f(partial(F.max_pool1d, kernel_size=3), "B,N,H"),
    "F.max_pool1d indices": _f(lambda x: F.max_pool1d(x, 3, return_indices=True), "B,N,H"),
    "F.max_pool2d": _f(partial(F.max_pool2d, kernel_size=3, stride=2, padding=1), "B,N,H,W"),
    "F.max_pool2d indices": _f(lambda x: F.max_pool2d(x, 3, return_indices=True), "B,N,H,W"),
    "F.max_pool3d": _f(partial(F.max_pool3d, kernel_size=2), "B,N,H,W,M"),
    "F.avg_pool1d": _f(partial(F.avg_pool1d, kernel_size=3), "B,N,H"),
    "F.avg_pool2d": _f(partial(F.avg_pool2d, kernel_size=3, padding=1), "B,N,H,W"),
    "F.avg_pool3d": _f(partial(F.avg_pool3d, kernel_size=2), "B,N,H,W,M"),
    "F.lp_pool1d": _f(lambda x: F.lp_pool1d(x, 2, 3), "B,N,H"),
    "F.lp_pool2d": _f(lambda x: F.lp_pool2d(x, 2, 3), "B,N,H,W"),
    "F.lp_pool3d": _f(lambda x: F.lp_pool3d(x, 2, 2), "B,N,H,W,M"),
    "F.adaptive_avg_pool1d": _f(partial(F.adaptive_avg_pool1d, output_size=3), "B,N,H"),
    "F.adaptive_avg_pool2d": _f(partial(F.adaptive_avg_pool2d, output_size=(3, 4)), "B,N,H,W"),
    "F.adaptive_avg_pool3d": _f(partial(F.adaptive_avg_pool3d, output_size=2), "B,N,H,W,M"),
    "F.adaptive_max_pool1d": _f(partial(F.adaptive_max_pool1d, output_size=3), "B,N,H"),
    "F.adaptive_max_pool2d": _f(partial(F.adaptive_max_pool2d, output_size=(3, 4)), "B,N,H,W"),
    "F.adaptive_max_pool3d": _f(partial(F.adaptive_max_pool3d, output_size=2), "B,N,H,W,M"),
    "F.fractional_max_pool2d": _f(lambda x: F.fractional_max_pool2d(x, 2, output_size=(4, 5)), "B,N,H,W"),
    "F.fractional_max_pool3d": _f(lambda x: F.fractional_max_pool3d(x, 2, output_size=(4, 5, 3)), "B,N,H,W,M"),
    "F.max_unpool1d": _f(lambda x: F.max_unpool1d(*F.max_pool1d(x, 2, return_indices=True), 2), "B,N,2*H"),
    "F.max_unpool2d": _f(lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2), "B,N,2*H,2*W"),
    **{
        f"F.pad {mode}": _f(partial(F.pad, pad=(2, 1, 1, 2), mode=mode), "B,N,H,W")
        for mode in ("constant", "reflect", "replicate", "circular")
    },
    "F.pad negative": _f(partial(F.pad, pad=(-2, 1)), "B,N,H,W"),
    "F.pad reflect 1d": _f(partial(F.pad, pad=(2, 1), mode="reflect"), "B,N,H"),
    "F.pad replicate 3d": _f(partial(F.pad, pad=(2, 1, 1, 1, 1, 1), mode="replicate"), "B,N,H,W,M"),
    "F.pad reflect 3d": _f(partial(F.pad, pad=(2, 1, 1, 1, 1, 1), mode="reflect"), "B,N,H,W,M"),
    "F.pad circular 1d": _f(partial(F.pad, pad=(2, 1), mode="circular"), "B,N,H"),
    **{
        f"F.interpolate {mode}": _f(partial(F.interpolate, scale_factor=2.0, mode=mode), spec)
        for mode, spec in (
            ("nearest", "B,N,H,W"),
            ("nearest-exact", "B,N,H,W"),
            ("bilinear", "B,N,H,W"),
            ("bicubic", "B,N,H,W"),
            ("area", "B,N,H,W"),
            ("linear", "B,N,H"),
            ("trilinear", "B,N,H,W,M"),
        )
    },
    "F.interpolate size": _f(lambda x, y: F.interpolate(x, size=y.shape[2:], mode="bilinear"), "B,N,H,W", "B,N,2*W,2*H"),
    "F.interpolate antialias": _f(partial(F.interpolate, scale_factor=0.5, mode="bilinear", antialias=True), "B,N,H,W"),
    "F.interpolate antialias bicubic": _f(partial(F.interpolate, scale_factor=0.5, mode="bicubic", antialias=True), "B,N,H,W"),
    "F.interpolate recompute": _f(
        partial(F.interpolate, scale_factor=1.7, mode="bilinear", recompute_scale_factor=True), "B,N,H,W"
    ),
    "F.pixel_shuffle": _f(partial(F.pixel_shuffle, upscale_factor=2), "B,4*N,H,W"),
    "F.pixel_unshuffle": _f(partial(F.pixel_unshuffle, downscale_factor=2), "B,N,2*H,2*W"),
    "F.channel_shuffle": _f(partial(F.channel_shuffle, groups=2), "B,2*N,H,W"),
    "F.grid_sample": _f(F.grid_sample, "B,N,H,W", "B,K,M,2"),
    "F.grid_sample nearest": _f(partial(F.grid_sample, mode="nearest", align_corners=True), "B,N,H,W", "B,K,M,2"),
    "F.grid_sample bicubic": _f(partial(F.grid_sample, mode="bicubic"), "B,N,H,W", "B,K,M,2"),
    "F.grid_sample 3d": _f(F.grid_sample, "B,N,H,W,M", "B,K,M,2,3"),
    "F.affine_grid": _f(lambda t, x: F.affine_grid(t, list(x.shape), align_corners=False), "B,2,3", "B,N,H,W"),
    "F.affine_grid 3d": _f(lambda t, x: F.affine_grid(t, list(x.shape), align_corners=False), "B,3,4", "B,N,H,W,M"),
    "spatial transformer": _f(
        lambda t, x: F.grid_sample(x, F.affine_grid(t, list(x.shape), align_corners=False)), "B,2,3", "B,N,H,W"
    ),
    "F.unfold": _f(partial(F.unfold, kernel_size=3, padding=1), "B,N,H,W"),
    "F.fold": _f(lambda x: F.fold(F.unfold(x, 3), x.shape[2:], 3), "B,N,H,W"),
    "F.linear": _f(F.linear, "B,N,M", "K,M", "K"),
    "F.linear 2d": _f(F.linear, "B,M", "K,M", "K"),
    "F.bilinear": _f(F.bilinear, "B,N", "B,M", "K,N,M", "K"),
    "F.conv1d": _f(F.conv1d, "B,N,H", "K,N,3", "K"),
    "F.conv2d": _f(partial(F.conv2d, padding=1), "B,N,H,W", "K,N,3,3", "K"),
    "F.conv2d same": _f(partial(F.conv2d, padding="same"), "B,N,H,W", "K,N,3,3", "K"),
    "F.conv2d same even": _f(partial(F.conv2d, padding="same"), "B,N,H,W", "K,N,4,4", "K"),
    "F.conv3d": _f(F.conv3d, "B,N,H,W,M", "K,N,3,3,3", "K"),
    "F.conv_transpose1d": _f(F.conv_transpose1d, "B,N,H", "N,K,3", "K"),
    "F.conv_transpose2d": _f(partial(F.conv_transpose2d, stride=2), "B,N,H,W", "N,K,3,3", "K"),
    "F.conv_transpose3d": _f(F.conv_transpose3d, "B,N,H,W,M", "N,K,3,3,3", "K"),
    "torch.conv_tbc": _f(torch.conv_tbc, "H,B,N", "3,N,K", "K"),
    "F.embedding": _f(F.embedding, "i64[B,N]", "H,M"),
    "F.embedding max": _f(lambda i, w: F.embedding(i, w * 1.0, padding_idx=0), "i64[B,N]", "H,M"),
    "F.embedding_bag": _f(F.embedding_bag, "i64[B,N]", "H,M"),
    "F.embedding_bag sum": _f(partial(F.embedding_bag, mode="sum"), "i64[B,N]", "H,M"),
    "F.embedding_bag max": _f(partial(F.embedding_bag, mode="max"), "i64[B,N]", "H,M"),
    "torch.matmul": _f(torch.matmul, "B,N,M", "B,M,K"),
    "torch.matmul 3x2": _f(torch.matmul, "B,N,M", "M,K"),
    "torch.matmul 4x3": _f(torch.matmul, "B,H,N,M", "H,M,K"),
    "torch.matmul 3x1": _f(torch.matmul, "B,N,M", "M"),
    "torch.matmul 1x3": _f(torch.matmul, "N", "B,N,M"),
    "torch.matmul 2x3": _f(torch.matmul, "N,M", "B,M,K"),
    "torch.matmul turned": _f(lambda a, b: a.mT @ b.mT, "B,M,N", "B,K,M"),
    "torch.mm": _f(torch.mm, "N,M", "M,K"),
    "torch.mv": _f(torch.mv, "N,M", "M"),
    "torch.dot": _f(torch.dot, "N", "N"),
    "torch.vdot": _f(torch.vdot, "N", "N"),
    "torch.inner": _f(torch.inner, "B,N,M", "K,M"),
    "torch.outer": _f(torch.outer, "N", "M"),
    "torch.bmm": _f(torch.bmm, "B,N,M", "B,M,K"),
    "torch.addmm": _f(torch.addmm, "K", "N,M", "M,K"),
    "torch.addmm beta": _f(partial(torch.addmm, beta=0.5, alpha=2.0), "N,K", "N,M", "M,K"),
    "torch.addbmm": _f(torch.addbmm, "N,K", "B,N,M", "B,M,K"),
    "torch.baddbmm": _f(torch.baddbmm, "B,N,K", "B,N,M", "B,M,K"),
    "torch.addmv": _f(torch.addmv, "N", "N,M", "M"),
    "torch.addr": _f(torch.addr, "N,M", "N", "M"),
    "torch.chain_matmul": _f(lambda a, b, c: torch.linalg.multi_dot([a, b, c]), "N,M", "M,K", "K,H"),
    "torch.multi_dot 4": _f(lambda a, b, c, d: torch.linalg.multi_dot([a, b, c, d]), "N,M", "M,K", "K,H", "H,W"),
    "torch.multi_dot 2": _f(lambda a, b: torch.linalg.multi_dot([a, b]), "N,M", "M,K"),
    "torch.multi_dot vectors": _f(lambda a, b, c: torch.linalg.multi_dot([a, b, c]), "M", "M,K", "K"),
    "torch.kron": _f(torch.kron, "B,N", "M,K"),
    "torch.tensordot": _f(partial(torch.tensordot, dims=2), "B,N,M", "N,M,K"),
    "torch.einsum": _f(partial(torch.einsum, "bnm,bmk->bnk"), "B,N,M", "B,M,K"),
    "torch.einsum 3": _f(partial(torch.einsum, "bnm,bmk,k->bn"), "B,N,M", "B,M,K", "K"),
    "torch.einsum sum": _f(partial(torch.einsum, "bnm,bn->m"), "B,N,M", "B,N"),
    "F.attention": _f(F.scaled_dot_product_attention, "B,4,N,8", "B,4,M,8", "B,4,M,8"),
    "F.attention causal": _f(partial(F.scaled_dot_product_attention, is_causal=True), "B,4,N,8", "B,4,N,8", "B,4,N,8"),
    "F.attention mask": _f(F.scaled_dot_product_attention, "B,4,N,8", "B,4,M,8", "B,4,M,8", "B,1,N,M"),
    "F.attention bool": _f(F.scaled_dot_product_attention, "B,4,N,8", "B,4,M,8", "B,4,M,8", "bool[B,1,N,M]"),
    "F.attention dropout": _f(partial(F.scaled_dot_product_attention, dropout_p=0.1), "B,4,N,8", "B,4,M,8", "B,4,M,8"),
    "F.attention grouped": _f(partial(F.scaled_dot_product_attention, enable_gqa=True), "B,4,N,8", "B,2,M,8", "B,2,M,8"),
    "F.glu": _f(F.glu, "B,2*N"),
    "F.prelu": _f(F.prelu, "B,N,H", "N"),
    "F.threshold": _f(lambda x: F.threshold(x, 0.1, 0.2)),
    "F.softmax": _f(partial(F.softmax, dim=1)),
    "F.softmin": _f(partial(F.softmin, dim=1)),
    "F.log_softmax": _f(partial(F.log_softmax, dim=-1)),
    "F.gumbel_softmax": _f(F.gumbel_softmax, "B,N"),
    "F.gumbel_softmax hard": _f(partial(F.gumbel_softmax, hard=True), "B,N"),
    "F.dropout": _f(F.dropout),
    "F.dropout2d": _f(F.dropout2d, "B,N,H,W"),
    "F.alpha_dropout": _f(partial(F.alpha_dropout, training=True)),
    "F.feature_alpha_dropout": _f(partial(F.feature_alpha_dropout, training=True)),
    "torch.gather": _f(lambda x, i: torch.gather(x, 1, i), "B,N", "i64[B,M]"),
    "torch.take_along_dim": _f(lambda x, i: torch.take_along_dim(x, i, 1), "B,N,M", "i64[B,K,M]"),
    "torch.take_along_dim broadcast": _f(lambda x, i: torch.take_along_dim(x, i, 1), "B,N,M", "i64[B,K,1]"),
    "torch.take_along_dim flat": _f(lambda x, i: torch.take_along_dim(x, i), "B,N,M", "i64[K]"),
    "torch.take": _f(torch.take, "B,N", "i64[M]"),
    "torch.index_select": _f(lambda x, i: torch.index_select(x, 1, i), "B,N", "i64[M]"),
    "torch.index_add": _f(lambda x, i, y: torch.index_add(x, 1, i, y), "B,N", "i64[M]", "B,M"),
    "torch.index_copy": _f(lambda x, i, y: torch.index_copy(x, 1, i, y), "B,N", "i64[2]", "B,2"),
    "torch.index_fill": _f(lambda x, i: torch.index_fill(x, 1, i, 0.5), "B,N", "i64[2]"),
    "torch.index_put": _f(lambda x, i, y: torch.index_put(x, (i,), y), "B,N", "i64[2]", "2,N"),
    "torch.index_put accumulate": _f(lambda x, i, y: torch.index_put(x, (i,), y, accumulate=True), "B,N", "i64[2]", "2,N"),
    "torch.index_reduce mean": _f(lambda x, i, y: torch.index_reduce(x, 1, i, y, "mean"), "B,N", "i64[M]", "B,M"),
    "torch.index_reduce amax": _f(lambda x, i, y: torch.index_reduce(x, 1, i, y, "amax"), "B,N", "i64[M]", "B,M"),
    "torch.index_reduce prod": _f(lambda x, i, y: torch.index_reduce(x, 1, i, y, "prod"), "B,N", "i64[M]", "B,M"),
    "torch.scatter": _f(lambda x, i, y: torch.scatter(x, 1, i, y), "B,N", "i64[B,2]", "B,2"),
    "torch.scatter value": _f(lambda x, i: torch.scatter(x, 1, i, 0.5), "B,N", "i64[B,2]"),
    "torch.scatter_add": _f(lambda x, i, y: torch.scatter_add(x, 1, i, y), "B,N", "i64[B,M]", "B,M"),
    **{
        f"torch.scatter_reduce {r}": _f(lambda x, i, y, r=r: torch.scatter_reduce(x, 1, i, y, r), "B,N", "i64[B,M]", "B,M")
        for r in ("sum", "mean", "amax", "prod")
    },
    "torch.masked_fill": _f(lambda x, m: torch.masked_fill(x, m, 0.5), "B,N", "bool[B,N]"),
    "torch.masked_fill tensor": _f(lambda x, m, y: torch.masked_fill(x, m, y.sum()), "B,N", "bool[B,N]", "2"),
    "torch.where": _f(lambda m, x, y: torch.where(m, x, y), "bool[B,N]", "B,N", "B,N"),
    "torch.where scalar": _f(lambda m, x: torch.where(m, x, 0.0), "bool[B,N]", "B,N"),
    "x[i]": _f(lambda x, i: x[i], "B,N", "i64[M]"),
    "x[:, i]": _f(lambda x, i: x[:, i], "B,N,M", "i64[K]"),
    "x[i, j]": _f(lambda x, i, j: x[i, j], "B,N", "i64[M]", "i64[M]"),
    "x[1:, ::2]": _f(lambda x: x[1:, ::2]),
    "x[..., None, 0]": _f(lambda x: x[..., None, 0]),
    "x[0] = y": _f(lambda x, y: _assigned(x, y), "B,N", "N"),
    "torch.select_scatter": _f(lambda x, y: torch.select_scatter(x, y, 0, 1), "B,N", "N"),
    "torch.slice_scatter": _f(lambda x, y: torch.slice_scatter(x, y, 1, 1, 3), "B,N", "B,2"),
    "torch.diagonal_scatter": _f(lambda x, y: torch.diagonal_scatter(x, y), "N,N", "N"),
    "torch.cat": _f(lambda x, y: torch.cat([x, y], 1), "B,N", "B,M"),
    "torch.stack": _f(lambda x, y: torch.stack([x, y]), "B,N", "B,N"),
    "torch.hstack": _f(lambda x, y: torch.hstack([x, y]), "B,N", "B,M"),
    "torch.dstack": _f(lambda x, y: torch.dstack([x, y]), "B,N", "B,N"),
    "torch.column_stack": _f(lambda x, y: torch.column_stack([x, y]), "B", "B,N"),
    "torch.block_diag": _f(torch.block_diag, "B,N", "M,K"),
    "torch.split": _f(lambda x: x.split(2, 1)),
    "torch.chunk": _f(lambda x: x.chunk(3, 1)),
    "torch.tensor_split": _f(lambda x: x.tensor_split(3, 1)),
    "torch.unbind": _f(lambda x: x.unbind(0), "3,N"),
    "torch.unfold": _f(lambda x: x.unfold(1, 3, 2)),
    "torch.flip": _f(lambda x: x.flip(1)),
    "torch.fliplr": _f(torch.fliplr),
    "torch.rot90": _f(torch.rot90),
    "torch.roll": _f(lambda x: x.roll((1, 2), (1, 2))),
    "torch.roll flat": _f(lambda x: x.roll(1)),
    "torch.repeat": _f(lambda x: x.repeat(2, 1, 3)),
    "torch.tile": _f(lambda x: x.tile(2, 3)),
    "torch.repeat_interleave": _f(lambda x: x.repeat_interleave(2, 1)),
    "torch.repeat_interleave tensor": _f(lambda x: x.repeat_interleave(torch.tensor([1, 2, 3]), 0), "3,N"),
    "torch.expand": _f(lambda x: x[:, None].expand(-1, 5, -1, -1)),
    "torch.broadcast": _f(lambda x, y: torch.broadcast_tensors(x, y), "B,1", "1,N"),
    "torch.movedim": _f(lambda x: x.movedim(0, 2)),
    "torch.permute": _f(lambda x: x.permute(2, 0, 1).contiguous()),
    "torch.reshape": _f(lambda x: x.permute(2, 0, 1).reshape(-1)),
    "torch.flatten": _f(torch.flatten),
    "torch.unflatten": _f(lambda x: x.unflatten(1, (2, -1)), "B,2*N"),
    "torch.diag": _f(torch.diag, "N"),
    "torch.diag of a matrix": _f(torch.diag, "N,N"),
    "torch.diagonal": _f(lambda x: torch.diagonal(x, 1), "N,M"),
    "torch.diag_embed": _f(torch.diag_embed, "B,N"),
    "torch.diagflat": _f(torch.diagflat, "B,N"),
    "torch.tril": _f(torch.tril, "N,M"),
    "torch.triu": _f(torch.triu, "B,N,N"),
    "torch.trace": _f(torch.trace, "N,N"),
    "torch.vander": _f(torch.vander, "N"),
    "linalg.vander": _f(linalg.vander, "N"),
    "torch.meshgrid": _f(lambda x, y: torch.meshgrid(x, y, indexing="ij"), "N", "M"),
    "torch.cartesian_prod": _f(torch.cartesian_prod, "N", "M"),
    "torch.combinations": _f(torch.combinations, "N"),
    "torch.masked_select": _f(lambda x: torch.masked_select(x, torch.ones_like(x, dtype=torch.bool)), "B,N"),
    "torch.as_strided": _f(lambda x: torch.as_strided(x, (2, 3), (3, 1)), "B,N"),
    "torch.cross": _f(lambda x, y: torch.cross(x, y, dim=-1), "B,3", "B,3"),
    "torch.diff": _f(torch.diff),
    "torch.diff 2": _f(partial(torch.diff, n=2, dim=1)),
    "torch.gradient": _f(lambda x: torch.gradient(x, dim=(1, 2))),
    "torch.trapezoid": _f(torch.trapezoid),
    "torch.trapezoid dx": _f(lambda x, y: torch.trapezoid(x, y), "B,N", "B,N"),
    "torch.cumulative_trapezoid": _f(torch.cumulative_trapezoid),
    "torch.lerp": _f(torch.lerp, "B,N", "B,N", "B,N"),
    "torch.lerp scalar": _f(partial(torch.lerp, weight=0.3), "B,N", "B,N"),
    "torch.addcmul": _f(torch.addcmul, "B,N", "B,N", "B,N"),
    "torch.addcdiv": _f(torch.addcdiv, "B,N", "B,N", "B,N"),
    "torch.clamp": _f(lambda x: torch.clamp(x, -0.5, 0.5)),
    "torch.clamp min": _f(lambda x: torch.clamp(x, min=0.1)),
    "torch.clamp tensors": _f(torch.clamp, "B,N", "B,N", "B,N"),
    "torch.clamp tensor min": _f(lambda x, y: torch.clamp(x, min=y), "B,N", "B,N"),
    "torch.clamp broadcast": _f(torch.clamp, "B,N", "N", "N"),
    "torch.clamp constants": _f(lambda x, y, z: torch.clamp(x, y.detach(), z.detach()), "B,N", "B,N", "B,N"),
    "torch.clip": _f(lambda x: torch.clip(x, 0.1, 0.9)),
    "torch.pow 2": _f(lambda x: x**2),
    "torch.pow 3": _f(lambda x: x**3),
    "torch.pow .5": _f(lambda x: x.abs() ** 0.5),
    "torch.pow scalar base": _f(lambda x: 2**x),
    "x / 3": _f(lambda x: x / 3),
    "3 / x": _f(lambda x: 3 / x),
    "x * 3": _f(lambda x: x * 3),
    "1 - x": _f(lambda x: 1 - x),
    "torch.div floor": _f(partial(torch.div, rounding_mode="floor"), "B,N", "B,N"),
    "torch.nextafter": _f(lambda x, y: torch.nextafter(x.detach(), y.detach()) + x, "B,N", "B,N"),
    "torch.mvlgamma": _f(lambda x: torch.mvlgamma(x.abs() + 3, 2)),
    "torch.polygamma": _f(lambda x: torch.polygamma(1, x.abs() + 1)),
    "torch.igamma": _f(lambda x, y: torch.special.gammainc(x.detach().abs() + 0.1, y.abs() + 0.1), "B,N", "B,N"),
    "torch.special.zeta": _f(lambda x, y: torch.special.zeta(x.detach().abs() + 2, y.abs() + 1), "B,N", "B,N"),
    "torch.quantile": _f(lambda x: torch.quantile(x, 0.3)),
    "torch.quantile dim": _f(lambda x: torch.quantile(x, 0.3, dim=1)),
    "torch.quantile kept": _f(lambda x: torch.quantile(x, 0.3, dim=-1, keepdim=True)),
    "torch.quantile several": _f(lambda x: torch.quantile(x, torch.tensor([0.1, 0.5, 0.9]), dim=1)),
    "torch.quantile lower": _f(lambda x: torch.quantile(x, 0.3, dim=1, interpolation="lower")),
    "torch.quantile nearest": _f(lambda x: torch.quantile(x, 0.3, dim=1, interpolation="nearest")),
    "torch.quantile midpoint": _f(lambda x: torch.quantile(x, 0.3, dim=1, interpolation="midpoint")),
    "torch.nanquantile": _f(lambda x: torch.nanquantile(x, 0.3)),
    "torch.nanquantile dim": _f(lambda x: torch.nanquantile(x, 0.3, dim=1)),
    "torch.nanquantile several": _f(lambda x: torch.nanquantile(x, torch.tensor([0.1, 0.5]), dim=1)),
    "torch.cov": _f(torch.cov, "N,M"),
    "torch.cov weights": _f(lambda x, w: torch.cov(x, aweights=w.detach().abs()), "N,M", "M"),
    "torch.cov counts": _f(lambda x, w: torch.cov(x, fweights=w + 1), "N,M", "i64[M]"),
    "torch.corrcoef": _f(torch.corrcoef, "N,M"),
    "torch.corrcoef 1d": _f(torch.corrcoef, "N"),
    "torch.cov 1d": _f(torch.cov, "N"),
    "torch.histc": _f(lambda x: x * torch.histc(x.detach(), 5).sum()),
    "torch.bucketize": _f(lambda x, e: x * torch.bucketize(x.detach(), e.detach().sort()[0]), "B,N", "M"),
    "linalg.norm": _f(linalg.norm, "N,M"),
    "linalg.norm nuc": _f(partial(linalg.norm, ord="nuc"), "N,M"),
    "linalg.norm 2": _f(partial(linalg.norm, ord=2), "N,M"),
    "linalg.norm 1": _f(partial(linalg.norm, ord=1), "N,M"),
    "linalg.vector_norm": _f(linalg.vector_norm),
    "linalg.vector_norm 3": _f(partial(linalg.vector_norm, ord=3, dim=1)),
    "linalg.vector_norm inf": _f(partial(linalg.vector_norm, ord=float("inf"), dim=1)),
    "linalg.matrix_norm": _f(linalg.matrix_norm),
    "linalg.matrix_norm nuc": _f(partial(linalg.matrix_norm, ord="nuc")),
    "linalg.matrix_norm 2": _f(partial(linalg.matrix_norm, ord=2)),
    "linalg.det": _f(linalg.det, "B,N,N"),
    "linalg.slogdet": _f(lambda a: linalg.slogdet(a)[1], "B,N,N"),
    "torch.logdet": _f(lambda a: torch.logdet(_spd(a)), "B,N,N"),
    "linalg.inv": _f(lambda a: linalg.inv(_spd(a)), "B,N,N"),
    "linalg.inv_ex": _f(lambda a: linalg.inv_ex(_spd(a))[0], "B,N,N"),
    "linalg.pinv": _f(linalg.pinv, "B,N,M"),
    "linalg.pinv hermitian": _f(lambda a: linalg.pinv(_spd(a), hermitian=True), "B,N,N"),
    "linalg.solve": _f(lambda a, b: linalg.solve(_spd(a), b), "B,N,N", "B,N,K"),
    "linalg.solve vector": _f(lambda a, b: linalg.solve(_spd(a), b), "N,N", "N"),
    "linalg.solve shared": _f(lambda a, b: linalg.solve(_spd(a), b), "N,N", "N,K"),
    "linalg.solve left": _f(lambda a, b: linalg.solve(_spd(a), b, left=False), "B,N,N", "B,K,N"),
    "linalg.solve_triangular": _f(lambda a, b: linalg.solve_triangular(_spd(a), b, upper=True), "B,N,N", "B,N,K"),
    "linalg.lstsq": _f(lambda a, b: linalg.lstsq(a, b)[0], "B,M,N", "B,M,K", N=7, M=37),
    "linalg.cholesky": _f(lambda a: linalg.cholesky(_spd(a)), "B,N,N"),
    "linalg.cholesky upper": _f(lambda a: linalg.cholesky(_spd(a), upper=True), "B,N,N"),
    "torch.cholesky_solve": _f(lambda a, b: torch.cholesky_solve(b, linalg.cholesky(_spd(a))), "B,N,N", "B,N,K"),
    "torch.cholesky_inverse": _f(lambda a: torch.cholesky_inverse(linalg.cholesky(_spd(a))), "B,N,N"),
    "linalg.qr": _f(linalg.qr, "B,M,N", N=7, M=37),
    "linalg.qr wide": _f(lambda a: linalg.qr(a), "B,N,M", N=7, M=37),
    "linalg.qr r": _f(lambda a: linalg.qr(a, mode="complete"), "B,N,N"),
    "linalg.svd": _f(lambda a: linalg.svd(a, full_matrices=False), "B,N,M", N=7, M=37),
    "linalg.svdvals": _f(linalg.svdvals, "B,N,M"),
    "linalg.eigh": _f(lambda a: linalg.eigh(_spd(a)), "B,N,N"),
    "linalg.eigvalsh": _f(lambda a: linalg.eigvalsh(_spd(a)), "B,N,N"),
    "linalg.eigvals": _f(lambda a: linalg.eigvals(a).abs(), "B,N,N"),
    "linalg.eig": _f(lambda a: [t.abs() for t in linalg.eig(a)], "B,N,N"),
    "linalg.lu": _f(lambda a: linalg.lu(a)[1:], "B,N,N"),
    "linalg.lu_factor": _f(lambda a: linalg.lu_factor(a)[0], "B,N,N"),
    "linalg.lu_solve": _f(lambda a, b: linalg.lu_solve(*linalg.lu_factor(a), b), "B,N,N", "B,N,K"),
    "linalg.ldl_factor": _f(lambda a: a + linalg.ldl_factor(_spd(a.detach()))[0], "B,N,N"),
    "linalg.matrix_exp": _f(linalg.matrix_exp, "B,N,N"),
    "linalg.matrix_power": _f(partial(linalg.matrix_power, n=3), "B,N,N"),
    "linalg.matrix_power 5": _f(partial(linalg.matrix_power, n=5), "B,N,N"),
    "linalg.householder_product": _f(lambda a, t: linalg.householder_product(a, t), "B,M,N", "B,N", N=7, M=37),
    "linalg.cond": _f(linalg.cond, "B,N,N"),
    "linalg.cond 1": _f(partial(linalg.cond, p=1), "B,N,N"),
    "linalg.tensorinv": _f(lambda a: linalg.tensorinv(_spd(a).reshape(a.shape[0], 1, a.shape[0], 1), ind=2), "N,N"),
    "linalg.tensorsolve": _f(lambda a, b: linalg.tensorsolve(_spd(a), b), "N,N", "N"),
    "linalg.cross": _f(linalg.cross, "B,3", "B,3"),
    "linalg.vecdot": _f(linalg.vecdot, "B,N", "B,N"),
    "linalg.multi_dot": _f(lambda a, b, c: linalg.multi_dot([a, b, c]), "N,M", "M,K", "K,B"),
    "torch.stft": _f(lambda x: torch.stft(x, 16, return_complex=True, window=torch.hann_window(16)).abs(), "B,8*H"),
    "torch.stft hop": _f(lambda x: torch.stft(x, 16, hop_length=5, return_complex=True, window=torch.ones(16)).abs(), "B,8*H"),
    "torch.stft uncentred": _f(
        lambda x: torch.stft(x, 16, hop_length=5, center=False, return_complex=True, window=torch.ones(16)).abs(), "B,8*H"
    ),
    "torch.stft 1d": _f(lambda x: torch.stft(x, 16, return_complex=True, window=torch.ones(16)).abs(), "8*H"),
    "torch.stft short window": _f(
        lambda x: torch.stft(x, 16, win_length=10, return_complex=True, window=torch.ones(10)).abs(), "B,8*H"
    ),
    "torch.stft normalized": _f(
        lambda x: torch.stft(x, 16, normalized=True, return_complex=True, window=torch.ones(16)).abs(), "B,8*H"
    ),
    "torch.stft two sided": _f(
        lambda x: torch.stft(x, 16, onesided=False, return_complex=True, window=torch.ones(16)).abs(), "B,8*H"
    ),
    "torch.stft real": _f(lambda x: torch.view_as_real(torch.stft(x, 16, return_complex=True, window=torch.ones(16))), "B,8*H"),
    "torch.istft": _f(lambda x, y: torch.istft(torch.complex(x, y), 16, window=torch.hann_window(16)), "B,9,M", "B,9,M"),
    "torch.istft hop": _f(
        lambda x, y: torch.istft(torch.complex(x, y), 16, hop_length=8, window=torch.hann_window(16)), "B,9,M", "B,9,M"
    ),
    "torch.istft length": _f(
        lambda x, y: torch.istft(torch.complex(x, y), 16, window=torch.ones(16), length=33), "B,9,M", "B,9,M"
    ),
    "vocoder": _f(
        lambda x: torch.istft(
            torch.stft(x, 16, return_complex=True, window=torch.hann_window(16)), 16, window=torch.hann_window(16)
        ),
        "B,8*H",
    ),
    "fft.fft": _f(lambda x: torch.fft.fft(x).abs()),
    "fft.ifft": _f(lambda x: torch.fft.ifft(x).abs()),
    "fft.rfft": _f(lambda x: torch.fft.rfft(x).abs()),
    "fft.irfft": _f(lambda x: torch.fft.irfft(torch.fft.rfft(x), n=x.shape[-1])),
    "fft.fft2": _f(lambda x: torch.fft.fft2(x).abs()),
    "fft.rfft2": _f(lambda x: torch.fft.irfft2(torch.fft.rfft2(x), s=x.shape[-2:])),
    "fft.rfftn": _f(lambda x: torch.fft.rfftn(x).abs()),
    "fft.hfft": _f(lambda x: torch.fft.hfft(torch.fft.rfft(x))),
    "fft.ihfft": _f(lambda x: torch.fft.ihfft(x).abs()),
    "fft.fftshift": _f(torch.fft.fftshift),
    "fft.fft padded": _f(lambda x: torch.fft.fft(x, n=64).abs()),
    "fft.fft cut": _f(lambda x: torch.fft.fft(x, n=5).abs()),
    "torch.complex": _f(lambda x, y: torch.complex(x, y).abs(), "B,N", "B,N"),
    "torch.polar": _f(lambda x, y: torch.polar(x, y).real, "B,N", "B,N"),
    "torch.angle": _f(lambda x, y: torch.complex(x, y).angle(), "B,N", "B,N"),
    "torch.view_as_complex": _f(lambda x: torch.view_as_complex(x).abs(), "B,N,2"),
    "complex product": _f(lambda x, y: (torch.complex(x, y) * torch.complex(y, x)).abs(), "B,N", "B,N"),
    "complex matmul": _f(lambda x, y: (torch.complex(x, x) @ torch.complex(y, y)).abs(), "B,N,M", "B,M,K"),
}


FUNCTIONS: Mapping[str, Function] = {**_alike(), **_OTHERS}
"""Name -> the function."""


def compared(function: Function) -> Pairs:
    """What fxcount says of a step and what a real one does, of each quantity the first two that differ, or else the last.

    It is asked at each size, with a gradient that is a number and with one that has memory. ``pinned`` are sizes that the
    forward keeps."""
    pairs: Pairs = {}
    for weighs in (False, True):
        for found in _runs(Function(function.call, function.specs, function.fixed, weighs)):
            for key, (ours, theirs) in found.items():
                if key not in pairs or pairs[key][0] == pairs[key][1]:
                    pairs[key] = [ours, theirs]
    return pairs


def _runs(function: Function) -> Iterator[dict[str, tuple[int, int]]]:
    specs = tuple(s if "[" in s else f"f32[{s}]" for s in function.specs)
    model, hints = Called(function), function.hints()
    step, tracked = (fxcount.training_step(model, *specs, hints=hints, tracker=flag) for flag in (False, True))
    kept = {str(a) for a in fxcount.analyze(model, *specs, hints=hints).assumptions if a.relation == "=="}
    yield {"pinned": (len({str(a) for a in step.assumptions if a.relation == "=="} - kept), 0)}
    for sizes in function.sizes():
        torch.manual_seed(0)
        args = tensors(specs, sizes, "cpu")
        at, watched = (found.at(**{n: v for n, v in sizes.items() if n in found.symbols}) for found in (step, tracked))
        truth = real.run(model, *args)
        yield {
            "peak": (at.peak, real.plain_peak(model, *args)), "saved": (at.saved_bytes, truth.saved),
            "forward_peak": (watched.forward_peak, truth.forward_peak), "tracker_peak": (watched.peak, truth.peak),
            "forward_flops": (at.public(counted(at, "torch", "forward")), truth.forward_flops),
            "backward_flops": (at.public(counted(at, "torch", "backward")), truth.backward_flops),
        }  # fmt: skip
