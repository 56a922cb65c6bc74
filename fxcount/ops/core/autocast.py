"""What ``torch.autocast`` does to the operands of torch's ops, by their names.

Source: ``aten/src/ATen/autocast_mode.h`` (``AT_FORALL_LOWER_PRECISION_FP``, ``AT_FORALL_FP32``, ``AT_FORALL_PROMOTE``), and
``autocast_mode.cpp`` for the CPU. ``"lower"``: to autocast's dtype; ``"float32"``: up to float32; ``"promote"``: to the widest
of the operands.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from fxcount.torch_private import VERSION

__all__ = ["Autocast", "Cast", "policy"]

Cast = Literal["lower", "float32", "promote"]


class Autocast(NamedTuple):
    """The policy on the CPU and on CUDA; ``None``: the op takes its operands as they are."""

    cpu: Cast | None = None
    cuda: Cast | None = None


_LOWER = frozenset(
    "conv1d conv2d conv3d convolution _convolution conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d bmm mm "
    "baddbmm addmm addbmm linear matmul scaled_dot_product_attention linalg.vecdot prelu "
    "linalg.matmul".split()
)
# Composites without a kernel of their own, of which the products inside are cast.
_COMPOSITE = frozenset(
    "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell einsum chain_matmul linalg.multi_dot "
    "linalg.matrix_power linalg.pinv cov corrcoef".split()
)
_LOWER_CPU = (
    _LOWER | _COMPOSITE
    | frozenset("_native_multi_head_attention _addmm_activation tensordot inner mkldnn_rnn_layer".split())
)  # fmt: skip
_LOWER_CUDA = _LOWER | _COMPOSITE | frozenset("addmv addr mv _scaled_dot_product_flash_attention".split())
_FLOAT32_CPU = frozenset(
    "avg_pool3d binary_cross_entropy grid_sampler grid_sampler_2d grid_sampler_3d polar prod quantile nanquantile stft cdist "
    "trace view_as_complex cholesky cholesky_inverse cholesky_solve inverse lu_solve orgqr ormqr pinverse max_pool3d "
    "max_unpool2d max_unpool3d adaptive_avg_pool3d reflection_pad1d reflection_pad2d replication_pad1d "
    "replication_pad2d replication_pad3d mse_loss cosine_embedding_loss nll_loss nll_loss2d hinge_embedding_loss "
    "poisson_nll_loss cross_entropy_loss l1_loss huber_loss margin_ranking_loss soft_margin_loss triplet_margin_loss "
    "multi_margin_loss ctc_loss kl_div multilabel_margin_loss binary_cross_entropy_with_logits fft.fft fft.ifft "
    "fft.fft2 fft.ifft2 fft.fftn fft.ifftn fft.rfft fft.irfft fft.rfft2 fft.irfft2 fft.rfftn fft.irfftn fft.hfft "
    "fft.ihfft adaptive_max_pool3d fractional_max_pool2d fractional_max_pool3d fake_quantize_per_tensor_affine geqrf qr svd "
    "smooth_l1_loss triangular_solve multilabel_margin_loss_forward linalg.cholesky linalg.cholesky_ex linalg.cond linalg.eig "
    "linalg.eigh linalg.eigvals linalg.eigvalsh linalg.householder_product linalg.inv linalg.inv_ex linalg.lstsq "
    "linalg.matrix_rank linalg.qr linalg.solve linalg.svd linalg.svdvals linalg.tensorinv linalg.tensorsolve".split()
)
_FLOAT32_CUDA = frozenset(
    "acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow softplus layer_norm "
    "native_layer_norm group_norm norm nuclear_norm cosine_similarity poisson_nll_loss cosine_embedding_loss nll_loss "
    "nll_loss2d hinge_embedding_loss kl_div l1_loss smooth_l1_loss huber_loss mse_loss margin_ranking_loss "
    "multilabel_margin_loss soft_margin_loss triplet_margin_loss multi_margin_loss binary_cross_entropy_with_logits "
    "dist pdist cdist renorm logsumexp prod softmax log_softmax cumprod cumsum sum cross_entropy_loss "
    "linalg.vector_norm linalg.matrix_norm rms_norm frobenius_norm upsample_nearest1d upsample_nearest2d upsample_nearest3d "
    "_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d "
    "_upsample_bilinear2d_aa upsample_trilinear3d upsample_bicubic2d _upsample_bicubic2d_aa".split()
)
if VERSION < (2, 12):
    _FLOAT32_CUDA -= {"rms_norm"}
_PROMOTE_CPU = frozenset({"stack", "cat", "index_copy"})
_PROMOTE_CUDA = frozenset(
    "addcdiv addcmul atan2 bilinear cross dot vdot grid_sampler index_put tensordot inner scatter_add stack cat".split()
)


def policy(names: Iterable[str]) -> Autocast | None:
    """The policy of the op with these ATen names, which share one.

    >>> policy(["linear"]), policy(["exp"]), policy(["relu"])
    (Autocast(cpu='lower', cuda='lower'), Autocast(cpu=None, cuda='float32'), None)
    """
    for name in names:
        cpu = _in(name, _LOWER_CPU, _FLOAT32_CPU, _PROMOTE_CPU)
        cuda = _in(name, _LOWER_CUDA, _FLOAT32_CUDA, _PROMOTE_CUDA)
        if cpu or cuda:
            return Autocast(cpu, cuda)
    return None


def _in(name: str, lower: frozenset[str], float32: frozenset[str], promote: frozenset[str]) -> Cast | None:
    if name in lower:
        return "lower"
    return "float32" if name in float32 else "promote" if name in promote else None
