"""Scaled dot product attention in torch's spellings, and ``flex_attention``.

Shapes:  q (*B, H, S, D), k (*B', H', T, D), v (*B', H', T, V) -> y (*B, H, S, V); H' divides H with ``enable_gqa``
Counts:  per pair of a query and a key, of which there are P = prod(B) * H * S * T (also above a causal diagonal):
         macs = P * (D + V);  flops = 2*macs + P (scale) + softmax, + P with a mask of any kind, + 2*P with dropout
         softmax, per query: T-1 comparisons, T subtractions, T exp, T-1 additions, T divisions = 5*T - 2
Raises:  ShapeError: ranks, sizes, heads or dtypes do not match
Source:  the definition in the documentation of ``scaled_dot_product_attention``, where a causal or boolean mask too is
         added to the scores; layouts and temporaries: the kernel for these operands (``kernels.py``)

>>> from fxcount.symbolic import Scope
>>> q, k = TensorFact((2, 4, 5, 8), torch.float32), TensorFact((2, 4, 7, 8), torch.float32)
>>> y = attention_shape(Scope({}), q, k, k)
>>> y.shape, attention_cost(y, q, k, k)
((2, 4, 5, 8), Work(macs=4480, flops=10560, transcendentals=280, read_bytes=None, write_bytes=None))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from fxcount.errors import ShapeError
from fxcount.ops.contraction.fused import OPS as FUSED
from fxcount.ops.contraction.fused import softmax_scalars
from fxcount.ops.contraction.kernels import MASK_ALIGNMENT, WIDENED, WIDTH_ALIGNMENT, kernel_of, settings_of_process
from fxcount.ops.contraction.matmul import contraction, matmul_copies, require_dtype, require_rank
from fxcount.ops.core.arguments import Tensors
from fxcount.ops.core.binding import Overloads
from fxcount.ops.core.common import broadcast, shape_text
from fxcount.ops.core.fact import TensorFact, Work
from fxcount.ops.core.iterator import dense_like
from fxcount.ops.core.registry import Op, op
from fxcount.ops.core.scalars import Scalars
from fxcount.ops.core.striding import heads_inside
from fxcount.symbolic import Scope, Size, ceildiv, free_symbols, max_, min_, mod, prod

__all__ = ["OPS", "attention_cost", "attention_shape"]

# --- shapes ---------------------------------------------------------------------------------------


def attention_shape(
    scope: Scope, query: TensorFact, key: TensorFact, value: TensorFact, attn_mask: TensorFact | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> TensorFact:  # fmt: skip
    """Keeps the layout of the query where the flash kernel takes it, else row-major."""
    what = "scaled_dot_product_attention"
    require_dtype(what, query, key, value)
    shapes = f"query {shape_text(query.shape)}, key {shape_text(key.shape)}, value {shape_text(value.shape)}"
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ShapeError(f"{what}: {shapes} need 2 dimensions or more")
    pairs = (("key width", key.shape[-1], query.shape[-1]), ("value length", value.shape[-2], key.shape[-2]))
    for name, got, wanted in pairs:
        if not scope.same(got, wanted, f"{what}: {name}"):
            raise ShapeError(f"{what}: {name} {got} does not match {wanted}: {shapes}")
    if enable_gqa:
        if min(query.ndim, key.ndim, value.ndim) < 3 or not all(
            scope.same(mod(query.shape[-3], t.shape[-3]), 0, f"{what}: grouped heads") for t in (key, value)
        ):
            raise ShapeError(f"{what}: with enable_gqa the heads of key and value must divide those of query: {shapes}")
        outer = broadcast(scope, what, query.shape[:-3], key.shape[:-3], value.shape[:-3])
        batch = (*outer, query.shape[-3])
    else:
        batch = broadcast(scope, what, query.shape[:-2], key.shape[:-2], value.shape[:-2])
    settings = scope.outside(settings_of_process) if query.device.type == "cuda" else None
    kernel = kernel_of(
        query, key, value, attn_mask, dropout_p, is_causal, enable_gqa, alike=partial(_alike, scope), settings=settings
    )  # fmt: skip
    if attn_mask is not None:
        if is_causal and (WIDENED or kernel != "flash"):
            raise ShapeError(f"{what}: attn_mask and is_causal=True exclude each other")
        scores = (*batch, query.shape[-2], key.shape[-2])
        if attn_mask.shape != scores and not _expands(scope, attn_mask.shape, scores):
            raise ShapeError(f"{what}: attn_mask {shape_text(attn_mask.shape)} does not expand to {shape_text(scores)}")
    y = query.new((*batch, query.shape[-2], value.shape[-1]))
    if kernel == "efficient":
        return heads_inside(y)
    if kernel == "math" or query.shape[-1] != value.shape[-1]:
        return y
    return TensorFact(y.shape, y.dtype, y.device, dense_like(_as_known(scope, query)).strides)


def _as_known(scope: Scope, x: TensorFact) -> TensorFact:
    """The tensor with what is known of its sizes put in: ``floor(15/S)`` heads that have to be 3 are 3."""
    shape, strides = (tuple(map(scope.facts.reduce, part)) for part in (x.shape, x.stride()))
    own = frozenset[str]().union(*map(free_symbols, (*x.shape, *x.stride())))
    if not own.issuperset(frozenset[str]().union(*map(free_symbols, (*shape, *strides)))):
        return x  # names that only the facts know
    return TensorFact(shape, x.dtype, x.device, None if x.strides is None else strides)


def _expands(scope: Scope, shape: tuple[Size, ...], wanted: tuple[Size, ...]) -> bool:
    """Whether a tensor of that shape broadcasts to exactly the wanted one."""
    found = broadcast(scope, "scaled_dot_product_attention: attn_mask", wanted, shape)
    return len(found) == len(wanted) and all(scope.same(a, b) for a, b in zip(found, wanted, strict=True))


def _alike(scope: Scope, a: Sequence[Size], b: Sequence[Size]) -> bool:
    """Whether the sizes are the same, decided where they are written in different ways."""
    return len(a) == len(b) and all([scope.same(n, m, "which kernel of attention") for n, m in zip(a, b)])


def _logsumexp(query: TensorFact) -> TensorFact:
    """One number per query, in float at least, stored (B, S, H)."""
    heads, length = query.shape[-3:-1]
    batch = query.shape[0] if query.ndim == 4 else 1
    dtype = query.dtype if query.dtype is torch.float64 else torch.float32
    return TensorFact((batch, heads, length), dtype, query.device, (length * heads, 1, heads))


def _flash_for_cpu_shape(
    scope: Scope, query: TensorFact, key: TensorFact, value: TensorFact, dropout_p: float = 0.0,
    is_causal: bool = False, *, attn_mask: TensorFact | None = None, scale: float | None = None,
) -> tuple[TensorFact, TensorFact]:  # fmt: skip
    require_rank("flash attention", query=(query, 4), key=(key, 4), value=(value, 4))
    if not scope.same(query.shape[3], value.shape[3], "flash attention: value width"):
        raise ShapeError(f"flash attention: values of width {value.shape[3]}, queries of width {query.shape[3]}")
    y = attention_shape(scope, query, key, value, attn_mask, enable_gqa=True)
    return y, _logsumexp(query)


def _math_shape(
    scope: Scope, query: TensorFact, key: TensorFact, value: TensorFact, attn_mask: TensorFact | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, dropout_mask: TensorFact | None = None, *,
    scale: float | None = None, enable_gqa: bool = False,
) -> tuple[TensorFact, TensorFact]:  # fmt: skip
    """Also returns the weights."""
    y = attention_shape(scope, query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    return y.new(y.shape), y.new((*y.shape[:-1], key.shape[-2]))


def _efficient_shape(
    scope: Scope, query: TensorFact, *, key: TensorFact, value: TensorFact, compute_log_sumexp: bool, **_: object
) -> tuple[TensorFact, ...]:
    """A kernel for CUDA: output, stored (B, S, H, width), logsumexp in blocks of 32 queries, two numbers of random state."""
    y = heads_inside(_dense_attention(scope, query, key, value))
    queries = ceildiv(query.shape[2], 32) * 32 if compute_log_sumexp else 0
    state = TensorFact((), torch.int64) if query.device.type == "cuda" else query.new((), torch.int64)  # with the processor
    return y, query.new((*query.shape[:2], queries), torch.float32), state, state


def _device_shape(scope: Scope, query: TensorFact, *, key: TensorFact, value: TensorFact, **_: object) -> tuple[Any, ...]:
    """Other kernels for CUDA: output, stored as the query is, logsumexp, bookkeeping of nested sequences, random state, debug
    mask."""
    y = _dense_attention(scope, query, key, value)
    if query.shape[-1] == value.shape[-1]:
        y = TensorFact(y.shape, y.dtype, y.device, dense_like(query).strides)
    state = query.new((), torch.int64)
    logsumexp = query.new(query.shape[:3], torch.float32)
    return y, logsumexp, None, None, query.shape[2], key.shape[2], state, state, query.new((0,))


def _dense_attention(scope: Scope, query: TensorFact, key: TensorFact, value: TensorFact) -> TensorFact:
    require_rank("attention", query=(query, 4), key=(key, 4), value=(value, 4))
    y = attention_shape(scope, query, key, value, enable_gqa=True)
    return y


# --- work -----------------------------------------------------------------------------------------


def _attention_work(
    query: TensorFact, key: TensorFact, value: TensorFact, y: TensorFact, masked: bool, dropout_p: float
) -> Work:
    queries = prod(y.shape[:-1])
    pairs = queries * key.shape[-2]
    macs = pairs * (query.shape[-1] + value.shape[-1])
    scaled = Scalars(mul=pairs, add=pairs if masked else 0)
    dropped = Scalars(mul=pairs, div=pairs) if dropout_p else Scalars()
    return contraction(y.dtype, macs, scaled + softmax_scalars(queries, key.shape[-2]) + dropped)


def attention_cost(
    y: TensorFact, query: TensorFact, key: TensorFact, value: TensorFact, attn_mask: TensorFact | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Work:  # fmt: skip
    """See the head of this file; nothing is saved for a causal mask: every product is counted."""
    return _attention_work(query, key, value, y, attn_mask is not None or is_causal, dropout_p)


def _kernel_cost(
    y: Tensors, query: TensorFact, *, key: TensorFact, value: TensorFact, attn_mask: TensorFact | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, **_: object,
) -> Work:  # fmt: skip
    """Of the ATen form of every kernel, whose first result is that of the attention."""
    return _attention_work(query, key, value, y[0], attn_mask is not None or is_causal, dropout_p)


# --- what eager holds -----------------------------------------------------------------------------


def _temporaries(
    y: TensorFact, query: TensorFact, key: TensorFact, value: TensorFact, attn_mask: TensorFact | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Size:  # fmt: skip
    added: Size = 0
    if attn_mask is not None and attn_mask.dtype is torch.bool:  # becomes numbers to be added
        added = attn_mask.numel * query.itemsize
    kernel = kernel_of(query, key, value, attn_mask, dropout_p, is_causal, enable_gqa)
    if kernel == "math" and y.strides is not None:  # of heads that are known to be alike
        kernel = "flash"
    if kernel == "efficient":  # the numbers by row are made where there is a backward alone
        return added + _spread_mask(y, key, attn_mask)
    if kernel != "math":
        return added + _logsumexp(query).nbytes + _padded_heads(y, query, key, value)
    if is_causal:
        added = query.shape[-2] * key.shape[-2] * max(query.itemsize, 4)  # made when the operands are float already
    return _math_temporaries(y, query, key, value, added, dropout_p, enable_gqa)


def _padded_heads(y: TensorFact, query: TensorFact, key: TensorFact, value: TensorFact) -> Size:
    """Copies of the operands, and a result, whose heads have the next width that the flash kernel for CUDA works on."""
    width = query.shape[-1]
    wider = ceildiv(width, WIDTH_ALIGNMENT) * WIDTH_ALIGNMENT
    if query.device.type != "cuda" or wider == width:
        return 0
    rows = sum([prod(t.shape[:-1]) for t in (query, key, value)])
    return rows * wider * query.itemsize + prod(y.shape[:-1]) * (wider - width) * query.itemsize


def _spread_mask(y: TensorFact, key: TensorFact, mask: TensorFact | None) -> Size:
    """The mask of every head of every sample, made where its rows do not begin where the efficient kernel can read."""
    if mask is None:
        return 0
    length = key.shape[-2]
    odd = min_(mod(length, MASK_ALIGNMENT), 1)
    return odd * prod(y.shape[:-1]) * (length // MASK_ALIGNMENT + 1) * MASK_ALIGNMENT * y.itemsize


def _math_temporaries(
    y: TensorFact, query: TensorFact, key: TensorFact, value: TensorFact, mask: Size, dropout_p: float, gqa: bool
) -> Size:  # fmt: skip
    """The fullest moment of scaled query, scaled key, scores, weights, copies for bmm. Half precision is computed in
    float, so the operands are there twice; heads of key and value that several heads of query share are repeated."""
    half = query.itemsize < 4
    q, k, v = (replace(t, dtype=torch.float32) if half else t for t in (query, key, value))
    copies = (q.nbytes + k.nbytes + v.nbytes) if half else 0
    if gqa and key.shape[-3] != query.shape[-3]:
        k, v = (TensorFact((*t.shape[:-3], query.shape[-3], *t.shape[-2:]), t.dtype, t.device) for t in (k, v))
        copies += k.nbytes + v.nbytes
    scores = TensorFact((*y.shape[:-1], key.shape[-2]), q.dtype)
    scaled_q, scaled_k = dense_like(q), dense_like(_swapped(k))
    kept = scaled_q.nbytes + mask + copies
    first = scaled_k.nbytes + matmul_copies(scores, scaled_q, scaled_k) + scores.nbytes
    softmax = 2 * scores.nbytes
    if dropout_p:  # weights, the random numbers and their product
        softmax = max_(softmax, 3 * scores.nbytes)
    out = TensorFact(y.shape, q.dtype)
    weights = scores.nbytes + (scores.numel * y.itemsize if half else 0)
    last = weights + matmul_copies(out, scores, v) + out.nbytes + (y.nbytes if half else 0)
    return kept + max_(first, softmax, last) - y.nbytes


def _swapped(t: TensorFact) -> TensorFact:
    (*outer, a, b), (*steps, s, r) = t.shape, t.stride()
    return TensorFact((*outer, b, a), t.dtype, t.device, (*steps, r, s))


def _flex_shape(
    scope: Scope, query: TensorFact, key: TensorFact, value: TensorFact, *_: object, **__: object
) -> tuple[TensorFact, TensorFact, TensorFact]:
    """The higher-order op: output, logsumexp and largest score of each query."""
    y = _dense_attention(scope, query, key, value)
    row = query.new(query.shape[:3], torch.float32)
    return y, row, row


def _flex_cost(y: Tensors, query: TensorFact, key: TensorFact, value: TensorFact, *_: object, **__: object) -> Work:
    """Dense: blocks that a block mask leaves out are counted. What ``score_mod`` computes is the user's own, and not
    in this number."""
    return _attention_work(query, key, value, y[0], False, 0.0)


_attention = partial(op, random=True, kind="attention", activations=True)  # the mask of dropout_p is drawn
_kernel = partial(_attention, cost=_kernel_cost, overloads=Overloads(renamed=(("attn_bias", "attn_mask"),)))

OPS: tuple[Op, ...] = (
    _attention(
        "scaled_dot_product_attention", shape=attention_shape, cost=attention_cost, temporaries=_temporaries,
        takes_values=True,
    ),
    _kernel("_scaled_dot_product_flash_attention_for_cpu", shape=_flash_for_cpu_shape, differentiable=(True, False)),
    _kernel("_scaled_dot_product_attention_math", shape=_math_shape),
    _kernel("_scaled_dot_product_efficient_attention", shape=_efficient_shape),
    _kernel("_scaled_dot_product_flash_attention", shape=_device_shape),
    _kernel("_scaled_dot_product_cudnn_attention", shape=_device_shape),
    _kernel("_scaled_dot_product_fused_attention_overrideable", shape=_device_shape),
    op(
        "flex_attention", shape=_flex_shape, cost=_flex_cost, extra=(torch.ops.higher_order.flex_attention,), kind="attention",
        activations=True,
    ),
    *FUSED,
)  # fmt: skip
