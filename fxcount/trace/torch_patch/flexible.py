"""``flex_attention`` under a trace: its dense products and what its functions compute, as torch runs it without a compiler.

Shapes:  query (B, Hq, L, E), key (B or 1, Hkv, S, E), value (B or 1, Hkv, S, Ev) -> (B, Hq, L, Ev)
Counts:  macs = B*Hq*L*S*(E + Ev), dense; what a block mask lets a kernel leave out is said in a note
Source:  ``math_attention`` in torch/_higher_order_ops/flex_attention.py

A ``score_mod`` or ``mask_mod`` is a function of one score and its place; mapped over all of them it is called once, with the
places in dimensions that broadcast. One that is more than elementwise is mapped by torch itself, on its own engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from fxcount import torch_private
from fxcount.errors import ShapeError
from fxcount.ops.core.common import shape_text
from fxcount.trace.torch_patch.vmap import ensure_elementwise
from fxcount.trace.tracer.standin import StandIn

if TYPE_CHECKING:
    from fxcount.trace.tracer.tracer import Tracer

__all__ = ["FLEXIBLE", "flexible_attention"]

FLEXIBLE = "nn.attention.flex_attention"
"""The module below ``torch``."""

Mod = Callable[..., Any]


def flexible_attention(
    tracer: Tracer, query: Any, key: Any, value: Any, score_mod: Mod | None = None, block_mask: Any = None,
    scale: Any = None, enable_gqa: bool = False, return_lse: bool = False, kernel_options: object = None, *,
    return_aux: Any = None,
) -> Any:  # fmt: skip
    """What stands in for ``flex_attention``.

    Raises :class:`~fxcount.errors.ShapeError` for operands that do not fit.
    """
    _check(tracer, query, key, value, enable_gqa)
    groups = query.shape[1] // key.shape[1]
    key, value = (torch.repeat_interleave(x, groups, dim=1) for x in (key, value))
    key, value = (x.expand((query.shape[0], *x.shape[1:])) for x in (key, value))
    precise = torch.float64 if query.dtype == torch.float64 else torch.float32
    scores = query.to(precise) @ key.to(precise).transpose(-2, -1)
    scores = scores * (1.0 / math.sqrt(query.shape[-1]) if scale is None else scale)
    keep = torch.ones((), dtype=torch.bool, device=query.device)
    if block_mask is not None:
        keep = _everywhere(tracer, block_mask.mask_mod, scores)
        _note_blocks(tracer, block_mask, query, key, value)
    changed = scores if score_mod is None else _everywhere(tracer, score_mod, scores, (scores,))
    return _weighted(query, value, torch.where(keep, changed, -math.inf), return_lse, return_aux)


def _everywhere(tracer: Tracer, mod: Mod, scores: Any, given: tuple[Any, ...] = ()) -> Any:
    """The function of one place, at all places of the scores."""
    places = [torch.arange(0, n, device=scores.device) for n in scores.shape]
    if tracer.differentiates:
        return torch_private.map_places(mod, prefix=(0,) * len(given))(*given, *places)
    start = len(tracer.ledger.calls)
    found = mod(*given, *[p.reshape([-1 if i == dim else 1 for i in range(4)]) for dim, p in enumerate(places)])
    ensure_elementwise(tracer, start, getattr(mod, "__name__", type(mod).__name__))
    return found


def _check(tracer: Tracer, query: Any, key: Any, value: Any, enable_gqa: bool) -> None:
    wrong = ""
    if any([x.dim() != 4 for x in (query, key, value)]):
        wrong = "they have four dimensions"
    elif query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        wrong = "query and key are as wide, and there are as many keys as values"
    elif (query.shape[1] % key.shape[1] != 0) if enable_gqa else (query.shape[1] != key.shape[1]):
        wrong = "there are as many heads of keys, or with enable_gqa=True a divisor of them"
    if wrong:
        shapes = ", ".join([shape_text(x.shape) for x in (query, key, value)])
        raise ShapeError(f"flex_attention of {shapes}: {wrong}", where=tracer.where(), hint="compare the operands")


def _weighted(query: Any, value: Any, scores: Any, return_lse: bool, return_aux: Any) -> Any:
    """The softmax of the scores, the values weighted by it, and what else the caller asked for."""
    lse = torch.where(torch.all(scores == -math.inf, dim=-1), -math.inf, scores.logsumexp(dim=-1))
    largest = torch.max(scores, dim=-1)[0]
    weights = torch_private.safe_softmax(scores, dim=-1)
    result = weights.to(query.dtype) @ value.to(query.dtype)
    if return_aux is not None:
        flexible = torch_private.loaded(FLEXIBLE)
        made = flexible.AuxOutput(lse if return_aux.lse else None, largest if return_aux.max_scores else None)
        return result, made
    return (result, lse) if return_lse else result


def _note_blocks(tracer: Tracer, block_mask: Any, query: Any, key: Any, value: Any) -> None:
    """How many of the products are in blocks that the mask keeps, where its blocks are known."""
    kept = _kept_blocks(block_mask)
    rows, columns, width = query.shape[2], key.shape[2], query.shape[3] + value.shape[3]
    if kept is None or type(rows) is not int or type(columns) is not int:
        return
    heights, widths = (_edges(n, size) for n, size in zip((rows, columns), block_mask.BLOCK_SIZE))
    batch, heads, down, across = kept.shape
    area = int((kept * heights[:down, None] * widths[None, :across]).sum())
    times = query.shape[0] * query.shape[1] * width
    dense = times * rows * columns
    inside = times * area // (batch * heads)
    tracer.notes.add(
        f"flex_attention at {tracer.where()}: of its {getattr(dense, 'expr', dense)} macs, dense, "
        f"{getattr(inside, 'expr', inside)} are in the {int(kept.sum())} of {kept.numel()} blocks that its mask keeps"
    )


def _edges(n: int, size: int) -> torch.Tensor:
    """The rows of each block: all of them, or what is left for the last."""
    blocks = -(-n // size)
    return torch.tensor([min(size, n - i * size) for i in range(blocks)])


def _kept_blocks(block_mask: Any) -> torch.Tensor | None:
    """Which blocks are kept, (B, H, rows, columns), 1 or 0; ``None`` if data nobody knows say so."""
    parts = ((block_mask.kv_num_blocks, block_mask.kv_indices), (block_mask.full_kv_num_blocks, block_mask.full_kv_indices))
    total: torch.Tensor | None = None
    for numbers, indices in parts:
        if numbers is None or indices is None:
            continue
        counts, order = _data(numbers), _data(indices)
        if counts is None or order is None:
            return None
        taken = torch.arange(order.shape[-1]) < counts[..., None]
        dense = torch.zeros(order.shape, dtype=torch.int64).scatter_(-1, order.long(), taken.long())
        total = dense if total is None else total + dense
    return total


def _data(x: torch.Tensor) -> torch.Tensor | None:
    if type(x) is StandIn:
        return x._known if x._storage.constant else None
    return x.detach().cpu() if x.device.type != "meta" else None
