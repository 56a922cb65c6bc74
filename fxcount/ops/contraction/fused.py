"""Whole layers fused into one call: ``_native_multi_head_attention`` and ``_transformer_encoder_layer_fwd``.

Letters: N batch, S queries, T keys, E embedding, H heads, F inner width
Counts:  the sums of what they fuse: linear layers with biases, attention, gelu or relu, layer norms, sums with the input;
         macs of attention with projections = N * (2*S + 2*T) * E*E + 2 * N*S*T*E; of an encoder layer, + 2 * N*S*E*F
Raises:  ShapeError: ranks, widths or dtypes do not match
Source:  ``torch.nn.MultiheadAttention`` and ``torch.nn.TransformerEncoderLayer``
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fxcount.errors import ShapeError
from fxcount.ops.contraction.matmul import contraction, require, require_dtype, require_rank
from fxcount.ops.core.arguments import Given, Results
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import Scalars
from fxcount.symbolic import Scope, Size, mod

__all__ = ["OPS", "softmax_scalars"]


def softmax_scalars(rows: Size, length: Size) -> Scalars:
    """Per row: length - 1 comparisons, length subtractions, length exp, length - 1 additions, length divisions."""
    n = rows * length
    return Scalars(add=3 * n - 2 * rows, fn=n, div=n)


def _multi_head_shape(
    scope: Scope, query: TensorFact, key: TensorFact, value: TensorFact, embed_dim: Size, num_head: Size,
    qkv_weight: TensorFact, qkv_bias: TensorFact, proj_weight: TensorFact, proj_bias: TensorFact, mask: Given = None,
    need_weights: bool = True, average_attn_weights: bool = True, mask_type: Any = None,
) -> tuple[TensorFact, TensorFact | None]:  # fmt: skip
    """Output (B, S, E) and the weights (B, S, T), or (B, H, S, T), or nothing."""
    what = "_native_multi_head_attention"
    require_rank(what, query=(query, 3), key=(key, 3), value=(value, 3))
    require_dtype(what, query, key, value, qkv_weight, proj_weight)
    require(scope, query.shape[2], embed_dim, f"{what}: embedding", query.shape)
    require(scope, qkv_weight.shape[0], 3 * embed_dim, f"{what}: qkv_weight", qkv_weight.shape)
    if not scope.same(mod(embed_dim, num_head), 0, f"{what}: heads"):
        raise ShapeError(f"{what}: {num_head} heads do not divide the embedding {embed_dim}")
    heads = () if average_attn_weights else (num_head,)
    weights = query.new((query.shape[0], *heads, query.shape[1], key.shape[1])) if need_weights else None
    return query.new((*query.shape[:2], embed_dim)), weights


def _multi_head_work(query: TensorFact, key: TensorFact, embed_dim: Size, num_head: Size, masked: bool) -> Work:
    """Projections of query, key and value, attention, output projection; a bias for each of the four."""
    batch, s, t = query.shape[0], query.shape[1], key.shape[1]
    projected = batch * (2 * s + 2 * t)
    rows = batch * num_head * s
    pairs = rows * t
    scores = Scalars(mul=pairs, add=pairs if masked else 0) + softmax_scalars(rows, t)
    macs = projected * embed_dim * embed_dim + 2 * batch * s * t * embed_dim
    return contraction(query.dtype, macs, scores + Scalars(add=projected * embed_dim))


def _multi_head_cost(
    y: Results, query: TensorFact, key: TensorFact, value: TensorFact, embed_dim: Size, num_head: Size,
    qkv_weight: TensorFact, qkv_bias: TensorFact, proj_weight: TensorFact, proj_bias: TensorFact, mask: Given = None,
    need_weights: bool = True, average_attn_weights: bool = True, mask_type: Any = None,
) -> Work:  # fmt: skip
    """Also the mean of the weights over the heads, if they are wanted."""
    work = _multi_head_work(query, key, embed_dim, num_head, mask is not None)
    if not (need_weights and average_attn_weights):
        return work
    pairs = query.shape[0] * query.shape[1] * key.shape[1]
    return replace(work, flops=work.flops + num_head * pairs)


def _encoder_layer_shape(
    scope: Scope, src: TensorFact, embed_dim: Size, num_heads: Size, qkv_weight: TensorFact, *_: object, **__: object
) -> TensorFact:
    what = "_transformer_encoder_layer_fwd"
    require_rank(what, src=(src, 3), qkv_weight=(qkv_weight, 2))
    require_dtype(what, src, qkv_weight)
    require(scope, src.shape[2], embed_dim, f"{what}: embedding", src.shape)
    return src.new(src.shape)


def _encoder_layer_cost(
    y: TensorFact, src: TensorFact, embed_dim: Size, num_heads: Size, qkv_weight: TensorFact, qkv_bias: TensorFact,
    proj_weight: TensorFact, proj_bias: TensorFact, use_gelu: bool, norm_first: bool, eps: float,
    norm_weight_1: TensorFact, norm_bias_1: TensorFact, norm_weight_2: TensorFact, norm_bias_2: TensorFact,
    ffn_weight_1: TensorFact, ffn_bias_1: TensorFact,
    ffn_weight_2: TensorFact, ffn_bias_2: TensorFact, mask: Given = None, mask_type: Any = None,
) -> Work:  # fmt: skip
    """Attention, two linear layers with gelu or relu between, two sums with the input, two layer norms."""
    tokens, inner = src.shape[0] * src.shape[1], ffn_weight_1.shape[0]
    attention = _multi_head_work(src, src, embed_dim, num_heads, mask is not None)
    activation = Scalars(add=1, mul=3, fn=1) if use_gelu else Scalars(add=1)
    biases_and_sums = Scalars(add=tokens * inner + 3 * src.numel)
    also = biases_and_sums + activation * (tokens * inner) + _layer_norm(tokens, embed_dim) * 2
    rest = contraction(src.dtype, 2 * src.numel * inner, also)
    return Work(attention.macs + rest.macs, attention.flops + rest.flops, attention.transcendentals + rest.transcendentals)


def _layer_norm(rows: Size, n: Size) -> Scalars:
    """Per row: mean (n-1 additions, 1 division), n differences, n squares, n-1 additions, 1 division, + eps, root,
    1 / root, n products, n times weight, n plus bias."""
    return Scalars(add=rows * (4 * n - 1), mul=rows * 3 * n, div=rows * 3, root=rows)


OPS: tuple[Op, ...] = (
    op("_native_multi_head_attention", shape=_multi_head_shape, cost=_multi_head_cost),
    op("_transformer_encoder_layer_fwd", shape=_encoder_layer_shape, cost=_encoder_layer_cost),
)
