"""Autocast: the dtype rules of ``torch.autocast``, recorded as explicit conversions.

Sources: ``aten/src/ATen/autocast_mode.h`` (the lists of lower-precision, fp32 and promote ops for CPU and CUDA). A weight
that is a leaf and asks for a gradient is converted once for each region, as autocast's cache does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from fxcount.ops import Op
from fxcount.trace.tracer.recorder import Recorder
from fxcount.trace.tracer.standin import StandIn

__all__ = ["cast_operands"]

_LOWER = frozenset(
    "conv1d conv2d conv3d convolution _convolution conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d bmm mm "
    "baddbmm addmm addbmm linear matmul scaled_dot_product_attention linalg_vecdot linalg.vecdot "
    "linalg.matmul lstm gru rnn_tanh rnn_relu".split()
)
_LOWER_CUDA = _LOWER | frozenset(
    "addmv addr mv prelu chain_matmul linalg.multi_dot lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell".split()
)
_FP32_CPU = frozenset(
    "avg_pool3d binary_cross_entropy grid_sampler grid_sampler_2d grid_sampler_3d polar prod quantile nanquantile stft cdist "
    "trace view_as_complex cholesky cholesky_inverse cholesky_solve inverse lu_solve orgqr ormqr pinverse max_pool3d "
    "max_unpool2d max_unpool3d adaptive_avg_pool3d reflection_pad1d reflection_pad2d replication_pad1d "
    "replication_pad2d replication_pad3d mse_loss cosine_embedding_loss nll_loss nll_loss2d hinge_embedding_loss "
    "poisson_nll_loss cross_entropy_loss l1_loss huber_loss margin_ranking_loss soft_margin_loss triplet_margin_loss "
    "multi_margin_loss ctc_loss kl_div multilabel_margin_loss binary_cross_entropy_with_logits fft.fft fft.ifft "
    "fft.fft2 fft.ifft2 fft.fftn fft.ifftn fft.rfft fft.irfft fft.rfft2 fft.irfft2 fft.rfftn fft.irfftn fft.hfft "
    "fft.ihfft".split()
)
_FP32_CUDA = frozenset(
    "acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow softplus layer_norm "
    "native_layer_norm group_norm norm nuclear_norm cosine_similarity poisson_nll_loss cosine_embedding_loss nll_loss "
    "nll_loss2d hinge_embedding_loss kl_div l1_loss smooth_l1_loss huber_loss mse_loss margin_ranking_loss "
    "multilabel_margin_loss soft_margin_loss triplet_margin_loss multi_margin_loss binary_cross_entropy_with_logits "
    "dist pdist cdist renorm logsumexp prod softmax log_softmax cumprod cumsum sum cross_entropy_loss "
    "linalg.vector_norm linalg.matrix_norm rms_norm".split()
)
_PROMOTE_CPU = frozenset({"stack", "cat", "index_copy"})
_PROMOTE_CUDA = frozenset(
    "addcdiv addcmul atan2 bilinear cross dot grid_sampler index_put tensordot scatter_add stack cat".split()
)


def cast_operands(
    tracer: Recorder, entry: Op, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments as autocast would hand them to the kernel."""
    kind = _device_kind(args)
    if kind is None:
        return args, kwargs
    cpu = kind == "cpu"
    target: torch.dtype | None = None
    if entry.name in (_LOWER if cpu else _LOWER_CUDA):
        target = torch.get_autocast_dtype(kind)
    elif entry.name in (_FP32_CPU if cpu else _FP32_CUDA):
        target = torch.float32
    elif entry.name in (_PROMOTE_CPU if cpu else _PROMOTE_CUDA):
        found = {t.dtype for t in _floating(args)}
        target = torch.float32 if torch.float32 in found and len(found) > 1 else None
    if target is None:
        return args, kwargs
    wanted = target
    return (
        tuple(_cast(tracer, a, wanted) for a in args),
        {k: _cast(tracer, v, wanted) for k, v in kwargs.items()},
    )


def _device_kind(args: Any) -> str | None:
    """The autocast that applies: that of the operands' device; for meta tensors whichever is on."""
    for t in _floating(args):
        kind = t.device.type
        candidates = ("cuda", "cpu") if kind == "meta" else (kind,)
        for candidate in candidates:
            if torch.is_autocast_enabled(candidate):
                return candidate
        return None
    return None


def _floating(tree: Any) -> Iterator[torch.Tensor]:
    for a in tree:
        if isinstance(a, torch.Tensor):
            if a.dtype.is_floating_point:
                yield a
        elif isinstance(a, (tuple, list)):
            yield from _floating(a)


def _cast(tracer: Recorder, a: Any, dtype: torch.dtype) -> Any:
    if isinstance(a, torch.Tensor):
        if not a.dtype.is_floating_point or a.dtype is dtype or a.dtype is torch.float64:
            return a
        stand_in: StandIn = a if isinstance(a, StandIn) else tracer.state(a)
        value = stand_in._value
        cached = value.origin == "parameter" and value.requires_grad and torch.is_autocast_cache_enabled()
        key = (value.index, dtype)
        if cached and key in tracer.cast_weights:
            return tracer.cast_weights[key]
        made: StandIn = tracer.run(torch.Tensor.to, stand_in, dtype)
        if cached:
            tracer.cast_weights[key] = made
        return made
    if isinstance(a, (tuple, list)):
        return type(a)(_cast(tracer, x, dtype) for x in a)
    return a
